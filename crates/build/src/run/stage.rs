//! One stage: its source, the cache, the build, and what happens after a failure.

use super::convert::{cell_name, cell_spec, facts_for};
use super::copy::find_or_copy;
use crate::event::{Event, Step};
use crate::failure::{CellFailure, StepError};
use crate::journal::{Effect, EffectState, Outcome};
use crate::lease::image_folder;
use crate::names::tag;
use crate::options::OnFailure;
use crate::plan::cache::{CacheDecision, CacheState, Identified, decide, identify, look_up};
use crate::plan::source::find_source;
use crate::report::{LeftResource, ReportedImage, WayIn};
use crate::resumption::{Point, Resumption, resumption};
use crate::spec::CellSpec;
use crate::steps::lease::{HeldLease, queue};
use crate::steps::{self, CellContext, Ingredients, Progress, RunContext, recipe};
use crate::way_in;
use cloud::{CallerIdentity, ErrorKind, Image, ImageState, Region, Tags};
use pipeline::model::{Cache, Cell};
use std::sync::Arc;

/// What a stage came to.
pub(super) enum StageOutcome {
    /// There is an image.
    Done {
        /// The image.
        image: Image,
        /// As it is reported.
        reported: ReportedImage,
    },
    /// There is none, or it could not be shared.
    Failed {
        /// Why.
        failure: CellFailure,
        /// An image that is complete in spite of the failure.
        delivered: Option<ReportedImage>,
        /// The way into what was kept.
        way_in: Option<WayIn>,
        /// What could not be removed.
        left: Vec<LeftResource>,
    },
}

/// Finds or builds the image of `stage`. `source` is the image of the stage that it starts from, if it does.
pub(super) async fn run_stage<'p>(
    run: Arc<RunContext>,
    region: Arc<dyn Region>,
    stage: &'p Cell,
    source: Option<Image>,
    identity: &CallerIdentity,
) -> (&'p str, StageOutcome) {
    let cell = cell_name(stage, &run.options.region);
    let context = CellContext::new(run.clone(), cell, region);
    let progress = Progress::default();
    let found = if stage.is_copy() {
        find_or_copy(&context, stage, source, identity).await
    } else {
        find_or_build(&context, stage, source, identity, &progress).await
    };
    let outcome = match found {
        Ok((image, reported)) => match forget_keys(&context) {
            Ok(()) => StageOutcome::Done { image, reported },
            Err(error) => {
                let failure = CellFailure::new(context.cell().clone(), Step::CleanUp, error);
                StageOutcome::Failed {
                    failure,
                    delivered: Some(reported),
                    way_in: None,
                    left: Vec::new(),
                }
            }
        },
        Err(failure) => after_failure(&context, failure, &progress).await,
    };
    (stage.stage.as_str(), outcome)
}

