//! Subnets and security groups.

use crate::{AvailabilityZone, RegionName, SecurityGroupId, SubnetId, Tags, VpcId};

/// A subnet that an instance can be launched into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subnet {
    /// Its id.
    pub subnet_id: SubnetId,
    /// Its VPC.
    pub vpc_id: VpcId,
    /// Where it is.
    pub availability_zone: AvailabilityZone,
    /// Whether it is the zone's default subnet.
    pub default_for_zone: bool,
    /// Whether instances in it get a public address unless asked otherwise.
    pub maps_public_ip: bool,
    /// How many of its IPv4 addresses are free.
    pub free_addresses: u32,
    /// Whether it has a range of IPv6 addresses.
    pub ipv6: bool,
    /// Its tags.
    pub tags: Tags,
}

/// A VPC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vpc {
    /// Its id.
    pub vpc_id: VpcId,
    /// Whether it is the region's default VPC.
    pub is_default: bool,
    /// Its tags.
    pub tags: Tags,
}

/// Whether an account uses a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptIn {
    /// Every account does.
    NotRequired,
    /// This account has opted in.
    OptedIn,
    /// This account has not opted in: every call to it is refused.
    NotOptedIn,
}

/// A region of AWS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegionDescription {
    /// Its name.
    pub name: RegionName,
    /// Whether the account uses it.
    pub opt_in: OptIn,
}

/// A security group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecurityGroup {
    /// Its id.
    pub group_id: SecurityGroupId,
    /// Its name, unique in the VPC.
    pub name: String,
    /// Its VPC.
    pub vpc_id: Option<VpcId>,
    /// Its tags.
    pub tags: Tags,
}

/// TCP traffic that a group lets in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngressRule {
    /// The port.
    pub port: u16,
    /// The IPv4 and IPv6 ranges it may come from, such as `203.0.113.7/32` or `::/0`.
    pub from: Vec<String>,
    /// What the rule is for, shown in the console.
    pub description: String,
}
