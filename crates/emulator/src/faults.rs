//! Faults on demand, for tests of clients: `faults.json` in the local EC2's folder, read again whenever it changes. The
//! endpoint `/_local/faults` ([`crate::server`]) writes the same file.
//!
//! ```json
//! {
//!   "actions": [{ "action": "CreateImage", "code": "InternalError", "message": "…", "status": 500, "times": 2 }],
//!   "throttle": { "RunInstances": { "burst": 2, "rate": 1 } },
//!   "capacity": [{ "instance_type": "m5.xlarge", "zone": "us-east-2c", "purchase": "spot", "times": 1 }],
//!   "stale_reads_ms": 2000,
//!   "clock_skew_ms": -400000,
//!   "latency_ms": { "PutSnapshotBlock": 50 },
//!   "snapshot_idle_timeout_ms": 500,
//!   "corrupt_uploads": [{ "key": "disk.raw", "part": 3, "times": 1 }],
//!   "import_tasks": [{ "message": "ClientError: Disk validation failed [Timeout]", "at_percent": 35, "times": 1 }],
//!   "short_sessions": true,
//!   "expire_sessions": true,
//!   "binding_refused": true,
//!   "instance_terminated_after_ms": { "value": 1500, "instances": { "next": 1 } }
//! }
//! ```
//!
//! All but `actions`, `throttle`, `capacity`, `corrupt_uploads`, `import_tasks`, `latency_ms` and those about reads, clock, sessions and idle snapshots are keys of [`InstanceFaults`].
//!
//! | module | subject |
//! |---|---|
//! | [`imports`] | import tasks that go wrong |
//! | [`requests`] | requests that go wrong |
//! | [`service`] | the service as a whole behaving otherwise |
//! | [`storage`] | uploads that are stored corrupted |

pub mod imports;
pub mod requests;
pub mod service;
pub mod storage;

use crate::account::import_task::ImportFate;
use crate::api::error::ApiError;
use crate::ids::InstanceId;
use crate::instance_faults::InstanceFaults;
use imports::ImportFault;
use jiff::{SignedDuration, Timestamp};
use requests::{ActionFault, RequestFault};
use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use service::{CapacityFault, CapacityRequest, LatencyFault, NoCapacity, ThrottleFault};
use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use storage::{CorruptUpload, Corruption, Stored};

/// What is to go wrong. A key that is not known is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Faults {
    /// Requests that go wrong.
    pub actions: Vec<ActionFault>,
    /// Token buckets in place of the configured ones.
    pub throttle: ThrottleFault,
    /// Capacity that EC2 does not have.
    pub capacity: Vec<CapacityFault>,
    /// Uploads that are stored otherwise than they were received.
    pub corrupt_uploads: Vec<CorruptUpload>,
    /// Import tasks that go wrong.
    pub import_tasks: Vec<ImportFault>,
    /// For so long after a change, reads answer from the state before it.
    #[serde(rename = "stale_reads_ms", deserialize_with = "service::stale")]
    pub stale_reads: Duration,
    /// How far the service's clock is ahead of this machine's, as its clients see it.
    clock_skew_ms: i64,
    /// How much later answers are sent.
    #[serde(rename = "latency_ms")]
    pub latency: LatencyFault,
    /// How long nothing may be written to a snapshot that is written by blocks, in place of what its client asked for.
    #[serde(
        rename = "snapshot_idle_timeout_ms",
        deserialize_with = "service::idle_timeout"
    )]
    pub snapshot_idle_timeout: Option<Duration>,
    /// Sessions may be as short as a second.
    pub short_sessions: bool,
    /// All sessions that there are when this is read have expired.
    pub expire_sessions: bool,
    /// What goes wrong with instances and their images; its keys stand beside the others.
    #[serde(flatten)]
    pub instances: InstanceFaults,
    /// Last: it refuses what the others have left.
    #[serde(flatten)]
    nothing_else: NothingElse,
}

/// Refuses every key. `deny_unknown_fields` would do it, were it possible beside `flatten`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct NothingElse;

impl<'de> Deserialize<'de> for NothingElse {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = NothingElse;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("no further key")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<NothingElse, A::Error> {
                match map.next_entry::<String, IgnoredAny>()? {
                    None => Ok(NothingElse),
                    Some((key, _)) => Err(A::Error::custom(format!("unknown field `{key}`"))),
                }
            }
        }
        from.deserialize_map(Keys)
    }
}

/// The faults in force.
#[derive(Debug)]
pub struct FaultFile {
    path: PathBuf,
    read: Mutex<Read>,
}

