//! The background process that is the local EC2: at most one for each folder, started when it is first needed.
//!
//! ```text
//!  caller ──spawns── middle process ──setsid, spawns── daemon (readiness on its standard output) ──► serves
//!              exits at once │                            │ holds `daemon.lock` for as long as it lives
//! ```
//!
//! The middle process makes the daemon nobody's child, so that a caller that lives longer has no dead child left.

mod detach;
mod lock;
mod process;
mod serve;
mod status;

pub use process::{reset, run_if_daemon_process, start_detached, stop};
pub use serve::serve;
pub use status::{Status, status};

use std::path::PathBuf;

/// The daemon of a folder cannot be started, asked or stopped.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// This host cannot run guests.
    #[error("this host cannot run the local EC2's guests: {missing}. {remedy}")]
    Host {
        /// The setting or program that is missing.
        missing: String,
        /// What to do about it.
        remedy: String,
    },
    /// Another daemon serves this folder.
    #[error("a local EC2 already runs on {dir}")]
    AlreadyRunning {
        /// The folder.
        dir: PathBuf,
    },
    /// A file or process operation failed.
    #[error("cannot {doing} ({path}): {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// The settings cannot be used.
    #[error(transparent)]
    Config(#[from] crate::config::BadConfig),
    /// The state cannot be used.
    #[error(transparent)]
    Start(#[from] crate::engine::StartError),
    /// The daemon ended before it was ready.
    #[error("the local EC2 did not start: {why} (its log: {log})")]
    Failed {
        /// What it said.
        why: String,
        /// Its log.
        log: PathBuf,
    },
}

impl DaemonError {
    fn io(doing: &'static str, path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            doing,
            path,
            source,
        }
    }
}
