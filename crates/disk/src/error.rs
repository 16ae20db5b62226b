//! What can go wrong, in words for whoever finds it in a log.

use std::io;
use std::path::PathBuf;

use crate::Format;
use crate::probe::NotADisk;

/// Why a disk could not be read at some place.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The operating system refused.
    #[error("{file} could not be read at byte {offset}")]
    Io {
        /// The file's path.
        file: String,
        /// Where in the file.
        offset: u64,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The file ends before something that it says it has.
    #[error(
        "{file} is truncated: {what} should be at bytes {offset} to {end}, but the file ends at byte {length}; \
         fetch or copy it again"
    )]
    Truncated {
        /// The file's path.
        file: String,
        /// What is missing.
        what: &'static str,
        /// Where it should begin in the file.
        offset: u64,
        /// Where it should end in the file.
        end: u64,
        /// Where the file ends.
        length: u64,
    },
    /// The file says something that cannot be.
    #[error("{file} is damaged: {problem}")]
    Damaged {
        /// The file's path.
        file: String,
        /// What cannot be, and where.
        problem: String,
    },
    /// The caller asked for bytes that the disk does not have.
    #[error("bytes {offset} to {end} are not within the disk, which has {size}")]
    Outside {
        /// First byte asked for.
        offset: u64,
        /// The byte after the last one asked for.
        end: u64,
        /// The disk's size in bytes.
        size: u64,
    },
    /// A thread that read blocks is gone without having said why. This is a mistake in qib.
    #[error("a thread that read the disk ended without a result; this is a mistake in qib")]
    ThreadLost,
}

/// Why a file could not be opened as a disk.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The operating system refused.
    #[error("{} could not be opened", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// A folder, a device, a pipe or a symbolic link where only a file may stand.
    #[error("{} is not a regular file", path.display())]
    NotAFile {
        /// The file.
        path: PathBuf,
    },
    /// The content is told to be something else than a disk.
    #[error("{} is not a disk image: {found}", path.display())]
    NotADisk {
        /// The file.
        path: PathBuf,
        /// What it is, and what to do about it.
        found: NotADisk,
    },
    /// The caller gave a format, and the content has another.
    #[error("{} should be {said}, but it is {found}; say so, or leave the format out", path.display())]
    OtherFormat {
        /// The file.
        path: PathBuf,
        /// The format that the caller gave.
        said: Format,
        /// The format that the content has.
        found: Format,
    },
    /// The caller gave a format, and the content is not of it.
    #[error("{} should be {said}, but it does not begin as such a file does", path.display())]
    NotOfFormat {
        /// The file.
        path: PathBuf,
        /// The format that the caller gave.
        said: Format,
    },
    /// The image uses something that qib does not read, or that it does not read unless it is asked to.
    #[error("{file} is not read: {what}; {remedy}")]
    Refused {
        /// The file's path.
        file: String,
        /// What it uses.
        what: String,
        /// What to do instead.
        remedy: &'static str,
    },
    /// The image's own tables could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}
