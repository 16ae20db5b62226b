//! The region: each call of the port with its nature.

use super::CallNature::{Creating, Idempotent, Read};
use super::attempts::Attempts;
use super::calls::repeated_calls;
use super::content::{RetryingBlocks, RetryingObjects};
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

repeated_calls! {
    impl Region for RetryingRegion {
        fn name(&self) -> &RegionName {
            self.inner.name()
        }

        fn blocks(&self) -> Arc<dyn SnapshotBlocks> {
            Arc::new(RetryingBlocks::new(self.inner.blocks(), self.attempts.clone()))
        }

        fn objects(&self) -> Arc<dyn Objects> {
            Arc::new(RetryingObjects::new(self.inner.objects(), self.attempts.clone()))
        }
    }
    images(filter: &ImageFilter) -> Vec<Image> = Read, "DescribeImages" of "";
    create_image(request: &ImageRequest) -> ImageId = Creating, "CreateImage" of request.instance_id.as_str();
    deregister_image(image: &ImageId) -> () = Idempotent, "DeregisterImage" of image.as_str();
    /// By its ClientToken.
    copy_image(request: &CopyRequest) -> ImageId = Idempotent, "CopyImage" of request.source_image.as_str();
    register_image(request: &RegisterRequest) -> ImageId = Creating, "RegisterImage" of request.name.as_str();
    image_permissions(image: &ImageId) -> Permissions = Read, "DescribeImageAttribute" of image.as_str();
    change_image_permissions(image: &ImageId, grant: Grant, permissions: &Permissions) -> () = Idempotent, "ModifyImageAttribute" of image.as_str();
    require_imds_v2(image: &ImageId) -> () = Idempotent, "ModifyImageAttribute" of image.as_str();
    image_last_launched(image: &ImageId) -> Option<Timestamp> = Read, "DescribeImageAttribute" of image.as_str();
    set_image_deprecation(image: &ImageId, at: Option<Timestamp>) -> () = Idempotent, "EnableImageDeprecation" of image.as_str();
    set_deregistration_protection(image: &ImageId, protection: DeregistrationProtection) -> () = Idempotent, "EnableImageDeregistrationProtection" of image.as_str();
    public_images() -> PublicSharing = Read, "GetImageBlockPublicAccessState" of "";
    launch_template_images() -> Vec<LaunchTemplateImage> = Read, "DescribeLaunchTemplateVersions" of "";
    snapshots(filters: &[(String, Vec<String>)]) -> Vec<Snapshot> = Read, "DescribeSnapshots" of "";
    delete_snapshot(snapshot: &SnapshotId) -> () = Idempotent, "DeleteSnapshot" of snapshot.as_str();
    create_snapshots(request: &SnapshotsRequest) -> Vec<VolumeSnapshot> = Creating, "CreateSnapshots" of request.instance_id.as_str();
    snapshot_permissions(snapshot: &SnapshotId) -> Permissions = Read, "DescribeSnapshotAttribute" of snapshot.as_str();
    change_snapshot_permissions(snapshot: &SnapshotId, grant: Grant, permissions: &Permissions) -> () = Idempotent, "ModifySnapshotAttribute" of snapshot.as_str();
    public_snapshots() -> PublicSharing = Read, "GetSnapshotBlockPublicAccessState" of "";
    /// By its ClientToken.
    import_snapshot(request: &ImportRequest) -> ImportTaskId = Idempotent, "ImportSnapshot" of &request.object.to_string();
    import_tasks(filters: &[(String, Vec<String>)]) -> Vec<ImportTask> = Read, "DescribeImportSnapshotTasks" of "";
    cancel_import(task: &ImportTaskId) -> () = Idempotent, "CancelImportTask" of task.as_str();
    volumes(filters: &[(String, Vec<String>)]) -> Vec<Volume> = Read, "DescribeVolumes" of "";
    delete_volume(volume: &VolumeId) -> () = Idempotent, "DeleteVolume" of volume.as_str();
    regions() -> Vec<RegionDescription> = Read, "DescribeRegions" of "";
    vpcs(filters: &[(String, Vec<String>)]) -> Vec<Vpc> = Read, "DescribeVpcs" of "";
    subnets(filters: &[(String, Vec<String>)]) -> Vec<Subnet> = Read, "DescribeSubnets" of "";
    security_groups(filters: &[(String, Vec<String>)]) -> Vec<SecurityGroup> = Read, "DescribeSecurityGroups" of "";
    create_security_group(name: &str, description: &str, vpc: &VpcId, tags: &Tags) -> SecurityGroupId = Creating, "CreateSecurityGroup" of name;
    authorize_ingress(group: &SecurityGroupId, rule: &IngressRule) -> () = Idempotent, "AuthorizeSecurityGroupIngress" of group.as_str();
    delete_security_group(group: &SecurityGroupId) -> () = Idempotent, "DeleteSecurityGroup" of group.as_str();
    key_pairs(filters: &[(String, Vec<String>)]) -> Vec<KeyPairDescription> = Read, "DescribeKeyPairs" of "";
    import_key_pair(name: &str, public_key: &str, tags: &Tags) -> KeyPairId = Creating, "ImportKeyPair" of name;
    delete_key_pair(key_pair: &KeyPairId) -> () = Idempotent, "DeleteKeyPair" of key_pair.as_str();
    addresses(filter: &AddressFilter) -> Vec<Address> = Read, "DescribeAddresses" of "";
    /// Not idempotent: with `AllowReassociation=false` a second call is refused because of the first one's binding.
    associate_address(allocation: &AllocationId, instance: &InstanceId) -> AssociationId = Creating, "AssociateAddress" of allocation.as_str();
    disassociate_address(association: &AssociationId) -> () = Idempotent, "DisassociateAddress" of association.as_str();
    /// By its ClientToken.
    run_instance(request: &LaunchRequest) -> Instance = Idempotent, "RunInstances" of request.client_token.as_str();
    instance_types(names: &[String]) -> Vec<InstanceTypeDescription> = Read, "DescribeInstanceTypes" of "";
    offerings(instance_types: &[String]) -> Vec<Offering> = Read, "DescribeInstanceTypeOfferings" of "";
    instances(filter: &InstanceFilter) -> Vec<Instance> = Read, "DescribeInstances" of "";
    set_instance_groups(instance: &InstanceId, groups: &[SecurityGroupId]) -> () = Idempotent, "ModifyInstanceAttribute" of instance.as_str();
    set_enhanced_networking(instance: &InstanceId, networking: EnhancedNetworking) -> () = Idempotent, "ModifyInstanceAttribute" of instance.as_str();
    stop_instance(instance: &InstanceId) -> () = Idempotent, "StopInstances" of instance.as_str();
    terminate_instance(instance: &InstanceId) -> () = Idempotent, "TerminateInstances" of instance.as_str();
    console_output(instance: &InstanceId) -> String = Read, "GetConsoleOutput" of instance.as_str();
    create_tags(resources: &[String], tags: &Tags) -> () = Idempotent, "CreateTags" of &resources.join(", ");
    parameter(name: &str) -> Option<Parameter> = Read, "GetParameter" of name;
    parameters_below(path: &str, depth: Depth) -> Vec<Parameter> = Read, "GetParametersByPath" of path;
    put_parameter(name: &str, value: &str, write: ParameterWrite) -> i64 = write.into(), "PutParameter" of name;
    put_image_parameter(name: &str, image: &ImageId, write: ParameterWrite) -> i64 = write.into(), "PutParameter" of name;
    delete_parameter(name: &str) -> () = Idempotent, "DeleteParameter" of name;
    dry_run(call: &DryRun) -> Verdict = Read, "a call with DryRun" of "";
    quota(service: &str, code: &str) -> Option<Quota> = Read, "GetServiceQuota" of code;
    kms_key(key: &str) -> Option<KmsKey> = Read, "DescribeKey" of key;
    /// With `DryRun`: nothing is made.
    kms_grant(key: &str) -> Verdict = Read, "CreateGrant" of key;
}
