//! The regions of the partition `aws` that the local EC2 knows, and whether the account uses them.
//!
//! <https://docs.aws.amazon.com/global-infrastructure/latest/regions/aws-regions.html>

/// Whether an account uses a region, see
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Region.html>.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptIn {
    /// Every account does.
    NotRequired,
    /// An account has to opt in, and the accounts here have not: no credentials are good there.
    NotOptedIn,
}

impl OptIn {
    /// EC2's word.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotRequired => "opt-in-not-required",
            Self::NotOptedIn => "not-opted-in",
        }
    }
}

/// A region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegionInfo {
    /// Such as `us-east-2`.
    pub name: &'static str,
    /// Whether the accounts here use it.
    pub opt_in: OptIn,
}

const fn on(name: &'static str) -> RegionInfo {
    RegionInfo {
        name,
        opt_in: OptIn::NotRequired,
    }
}

const fn off(name: &'static str) -> RegionInfo {
    RegionInfo {
        name,
        opt_in: OptIn::NotOptedIn,
    }
}

/// All of them, by name.
pub const REGIONS: [RegionInfo; 21] = [
    off("af-south-1"),
    off("ap-east-1"),
    on("ap-northeast-1"),
    on("ap-northeast-2"),
    on("ap-northeast-3"),
    on("ap-south-1"),
    on("ap-southeast-1"),
    on("ap-southeast-2"),
    on("ca-central-1"),
    on("eu-central-1"),
    on("eu-north-1"),
    off("eu-south-1"),
    on("eu-west-1"),
    on("eu-west-2"),
    on("eu-west-3"),
    off("me-south-1"),
    on("sa-east-1"),
    on("us-east-1"),
    on("us-east-2"),
    on("us-west-1"),
    on("us-west-2"),
];

/// The region of that name.
pub fn find(name: &str) -> Option<&'static RegionInfo> {
    REGIONS.iter().find(|r| r.name == name)
}

/// Whether credentials are good in a region of that name.
pub fn is_enabled(name: &str) -> bool {
    find(name).is_some_and(|r| r.opt_in == OptIn::NotRequired)
}
