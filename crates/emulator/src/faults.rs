//! Faults on demand, for tests of clients: `faults.json` in the local EC2's folder, read again whenever it changes.
//!
//! ```json
//! {
//!   "actions": [{ "action": "CreateImage", "code": "InternalError", "message": "…", "status": 500, "times": 2 }],
//!   "binding_refused": true,
//!   "instance_never_boots": true,
//!   "ssh_never_up": true,
//!   "image_creation_fails": true,
//!   "instance_terminated_after_ms": 1500
//! }
//! ```

use crate::api::error::ApiError;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// What is to go wrong. A key that is not known is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// Actions that are refused.
    pub actions: Vec<ActionFault>,
    /// Guests may not bind an address, whatever their role says.
    pub binding_refused: bool,
    /// An instance is shown as running but nothing ever runs in it.
    pub instance_never_boots: bool,
    /// No SSH connection is ever answered.
    pub ssh_never_up: bool,
    /// Images become `failed`.
    pub image_creation_fails: bool,
    /// An instance is terminated, as by AWS itself, so long after it came to run.
    pub instance_terminated_after_ms: Option<u64>,
}

/// An action that is refused.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActionFault {
    /// Such as `CreateImage`.
    pub action: String,
    /// Such as `InternalError`.
    pub code: String,
    /// The message.
    #[serde(default)]
    pub message: String,
    /// The HTTP status.
    #[serde(default = "bad_request")]
    pub status: u16,
    /// How often; always if not given.
    #[serde(default)]
    pub times: Option<u32>,
}

fn bad_request() -> u16 {
    400
}

/// The faults in force.
#[derive(Debug)]
pub struct FaultFile {
    path: PathBuf,
    read: Mutex<Read>,
}

#[derive(Debug, Default)]
struct Read {
    stamp: Option<(SystemTime, u64)>,
    faults: Faults,
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
        self.with(|faults| faults.clone())
    }

    /// The refusal of `action`, if there is one; uses one of its times up.
    ///
    /// # Errors
    /// The refusal.
    pub fn refuse(&self, action: &str) -> Result<(), ApiError> {
        self.with(|faults| {
            let hit = faults
                .actions
                .iter_mut()
                .find(|f| f.action == action && f.times != Some(0));
            match hit {
                None => Ok(()),
                Some(fault) => {
                    fault.times = fault.times.map(|n| n.saturating_sub(1));
                    Err(ApiError::new(fault.code.clone(), fault.message.clone())
                        .with_status(fault.status))
                }
            }
        })?
    }

    fn with<T>(&self, act: impl FnOnce(&mut Faults) -> T) -> Result<T, ApiError> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = std::fs::metadata(&self.path)
            .ok()
            .and_then(|m| Some((m.modified().ok()?, m.len())));
        if stamp != read.stamp {
            let faults = match stamp {
                None => Faults::default(),
                Some(_) => std::fs::read(&self.path)
                    .map_err(|e| e.to_string())
                    .and_then(|text| serde_json::from_slice(&text).map_err(|e| e.to_string()))
                    .map_err(|why| {
                        let message = format!("cannot use {}: {why}", self.path.display());
                        ApiError::new("InternalError", message).with_status(500)
                    })?,
            };
            *read = Read { stamp, faults };
        }
        Ok(act(&mut read.faults))
    }
}

impl Faults {
    /// How long after it came to run an instance is terminated by AWS.
    pub fn instance_terminated_after(&self) -> Option<Duration> {
        self.instance_terminated_after_ms.map(Duration::from_millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_fails_as_often_as_asked_and_the_file_is_read_again_when_it_changes() {
        let dir = tempfile::tempdir().unwrap();
        let faults = FaultFile::new(dir.path());
        faults.refuse("CreateImage").unwrap();
        let write = |text: &str| std::fs::write(dir.path().join("faults.json"), text).unwrap();
        write(
            r#"{"actions":[{"action":"CreateImage","code":"InternalError","status":500,"times":2}]}"#,
        );
        assert_eq!(faults.refuse("CreateImage").unwrap_err().status(), 500);
        faults.refuse("RunInstances").unwrap();
        faults.refuse("CreateImage").unwrap_err();
        faults.refuse("CreateImage").unwrap();
        write(r#"{"binding_refused":true}"#);
        assert!(faults.now().unwrap().binding_refused);
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
}
