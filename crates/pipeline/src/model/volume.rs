//! EBS volumes.

use super::{DeviceName, Gib, KmsKeyId, Located, SnapshotId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One block device of an instance or an image. (EC2 API, BlockDeviceMapping and EbsBlockDevice.)
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Volume {
    /// The device, for example `/dev/sda1`. The source image's root device resizes the root volume.
    pub device: Located<DeviceName>,
    /// Its size in GiB; not smaller than the source image's snapshot.
    pub size_gib: Option<Located<Gib>>,
    /// Its type. Without it EC2 takes the source image's.
    #[serde(rename = "type")]
    pub kind: Option<VolumeType>,
    /// Provisioned I/O operations per second: for `io1` and `io2`, optional for `gp3`.
    pub iops: Option<Located<u32>>,
    /// Throughput in MiB/s, for `gp3` only.
    pub throughput: Option<Located<u32>>,
    /// Whether the volume is encrypted. Without it the account's default and the snapshot decide.
    pub encrypted: Option<bool>,
    /// The KMS key to encrypt with; needs `encrypted: true`.
    pub kms_key_id: Option<Located<KmsKeyId>>,
    /// The snapshot that the volume is made of. Without it the source image's of that device, or an empty volume.
    pub snapshot_id: Option<Located<SnapshotId>>,
    /// Leaves out a device that the source image (or, under `image.volumes`, the instance) has. It stands alone with
    /// `device`, and only `true` has a meaning.
    pub no_device: Option<Located<bool>>,
    /// Whether the volume goes when its instance is terminated.
    #[serde(default = "yes")]
    pub delete_on_termination: bool,
}

impl Volume {
    /// Whether the device is left out rather than given a volume.
    pub fn is_left_out(&self) -> bool {
        self.no_device.is_some()
    }
}

const fn yes() -> bool {
    true
}

/// A volume type, in EC2's words. (EBS User Guide, "Amazon EBS volume types".)
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum VolumeType {
    /// General purpose SSD, current.
    Gp3,
    /// General purpose SSD, previous.
    Gp2,
    /// Provisioned IOPS SSD.
    Io1,
    /// Provisioned IOPS SSD, current.
    Io2,
    /// Throughput-optimised HDD; not for root volumes.
    St1,
    /// Cold HDD; not for root volumes.
    Sc1,
    /// Magnetic, previous generation.
    Standard,
}

impl VolumeType {
    /// The word that EC2 uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gp3 => "gp3",
            Self::Gp2 => "gp2",
            Self::Io1 => "io1",
            Self::Io2 => "io2",
            Self::St1 => "st1",
            Self::Sc1 => "sc1",
            Self::Standard => "standard",
        }
    }
}
