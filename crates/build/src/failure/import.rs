//! Why a disk image does not become an image.

use super::with_causes;
use crate::cancel::Cancelled;
use crate::host::DiskImageError;
use crate::transfer::UploadError;
use crate::transfer::acknowledged::AcknowledgedError;
use std::time::Duration;

/// Why a disk image does not become an image.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what the variants are")]
pub enum ImportError {
    /// It is not here, or not what it should be.
    #[error(transparent)]
    Image(#[from] DiskImageError),
    /// The same, of a file on this machine, found before anything was made.
    #[error(transparent)]
    File(DiskImageError),
    #[error("the disk image {file} cannot be used: {}", with_causes(.error))]
    Unusable {
        file: String,
        #[source]
        error: disk::OpenError,
    },
    #[error("the disk image {file} cannot be read: {}", with_causes(.error))]
    Unreadable {
        file: String,
        #[source]
        error: disk::ReadError,
    },
    #[error("the disk image {file} has other files beside it, of which its checksum says nothing")]
    ChecksumOfPart { file: String },
    #[error("the disk image {file} is empty")]
    Empty { file: String },
    #[error("the disk image {file} has {gib} GiB, and a volume has at most 64 TiB")]
    TooLarge { file: String, gib: u64 },
    #[error("the KMS key {key} cannot be used in {region}: {why}")]
    Key {
        key: String,
        region: String,
        why: String,
    },
    #[error("the disk image {file} needs a volume of {gib} GiB, and {device} is to have {said}")]
    VolumeTooSmall {
        file: String,
        gib: u32,
        device: String,
        said: u32,
    },
    #[error(
        "the processor architecture of {file} cannot be told from its partition table ({seen})"
    )]
    Architecture { file: String, seen: String },
    #[error("the snapshot {snapshot} cannot be written: {}", with_causes(.error))]
    Upload {
        snapshot: String,
        #[source]
        error: Box<UploadError>,
    },
    #[error("the disk image {file} was changed while it was sent")]
    Changed { file: String },
    #[error("stopped on request")]
    Stopped(Cancelled),
    #[error(transparent)]
    Record(#[from] AcknowledgedError),
    #[error("EBS says that the blocks of {snapshot} have {found} bytes, and not 524288")]
    BlockSize { snapshot: String, found: usize },
    #[error("the parent {parent}: {why}")]
    Parent { parent: String, why: String },
    #[error("the snapshot {snapshot} of the disk image failed: {reason}")]
    SnapshotFailed { snapshot: String, reason: String },
    #[error("the snapshot {snapshot} of the disk image was not whole after {waited:?}")]
    SnapshotSlow { snapshot: String, waited: Duration },
    #[error("the bucket {bucket} is in {found}, and the image is imported in {region}")]
    BucketRegion {
        bucket: String,
        found: String,
        region: String,
    },
    #[error(
        "the disk image has {gib} GiB: as one object in parts of at most {part_mib} MiB that is too much"
    )]
    ObjectTooLarge { gib: u64, part_mib: u64 },
    #[error("{format} cannot be imported by EC2 as it is")]
    OriginalFormat { format: String },
    #[error("what S3 has as {object} is not what was sent: {what}")]
    ObjectDiffers { object: String, what: String },
    #[error(
        "the import task {task} of {object} was {status}{message}, after {attempts} of {allowed} attempts"
    )]
    Task {
        task: String,
        object: String,
        status: String,
        message: String,
        attempts: u32,
        allowed: u32,
    },
    #[error(
        "the import task {task} of {object} was {percent} done after {waited:?}{message}, after {attempts} of {allowed} attempts"
    )]
    TaskSlow {
        task: String,
        object: String,
        percent: String,
        message: String,
        waited: Duration,
        attempts: u32,
        allowed: u32,
    },
}

impl ImportError {
    /// What the reader can do.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Image(error) | Self::File(error) => return error.hint.clone(),
            Self::Unusable { .. } => {
                "If it is another format than it looks like, say which: `source.import.format`, or `--format` on the command line. `qemu-img check` looks at it more closely."
            }
            Self::Unreadable { .. } => "Fetch or copy the file again; `qemu-img check` tells more.",
            Self::ChecksumOfPart { .. } => {
                "Leave the checksum out: what is in the disk is compared, then. Or make one file of it: `qemu-img convert -O qcow2`."
            }
            Self::Empty { .. } => "Was it ever written? A download that failed leaves such a file.",
            Self::TooLarge { .. } => "Shrink it before it is imported.",
            Self::Key { .. } => "Name one of this region by its id, `alias/NAME` or ARN.",
            Self::VolumeTooSmall { .. } => {
                "Give it that size, or none: `size_gib` in `image.volumes`, `--size` on the command line."
            }
            Self::Architecture { .. } => {
                "Say it: `arch: x86_64` or `arch: arm64` in `source.import`; `--arch` on the command line."
            }
            Self::Upload { error, .. } => match error.as_ref() {
                UploadError::Cloud(error) => return error.hint().map(str::to_owned),
                _ => return None,
            },
            Self::Changed { .. } => "Run again when nothing writes to it any more.",
            Self::Stopped(_) => return None,
            Self::Record(_) => "Is there room in the state folder (QIB_STATE_DIR)?",
            Self::BlockSize { .. } => "EBS has changed; qib has to be changed with it.",
            Self::Parent { .. } => {
                "It must be a completed snapshot of this account and region, unencrypted, and no larger than the new one; without a parent everything is sent."
            }
            Self::SnapshotFailed { .. } | Self::SnapshotSlow { .. } => {
                "Run again: what was sent is not known to be whole."
            }
            Self::BucketRegion { .. } => "Take a bucket of that region.",
            Self::ObjectTooLarge { .. } => "Take `via: ebs`, which has no such limit.",
            Self::OriginalFormat { .. } => {
                "EC2 takes raw, VHD, VHDX and stream-optimised VMDK. Leave `upload_as: original` out, or take `via: ebs`."
            }
            Self::ObjectDiffers { .. } => "Run again; the object has been removed.",
            Self::Task { message, .. } if message.contains("Disk validation failed") => {
                "The image may be in a format that EC2 does not read: `upload_as: raw` or `via: ebs` avoid its converter."
            }
            Self::Task { .. } | Self::TaskSlow { .. } => {
                "`via: ebs` needs no import task. `aws ec2 describe-import-snapshot-tasks` shows what EC2 says."
            }
        };
        Some(hint.to_owned())
    }

    /// Whether the caller's own input is wrong, if nothing was made yet.
    pub fn is_bad_input(&self) -> bool {
        matches!(
            self,
            Self::File(_)
                | Self::Unusable { .. }
                | Self::Unreadable { .. }
                | Self::ChecksumOfPart { .. }
                | Self::Empty { .. }
                | Self::Architecture { .. }
        )
    }
}
