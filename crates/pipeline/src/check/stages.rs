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
    if let Source::Filter { filter, .. } = &stage.source.value
        && filter.owners.is_empty()
    {
        faults.push(
            Fault::new(
                stage.source.span,
                "a filter without owners finds anyone's images",
            )
            .hint("name the owner"),
        );
    }
    let checks = stage.test.iter().flat_map(|test| &test.provision);
    for provisioner in stage.provision.iter().chain(checks) {
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
    repeated(&stage.launch.security_groups, "security group", &mut faults);
    repeated(&stage.launch.instance_types, "instance type", &mut faults);
    repeated_as(
        &stage.launch.subnets,
        "subnet",
        |s| s.to_string(),
        &mut faults,
    );
    faults
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
