//! ImportSnapshot: a disk image in S3 becomes a snapshot.
//! <https://docs.aws.amazon.com/vm-import/latest/userguide/vmimport-import-snapshot.html>

use crate::{ImportTaskId, ObjectPlace, SnapshotEncryption, SnapshotId, Tags};

/// What ImportSnapshot is to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportRequest {
    /// The same token with the same parameters starts no second task: at most 64 ASCII characters.
    pub client_token: String,
    /// Where the disk image is.
    pub object: ObjectPlace,
    /// In which format: `RAW`, `VHD`, `VHDX` or `VMDK`.
    pub format: String,
    /// What the task and its disk say of themselves.
    pub description: String,
    /// The role that the service reads the object as.
    pub role: String,
    /// Whether the snapshot is encrypted, and with which key.
    pub encryption: SnapshotEncryption,
    /// Tags of the task. The snapshot gets none of them.
    pub tags: Tags,
}

/// How an import task stands, in EC2's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImportState {
    /// It is being done.
    Active,
    /// There is a snapshot.
    Completed,
    /// There will be none: it failed, or was cancelled.
    Ended,
}

/// An import task. <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_SnapshotTaskDetail.html>
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportTask {
    /// Its id.
    pub task_id: ImportTaskId,
    /// How it stands.
    pub state: ImportState,
    /// EC2's own word for that: `active`, `completed`, `deleting`, `deleted`.
    pub status: String,
    /// What EC2 says of it, such as `downloading/converting`; may be empty.
    pub status_message: String,
    /// How much is done, 0 to 100; none if EC2 does not say.
    pub progress_percent: Option<u8>,
    /// The snapshot, once it has an id.
    pub snapshot_id: Option<SnapshotId>,
    /// Where its disk image is; none if EC2 does not say.
    pub object: Option<ObjectPlace>,
    /// Its tags.
    pub tags: Tags,
}
