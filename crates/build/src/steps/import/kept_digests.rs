//! The digests of the blocks of snapshots that this machine has written, or read whole. EBS tells none in its list of blocks,
//! and an image on top of such a snapshot needs them.
//!
//! They can be had again by reading the snapshot, so they are kept up to a bound, those that were used last.

use crate::steps::context::CellContext;
use crate::transfer::Acknowledged;
use crate::transfer::acknowledged::AcknowledgedError;
use cloud::SnapshotId;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// So many bytes of disk they may take together: the digests of 3.5 TiB.
const BOUND: u64 = 256 << 20;

/// The file of a snapshot's digests, in a folder that is there.
fn path(context: &CellContext, snapshot: &SnapshotId) -> io::Result<PathBuf> {
    let folder = context.run().options.state_dir.join("snapshots");
    fs::create_dir_all(&folder)?;
    let region = context.region().name();
    Ok(folder.join(format!("{region}-{snapshot}.blocks")))
}

/// What tells the file of one snapshot from that of another. A snapshot's content never changes.
pub(super) fn content_of(context: &CellContext, snapshot: &SnapshotId) -> String {
    let endpoint = context.run().options.endpoint.as_deref().unwrap_or("aws");
    format!("whole {snapshot} at {endpoint}")
}

/// The digests of a snapshot of so many blocks, as far as they are known here; what is added is kept.
///
/// # Errors
/// If the file cannot be opened or written.
pub(super) fn open(
    context: &CellContext,
    snapshot: &SnapshotId,
    blocks: u32,
) -> Result<Acknowledged, AcknowledgedError> {
    let path = path(context, snapshot).map_err(|source| AcknowledgedError {
        action: "made",
        path: format!("the folder of the digests of {snapshot}"),
        source,
    })?;
    let known = Acknowledged::open(&path, &content_of(context, snapshot), blocks)?;
    let used = SystemTime::from(context.clock().now());
    let bounded = mark_used(&path, used).and_then(|()| forget_oldest(&path, BOUND));
    if let Err(error) = bounded {
        context.note(format!(
            "digests of snapshots that were not used for long are not removed: {error}"
        ));
    }
    Ok(known)
}

/// Keeps what is in a snapshot that was written, for the image after this one. That it cannot be kept is no failure.
pub(super) fn keep(
    context: &CellContext,
    snapshot: &SnapshotId,
    written: &Acknowledged,
    parent: Option<&Acknowledged>,
    blocks: u32,
) {
    let copied = open(context, snapshot, blocks)
        .and_then(|kept| copy(kept, parent.into_iter().chain([written])));
    if let Err(error) = copied {
        context.note(format!(
            "the digests of {snapshot} are not kept, which costs time if it becomes a parent: {error}"
        ));
    }
}

/// Writes all layers into one file, the last on top.
fn copy<'a>(
    mut kept: Acknowledged,
    layers: impl Iterator<Item = &'a Acknowledged>,
) -> Result<(), AcknowledgedError> {
    for layer in layers {
        let mut failed = None;
        layer.each(|index, digest| {
            if failed.is_none() {
                failed = kept.add(index, digest).err();
            }
        })?;
        if let Some(error) = failed {
            return Err(error);
        }
    }
    Ok(())
}

fn mark_used(path: &Path, at: SystemTime) -> io::Result<()> {
    File::options().write(true).open(path)?.set_modified(at)
}

/// Removes the files beside `used`, those that were used longest ago, until all take no more than `bound` bytes of disk.
fn forget_oldest(used: &Path, bound: u64) -> io::Result<()> {
    let Some(folder) = used.parent() else {
        return Ok(());
    };
    let mut others = Vec::new();
    let mut taken = 0;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let metadata = match fs::metadata(&path) {
            Ok(metadata) => metadata,
            // Another process has removed it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        // In units of 512 bytes, whatever the file system's blocks are: stat(2).
        let takes = metadata.blocks() * 512;
        taken += takes;
        if path != used {
            others.push((metadata.modified()?, takes, path));
        }
    }
    others.sort();
    for (_, takes, path) in others {
        if taken <= bound {
            break;
        }
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => taken -= takes,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const KIB: u64 = 1 << 10;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn what_was_used_longest_ago_goes_until_there_is_room() {
        let folder = tempfile::tempdir().unwrap();
        for (age, name) in ["newest", "older", "oldest"].into_iter().enumerate() {
            let path = folder.path().join(name);
            fs::write(&path, vec![1; 64 << 10]).unwrap();
            let age = Duration::from_secs(3600 * (1 + age as u64));
            mark_used(
                &path,
                SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 30) - age,
            )
            .unwrap();
        }
        let used = folder.path().join("oldest");
        forget_oldest(&used, 192 * KIB + 64 * KIB).unwrap();
        assert_eq!(names(folder.path()), ["newest", "older", "oldest"]);
        forget_oldest(&used, 150 * KIB).unwrap();
        assert_eq!(names(folder.path()), ["newest", "oldest"]);
        // What is in use stays, however large it is.
        forget_oldest(&used, KIB).unwrap();
        assert_eq!(names(folder.path()), ["oldest"]);
    }
}
