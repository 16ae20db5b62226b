//! Images and the snapshots behind them.

use crate::{AccountId, EbsVolume, ImageId, InstanceId, SnapshotId, Tags, Timestamp, VolumeId};
use std::collections::BTreeSet;

/// An image's state, in EC2's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageState {
    /// Its snapshots are being made.
    Pending,
    /// Instances can be launched from it.
    Available,
    /// It will never become available.
    Failed,
    /// It is gone, or on its way out.
    Gone,
    /// A state that this version of qib does not know.
    Other(String),
}

/// An image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Its id.
    pub image_id: ImageId,
    /// Its name, unique per account and region.
    pub name: String,
    /// Its description; may be empty.
    pub description: String,
    /// Its state.
    pub state: ImageState,
    /// Why it failed, if it did and EC2 says so.
    pub state_reason: Option<String>,
    /// When it was created; none if EC2 does not say.
    pub created: Option<Timestamp>,
    /// The account that owns it.
    pub owner: Option<AccountId>,
    /// `x86_64`, `arm64` …
    pub architecture: String,
    /// The device that holds the root file system.
    pub root_device: Option<String>,
    /// The snapshots behind it.
    pub snapshots: Vec<SnapshotId>,
    /// Its tags.
    pub tags: Tags,
    /// When it is deprecated: from then on EC2 shows it to its owner only. None if it never is.
    pub deprecated: Option<Timestamp>,
    /// Whether it refuses to be deregistered (`deregistrationProtection`).
    pub protected: bool,
    /// Whether everyone may launch it.
    pub public: bool,
    /// How it boots, in EC2's words (`legacy-bios`, `uefi`, `uefi-preferred`); none if it does not say.
    pub boot_mode: Option<String>,
    /// How it is virtualised, in EC2's words: `hvm` or `paravirtual`.
    pub virtualization: String,
    /// Its block devices as EC2 has them.
    pub volumes: Vec<EbsVolume>,
}

/// Which images to describe. Every given part must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageFilter {
    /// Exactly these; empty for any.
    pub image_ids: Vec<ImageId>,
    /// Owners: account ids, `self`, `amazon`, `aws-marketplace`; empty for any.
    pub owners: Vec<String>,
    /// EC2 filters by name, such as `name` or `tag:qib:stage`; a value may have `*` and `?`.
    pub filters: Vec<(String, Vec<String>)>,
    /// Whether deprecated images of other owners count too. Those asked for by their ids always do.
    /// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ami-deprecate.html>
    pub include_deprecated: bool,
}

/// In which state an instance is captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capture {
    /// It is stopped; `NoReboot` is sent.
    Stopped,
    /// It runs and cannot be stopped, as a one-time spot instance: EC2 shuts it down for the snapshots and starts it
    /// again. <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateImage.html>
    Rebooting,
}

/// What CreateImage is to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageRequest {
    /// The instance to capture.
    pub instance_id: InstanceId,
    /// In which state it is.
    pub capture: Capture,
    /// The image's name.
    pub name: String,
    /// The image's description; may be empty.
    pub description: String,
    /// Volumes of the image that differ from the instance's.
    pub volumes: Vec<EbsVolume>,
    /// Devices of the instance that the image leaves out (`NoDevice`).
    pub left_out_devices: Vec<String>,
    /// Tags of the image, given in the same call.
    pub image_tags: Tags,
    /// Tags of each snapshot, given in the same call.
    pub snapshot_tags: Tags,
}

/// What RegisterImage is to make of snapshots: the way to an image with properties that CreateImage cannot give.
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RegisterImage.html>
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterRequest {
    /// The image's name.
    pub name: String,
    /// The image's description; may be empty.
    pub description: String,
    /// `x86_64`, `arm64` …
    pub architecture: String,
    /// `hvm` or `paravirtual`.
    pub virtualization: String,
    /// The device that holds the root file system.
    pub root_device: String,
    /// The block devices, each with the snapshot it is made from unless it begins empty.
    pub volumes: Vec<EbsVolume>,
    /// `legacy-bios`, `uefi` or `uefi-preferred`.
    pub boot_mode: Option<String>,
    /// `v2.0`.
    pub tpm: Option<String>,
    /// The UEFI variable store, base64.
    pub uefi_data: Option<String>,
    /// Whether instances of it speak IMDSv2 only (`ImdsSupport=v2.0`).
    pub imds_v2: bool,
    /// Whether it has enhanced networking with ENA.
    pub ena: Option<bool>,
    /// Whether it has enhanced networking with the Intel 82599 VF interface (`simple`).
    pub sriov: bool,
    /// Tags of the image, given in the same call.
    pub image_tags: Tags,
}

