//! The state file.

use crate::account::{Account, SCHEMA};
use crate::files;
use std::io;
use std::path::{Path, PathBuf};

/// The state file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be read or written.
    #[error("cannot {doing} {path}: {source}")]
    Io {
        /// `read` or `write`.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not what this version writes.
    #[error(
        "{path} is not a state file of this version ({why}); `reset` makes a new local EC2 and loses what is in this one"
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

/// Where the account is written down.
#[derive(Clone, Debug)]
pub struct Store {
    /// None if the account is not written down.
    path: Option<PathBuf>,
}

impl Store {
    /// The state file of a local EC2's folder.
    pub fn new(dir: &Path) -> Self {
        Self {
            path: Some(dir.join("state.json")),
        }
    }

    /// No file: every account read from it is a new one, and writing does nothing.
    pub fn forgetful() -> Self {
        Self { path: None }
    }

    /// Reads the account; a new one if there is no file.
    ///
    /// # Errors
    /// If the file cannot be read or was written by another version.
    pub fn load(&self) -> Result<Account, StoreError> {
        let Some(path) = &self.path else {
            return Ok(Account::new());
        };
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Account::new()),
            Err(source) => {
                return Err(StoreError::Io {
                    doing: "read",
                    path: path.clone(),
                    source,
                });
            }
        };
        let foreign = |why: String| StoreError::Foreign {
            path: path.clone(),
            why,
        };
        let value: serde_json::Value =
            serde_json::from_slice(&text).map_err(|e| foreign(e.to_string()))?;
        let schema = value.get("schema").and_then(serde_json::Value::as_u64);
        if schema != Some(u64::from(SCHEMA)) {
            return Err(foreign(format!("its schema is {schema:?}, not {SCHEMA}")));
        }
        serde_json::from_value(value).map_err(|e| foreign(e.to_string()))
    }

    /// Writes the account.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, account: &Account) -> Result<(), StoreError> {
        let Some(path) = &self.path else {
            return Ok(());
        };
        let io = |source| StoreError::Io {
            doing: "write",
            path: path.clone(),
            source,
        };
        let text = serde_json::to_vec(account).map_err(|e| io(e.into()))?;
        files::replace(path, &text).map_err(io)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_survives_and_is_its_owners_only() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        let account = store.load().unwrap();
        store.save(&account).unwrap();
        assert_eq!(store.load().unwrap().key.secret, account.key.secret);
        let mode = std::fs::metadata(dir.path().join("state.json"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_forgetful_store_leaves_no_file() {
        let store = Store::forgetful();
        let account = store.load().unwrap();
        store.save(&account).unwrap();
        assert_ne!(store.load().unwrap().key.secret, account.key.secret);
    }

    #[test]
    fn another_versions_file_is_refused_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("state.json");
        for text in ["{}", "not json", r#"{"schema":99}"#] {
            std::fs::write(&file, text).unwrap();
            assert!(
                matches!(
                    Store::new(dir.path()).load(),
                    Err(StoreError::Foreign { .. })
                ),
                "{text}"
            );
            assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
        }
    }
}
