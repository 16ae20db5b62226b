//! Instance profiles and what their roles may do.
//!
//! IAM itself is no part of the local EC2: the account holds these profiles from the start and no others.

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

impl InstanceProfile {
    /// Its ARN in `account`.
    pub fn arn(&self, account: &str) -> String {
        format!("arn:aws:iam::{account}:instance-profile/{}", self.name)
    }

    /// Its id, the same for each account and name.
    pub fn id(&self, account: &str) -> String {
        use sha2::Digest;
        let hash = sha2::Sha256::digest(format!("{account}/{}", self.name));
        format!("AIPA{}", hex::encode_upper(&hash[..8]))
    }
}
