//! Making images of instances.

use super::Action;
use super::block_devices::{self, DeviceRequest, DeviceWish, Devices};
use super::instances::existing;
use super::params::Scope;
use super::snapshots::{self, description};
use super::tag_specs::TagSpecs;
use super::xml::Xml;
use crate::account::image::{
    DeviceMapping, Disk, EbsDevice, Image, Permission, Progress, Snapshot, SourceImage,
};
use crate::account::instance::Instance;
use crate::account::lifecycle::InstanceState;
use crate::account::quotas::Quota;
use crate::api::error::ApiError;
use crate::api::{Cx, Effect};
use crate::ids::{ImageId, InstanceId, LayerId, SnapshotId};

/// "3-128 alphanumeric characters, parentheses (()), square brackets ([]), spaces ( ), periods (.), slashes (/),
/// dashes (-), single quotes ('), at-signs (@), or underscores(_)"
/// (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateImage.html>).
pub(super) fn image_name(p: &Scope<'_>) -> Result<String, ApiError> {
    let name = p.required("Name")?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || "()[] ./-'@_".contains(c);
    if !(3..=128).contains(&name.chars().count()) || !name.chars().all(allowed) {
        let message = "AMI names must be between 3 and 128 characters long, and may contain letters, numbers, '(', ')', '[', ']', ' ', '.', '/', '-', ''', '@' and '_'";
        return Err(ApiError::new("InvalidAMIName.Malformed", message));
    }
    Ok(name.to_owned())
}

/// Whether one more image of that name can be made.
///
/// # Errors
/// `InvalidAMIName.Duplicate`, or `ResourceLimitExceeded` if there are as many as the account may have
/// (<https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ami-quotas.html>).
pub(super) fn check_new(cx: &mut Cx<'_>, name: &str) -> Result<(), ApiError> {
    let most = cx.quotas().count(Quota::Images);
    let images = &cx.region().images;
    if let Some(other) = images.values().find(|i| i.name == name) {
        return Err(ApiError::new(
            "InvalidAMIName.Duplicate",
            format!("AMI name {name} is already in use by AMI {}", other.id),
        ));
    }
    match images.len() >= most {
        true => Err(ApiError::new(
            "ResourceLimitExceeded",
            format!("You have reached the maximum number of AMIs in this Region: {most}"),
        )),
        false => Ok(()),
    }
}

