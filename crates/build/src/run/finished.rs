//! A cell whose image was made by this run: by the process that runs, or by one before it.

use super::decided::give_back;
use super::publication::{Found, publish};
use crate::event::{Event, Step};
use crate::failure::{CellFailure, StepError};
use crate::report::ReportedImage;
use crate::spec::PublicationSpec;
use crate::steps::lease::HeldLease;
use crate::steps::{BuiltImage, CellContext, Progress};
use cloud::{Image, ImageState};
use pipeline::model::Cell;

/// The cell's image, if an earlier process of the run finished it: then the cell has no more to resolve, which is told.
pub(super) async fn finished_before(context: &CellContext) -> Result<Option<Found>, CellFailure> {
    let image = delivered_before(context)
        .await
        .map_err(|error| CellFailure::new(context.cell().clone(), Step::Resolve, error))?;
    let Some(image) = image else {
        return Ok(None);
    };
    context.note(format!(
        "image {} was finished by an earlier process of this run",
        image.image_id
    ));
    context.finish(Step::Resolve);
    Ok(Some(Found::earlier(image, false)))
}

async fn delivered_before(context: &CellContext) -> Result<Option<Image>, StepError> {
    let here = context.region().name();
    let Some((id, _)) = context.effects().delivered(context.cell(), here) else {
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

/// What an image that was just made still needs: others may use it from here on, while it is being copied and shared; then
/// the cell ends, and tells of it.
pub(super) async fn conclude(
    context: &CellContext,
    cell: &Cell,
    spec: &PublicationSpec,
    made: BuiltImage,
    lease: Option<&HeldLease>,
    progress: &Progress,
) -> Result<(Image, ReportedImage), CellFailure> {
    give_back(context, lease).await?;
    let found = Found {
        image: made.image,
        cached: false,
        skipped: made.skipped,
    };
    let (image, reported) = publish(context, cell, spec, found, progress).await?;
    context
        .end()
        .await
        .map_err(|error| CellFailure::new(context.cell().clone(), Step::Terminate, error))?;
    context.run().tell(Event::Built {
        cell: context.cell().clone(),
        image_id: image.image_id.to_string(),
        name: image.name.clone(),
    });
    Ok((image, reported))
}
