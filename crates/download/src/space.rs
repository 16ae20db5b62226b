//! Room on the disk, looked at before it is used.

use crate::error::FetchError;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Says how much room there is.
pub trait Disk: Send + Sync {
    /// Bytes that an unprivileged user can still write below this folder.
    ///
    /// # Errors
    /// When the system does not say.
    fn free(&self, folder: &Path) -> io::Result<u64>;
}

/// Asks the system (statvfs).
#[derive(Clone, Copy, Debug, Default)]
pub struct Statvfs;

impl Disk for Statvfs {
    fn free(&self, folder: &Path) -> io::Result<u64> {
        let disk = rustix::fs::statvfs(folder)?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }
}

/// How many bytes are written between two looks.
const BETWEEN_LOOKS: u64 = 64 << 20;

/// Watches over the room in one folder while something is written there.
#[derive(Clone)]
pub(crate) struct Room {
    pub(crate) what: String,
    pub(crate) doing: &'static str,
    pub(crate) place: PathBuf,
    pub(crate) keep: u64,
    pub(crate) note: &'static str,
    disk: Arc<dyn Disk>,
    until_look: u64,
}

impl Room {
    pub(crate) fn new(
        what: &str,
        doing: &'static str,
        place: &Path,
        settings: &crate::Settings,
    ) -> Self {
        Self {
            what: what.to_owned(),
            doing,
            place: place.to_owned(),
            keep: settings.keep_free,
            note: "",
            disk: settings.disk.clone(),
            until_look: 0,
        }
    }

    pub(crate) fn with_note(mut self, note: &'static str) -> Self {
        self.note = note;
        self
    }

    /// Refuses when `needed` bytes do not fit beside what is to stay free.
    pub(crate) fn need(&self, needed: u64) -> Result<(), FetchError> {
        let free = self
            .disk
            .free(&self.place)
            .map_err(|error| FetchError::File {
                what: self.what.clone(),
                doing: "ask how much room there is in",
                path: self.place.clone(),
                error,
            })?;
        if needed.saturating_add(self.keep) > free {
            return Err(self.short(needed, free));
        }
        Ok(())
    }

    /// Is told before so many bytes are written, and looks every now and then.
    pub(crate) fn before(&mut self, bytes: u64) -> Result<(), FetchError> {
        if self.until_look < bytes {
            self.need(bytes)?;
            self.until_look = BETWEEN_LOOKS;
        }
        self.until_look = self.until_look.saturating_sub(bytes);
        Ok(())
    }

    /// An error of writing, which may be that the disk is full after all.
    pub(crate) fn failed(&self, path: &Path, needed: u64, error: io::Error) -> FetchError {
        use io::ErrorKind::{QuotaExceeded, StorageFull};
        if matches!(error.kind(), StorageFull | QuotaExceeded) {
            let free = self.disk.free(&self.place).unwrap_or(0);
            return self.short(needed, free);
        }
        FetchError::File {
            what: self.what.clone(),
            doing: "write",
            path: path.to_owned(),
            error,
        }
    }

    fn short(&self, needed: u64, free: u64) -> FetchError {
        FetchError::NoRoom {
            what: self.what.clone(),
            doing: self.doing,
            place: self.place.clone(),
            needed,
            free,
            kept: self.keep,
            note: self.note,
        }
    }
}