pub(super) fn answer(id: &ImageId) -> Xml {
    let mut x = Xml::new();
    x.put("imageId", id);
    x
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateImage.html>
pub(crate) struct CreateImage {
    instance: InstanceId,
    name: String,
    description: String,
    no_reboot: bool,
    devices: Vec<DeviceRequest>,
    tags: TagSpecs,
}

impl Action for CreateImage {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        let devices = block_devices::parse(p)?;
        block_devices::check_for_image(&devices)?;
        Ok(Self {
            instance: InstanceId::parse(p.required("InstanceId")?)?,
            name: image_name(p)?,
            description: description(p)?,
            no_reboot: p.flag("NoReboot")?.unwrap_or(false),
            devices,
            tags: TagSpecs::parse(p, &["image", "snapshot"])?,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let instance = existing(cx, &self.instance)?.clone();
        match instance.state {
            InstanceState::Stopped => {}
            InstanceState::Running if self.no_reboot => {
                let message = "The local EC2 captures a disk at rest: stop the instance first, or leave NoReboot out";
                return Err(ApiError::new("UnsupportedOperation", message));
            }
            InstanceState::Running => {}
            state => {
                let message = format!(
                    "The instance '{}' is not in the 'running' or 'stopped' state but '{state}'.",
                    instance.id
                );
                return Err(ApiError::new("IncorrectInstanceState", message));
            }
        }
        check_new(cx, &self.name)?;
        let devices = self.devices(cx, &instance)?;
        let (id, layer) = (ImageId::random(), LayerId::random());
        let mut mappings = Vec::new();
        for mut mapping in devices.ebs {
            self.snapshot(cx, &instance, &id, &layer, &mut mapping);
            mappings.push(mapping);
        }
        let image = self.image(cx, &instance, &id, &layer);
        let image = Image {
            mappings,
            ephemeral: devices.ephemeral,
            ..image
        };
        cx.region().images.insert(id.clone(), image);
        cx.effects.push(Effect::Capture(instance.id, layer));
        Ok(answer(&id))
    }
}

impl CreateImage {
    /// The instance's devices with the request's laid over them.
    ///
    /// # Errors
    /// "The only option that can be changed for existing mappings or snapshots is DeleteOnTermination."
    fn devices(&self, cx: &mut Cx<'_>, instance: &Instance) -> Result<Devices, ApiError> {
        let region = cx.region();
        let attached = instance.volumes.iter().filter_map(|a| {
            let volume = region.volumes.get(&a.volume)?;
            let ebs = EbsDevice {
                snapshot: None,
                size_gib: volume.size_gib,
                volume_type: volume.volume_type.clone(),
                iops: volume.iops.filter(|_| volume.volume_type != "gp2"),
                throughput: volume.throughput,
                delete_on_termination: a.delete_on_termination,
                encrypted: volume.encrypted,
                kms_key: volume.kms_key.clone(),
            };
            Some(DeviceMapping {
                device: a.device.clone(),
                ebs,
            })
        });
        let attached: Vec<_> = attached.collect();
        for request in &self.devices {
            let now = attached.iter().find(|m| m.device == request.device);
            check_change(instance, request, now.map(|m| &m.ebs))?;
        }
        let mut devices =
            block_devices::overlay(&attached, &self.devices, |id| snapshots::usable(cx, id))?;
        for (device, name) in &instance.ephemeral {
            let asked = self.devices.iter().any(|d| d.device == *device);
            if !asked {
                devices.ephemeral.insert(device.clone(), name.clone());
            }
        }
        Ok(devices)
    }

    /// Makes the snapshot of a device. What is not attached to the instance needs none: it is a new volume, or one from a
    /// given snapshot.
    fn snapshot(
        &self,
        cx: &mut Cx<'_>,
        instance: &Instance,
        image: &ImageId,
        layer: &LayerId,
        mapping: &mut DeviceMapping,
    ) {
        let attached = instance.volumes.iter().find(|v| v.device == mapping.device);
        let Some(volume) = attached else {
            return;
        };
        let is_root = mapping.device == instance.root_device;
        let progress = match is_root {
            true => Progress::Capturing {
                instance: instance.id.clone(),
                layer: layer.clone(),
            },
            false => {
                let faults = cx.faults.instances.of(instance).images;
                faults.making(cx.now, cx.timing.image).snapshot
            }
        };
        let whole = cx.region().volumes.get(&volume.volume).cloned();
        let size_gib = whole.as_ref().map_or(mapping.ebs.size_gib, |v| v.size_gib);
        // Guests write to their root device alone: any other is still what it was made from.
        let from = whole.and_then(|v| v.snapshot).filter(|_| !is_root);
        let from = from.and_then(|id| cx.snapshot_in(cx.region, &id));
        let snapshot = Snapshot {
            id: SnapshotId::random(),
            owner: cx.owner().to_owned(),
            volume: volume.volume.to_string(),
            size_gib,
            description: format!("Created by CreateImage({}) for {image}", instance.id),
            started: cx.now,
            progress,
            encrypted: mapping.ebs.encrypted,
            kms_key: mapping.ebs.kms_key.clone(),
            create_volume_permission: Permission::default(),
            layers: Vec::new(),
            blocks: from.map(|s| s.blocks).unwrap_or_default(),
            disk: is_root.then(|| Disk::of(instance)),
            tags: self.tags.of("snapshot"),
        };
        mapping.ebs.snapshot = Some(snapshot.id.clone());
        cx.region().snapshots.insert(snapshot.id.clone(), snapshot);
    }

    /// The image, but for its devices.
    fn image(&self, cx: &Cx<'_>, instance: &Instance, id: &ImageId, layer: &LayerId) -> Image {
        let source = cx.image_in(cx.region, &instance.image);
        let of_source = |get: fn(&Image) -> Option<String>| source.as_ref().and_then(get);
        Image {
            id: id.clone(),
            name: self.name.clone(),
            description: self.description.clone(),
            owner: cx.owner().to_owned(),
            owner_alias: None,
            created: cx.now,
            progress: Progress::Capturing {
                instance: instance.id.clone(),
                layer: layer.clone(),
            },
            architecture: instance.architecture.clone(),
            root_device: instance.root_device.clone(),
            mappings: Vec::new(),
            virtualization: instance.virtualization,
            kernel: instance.kernel.clone(),
            ephemeral: Default::default(),
            product_codes: instance.product_codes.clone(),
            launch_permission: Permission::default(),
            ena_support: instance.ena_support,
            sriov_net_support: instance.sriov_net_support.clone(),
            boot_mode: of_source(|s| s.boot_mode.clone()),
            tpm_support: of_source(|s| s.tpm_support.clone()),
            imds_support: of_source(|s| s.imds_support.clone()),
            uefi_data: of_source(|s| s.uefi_data.clone()),
            platform_details: instance.platform_details.clone(),
            usage_operation: instance.usage_operation.clone(),
            deprecated: None,
            protection: Default::default(),
            last_launched: None,
            source_instance: Some(instance.id.clone()),
            source_image: Some(SourceImage {
                id: instance.image.clone(),
                region: cx.region.to_owned(),
            }),
            default_user: instance.default_user.clone(),
            agent: instance.agent,
            tags: self.tags.of("image"),
        }
    }
}

/// Refuses a change of what the instance has.
fn check_change(
    instance: &Instance,
    request: &DeviceRequest,
    now: Option<&EbsDevice>,
) -> Result<(), ApiError> {
    let bad = |message: String| Err(ApiError::new("InvalidBlockDeviceMapping", message));
    let device = &request.device;
    let Some(now) = now else {
        return Ok(());
    };
    let DeviceWish::Volume(wish) = &request.what else {
        return match *device == instance.root_device {
            true => bad("The root device cannot be left out".to_owned()),
            false => Ok(()),
        };
    };
    let other = |asked: Option<u32>, have: Option<u32>| asked.is_some() && asked != have;
    let changed = [
        ("VolumeSize", other(wish.size_gib, Some(now.size_gib))),
        (
            "VolumeType",
            wish.volume_type.is_some_and(|t| t != now.volume_type),
        ),
        ("Iops", other(wish.iops, now.iops)),
        ("Throughput", other(wish.throughput, now.throughput)),
        (
            "Encrypted",
            wish.encrypted.is_some_and(|e| e && !now.encrypted),
        ),
        ("SnapshotId", wish.snapshot.is_some()),
    ];
    match changed.iter().find(|(_, changed)| *changed) {
        Some((option, _)) => bad(format!(
            "{option} of device '{device}' cannot be changed: the only option that can be changed for existing mappings is DeleteOnTermination"
        )),
        None => Ok(()),
    }
}
