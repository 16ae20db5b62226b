//! Images, snapshots and volumes as the account remembers them.

use super::tags::Tags;
use crate::ids::{ImageId, InstanceId, LayerId, SnapshotId, VolumeId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// How far the making of a snapshot or image is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Progress {
    /// The disk is being captured.
    Capturing {
        /// Whose disk.
        instance: InstanceId,
        /// What it becomes. Written down before anything is moved, so that a capture can be completed after a crash.
        layer: LayerId,
    },
    /// The capture is done; it counts as complete from then on (that is EC2's delay, not ours).
    Done {
        /// From when on it is complete.
        complete: Timestamp,
    },
    /// It comes to `percent` at `at` and no further, because a fault asked for that.
    Halting {
        /// When it stops.
        at: Timestamp,
        /// How far it is then.
        percent: u8,
        /// Why it fails then; if nothing, it stays pending for ever.
        failure: Option<String>,
    },
    /// It failed for good.
    Failed {
        /// Why.
        reason: String,
    },
}

impl Progress {
    /// Why it has failed, if it has at `now`.
    pub fn failure(&self, now: Timestamp) -> Option<&str> {
        match self {
            Self::Failed { reason } => Some(reason),
            Self::Halting { at, failure, .. } if *at <= now => failure.as_deref(),
            Self::Halting { .. } | Self::Capturing { .. } | Self::Done { .. } => None,
        }
    }

    /// Whether it is complete at `now`.
    pub fn is_complete(&self, now: Timestamp) -> bool {
        matches!(self, Self::Done { complete } if *complete <= now)
    }
}

/// An image (AMI).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Image {
    /// Its id.
    pub id: ImageId,
    /// Its name, unique among the account's images of the region.
    pub name: String,
    /// Its description.
    pub description: String,
    /// The account that owns it.
    pub owner: String,
    /// The owner's alias, such as `amazon`.
    pub owner_alias: Option<String>,
    /// When it was made.
    pub created: Timestamp,
    /// How far its making is.
    pub progress: Progress,
    /// `x86_64` or `arm64`.
    pub architecture: String,
    /// Such as `/dev/sda1`.
    pub root_device: String,
    /// Its devices.
    pub mappings: Vec<DeviceMapping>,
    /// Who may launch it, beside its owner.
    pub launch_permission: Permission,
    /// Enhanced networking by ENA.
    pub ena_support: bool,
    /// Enhanced networking by SR-IOV: `simple` or nothing.
    pub sriov_net_support: Option<String>,
    /// `legacy-bios`, `uefi` or `uefi-preferred`.
    pub boot_mode: Option<String>,
    /// `v2.0` or nothing.
    pub tpm_support: Option<String>,
    /// `v2.0` or nothing.
    pub imds_support: Option<String>,
    /// UEFI variables as given at registration.
    pub uefi_data: Option<String>,
    /// Such as `Red Hat Enterprise Linux`.
    pub platform_details: String,
    /// Such as `RunInstances:0010`.
    pub usage_operation: String,
    /// When it counts as outdated.
    pub deprecated: Option<Timestamp>,
    /// The instance it was made from.
    pub source_instance: Option<InstanceId>,
    /// The image it was copied from, or that its instance was launched from.
    pub source_image: Option<SourceImage>,
    /// The user that its cloud-init sets up.
    pub default_user: String,
    /// Who carries out user-data in a guest made from it.
    pub agent: crate::guest::BootAgent,
    /// Its tags.
    pub tags: Tags,
}

/// Where an image came from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SourceImage {
    /// The image.
    pub id: ImageId,
    /// The image's region.
    pub region: String,
}

/// Accounts and groups that may use an image or a snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permission {
    /// Everybody (the group `all`).
    pub all: bool,
    /// Accounts.
    pub users: BTreeSet<String>,
}

/// A device of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceMapping {
    /// Such as `/dev/sda1`.
    pub device: String,
    /// The volume that is made for it.
    pub ebs: EbsDevice,
}

