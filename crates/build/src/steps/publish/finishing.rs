//! Deprecation, protection, and that instances of an image speak IMDSv2 only.

use super::super::context::CellContext;
use super::site::{Shared, Site};
use crate::failure::StepError;
use crate::journal::Effect;
use cloud::{DeregistrationProtection, Image, ImageId, Timestamp};
use std::time::Duration;

/// EC2 rounds to the minute, and refuses what has passed.
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_EnableImageDeprecation.html>
const MINUTE: Duration = Duration::from_secs(60);

/// When the image is to be deprecated; none if that is not wanted, or is so already. Copies end with the image that they
/// are of. One that is older than it may get is deprecated now.
pub(super) fn deprecation(
    shared: &Shared<'_>,
    image: Option<&Image>,
    now: Timestamp,
) -> Option<Timestamp> {
    let after = shared.spec.image.deprecate_after?;
    let at = cloud::clock::after(shared.home.created.unwrap_or(now), after);
    let soon = cloud::clock::after(now, MINUTE * 2);
    let at = at.max(soon);
    match image.and_then(|image| image.deprecated) {
        Some(set) if set <= now && at == soon => None,
        Some(set) => {
            let apart = cloud::clock::between(set.min(at), set.max(at));
            (apart >= MINUTE).then_some(at)
        }
        None => Some(at),
    }
}

pub(super) async fn deprecate(site: &Site, shared: &Shared<'_>) -> Result<(), StepError> {
    let context = &site.context;
    let image = site.finished()?;
    let Some(at) = deprecation(shared, Some(image), context.clock().now()) else {
        return Ok(());
    };
    let region = context.region();
    let effect = Effect::DeprecateImage {
        region: region.name().clone(),
        image: image.image_id.clone(),
        at,
    };
    context
        .effects()
        .set(context.cell(), effect, async || {
            region
                .set_image_deprecation(&image.image_id, Some(at))
                .await
        })
        .await?;
    context.note(format!(
        "{} in {} is deprecated from {at} on",
        image.image_id,
        region.name()
    ));
    Ok(())
}

pub(super) async fn protect(site: &Site, shared: &Shared<'_>) -> Result<(), StepError> {
    let context = &site.context;
    let image = site.finished()?;
    let Some(protection) = shared.spec.image.protection else {
        return Ok(());
    };
    let region = context.region();
    let effect = Effect::ProtectImage {
        region: region.name().clone(),
        image: image.image_id.clone(),
        cooldown: protection == DeregistrationProtection::On { cooldown: true },
    };
    context
        .effects()
        .set(context.cell(), effect, async || {
            region
                .set_deregistration_protection(&image.image_id, protection)
                .await
        })
        .await?;
    context.note(format!(
        "{} in {} is protected",
        image.image_id,
        region.name()
    ));
    Ok(())
}

/// Instances of the image speak IMDSv2 only, unless their launch says otherwise.
pub(in crate::steps) async fn require_imds_v2(
    context: &CellContext,
    image: &ImageId,
) -> Result<(), StepError> {
    let region = context.region();
    let effect = Effect::RequireImdsV2 {
        region: region.name().clone(),
        image: image.clone(),
    };
    context
        .effects()
        .set(context.cell(), effect, async || {
            context
                .until_visible(|| region.require_imds_v2(image))
                .await
        })
        .await?;
    Ok(())
}