/// What CreateSnapshots is to make: a snapshot of each volume of an instance at one point in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotsRequest {
    /// The instance.
    pub instance_id: InstanceId,
    /// Volumes of it, other than the root volume, that get none; at most 40.
    pub excluded: Vec<VolumeId>,
    /// What each snapshot's description says.
    pub description: String,
    /// Tags of each snapshot, given in the same call.
    pub tags: Tags,
}

/// A snapshot of a volume that belongs to an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeSnapshot {
    /// The snapshot.
    pub snapshot_id: SnapshotId,
    /// The volume it was made of.
    pub volume_id: VolumeId,
}

/// What CopyImage is to make. The call goes to the region that the copy is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyRequest {
    /// The same token with the same parameters copies nothing twice: at most 64 ASCII characters.
    pub client_token: String,
    /// Where the image is.
    pub source_region: crate::RegionName,
    /// The image.
    pub source_image: ImageId,
    /// The copy's name.
    pub name: String,
    /// The copy's description; may be empty.
    pub description: String,
    /// Whether the copy's snapshots are encrypted; encrypted ones always stay so.
    pub encrypted: bool,
    /// The KMS key of the destination's region to encrypt them with; none for the account's own EBS key.
    pub kms_key_id: Option<String>,
    /// Tags of the copy, given in the same call.
    pub image_tags: Tags,
    /// Tags of each of its snapshots, given in the same call.
    pub snapshot_tags: Tags,
}

/// Who may use an image or a snapshot besides its owner.
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_LaunchPermission.html>
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permissions {
    /// Whether everyone may.
    pub public: bool,
    /// Accounts.
    pub accounts: BTreeSet<AccountId>,
    /// ARNs of organisations. Snapshots cannot be shared so.
    pub organizations: BTreeSet<String>,
    /// ARNs of organisational units. Snapshots cannot be shared so.
    pub organizational_units: BTreeSet<String>,
}

impl Permissions {
    /// Whether nobody but the owner may.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What of `self` is not in `other`.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        Self {
            public: self.public && !other.public,
            accounts: self.accounts.difference(&other.accounts).cloned().collect(),
            organizations: self
                .organizations
                .difference(&other.organizations)
                .cloned()
                .collect(),
            organizational_units: self
                .organizational_units
                .difference(&other.organizational_units)
                .cloned()
                .collect(),
        }
    }
}

/// Whether permissions are given or taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// They are added to what there is.
    Add,
    /// They are taken away.
    Remove,
}

/// Whether an image refuses to be deregistered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeregistrationProtection {
    /// It does not.
    Off,
    /// It does, and for 24 hours after the protection was taken off if there is a cooldown.
    On {
        /// Whether there is a cooldown.
        cooldown: bool,
    },
}

/// Whether an account lets images or snapshots be shared with everyone in a region
/// (GetImageBlockPublicAccessState, GetSnapshotBlockPublicAccessState).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PublicSharing {
    /// It does.
    #[default]
    Allowed,
    /// New public sharing is refused.
    Blocked,
}

/// An image that a launch template's version starts instances from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaunchTemplateImage {
    /// The template: `lt-…`.
    pub template_id: String,
    /// The template's name.
    pub template_name: String,
    /// The version.
    pub version: i64,
    /// The image.
    pub image_id: ImageId,
}

/// A snapshot's state, in EC2's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SnapshotState {
    /// It is being made.
    Pending,
    /// It is whole.
    Completed,
    /// It failed, or is in a state that cannot become whole.
    Failed(String),
}

/// A snapshot of a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Its id.
    pub snapshot_id: SnapshotId,
    /// Its state.
    pub state: SnapshotState,
    /// How much is done, 0 to 100.
    pub progress_percent: u8,
    /// Its description, which names the image it was made for.
    pub description: String,
    /// The size of the volume it was made of, in GiB.
    pub volume_gib: u32,
    /// The ARN of the KMS key that it is encrypted with; none if it is not.
    pub kms_key_id: Option<String>,
    /// When it was begun; none if EC2 does not say.
    pub started: Option<Timestamp>,
    /// Its tags.
    pub tags: Tags,
}

/// An EBS volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// Its id.
    pub volume_id: VolumeId,
    /// Its state, in EC2's words: `creating`, `available`, `in-use`, `deleting`, `deleted`, `error`.
    pub state: String,
    /// The instances it is attached to.
    pub attached_to: Vec<InstanceId>,
    /// When it was created; none if EC2 does not say.
    pub created: Option<Timestamp>,
    /// Its tags.
    pub tags: Tags,
}
