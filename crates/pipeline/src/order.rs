//! The order in which stages can be built.

use crate::model::{Cell, Pipeline, Source, StageName};
use std::collections::BTreeSet;

/// A stage and the one that it waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageOrder {
    /// The stage.
    pub stage: StageName,
    /// The stage whose image it starts from.
    pub after: Option<StageName>,
}

/// The stages, each after the one it starts from; otherwise in the order of the file. A loaded pipeline has no cycle;
/// stages of one would be left out.
pub fn stage_order(pipeline: &Pipeline) -> Vec<StageOrder> {
    let mut order: Vec<StageOrder> = Vec::new();
    let mut done: BTreeSet<&StageName> = BTreeSet::new();
    loop {
        let ready = |stage: &&Cell| {
            !done.contains(&stage.stage.value)
                && starts_from(stage).is_none_or(|source| done.contains(source))
        };
        let Some(stage) = pipeline.stages.iter().find(ready) else {
            return order;
        };
        done.insert(&stage.stage.value);
        order.push(StageOrder {
            stage: stage.stage.value.clone(),
            after: starts_from(stage).cloned(),
        });
    }
}

/// The stage whose image a stage starts from.
pub(crate) fn starts_from(stage: &Cell) -> Option<&StageName> {
    match &stage.source.value {
        Source::Stage(name) => Some(&name.value),
        _ => None,
    }
}
