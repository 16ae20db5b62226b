//! Images and the snapshots behind them.

use crate::{AccountId, EbsVolume, ImageId, InstanceId, SnapshotId, Tags, Timestamp, VolumeId};

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
    /// Tags of the image, given in the same call.
    pub image_tags: Tags,
    /// Tags of each snapshot, given in the same call.
    pub snapshot_tags: Tags,
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
