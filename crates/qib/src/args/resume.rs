//! `qib runs resume`.

use super::variables::VariableArgs;
use crate::edge::mfa_prompt::code;
use clap::Args;
use std::num::NonZeroUsize;

/// Goes on with a run that died, from the last thing that it finished.
///
/// The pipeline is read again from the file it was run from, with the same arguments and for the same cells. An image that was being made is
/// waited for; an instance in which no provisioner had begun is used; one in which provisioners had begun is thrown away,
/// since none is ever run twice. A run that failed or was interrupted is begun anew under the same name.
#[derive(Args, Debug)]
pub struct ResumeArgs {
    /// The run: `r-` and eight characters. `qib runs ls` lists them.
    #[arg(value_name = "RUN")]
    pub run: String,
    /// Values besides those that the run was given, or instead of them. Secret ones were not kept and have to be given
    /// again.
    #[command(flatten)]
    pub variables: VariableArgs,
    /// The profile of the AWS configuration files to take credentials from. Without it: the one that the run was given.
    #[arg(long, value_name = "PROFILE")]
    pub profile: Option<String>,
    /// The present code of the MFA device that the profile's role wants (`mfa_serial`). Without it, it is asked for on the
    /// terminal.
    #[arg(long, value_name = "CODE", value_parser = code)]
    pub mfa_code: Option<String>,
    /// How many cells build at once. Without it: as many as the run was given.
    #[arg(long, value_name = "N")]
    pub jobs: Option<NonZeroUsize>,
    /// Keeps the instance of a cell that fails, with its key and security group, and prints the way in.
    #[arg(long)]
    pub keep_on_failure: bool,
    /// Prints one JSON object per line on stdout for everything that happens; the last one has the result.
    #[arg(long)]
    pub json: bool,
}
