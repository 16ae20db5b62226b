//! `qib runs`.

use super::resume::ResumeArgs;
use clap::{Args, Subcommand};

/// Works with the runs that were begun on this machine.
#[derive(Args, Debug)]
pub struct RunsArgs {
    /// What to do with them.
    #[command(subcommand)]
    pub command: RunsCommand,
}

/// What to do with the runs.
#[derive(Debug, Subcommand)]
pub enum RunsCommand {
    Resume(ResumeArgs),
}
