//! One region: the port's calls, each handed to the file of its family.

use crate::blocks::AwsBlocks;
use crate::credentials::RenewedCredentials;
use crate::objects::AwsObjects;
use crate::{
    addresses, caller, dry_run, images, import_tasks, instance_types, instances, key_pairs, kms,
    launch, networks, parameters, quotas, security_groups, snapshots, subnets, tagging, volumes,
};
use async_trait::async_trait;
use aws_config::SdkConfig;
use cloud::port::Result;
use cloud::*;
use std::sync::Arc;

/// A region's clients. Connections and credentials are shared by all who use it.
pub(crate) struct AwsRegion {
    name: RegionName,
    ec2: aws_sdk_ec2::Client,
    ssm: aws_sdk_ssm::Client,
    quotas: aws_sdk_servicequotas::Client,
    kms: aws_sdk_kms::Client,
    sts: aws_sdk_sts::Client,
    blocks: Arc<AwsBlocks>,
    objects: Arc<AwsObjects>,
    credentials: RenewedCredentials,
}

impl AwsRegion {
    pub(crate) fn new(
        settings: &SdkConfig,
        credentials: RenewedCredentials,
        name: &RegionName,
    ) -> Self {
        let settings = settings
            .to_builder()
            .region(aws_config::Region::new(name.as_str().to_owned()))
            .build();
        Self {
            name: name.clone(),
            ec2: aws_sdk_ec2::Client::new(&settings),
            ssm: aws_sdk_ssm::Client::new(&settings),
            quotas: aws_sdk_servicequotas::Client::new(&settings),
            kms: aws_sdk_kms::Client::new(&settings),
            sts: aws_sdk_sts::Client::new(&settings),
            blocks: Arc::new(AwsBlocks::new(&settings, credentials.clone())),
            objects: Arc::new(AwsObjects::new(&settings, credentials.clone())),
            credentials,
        }
    }
}

#[async_trait]
impl Region for AwsRegion {
    fn name(&self) -> &RegionName {
        &self.name
    }

    fn blocks(&self) -> Arc<dyn SnapshotBlocks> {
        self.blocks.clone()
    }

    fn objects(&self) -> Arc<dyn Objects> {
        self.objects.clone()
    }

    async fn import_snapshot(&self, request: &ImportRequest) -> Result<ImportTaskId> {
        self.credentials
            .sign(import_tasks::import(&self.ec2, request))
            .await
    }

    async fn import_tasks(&self, filters: &[(String, Vec<String>)]) -> Result<Vec<ImportTask>> {
        self.credentials
            .sign(import_tasks::describe(&self.ec2, filters))
            .await
    }

