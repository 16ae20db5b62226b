//! A folder on this machine that only its owner can enter, and that goes with its value.

use super::AnsibleError;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The name of the folder within a cell's own. What a killed process left there goes with the next playbook, or with the
/// cell's keys.
pub(crate) const FOLDER: &str = "ansible";

/// The folder. Dropping it removes it with all that is in it.
#[derive(Debug)]
pub struct PrivateFolder(PathBuf);

impl PrivateFolder {
    /// Makes the folder `ansible` in `parent`, empty, mode 0700.
    ///
    /// # Errors
    /// If it cannot be made, or what a killed process left in its place cannot be removed.
    pub fn make(parent: &Path) -> Result<Self, AnsibleError> {
        // Ansible and ssh are given its name, and run in other folders.
        let parent = std::fs::canonicalize(parent).map_err(|error| failed(parent, &error))?;
        let path = parent.join(FOLDER);
        remove(&path)?;
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(|error| failed(&path, &error))?;
        Ok(Self(path))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file in it that only its owner can read, from the first byte on.
    pub(super) fn write(&self, name: &str, content: &[u8]) -> Result<PathBuf, AnsibleError> {
        let path = self.0.join(name);
        let opened = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path);
        opened
            .and_then(|mut file| file.write_all(content))
            .map_err(|error| failed(&path, &error))?;
        Ok(path)
    }

    /// Makes a folder in it.
    pub(super) fn folder(&self, name: &str) -> Result<PathBuf, AnsibleError> {
        let path = self.0.join(name);
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(|error| failed(&path, &error))?;
        Ok(path)
    }

    /// Puts a link to `target` into it.
    pub(super) fn link(&self, name: &str, target: &Path) -> Result<(), AnsibleError> {
        let target = std::fs::canonicalize(target).map_err(|error| failed(target, &error))?;
        let path = self.0.join(name);
        std::os::unix::fs::symlink(&target, &path).map_err(|error| failed(&path, &error))
    }

    /// Removes it, and says so if that fails.
    ///
    /// # Errors
    /// If something of it is left.
    pub fn remove(self) -> Result<(), AnsibleError> {
        remove(&self.0)
    }
}

impl Drop for PrivateFolder {
    fn drop(&mut self) {
        // Dropped without `remove`, something worse has happened, and that is told. What stays has mode 0700 and goes with
        // the cell's keys.
        let _ = remove(&self.0);
    }
}

fn remove(path: &Path) -> Result<(), AnsibleError> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed(path, &error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn failed(path: &Path, error: &std::io::Error) -> AnsibleError {
    AnsibleError::File {
        path: path.to_owned(),
        why: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn only_its_owner_gets_in_and_it_goes() {
        let parent = tempfile::tempdir().unwrap();
        let folder = PrivateFolder::make(parent.path()).unwrap();
        let file = folder.write("key", b"secret").unwrap();
        assert_eq!((mode(folder.path()), mode(&file)), (0o700, 0o600));
        let path = folder.path().to_owned();
        folder.remove().unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn what_a_killed_process_left_goes_first_and_links_are_not_followed() {
        let parent = tempfile::tempdir().unwrap();
        let vars = parent.path().join("vars");
        std::fs::create_dir(&vars).unwrap();
        std::fs::write(vars.join("web.yaml"), "a: 1").unwrap();
        let left = PrivateFolder::make(parent.path()).unwrap();
        left.link("host_vars", &vars).unwrap();
        std::mem::forget(left);
        let folder = PrivateFolder::make(parent.path()).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        assert!(vars.join("web.yaml").exists());
    }
}
