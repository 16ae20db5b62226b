//! `qib runs`.

use super::resume::ResumeArgs;
use crate::edge::mfa_prompt::code;
use build::names::RunId;
use clap::{Args, Subcommand};
use pipeline::model::TimeSpan;

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
    Ls(ListArgs),
    Show(ShowArgs),
    Resume(ResumeArgs),
    Extend(ExtendArgs),
}

/// Lists the runs that were begun on this machine, newest first: how it stands with each, and what it holds.
///
/// It reads the journals and asks no account. Runs of other machines are found by `qib sweep`, by tag.
#[derive(Args, Debug)]
pub struct ListArgs {
    /// Prints one JSON array on stdout.
    #[arg(long)]
    pub json: bool,
}

/// Shows one run: everything that it did to the account, when, and what became of it.
#[derive(Args, Debug)]
pub struct ShowArgs {
    /// The run: `r-` and eight characters.
    #[arg(value_name = "RUN", value_parser = run_id)]
    pub run: RunId,
    /// Prints one JSON object on stdout.
    #[arg(long)]
    pub json: bool,
}

/// Lets an instance that is kept live longer: in the timer that ends it, and in its tag.
///
/// The time is added to its present end, or counted from now if that is past.
#[derive(Args, Debug)]
pub struct ExtendArgs {
    /// The run (r-…) that keeps the instance, or the instance (i-…) where the run keeps several.
    #[arg(value_name = "RUN|INSTANCE")]
    pub target: String,
    /// How much longer, such as 30m, 2h or 1d.
    #[arg(long, value_name = "TIME", value_parser = TimeSpan::parse)]
    pub by: TimeSpan,
    /// The profile of the AWS configuration files to take credentials from. Without it: the one that the run was given.
    #[arg(long, value_name = "PROFILE")]
    pub profile: Option<String>,
    /// The present code of the MFA device that the profile's role wants (`mfa_serial`). Without it, it is asked for on the
    /// terminal.
    #[arg(long, value_name = "CODE", value_parser = code)]
    pub mfa_code: Option<String>,
}

/// A run's id.
pub(super) fn run_id(text: &str) -> Result<RunId, String> {
    RunId::parse(text).ok_or_else(|| {
        String::from("a run is written like r-0a1b2c3d; `qib runs ls` lists those of this machine")
    })
}
