//! One cell: its source, the cache, the build.

use super::aftermath::{after_failure, forget_keys};
use super::convert::{cell_spec, encrypt_at_launch, facts_for};
use super::copy::find_or_copy;
use super::decided::{Decided, building_lease, found_or_to_make, give_back};
use super::finished::{conclude, finished_before};
use super::import::{find_or_build_imported, find_or_import};
use super::layer::found_after;
use super::publication::{begun_as, clear, publish};
use crate::event::Step;
use crate::failure::{CellFailure, StepError};
use crate::plan::cache::{CacheState, Identified, Patience, identify, look_up};
use crate::plan::source::find_source;
use crate::report::{ReportedImage, WayIn};
use crate::resumption::{Point, Resumption, resumption};
use crate::selection::ChosenCell;
use crate::spec::CellSpec;
use crate::steps::lease::HeldLease;
use crate::steps::{self, CellContext, Ingredients, Progress, RunContext, recipe};
use cloud::{CallerIdentity, Image};
use pipeline::model::{Cell, Source};
use std::sync::Arc;

/// What a cell came to.
pub(super) enum CellOutcome {
    /// There is an image.
    Done {
        /// The image.
        image: Box<Image>,
        /// As it is reported.
        reported: ReportedImage,
    },
    /// There is none, or it could not be shared.
    Failed {
        /// Why.
        failure: CellFailure,
        /// An image that is complete in spite of the failure.
        delivered: Option<Box<ReportedImage>>,
        /// The way into what was kept.
        way_in: Option<WayIn>,
    },
}

/// Finds or builds the image of `chosen`. `source` is the image of the cell that it starts from, if it does.
pub(super) async fn run_cell(
    run: Arc<RunContext>,
    chosen: &ChosenCell<'_>,
    source: Option<Image>,
    identity: &CallerIdentity,
) -> CellOutcome {
    let region = run.ports.account.region(&chosen.region);
    let context = CellContext::new(run, chosen.name.clone(), region);
    let progress = Progress::default();
    let cell = chosen.cell;
    let found = match cell.import() {
        Some(import) if cell.is_import() => {
            find_or_import(&context, cell, import, identity, &progress).await
        }
        Some(import) => find_or_build_imported(&context, cell, import, identity, &progress).await,
        None if cell.is_copy() => find_or_copy(&context, cell, source, identity, &progress).await,
        None => find_or_build(&context, cell, source, identity, &progress).await,
    };
    match found {
        Ok((image, reported)) => match forget_keys(&context) {
            Ok(()) => CellOutcome::Done {
                image: Box::new(image),
                reported,
            },
            Err(error) => CellOutcome::Failed {
                failure: CellFailure::new(context.cell().clone(), Step::CleanUp, error),
                delivered: Some(Box::new(reported)),
                way_in: None,
            },
        },
        Err(failure) => after_failure(&context, chosen.cell, failure, &progress).await,
    }
}

/// The image that the cell starts from: `known`, the image of the cell before it, or what its filter finds after that.
pub(super) async fn resolved_source(
    context: &CellContext,
    cell: &Cell,
    known: Option<Image>,
) -> Result<Image, StepError> {
    let source = match (known, &cell.source.value) {
        (Some(before), wanted @ Source::Filter { .. }) => {
            found_after(context, wanted, &before).await?
        }
        (Some(image), _) => image,
        (None, wanted) => {
            let now = context.clock().now();
            let images = context.run().ports.host.disk_images.as_ref();
            context
                .race(find_source(context.region(), wanted, now, images))
                .await??
        }
    };
    context.note(format!(
        "source image {} ({})",
        source.image_id, source.name
    ));
    Ok(source)
}

