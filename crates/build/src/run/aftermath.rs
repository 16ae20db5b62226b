//! After a cell's failure: what it did is undone, or its instance is kept for a person to look at.

use super::cell::CellOutcome;
use crate::event::{Event, Step};
use crate::failure::{CellFailure, StepError};
use crate::journal::{Effect, EffectNumber, EffectState, Outcome};
use crate::names::tag;
use crate::options::OnFailure;
use crate::report::{ReportedImage, WayIn};
use crate::steps::{CellContext, Progress};
use crate::way_in;
use cloud::{InstanceId, Tags};
use pipeline::model::Cell;
use std::collections::BTreeMap;

/// Undoes what the cell did, or keeps its instance for a person to look at.
pub(super) async fn after_failure(
    context: &CellContext,
    cell: &Cell,
    failure: CellFailure,
    progress: &Progress,
) -> CellOutcome {
    let delivered = progress
        .reported()
        .or_else(|| delivered_image(context, cell));
    let cancelled = matches!(*failure.error, StepError::Cancelled(_));
    let mut way_in = None;
    if context.run().options.on_failure == OnFailure::Keep && !cancelled {
        way_in = keep(context, &failure, progress).await;
    }
    context.run().tell(Event::StepStarted {
        cell: context.cell().clone(),
        step: Step::CleanUp,
    });
    // Renewing what is given back would claim it again.
    context.drop_leases().await;
    // What stands in the image's test first: it was made last.
    let test = context.of_test();
    test.drop_leases().await;
    let mut left = context.effects().unmake_all(Some(test.cell())).await;
    left.extend(context.effects().unmake_all(Some(context.cell())).await);
    // What the instance started from is the last to be needed.
    let import = context.of_import();
    left.extend(context.effects().unmake_all(Some(import.cell())).await);
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
        delivered: delivered.map(Box::new),
        way_in,
    }
}

/// The image that was declared part of the result before the failure.
fn delivered_image(context: &CellContext, cell: &Cell) -> Option<ReportedImage> {
    context
        .effects()
        .delivered(context.cell(), context.region().name())
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

/// Leaves the instance, its key and its group, with its address if it has one, and marks the instance as kept. Of an image
/// that failed its test the image stays as well; it never counts as complete.
async fn keep(context: &CellContext, failure: &CellFailure, progress: &Progress) -> Option<WayIn> {
    let test = context.of_test();
    // One of the two is there: the build's goes before the test begins.
    let instance = match keep_instance(&test).await {
        Some(instance) => Some(instance),
        None => keep_instance(context).await,
    };
    if matches!(*failure.error, StepError::Test { .. }) {
        keep_image(context).await;
    }
    let instance = instance?;
    let way_in = progress.way_in();
    match &way_in {
        Some(way_in) => context.note(format!("kept: {}", way_in::describe(way_in))),
        None => context.note(format!("kept: {instance}, which there was no way into yet")),
    }
    way_in
}

async fn keep_instance(context: &CellContext) -> Option<InstanceId> {
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
    mark_kept(context, effect, instance.as_str()).await;
    keep_all(context, numbers);
    Some(instance)
}

/// Leaves the image, and the snapshots that it was registered from.
async fn keep_image(context: &CellContext) {
    let state = context.effects().state();
    let mut numbers = Vec::new();
    for (number, entry) in state.outstanding() {
        if entry.cell != *context.cell() {
            continue;
        }
        match (&entry.effect, &entry.state) {
            (
                Effect::CreateImage { .. } | Effect::RegisterImage { .. },
                EffectState::Done(Outcome::Image { id }),
            ) => {
                let effect = Effect::MarkImageKept {
                    region: context.region().name().clone(),
                    image: id.clone(),
                };
                mark_kept(context, effect, id.as_str()).await;
                context.note(format!(
                    "kept: image {id}, which failed its test and is never found by a run"
                ));
                numbers.push(number);
            }
            (Effect::CreateSnapshots { .. }, EffectState::Done(_)) => numbers.push(number),
            _ => {}
        }
    }
    keep_all(context, numbers);
}

async fn mark_kept(context: &CellContext, effect: Effect, id: &str) {
    let tags = Tags::new().with(tag::KEPT, "keep-on-failure");
    let resources = [id.to_owned()];
    if let Err(error) = context
        .effects()
        .set(context.cell(), effect, async || {
            context.region().create_tags(&resources, &tags).await
        })
        .await
    {
        context.warn(format!("{id} is kept but could not be tagged so: {error}"));
    }
}

fn keep_all(context: &CellContext, numbers: Vec<EffectNumber>) {
    for number in numbers {
        if let Err(error) = context.effects().keep(number) {
            context.warn(error.to_string());
        }
    }
}

/// Removes private keys and ways in that lead nowhere any more.
pub(super) fn forget_keys(context: &CellContext) -> Result<(), StepError> {
    let directory = &context.run().directory;
    let folder = directory.cell(context.cell())?;
    way_in::forget(&folder)?;
    let test = context.cell().test();
    if directory.has_cell(&test) {
        way_in::forget(&directory.cell(&test)?)?;
    }
    Ok(())
}
