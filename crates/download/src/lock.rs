//! Who uses an entry of the cache, between threads and processes.
//!
//! An entry's lock is a file beside its folder, locked by flock: shared by those who read the image, alone by the one who
//! makes or removes it. The system frees it when a process ends, however it ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

/// The right to use an entry of the cache: as long as one lives, [`prune`](crate::prune()) leaves the entry alone.
#[derive(Clone, Debug)]
pub struct Lease(#[expect(dead_code, reason = "its lock is what matters")] Arc<File>);

/// In which way an entry is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    Shared,
    Alone,
}

/// Takes the lock if nobody has it otherwise.
pub(crate) fn try_lock(path: &Path, how: Use) -> io::Result<Option<Lease>> {
    loop {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path)?;
        let locked = match how {
            Use::Shared => file.try_lock_shared(),
            Use::Alone => file.try_lock(),
        };
        match locked {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // Who removes an entry removes its lock as well: the file that is locked may have lost its name since it was
        // opened, and then the lock keeps nobody out.
        let ours = file.metadata()?;
        match std::fs::metadata(path) {
            Ok(named) if (named.dev(), named.ino()) == (ours.dev(), ours.ino()) => {
                return Ok(Some(Lease(Arc::new(file))));
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_share_and_keep_others_out() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.lock");
        let one = try_lock(&path, Use::Shared)
            .expect("it can")
            .expect("it is free");
        let two = try_lock(&path, Use::Shared)
            .expect("it can")
            .expect("readers share");
        assert!(try_lock(&path, Use::Alone).expect("it can").is_none());
        drop(one);
        assert!(try_lock(&path, Use::Alone).expect("it can").is_none());
        drop(two);
        let alone = try_lock(&path, Use::Alone)
            .expect("it can")
            .expect("it is free");
        assert!(try_lock(&path, Use::Shared).expect("it can").is_none());
        // Its name goes, with the lock held: the next one locks a file of its own, not the nameless one.
        std::fs::remove_file(&path).expect("it is there");
        let next = try_lock(&path, Use::Alone)
            .expect("it can")
            .expect("it is another file");
        drop(alone);
        assert!(try_lock(&path, Use::Alone).expect("it can").is_none());
        drop(next);
    }
}