/// The image that the stage starts from: `known` if that is the image of another stage.
pub(super) async fn resolved_source(
    context: &CellContext,
    stage: &Cell,
    known: Option<Image>,
) -> Result<Image, StepError> {
    let source = match (known, &stage.source.value) {
        (Some(image), _) => image,
        (None, wanted) => {
            let now = context.clock().now();
            context
                .race(find_source(context.region(), wanted, now))
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
    stage: &Cell,
    source: Option<Image>,
    identity: &CallerIdentity,
    progress: &Progress,
) -> Result<(Image, ReportedImage), CellFailure> {
    let fail = |error: StepError| CellFailure::new(context.cell().clone(), Step::Resolve, error);
    context.begin(Step::Resolve)?;
    let source = resolved_source(context, stage, source)
        .await
        .map_err(fail)?;
    let facts = facts_for(context, identity, &source);
    let spec = cell_spec(context, stage, &facts).map_err(fail)?;
    if let Some(image) = delivered_before(context).await.map_err(fail)? {
        context.note(format!(
            "image {} was finished by an earlier process of this run",
            image.image_id
        ));
        context.finish(Step::Resolve);
        steps::share_cached(context, &image, &spec.image).await?;
        let reported = reported(context, &image, false, skipped_of(&image));
        return Ok((image, reported));
    }
    let options = &context.run().options;
    let identified = identify(stage, &source.image_id, options.venue).map_err(fail)?;
    let from = Ingredients {
        source: &source,
        inputs: identified.key.as_str(),
    };
    let mut spec = spec;
    spec.image.cache_tags = identified.tags.clone();
    if let Some(built) = go_on(context, stage, &spec, from, &identified, progress).await? {
        return Ok(built);
    }
    let look = || {
        decide(
            context.region(),
            context.clock(),
            &context.run().images,
            stage,
            &source,
            options,
            spec.image.wait,
        )
    };
    let mut decision = context.race(look()).await.map_err(fail)?.map_err(fail)?;
    let lease = match &decision {
        CacheDecision::Build { .. } => building_lease(context, stage, &identified.tags)
            .await
            .map_err(fail)?,
        CacheDecision::Reuse { .. } => None,
    };
    if lease.is_some() {
        // Whoever was before us in the line may have built it.
        decision = context.race(look()).await.map_err(fail)?.map_err(fail)?;
    }
    let reason = match decision {
        CacheDecision::Reuse { image, reason } => {
            let image = *image;
            context.finish(Step::Resolve);
            context.run().tell(Event::Cached {
                cell: context.cell().clone(),
                image_id: image.image_id.to_string(),
                name: image.name.clone(),
                reason,
            });
            give_back(context, lease.as_ref()).await?;
            steps::share_cached(context, &image, &spec.image).await?;
            let reported = reported(context, &image, true, skipped_of(&image));
            return Ok((image, reported));
        }
        CacheDecision::Build { reason } => reason,
    };
    context.note(reason);
    refuse_taken_name(context, &spec.image.name)
        .await
        .map_err(fail)?;
    context.finish(Step::Resolve);
    build(context, &spec, from, Point::Guest, lease, progress).await
}

async fn build(
    context: &CellContext,
    spec: &CellSpec,
    from: Ingredients<'_>,
    point: Point,
    lease: Option<HeldLease>,
    progress: &Progress,
) -> Result<(Image, ReportedImage), CellFailure> {
    let built = steps::build_cell(context, spec, from, point, progress).await?;
    give_back(context, lease.as_ref()).await?;
    context.run().tell(Event::Built {
        cell: context.cell().clone(),
        image_id: built.image.image_id.to_string(),
        name: built.image.name.clone(),
    });
    let reported = reported(context, &built.image, false, built.skipped);
    Ok((built.image, reported))
}

/// Goes on where an earlier process of the run had come to. None if there is nothing to go on with: then what stood has
/// been removed.
async fn go_on(
    context: &CellContext,
    stage: &Cell,
    spec: &CellSpec,
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
            let lease = building_lease(context, stage, &identified.tags)
                .await
                .map_err(fail)?;
            let options = &context.run().options;
            let looked = look_up(
                context.region(),
                context.clock(),
                stage,
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
                context.finish(Step::Resolve);
                match build(context, spec, from, point, lease, progress).await {
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

/// The cell's image, if an earlier process of the run finished it.
pub(super) async fn delivered_before(context: &CellContext) -> Result<Option<Image>, StepError> {
    let Some((id, _)) = context.effects().delivered(context.cell()) else {
        return Ok(None);
    };
    let filter = cloud::ImageFilter {
        owners: vec!["self".into()],
        filters: crate::undo::own("image-id", &id, context.run_id()),
        ..cloud::ImageFilter::default()
    };
    let found = context.region().images(&filter).await?.into_iter().next();
    Ok(found.filter(|image| image.state == ImageState::Available))
}

/// The provisioners that were skipped when the image was made.
pub(super) fn skipped_of(image: &Image) -> Vec<String> {
    image
        .tags
        .get(tag::PARTLY_REHEARSED)
        .map(|names| names.split(", ").map(str::to_owned).collect())
        .unwrap_or_default()
}

pub(super) fn reported(
    context: &CellContext,
    image: &Image,
    cached: bool,
    skipped: Vec<String>,
) -> ReportedImage {
    ReportedImage {
        stage: context.cell().stage.clone(),
        cell: context.cell().cell.clone(),
        region: context.region().name().to_string(),
        image_id: image.image_id.to_string(),
        name: image.name.clone(),
        cached,
        skipped,
        matrix: std::collections::BTreeMap::new(),
        source_image: image.tags.get(tag::SOURCE_IMAGE).map(str::to_owned),
        snapshots: image.snapshots.iter().map(ToString::to_string).collect(),
        tags: image.tags.0.clone(),
        copies: Vec::new(),
    }
}

/// Two runs that need the same image build it once: the second waits for the first, and takes over if the first dies or
/// fails. Without the right to use SSM parameters both build.
pub(super) async fn building_lease(
    context: &CellContext,
    stage: &Cell,
    tags: &Tags,
) -> Result<Option<HeldLease>, StepError> {
    let forced =
        stage.cache == Cache::Off || context.run().options.rebuild.contains(stage.stage.as_str());
    let Some(key) = tags.get(tag::CACHE_KEY).filter(|_| !forced) else {
        return Ok(None);
    };
    match queue(context, &image_folder(key), "the same image").await {
        Ok(held) => Ok(Some(held)),
        Err(StepError::Cloud(error)) if error.kind == ErrorKind::AccessDenied => {
            context.warn(format!(
                "whether another run builds the same image is not known: {error}"
            ));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

pub(super) async fn give_back(
    context: &CellContext,
    lease: Option<&HeldLease>,
) -> Result<(), CellFailure> {
    match lease {
        Some(lease) => {
            let given = lease.give_back(context).await;
            given.map_err(|error| CellFailure::new(context.cell().clone(), Step::CleanUp, error))
        }
        None => Ok(()),
    }
}

/// A name that is taken fails CreateImage after the whole build: better to know before anything is launched.
pub(super) async fn refuse_taken_name(context: &CellContext, name: &str) -> Result<(), StepError> {
    let filter = cloud::ImageFilter {
        owners: vec!["self".into()],
        filters: vec![("name".to_owned(), vec![name.to_owned()])],
        ..cloud::ImageFilter::default()
    };
    match context.region().images(&filter).await?.into_iter().next() {
        None => Ok(()),
        Some(image) => Err(StepError::NameTaken {
            name: name.to_owned(),
            region: context.region().name().to_string(),
            image: image.image_id.to_string(),
        }),
    }
}

/// Undoes what the cell did, or keeps its instance for a person to look at.
async fn after_failure(
    context: &CellContext,
    failure: CellFailure,
    progress: &Progress,
) -> StageOutcome {
    let delivered = delivered_image(context);
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
    StageOutcome::Failed {
        failure,
        delivered,
        way_in,
        left: Vec::new(),
    }
}

/// The image that was declared part of the result before the failure.
fn delivered_image(context: &CellContext) -> Option<ReportedImage> {
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
            matrix: std::collections::BTreeMap::new(),
            source_image: None,
            snapshots: Vec::new(),
            tags: std::collections::BTreeMap::new(),
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
fn forget_keys(context: &CellContext) -> Result<(), StepError> {
    let folder = context.run().directory.cell(context.cell())?;
    way_in::forget(&folder).map_err(StepError::from)
}
