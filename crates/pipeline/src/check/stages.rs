//! Stages among each other, and what stands in one.

use crate::model::{Cell, Located, Pipeline, StageCell, StageName};
use crate::problem::Fault;
use crate::suggest::closest;
use std::collections::BTreeSet;

/// Names listed in one message.
const LISTED: usize = 6;

/// The faults of each cell's source by itself: the stage must be there, and exactly one of its cells must fit.
pub(super) fn source(pipeline: &Pipeline, left_out: &[StageName], cell: &Cell) -> Option<Fault> {
    let wanted = cell.source.value.predecessor()?;
    let cells: Vec<&Cell> = pipeline.cells_of(&wanted.stage.value).collect();
    if cells.is_empty() {
        return Some(unknown(pipeline, left_out, wanted));
    }
    let names = |cells: &[&Cell]| {
        let names: Vec<&str> = cells
            .iter()
            .filter_map(|cell| cell.name.as_deref())
            .take(LISTED)
            .collect();
        let more = cells.len().saturating_sub(LISTED);
        if more > 0 {
            format!("{} and {more} more", names.join(", "))
        } else {
            names.join(", ")
        }
    };
    let stage = &wanted.stage;
    let fitting = pipeline.fitting(cell, wanted);
    match (fitting.as_slice(), &wanted.cell) {
        ([only], _) if pipeline.may_share_region(cell, only) => None,
        ([only], _) => {
            let at = wanted.cell.as_ref().map_or(stage.span, |name| name.span);
            let message = format!(
                "the cell `{}` is built in another region than this one, and an image can be launched in its region only",
                only.label()
            );
            Some(Fault::new(at, message).hint("name a cell of this region"))
        }
        ([], Some(name)) => {
            let fault = Fault::new(
                name.span,
                format!("the stage `{stage}` has no cell `{name}`"),
            );
            let known = || cells.iter().filter_map(|cell| cell.name.as_deref());
            Some(match closest(name.as_str(), known()) {
                Some(near) => fault.hint(format!("did you mean `{near}`?")),
                None if known().next().is_none() => {
                    fault.hint("it has no matrix: leave `cell` out")
                }
                None => fault.hint(format!("its cells are: {}", names(&cells))),
            })
        }
        ([], None) => Some(
            Fault::new(
                stage.span,
                format!(
                    "no cell of the stage `{stage}` agrees with {}",
                    combination(cell)
                ),
            )
            .hint(format!(
                "say which to start from: `cell: NAME`; there are {}",
                names(&cells)
            )),
        ),
        (several, _) => Some(
            Fault::new(
                stage.span,
                format!(
                    "{} cells of the stage `{stage}` fit {}: {}",
                    several.len(),
                    combination(cell),
                    names(several)
                ),
            )
            .hint("say which to start from: `cell: NAME`, which may use matrix.…"),
        ),
    }
}

/// What a cell is matched by, for a message.
fn combination(cell: &Cell) -> String {
    let values = cell.axes.iter().filter_map(|axis| {
        let value = cell.matrix.get(axis)?;
        Some(format!("{axis}: {value}"))
    });
    let mut values: Vec<String> = values.collect();
    if let Some(region) = &cell.region {
        values.push(format!("region {region}"));
    }
    if values.is_empty() {
        "this stage".to_owned()
    } else {
        format!("{{ {} }}", values.join(", "))
    }
}

/// No cell starts from itself, in however many steps. One circle of stages is told once.
pub(super) fn circles(pipeline: &Pipeline) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut reported: BTreeSet<&StageName> = BTreeSet::new();
    for cell in pipeline.stages.iter() {
        let Some(wanted) = cell.source.value.predecessor() else {
            continue;
        };
        let Some(circle) = circle(pipeline, cell) else {
            continue;
        };
        let stages: BTreeSet<&StageName> = circle.iter().map(|cell| &cell.stage.value).collect();
        if !reported.is_disjoint(&stages) {
            continue;
        }
        let mut way: Vec<String> = circle.iter().map(|cell| cell.label()).collect();
        way.push(cell.label());
        let message = format!(
            "stages start from each other in a circle: {}",
            way.join(" ← ")
        );
        faults.push(
            Fault::new(wanted.stage.span, message)
                .hint("one of them must start from something else, such as `image_id`"),
        );
        reported.extend(stages);
    }
    faults
}

