//! Files to the host and back, each checked by SHA-256 at the other end.
//!
//! Content travels over a command's standard input, never on its command line, and neither does its hash: the hash of a
//! short secret is nearly the secret.

mod bytes;
mod directory;
mod download;
mod download_directory;
mod error;
mod file;
mod path;
mod remote_shell;
mod source;
mod unpack;

pub(crate) use bytes::{PutBytes, put};
pub use error::UploadError;
pub use path::{FileMode, RemotePath, RemotePathError};

/// How a file is uploaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileUpload {
    /// Permission bits at the host; those of the local file if not given.
    pub mode: Option<FileMode>,
}

/// What was uploaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Uploaded {
    /// Regular files.
    pub files: u64,
    /// Their content, in bytes.
    pub bytes: u64,
}
