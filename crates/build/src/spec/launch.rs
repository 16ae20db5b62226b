//! How a cell's instance is launched.

use cloud::{EbsVolume, SecurityGroupId, SubnetId, Tags};
use std::time::Duration;

/// How a cell's instance is launched.
#[derive(Clone, Debug)]
pub struct LaunchSpec {
    /// Instance types, the preferred one first; at least one.
    pub machines: Vec<String>,
    /// Where it may go, the preferred place first; at least one.
    pub subnets: Vec<SubnetSpec>,
    /// How it is paid for.
    pub purchase: PurchaseSpec,
    /// How long the instance lives before it terminates itself.
    pub max_lifetime: Duration,
    /// Groups of the user's own; if there are none the run makes one.
    pub security_groups: Vec<SecurityGroupId>,
    /// The instance profile's name.
    pub instance_profile: Option<String>,
    /// Volumes that differ from the source image's.
    pub volumes: Vec<EbsVolume>,
    /// Where SSH may come from.
    pub ssh_from: SshFrom,
    /// The user's own user-data.
    pub user_data: Option<Vec<u8>>,
    /// Whether EBS gets bandwidth of its own.
    pub ebs_optimized: Option<bool>,
    /// Whether the instance gets a random public address.
    pub public_ip: bool,
    /// Tags of the instance and its volumes besides the cell's.
    pub tags: Tags,
}

/// Which subnet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubnetSpec {
    /// This one.
    Id(SubnetId),
    /// The default VPC's in this zone of the region; any zone if none is given.
    DefaultVpc {
        /// The zone's letter.
        zone: Option<String>,
    },
}

impl std::fmt::Display for SubnetSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::DefaultVpc { zone: None } => f.write_str("default_vpc: true"),
            Self::DefaultVpc { zone: Some(zone) } => write!(f, "default_vpc: true, zone: {zone}"),
        }
    }
}

/// How an instance is paid for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PurchaseSpec {
    /// At the fixed price.
    #[default]
    OnDemand,
    /// As a spot instance.
    Spot {
        /// The most to pay, in US dollars per hour; none for the on-demand price.
        max_price: Option<String>,
        /// What follows when there is no spot capacity.
        fall_back: FallBack,
    },
}

/// What follows when there is no spot capacity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FallBack {
    /// The same once more on demand.
    OnDemand,
    /// Failure.
    None,
}

/// Where SSH may come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SshFrom {
    /// This machine's address.
    Caller,
    /// Everywhere.
    Anywhere,
    /// These IPv4 ranges.
    Ranges(Vec<String>),
}
