//! Why something was not transferred.

use super::RemotePath;
use crate::connect::Destination;
use crate::exec::RunError;
use std::path::PathBuf;

/// Why something was not transferred.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// A local file or folder cannot be read (or, for a download, written).
    #[error("cannot {doing} {}: {source}", path.display())]
    Local {
        /// What was being done to it.
        doing: &'static str,
        /// Which one.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// It is neither a file nor a folder nor a symbolic link.
    #[error("{} is {kind}, which cannot be uploaded; leave it out of what is uploaded", path.display())]
    Special {
        /// Which one.
        path: PathBuf,
        /// What it is: a socket, a named pipe, a device.
        kind: &'static str,
    },
    /// A folder was given where a file belongs, or the other way round.
    #[error("{} is {kind}", path.display())]
    WrongKind {
        /// Which one.
        path: PathBuf,
        /// What it is, and what was expected.
        kind: &'static str,
    },
    /// It became longer or shorter while it was read.
    #[error("{} changed while it was being uploaded; upload it when nothing writes to it", path.display())]
    Changed {
        /// Which one.
        path: PathBuf,
    },
    /// What the host sent is not taken: it would not stay in the folder that was named, or it is not what was listed.
    #[error("{remote} as {destination} sent it is not taken: {detail}")]
    NotTaken {
        /// From where.
        destination: Destination,
        /// Which folder.
        remote: RemotePath,
        /// Which entry, and why.
        detail: String,
    },
    /// The host lacks a program that is needed.
    #[error(
        "{destination} has no `{tool}`, which is needed to transfer {remote}; install it there (sha256sum is in coreutils)"
    )]
    MissingTool {
        /// Where.
        destination: Destination,
        /// The program.
        tool: String,
        /// What was to be transferred.
        remote: RemotePath,
    },
    /// What arrived is not what was sent. Nothing was put in place.
    #[error("{remote} on {destination} does not have the SHA-256 of what was sent{}", if detail.is_empty() { String::new() } else { format!(": {detail}") })]
    Mismatch {
        /// Where.
        destination: Destination,
        /// Which file or folder.
        remote: RemotePath,
        /// The files that differ, if several were sent.
        detail: String,
    },
    /// A program at the host failed.
    #[error("cannot transfer {remote} on {destination}: {detail}")]
    Remote {
        /// Where.
        destination: Destination,
        /// Which file or folder.
        remote: RemotePath,
        /// What the programs there said.
        detail: String,
    },
    /// The connection broke, or the host would not run anything.
    #[error("transferring {remote}: {source}")]
    Run {
        /// Which file or folder.
        remote: RemotePath,
        /// What happened.
        source: RunError,
    },
}
