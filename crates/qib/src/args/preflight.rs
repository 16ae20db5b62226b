//! `qib preflight`.

use super::plan::PlannedArgs;
use clap::Args;

/// Asks the account whether the pipeline can be built, and makes nothing.
///
/// Everything `plan` finds, and whether each call of a run is permitted (with DryRun where EC2 has it, else by IAM's policy
/// simulator), quotas, regions, instance types in the zones, KMS keys, and whether public sharing is blocked. Exit code 1 if
/// something would fail: each is named with why and what to do. What cannot be told is said.
#[derive(Args, Debug)]
pub struct PreflightArgs {
    #[command(flatten)]
    pub planned: PlannedArgs,
    /// Prints one JSON array on stdout: an object for each question with its answer.
    #[arg(long)]
    pub json: bool,
}