async fn find_or_build(
    context: &CellContext,
    cell: &Cell,
    source: Option<Image>,
    identity: &CallerIdentity,
    progress: &Progress,
) -> Result<(Image, ReportedImage), CellFailure> {
    let fail = |error: StepError| CellFailure::new(context.cell().clone(), Step::Resolve, error);
    context.begin(Step::Resolve).await?;
    let source = resolved_source(context, cell, source).await.map_err(fail)?;
    let facts = facts_for(context, identity, &source);
    let mut spec = cell_spec(context, cell, &facts).map_err(fail)?;
    encrypt_at_launch(&mut spec, &source);
    if let Some(found) = finished_before(context).await? {
        return publish(context, cell, &spec.publication(), found, progress).await;
    }
    let options = &context.run().options;
    let identified = identify(cell, &source.image_id, options.venue).map_err(fail)?;
    let from = Ingredients {
        source: &source,
        inputs: identified.key.as_str(),
    };
    spec.image.cache_tags = identified.tags.clone();
    if let Some(built) = go_on(context, cell, &mut spec, from, &identified, progress).await? {
        return Ok(built);
    }
    let patience = Patience::with(&spec.image, spec.test.as_ref());
    let lease = match found_or_to_make(context, cell, &source, &identified, patience).await? {
        Decided::Found(found) => {
            return publish(context, cell, &spec.publication(), *found, progress).await;
        }
        Decided::Make(lease) => lease,
    };
    let mut publication = spec.publication();
    if let Some(instead) = clear(context, cell, &mut publication, progress).await? {
        give_back(context, lease.as_ref()).await?;
        return Ok(instead);
    }
    spec.image = publication.image;
    context.finish(Step::Resolve);
    build(context, cell, &spec, from, Point::Guest, lease, progress).await
}

pub(super) async fn build(
    context: &CellContext,
    cell: &Cell,
    spec: &CellSpec,
    from: Ingredients<'_>,
    point: Point,
    lease: Option<HeldLease>,
    progress: &Progress,
) -> Result<(Image, ReportedImage), CellFailure> {
    let built = steps::build_cell(context, spec, from, point, progress).await?;
    let publication = spec.publication();
    conclude(context, cell, &publication, built, lease.as_ref(), progress).await
}

/// Goes on where an earlier process of the run had come to. None if there is nothing to go on with: then what stood has
/// been removed.
pub(super) async fn go_on(
    context: &CellContext,
    cell: &Cell,
    spec: &mut CellSpec,
    from: Ingredients<'_>,
    identified: &Identified,
    progress: &Progress,
) -> Result<Option<(Image, ReportedImage)>, CellFailure> {
    let fail = |error: StepError| CellFailure::new(context.cell().clone(), Step::Resolve, error);
    let state = context.effects().state();
    let why = match resumption(&state, context.cell(), &recipe(spec), from.inputs) {
        Resumption::Fresh => return Ok(None),
        Resumption::StartOver { why } => why,
        Resumption::GoOn(point) => {
            let lease = building_lease(context, cell, &identified.tags)
                .await
                .map_err(fail)?;
            let options = &context.run().options;
            let looked = look_up(
                context.region(),
                context.clock(),
                cell,
                context.cell(),
                identified,
                options,
            )
            .await
            .map_err(fail)?;
            if let CacheState::Hit(image) = looked {
                give_back(context, lease.as_ref()).await?;
                format!("{} has been made by another run meanwhile", image.image_id)
            } else {
                context.note(point.describe());
                match begun_as(context) {
                    // Another image may have the name: what was decided about it stands.
                    Some(name) => {
                        spec.image.transitional_name =
                            Some(name).filter(|name| *name != spec.image.name);
                    }
                    None => {
                        let mut publication = spec.publication();
                        if let Some(instead) =
                            clear(context, cell, &mut publication, progress).await?
                        {
                            give_back(context, lease.as_ref()).await?;
                            return Ok(Some(instead));
                        }
                        spec.image = publication.image;
                    }
                }
                context.finish(Step::Resolve);
                match build(context, cell, spec, from, point, lease, progress).await {
                    Err(failure) if matches!(*failure.error, StepError::CannotGoOn { .. }) => {
                        failure.error.to_string()
                    }
                    done => return done.map(Some),
                }
            }
        }
    };
    context.note(format!(
        "what an earlier process of this run had begun is thrown away: {why}"
    ));
    context.drop_leases().await;
    let left = context.effects().unmake_all(Some(context.cell())).await;
    if let Some(resource) = left.first() {
        let why = format!(
            "{} {} could not be removed: {}",
            resource.kind, resource.id, resource.reason
        );
        return Err(fail(StepError::CannotGoOn { why }));
    }
    forget_keys(context).map_err(fail)?;
    Ok(None)
}
