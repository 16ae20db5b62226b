//! Files of the local EC2's folder: private to their owner, replaced whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Writes a file so that a reader sees the old or the new content and nothing between. Mode 0600.
///
/// It is not flushed to the disk: the state has to survive the process, and after a power cut the guests are gone too.
///
/// # Errors
/// If the file or its neighbour `….new` cannot be written.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(content)?;
    drop(file);
    fs::rename(&new, path)
}

/// Opens a file to append to. Mode 0600.
///
/// # Errors
/// If it cannot be opened.
pub fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
}

/// Makes a folder that only its owner and those who are let through it can use. Does nothing if it is there.
///
/// # Errors
/// If it cannot be made.
pub fn make_dir(path: &Path, mode: u32) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path)
}
