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
use crate::spec::{CellSpec, ImageSpec};
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
    let (attached, excluded): (Vec<Attached>, Vec<Attached>) = attached
        .into_iter()
        .partition(|one| one.device == root || is_of_instance(&spec.image, &one.device));
    let excluded = excluded.into_iter().map(|one| one.volume).collect();
    begin_snapshots(context, spec, instance, &attached, excluded, tags.snapshot).await?;
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
            .chain(added(&spec.image, &attached))
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
    excluded: Vec<VolumeId>,
    tags: Tags,
) -> Result<(), StepError> {
    let request = SnapshotsRequest {
        instance_id: instance.clone(),
        excluded,
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
        biased;
        whole = wait => whole,
        never = progress::tell(context, context.region().name()) => match never {},
    }
}

/// Whether the image has the instance's volume at `device`, rather than none or one of another snapshot.
fn is_of_instance(image: &ImageSpec, device: &str) -> bool {
    let left_out = image
        .left_out_devices
        .iter()
        .any(|left| is_same(left, device));
    let replaced = of_device(&image.volumes, device).is_some_and(|said| said.snapshot_id.is_some());
    !left_out && !replaced
}

/// The volumes that the image has besides the instance's.
fn added(image: &ImageSpec, attached: &[Attached]) -> impl Iterator<Item = EbsVolume> {
    let is_added = |volume: &&EbsVolume| {
        !attached
            .iter()
            .any(|one| is_same(&one.device, &volume.device))
    };
    image.volumes.iter().filter(is_added).cloned()
}

/// A volume of the image: as `image.volumes` has it, else the launch, else the source image, made from its snapshot.
fn mapping(
    spec: &CellSpec,
    source: &Image,
    attached: &Attached,
    snapshot: SnapshotId,
) -> EbsVolume {
    let layers = [&spec.image.volumes, &spec.launch.volumes, &source.volumes];
    let said = layers
        .into_iter()
        .filter_map(|volumes| of_device(volumes, &attached.device))
        .fold(EbsVolume::default(), over);
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

/// What `upper` says, and `lower` where it says nothing. What goes with a type is not taken over without it.
fn over(upper: EbsVolume, lower: &EbsVolume) -> EbsVolume {
    let same_type = upper.volume_type.is_none() || upper.volume_type == lower.volume_type;
    let lower_iops = lower.iops.filter(|_| same_type);
    let lower_throughput = lower.throughput.filter(|_| same_type);
    EbsVolume {
        size_gib: upper.size_gib.or(lower.size_gib),
        iops: upper.iops.or(lower_iops),
        throughput: upper.throughput.or(lower_throughput),
        delete_on_termination: upper.delete_on_termination.or(lower.delete_on_termination),
        volume_type: upper.volume_type.or_else(|| lower.volume_type.clone()),
        ..upper
    }
}

fn of_device<'v>(volumes: &'v [EbsVolume], device: &str) -> Option<&'v EbsVolume> {
    volumes
        .iter()
        .find(|volume| is_same(&volume.device, device))
}

/// EC2 takes `sdb` and `/dev/sdb` for the same device.
fn is_same(one: &str, other: &str) -> bool {
    one.trim_start_matches("/dev/") == other.trim_start_matches("/dev/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(device: &str) -> EbsVolume {
        EbsVolume {
            device: device.to_owned(),
            ..EbsVolume::default()
        }
    }

    #[test]
    fn the_image_has_what_it_says_and_else_what_the_instance_had() {
        let said = EbsVolume {
            size_gib: Some(30),
            ..volume("sda1")
        };
        let launched = EbsVolume {
            size_gib: Some(20),
            volume_type: Some(VolumeType("gp3".into())),
            throughput: Some(250),
            ..volume("/dev/sda1")
        };
        let source = EbsVolume {
            size_gib: Some(8),
            volume_type: Some(VolumeType("io1".into())),
            iops: Some(5_000),
            ..volume("/dev/sda1")
        };
        let both = [&said, &launched, &source]
            .into_iter()
            .fold(EbsVolume::default(), over);
        assert_eq!((both.size_gib, both.iops), (Some(30), None));
        assert_eq!(both.throughput, Some(250));
        assert_eq!(both.volume_type, launched.volume_type);
    }

    #[test]
    fn volumes_may_be_left_out_replaced_and_added() {
        let image = ImageSpec {
            left_out_devices: vec![String::from("sdb")],
            volumes: vec![
                EbsVolume {
                    snapshot_id: Some("snap-1".into()),
                    ..volume("/dev/sdc")
                },
                volume("/dev/sdd"),
                volume("/dev/sde"),
            ],
            ..ImageSpec::default()
        };
        let kept: Vec<&str> = ["/dev/sdb", "/dev/sdc", "/dev/sdd"]
            .into_iter()
            .filter(|device| is_of_instance(&image, device))
            .collect();
        assert_eq!(kept, ["/dev/sdd"]);
        let attached = [Attached {
            device: String::from("/dev/sdd"),
            volume: "vol-1".into(),
        }];
        let added: Vec<String> = added(&image, &attached)
            .map(|volume| volume.device)
            .collect();
        assert_eq!(added, ["/dev/sdc", "/dev/sde"]);
    }
}
