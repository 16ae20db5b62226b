//! Which account a command works on.

use crate::edge::mfa_prompt::code;
use clap::Args;
use cloud::RegionName;

/// Which account a command works on.
#[derive(Args, Debug)]
pub struct AccountArgs {
    /// Works on the local EC2 instead of AWS, and starts it if it does not run.
    #[arg(long)]
    pub local: bool,
    /// The region. Without it: the pipeline's `aws.region`, then AWS_REGION, then the profile's.
    #[arg(long, value_name = "REGION", value_parser = region)]
    pub region: Option<RegionName>,
    /// The profile of the AWS configuration files to take credentials from, as AWS_PROFILE does.
    #[arg(long, value_name = "PROFILE", conflicts_with = "local")]
    pub profile: Option<String>,
    /// The present code of the MFA device that the profile's role wants (`mfa_serial`). Without it, it is asked for on the
    /// terminal.
    #[arg(long, value_name = "CODE", conflicts_with = "local", value_parser = code)]
    pub mfa_code: Option<String>,
}

/// A region's name.
pub(super) fn region(text: &str) -> Result<RegionName, String> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !text.is_empty() && text.chars().all(fits) {
        Ok(RegionName::new(text))
    } else {
        Err(String::from("a region is written like us-east-2"))
    }
}
