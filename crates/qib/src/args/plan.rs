//! `qib plan`.

use super::account::AccountArgs;
use super::cells::CellArgs;
use super::variables::VariableArgs;
use clap::Args;
use std::path::PathBuf;

/// Shows what `run` would do, and changes nothing.
///
/// Finds source images, names and addresses, and says for each cell whether its image is reused or built, and why; and how
/// many instances would run, and for how long at the most.
#[derive(Args, Debug)]
pub struct PlanArgs {
    #[command(flatten)]
    pub planned: PlannedArgs,
    /// Prints one JSON array on stdout: an object for each cell.
    #[arg(long)]
    pub json: bool,
}

// No doc comment: it would be taken for the help of the commands that have these options.
#[derive(Args, Debug)]
#[allow(missing_docs, reason = "see above: what a run is planned from")]
pub struct PlannedArgs {
    /// The pipeline's file.
    #[arg(value_name = "PIPELINE")]
    pub pipeline: PathBuf,
    #[command(flatten)]
    pub variables: VariableArgs,
    #[command(flatten)]
    pub account: AccountArgs,
    #[command(flatten)]
    pub cells: CellArgs,
    /// Plans as if `run` were given it. Can be given several times.
    #[arg(long, value_name = "STAGE")]
    pub rebuild: Vec<String>,
}
