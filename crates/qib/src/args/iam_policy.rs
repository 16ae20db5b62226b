//! `qib iam-policy`.

use super::account::region;
use super::cells::CellArgs;
use super::variables::VariableArgs;
use clap::Args;
use cloud::RegionName;
use std::path::PathBuf;

/// Prints the least IAM policy by which qib can run the pipeline, as JSON.
///
/// Needs no account. What is not known without one, such as the account's id, is `*`.
#[derive(Args, Debug)]
pub struct IamPolicyArgs {
    /// The pipeline's file.
    #[arg(value_name = "PIPELINE")]
    pub pipeline: PathBuf,
    #[command(flatten)]
    pub variables: VariableArgs,
    /// The region. Without it: the pipeline's `aws.region`, then AWS_REGION; without either: any.
    #[arg(long, value_name = "REGION", value_parser = region)]
    pub region: Option<RegionName>,
    #[command(flatten)]
    pub cells: CellArgs,
    /// Takes the variables' `rehearsal` values, as for the local EC2.
    #[arg(long)]
    pub local: bool,
    /// The account's id, to stand in ARNs instead of `*`.
    #[arg(long, value_name = "ID", value_parser = account)]
    pub account_id: Option<String>,
    /// Prints instead what the roles of the instance profiles that the pipeline names must be permitted.
    #[arg(long)]
    pub instance_profile: bool,
    /// Leaves out what only `qib preflight` needs.
    #[arg(long, conflicts_with = "instance_profile")]
    pub without_preflight: bool,
}

fn account(text: &str) -> Result<String, String> {
    if text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit()) {
        Ok(text.to_owned())
    } else {
        Err(String::from("an account's id has twelve digits"))
    }
}
