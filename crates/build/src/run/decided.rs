//! Whether a cell's image is found or made, and the lease under which it is made: the same for an instance that is captured
//! and for a copy.

use super::publication::Found;
use crate::event::{Event, Step};
use crate::failure::{CellFailure, StepError};
use crate::lease::image_folder;
use crate::names::tag;
use crate::plan::cache::{
    CacheDecision, Identified, Lookout, Patience, decide, ignored, named_otherwise,
};
use crate::steps::CellContext;
use crate::steps::lease::{HeldLease, queue};
use cloud::{ErrorKind, Image, Tags};
use pipeline::model::Cell;

/// What is decided.
pub(super) enum Decided {
    /// There is an image; that has been told.
    Found(Box<Found>),
    /// It is to be made, while nobody else makes it. Why has been told.
    Make(Option<HeldLease>),
}

/// Looks the cell up, and stands in line if its image is to be made: whoever was before may have made it.
pub(super) async fn found_or_to_make(
    context: &CellContext,
    cell: &Cell,
    source: &Image,
    identified: &Identified,
    patience: Patience,
) -> Result<Decided, CellFailure> {
    let fail = |error: StepError| CellFailure::new(context.cell().clone(), Step::Resolve, error);
    let look = async || {
        let at = Lookout {
            region: context.region(),
            clock: context.clock(),
            images: &context.pollers().images,
        };
        let options = &context.run().options;
        let looked = decide(at, cell, context.cell(), source, options, patience);
        context.race(looked).await.and_then(|decision| decision)
    };
    let mut decision = look().await.map_err(fail)?;
    let mut lease = None;
    if let CacheDecision::Build { .. } = &decision {
        lease = building_lease(context, cell, &identified.tags)
            .await
            .map_err(fail)?;
        if lease.is_some() {
            decision = look().await.map_err(fail)?;
        }
    }
    match decision {
        CacheDecision::Reuse { image, reason } => {
            let image = *image;
            if let Some(text) = named_otherwise(cell, &image) {
                context.warn(text);
            }
            context.finish(Step::Resolve);
            context.run().tell(Event::Cached {
                cell: context.cell().clone(),
                image_id: image.image_id.to_string(),
                name: image.name.clone(),
                reason,
            });
            give_back(context, lease.as_ref()).await?;
            Ok(Decided::Found(Box::new(Found::earlier(image, true))))
        }
        CacheDecision::Build { reason } => {
            context.note(reason);
            Ok(Decided::Make(lease))
        }
    }
}

/// Two runs that need the same image build it once: the second waits for the first, and takes over if the first dies or
/// fails. Without the right to use SSM parameters both build.
pub(super) async fn building_lease(
    context: &CellContext,
    cell: &Cell,
    tags: &Tags,
) -> Result<Option<HeldLease>, StepError> {
    let forced = ignored(cell, &context.run().options).is_some();
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
