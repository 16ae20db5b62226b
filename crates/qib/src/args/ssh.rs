//! `qib ssh`.

use clap::Args;
use std::ffi::OsString;

/// Logs in to an instance that a run of this machine keeps, with the system's `ssh`.
///
/// The host's key is checked against the one that the run saw. The exit code is that of `ssh`.
#[derive(Args, Debug)]
pub struct SshArgs {
    /// A run (r-…) or an instance (i-…).
    #[arg(value_name = "RUN|INSTANCE")]
    pub target: String,
    /// Checks first that the local EC2 runs: its instances end with it.
    #[arg(long)]
    pub local: bool,
    /// A command to run there instead of a login shell.
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}
