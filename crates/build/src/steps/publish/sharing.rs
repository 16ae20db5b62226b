//! Who else may use the image.

use super::look::words;
use super::site::{Shared, Site};
use crate::failure::StepError;
use crate::journal::Effect;
use cloud::{CloudError, ErrorKind, Grant, Permissions};

/// Adds what is missing of who may use the image: its snapshots first, so that nobody sees an image that cannot be copied
/// yet. What others were given by hand stays.
pub(super) async fn share(site: &Site, shared: &Shared<'_>) -> Result<(), StepError> {
    let context = &site.context;
    let region = context.region();
    let image = site.finished()?;
    let wanted = &shared.spec.image.share;
    let effect = Effect::ShareImage {
        region: region.name().clone(),
        image: image.image_id.clone(),
        accounts: words(&wanted.image),
    };
    let call = async || {
        if !wanted.snapshots.is_empty() {
            for snapshot in &image.snapshots {
                let held = known(region.snapshot_permissions(snapshot).await)?;
                let missing = wanted.snapshots.without(&held);
                if !missing.is_empty() {
                    region
                        .change_snapshot_permissions(snapshot, Grant::Add, &missing)
                        .await?;
                }
            }
        }
        let held = known(region.image_permissions(&image.image_id).await)?;
        let missing = wanted.image.without(&held);
        if missing.is_empty() {
            return Ok(());
        }
        region
            .change_image_permissions(&image.image_id, Grant::Add, &missing)
            .await
    };
    context.effects().set(context.cell(), effect, call).await?;
    context.note(format!(
        "{} in {} is shared with {}",
        image.image_id,
        region.name(),
        words(&wanted.image).join(", ")
    ));
    Ok(())
}

/// Whoever may not look gives everything: what was given before is given once more, which is the same.
fn known(held: Result<Permissions, CloudError>) -> Result<Permissions, CloudError> {
    match held {
        Err(error) if error.kind == ErrorKind::AccessDenied => Ok(Permissions::default()),
        held => held,
    }
}
