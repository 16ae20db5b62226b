//! One region: the port's calls, each handed to the file of its family.

use crate::credentials::RenewedCredentials;
use crate::{
    addresses, images, instances, key_pairs, launch, parameters, security_groups, snapshots,
    subnets, tagging, volumes,
};
use async_trait::async_trait;
use aws_config::SdkConfig;
use cloud::port::Result;
use cloud::*;

/// A region's clients. Connections and credentials are shared by all who use it.
pub(crate) struct AwsRegion {
    name: RegionName,
    ec2: aws_sdk_ec2::Client,
    ssm: aws_sdk_ssm::Client,
    credentials: RenewedCredentials,
}

impl AwsRegion {
    pub(crate) fn new(
        settings: &SdkConfig,
        credentials: RenewedCredentials,
        name: &RegionName,
    ) -> Self {
        let ec2 = aws_sdk_ec2::config::Builder::from(settings)
            .region(aws_config::Region::new(name.as_str().to_owned()))
            .build();
        let ssm = aws_sdk_ssm::config::Builder::from(settings)
            .region(aws_config::Region::new(name.as_str().to_owned()))
            .build();
        Self {
            name: name.clone(),
            ec2: aws_sdk_ec2::Client::from_conf(ec2),
            ssm: aws_sdk_ssm::Client::from_conf(ssm),
            credentials,
        }
    }
}

#[async_trait]
impl Region for AwsRegion {
    fn name(&self) -> &RegionName {
        &self.name
    }

    async fn images(&self, filter: &ImageFilter) -> Result<Vec<Image>> {
        self.credentials
            .sign(images::describe(&self.ec2, filter))
            .await
    }

    async fn create_image(&self, request: &ImageRequest) -> Result<ImageId> {
        self.credentials
            .sign(images::create(&self.ec2, request))
            .await
    }

    async fn deregister_image(&self, image: &ImageId) -> Result<()> {
        self.credentials
            .sign(images::deregister(&self.ec2, image))
            .await
    }

    async fn change_image_permissions(
        &self,
        image: &ImageId,
        _grant: Grant,
        permissions: &Permissions,
    ) -> Result<()> {
        let accounts: Vec<_> = permissions.accounts.iter().cloned().collect();
        let accounts = accounts.as_slice();
        self.credentials
            .sign(images::share(&self.ec2, image, accounts))
            .await
    }

    async fn snapshots(&self, filters: &[(String, Vec<String>)]) -> Result<Vec<Snapshot>> {
        self.credentials
            .sign(snapshots::describe(&self.ec2, filters))
            .await
    }

    async fn delete_snapshot(&self, snapshot: &SnapshotId) -> Result<()> {
        self.credentials
            .sign(snapshots::delete(&self.ec2, snapshot))
            .await
    }

    async fn change_snapshot_permissions(
        &self,
        snapshot: &SnapshotId,
        _grant: Grant,
        permissions: &Permissions,
    ) -> Result<()> {
        let accounts: Vec<_> = permissions.accounts.iter().cloned().collect();
        let accounts = accounts.as_slice();
        self.credentials
            .sign(snapshots::share(&self.ec2, snapshot, accounts))
            .await
    }

    async fn volumes(&self, filters: &[(String, Vec<String>)]) -> Result<Vec<Volume>> {
        self.credentials
            .sign(volumes::describe(&self.ec2, filters))
            .await
    }

    async fn delete_volume(&self, volume: &VolumeId) -> Result<()> {
        self.credentials
            .sign(volumes::delete(&self.ec2, volume))
            .await
    }

    async fn subnets(&self, filters: &[(String, Vec<String>)]) -> Result<Vec<Subnet>> {
        self.credentials
            .sign(subnets::describe(&self.ec2, filters))
            .await
    }

    async fn security_groups(
        &self,
        filters: &[(String, Vec<String>)],
    ) -> Result<Vec<SecurityGroup>> {
        self.credentials
            .sign(security_groups::describe(&self.ec2, filters))
            .await
    }

