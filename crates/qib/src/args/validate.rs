//! `qib validate`.

use super::variables::VariableArgs;
use clap::Args;
use std::path::PathBuf;

/// Checks a pipeline without network and credentials.
///
/// Exit code 2 if something is wrong, with file, line and column of each mistake.
#[derive(Args, Debug)]
pub struct ValidateArgs {
    /// The pipeline's file.
    #[arg(value_name = "PIPELINE")]
    pub pipeline: PathBuf,
    #[command(flatten)]
    pub variables: VariableArgs,
    /// Checks it as for the local EC2: variables take their `rehearsal` values.
    #[arg(long)]
    pub local: bool,
    /// Prints one JSON object on stdout.
    #[arg(long)]
    pub json: bool,
}