fn unknown(pipeline: &Pipeline, left_out: &[StageName], wanted: &StageCell) -> Fault {
    let source = &wanted.stage;
    if left_out.contains(&source.value) {
        return Fault::new(
            source.span,
            format!("the stage `{source}` is left out by its `when`"),
        )
        .hint("give the stages that start from it the same `when`");
    }
    let mut names: Vec<&str> = Vec::new();
    for cell in pipeline.stages.iter() {
        if names.last() != Some(&cell.stage.as_str()) {
            names.push(cell.stage.as_str());
        }
    }
    let fault = Fault::new(source.span, format!("there is no stage `{source}`"));
    match closest(source.as_str(), names.iter().copied()) {
        Some(name) => fault.hint(format!("did you mean `{name}`?")),
        None => fault.hint(format!("the stages are: {}", names.join(", "))),
    }
}

/// The cells of the circle that a cell is part of.
fn circle<'p>(pipeline: &'p Pipeline, cell: &'p Cell) -> Option<Vec<&'p Cell>> {
    let mut way = vec![cell];
    let mut at = cell;
    while let Some(source) = pipeline.source_cell(at) {
        if std::ptr::eq(source, cell) {
            return Some(way);
        }
        if way.iter().any(|known| std::ptr::eq(*known, source)) {
            return None;
        }
        way.push(source);
        at = source;
    }
    None
}

/// What the types of one stage's values cannot say.
pub(super) fn details(stage: &Cell) -> Vec<Fault> {
    let mut faults = Vec::new();
    if let Some(launch) = &stage.launch {
        repeated_as(
            &launch.security_groups,
            "security group",
            |group| group.to_string(),
            &mut faults,
        );
        repeated(&launch.instance_types, "instance type", &mut faults);
        repeated_as(&launch.subnets, "subnet", |s| s.to_string(), &mut faults);
    }
    faults
}

/// `launch` and `connect` are left out together, and only where nothing is to be done in an instance.
pub(super) fn copies(stage: &Cell) -> Vec<Fault> {
    let here = stage.stage.span;
    let for_copy = match stage.import() {
        None => "a stage without `launch`, `connect` and `provision` copies its source image",
        Some(_) => {
            "a stage without `launch`, `connect` and `provision` registers the image of the disk that it imports"
        }
    };
    let missing = match (&stage.launch, &stage.connect) {
        (Some(_), Some(_)) => return Vec::new(),
        (None, Some(_)) => "launch",
        (Some(_), None) => "connect",
        (None, None) => match stage.provision.first() {
            Some(provisioner) => {
                let message =
                    "provisioners need an instance, and the stage has no `launch` and no `connect`";
                return vec![Fault::new(provisioner.span, message).hint(for_copy)];
            }
            None if stage.is_import() => return Vec::new(),
            None => return copy_with_volumes(stage).into_iter().collect(),
        },
    };
    vec![Fault::new(here, format!("the key `{missing}` is missing here")).hint(for_copy)]
}

/// CopyImage takes the source's volumes as they are.
fn copy_with_volumes(stage: &Cell) -> Option<Fault> {
    let volume = stage.image.volumes.first()?;
    let message = "a copy has the volumes of its source; `image.volumes` needs an instance";
    Some(Fault::new(volume.device.span, message).hint("give the stage `launch` and `connect`"))
}

pub(super) fn repeated<T: Ord + std::fmt::Debug>(
    items: &[Located<T>],
    what: &str,
    faults: &mut Vec<Fault>,
) {
    repeated_as(items, what, |item| format!("{item:?}"), faults);
}

fn repeated_as<T: Ord>(
    items: &[Located<T>],
    what: &str,
    show: fn(&T) -> String,
    faults: &mut Vec<Fault>,
) {
    let mut seen = BTreeSet::new();
    for item in items {
        if !seen.insert(&item.value) {
            let item_text = show(&item.value);
            faults.push(Fault::new(
                item.span,
                format!("the {what} {item_text} stands here twice"),
            ));
        }
    }
}
