//! Stages among each other, and what stands in one.

use crate::model::{Cell, Commands, Located, Pipeline, Provisioner, Source, StageName};
use crate::order::starts_from;
use crate::problem::Fault;
use crate::suggest::closest;
use std::collections::BTreeSet;

/// Every source stage is there, and no stage starts from itself, in however many steps.
pub(super) fn sources(pipeline: &Pipeline) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut reported: BTreeSet<&StageName> = BTreeSet::new();
    for stage in pipeline.stages.iter() {
        let Source::Stage(source) = &stage.source.value else {
            continue;
        };
        if pipeline.stage(source).is_none() {
            faults.push(unknown(pipeline, source));
        } else if let Some(cycle) = cycle(pipeline, stage)
            && reported.is_disjoint(&cycle.iter().copied().collect())
        {
            let mut way: Vec<&str> = cycle.iter().map(|name| name.as_str()).collect();
            way.push(stage.stage.as_str());
            let message = format!(
                "stages start from each other in a circle: {}",
                way.join(" ← ")
            );
            faults.push(
                Fault::new(source.span, message)
                    .hint("one of them must start from `image_id` or `filter`"),
            );
            reported.extend(cycle);
        }
    }
    faults
}

fn unknown(pipeline: &Pipeline, source: &Located<StageName>) -> Fault {
    let names: Vec<&str> = pipeline
        .stages
        .iter()
        .map(|stage| stage.stage.as_str())
        .collect();
    let fault = Fault::new(source.span, format!("there is no stage `{source}`"));
    match closest(source.as_str(), names.iter().copied()) {
        Some(name) => fault.hint(format!("did you mean `{name}`?")),
        None => fault.hint(format!("the stages are: {}", names.join(", "))),
    }
}

/// The stages of the circle that a stage is part of.
fn cycle<'p>(pipeline: &'p Pipeline, stage: &'p Cell) -> Option<Vec<&'p StageName>> {
    let mut way = vec![&stage.stage.value];
    let mut at = stage;
    while let Some(source) = starts_from(at) {
        if *source == stage.stage.value {
            return Some(way);
        }
        if way.contains(&source) {
            return None;
        }
        way.push(source);
        at = pipeline.stage(source)?;
    }
    None
}

/// What the types of one stage's values cannot say.
pub(super) fn details(stage: &Cell) -> Vec<Fault> {
    let mut faults = Vec::new();
    for provisioner in &stage.provision {
        match &provisioner.value {
            Provisioner::Run(run) => {
                if let Commands::Inline(text) = &run.commands
                    && text.as_literal().is_some_and(|text| text.trim().is_empty())
                {
                    faults.push(Fault::new(text.span(), "`inline` holds no command"));
                }
                repeated(&run.needs, "need", &mut faults);
            }
            Provisioner::Upload(upload) => {
                repeated(&upload.needs, "need", &mut faults);
                if upload.to.contains('\0') || upload.to.split('/').any(|part| part == "..") {
                    faults.push(Fault::new(
                        upload.to.span,
                        "the target of an upload cannot hold `..`",
                    ));
                }
            }
        }
    }
    let accounts = &stage.image.share.accounts;
    repeated(accounts, "account", &mut faults);
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
    let for_copy = "a stage without `launch`, `connect` and `provision` copies its source image";
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

fn repeated<T: Ord + std::fmt::Debug>(items: &[Located<T>], what: &str, faults: &mut Vec<Fault>) {
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
