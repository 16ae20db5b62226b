//! IAM: roles and instance profiles, one file per family, and the policy simulator.

mod instance_profiles;
mod roles;
mod simulator;
mod tags;

use crate::credentials::RenewedCredentials;
use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_iam::Client;
use cloud::port::Result;
use cloud::{Iam, InstanceProfile, RegionName, Role, Simulated, Tags};

/// IAM has one endpoint in each partition, and its calls are signed for that one's region.
/// <https://docs.aws.amazon.com/general/latest/gr/iam-service.html>
fn signing_region(of: &RegionName) -> &'static str {
    match of.as_str() {
        name if name.starts_with("us-gov-") => "us-gov-west-1",
        name if name.starts_with("cn-") => "cn-north-1",
        name if name.starts_with("us-isob-") => "us-isob-east-1",
        name if name.starts_with("us-iso-") => "us-iso-east-1",
        _ => "us-east-1",
    }
}

/// IAM's client.
pub(crate) struct AwsIam {
    iam: Client,
    credentials: RenewedCredentials,
    /// Whose instances assume a role, in the partition's spelling.
    ec2: &'static str,
}

impl AwsIam {
    /// IAM of the partition that `region` is in.
    pub(crate) fn new(
        settings: &SdkConfig,
        credentials: RenewedCredentials,
        region: &RegionName,
    ) -> Self {
        let region = signing_region(region);
        let config = aws_sdk_iam::config::Builder::from(settings)
            .region(aws_config::Region::new(region))
            .build();
        Self {
            iam: Client::from_conf(config),
            credentials,
            ec2: match region {
                "cn-north-1" => "ec2.amazonaws.com.cn",
                _ => "ec2.amazonaws.com",
            },
        }
    }
}

#[async_trait]
impl Iam for AwsIam {
    async fn role(&self, name: &str) -> Result<Option<Role>> {
        self.credentials.sign(roles::get(&self.iam, name)).await
    }

    async fn roles_below(&self, path: &str) -> Result<Vec<Role>> {
        self.credentials.sign(roles::below(&self.iam, path)).await
    }

    async fn create_instance_role(&self, name: &str, path: &str, tags: &Tags) -> Result<Role> {
        self.credentials
            .sign(roles::create(&self.iam, name, path, tags, self.ec2))
            .await
    }

    async fn put_role_policy(&self, role: &str, policy: &str, document: &str) -> Result<()> {
        self.credentials
            .sign(roles::put_policy(&self.iam, role, policy, document))
            .await
    }

    async fn delete_role_policy(&self, role: &str, policy: &str) -> Result<()> {
        self.credentials
            .sign(roles::delete_policy(&self.iam, role, policy))
            .await
    }

    async fn delete_role(&self, name: &str) -> Result<()> {
        self.credentials.sign(roles::delete(&self.iam, name)).await
    }

    async fn instance_profile(&self, name: &str) -> Result<Option<InstanceProfile>> {
        self.credentials
            .sign(instance_profiles::get(&self.iam, name))
            .await
    }

    async fn instance_profiles_below(&self, path: &str) -> Result<Vec<InstanceProfile>> {
        self.credentials
            .sign(instance_profiles::below(&self.iam, path))
            .await
    }

    async fn create_instance_profile(
        &self,
        name: &str,
        path: &str,
        tags: &Tags,
    ) -> Result<InstanceProfile> {
        self.credentials
            .sign(instance_profiles::create(&self.iam, name, path, tags))
            .await
    }

    async fn add_role(&self, profile: &str, role: &str) -> Result<()> {
        self.credentials
            .sign(instance_profiles::add_role(&self.iam, profile, role))
            .await
    }

    async fn remove_role(&self, profile: &str, role: &str) -> Result<()> {
        self.credentials
            .sign(instance_profiles::remove_role(&self.iam, profile, role))
            .await
    }

    async fn delete_instance_profile(&self, name: &str) -> Result<()> {
        self.credentials
            .sign(instance_profiles::delete(&self.iam, name))
            .await
    }

    async fn simulate(
        &self,
        principal: &str,
        actions: &[String],
        resources: &[String],
        context: &[(String, String)],
    ) -> Result<Vec<Simulated>> {
        self.credentials
            .sign(simulator::simulate(
                &self.iam, principal, actions, resources, context,
            ))
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_partition_has_its_own_iam() {
        for (region, expected) in [
            ("us-east-2", "us-east-1"),
            ("eu-west-1", "us-east-1"),
            ("us-gov-east-1", "us-gov-west-1"),
            ("cn-northwest-1", "cn-north-1"),
            ("us-isob-east-1", "us-isob-east-1"),
            ("us-iso-west-1", "us-iso-east-1"),
        ] {
            assert_eq!(signing_region(&RegionName::from(region)), expected);
        }
    }
}
