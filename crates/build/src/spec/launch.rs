//! How a cell's instance is launched.

use cloud::{
    EbsVolume, GuestShutdown, Hosting, MetadataOptions, SecurityGroupId, SubnetId, Tags, VpcId,
};
use std::time::Duration;

/// How a cell's instance is launched.
#[derive(Clone, Debug)]
pub struct LaunchSpec {
    /// Instance types, the preferred one first; at least one.
    pub machines: Vec<String>,
    /// The VPC that subnets and groups are looked for in; none for the default VPC.
    pub vpc: Option<VpcSpec>,
    /// Where it may go, the preferred place first; at least one.
    pub subnets: Vec<SubnetSpec>,
    /// How it is paid for.
    pub purchase: PurchaseSpec,
    /// How long the instance lives before it terminates itself.
    pub max_lifetime: Duration,
    /// Groups of the user's own; if there are none the run makes one.
    pub security_groups: Vec<GroupSpec>,
    /// The instance profile whose role it has.
    pub instance_profile: Option<ProfileSpec>,
    /// Volumes that differ from the source image's.
    pub volumes: Vec<EbsVolume>,
    /// Devices of the source image that it does without.
    pub left_out_devices: Vec<String>,
    /// Where SSH may come from.
    pub ssh_from: SshFrom,
    /// The user's own user-data.
    pub user_data: Option<Vec<u8>>,
    /// Whether EBS gets bandwidth of its own.
    pub ebs_optimized: Option<bool>,
    /// Whether the instance gets a random public address.
    pub public_ip: bool,
    /// Whether the instance gets an IPv6 address.
    pub ipv6: bool,
    /// What of the machine and its neighbourhood is not left to EC2.
    pub hosting: Hosting,
    /// How the instance metadata service answers.
    pub metadata: MetadataOptions,
    /// What a shutdown from inside does to it.
    pub guest_shutdown: GuestShutdown,
    /// Tags of the instance and its volumes besides the cell's.
    pub tags: Tags,
}

/// What something of the network must be to be found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// EC2 filters by name.
    pub filters: Vec<(String, Vec<String>)>,
    /// As a person says it.
    pub said: String,
}

/// Which VPC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VpcSpec {
    /// This one.
    Id(VpcId),
    /// The only one that is this.
    Filter(Wanted),
}

impl std::fmt::Display for VpcSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Filter(wanted) => f.write_str(&wanted.said),
        }
    }
}

/// Which security group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupSpec {
    /// This one.
    Id(SecurityGroupId),
    /// The only one of the VPC that is this.
    Filter(Wanted),
}

/// The role that an instance has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProfileSpec {
    /// That of the instance profile of this name.
    Named(String),
    /// One that is made for it.
    Temporary {
        /// What it may do: an IAM policy whose `Statement` is a list.
        policy: String,
    },
}

/// Which subnet to take of several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PickSubnet {
    /// There must be only one.
    Only,
    /// The one with the most free IPv4 addresses.
    MostFree,
    /// The first by zone, then by id.
    First,
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
    /// One of the VPC that is this.
    Filter {
        /// What it must be, but for the zone.
        wanted: Wanted,
        /// The zone's letter.
        zone: Option<String>,
        /// Which one to take of several.
        pick: PickSubnet,
    },
}

impl std::fmt::Display for SubnetSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::DefaultVpc { zone: None } => f.write_str("default_vpc: true"),
            Self::DefaultVpc { zone: Some(zone) } => write!(f, "default_vpc: true, zone: {zone}"),
            Self::Filter { wanted, .. } => f.write_str(&wanted.said),
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
    /// These ranges of IPv4 and IPv6 addresses.
    Ranges(Vec<String>),
}
