//! Locks on a local EC2's folder.

use super::DaemonError;
use crate::files;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::fs::File;
use std::path::Path;

/// Held by the daemon for as long as it lives; the kernel lets go of it however the daemon ends.
#[derive(Debug)]
pub(super) struct DaemonLock(
    #[expect(dead_code, reason = "the lock is held by the open file")] File,
);

/// Held while a daemon is being started or stopped, so that two callers do not do so at once.
#[derive(Debug)]
pub(super) struct ControlLock(
    #[expect(dead_code, reason = "the lock is held by the open file")] File,
);

const DAEMON: &str = "daemon.lock";
const CONTROL: &str = "control.lock";

impl DaemonLock {
    /// Takes the lock.
    ///
    /// # Errors
    /// `AlreadyRunning` if another process holds it.
    pub(super) fn take(dir: &Path) -> Result<Self, DaemonError> {
        let path = dir.join(DAEMON);
        let file =
            files::append(&path).map_err(DaemonError::io("open the daemon's lock", &path))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self(file)),
            Err(Errno::WOULDBLOCK) => Err(DaemonError::AlreadyRunning {
                dir: dir.to_owned(),
            }),
            Err(e) => Err(DaemonError::io("lock", &path)(e.into())),
        }
    }

    /// Whether a daemon holds it.
    pub(super) fn is_held(dir: &Path) -> Result<bool, DaemonError> {
        let path = dir.join(DAEMON);
        match File::open(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(DaemonError::io("open the daemon's lock", &path)(e)),
            Ok(file) => match flock(&file, FlockOperation::NonBlockingLockShared) {
                Ok(()) => Ok(false),
                Err(Errno::WOULDBLOCK) => Ok(true),
                Err(e) => Err(DaemonError::io("lock", &path)(e.into())),
            },
        }
    }

    /// Waits until no daemon holds it.
    pub(super) fn wait_until_free(dir: &Path) -> Result<(), DaemonError> {
        let path = dir.join(DAEMON);
        let file =
            files::append(&path).map_err(DaemonError::io("open the daemon's lock", &path))?;
        flock(&file, FlockOperation::LockExclusive)
            .map_err(|e| DaemonError::io("wait for the daemon's end", &path)(e.into()))
    }
}

impl ControlLock {
    /// Waits for the lock.
    pub(super) fn take(dir: &Path) -> Result<Self, DaemonError> {
        let path = dir.join(CONTROL);
        let file = files::append(&path).map_err(DaemonError::io("open the control lock", &path))?;
        flock(&file, FlockOperation::LockExclusive)
            .map_err(|e| DaemonError::io("lock", &path)(e.into()))?;
        Ok(Self(file))
    }
}
