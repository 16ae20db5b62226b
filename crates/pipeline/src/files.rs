//! The files that a pipeline names: its scripts, its uploads, its variables' files.

use sha2::{Digest, Sha256};
use std::ffi::OsString;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// What stands at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A file with these permission bits.
    File {
        /// Permission bits, such as 0o644.
        mode: u32,
    },
    /// A folder with these permission bits.
    Folder {
        /// Permission bits, such as 0o755.
        mode: u32,
    },
    /// A symbolic link; only [`Files::entries`] reports one.
    Link {
        /// What it points at, as it says it.
        target: PathBuf,
    },
    /// A socket, a pipe, a device.
    Other,
}

/// Reading files, so that loading a pipeline can be tried without a disk.
pub trait Files {
    /// A whole file.
    ///
    /// # Errors
    /// As the operating system gives them.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// What stands at a path; a link is followed.
    ///
    /// # Errors
    /// As the operating system gives them.
    fn kind(&self, path: &Path) -> io::Result<FileKind>;

    /// What a folder holds, links not followed, sorted by name.
    ///
    /// # Errors
    /// As the operating system gives them.
    fn entries(&self, folder: &Path) -> io::Result<Vec<(OsString, FileKind)>>;

    /// The SHA-256 of a file's content.
    ///
    /// # Errors
    /// As the operating system gives them.
    fn digest(&self, path: &Path) -> io::Result<[u8; 32]> {
        Ok(Sha256::digest(self.read(path)?).into())
    }
}

/// The disk.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }

    fn kind(&self, path: &Path) -> io::Result<FileKind> {
        kind_of(&std::fs::metadata(path)?, path)
    }

    fn entries(&self, folder: &Path) -> io::Result<Vec<(OsString, FileKind)>> {
        let mut entries = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            entries.push((
                entry.file_name(),
                kind_of(&entry.metadata()?, &entry.path())?,
            ));
        }
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(entries)
    }

    /// Read piece by piece: an uploaded file may be larger than memory.
    fn digest(&self, path: &Path) -> io::Result<[u8; 32]> {
        let mut file = std::fs::File::open(path)?;
        let mut hash = Sha256::new();
        let mut piece = vec![0; 1 << 16];
        loop {
            match file.read(&mut piece)? {
                0 => return Ok(hash.finalize().into()),
                n => hash.update(piece.get(..n).unwrap_or_default()),
            }
        }
    }
}

fn kind_of(metadata: &std::fs::Metadata, path: &Path) -> io::Result<FileKind> {
    use std::os::unix::fs::PermissionsExt;
    let mode = metadata.permissions().mode() & 0o7777;
    Ok(if metadata.is_file() {
        FileKind::File { mode }
    } else if metadata.is_dir() {
        FileKind::Folder { mode }
    } else if metadata.is_symlink() {
        FileKind::Link {
            target: std::fs::read_link(path)?,
        }
    } else {
        FileKind::Other
    })
}