/// A volume to be made from an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EbsDevice {
    /// The snapshot it starts from; an empty volume if none.
    pub snapshot: Option<SnapshotId>,
    /// Its size.
    pub size_gib: u32,
    /// Such as `gp3`.
    pub volume_type: String,
    /// Operations per second, where the type lets one choose.
    pub iops: Option<u32>,
    /// MiB/s, where the type lets one choose.
    pub throughput: Option<u32>,
    /// Whether it goes with the instance.
    pub delete_on_termination: bool,
    /// Whether it is encrypted.
    pub encrypted: bool,
}

/// A snapshot.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Snapshot {
    /// Its id.
    pub id: SnapshotId,
    /// The account that owns it.
    pub owner: String,
    /// The volume it was made from (`vol-ffffffff` for a copy, as EC2 shows it).
    pub volume: String,
    /// The volume's size.
    pub size_gib: u32,
    /// Its description.
    pub description: String,
    /// When it was begun.
    pub started: Timestamp,
    /// How far it is.
    pub progress: Progress,
    /// Whether it is encrypted.
    pub encrypted: bool,
    /// Who may make volumes from it, beside its owner.
    pub create_volume_permission: Permission,
    /// What it holds, topmost first; nothing is an empty disk, or the host's own system for a catalogue image.
    pub layers: Vec<LayerId>,
    /// Its tags.
    pub tags: Tags,
}

/// A volume.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Volume {
    /// Its id.
    pub id: VolumeId,
    /// Its size.
    pub size_gib: u32,
    /// Such as `gp3`.
    pub volume_type: String,
    /// Operations per second.
    pub iops: Option<u32>,
    /// MiB/s.
    pub throughput: Option<u32>,
    /// Whether it is encrypted.
    pub encrypted: bool,
    /// The snapshot it was made from.
    pub snapshot: Option<SnapshotId>,
    /// Where it is.
    pub zone: String,
    /// When it was made.
    pub created: Timestamp,
    /// The instance it is attached to.
    pub attached_to: Option<InstanceId>,
    /// The ClientToken it was made with.
    pub client_token: Option<String>,
    /// Its tags.
    pub tags: Tags,
}

impl Image {
    /// EC2's word for its state at `now`, see <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Image.html>.
    pub fn state(&self, now: Timestamp) -> &'static str {
        match self.progress.failure(now) {
            Some(_) => "failed",
            None if self.progress.is_complete(now) => "available",
            None => "pending",
        }
    }

    /// The mapping of the root device.
    pub fn root(&self) -> Option<&DeviceMapping> {
        self.mappings.iter().find(|m| m.device == self.root_device)
    }

    /// Its snapshots.
    pub fn snapshots(&self) -> impl Iterator<Item = &SnapshotId> {
        self.mappings.iter().filter_map(|m| m.ebs.snapshot.as_ref())
    }
}

impl Snapshot {
    /// EC2's word for its state at `now`.
    pub fn state(&self, now: Timestamp) -> &'static str {
        match self.progress.failure(now) {
            Some(_) => "error",
            None if self.progress.is_complete(now) => "completed",
            None => "pending",
        }
    }

    /// How much of it is done at `now`, in percent, growing evenly over EC2's delay.
    pub fn percent(&self, now: Timestamp) -> u8 {
        let (end, most) = match &self.progress {
            Progress::Done { complete } => (complete, 100),
            Progress::Halting { at, percent, .. } => (at, *percent),
            Progress::Capturing { .. } | Progress::Failed { .. } => return 0,
        };
        let whole = end.duration_since(self.started).as_millis().max(1);
        let part = now.duration_since(self.started).as_millis().clamp(0, whole);
        u8::try_from(part * i128::from(most) / whole).unwrap_or(most)
    }
}

impl Volume {
    /// EC2's word for its state.
    pub fn state(&self) -> &'static str {
        if self.attached_to.is_some() {
            "in-use"
        } else {
            "available"
        }
    }
}

impl Permission {
    /// Whether `account` is among them.
    pub fn covers(&self, account: &str) -> bool {
        self.all || self.users.contains(account)
    }
}
