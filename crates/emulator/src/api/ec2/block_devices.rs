//! Block device mappings in requests.
//!
//! <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_BlockDeviceMapping.html>,
//! <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_EbsBlockDevice.html>

use super::params::Scope;
use super::volume_limits;
use crate::account::image::{DeviceMapping, EbsDevice, Snapshot};
use crate::account::kms::Unusable;
use crate::api::Cx;
use crate::api::error::ApiError;
use crate::ids::SnapshotId;
use std::collections::BTreeMap;

/// What a request says about a device.
#[derive(Clone, Debug)]
pub(crate) struct DeviceRequest {
    pub(crate) device: String,
    pub(crate) what: DeviceWish,
}

/// What the device shall be.
#[derive(Clone, Debug)]
pub(crate) enum DeviceWish {
    /// Left out although the image has it.
    Nothing,
    /// A volume of the host's own, such as `ephemeral0`.
    Ephemeral(String),
    /// A volume; what is not given is taken from the image, else has EC2's default.
    Volume(VolumeWish),
}

/// What a request says about a volume.
#[derive(Clone, Debug, Default)]
pub(crate) struct VolumeWish {
    pub(crate) snapshot: Option<SnapshotId>,
    pub(crate) size_gib: Option<u32>,
    pub(crate) volume_type: Option<&'static str>,
    pub(crate) iops: Option<u32>,
    pub(crate) throughput: Option<u32>,
    pub(crate) delete_on_termination: Option<bool>,
    pub(crate) encrypted: Option<bool>,
    pub(crate) kms_key: Option<String>,
}

/// EBS's volume types.
pub(crate) const VOLUME_TYPES: [&str; 7] = ["gp2", "gp3", "io1", "io2", "sc1", "st1", "standard"];

fn bad<T>(message: String) -> Result<T, ApiError> {
    Err(ApiError::new("InvalidBlockDeviceMapping", message))
}

/// Reads `BlockDeviceMapping.N`.
///
/// # Errors
/// `InvalidBlockDeviceMapping` for a device twice, or as several things at once.
pub(crate) fn parse(p: &Scope<'_>) -> Result<Vec<DeviceRequest>, ApiError> {
    let mut devices: Vec<DeviceRequest> = Vec::new();
    for mapping in p.each("BlockDeviceMapping") {
        let device = mapping.required("DeviceName")?.to_owned();
        check_name(&device)?;
        if devices.iter().any(|d| d.device == device) {
            return bad(format!(
                "The device '{device}' is used in more than one block-device mapping"
            ));
        }
        let ebs = mapping.inside("Ebs");
        let (nothing, ephemeral) = (mapping.text("NoDevice"), mapping.text("VirtualName"));
        let what = match (nothing, ephemeral, ebs.given()) {
            (Some(_), None, false) => DeviceWish::Nothing,
            (None, Some(name), false) => DeviceWish::Ephemeral(ephemeral_name(name)?),
            (None, None, _) => DeviceWish::Volume(VolumeWish::parse(&ebs)?),
            _ => {
                return bad(format!(
                    "Only one of NoDevice, VirtualName and Ebs can be given for device '{device}'"
                ));
            }
        };
        devices.push(DeviceRequest { device, what });
    }
    Ok(devices)
}

/// Names of devices: <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/device_naming.html>.
fn check_name(device: &str) -> Result<(), ApiError> {
    let short = device.strip_prefix("/dev/").unwrap_or(device);
    let letters = |text: &str, most: usize| {
        (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase())
    };
    let good = match (short.strip_prefix("sd"), short.strip_prefix("xvd")) {
        (Some(rest), _) => {
            let (letter, part) = rest.split_at_checked(1).unwrap_or(("", ""));
            let number = part.is_empty() || part.parse().is_ok_and(|n: u8| (1..=15).contains(&n));
            letters(letter, 1) && number
        }
        (None, Some(rest)) => letters(rest.trim_end_matches(|c: char| c.is_ascii_digit()), 2),
        (None, None) => false,
    };
    match good {
        true => Ok(()),
        false => Err(ApiError::new(
            "InvalidParameterValue",
            format!(
                "Value ({device}) for parameter device is invalid. {device} is not a valid EBS device name."
            ),
        )),
    }
}