#[derive(Debug, Default)]
struct Read {
    stamp: Option<Stamp>,
    faults: Faults,
    /// Sessions issued before that have expired. It outlives the fault: what has expired stays so.
    expired_before: Option<Timestamp>,
    /// Whether `expire_sessions` of this content has had its effect.
    expired: bool,
}

/// What tells one content of the file from another without reading it: a file that is replaced has another inode.
type Stamp = (SystemTime, u64, u64);

/// The file cannot be used, written or removed.
#[derive(Debug, thiserror::Error)]
#[error("cannot use {path}: {why}")]
pub struct BadFaults {
    path: PathBuf,
    why: String,
    /// Whether the faults themselves are wrong, and not the file.
    pub malformed: bool,
}

impl FaultFile {
    /// The faults of a local EC2's folder.
    pub fn new(dir: &Path) -> Self {
        Self {
            path: dir.join("faults.json"),
            read: Mutex::default(),
        }
    }

    /// What is to go wrong now. A file that cannot be read as faults is an error of every request, so that no test
    /// passes because its faults were misspelt.
    ///
    /// # Errors
    /// `InternalError` naming the file and what is wrong with it.
    pub fn now(&self) -> Result<Faults, ApiError> {
        self.with(|read| read.faults.clone())
    }

    /// What goes wrong with a request; counts it.
    ///
    /// # Errors
    /// As [`FaultFile::now`].
    pub fn meet(&self, action: &str, region: &str) -> Result<Option<RequestFault>, ApiError> {
        self.with(|read| requests::meet(&mut read.faults.actions, action, region))
    }

    /// Counts an instance as launched, for faults that are for the next so many. What is wrong with the file is said to
    /// whoever asks for something.
    pub fn launched(&self, id: &InstanceId) {
        let _ = self.with(|read| read.faults.instances.launched(id));
    }

    /// The zone that a launch goes to; counts it if there is none.
    ///
    /// # Errors
    /// As [`FaultFile::now`]; inside, that there is no capacity.
    pub fn place(
        &self,
        request: &CapacityRequest<'_>,
    ) -> Result<Result<String, NoCapacity>, ApiError> {
        self.with(|read| service::place(&mut read.faults.capacity, request))
    }

    /// What becomes of the next import task; counts it.
    ///
    /// # Errors
    /// As [`FaultFile::now`].
    pub fn import_fate(&self) -> Result<Option<ImportFate>, ApiError> {
        self.with(|read| imports::meet(&mut read.faults.import_tasks))
    }

    /// How what is uploaded is corrupted; counts it.
    ///
    /// # Errors
    /// As [`FaultFile::now`].
    pub fn corrupts(&self, stored: &Stored<'_>) -> Result<Option<Corruption>, ApiError> {
        self.with(|read| storage::meet(&mut read.faults.corrupt_uploads, stored))
    }

    /// When the last `expire_sessions` had its effect, which is now if it had none yet.
    ///
    /// # Errors
    /// As [`FaultFile::now`].
    pub fn sessions_expired_before(&self, now: Timestamp) -> Result<Option<Timestamp>, ApiError> {
        self.with(|read| {
            if read.faults.expire_sessions && !read.expired {
                (read.expired, read.expired_before) = (true, Some(now));
            }
            read.expired_before
        })
    }

    /// The file's text; none if there is no file.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn text(&self) -> Result<Option<Vec<u8>>, BadFaults> {
        match std::fs::read(&self.path) {
            Ok(text) => Ok(Some(text)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(self.bad(&e, false)),
        }
    }

