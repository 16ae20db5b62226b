//! Tasks that make snapshots of disk images in S3.
//!
//! <https://docs.aws.amazon.com/vm-import/latest/userguide/vmimport-import-snapshot.html>
//!
//! ```text
//!  Active ──the snapshot is made──► Completed
//!    │
//!    └──fails, CancelImportTask──► Ended: shown as `deleting` for a while, then as `deleted`
//! ```

use super::tags::Tags;
use crate::ids::{ImportTaskId, SnapshotId};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// What a disk image is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum DiskFormat {
    /// The disk's bytes.
    Raw,
    /// Of Hyper-V and Citrix, fixed or dynamic.
    Vhd,
    /// Of Hyper-V.
    Vhdx,
    /// Of ESX, stream-optimised.
    Vmdk,
    /// A whole machine. It is taken when it is asked for, and then found to be no disk.
    Ova,
}

impl DiskFormat {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Raw, Self::Vhd, Self::Vhdx, Self::Vmdk, Self::Ova];

    /// EC2's word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Raw => "RAW",
            Self::Vhd => "VHD",
            Self::Vhdx => "VHDX",
            Self::Vmdk => "VMDK",
            Self::Ova => "OVA",
        }
    }

    /// The format of that name, in any case, as EC2 takes it.
    pub fn named(name: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|f| f.name().eq_ignore_ascii_case(name))
    }
}

/// The object that is imported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportSource {
    /// The bucket.
    pub bucket: String,
    /// The key.
    pub key: String,
    /// Its entity tag when it was asked for: another object under the same key is another one.
    pub etag: String,
    /// Its length.
    pub size: u64,
    /// The URL, if it was named by one.
    pub url: Option<String>,
}

/// What a fault makes of a task. It is written down when the task begins, and holds although the faults change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ImportFate {
    /// It fails when it has come so far.
    Fails {
        /// How far it comes.
        percent: u8,
        /// What its status message says then.
        message: String,
    },
    /// It comes so far and no further.
    Stuck {
        /// How far it comes.
        percent: u8,
    },
}

/// Where a task is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ImportPhase {
    /// It goes on.
    Active {
        /// When it is done, if the work itself does not take longer.
        due: Timestamp,
        /// The snapshot that it is to become.
        target: SnapshotId,
    },
    /// It is done.
    Completed {
        /// The snapshot.
        snapshot: SnapshotId,
        /// When.
        at: Timestamp,
    },
    /// It failed or was cancelled.
    Ended {
        /// From when on it is shown as `deleted`.
        gone: Timestamp,
        /// Why.
        message: String,
    },
}

/// A task.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ImportTask {
    /// Its id.
    pub id: ImportTaskId,
    /// When it was begun.
    pub created: Timestamp,
    /// Its description.
    pub description: String,
    /// The disk's description.
    pub disk_description: Option<String>,
    /// What is said to lie there.
    pub format: DiskFormat,
    /// Where.
    pub source: ImportSource,
    /// The role that reads it.
    pub role: String,
    /// Whether the snapshot is to be encrypted.
    pub encrypted: bool,
    /// The ARN of the key it is to be encrypted with.
    pub kms_key: Option<String>,
    /// What a fault makes of it.
    pub fate: Option<ImportFate>,
    /// Where it is.
    pub phase: ImportPhase,
    /// Its tags. The snapshot gets none of them.
    pub tags: Tags,
}

/// How long a task is shown that has ended: "completed or canceled in the previous 7 days"
/// (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeImportSnapshotTasks.html>).
const SHOWN: SignedDuration = SignedDuration::from_hours(7 * 24);

impl ImportTask {
    /// Whether it goes on.
    pub fn is_active(&self) -> bool {
        matches!(self.phase, ImportPhase::Active { .. })
    }

