//! The region: each call of the port with its nature.

use super::CallNature::{Creating, Idempotent, Read};
use super::attempts::Attempts;
use crate::port::Result;
use crate::*;
use async_trait::async_trait;
use std::sync::Arc;

/// A region whose calls are repeated.
pub(super) struct RetryingRegion {
    inner: Arc<dyn Region>,
    attempts: Arc<Attempts>,
}

impl RetryingRegion {
    pub(super) fn new(inner: Arc<dyn Region>, attempts: Arc<Attempts>) -> Self {
        Self { inner, attempts }
    }
}

#[async_trait]
impl Region for RetryingRegion {
    fn name(&self) -> &RegionName {
        self.inner.name()
    }

    async fn images(&self, filter: &ImageFilter) -> Result<Vec<Image>> {
        self.attempts
            .of("DescribeImages", "", Read, || self.inner.images(filter))
            .await
    }

    async fn create_image(&self, request: &ImageRequest) -> Result<ImageId> {
        self.attempts
            .of(
                "CreateImage",
                request.instance_id.as_str(),
                Creating,
                || self.inner.create_image(request),
            )
            .await
    }

    async fn deregister_image(&self, image: &ImageId) -> Result<()> {
        self.attempts
            .of("DeregisterImage", image.as_str(), Idempotent, || {
                self.inner.deregister_image(image)
            })
            .await
    }

    async fn share_image(&self, image: &ImageId, accounts: &[AccountId]) -> Result<()> {
        self.attempts
            .of("ModifyImageAttribute", image.as_str(), Idempotent, || {
                self.inner.share_image(image, accounts)
            })
            .await
    }

    async fn snapshots(&self, filters: &[(String, Vec<String>)]) -> Result<Vec<Snapshot>> {
        self.attempts
            .of("DescribeSnapshots", "", Read, || {
                self.inner.snapshots(filters)
            })
            .await
    }

    async fn delete_snapshot(&self, snapshot: &SnapshotId) -> Result<()> {
        self.attempts
            .of("DeleteSnapshot", snapshot.as_str(), Idempotent, || {
                self.inner.delete_snapshot(snapshot)
            })
            .await
    }

    async fn share_snapshot(&self, snapshot: &SnapshotId, accounts: &[AccountId]) -> Result<()> {
        self.attempts
            .of(
                "ModifySnapshotAttribute",
                snapshot.as_str(),
                Idempotent,
                || self.inner.share_snapshot(snapshot, accounts),
            )
            .await
    }

    async fn volumes(&self, filters: &[(String, Vec<String>)]) -> Result<Vec<Volume>> {
        self.attempts
            .of("DescribeVolumes", "", Read, || self.inner.volumes(filters))
            .await
    }

    async fn delete_volume(&self, volume: &VolumeId) -> Result<()> {
        self.attempts
            .of("DeleteVolume", volume.as_str(), Idempotent, || {
                self.inner.delete_volume(volume)
            })
            .await
    }

    async fn subnets(&self, filters: &[(String, Vec<String>)]) -> Result<Vec<Subnet>> {
        self.attempts
            .of("DescribeSubnets", "", Read, || self.inner.subnets(filters))
            .await
    }

    async fn security_groups(
        &self,
        filters: &[(String, Vec<String>)],
    ) -> Result<Vec<SecurityGroup>> {
        self.attempts
            .of("DescribeSecurityGroups", "", Read, || {
                self.inner.security_groups(filters)
            })
            .await
    }

    async fn create_security_group(
        &self,
        name: &str,
        description: &str,
        vpc: &VpcId,
        tags: &Tags,
    ) -> Result<SecurityGroupId> {
        self.attempts
            .of("CreateSecurityGroup", name, Creating, || {
                self.inner
                    .create_security_group(name, description, vpc, tags)
            })
            .await
    }

    async fn authorize_ingress(&self, group: &SecurityGroupId, rule: &IngressRule) -> Result<()> {
        self.attempts
            .of(
                "AuthorizeSecurityGroupIngress",
                group.as_str(),
                Idempotent,
                || self.inner.authorize_ingress(group, rule),
            )
            .await
    }

    async fn delete_security_group(&self, group: &SecurityGroupId) -> Result<()> {
        self.attempts
            .of("DeleteSecurityGroup", group.as_str(), Idempotent, || {
                self.inner.delete_security_group(group)
            })
            .await
    }

