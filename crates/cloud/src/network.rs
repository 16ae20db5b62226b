//! Subnets and security groups.

use crate::{AvailabilityZone, SecurityGroupId, SubnetId, Tags, VpcId};

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
    /// The IPv4 ranges it may come from, such as `203.0.113.7/32`.
    pub from: Vec<String>,
    /// What the rule is for, shown in the console.
    pub description: String,
}
