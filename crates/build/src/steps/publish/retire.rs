//! The image that has the wanted name makes room, and what it was made of goes last.

use super::site::Site;
use crate::failure::StepError;
use crate::journal::Effect;
use crate::names::tag;
use cloud::{DeregistrationProtection, ErrorKind, Image, ImageId, SnapshotId, Tags};

/// Deregisters the image that has the name. Our own, which is complete, says which one it replaces, and the old one's
/// snapshots say whose they were, before it is gone: whoever goes on after a crash finds both.
pub(super) async fn retire(site: &mut Site) -> Result<(), StepError> {
    let Some(old) = site.holder.clone() else {
        return Ok(());
    };
    let context = &site.context;
    let region = context.region();
    let successor = site
        .ours(crate::publication::Under::Transit)?
        .id
        .to_string();
    let replaces = Tags::new().with(tag::REPLACES, old.image_id.as_str());
    let mut retired = Tags::new().with(tag::RETIRED, old.image_id.as_str());
    if old.tags.get(tag::RUN).is_none() {
        // Another's: from now on a sweep finds them as this run's.
        retired.set(tag::RUN, context.run_id().as_str());
    }
    let snapshots: Vec<String> = old.snapshots.iter().map(ToString::to_string).collect();
    let effect = Effect::RetireImage {
        region: region.name().clone(),
        image: old.image_id.clone(),
        name: old.name.clone(),
    };
    context
        .effects()
        .set(context.cell(), effect, async || {
            region
                .create_tags(std::slice::from_ref(&successor), &replaces)
                .await?;
            if !snapshots.is_empty() {
                region.create_tags(&snapshots, &retired).await?;
            }
            if old.protected {
                region
                    .set_deregistration_protection(&old.image_id, DeregistrationProtection::Off)
                    .await?;
            }
            region.deregister_image(&old.image_id).await
        })
        .await?;
    context.note(format!(
        "{} ({}) in {} is retired; {successor} takes its name",
        old.image_id,
        old.name,
        region.name()
    ));
    site.earlier = old.tags.get(tag::REPLACES).map(str::to_owned);
    site.remains = Some((old.image_id.clone(), old.snapshots.clone()));
    site.holder = None;
    if let Some(ours) = &mut site.transit
        && let Some(image) = &mut ours.image
    {
        image.tags = image.tags.clone().merged(&replaces);
    }
    Ok(())
}

/// Removes our image of transit, which has a copy under its name now.
pub(super) async fn remove_transit(site: &mut Site) -> Result<(), StepError> {
    let Some(Image {
        image_id,
        name,
        snapshots,
        ..
    }) = site.transit.take().and_then(|ours| ours.image)
    else {
        return Ok(());
    };
    let context = &site.context;
    let region = context.region();
    let effect = Effect::RetireImage {
        region: region.name().clone(),
        image: image_id.clone(),
        name,
    };
    // They go now; and if this process dies before, with what is left of the image that was replaced.
    let replaced = site.finished()?.tags.get(tag::REPLACES);
    let retired = Tags::new().with(tag::RETIRED, replaced.unwrap_or(image_id.as_str()));
    let resources: Vec<String> = snapshots.iter().map(ToString::to_string).collect();
    context
        .effects()
        .set(context.cell(), effect, async || {
            if !resources.is_empty() {
                region.create_tags(&resources, &retired).await?;
            }
            region.deregister_image(&image_id).await
        })
        .await?;
    remove(site, &image_id, &snapshots).await
}

/// Removes the snapshots of the image that was replaced.
pub(super) async fn remove_remains(site: &mut Site) -> Result<(), StepError> {
    match site.remains.take() {
        Some((image, snapshots)) => remove(site, &image, &snapshots).await,
        None => Ok(()),
    }
}

async fn remove(site: &Site, image: &ImageId, snapshots: &[SnapshotId]) -> Result<(), StepError> {
    if snapshots.is_empty() {
        return Ok(());
    }
    let context = &site.context;
    let region = context.region();
    let effect = Effect::DeleteSnapshots {
        region: region.name().clone(),
        image: image.clone(),
        snapshots: snapshots.to_vec(),
    };
    let mut used = Vec::new();
    context
        .effects()
        .set(context.cell(), effect, async || {
            for snapshot in snapshots {
                match delete(site, snapshot).await {
                    Ok(()) => {}
                    Err(error) if error.kind == ErrorKind::Dependency => used.push(snapshot),
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        })
        .await?;
    for snapshot in used {
        context.note(format!(
            "{snapshot} of {image} stays: another image is made of it"
        ));
    }
    Ok(())
}

/// EC2 may take a moment to see that the image is gone; what is in use after that is another image's.
async fn delete(site: &Site, snapshot: &SnapshotId) -> Result<(), cloud::CloudError> {
    let region = site.context.region();
    crate::undo::retried_within(site.context.clock(), crate::undo::LOOK_TIME, || {
        region.delete_snapshot(snapshot)
    })
    .await
}
