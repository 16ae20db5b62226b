//! What is known of a folder's daemon.

use super::DaemonError;
use super::lock::DaemonLock;
use crate::files;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// A local EC2 as its users need to know it. Keys are only ever added.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Whether the daemon runs. If not, the rest is what held when it last ran.
    pub running: bool,
    /// Such as `http://127.0.0.1:4592`.
    pub endpoint: Option<String>,
    /// The region that is used where nothing names one.
    pub region: Option<String>,
    /// The account's access key.
    pub access_key_id: Option<String>,
    /// Its secret. It opens nothing but this local EC2.
    pub secret_access_key: Option<String>,
    /// The port of guests' SSH servers on their public addresses.
    pub ssh_port: Option<u16>,
    /// The daemon's process.
    pub pid: Option<u32>,
    /// How guests run here.
    pub guest_mode: Option<String>,
}

impl std::fmt::Debug for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Status")
            .field("running", &self.running)
            .field("endpoint", &self.endpoint)
            .field("pid", &self.pid)
            .finish_non_exhaustive()
    }
}

const FILE: &str = "daemon.json";

impl Status {
    fn unknown() -> Self {
        Self {
            running: false,
            endpoint: None,
            region: None,
            access_key_id: None,
            secret_access_key: None,
            ssh_port: None,
            pid: None,
            guest_mode: None,
        }
    }

    /// Writes it down for [`status`].
    pub(super) fn write(&self, dir: &Path) -> Result<(), DaemonError> {
        let path = dir.join(FILE);
        let write = || -> std::io::Result<()> { files::replace(&path, &serde_json::to_vec(self)?) };
        write().map_err(DaemonError::io("write", &path))
    }
}

/// A folder's daemon.
///
/// # Errors
/// If its files cannot be read.
pub fn status(dir: &Path) -> Result<Status, DaemonError> {
    let running = DaemonLock::is_held(dir)?;
    let path = dir.join(FILE);
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Ok(Status {
                running,
                ..Status::unknown()
            });
        }
        Err(e) => return Err(DaemonError::io("read", &path)(e)),
    };
    let known: Status =
        serde_json::from_slice(&text).map_err(|e| DaemonError::io("read", &path)(e.into()))?;
    Ok(Status {
        running,
        pid: known.pid.filter(|_| running),
        ..known
    })
}