    async fn create_security_group(
        &self,
        name: &str,
        description: &str,
        vpc: &VpcId,
        tags: &Tags,
    ) -> Result<SecurityGroupId> {
        self.credentials
            .sign(security_groups::create(
                &self.ec2,
                name,
                description,
                vpc,
                tags,
            ))
            .await
    }

    async fn authorize_ingress(&self, group: &SecurityGroupId, rule: &IngressRule) -> Result<()> {
        self.credentials
            .sign(security_groups::authorize_ingress(&self.ec2, group, rule))
            .await
    }

    async fn delete_security_group(&self, group: &SecurityGroupId) -> Result<()> {
        self.credentials
            .sign(security_groups::delete(&self.ec2, group))
            .await
    }

    async fn key_pairs(
        &self,
        filters: &[(String, Vec<String>)],
    ) -> Result<Vec<KeyPairDescription>> {
        self.credentials
            .sign(key_pairs::describe(&self.ec2, filters))
            .await
    }

    async fn import_key_pair(
        &self,
        name: &str,
        public_key: &str,
        tags: &Tags,
    ) -> Result<KeyPairId> {
        self.credentials
            .sign(key_pairs::import(&self.ec2, name, public_key, tags))
            .await
    }

    async fn delete_key_pair(&self, key_pair: &KeyPairId) -> Result<()> {
        self.credentials
            .sign(key_pairs::delete(&self.ec2, key_pair))
            .await
    }

    async fn addresses(&self, filter: &AddressFilter) -> Result<Vec<Address>> {
        self.credentials
            .sign(addresses::describe(&self.ec2, filter))
            .await
    }

    async fn associate_address(
        &self,
        allocation: &AllocationId,
        instance: &InstanceId,
    ) -> Result<AssociationId> {
        self.credentials
            .sign(addresses::associate(&self.ec2, allocation, instance))
            .await
    }

    async fn disassociate_address(&self, association: &AssociationId) -> Result<()> {
        self.credentials
            .sign(addresses::disassociate(&self.ec2, association))
            .await
    }

    async fn run_instance(&self, request: &LaunchRequest) -> Result<Instance> {
        self.credentials.sign(launch::run(&self.ec2, request)).await
    }

    async fn instances(&self, filter: &InstanceFilter) -> Result<Vec<Instance>> {
        self.credentials
            .sign(instances::describe(&self.ec2, filter))
            .await
    }

    async fn set_instance_groups(
        &self,
        instance: &InstanceId,
        groups: &[SecurityGroupId],
    ) -> Result<()> {
        self.credentials
            .sign(instances::set_groups(&self.ec2, instance, groups))
            .await
    }

    async fn stop_instance(&self, instance: &InstanceId) -> Result<()> {
        self.credentials
            .sign(instances::stop(&self.ec2, instance))
            .await
    }

    async fn terminate_instance(&self, instance: &InstanceId) -> Result<()> {
        self.credentials
            .sign(instances::terminate(&self.ec2, instance))
            .await
    }

    async fn console_output(&self, instance: &InstanceId) -> Result<String> {
        self.credentials
            .sign(instances::console_output(&self.ec2, instance))
            .await
    }

    async fn create_tags(&self, resources: &[String], tags: &Tags) -> Result<()> {
        self.credentials
            .sign(tagging::create(&self.ec2, resources, tags))
            .await
    }

    async fn parameter(&self, name: &str) -> Result<Option<Parameter>> {
        self.credentials
            .sign(parameters::get(&self.ssm, name))
            .await
    }

    async fn parameters_below(&self, path: &str, depth: Depth) -> Result<Vec<Parameter>> {
        self.credentials
            .sign(parameters::below(&self.ssm, path, depth))
            .await
    }

    async fn put_parameter(&self, name: &str, value: &str, write: ParameterWrite) -> Result<i64> {
        self.credentials
            .sign(parameters::put(&self.ssm, name, value, write))
            .await
    }

    async fn delete_parameter(&self, name: &str) -> Result<()> {
        self.credentials
            .sign(parameters::delete(&self.ssm, name))
            .await
    }
}
