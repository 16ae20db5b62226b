//! ARNs of what a policy is about, as narrow as is known before the account is asked.
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html>

use cloud::RegionName;
use std::collections::BTreeSet;

/// Any of them.
const ANY: &str = "*";

/// Whose resources they are, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arns {
    /// The account; none for whichever the credentials belong to.
    pub account: Option<String>,
    /// The regions; empty where they are not known.
    pub regions: BTreeSet<RegionName>,
}

/// The partition of a region.
/// <https://docs.aws.amazon.com/whitepapers/latest/aws-fault-isolation-boundaries/partitions.html>
pub fn partition_of_region(region: &str) -> &'static str {
    crate::steps::partition_of(region).0
}

impl Arns {
    fn partition(&self) -> &'static str {
        let region = self.regions.first();
        partition_of_region(region.map_or("", RegionName::as_str))
    }

    /// The only region, or all: which of several is a condition's affair, so that each resource stands there once.
    fn region(&self) -> &str {
        match self.regions.len() {
            1 => self.regions.first().map_or(ANY, RegionName::as_str),
            _ => ANY,
        }
    }

    fn account(&self) -> &str {
        self.account.as_deref().unwrap_or(ANY)
    }

    /// The regions, for a condition.
    pub fn region_names(&self) -> Vec<String> {
        self.regions.iter().map(ToString::to_string).collect()
    }

    /// Something of EC2: `instance/*`. "Images and snapshots have no account in their ARNs."
    pub fn ec2(&self, kind: &str, id: &str) -> String {
        let account = match kind {
            "image" | "snapshot" => "",
            _ => self.account(),
        };
        format!(
            "arn:{}:ec2:{}:{account}:{kind}/{id}",
            self.partition(),
            self.region()
        )
    }

    /// A parameter, by its name with or without a slash before it, or its ARN. Those that AWS publishes are no account's.
    pub fn parameter(&self, name: &str) -> String {
        if name.starts_with("arn:") {
            return name.to_owned();
        }
        let account = match name.starts_with("/aws/service/") {
            true => "",
            false => self.account(),
        };
        let bare = name.trim_start_matches('/');
        format!(
            "arn:{}:ssm:{}:{account}:parameter/{bare}",
            self.partition(),
            self.region()
        )
    }

    /// Something of IAM, which has no regions: `role/qib/*`.
    pub fn iam(&self, resource: &str) -> String {
        format!(
            "arn:{}:iam::{}:{resource}",
            self.partition(),
            self.account()
        )
    }

    /// A bucket, which is in no region's ARN: `images`; or what is in it: `images/qib/*`.
    pub fn s3(&self, what: &str) -> String {
        format!("arn:{}:s3:::{what}", self.partition())
    }

    /// A KMS key of a region.
    pub fn kms(&self, region: &str, resource: &str) -> String {
        format!(
            "arn:{}:kms:{region}:{}:{resource}",
            self.partition(),
            self.account()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arns(account: Option<&str>, regions: &[&str]) -> Arns {
        Arns {
            account: account.map(str::to_owned),
            regions: regions.iter().map(|name| (*name).into()).collect(),
        }
    }

    #[test]
    fn what_is_not_known_is_any() {
        let nothing = arns(None, &[]);
        assert_eq!(nothing.ec2("image", "*"), "arn:aws:ec2:*::image/*");
        assert_eq!(nothing.iam("role/qib/*"), "arn:aws:iam::*:role/qib/*");
        let known = arns(Some("123456789012"), &["us-east-2"]);
        assert_eq!(
            known.ec2("instance", "*"),
            "arn:aws:ec2:us-east-2:123456789012:instance/*"
        );
        assert_eq!(
            known.parameter("images/base"),
            "arn:aws:ssm:us-east-2:123456789012:parameter/images/base"
        );
        let several = arns(None, &["us-east-2", "eu-west-1"]);
        assert_eq!(several.ec2("volume", "*"), "arn:aws:ec2:*:*:volume/*");
    }

    #[test]
    fn partitions_and_public_parameters() {
        let gov = arns(None, &["us-gov-west-1"]);
        assert_eq!(
            gov.parameter("/aws/service/x"),
            "arn:aws-us-gov:ssm:us-gov-west-1::parameter/aws/service/x"
        );
        let shared = "arn:aws:ssm:us-east-2:111122223333:parameter/base";
        assert_eq!(gov.parameter(shared), shared);
        assert_eq!(
            arns(None, &["cn-north-1"]).kms("cn-north-1", "key/k"),
            "arn:aws-cn:kms:cn-north-1:*:key/k"
        );
    }
}
