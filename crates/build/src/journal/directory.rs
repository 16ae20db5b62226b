//! Where a run keeps its files.

use super::error::JournalError;
use super::file::FILE_NAME;
use crate::names::{CellName, RunId};
use std::fs::File;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Where a run keeps its files: journal, keys, logs. Mode 0700.
#[derive(Clone, Debug)]
pub struct RunDirectory(PathBuf);

/// Whether somebody on this host holds a run's journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JournalLock {
    /// A process does: the run is alive.
    Held,
    /// Nobody does: the run has ended, or died.
    Free,
    /// There is no such journal on this host.
    Absent,
}

impl RunDirectory {
    /// The folder of `run` below the state folder; nothing is made yet.
    pub fn of(state_dir: &Path, run: &RunId) -> Self {
        Self(state_dir.join("runs").join(run.as_str()))
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The folder of one cell, made if it is not there.
    pub fn cell(&self, cell: &CellName) -> Result<PathBuf, JournalError> {
        let path = self.0.join(&cell.stage).join(&cell.cell);
        make_private_dir(&path)?;
        Ok(path)
    }

    /// Whether `cell` has a folder.
    pub fn has_cell(&self, cell: &CellName) -> bool {
        self.0.join(&cell.stage).join(&cell.cell).is_dir()
    }

    /// Whether somebody on this host holds the run's journal. A journal that cannot be asked counts as held: what may
    /// be alive is not touched.
    pub fn lock_state(&self) -> JournalLock {
        let file = match File::open(self.0.join(FILE_NAME)) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return JournalLock::Absent;
            }
            Err(_) => return JournalLock::Held,
        };
        // Shared, so that two who look do not take each other for the run.
        match file.try_lock_shared() {
            Ok(()) => JournalLock::Free,
            Err(_) => JournalLock::Held,
        }
    }

    /// Holds the journal of a run that is over, whatever stands in it, so that nobody takes the run up again meanwhile;
    /// none if there is no journal, or somebody else holds it.
    pub fn hold(&self) -> Option<File> {
        let file = File::open(self.0.join(FILE_NAME)).ok()?;
        file.try_lock().ok()?;
        Some(file)
    }

    /// Every run that has a folder below the state folder, in no order.
    pub fn all(state_dir: &Path) -> Result<Vec<(RunId, RunDirectory)>, JournalError> {
        let path = state_dir.join("runs");
        let entries = match std::fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => {
                return Err(JournalError::Io {
                    action: "read",
                    path,
                    source,
                });
            }
        };
        let mut runs = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|source| JournalError::Io {
                action: "read",
                path: path.clone(),
                source,
            })?;
            if let Some(run) = entry.file_name().to_str().and_then(RunId::parse) {
                runs.push((run, RunDirectory(entry.path())));
            }
        }
        Ok(runs)
    }
}

pub(super) fn make_private_dir(path: &Path) -> Result<(), JournalError> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| JournalError::Io {
            action: "make the folder",
            path: path.to_owned(),
            source,
        })
}
