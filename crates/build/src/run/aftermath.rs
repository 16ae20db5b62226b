//! After a cell's failure: what it did is undone, or its instance is kept for a person to look at.

use super::cell::CellOutcome;
use crate::event::{Event, Step};
use crate::failure::{CellFailure, StepError};
use crate::journal::{Effect, EffectState, Outcome};
use crate::names::tag;
use crate::options::OnFailure;
use crate::report::{ReportedImage, WayIn};
use crate::steps::{CellContext, Progress};
use crate::way_in;
use cloud::Tags;
use pipeline::model::Cell;
use std::collections::BTreeMap;

/// Undoes what the cell did, or keeps its instance for a person to look at.
pub(super) async fn after_failure(
    context: &CellContext,
    cell: &Cell,
    failure: CellFailure,
    progress: &Progress,
) -> CellOutcome {
    let delivered = delivered_image(context, cell);
    let cancelled = matches!(*failure.error, StepError::Cancelled(_));
    let mut way_in = None;
    if context.run().options.on_failure == OnFailure::Keep && !cancelled {
        way_in = keep(context, progress).await;
    }
    context.run().tell(Event::StepStarted {
        cell: context.cell().clone(),
        step: Step::CleanUp,
    });
    // Renewing what is given back would claim it again.
    context.drop_leases().await;
    let left = context.effects().unmake_all(Some(context.cell())).await;
    if way_in.is_none()
        && let Err(error) = forget_keys(context)
    {
        context.warn(error.to_string());
    }
    context.finish(Step::CleanUp);
    // What resisted is tried once more at the end of the run, and reported then.
    for resource in left {
        context.warn(format!(
            "{} {} could not be removed yet: {}",
            resource.kind, resource.id, resource.reason
        ));
    }
    CellOutcome::Failed {
        failure,
        delivered,
        way_in,
    }
}

/// The image that was declared part of the result before the failure.
fn delivered_image(context: &CellContext, cell: &Cell) -> Option<ReportedImage> {
    context
        .effects()
        .delivered(context.cell())
        .map(|(id, name)| ReportedImage {
            stage: context.cell().stage.clone(),
            cell: context.cell().cell.clone(),
            region: context.region().name().to_string(),
            image_id: id,
            name,
            cached: false,
            skipped: Vec::new(),
            matrix: cell.matrix.clone(),
            source_image: None,
            snapshots: Vec::new(),
            tags: BTreeMap::new(),
            copies: Vec::new(),
        })
}

/// Leaves the instance, its key and its group, with its address if it has one, and marks the instance as kept.
async fn keep(context: &CellContext, progress: &Progress) -> Option<WayIn> {
    let state = context.effects().state();
    let mut instance = None;
    let mut numbers = Vec::new();
    for (number, entry) in state.outstanding() {
        if entry.cell != *context.cell() {
            continue;
        }
        match (&entry.effect, &entry.state) {
            (Effect::LaunchInstance { .. }, EffectState::Done(Outcome::Instance { id })) => {
                instance = Some(id.clone());
                numbers.push(number);
            }
            (
                Effect::ImportKeyPair { .. }
                | Effect::CreateSecurityGroup { .. }
                | Effect::CreateRole { .. }
                | Effect::CreateInstanceProfile { .. }
                | Effect::BindAddress { .. },
                EffectState::Done(_),
            ) => {
                numbers.push(number);
            }
            _ => {}
        }
    }
    let instance = instance?;
    let effect = Effect::MarkKept {
        region: context.region().name().clone(),
        instance: instance.clone(),
    };
    let tags = Tags::new().with(tag::KEPT, "keep-on-failure");
    let resources = [instance.to_string()];
    if let Err(error) = context
        .effects()
        .set(context.cell(), effect, async || {
            context.region().create_tags(&resources, &tags).await
        })
        .await
    {
        context.warn(format!(
            "{instance} is kept but could not be tagged so: {error}"
        ));
    }
    for number in numbers {
        if let Err(error) = context.effects().keep(number) {
            context.warn(error.to_string());
        }
    }
    let way_in = progress.way_in();
    match &way_in {
        Some(way_in) => context.note(format!("kept: {}", way_in::describe(way_in))),
        None => context.note(format!("kept: {instance}, which there was no way into yet")),
    }
    way_in
}

/// Removes private keys and ways in that lead nowhere any more.
pub(super) fn forget_keys(context: &CellContext) -> Result<(), StepError> {
    let folder = context.run().directory.cell(context.cell())?;
    way_in::forget(&folder).map_err(StepError::from)
}
