//! Upper and frozen layers: what instances and images consist of on disk.
//!
//! ```text
//!   layer/root/   everything but /usr          layer/usr/   /usr
//!   layer/work/   overlayfs's own, only while the layer is an instance's upper layer
//! ```
//!
//! A layer that is removed in one mode and by one user was made in the same: a rootless guest's files all belong to the caller,
//! a root guest's to mapped ids that the host's root may handle.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use super::host::{FIRST_GUEST_ID, GuestError, GuestMode};

/// Makes an instance's upper layer, empty, if there is none.
///
/// # Errors
/// If a folder cannot be made.
pub fn prepare_upper(instance_dir: &Path, mode: GuestMode) -> Result<(), GuestError> {
    let layer = instance_dir.join("layer");
    // Left behind by overlayfs, with mode 000; it makes its own anew.
    remove(&layer.join("work"))?;
    for folder in ["", "root", "usr", "work", "work/root", "work/usr"] {
        let path = if folder.is_empty() {
            layer.clone()
        } else {
            layer.join(folder)
        };
        if path.is_dir() {
            continue;
        }
        fs::create_dir_all(&path).map_err(GuestError::file("create", &path))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
            .map_err(GuestError::file("set the mode of", &path))?;
        if mode == GuestMode::Root {
            chown(&path, Some(FIRST_GUEST_ID), Some(FIRST_GUEST_ID))
                .map_err(GuestError::file("change the owner of", &path))?;
        }
    }
    Ok(())
}

/// Moves an instance's upper layer to `image_layer`.
///
/// # Errors
/// If there is none, or the target exists or is on another file system.
pub fn freeze(instance_dir: &Path, image_layer: &Path) -> Result<(), GuestError> {
    let layer = instance_dir.join("layer");
    remove(&layer.join("work"))?;
    if let Some(parent) = image_layer.parent() {
        fs::create_dir_all(parent).map_err(GuestError::file("create", parent))?;
    }
    if image_layer.exists() {
        let exists = io::Error::from(io::ErrorKind::AlreadyExists);
        return Err(GuestError::file(
            "freeze the instance's layer as",
            image_layer,
        )(exists));
    }
    fs::rename(&layer, image_layer).map_err(GuestError::file("freeze as an image layer", &layer))
}

/// Removes a folder whose parts may have modes that keep even their owner out.
///
/// # Errors
/// If something cannot be removed.
pub fn remove(path: &Path) -> Result<(), GuestError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(GuestError::file("look at", path)(error)),
        Ok(metadata) if metadata.is_dir() => {}
        Ok(_) => return fs::remove_file(path).map_err(GuestError::file("remove", path)),
    }
    match fs::remove_dir_all(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_up(path)?;
            fs::remove_dir_all(path).map_err(GuestError::file("remove", path))
        }
        Err(error) => Err(GuestError::file("remove", path)(error)),
    }
}

/// Gives the owner access to every folder below `path`, without recursion: a guest decides how deep they lie.
fn open_up(path: &Path) -> Result<(), GuestError> {
    let mut waiting = vec![path.to_owned()];
    while let Some(folder) = waiting.pop() {
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))
            .map_err(GuestError::file("set the mode of", &folder))?;
        for entry in fs::read_dir(&folder).map_err(GuestError::file("list", &folder))? {
            let entry = entry.map_err(GuestError::file("list", &folder))?;
            if entry
                .file_type()
                .map_err(GuestError::file("look at", &entry.path()))?
                .is_dir()
            {
                waiting.push(entry.path());
            }
        }
    }
    Ok(())
}
