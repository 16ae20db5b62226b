//! A cell whose source is a disk image: found in the cache like any other, by the digest of the image's file. Without an
//! instance its image is that of the imported disk; with one the instance starts from a temporary image of it.

use super::cell::{build, go_on};
use super::convert::{cell_spec, copy_spec_for, encrypt_at_launch, facts_for};
use super::decided::{Decided, building_lease, found_or_to_make, give_back};
use super::finished::{conclude, finished_before};
use super::publication::{clear, publish};
use crate::event::Step;
use crate::failure::{CellFailure, StepError};
use crate::journal::Effect;
use crate::plan::cache::{Patience, identify};
use crate::plan::source::imported;
use crate::report::ReportedImage;
use crate::resumption::Point;
use crate::spec::PublicationSpec;
use crate::steps::lease::HeldLease;
use crate::steps::{self, CellContext, Ingredients, Progress};
use cloud::{CallerIdentity, Image};
use pipeline::model::{Cell, Import};

/// What stands for the disk image as a source.
async fn source_of(context: &CellContext, import: &Import) -> Result<Image, StepError> {
    let images = &context.run().ports.host.disk_images;
    let source = context.race(imported(images.as_ref(), import)).await??;
    context.note(format!(
        "disk image {} ({})",
        import.origin.file_name(),
        source.image_id
    ));
    Ok(source)
}

/// Finds or imports the image of a cell that launches nothing.
pub(super) async fn find_or_import(
    context: &CellContext,
    cell: &Cell,
    import: &Import,
    identity: &CallerIdentity,
    progress: &Progress,
) -> Result<(Image, ReportedImage), CellFailure> {
    let fail = |error: StepError| CellFailure::new(context.cell().clone(), Step::Resolve, error);
    context.begin(Step::Resolve).await?;
    let source = source_of(context, import).await.map_err(fail)?;
    let facts = facts_for(context, identity, &source);
    let mut spec: PublicationSpec =
        copy_spec_for(context.cell(), context.region().name(), cell, &facts).map_err(fail)?;
    if let Some(found) = finished_before(context).await? {
        return publish(context, cell, &spec, found, progress).await;
    }
    let options = &context.run().options;
    let identified = identify(cell, &source.image_id, options.venue).map_err(fail)?;
    spec.image.cache_tags = identified.tags.clone();
    let registered = context.standing(|effect| matches!(effect, Effect::RegisterSnapshot { .. }));
    let lease = match registered.first() {
        // An image that an earlier process of the run registered has the name already, and the cache would wait for it.
        Some(number) => {
            let state = context.effects().state();
            let name = state
                .effect(*number)
                .and_then(|entry| entry.effect.makes_image().map(str::to_owned));
            spec.image.transitional_name = name.filter(|name| *name != spec.image.name);
            let lease = building_lease(context, cell, &identified.tags).await;
            lease.map_err(fail)?
        }
        None => {
            let patience = Patience::with(&spec.image, None);
            let lease =
                match found_or_to_make(context, cell, &source, &identified, patience).await? {
                    Decided::Found(found) => {
                        return publish(context, cell, &spec, *found, progress).await;
                    }
                    Decided::Make(lease) => lease,
                };
            if let Some(instead) = clear(context, cell, &mut spec, progress).await? {
                give_back(context, lease.as_ref()).await?;
                return Ok(instead);
            }
            lease
        }
    };
    context.finish(Step::Resolve);
    let made = steps::import_cell(context, &spec, import, &source, progress).await?;
    conclude(context, cell, &spec, made, lease.as_ref(), progress).await
}

/// Finds or builds the image of a cell whose instance starts from the disk image.
pub(super) async fn find_or_build_imported(
    context: &CellContext,
    cell: &Cell,
    import: &Import,
    identity: &CallerIdentity,
    progress: &Progress,
) -> Result<(Image, ReportedImage), CellFailure> {
    let fail = |error: StepError| CellFailure::new(context.cell().clone(), Step::Resolve, error);
    context.begin(Step::Resolve).await?;
    let source = source_of(context, import).await.map_err(fail)?;
    let facts = facts_for(context, identity, &source);
    let mut spec = cell_spec(context, cell, &facts).map_err(fail)?;
    if let Some(found) = finished_before(context).await? {
        return publish(context, cell, &spec.publication(), found, progress).await;
    }
    let options = &context.run().options;
    let identified = identify(cell, &source.image_id, options.venue).map_err(fail)?;
    spec.image.cache_tags = identified.tags.clone();
    let stands = !context.standing(Effect::leaves_something).is_empty();
    let mut lease: Option<HeldLease> = None;
    if !stands {
        let patience = Patience::with(&spec.image, spec.test.as_ref());
        match found_or_to_make(context, cell, &source, &identified, patience).await? {
            Decided::Found(found) => {
                return publish(context, cell, &spec.publication(), *found, progress).await;
            }
            Decided::Make(held) => lease = held,
        }
        let mut publication = spec.publication();
        if let Some(instead) = clear(context, cell, &mut publication, progress).await? {
            give_back(context, lease.as_ref()).await?;
            return Ok(instead);
        }
        spec.image = publication.image;
    }
    context.finish(Step::Resolve);
    let start = steps::import_source(context, &spec.image, import, &source).await?;
    encrypt_at_launch(&mut spec, &start);
    let from = Ingredients {
        source: &start,
        inputs: identified.key.as_str(),
    };
    if stands {
        context.begin(Step::Resolve).await?;
        let gone_on = go_on(context, cell, &mut spec, from, &identified, progress).await?;
        if let Some(built) = gone_on {
            remove_start(context).await;
            return Ok(built);
        }
        context.finish(Step::Resolve);
    }
    let built = build(context, cell, &spec, from, Point::Guest, lease, progress).await?;
    remove_start(context).await;
    Ok(built)
}

/// Removes the temporary image that the instance started from, with its snapshot.
async fn remove_start(context: &CellContext) {
    let import = context.of_import();
    let left = import.effects().unmake_all(Some(import.cell())).await;
    // What resisted is tried once more at the end of the run, and reported then.
    for resource in left {
        context.warn(format!(
            "{} {} could not be removed yet: {}",
            resource.kind, resource.id, resource.reason
        ));
    }
}
