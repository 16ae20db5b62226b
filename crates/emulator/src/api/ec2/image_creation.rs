//! Making images.

use super::Action;
use super::block_devices::{self, DeviceRequest, DeviceWish};
use super::instances::existing;
use super::params::Scope;
use super::snapshots::{self, description};
use super::tag_specs::TagSpecs;
use super::xml::Xml;
use crate::account::ACCOUNT_ID;
use crate::account::image::{
    DeviceMapping, EbsDevice, Image, Permission, Progress, Snapshot, SourceImage,
};
use crate::account::instance::Instance;
use crate::account::lifecycle::InstanceState;
use crate::account::region::Region;
use crate::api::error::ApiError;
use crate::api::{Cx, Effect};
use crate::guest::BootAgent;
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

pub(super) fn check_unused(region: &Region, name: &str) -> Result<(), ApiError> {
    match region.images.values().find(|i| i.name == name) {
        Some(other) => Err(ApiError::new(
            "InvalidAMIName.Duplicate",
            format!("AMI name {name} is already in use by AMI {}", other.id),
        )),
        None => Ok(()),
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
        Ok(Self {
            instance: InstanceId::parse(p.required("InstanceId")?)?,
            name: image_name(p)?,
            description: description(p)?,
            no_reboot: p.flag("NoReboot")?.unwrap_or(false),
            devices: block_devices::parse(p)?,
            tags: TagSpecs::parse(p, &["image", "snapshot"])?,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let now = cx.now;
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
        check_unused(cx.region(), &self.name)?;
        let devices = self.devices(cx, &instance)?;
        let (id, layer) = (ImageId::random(), LayerId::random());
        let mut mappings = Vec::new();
        for mut mapping in devices {
            // What is not attached to the instance needs no snapshot: it is a new volume, or one from a given snapshot.
            let attached = instance.volumes.iter().find(|v| v.device == mapping.device);
            if let Some(volume) = attached {
                let is_root = mapping.device == instance.root_device;
                let progress = match is_root {
                    true => Progress::Capturing {
                        instance: instance.id.clone(),
                        layer: layer.clone(),
                    },
                    false => {
                        let faults = cx.faults.instances.of(&instance).images;
                        faults.making(now, cx.timing.image).snapshot
                    }
                };
                let snapshot = Snapshot {
                    id: SnapshotId::random(),
                    owner: ACCOUNT_ID.to_owned(),
                    volume: volume.volume.to_string(),
                    size_gib: cx
                        .region()
                        .volumes
                        .get(&volume.volume)
                        .map_or(mapping.ebs.size_gib, |v| v.size_gib),
                    description: format!("Created by CreateImage({}) for {id}", instance.id),
                    started: now,
                    progress,
                    encrypted: mapping.ebs.encrypted,
                    create_volume_permission: Permission::default(),
                    layers: Vec::new(),
                    tags: self.tags.of("snapshot"),
                };
                mapping.ebs.snapshot = Some(snapshot.id.clone());
                cx.region().snapshots.insert(snapshot.id.clone(), snapshot);
            }
            mappings.push(mapping);
        }
        let source = cx.image(&instance.image);
        let image = Image {
            id,
            name: self.name,
            description: self.description,
            owner: ACCOUNT_ID.to_owned(),
            owner_alias: None,
            created: now,
            progress: Progress::Capturing {
                instance: instance.id.clone(),
                layer: layer.clone(),
            },
            architecture: instance.architecture.clone(),
            root_device: instance.root_device.clone(),
            mappings,
            launch_permission: Permission::default(),
            ena_support: instance.ena_support,
            sriov_net_support: instance.sriov_net_support.clone(),
            boot_mode: source.as_ref().and_then(|s| s.boot_mode.clone()),
            tpm_support: source.as_ref().and_then(|s| s.tpm_support.clone()),
            imds_support: source.as_ref().and_then(|s| s.imds_support.clone()),
            uefi_data: None,
            platform_details: source
                .as_ref()
                .map_or_else(|| "Linux/UNIX".to_owned(), |s| s.platform_details.clone()),
            usage_operation: source
                .as_ref()
                .map_or_else(|| "RunInstances".to_owned(), |s| s.usage_operation.clone()),
            deprecated: None,
            source_instance: Some(instance.id.clone()),
            source_image: Some(SourceImage {
                id: instance.image.clone(),
                region: cx.region.to_owned(),
            }),
            default_user: instance.default_user.clone(),
            agent: instance.agent,
            tags: self.tags.of("image"),
        };
        let x = answer(&image.id);
        cx.region().images.insert(image.id.clone(), image);
        cx.effects.push(Effect::Capture(instance.id, layer));
        Ok(x)
    }
}

impl CreateImage {
    /// The instance's devices with the request's laid over them.
    fn devices(
        &self,
        cx: &mut Cx<'_>,
        instance: &Instance,
    ) -> Result<Vec<DeviceMapping>, ApiError> {
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
            };
            Some(DeviceMapping {
                device: a.device.clone(),
                ebs,
            })
        });
        let attached: Vec<_> = attached.collect();
        if self
            .devices
            .iter()
            .any(|d| d.device == instance.root_device && matches!(d.what, DeviceWish::Nothing))
        {
            return Err(ApiError::new(
                "InvalidBlockDeviceMapping",
                "The root device cannot be left out",
            ));
        }
        block_devices::overlay(&attached, &self.devices, |id| {
            snapshots::usable(cx, id).map(|s| s.size_gib)
        })
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RegisterImage.html>
pub(crate) struct RegisterImage {
    name: String,
    description: String,
    architecture: &'static str,
    root_device: String,
    devices: Vec<DeviceRequest>,
    ena_support: bool,
    sriov_net_support: Option<String>,
    boot_mode: Option<&'static str>,
    tpm_support: Option<&'static str>,
    imds_support: Option<&'static str>,
    uefi_data: Option<String>,
    tags: TagSpecs,
}

impl Action for RegisterImage {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        // "Default: paravirtual", which no current instance type can run.
        if p.word("VirtualizationType", &["hvm", "paravirtual"])? != Some("hvm") {
            return Err(ApiError::new(
                "UnsupportedOperation",
                "The local EC2 registers images of VirtualizationType hvm only",
            ));
        }
        Ok(Self {
            name: image_name(p)?,
            description: description(p)?,
            architecture: p
                .word("Architecture", &["i386", "x86_64", "arm64"])?
                .unwrap_or("i386"),
            root_device: p.required("RootDeviceName")?.to_owned(),
            devices: block_devices::parse(p)?,
            ena_support: p.flag("EnaSupport")?.unwrap_or(false),
            sriov_net_support: p.word("SriovNetSupport", &["simple"])?.map(str::to_owned),
            boot_mode: p.word("BootMode", &["legacy-bios", "uefi", "uefi-preferred"])?,
            tpm_support: p.word("TpmSupport", &["v2.0"])?,
            imds_support: p.word("ImdsSupport", &["v2.0"])?,
            uefi_data: p.text("UefiData").map(str::to_owned),
            tags: TagSpecs::parse(p, &["image"])?,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let now = cx.now;
        check_unused(cx.region(), &self.name)?;
        let mappings = block_devices::overlay(&[], &self.devices, |id| {
            snapshots::usable(cx, id).map(|s| s.size_gib)
        })?;
        if !mappings
            .iter()
            .any(|m| m.device == self.root_device && m.ebs.snapshot.is_some())
        {
            let message = format!(
                "The root device '{}' needs a block device mapping with a snapshot",
                self.root_device
            );
            return Err(ApiError::new("InvalidBlockDeviceMapping", message));
        }
        if self.tpm_support.is_some() && self.boot_mode != Some("uefi") {
            return Err(ApiError::combination("TpmSupport needs the boot mode uefi"));
        }
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let image = Image {
            id: ImageId::random(),
            name: self.name,
            description: self.description,
            owner: ACCOUNT_ID.to_owned(),
            owner_alias: None,
            created: now,
            progress: Progress::Done { complete: now },
            architecture: self.architecture.to_owned(),
            root_device: self.root_device,
            mappings,
            launch_permission: Permission::default(),
            ena_support: self.ena_support,
            sriov_net_support: self.sriov_net_support,
            boot_mode: owned(self.boot_mode),
            tpm_support: owned(self.tpm_support),
            imds_support: owned(self.imds_support),
            uefi_data: self.uefi_data,
            platform_details: "Linux/UNIX".to_owned(),
            usage_operation: "RunInstances".to_owned(),
            deprecated: None,
            source_instance: None,
            source_image: None,
            // Nothing in a request says which user the disk's cloud-init sets up.
            default_user: "ec2-user".to_owned(),
            agent: BootAgent::BuiltIn,
            tags: self.tags.of("image"),
        };
        let x = answer(&image.id);
        cx.region().images.insert(image.id.clone(), image);
        Ok(x)
    }
}
