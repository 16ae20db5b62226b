//! A file system that is as small as it is said to be.

use crate::Running;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// It is mounted for as long as this lives.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// One of `mib` MiB. None, and loudly, where none can be mounted.
    #[track_caller]
    pub fn mounted(at: PathBuf, mib: u32) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIPPED: only root can mount a small file system");
            return None;
        }
        fs::create_dir_all(&at).expect("a folder to mount at");
        let options = format!("size={mib}m");
        let mut command = Command::new("mount");
        command
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(&at);
        let ended = Running::start(command).end();
        if ended.code != Some(0) {
            eprintln!(
                "SKIPPED: no small file system can be mounted here: {}",
                ended.stderr
            );
            return None;
        }
        Some(Self(at))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Makes it as large as this.
    #[track_caller]
    pub fn resize(&self, mib: u32) {
        let mut command = Command::new("mount");
        let options = format!("remount,size={mib}m");
        command.args(["-o", &options]).arg(&self.0);
        Running::start(command).end().exits(0);
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let mut command = Command::new("umount");
        command.arg("-l").arg(&self.0);
        Running::start(command).end();
    }
}
