//! An image with properties that CreateImage cannot give: snapshots of the stopped instance's volumes, and RegisterImage.
//!
//! Neither call has a client token. The snapshots are found again by the run's and the cell's tags and the volume that they
//! are of, the image by its name and the run's tag.

use super::capture::{ImageTags, find_own};
use super::context::CellContext;
use super::launch::Launched;
use super::progress;
use crate::effects::Made;
use crate::failure::StepError;
use crate::journal::Effect;
use crate::names::tag;
use crate::spec::CellSpec;
use cloud::*;
use std::collections::BTreeSet;
use std::time::Duration;

/// How often the snapshots are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// A volume of the instance, and the device that it is attached as.
struct Attached {
    device: String,
    volume: VolumeId,
}

/// Registers the image from snapshots of the instance's volumes.
pub(super) async fn register(
    context: &CellContext,
    spec: &CellSpec,
    source: &Image,
    launched: &Launched,
    tags: ImageTags,
) -> Result<Made<ImageId>, StepError> {
    let instance = &launched.instance.instance_id;
    let attached = volumes_of(context, spec, source, instance).await?;
    let root = source
        .root_device
        .clone()
        .or_else(|| attached.first().map(|one| one.device.clone()))
        .unwrap_or_default();
    begin_snapshots(context, spec, instance, &attached, tags.snapshot).await?;
    let snapshots = wait_for_snapshots(context, spec, &attached).await?;
    let properties = &spec.image.properties;
    let virtualization = if source.virtualization.is_empty() {
        String::from("hvm")
    } else {
        source.virtualization.clone()
    };
    let request = RegisterRequest {
        name: spec.image.made_as().to_owned(),
        description: spec.image.description.clone(),
        architecture: properties
            .architecture
            .clone()
            .unwrap_or_else(|| source.architecture.clone()),
        // As the source says, unless asked otherwise: without it EC2 takes the instance type's own.
        boot_mode: properties
            .boot_mode
            .clone()
            .or_else(|| source.boot_mode.clone()),
        // What CreateImage takes over by itself has to be said here. Nitro instances do not start without ENA.
        ena: properties.ena.or((virtualization == "hvm").then_some(true)),
        virtualization,
        root_device: root,
        volumes: attached
            .iter()
            .zip(snapshots)
            .map(|(attached, snapshot)| mapping(spec, source, attached, snapshot))
            .collect(),
        tpm: properties.tpm.clone(),
        uefi_data: properties.uefi_data.clone(),
        imds_v2: properties.imds_v2,
        sriov: properties.sriov,
        image_tags: tags.image,
    };
    let effect = Effect::RegisterImage {
        region: spec.region.clone(),
        name: request.name.clone(),
        instance: instance.clone(),
        test: spec.test.as_ref().map(|test| test.digest.clone()),
    };
    context
        .effects()
        .make(
            &spec.cell,
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
        .await
}

/// The instance's volumes, the root device's first. DescribeInstances' mappings are not in the port, and are not needed:
/// the devices are those of the source image and of the launch.
async fn volumes_of(
    context: &CellContext,
    spec: &CellSpec,
    source: &Image,
    instance: &InstanceId,
) -> Result<Vec<Attached>, StepError> {
    let from_source = source.volumes.iter().map(|volume| &volume.device);
    let from_launch = spec.launch.volumes.iter().map(|volume| &volume.device);
    let mut devices: BTreeSet<&String> = from_source.chain(from_launch).collect();
    devices.extend(&source.root_device);
    let mut attached = Vec::new();
    for device in devices {
        let filters = [
            (
                "attachment.instance-id".to_owned(),
                vec![instance.to_string()],
            ),
            ("attachment.device".to_owned(), vec![device.clone()]),
        ];
        let found = context.race(context.region().volumes(&filters)).await??;
        attached.extend(found.into_iter().map(|volume| Attached {
            device: device.clone(),
            volume: volume.volume_id,
        }));
    }
    if attached.is_empty() {
        return Err(StepError::NoVolumes {
            instance: instance.to_string(),
        });
    }
    let root = source.root_device.as_ref();
    attached.sort_by_key(|one| Some(&one.device) != root);
    Ok(attached)
}

async fn begin_snapshots(
    context: &CellContext,
    spec: &CellSpec,
    instance: &InstanceId,
    attached: &[Attached],
    tags: Tags,
) -> Result<(), StepError> {
    let request = SnapshotsRequest {
        instance_id: instance.clone(),
        description: format!("{instance}, for the image {}", spec.image.made_as()),
        tags,
    };
    let effect = Effect::CreateSnapshots {
        region: spec.region.clone(),
        instance: instance.clone(),
    };
    context
        .effects()
        .make(
            &spec.cell,
            effect,
            async || {
                context.region().create_snapshots(&request).await?;
                Ok(())
            },
            async || {
                // They are made together or not at all.
                for one in attached {
                    if !snapshots_of(context, &one.volume).await?.is_empty() {
                        return Ok(Some(()));
                    }
                }
                Ok(None)
            },
        )
        .await?;
    Ok(())
}

/// The run's snapshots of a volume.
async fn snapshots_of(
    context: &CellContext,
    volume: &VolumeId,
) -> Result<Vec<Snapshot>, CloudError> {
    let cell = context.cell();
    let filters = [
        (
            format!("tag:{}", tag::RUN),
            vec![context.run_id().to_string()],
        ),
        (format!("tag:{}", tag::STAGE), vec![cell.stage.clone()]),
        (format!("tag:{}", tag::CELL), vec![cell.cell.clone()]),
        ("volume-id".to_owned(), vec![volume.to_string()]),
    ];
    context.region().snapshots(&filters).await
}

/// Waits until all are whole. Gives them in the order of the volumes.
async fn wait_for_snapshots(
    context: &CellContext,
    spec: &CellSpec,
    attached: &[Attached],
) -> Result<Vec<SnapshotId>, StepError> {
    let deadline = context.deadline(spec.image.wait);
    let wait = async {
        loop {
            let mut whole = Vec::new();
            for one in attached {
                let seen = match context.race(snapshots_of(context, &one.volume)).await? {
                    Ok(seen) => seen,
                    Err(error) if error.is_passing() => Vec::new(),
                    Err(error) => return Err(error.into()),
                };
                for snapshot in seen {
                    match snapshot.state {
                        SnapshotState::Completed => {
                            whole.push(snapshot.snapshot_id);
                            break;
                        }
                        SnapshotState::Failed(reason) => {
                            return Err(StepError::SnapshotFailed {
                                snapshot: snapshot.snapshot_id.to_string(),
                                volume: one.volume.to_string(),
                                reason,
                            });
                        }
                        SnapshotState::Pending => {}
                    }
                }
            }
            if whole.len() == attached.len() {
                return Ok(whole);
            }
            if context.clock().now() >= deadline {
                return Err(StepError::ImageSlow {
                    image: String::from("(not registered yet)"),
                    name: spec.image.made_as().to_owned(),
                    waited: spec.image.wait,
                    detail: format!("{} of {} snapshots are whole", whole.len(), attached.len()),
                });
            }
            context.pause(LOOK_EVERY).await?;
        }
    };
    tokio::select! {
        whole = wait => whole,
        never = progress::tell(context, context.region().name()) => match never {},
    }
}

/// A volume of the image: as `image.volumes` has it, else the launch, else the source image, made from its snapshot.
fn mapping(
    spec: &CellSpec,
    source: &Image,
    attached: &Attached,
    snapshot: SnapshotId,
) -> EbsVolume {
    let of_device = |volumes: &[EbsVolume]| {
        volumes
            .iter()
            .find(|volume| volume.device == attached.device)
            .cloned()
    };
    let said = of_device(&spec.image.volumes)
        .or_else(|| of_device(&spec.launch.volumes))
        .or_else(|| of_device(&source.volumes))
        .unwrap_or_default();
    EbsVolume {
        device: attached.device.clone(),
        snapshot_id: Some(snapshot),
        // The snapshot decides; EC2 refuses to be told.
        encrypted: None,
        kms_key_id: None,
        delete_on_termination: Some(said.delete_on_termination.unwrap_or(true)),
        ..said
    }
}
