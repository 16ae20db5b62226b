//! Why there is no place for an instance, or none that fits it: told before anything is made.

/// Why a stage's instance cannot be launched as the pipeline says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what the variants are")]
pub enum SiteError {
    #[error(
        "{region} has no default VPC, and the stage says no other: neither `launch.vpc` nor a subnet's id"
    )]
    NoDefaultVpc { region: String },
    #[error("there is no VPC in {region} for `launch.vpc: {wanted}`")]
    NoVpc { region: String, wanted: String },
    #[error("{} VPCs in {region} fit `launch.vpc: {wanted}`, and exactly one may: {}", found.len(), found.join(", "))]
    SeveralVpcs {
        region: String,
        wanted: String,
        found: Vec<String>,
    },
    #[error("there is no subnet in {vpc} for `{wanted}`")]
    NoSubnet { vpc: String, wanted: String },
    #[error("the default VPC {vpc} has no default subnet in the zone {zone}; it has some in: {}", has.join(", "))]
    NoDefaultSubnet {
        vpc: String,
        zone: String,
        has: Vec<String>,
    },
    #[error("{} subnets in {vpc} fit `{wanted}`, and exactly one may: {}", found.len(), found.join(", "))]
    SeveralSubnets {
        vpc: String,
        wanted: String,
        found: Vec<String>,
    },
    #[error("there is no security group in {vpc} for `{wanted}`")]
    NoGroup { vpc: String, wanted: String },
    #[error("{} security groups in {vpc} fit `{wanted}`, and exactly one may: {}", found.len(), found.join(", "))]
    SeveralGroups {
        vpc: String,
        wanted: String,
        found: Vec<String>,
    },
    #[error("`launch.ipv6` needs a subnet with IPv6 addresses, and {subnet} in {zone} has none")]
    NoIpv6 { subnet: String, zone: String },
    #[error("no zone of the stage's subnets ({}) has the instance type {wanted}; in {region} it is had in: {}", zones.join(", "), list(offered))]
    NotOffered {
        region: String,
        wanted: String,
        zones: Vec<String>,
        offered: Vec<String>,
    },
    #[error("the source image {image} ({name}) does not run on {machine}: {why}")]
    Misfit {
        image: String,
        name: String,
        machine: String,
        why: String,
    },
    #[error(
        "`no_device` leaves out {device}, which is the root device of the source image {image}"
    )]
    RootLeftOut { device: String, image: String },
}

fn list(items: &[String]) -> String {
    if items.is_empty() {
        String::from("no zone")
    } else {
        items.join(", ")
    }
}

impl SiteError {
    /// What the reader can do.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NoDefaultVpc { .. } => {
                "Say where to launch: `launch.subnet: subnet-…`, or `launch.vpc: vpc-…`; or make a default VPC with `aws ec2 create-default-vpc`."
            }
            Self::NoVpc { .. } => {
                "`aws ec2 describe-vpcs` lists the VPCs of the region with their tags."
            }
            Self::SeveralVpcs { .. } => "Narrow the filter of `launch.vpc`, or give the VPC's id.",
            Self::NoSubnet { .. } => {
                "`aws ec2 describe-subnets` lists the subnets; those of another VPC than the default one need `launch.vpc`."
            }
            Self::NoDefaultSubnet { .. } => {
                "Say another zone, give a subnet's id, or make one with `aws ec2 create-default-subnet`."
            }
            Self::SeveralSubnets { .. } => {
                "Narrow the filter, or say which one to take: `pick: most_free` or `pick: first`."
            }
            Self::NoGroup { .. } => {
                "`aws ec2 describe-security-groups` lists the groups of the VPC; `name` is the group's name, not its tag `Name`."
            }
            Self::SeveralGroups { .. } => "Narrow the filter, or give the group's id.",
            Self::NoIpv6 { .. } => {
                "Take a subnet with an IPv6 range, give it one (`aws ec2 associate-subnet-cidr-block`), or leave `launch.ipv6` out."
            }
            Self::NotOffered { .. } => {
                "Name a subnet in one of those zones, or another instance type in `launch.instance_types`."
            }
            Self::Misfit { .. } => {
                "Name an instance type that fits the image, or a source that fits the type (`source.filter.arch`)."
            }
            Self::RootLeftOut { .. } => {
                "Neither an instance nor an image can do without its root device: take it out of `volumes`."
            }
        }
    }
}
