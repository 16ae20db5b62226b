//! What would fail only after the whole build is asked before it: names, parameters and public sharing, in every region
//! that the image will be in, all at once.

use super::context::CellContext;
use super::publish::{holders, judge, parameters, transitional_name};
use crate::failure::StepError;
use crate::names::tag;
use crate::publication::{Holder, Place};
use crate::spec::{ImageSpec, PublicationSpec};
use cloud::{ErrorKind, Image, ImageState, PublicSharing};
use futures::future::join_all;

/// What follows from what has the wanted name.
#[derive(Clone, Debug)]
pub enum Clearance {
    /// The image is built under its name.
    Build,
    /// The image is built under this name, for another that is to be replaced has the wanted one.
    BuildAs(String),
    /// Nothing is built: this image is the result.
    Skip {
        /// The image that has the name.
        image: Box<Image>,
        /// Whether this stage made it, so that what becomes of it is this stage's affair.
        ours: bool,
    },
}

/// Asks in all regions.
///
/// # Errors
/// If the image could not be made or published as the pipeline says.
pub async fn ask(context: &CellContext, spec: &PublicationSpec) -> Result<Clearance, StepError> {
    let home = std::iter::once((context.clone(), Place::Home));
    let away = spec
        .image
        .copies
        .iter()
        .map(|copy| (context.in_region(&copy.region), Place::Away));
    let looks = home.chain(away).map(|(there, place)| async move {
        let looked = look(&there, &spec.image, place).await;
        (there, looked)
    });
    let looked = context.race(join_all(looks)).await?;
    let mut taken = Vec::new();
    let mut clearance = Clearance::Build;
    let mut replaced = false;
    for (index, (there, looked)) in looked.into_iter().enumerate() {
        let (holder, fate) = match looked {
            Ok(None) => continue,
            Ok(Some(seen)) => seen,
            // Of names that are taken, all are told.
            Err(StepError::NameTaken { taken: one, .. }) => {
                taken.extend(one);
                continue;
            }
            Err(error) => return Err(error),
        };
        match (index, fate) {
            (0, Holder::Stays) => clearance = skip(context, holder)?,
            (0, Holder::Goes) => {
                replaced = true;
                clearance = Clearance::BuildAs(transitional_name(context, &spec.image.name));
            }
            (_, Holder::Goes) => replaced = true,
            (_, Holder::Stays) => context.note(format!(
                "{} has the name {} in {} and stays (`on_conflict: skip`): there will be no copy there",
                holder.image_id,
                spec.image.name,
                there.region().name()
            )),
        }
    }
    if !taken.is_empty() {
        return Err(StepError::NameTaken {
            name: spec.image.name.clone(),
            taken,
        });
    }
    if replaced {
        context.note(REPLACING);
    }
    Ok(clearance)
}

/// What replacing costs, for people.
pub const REPLACING: &str = "an image of that name is replaced: the new one is made under a name of transit and copied to \
     the wanted one, which costs a copy within the region and leaves the name without an available image for as long as that \
     copy takes";

fn skip(context: &CellContext, holder: Image) -> Result<Clearance, StepError> {
    let ours = super::publish::is_ours(context, &holder);
    let usable = holder.state == ImageState::Available
        && (!ours || holder.tags.get(tag::COMPLETE).is_some());
    if !usable {
        return Err(StepError::NameTaken {
            name: holder.name.clone(),
            taken: vec![format!(
                "in {} by {}, which is not complete",
                context.region().name(),
                holder.image_id
            )],
        });
    }
    Ok(Clearance::Skip {
        image: Box::new(holder),
        ours,
    })
}

/// The image that has the name in one region, and what is to become of it; none if the name is free.
async fn look(
    context: &CellContext,
    spec: &ImageSpec,
    place: Place,
) -> Result<Option<(Image, Holder)>, StepError> {
    let region = context.region();
    refuse_blocked_sharing(context, spec).await?;
    let holder = holders(region, &spec.name).await?.into_iter().next();
    let seen = match holder {
        Some(holder) => {
            let fate = judge(context, spec, &holder).await?;
            Some((holder, fate))
        }
        None => None,
    };
    if let Some((_, Holder::Stays)) = seen {
        // No parameter is written where another image keeps the name.
        return Ok(seen);
    }
    let replaced = seen.as_ref().map(|(holder, _)| holder.image_id.as_str());
    for parameter in parameters::of(&spec.parameters, place) {
        let held = region.parameter(&parameter.name).await?;
        parameters::check(context, parameter, held.as_ref(), replaced.as_slice()).await?;
    }
    Ok(seen)
}

/// Whether the account lets images and snapshots be public here. Whoever may not ask finds out when sharing.
async fn refuse_blocked_sharing(context: &CellContext, spec: &ImageSpec) -> Result<(), StepError> {
    let region = context.region();
    let blocked = |what| StepError::PublicSharingBlocked {
        what,
        region: region.name().to_string(),
    };
    if spec.share.image.public {
        match region.public_images().await {
            Ok(PublicSharing::Blocked) => return Err(blocked("image")),
            Ok(PublicSharing::Allowed) => {}
            Err(error) if error.kind == ErrorKind::AccessDenied => {}
            Err(error) => return Err(error.into()),
        }
    }
    if spec.share.snapshots.public {
        match region.public_snapshots().await {
            Ok(PublicSharing::Blocked) => return Err(blocked("snapshot")),
            Ok(PublicSharing::Allowed) => {}
            Err(error) if error.kind == ErrorKind::AccessDenied => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