/// "The virtual device name (ephemeralN). Instance store volumes are numbered starting from 0."
fn ephemeral_name(name: &str) -> Result<String, ApiError> {
    let number = name.strip_prefix("ephemeral").map(str::parse::<u8>);
    match number {
        Some(Ok(n)) if n < 24 => Ok(name.to_owned()),
        _ => bad(format!("'{name}' is not a valid virtual name")),
    }
}

impl VolumeWish {
    /// Reads what is below `p`. CreateVolume calls the size `Size`.
    pub(crate) fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        let wish = Self {
            snapshot: p
                .text("SnapshotId")
                .filter(|s| !s.is_empty())
                .map(SnapshotId::parse)
                .transpose()?,
            size_gib: p.number("VolumeSize")?,
            volume_type: p.word("VolumeType", &VOLUME_TYPES)?,
            iops: p.number("Iops")?,
            throughput: p.number("Throughput")?,
            delete_on_termination: p.flag("DeleteOnTermination")?,
            encrypted: p.flag("Encrypted")?,
            kms_key: p.text("KmsKeyId").map(str::to_owned),
        };
        // "If a KmsKeyId is specified, the encrypted flag must also be set."
        if wish.kms_key.is_some() && wish.encrypted != Some(true) {
            return Err(ApiError::new(
                "InvalidParameterDependency",
                "The parameter KmsKeyId requires the parameter Encrypted to be set.",
            ));
        }
        Ok(wish)
    }

    /// The volume that comes of it. `from` is what the image says about the device; `snapshot` the snapshot it names itself.
    ///
    /// # Errors
    /// `InvalidBlockDeviceMapping` without a size, below the snapshot's or without its encryption, and what
    /// [`volume_limits::check`] refuses.
    pub(crate) fn resolve(
        &self,
        device: &str,
        from: Option<&EbsDevice>,
        snapshot: Option<&Snapshot>,
    ) -> Result<EbsDevice, ApiError> {
        let snapshot_gib = snapshot.map(|s| s.size_gib);
        let Some(size_gib) = self.size_gib.or(from.map(|f| f.size_gib)).or(snapshot_gib) else {
            return bad(format!(
                "The volume size of device '{device}' must be specified when no snapshot is given"
            ));
        };
        let least = snapshot_gib.or(from.map(|f| f.size_gib)).unwrap_or(1);
        if size_gib < least {
            return bad(format!(
                "Volume of size {size_gib}GB is smaller than snapshot, expect size >= {least}GB"
            ));
        }
        // "In no case can you remove encryption from an encrypted volume."
        let encrypted_before =
            from.is_some_and(|f| f.encrypted) || snapshot.is_some_and(|s| s.encrypted);
        if encrypted_before && self.encrypted == Some(false) {
            return bad(format!(
                "The snapshot of device '{device}' is encrypted, and so must the volume be"
            ));
        }
        let kept = |type_: &str| self.volume_type.is_none_or(|t| t == type_);
        let volume_type = self
            .volume_type
            .or(from.map(|f| f.volume_type.as_str()))
            .unwrap_or("gp2")
            .to_owned();
        let inherited = from.filter(|f| kept(&f.volume_type));
        let key_before = || {
            let of_image = from.and_then(|f| f.kms_key.clone());
            of_image.or_else(|| snapshot.and_then(|s| s.kms_key.clone()))
        };
        let volume = EbsDevice {
            snapshot: self
                .snapshot
                .clone()
                .or_else(|| from.and_then(|f| f.snapshot.clone())),
            size_gib,
            iops: self.iops.or_else(|| inherited.and_then(|f| f.iops)),
            throughput: self
                .throughput
                .or_else(|| inherited.and_then(|f| f.throughput)),
            delete_on_termination: self
                .delete_on_termination
                .or(from.map(|f| f.delete_on_termination))
                .unwrap_or(true),
            encrypted: self.encrypted.unwrap_or(encrypted_before),
            kms_key: self.kms_key.clone().or_else(key_before),
            volume_type,
        };
        volume_limits::check(&volume)?;
        Ok(volume)
    }
}