    async fn key_pairs(
        &self,
        filters: &[(String, Vec<String>)],
    ) -> Result<Vec<KeyPairDescription>> {
        self.attempts
            .of("DescribeKeyPairs", "", Read, || {
                self.inner.key_pairs(filters)
            })
            .await
    }

    async fn import_key_pair(
        &self,
        name: &str,
        public_key: &str,
        tags: &Tags,
    ) -> Result<KeyPairId> {
        self.attempts
            .of("ImportKeyPair", name, Creating, || {
                self.inner.import_key_pair(name, public_key, tags)
            })
            .await
    }

    async fn delete_key_pair(&self, key_pair: &KeyPairId) -> Result<()> {
        self.attempts
            .of("DeleteKeyPair", key_pair.as_str(), Idempotent, || {
                self.inner.delete_key_pair(key_pair)
            })
            .await
    }

    async fn addresses(&self, filter: &AddressFilter) -> Result<Vec<Address>> {
        self.attempts
            .of("DescribeAddresses", "", Read, || {
                self.inner.addresses(filter)
            })
            .await
    }

    /// Creating, not idempotent: with `AllowReassociation=false` a second call is refused because of the first one's
    /// binding.
    async fn associate_address(
        &self,
        allocation: &AllocationId,
        instance: &InstanceId,
    ) -> Result<AssociationId> {
        self.attempts
            .of("AssociateAddress", allocation.as_str(), Creating, || {
                self.inner.associate_address(allocation, instance)
            })
            .await
    }

    async fn disassociate_address(&self, association: &AssociationId) -> Result<()> {
        self.attempts
            .of(
                "DisassociateAddress",
                association.as_str(),
                Idempotent,
                || self.inner.disassociate_address(association),
            )
            .await
    }

    /// Idempotent by its ClientToken.
    async fn run_instance(&self, request: &LaunchRequest) -> Result<Instance> {
        self.attempts
            .of(
                "RunInstances",
                request.client_token.as_str(),
                Idempotent,
                || self.inner.run_instance(request),
            )
            .await
    }

    async fn instances(&self, filter: &InstanceFilter) -> Result<Vec<Instance>> {
        self.attempts
            .of("DescribeInstances", "", Read, || {
                self.inner.instances(filter)
            })
            .await
    }

    async fn set_instance_groups(
        &self,
        instance: &InstanceId,
        groups: &[SecurityGroupId],
    ) -> Result<()> {
        self.attempts
            .of(
                "ModifyInstanceAttribute",
                instance.as_str(),
                Idempotent,
                || self.inner.set_instance_groups(instance, groups),
            )
            .await
    }

    async fn stop_instance(&self, instance: &InstanceId) -> Result<()> {
        self.attempts
            .of("StopInstances", instance.as_str(), Idempotent, || {
                self.inner.stop_instance(instance)
            })
            .await
    }

    async fn terminate_instance(&self, instance: &InstanceId) -> Result<()> {
        self.attempts
            .of("TerminateInstances", instance.as_str(), Idempotent, || {
                self.inner.terminate_instance(instance)
            })
            .await
    }

    async fn console_output(&self, instance: &InstanceId) -> Result<String> {
        self.attempts
            .of("GetConsoleOutput", instance.as_str(), Read, || {
                self.inner.console_output(instance)
            })
            .await
    }

    async fn create_tags(&self, resources: &[String], tags: &Tags) -> Result<()> {
        self.attempts
            .of("CreateTags", &resources.join(", "), Idempotent, || {
                self.inner.create_tags(resources, tags)
            })
            .await
    }

    async fn parameter(&self, name: &str) -> Result<Option<Parameter>> {
        self.attempts
            .of("GetParameter", name, Read, || self.inner.parameter(name))
            .await
    }

    async fn parameters_below(&self, path: &str, depth: Depth) -> Result<Vec<Parameter>> {
        self.attempts
            .of("GetParametersByPath", path, Read, || {
                self.inner.parameters_below(path, depth)
            })
            .await
    }

    async fn put_parameter(&self, name: &str, value: &str, write: ParameterWrite) -> Result<i64> {
        self.attempts
            .of("PutParameter", name, write.into(), || {
                self.inner.put_parameter(name, value, write)
            })
            .await
    }

    async fn delete_parameter(&self, name: &str) -> Result<()> {
        self.attempts
            .of("DeleteParameter", name, Idempotent, || {
                self.inner.delete_parameter(name)
            })
            .await
    }
}
