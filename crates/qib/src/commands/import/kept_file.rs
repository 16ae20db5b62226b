//! The pipeline of an import as a file, where `qib runs resume` finds it.

use crate::commands::error::CommandError;
use crate::edge::environment::Environment;
use sha2::{Digest, Sha256};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A pipeline that is kept.
pub(super) struct KeptFile {
    /// Where.
    pub path: PathBuf,
    /// Whether this process made it.
    is_new: bool,
}

impl KeptFile {
    /// Writes it. The same import is the same file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn write(text: &str, environment: &Environment) -> Result<Self, CommandError> {
        let folder = environment.state_dir.join("imports");
        let failed = |path: &Path, error: std::io::Error| {
            CommandError::bad_input(format!("{} cannot be written: {error}", path.display()))
                .hinted("QIB_STATE_DIR names another folder")
        };
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .map_err(|error| failed(&folder, error))?;
        let digest = Sha256::digest(text);
        let path = folder.join(format!("{}.yaml", hex::encode(&digest[..8])));
        let is_new = !path.exists();
        std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut open| open.write_all(text.as_bytes()))
            .map_err(|error| failed(&path, error))?;
        Ok(Self { path, is_new })
    }

    /// Forgets what did not begin, unless it had been begun before: there is nothing to go on with.
    ///
    /// # Errors
    /// If it stays.
    pub(super) fn forget_if_new(self) -> Result<(), CommandError> {
        if self.is_new { self.forget() } else { Ok(()) }
    }

    /// Forgets what has come to its end: an address may hold a secret.
    ///
    /// # Errors
    /// If it stays.
    pub(super) fn forget(self) -> Result<(), CommandError> {
        match std::fs::remove_file(&self.path) {
            // The same command, given twice, has one file.
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(CommandError::failed(format!(
                    "{} cannot be removed, and the address in it may hold a secret: {error}",
                    self.path.display()
                )))
            }
            _ => Ok(()),
        }
    }
}