    async fn cancel_import(&self, task: &ImportTaskId) -> Result<()> {
        self.credentials
            .sign(import_tasks::cancel(&self.ec2, task))
            .await
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

    async fn copy_image(&self, request: &CopyRequest) -> Result<ImageId> {
        self.credentials
            .sign(images::copy(&self.ec2, request))
            .await
    }

    async fn register_image(&self, request: &RegisterRequest) -> Result<ImageId> {
        self.credentials
            .sign(images::register(&self.ec2, request))
            .await
    }

    async fn image_permissions(&self, image: &ImageId) -> Result<Permissions> {
        self.credentials
            .sign(images::permissions(&self.ec2, image))
            .await
    }

    async fn change_image_permissions(
        &self,
        image: &ImageId,
        grant: Grant,
        permissions: &Permissions,
    ) -> Result<()> {
        self.credentials
            .sign(images::change_permissions(
                &self.ec2,
                image,
                grant,
                permissions,
            ))
            .await
    }

    async fn require_imds_v2(&self, image: &ImageId) -> Result<()> {
        self.credentials
            .sign(images::require_imds_v2(&self.ec2, image))
            .await
    }

    async fn image_last_launched(&self, image: &ImageId) -> Result<Option<Timestamp>> {
        self.credentials
            .sign(images::last_launched(&self.ec2, image))
            .await
    }

    async fn set_image_deprecation(&self, image: &ImageId, at: Option<Timestamp>) -> Result<()> {
        self.credentials
            .sign(images::set_deprecation(&self.ec2, image, at))
            .await
    }

    async fn set_deregistration_protection(
        &self,
        image: &ImageId,
        protection: DeregistrationProtection,
    ) -> Result<()> {
        self.credentials
            .sign(images::set_deregistration_protection(
                &self.ec2, image, protection,
            ))
            .await
    }

    async fn public_images(&self) -> Result<PublicSharing> {
        self.credentials
            .sign(images::public_sharing(&self.ec2))
            .await
    }

    async fn launch_template_images(&self) -> Result<Vec<LaunchTemplateImage>> {
        self.credentials
            .sign(images::launch_template_images(&self.ec2))
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

    async fn create_snapshots(&self, request: &SnapshotsRequest) -> Result<Vec<VolumeSnapshot>> {
        self.credentials
            .sign(snapshots::create(&self.ec2, request))
            .await
    }

    async fn snapshot_permissions(&self, snapshot: &SnapshotId) -> Result<Permissions> {
        self.credentials
            .sign(snapshots::permissions(&self.ec2, snapshot))
            .await
    }

    async fn change_snapshot_permissions(
        &self,
        snapshot: &SnapshotId,
        grant: Grant,
        permissions: &Permissions,
    ) -> Result<()> {
        self.credentials
            .sign(snapshots::change_permissions(
                &self.ec2,
                snapshot,
                grant,
                permissions,
            ))
            .await
    }

    async fn public_snapshots(&self) -> Result<PublicSharing> {
        self.credentials
            .sign(snapshots::public_sharing(&self.ec2))
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

    async fn regions(&self) -> Result<Vec<RegionDescription>> {
        self.credentials.sign(networks::regions(&self.ec2)).await
    }

    async fn vpcs(&self, filters: &[(String, Vec<String>)]) -> Result<Vec<Vpc>> {
        self.credentials
            .sign(networks::vpcs(&self.ec2, filters))
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

    async fn instance_types(&self, names: &[String]) -> Result<Vec<InstanceTypeDescription>> {
        self.credentials
            .sign(instance_types::describe(&self.ec2, names))
            .await
    }

    async fn offerings(&self, instance_types: &[String]) -> Result<Vec<Offering>> {
        self.credentials
            .sign(instance_types::offerings(&self.ec2, instance_types))
            .await
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

    async fn set_enhanced_networking(
        &self,
        instance: &InstanceId,
        networking: EnhancedNetworking,
    ) -> Result<()> {
        self.credentials
            .sign(instances::set_enhanced_networking(
                &self.ec2, instance, networking,
            ))
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
            .sign(parameters::put(
                &self.ssm,
                name,
                value,
                ParameterKind::Text,
                write,
            ))
            .await
    }

    async fn put_image_parameter(
        &self,
        name: &str,
        image: &ImageId,
        write: ParameterWrite,
    ) -> Result<i64> {
        self.credentials
            .sign(parameters::put(
                &self.ssm,
                name,
                image.as_str(),
                ParameterKind::Image,
                write,
            ))
            .await
    }

    async fn delete_parameter(&self, name: &str) -> Result<()> {
        self.credentials
            .sign(parameters::delete(&self.ssm, name))
            .await
    }

    async fn dry_run(&self, call: &DryRun) -> Result<Verdict> {
        self.credentials.sign(dry_run::ask(&self.ec2, call)).await
    }

    async fn quota(&self, service: &str, code: &str) -> Result<Option<Quota>> {
        self.credentials
            .sign(quotas::get(&self.quotas, service, code))
            .await
    }

    async fn kms_key(&self, key: &str) -> Result<Option<KmsKey>> {
        self.credentials.sign(kms::describe(&self.kms, key)).await
    }

    async fn kms_grant(&self, key: &str) -> Result<Verdict> {
        let asked = async {
            let caller = caller::identity(&self.sts).await?;
            kms::grant(&self.kms, key, &caller.arn).await
        };
        self.credentials.sign(asked).await
    }
}