    /// EC2's word for where it is at `now`.
    pub fn status(&self, now: Timestamp) -> &'static str {
        match &self.phase {
            ImportPhase::Active { .. } => "active",
            ImportPhase::Completed { .. } => "completed",
            ImportPhase::Ended { gone, .. } if *gone <= now => "deleted",
            ImportPhase::Ended { .. } => "deleting",
        }
    }

    /// How far it is at `now`, in percent; none if it does not go on. It grows evenly over EC2's delay, and stays below 100
    /// until the snapshot is there.
    pub fn percent(&self, now: Timestamp) -> Option<u8> {
        let ImportPhase::Active { due, .. } = &self.phase else {
            return None;
        };
        let most = match &self.fate {
            Some(ImportFate::Fails { percent, .. } | ImportFate::Stuck { percent }) => *percent,
            None => 99,
        };
        let whole = due.duration_since(self.created).as_millis().max(1);
        let part = now.duration_since(self.created).as_millis().clamp(0, whole);
        // "Progress": "3" is where EC2's own example begins.
        let percent = u8::try_from(part * 100 / whole).unwrap_or(100).max(3);
        Some(percent.min(most))
    }

    /// What it says of itself at `now`.
    pub fn message(&self, now: Timestamp) -> Option<&str> {
        match (&self.phase, self.percent(now)) {
            (ImportPhase::Ended { message, .. }, _) => Some(message),
            (_, Some(0..10)) => Some("pending"),
            (_, Some(_)) => Some("downloading/converting"),
            (_, None) => None,
        }
    }

    /// When it comes to a percentage, if its work does not take longer.
    pub fn reaches(&self, percent: u8) -> Option<Timestamp> {
        let ImportPhase::Active { due, .. } = &self.phase else {
            return None;
        };
        let whole = due.duration_since(self.created);
        let part = whole.checked_mul(i32::from(percent))? / 100;
        self.created.checked_add(part).ok()
    }

    /// Whether EC2 still tells of it at `now`.
    pub fn is_shown(&self, now: Timestamp) -> bool {
        let since = match &self.phase {
            ImportPhase::Active { .. } => return true,
            ImportPhase::Completed { at, .. } => *at,
            ImportPhase::Ended { gone, .. } => *gone,
        };
        now.duration_since(since) < SHOWN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn task(fate: Option<ImportFate>) -> ImportTask {
        ImportTask {
            id: ImportTaskId::random(),
            created: at(0),
            description: String::new(),
            disk_description: None,
            format: DiskFormat::Raw,
            source: ImportSource {
                bucket: "b".into(),
                key: "k".into(),
                etag: String::new(),
                size: 1,
                url: None,
            },
            role: "vmimport".into(),
            encrypted: false,
            kms_key: None,
            fate,
            phase: ImportPhase::Active {
                due: at(100),
                target: SnapshotId::random(),
            },
            tags: Tags::default(),
        }
    }

    #[test]
    fn progress_grows_and_never_says_done_before_it_is() {
        let plain = task(None);
        let shown = |t: &ImportTask, s| {
            (
                t.percent(at(s)).unwrap(),
                t.message(at(s)).unwrap().to_owned(),
            )
        };
        assert_eq!(shown(&plain, 0), (3, "pending".into()));
        assert_eq!(shown(&plain, 42), (42, "downloading/converting".into()));
        assert_eq!(shown(&plain, 500), (99, "downloading/converting".into()));
        let stuck = task(Some(ImportFate::Stuck { percent: 47 }));
        assert_eq!(shown(&stuck, 5_000).0, 47);
        assert_eq!(stuck.reaches(47), Some(at(47)));
    }

    #[test]
    fn what_has_ended_is_deleting_then_deleted_and_forgotten_after_a_week() {
        let mut ended = task(None);
        ended.phase = ImportPhase::Ended {
            gone: at(10),
            message: "why".into(),
        };
        assert_eq!(
            (ended.status(at(9)), ended.status(at(10))),
            ("deleting", "deleted")
        );
        assert_eq!(
            (ended.percent(at(9)), ended.message(at(9))),
            (None, Some("why"))
        );
        let week = 7 * 24 * 3600;
        assert!(ended.is_shown(at(week)) && !ended.is_shown(at(10 + week)));
    }

    #[test]
    fn formats_are_taken_in_any_case() {
        assert_eq!(DiskFormat::named("vmdk"), Some(DiskFormat::Vmdk));
        assert_eq!(DiskFormat::named("Raw"), Some(DiskFormat::Raw));
        assert_eq!(DiskFormat::named("qcow2"), None);
    }
}
