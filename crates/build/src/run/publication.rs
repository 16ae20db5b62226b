//! What becomes of a cell's image, however the cell came to it; and what is in the way of it before it is built.

use crate::event::{Event, Step};
use crate::failure::{CellFailure, StepError};
use crate::names::tag;
use crate::report::ReportedImage;
use crate::spec::PublicationSpec;
use crate::steps::before_launch::{self, Clearance};
use crate::steps::{self, CellContext, Progress};
use cloud::Image;
use pipeline::model::Cell;

/// Brings what becomes of a complete image to what the pipeline wants, and reports it.
pub(super) async fn publish(
    context: &CellContext,
    cell: &Cell,
    spec: &PublicationSpec,
    found: Found,
    progress: &Progress,
) -> Result<(Image, ReportedImage), CellFailure> {
    let Found {
        image,
        cached,
        skipped,
    } = found;
    let published = steps::publish(context, spec, &image, progress).await?;
    let mut reported = reported(context, cell, &published.image, cached, skipped);
    reported.copies = published.copies;
    match published.failure {
        None => Ok((published.image, reported)),
        Some(failure) => {
            progress.set_reported(reported);
            Err(failure)
        }
    }
}

/// The image that a cell came to.
pub(super) struct Found {
    /// The image.
    pub image: Image,
    /// Whether it was found rather than built.
    pub cached: bool,
    /// The provisioners that a rehearsal skipped.
    pub skipped: Vec<String>,
}

impl Found {
    /// One that was there before.
    pub fn earlier(image: Image, cached: bool) -> Self {
        Self {
            skipped: skipped_of(&image),
            image,
            cached,
        }
    }
}

/// The provisioners that were skipped when the image was made.
fn skipped_of(image: &Image) -> Vec<String> {
    image
        .tags
        .get(tag::PARTLY_REHEARSED)
        .map(|names| names.split(", ").map(str::to_owned).collect())
        .unwrap_or_default()
}

pub(super) fn reported(
    context: &CellContext,
    cell: &Cell,
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
        matrix: cell.matrix.clone(),
        source_image: image.tags.get(tag::SOURCE_IMAGE).map(str::to_owned),
        snapshots: image.snapshots.iter().map(ToString::to_string).collect(),
        tags: image.tags.0.clone(),
        copies: Vec::new(),
    }
}

/// Asks whether the image can be made and published as the pipeline says, before anything is launched. Gives the image
/// that is the result instead, if there is one.
pub(super) async fn clear(
    context: &CellContext,
    cell: &Cell,
    spec: &mut PublicationSpec,
    progress: &Progress,
) -> Result<Option<(Image, ReportedImage)>, CellFailure> {
    let fail = |error: StepError| CellFailure::new(context.cell().clone(), Step::Resolve, error);
    match before_launch::ask(context, spec).await.map_err(fail)? {
        Clearance::Build => spec.image.transitional_name = None,
        Clearance::BuildAs(name) => spec.image.transitional_name = Some(name),
        Clearance::Skip { image, ours } => {
            context.finish(Step::Resolve);
            let reason = if ours {
                "it has the name, and `on_conflict` says skip"
            } else {
                "it has the name, and `on_conflict` says skip; this stage did not make it, and leaves it as it is"
            };
            context.run().tell(Event::Cached {
                cell: context.cell().clone(),
                image_id: image.image_id.to_string(),
                name: image.name.clone(),
                reason: reason.to_owned(),
            });
            let found = Found::earlier(*image, true);
            if ours {
                return publish(context, cell, spec, found, progress)
                    .await
                    .map(Some);
            }
            let reported = reported(context, cell, &found.image, true, found.skipped);
            return Ok(Some((found.image, reported)));
        }
    }
    Ok(None)
}

/// The name under which an earlier process of the run began to make the image.
pub(super) fn begun_as(context: &CellContext) -> Option<String> {
    let state = context.effects().state();
    let numbers = context.standing(|effect| effect.captures().is_some());
    let entry = state.effect(*numbers.first()?)?;
    entry.effect.captures().map(str::to_owned)
}
