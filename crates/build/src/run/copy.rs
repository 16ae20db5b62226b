//! A cell that only copies its source: found in the cache like any other, else copied.

use super::cell::resolved_source;
use super::convert::{copy_spec_for, facts_for};
use super::decided::{Decided, found_or_to_make, give_back};
use super::finished::{conclude, finished_before};
use super::publication::{clear, publish};
use crate::event::Step;
use crate::failure::{CellFailure, StepError};
use crate::plan::cache::{Patience, identify};
use crate::report::ReportedImage;
use crate::spec::PublicationSpec;
use crate::steps::{self, CellContext, Ingredients, Progress};
use cloud::{CallerIdentity, Image};
use pipeline::model::Cell;

/// Finds the image of `cell`, or copies its source. `source` is the image of the cell that it starts from, if it does.
pub(super) async fn find_or_copy(
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
    let mut spec: PublicationSpec =
        copy_spec_for(context.cell(), context.region().name(), cell, &facts).map_err(fail)?;
    if let Some(found) = finished_before(context).await? {
        return publish(context, cell, &spec, found, progress).await;
    }
    let options = &context.run().options;
    let identified = identify(cell, &source.image_id, options.venue).map_err(fail)?;
    spec.image.cache_tags = identified.tags.clone();
    let patience = Patience::with(&spec.image, None);
    let lease = match found_or_to_make(context, cell, &source, &identified, patience).await? {
        Decided::Found(found) => return publish(context, cell, &spec, *found, progress).await,
        Decided::Make(lease) => lease,
    };
    let standing = |effect: &crate::journal::Effect| {
        matches!(effect, crate::journal::Effect::CopyImage { .. })
    };
    // A copy that an earlier process of this run began has the name already.
    if context.standing(standing).is_empty()
        && let Some(instead) = clear(context, cell, &mut spec, progress).await?
    {
        give_back(context, lease.as_ref()).await?;
        return Ok(instead);
    }
    context.finish(Step::Resolve);
    let from = Ingredients {
        source: &source,
        inputs: identified.key.as_str(),
    };
    let built = steps::copy_cell(context, &spec, from, progress).await?;
    conclude(context, cell, &spec, built, lease.as_ref(), progress).await
}
