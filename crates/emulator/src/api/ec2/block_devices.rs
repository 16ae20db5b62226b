//! Block device mappings in requests.
//!
//! <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_EbsBlockDevice.html>,
//! <https://docs.aws.amazon.com/ebs/latest/userguide/ebs-volume-types.html>

use super::params::Scope;
use crate::account::image::{DeviceMapping, EbsDevice};
use crate::api::error::ApiError;
use crate::ids::SnapshotId;

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
}

/// EBS's volume types.
pub(crate) const VOLUME_TYPES: [&str; 7] = ["gp2", "gp3", "io1", "io2", "sc1", "st1", "standard"];

/// Reads `BlockDeviceMapping.N`.
///
/// # Errors
/// `InvalidBlockDeviceMapping` for a device twice or a volume that neither has a size nor a snapshot's.
pub(crate) fn parse(p: &Scope<'_>) -> Result<Vec<DeviceRequest>, ApiError> {
    let mut devices: Vec<DeviceRequest> = Vec::new();
    for mapping in p.each("BlockDeviceMapping") {
        let device = mapping.required("DeviceName")?.to_owned();
        if devices.iter().any(|d| d.device == device) {
            return Err(ApiError::new(
                "InvalidBlockDeviceMapping",
                format!("The device '{device}' is used in more than one block-device mapping"),
            ));
        }
        let ebs = mapping.inside("Ebs");
        let what = match mapping.text("NoDevice") {
            Some(_) if ebs.given() => {
                return Err(ApiError::new(
                    "InvalidBlockDeviceMapping",
                    format!("Only one of NoDevice and Ebs can be given for device '{device}'"),
                ));
            }
            Some(_) => DeviceWish::Nothing,
            None => DeviceWish::Volume(VolumeWish::parse(&ebs)?),
        };
        devices.push(DeviceRequest { device, what });
    }
    Ok(devices)
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
        };
        Ok(wish)
    }

    /// The volume that comes of it. `from` is what the image says about the device; `snapshot_gib` the snapshot's size.
    ///
    /// # Errors
    /// `InvalidBlockDeviceMapping` without a size or below the snapshot's, `InvalidParameterCombination` and
    /// `InvalidParameterValue` for what the type does not have.
    pub(crate) fn resolve(
        &self,
        device: &str,
        from: Option<&EbsDevice>,
        snapshot_gib: Option<u32>,
    ) -> Result<EbsDevice, ApiError> {
        let bad = |message: String| Err(ApiError::new("InvalidBlockDeviceMapping", message));
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
        let kept = |type_: &str| self.volume_type.is_none_or(|t| t == type_);
        let volume_type = self
            .volume_type
            .or(from.map(|f| f.volume_type.as_str()))
            .unwrap_or("gp2")
            .to_owned();
        let inherited = from.filter(|f| kept(&f.volume_type));
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
            encrypted: self
                .encrypted
                .or(from.map(|f| f.encrypted))
                .unwrap_or(false),
            volume_type,
        };
        check_performance(&volume)?;
        Ok(volume)
    }
}

/// Checks size, operations and throughput against the volume's type.
fn check_performance(v: &EbsDevice) -> Result<(), ApiError> {
    let most_gib = match v.volume_type.as_str() {
        "standard" => 1_024,
        "gp3" | "io2" => 65_536,
        _ => 16_384,
    };
    let least_gib = if matches!(v.volume_type.as_str(), "st1" | "sc1") {
        125
    } else {
        1
    };
    if !(least_gib..=most_gib).contains(&v.size_gib) {
        let message = format!(
            "Volume size {} GiB is not in the range {least_gib} to {most_gib} GiB of volume type {}",
            v.size_gib, v.volume_type
        );
        return Err(ApiError::new("InvalidParameterValue", message));
    }
    match (v.volume_type.as_str(), v.iops) {
        ("io1" | "io2", None) => {
            return Err(ApiError::new(
                "MissingParameter",
                format!(
                    "The parameter iops must be specified for {} volumes",
                    v.volume_type
                ),
            ));
        }
        ("io1" | "io2" | "gp3", _) | (_, None) => {}
        (other, Some(_)) => {
            return Err(ApiError::combination(format!(
                "The parameter iops is not supported for {other} volumes."
            )));
        }
    }
    if v.throughput.is_some() && v.volume_type != "gp3" {
        return Err(ApiError::combination(format!(
            "The parameter throughput is not supported for {} volumes.",
            v.volume_type
        )));
    }
    if v.volume_type == "gp3" {
        if v.iops.is_some_and(|n| !(3_000..=80_000).contains(&n)) {
            return Err(ApiError::new(
                "InvalidParameterValue",
                "Iops of a gp3 volume must be in the range 3000 to 80000",
            ));
        }
        if v.throughput.is_some_and(|n| !(125..=2_000).contains(&n)) {
            return Err(ApiError::new(
                "InvalidParameterValue",
                "Throughput of a gp3 volume must be in the range 125 to 2000 MiB/s",
            ));
        }
    }
    Ok(())
}

/// An image's devices with a request's laid over them.
///
/// # Errors
/// As [`VolumeWish::resolve`]; `size_of` gives a snapshot's size or its `NotFound`.
pub(crate) fn overlay(
    image: &[DeviceMapping],
    requests: &[DeviceRequest],
    mut size_of: impl FnMut(&SnapshotId) -> Result<u32, ApiError>,
) -> Result<Vec<DeviceMapping>, ApiError> {
    let mut devices = Vec::new();
    for mapping in image {
        match requests
            .iter()
            .find(|r| r.device == mapping.device)
            .map(|r| &r.what)
        {
            None => devices.push(mapping.clone()),
            Some(DeviceWish::Nothing) => {}
            Some(DeviceWish::Volume(wish)) => {
                if let (Some(asked), Some(own)) = (&wish.snapshot, &mapping.ebs.snapshot)
                    && asked != own
                {
                    let message = format!(
                        "snapshotId cannot be modified on root device '{}'",
                        mapping.device
                    );
                    return Err(ApiError::new("InvalidBlockDeviceMapping", message));
                }
                let ebs = wish.resolve(&mapping.device, Some(&mapping.ebs), None)?;
                devices.push(DeviceMapping {
                    device: mapping.device.clone(),
                    ebs,
                });
            }
        }
    }
    for request in requests
        .iter()
        .filter(|r| !image.iter().any(|m| m.device == r.device))
    {
        if let DeviceWish::Volume(wish) = &request.what {
            let snapshot_gib = wish.snapshot.as_ref().map(&mut size_of).transpose()?;
            devices.push(DeviceMapping {
                device: request.device.clone(),
                ebs: wish.resolve(&request.device, None, snapshot_gib)?,
            });
        }
    }
    Ok(devices)
}
