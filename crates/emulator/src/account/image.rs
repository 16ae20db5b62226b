//! Images, snapshots and volumes as the account remembers them.

use super::organization;
use super::tags::Tags;
use crate::blocks::BlockStore;
use crate::ids::{ImageId, InstanceId, LayerId, SnapshotId, VolumeId};
use crate::imported::volume::{self, Unwritten};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

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
    /// It is being written by blocks, see <https://docs.aws.amazon.com/ebs/latest/userguide/writesnapshots.html>.
    Writing {
        /// How long nothing may be written, in minutes, before it fails.
        timeout_minutes: u32,
        /// How far the client says it is. The account is not told of blocks: what is true is put here where it is shown.
        percent: u8,
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
            Self::Halting { .. }
            | Self::Capturing { .. }
            | Self::Writing { .. }
            | Self::Done { .. } => None,
        }
    }

    /// When it ends, one way or the other, if that is known.
    pub fn due(&self) -> Option<Timestamp> {
        match self {
            Self::Done { complete: at } | Self::Halting { at, .. } => Some(*at),
            Self::Capturing { .. } | Self::Writing { .. } | Self::Failed { .. } => None,
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
    /// How its guests are virtualised.
    #[serde(default)]
    pub virtualization: Virtualization,
    /// The kernel that a paravirtual image boots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    /// The instance store volumes it asks for: `ephemeral0` by device name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ephemeral: BTreeMap<String, String>,
    /// Its product codes; instances of it have them too, and so have images of those.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub product_codes: Vec<ProductCode>,
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
    /// Whether it refuses to be deregistered.
    #[serde(default)]
    pub protection: Protection,
    /// When an instance was last launched from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_launched: Option<Timestamp>,
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

/// How guests are virtualised, see
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ComponentsAMIs.html#virtualization_types>.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Virtualization {
    /// As hardware.
    #[default]
    Hvm,
    /// By a kernel that knows of it; on instance types of the first generations only.
    Paravirtual,
}

impl Virtualization {
    /// EC2's word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hvm => "hvm",
            Self::Paravirtual => "paravirtual",
        }
    }
}

/// A product code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProductCode {
    /// Such as `aw0evgkw8e5c1q413zgy5pjce`.
    pub id: String,
    /// `devpay` or `marketplace`.
    pub kind: String,
}

/// Whether an image refuses to be deregistered, see
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ami-deregistration-protection.html>.
///
/// ```text
///  Off ──Enable──► On ──Disable, with cooldown──► Cooling ──24 hours later──► Off
///   ▲               └───Disable, without─────────────────────────────────────►│
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protection {
    /// It does not.
    #[default]
    Off,
    /// It does.
    On {
        /// Whether it still does for 24 hours after the protection was taken off.
        cooldown: bool,
    },
    /// The protection was taken off, and it still does.
    Cooling {
        /// Until when.
        until: Timestamp,
    },
}

impl Protection {
    /// Whether a deregistration is refused at `now`.
    pub fn holds(self, now: Timestamp) -> bool {
        match self {
            Self::Off => false,
            Self::On { .. } => true,
            Self::Cooling { until } => now < until,
        }
    }

    /// EC2's words, as DescribeImages shows them.
    pub fn shown(self, now: Timestamp) -> String {
        match self {
            Self::On { cooldown: true } => "enabled-with-cooldown".to_owned(),
            Self::On { cooldown: false } => "enabled-without-cooldown".to_owned(),
            Self::Cooling { until } if now < until => {
                format!("disabled-after-cooldown-{until}")
            }
            Self::Off | Self::Cooling { .. } => "disabled".to_owned(),
        }
    }
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
    /// ARNs of organisations. A snapshot's permission has none.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub organizations: BTreeSet<String>,
    /// ARNs of organisational units. A snapshot's permission has none.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub units: BTreeSet<String>,
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
    /// The ARN of the key it is encrypted with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kms_key: Option<String>,
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
    /// The ARN of the key it is encrypted with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kms_key: Option<String>,
    /// Who may make volumes from it, beside its owner.
    pub create_volume_permission: Permission,
    /// What it holds, topmost first; nothing is an empty disk, or the host's own system for a catalogue image.
    pub layers: Vec<LayerId>,
    /// The snapshots whose blocks it consists of, topmost first: itself, if it was written by blocks, and its parents. A
    /// copy has those of what it was copied from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blocks: Vec<SnapshotId>,
    /// What is known of the system on it, if it is of an instance's root device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<Disk>,
    /// Its tags.
    pub tags: Tags,
}

/// A disk that was written by blocks, and that a guest is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportedDisk {
    /// What its files become.
    pub layer: LayerId,
    /// The snapshots whose blocks it consists of, topmost first.
    pub blocks: Vec<SnapshotId>,
    /// Its size.
    pub size_gib: u32,
    /// Whether the volume is encrypted, so that what was never put reads as noise.
    pub encrypted: bool,
}

impl ImportedDisk {
    /// The disk of a snapshot that was written by blocks, on a volume that is encrypted or not.
    pub fn of(snapshot: &Snapshot, encrypted: bool) -> Self {
        let mut parts: Vec<&str> = snapshot.blocks.iter().map(SnapshotId::as_str).collect();
        parts.push(if encrypted { "encrypted" } else { "plain" });
        Self {
            // The same blocks have the same files.
            layer: LayerId::derived(&parts),
            blocks: snapshot.blocks.clone(),
            size_gib: snapshot.size_gib,
            encrypted,
        }
    }

    /// It as bytes.
    ///
    /// # Errors
    /// If its blocks cannot be read.
    pub fn volume(&self, store: &BlockStore) -> std::io::Result<volume::Volume> {
        let unwritten = match self.encrypted {
            true => Unwritten::Noise,
            false => Unwritten::Zeros,
        };
        Ok(volume::Volume::new(
            store.chain(&self.blocks)?,
            self.size_gib,
            unwritten,
        ))
    }
}

/// What is known of the system on a disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// The user that its cloud-init sets up.
    pub default_user: String,
    /// Who carries out user-data in a guest made from it.
    pub agent: crate::guest::BootAgent,
}

impl Disk {
    /// What is known of an instance's.
    pub fn of(instance: &super::instance::Instance) -> Self {
        Self {
            default_user: instance.default_user.clone(),
            agent: instance.agent,
        }
    }
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
    /// The ARN of the key it is encrypted with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kms_key: Option<String>,
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
            Progress::Writing { percent, .. } => return *percent,
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
        self.all || self.names(account)
    }

    /// Whether `account` is among them by itself, not as one of all.
    pub fn names(&self, account: &str) -> bool {
        let member = organization::is_member(account);
        self.users.contains(account)
            || member && self.organizations.contains(organization::ORGANIZATION)
            || member && self.units.contains(organization::UNIT)
    }

    /// How many accounts, organisations and units there are.
    pub fn entities(&self) -> usize {
        self.users.len() + self.organizations.len() + self.units.len()
    }
}