    /// Replaces the file by `text`, or removes it. The faults are in force, with their counts begun anew, when this
    /// returns.
    ///
    /// # Errors
    /// If `text` is not faults, which leaves the file as it is, or if the file cannot be written.
    pub fn set(&self, text: Option<&[u8]>) -> Result<(), BadFaults> {
        let mut read = self.lock();
        let faults = match text {
            Some(text) => serde_json::from_slice(text).map_err(|e| self.bad(&e, true))?,
            None => Faults::default(),
        };
        match text {
            Some(text) => {
                crate::files::replace(&self.path, text).map_err(|e| self.bad(&e, false))?;
            }
            None => match std::fs::remove_file(&self.path) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    return Err(self.bad(&e, false));
                }
                _ => {}
            },
        }
        read.put(self.stamp(), faults);
        Ok(())
    }

    fn bad(&self, why: &dyn std::fmt::Display, malformed: bool) -> BadFaults {
        BadFaults {
            path: self.path.clone(),
            why: why.to_string(),
            malformed,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Read> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stamp(&self) -> Option<Stamp> {
        let metadata = std::fs::metadata(&self.path).ok()?;
        Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
    }

    fn with<T>(&self, act: impl FnOnce(&mut Read) -> T) -> Result<T, ApiError> {
        let mut read = self.lock();
        let stamp = self.stamp();
        if stamp != read.stamp {
            let unusable =
                |e: BadFaults| ApiError::new("InternalError", e.to_string()).with_status(500);
            let faults = match self.text().map_err(unusable)? {
                None => Faults::default(),
                Some(text) => serde_json::from_slice(&text)
                    .map_err(|e| self.bad(&e, true))
                    .map_err(unusable)?,
            };
            read.put(stamp, faults);
        }
        Ok(act(&mut read))
    }
}

impl Read {
    fn put(&mut self, stamp: Option<Stamp>, faults: Faults) {
        (self.stamp, self.faults, self.expired) = (stamp, faults, false);
    }
}

impl Faults {
    /// How far the service's clock is ahead of this machine's, as its clients see it: in the signatures it takes, in
    /// the `Date` of its answers and in the times of parameters.
    pub fn clock_skew(&self) -> SignedDuration {
        SignedDuration::from_millis(self.clock_skew_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_fails_as_often_as_asked_and_the_file_is_read_again_when_it_changes() {
        let dir = tempfile::tempdir().unwrap();
        let faults = FaultFile::new(dir.path());
        let refused = |action| faults.meet(action, "us-east-2").unwrap().is_some();
        assert!(!refused("CreateImage"));
        let write = |text: &str| std::fs::write(dir.path().join("faults.json"), text).unwrap();
        write(
            r#"{"actions":[{"action":"CreateImage","code":"InternalError","status":500,"times":2}]}"#,
        );
        assert!(refused("CreateImage"));
        assert!(!refused("RunInstances"));
        assert!(refused("CreateImage"));
        assert!(!refused("CreateImage"));
        write(r#"{"binding_refused":true}"#);
        assert_ne!(
            faults.now().unwrap().instances,
            InstanceFaults::default(),
            "keys of both kinds stand side by side"
        );
        write(r#"{"bindings_refused":true}"#);
        assert!(
            faults
                .now()
                .unwrap_err()
                .message()
                .contains("bindings_refused")
        );
        std::fs::remove_file(dir.path().join("faults.json")).unwrap();
        assert_eq!(faults.now().unwrap(), Faults::default());
    }

    #[test]
    fn faults_that_are_set_are_in_the_file_and_wrong_ones_leave_it() {
        let dir = tempfile::tempdir().unwrap();
        let faults = FaultFile::new(dir.path());
        assert_eq!(faults.text().unwrap(), None);
        let set = br#"{"actions":[{"action":"*","kind":"throttle","times":1}]}"#;
        for _ in 0..2 {
            faults.set(Some(set)).unwrap();
            assert_eq!(faults.text().unwrap().unwrap(), set);
            let meet = || faults.meet("StopInstances", "us-east-2").unwrap();
            assert_eq!(meet(), Some(RequestFault::Throttle), "counted anew");
            assert_eq!(meet(), None);
        }
        let refused = faults.set(Some(br#"{"expire_session":true}"#)).unwrap_err();
        assert!(refused.malformed && refused.to_string().contains("expire_session"));
        assert_eq!(faults.text().unwrap().unwrap(), set);
        faults.set(None).unwrap();
        faults.set(None).unwrap();
        assert_eq!(faults.text().unwrap(), None);
        assert!(!dir.path().join("faults.json").exists());
    }

    #[test]
    fn sessions_expire_once_for_each_time_it_is_asked_and_stay_so() {
        let dir = tempfile::tempdir().unwrap();
        let faults = FaultFile::new(dir.path());
        let at = |second| Timestamp::from_second(second).unwrap();
        let before = |second| faults.sessions_expired_before(at(second)).unwrap();
        assert_eq!(before(1), None);
        faults.set(Some(br#"{"expire_sessions":true}"#)).unwrap();
        assert_eq!(before(2), Some(at(2)));
        assert_eq!(before(3), Some(at(2)));
        faults.set(None).unwrap();
        assert_eq!(before(4), Some(at(2)));
        faults.set(Some(br#"{"expire_sessions":true}"#)).unwrap();
        assert_eq!(before(5), Some(at(5)));
    }
}
