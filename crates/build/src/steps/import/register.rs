//! RegisterImage of the snapshot. <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RegisterImage.html>

use super::ImportOrder;
use super::content::{Content, short_hash, source_identity};
use super::ebs::whole;
use crate::failure::{ImportError, StepError};
use crate::journal::{Effect, Recorded};
use crate::names::tag;
use crate::steps::capture::{find_own, image_available};
use crate::steps::context::CellContext;
use cloud::{EbsVolume, ErrorKind, Image, ImageId, RegisterRequest, SnapshotId};

/// What the image is to be and of what disk, in short: all that is known before the disk is here, but the time in its tags.
pub(super) fn recipe(order: &ImportOrder<'_>) -> String {
    let mut tags = order.image_tags.clone();
    tags.0.remove(tag::EXPIRES);
    tags.0.remove(tag::LEASE);
    let (image, import) = (order.image, order.import);
    short_hash(&format!(
        "{}\n{}\n{:?}\n{:?}\n{:?}\n{:?}\n{:?}\n{:?}\n{tags:?}",
        order.name,
        source_identity(order),
        import.arch.as_ref().map(|arch| arch.as_str()),
        import.root_device.value,
        image.description,
        image.properties,
        image.encryption,
        image.volumes,
    ))
}

/// The image that an earlier process of the run has registered as it is wanted now, if it has one.
pub(super) fn registered(context: &CellContext, recipe: &str) -> Option<ImageId> {
    let state = context.effects().state();
    let wanted = |effect: &Effect| matches!(effect, Effect::RegisterSnapshot { recipe: by, .. } if by == recipe);
    let number = context.standing(wanted).into_iter().next()?;
    ImageId::recorded(state.effect(number)?.state.outcome()?)
}

/// Registers it, and waits until it is available.
pub(super) async fn register(
    context: &CellContext,
    order: &ImportOrder<'_>,
    content: &Content,
    snapshot: &SnapshotId,
    recipe: &str,
) -> Result<Image, StepError> {
    let seen = whole(context, order, snapshot).await?;
    let properties = &order.image.properties;
    let root = order.import.root_device.value.as_str().to_owned();
    let request = RegisterRequest {
        name: order.name.clone(),
        description: order.image.description.clone(),
        architecture: content.architecture.clone(),
        virtualization: String::from("hvm"),
        volumes: volumes(
            &order.image.volumes,
            &root,
            snapshot,
            seen.volume_gib.max(content.volume_gib),
            content,
        )?,
        root_device: root,
        boot_mode: content.boot_mode.clone(),
        tpm: properties.tpm.clone(),
        uefi_data: properties.uefi_data.clone(),
        imds_v2: properties.imds_v2,
        // Nitro instances do not start without it, and every distribution has had the driver for years.
        ena: Some(properties.ena.unwrap_or(true)),
        sriov: properties.sriov,
        image_tags: order.image_tags.clone(),
    };
    let effect = Effect::RegisterSnapshot {
        region: context.region().name().clone(),
        name: request.name.clone(),
        snapshot: snapshot.clone(),
        recipe: recipe.to_owned(),
    };
    let made = context
        .effects()
        .make(
            context.cell(),
            effect,
            async || match context.region().register_image(&request).await {
                // One of that name that carries the run's tag is the one of a lost reply.
                Err(error) if error.kind == ErrorKind::Duplicate => {
                    find_own(context, &request.name).await?.ok_or(error)
                }
                result => result,
            },
            async || find_own(context, &request.name).await,
        )
        .await?;
    context.note(format!("image {} ({})", made.value, request.name));
    image_available(context, &made.value, &request.name, order.image.wait).await
}

fn bare(device: &str) -> &str {
    device.trim_start_matches("/dev/")
}

/// What is said of the root volume.
fn said_of_root<'v>(said: &'v [EbsVolume], root: &str) -> Option<&'v EbsVolume> {
    said.iter()
        .find(|volume| bare(&volume.device) == bare(root))
}

/// Whether the disk fits into the root volume: known before anything is sent.
pub(super) fn check_size(order: &ImportOrder<'_>, content: &Content) -> Result<(), ImportError> {
    let root = order.import.root_device.value.as_str();
    fits(
        said_of_root(&order.image.volumes, root),
        root,
        content.volume_gib,
        content,
    )
}

fn fits(
    of_root: Option<&EbsVolume>,
    root: &str,
    least_gib: u32,
    content: &Content,
) -> Result<(), ImportError> {
    match of_root.and_then(|volume| volume.size_gib) {
        Some(size) if size < least_gib => Err(ImportError::VolumeTooSmall {
            file: content.file.clone(),
            gib: least_gib,
            device: root.to_owned(),
            said: size,
        }),
        _ => Ok(()),
    }
}

/// The image's volumes: the root volume of the snapshot, and whatever else the pipeline asks for.
fn volumes(
    said: &[EbsVolume],
    root: &str,
    snapshot: &SnapshotId,
    least_gib: u32,
    content: &Content,
) -> Result<Vec<EbsVolume>, ImportError> {
    let is_root = |volume: &&EbsVolume| bare(&volume.device) == bare(root);
    let of_root = said_of_root(said, root);
    fits(of_root, root, least_gib, content)?;
    let of_root = of_root.cloned().unwrap_or_default();
    let root_volume = EbsVolume {
        device: root.to_owned(),
        snapshot_id: Some(snapshot.clone()),
        // The snapshot decides; EC2 refuses to be told.
        encrypted: None,
        kms_key_id: None,
        delete_on_termination: Some(of_root.delete_on_termination.unwrap_or(true)),
        ..of_root
    };
    let others = said.iter().filter(|volume| !is_root(volume)).cloned();
    Ok(std::iter::once(root_volume).chain(others).collect())
}
