//! Instance profiles and what their roles may do.
//!
//! IAM itself is no part of the local EC2: the account holds these profiles and roles from the start and no others.

/// An instance profile with the role of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InstanceProfile {
    /// Its name.
    pub name: &'static str,
    /// The actions its role may carry out.
    pub may: &'static [&'static str],
}

/// What a guest needs to bind its own Elastic IP.
const BIND_ADDRESS: &[&str] = &[
    "ec2:AssociateAddress",
    "ec2:DescribeAddresses",
    "ec2:DescribeInstances",
];

/// The profiles every account holds.
pub const PROFILES: [InstanceProfile; 3] = [
    InstanceProfile {
        name: "packer-build",
        may: BIND_ADDRESS,
    },
    InstanceProfile {
        name: "packer",
        may: BIND_ADDRESS,
    },
    InstanceProfile {
        name: "ec2-instance-profile-for-quay-image-builder",
        may: BIND_ADDRESS,
    },
];

/// The profile of that name.
pub fn profile(name: &str) -> Option<&'static InstanceProfile> {
    PROFILES.iter().find(|p| p.name == name)
}

/// What a role may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum May {
    /// Everything.
    Everything,
    /// These actions, such as `ec2:DescribeInstances`.
    Only(&'static [&'static str]),
}

/// A role that the account's user may assume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Role {
    /// Its name.
    pub name: &'static str,
    /// What it may do.
    pub may: May,
}

/// The role that may do everything. It belongs to no instance profile.
const ADMINISTRATOR: Role = Role {
    name: "administrator",
    may: May::Everything,
};

/// The role of that name.
pub fn role(name: &str) -> Option<Role> {
    let of_profile = profile(name).map(|p| Role {
        name: p.name,
        may: May::Only(p.may),
    });
    of_profile.or_else(|| (name == ADMINISTRATOR.name).then_some(ADMINISTRATOR))
}

impl Role {
    /// Its ARN in `account`.
    pub fn arn(&self, account: &str) -> String {
        format!("arn:aws:iam::{account}:role/{}", self.name)
    }

    /// Its id, the same for each account and name.
    pub fn id(&self, account: &str) -> String {
        derived_id("AROA", account, self.name)
    }
}

fn derived_id(prefix: &str, account: &str, name: &str) -> String {
    use sha2::Digest;
    let hash = sha2::Sha256::digest(format!("{account}/{name}"));
    format!("{prefix}{}", hex::encode_upper(&hash[..8]))
}

impl InstanceProfile {
    /// Its ARN in `account`.
    pub fn arn(&self, account: &str) -> String {
        format!("arn:aws:iam::{account}:instance-profile/{}", self.name)
    }

    /// Its id, the same for each account and name.
    pub fn id(&self, account: &str) -> String {
        derived_id("AIPA", account, self.name)
    }
}