/// An instance's or image's devices.
#[derive(Clone, Debug, Default)]
pub(crate) struct Devices {
    /// Volumes of EBS.
    pub(crate) ebs: Vec<DeviceMapping>,
    /// Instance store volumes, by device name.
    pub(crate) ephemeral: BTreeMap<String, String>,
}

/// An image's devices with a request's laid over them.
///
/// # Errors
/// As [`VolumeWish::resolve`]; `find` gives a snapshot or its `NotFound`.
pub(crate) fn overlay(
    image: &[DeviceMapping],
    requests: &[DeviceRequest],
    mut find: impl FnMut(&SnapshotId) -> Result<Snapshot, ApiError>,
) -> Result<Devices, ApiError> {
    let mut devices = Devices::default();
    let asked = |device: &str| requests.iter().find(|r| r.device == device);
    for mapping in image {
        match asked(&mapping.device).map(|r| &r.what) {
            None => devices.ebs.push(mapping.clone()),
            Some(DeviceWish::Nothing | DeviceWish::Ephemeral(_)) => {}
            Some(DeviceWish::Volume(wish)) => {
                if let (Some(asked), Some(own)) = (&wish.snapshot, &mapping.ebs.snapshot)
                    && asked != own
                {
                    return bad(format!(
                        "snapshotId cannot be modified on root device '{}'",
                        mapping.device
                    ));
                }
                let ebs = wish.resolve(&mapping.device, Some(&mapping.ebs), None)?;
                devices.ebs.push(DeviceMapping {
                    device: mapping.device.clone(),
                    ebs,
                });
            }
        }
    }
    for request in requests {
        let known = image.iter().any(|m| m.device == request.device);
        match &request.what {
            DeviceWish::Ephemeral(name) => {
                devices
                    .ephemeral
                    .insert(request.device.clone(), name.clone());
            }
            DeviceWish::Volume(wish) if !known => {
                let snapshot = wish.snapshot.as_ref().map(&mut find).transpose()?;
                let ebs = wish.resolve(&request.device, None, snapshot.as_ref())?;
                devices.ebs.push(DeviceMapping {
                    device: request.device.clone(),
                    ebs,
                });
            }
            DeviceWish::Volume(_) | DeviceWish::Nothing => {}
        }
    }
    Ok(devices)
}

/// "If you are creating a block device mapping from an existing encrypted or unencrypted snapshot, you must omit this
/// parameter", and the key "is only supported on BlockDeviceMapping objects called by RunInstances".
///
/// # Errors
/// `InvalidBlockDeviceMapping`.
pub(crate) fn check_for_image(requests: &[DeviceRequest]) -> Result<(), ApiError> {
    for request in requests {
        let DeviceWish::Volume(wish) = &request.what else {
            continue;
        };
        let device = &request.device;
        if wish.snapshot.is_some() && wish.encrypted.is_some() {
            return bad(format!(
                "the encrypted flag cannot be specified since device {device} has a snapshot specified."
            ));
        }
        if wish.kms_key.is_some() {
            return bad(format!(
                "The parameter KmsKeyId is not supported for device {device} of an image"
            ));
        }
    }
    Ok(())
}

/// Finds the key that a volume is encrypted with, and puts its ARN in place of what the request called it. A volume that is
/// encrypted and says no key has the account's EBS key.
pub(crate) fn find_key(cx: &mut Cx<'_>, ebs: &mut EbsDevice) -> Result<(), Unusable> {
    if ebs.encrypted {
        ebs.kms_key = Some(key(cx, ebs.kms_key.as_deref())?);
    }
    Ok(())
}

/// The ARN of the key that a request names, or of the account's EBS key.
///
/// # Errors
/// If it cannot be used.
pub(crate) fn key(cx: &mut Cx<'_>, name: Option<&str>) -> Result<String, Unusable> {
    let (owner, region, now) = (cx.owner(), cx.region, cx.now);
    let keys = &mut cx.region().keys;
    let ebs = keys.ebs(owner, region, now).arn.clone();
    match name {
        Some(name) => keys.usable(name).map(|k| k.arn.clone()),
        None => Ok(ebs),
    }
}
