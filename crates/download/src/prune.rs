//! Making room in the cache.

use crate::cache::{gone, lock_file};
use crate::lock::{Use, try_lock};
use crate::signature::TEMPORARY;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// What stays in the cache. What both bounds allow stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// At most so many bytes of disk, those used last. None: any number.
    pub bytes: Option<u64>,
    /// Only what was used within this time. None: however old.
    pub age: Option<Duration>,
}

/// What [`prune`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// What is gone, that used longest ago first.
    pub removed: Vec<Removed>,
    /// Entries that would have gone but are in use.
    pub in_use: usize,
    /// Bytes of disk that the cache still takes.
    pub left: u64,
}

/// An entry that is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removed {
    /// Its digest, as the folder was named.
    pub name: String,
    /// Bytes of disk that it took.
    pub bytes: u64,
}

struct Found {
    folder: PathBuf,
    name: String,
    bytes: u64,
    used: SystemTime,
}

/// Folders of a `gpgv` that was killed with its qib.
const ABANDONED: Duration = Duration::from_secs(24 * 60 * 60);

/// Removes from the cache what is not to be kept, unfinished downloads included, those used longest ago first. What is in
/// use, by this process or another, stays. A cache that is not there is an empty one.
///
/// # Errors
/// When the folder cannot be read, or something in it not be removed.
pub fn prune(cache: &Path, keep: Keep) -> io::Result<Pruned> {
    let now = SystemTime::now();
    let mut found = entries(cache, now)?;
    found.sort_by_key(|entry| entry.used);
    let mut pruned = Pruned {
        left: found.iter().map(|entry| entry.bytes).sum(),
        ..Pruned::default()
    };
    for entry in found {
        let age = now.duration_since(entry.used).unwrap_or_default();
        let old = keep.age.is_some_and(|longest| age > longest);
        let much = keep.bytes.is_some_and(|most| pruned.left > most);
        if !old && !much {
            continue;
        }
        let lock = lock_file(&entry.folder);
        let Some(_lease) = try_lock(&lock, Use::Alone)? else {
            pruned.in_use += 1;
            continue;
        };
        // The entry itself first: a folder of which the removal was interrupted must not look whole.
        gone(std::fs::remove_file(entry.folder.join("entry.json")))?;
        gone(std::fs::remove_dir_all(&entry.folder))?;
        gone(std::fs::remove_file(&lock))?;
        pruned.left -= entry.bytes;
        pruned.removed.push(Removed {
            name: entry.name,
            bytes: entry.bytes,
        });
    }
    Ok(pruned)
}

fn entries(cache: &Path, now: SystemTime) -> io::Result<Vec<Found>> {
    let mut found = Vec::new();
    let listed = match std::fs::read_dir(cache) {
        Ok(listed) => listed,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        Err(error) => return Err(error),
    };
    for item in listed {
        let item = item?;
        let folder = item.path();
        let Ok(name) = item.file_name().into_string() else {
            continue;
        };
        if name.starts_with(TEMPORARY) {
            let made = item.metadata()?.modified()?;
            if now.duration_since(made).unwrap_or_default() > ABANDONED {
                gone(std::fs::remove_dir_all(folder))?;
            }
        } else if (name.starts_with("sha256-") || name.starts_with("sha512-"))
            && item.file_type()?.is_dir()
        {
            let (bytes, used) = measure(&folder)?;
            found.push(Found {
                folder,
                name,
                bytes,
                used,
            });
        }
    }
    Ok(found)
}

/// Bytes of disk, and the last use: entry.json's time, or, of an unfinished download, that of the newest file.
fn measure(folder: &Path) -> io::Result<(u64, SystemTime)> {
    let mut bytes = 0;
    let mut newest = std::fs::metadata(folder)?.modified()?;
    let mut used = None;
    for item in std::fs::read_dir(folder)? {
        let item = item?;
        let file = match item.metadata() {
            Ok(file) => file,
            // Another process has just renamed it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        bytes += file.blocks() * 512;
        newest = newest.max(file.modified()?);
        if item.file_name() == "entry.json" {
            used = Some(file.modified()?);
        }
    }
    Ok((bytes, used.unwrap_or(newest)))
}
