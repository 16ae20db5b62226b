//! `qib sweep`.

use super::account::{AccountArgs, region};
use super::runs::run_id;
use crate::edge::mfa_prompt::code;
use build::names::RunId;
use clap::Args;
use cloud::RegionName;

/// Removes what dead runs left in the account; shows it first, and removes nothing without --yes.
///
/// It is found by qib's tags alone, whichever machine the run was on: instances, volumes, key pairs, security groups,
/// images that never became complete, snapshots without an image, import tasks and the objects that they read, bindings of
/// Elastic IPs, leases. Nothing of a living run is touched, no complete image, and nothing without qib's tags. What is kept
/// for a person stays until its `qib:expires`, unless --kept is given.
#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub struct SweepArgs {
    /// A region to look at. Can be given several times. Without it: AWS_REGION, then the profile's.
    #[arg(long = "region", value_name = "REGION", value_parser = region)]
    pub regions: Vec<RegionName>,
    /// Only what this run left.
    #[arg(long, value_name = "RUN", value_parser = run_id)]
    pub run: Option<RunId>,
    /// A bucket to look into for what imports left below `qib/`. Can be given several times. Buckets that import tasks name are
    /// looked into anyway.
    #[arg(long = "bucket", value_name = "BUCKET")]
    pub buckets: Vec<String>,
    /// Also what is kept for a person (`qib run --keep-on-failure`).
    #[arg(long)]
    pub kept: bool,
    /// Removes it.
    #[arg(long)]
    pub yes: bool,
    /// Works on the local EC2 instead of AWS, and starts it if it does not run.
    #[arg(long)]
    pub local: bool,
    /// The profile of the AWS configuration files to take credentials from, as AWS_PROFILE does.
    #[arg(long, value_name = "PROFILE", conflicts_with = "local")]
    pub profile: Option<String>,
    /// The present code of the MFA device that the profile's role wants (`mfa_serial`). Without it, it is asked for on the
    /// terminal.
    #[arg(long, value_name = "CODE", conflicts_with = "local", value_parser = code)]
    pub mfa_code: Option<String>,
    /// Prints one JSON array on stdout.
    #[arg(long)]
    pub json: bool,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  done, or shown; also if there was nothing to remove
  1  the account could not be looked at, and nothing was removed
  2  bad input
  3  something could not be removed: each is named, with the command that removes it";

impl SweepArgs {
    /// The account to work on.
    pub fn account(&self) -> AccountArgs {
        AccountArgs {
            local: self.local,
            region: self.regions.first().cloned(),
            profile: self.profile.clone(),
            mfa_code: self.mfa_code.clone(),
        }
    }
}
