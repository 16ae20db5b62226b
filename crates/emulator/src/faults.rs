//! Faults on demand, for tests of clients: `faults.json` in the local EC2's folder, read again whenever it changes.
//!
//! ```json
//! {
//!   "actions": [{ "action": "CreateImage", "code": "InternalError", "message": "…", "status": 500, "times": 2 }],
//!   "binding_refused": true,
//!   "instance_terminated_after_ms": { "value": 1500, "instances": { "next": 1 } }
//! }
//! ```
//!
//! All but `actions` are keys of [`InstanceFaults`].

use crate::api::error::ApiError;
use crate::ids::InstanceId;
use crate::instance_faults::InstanceFaults;
use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

/// What is to go wrong. A key that is not known is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Faults {
    /// Actions that are refused.
    pub actions: Vec<ActionFault>,
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

    /// Counts an instance as launched, for faults that are for the next so many. What is wrong with the file is said to
    /// whoever asks for something.
    pub fn launched(&self, id: &InstanceId) {
        let _ = self.with(|faults| faults.instances.launched(id));
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
}
