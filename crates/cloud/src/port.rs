//! The calls.

use crate::*;
use async_trait::async_trait;
use std::sync::Arc;

/// Who the credentials belong to (STS GetCallerIdentity).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerIdentity {
    /// The account.
    pub account: AccountId,
    /// The user or role.
    pub arn: String,
}

/// Result of a call.
pub type Result<T> = std::result::Result<T, CloudError>;

/// An AWS account, as seen with one set of credentials.
#[async_trait]
pub trait Account: Send + Sync {
    /// Who these credentials belong to.
    async fn caller_identity(&self) -> Result<CallerIdentity>;

    /// When the present credentials end; none if they do not, or nobody says.
    async fn credentials_expiry(&self) -> Result<Option<Timestamp>>;

    /// The account's IAM, which has no regions.
    fn iam(&self) -> Arc<dyn Iam>;

    /// The account in one region.
    fn region(&self, name: &RegionName) -> Arc<dyn Region>;
}

/// One region of an account. Every method is one API call, but for reads that page.
///
/// Deleting what is already gone is a success: the caller wanted it gone.
#[async_trait]
pub trait Region: Send + Sync {
    /// The region's name.
    fn name(&self) -> &RegionName;

    /// The content of the region's snapshots.
    fn blocks(&self) -> Arc<dyn SnapshotBlocks>;

    /// The objects in S3.
    fn objects(&self) -> Arc<dyn Objects>;

    /// DescribeImages, all pages. An unknown id in the filter is left out of the answer.
    async fn images(&self, filter: &ImageFilter) -> Result<Vec<Image>>;
    /// CreateImage. `NoReboot` is sent unless [`ImageRequest::capture`] asks for a reboot, so that a running instance is
    /// never rebooted by accident.
    async fn create_image(&self, request: &ImageRequest) -> Result<ImageId>;
    /// DeregisterImage. Its snapshots stay.
    async fn deregister_image(&self, image: &ImageId) -> Result<()>;
    /// CopyImage into this region.
    async fn copy_image(&self, request: &CopyRequest) -> Result<ImageId>;
    /// RegisterImage from snapshots.
    async fn register_image(&self, request: &RegisterRequest) -> Result<ImageId>;
    /// DescribeImageAttribute, `launchPermission`: who may launch it.
    async fn image_permissions(&self, image: &ImageId) -> Result<Permissions>;
    /// ModifyImageAttribute, `launchPermission`.
    async fn change_image_permissions(
        &self,
        image: &ImageId,
        grant: Grant,
        permissions: &Permissions,
    ) -> Result<()>;
    /// ModifyImageAttribute, `imdsSupport=v2.0`: instances of the image speak IMDSv2 only. It cannot be taken back.
    async fn require_imds_v2(&self, image: &ImageId) -> Result<()>;
    /// DescribeImageAttribute, `lastLaunchedTime`: when an instance was last launched from it; none if never, as far as EC2
    /// has reported (which lags by a day).
    async fn image_last_launched(&self, image: &ImageId) -> Result<Option<Timestamp>>;
    /// EnableImageDeprecation, or DisableImageDeprecation where there is no time. EC2 rounds to the minute.
    async fn set_image_deprecation(&self, image: &ImageId, at: Option<Timestamp>) -> Result<()>;
    /// EnableImageDeregistrationProtection or DisableImageDeregistrationProtection.
    async fn set_deregistration_protection(
        &self,
        image: &ImageId,
        protection: DeregistrationProtection,
    ) -> Result<()>;
    /// GetImageBlockPublicAccessState.
    async fn public_images(&self) -> Result<PublicSharing>;
    /// DescribeLaunchTemplates and, of each, DescribeLaunchTemplateVersions: the images that templates name.
    async fn launch_template_images(&self) -> Result<Vec<LaunchTemplateImage>>;

    /// DescribeSnapshots by EC2 filters (own snapshots only), all pages.
    async fn snapshots(&self, filters: &[(String, Vec<String>)]) -> Result<Vec<Snapshot>>;
    /// DeleteSnapshot.
    async fn delete_snapshot(&self, snapshot: &SnapshotId) -> Result<()>;
    /// CreateSnapshots of all volumes of an instance.
    async fn create_snapshots(&self, request: &SnapshotsRequest) -> Result<Vec<VolumeSnapshot>>;
    /// DescribeSnapshotAttribute, `createVolumePermission`: who may make volumes from it.
    async fn snapshot_permissions(&self, snapshot: &SnapshotId) -> Result<Permissions>;
    /// ModifySnapshotAttribute, `createVolumePermission`. Only accounts and everyone can be given it.
    async fn change_snapshot_permissions(
        &self,
        snapshot: &SnapshotId,
        grant: Grant,
        permissions: &Permissions,
    ) -> Result<()>;
    /// GetSnapshotBlockPublicAccessState.
    async fn public_snapshots(&self) -> Result<PublicSharing>;

    /// ImportSnapshot.
    async fn import_snapshot(&self, request: &ImportRequest) -> Result<ImportTaskId>;
    /// DescribeImportSnapshotTasks of the account, all pages.
    async fn import_tasks(&self, filters: &[(String, Vec<String>)]) -> Result<Vec<ImportTask>>;
    /// CancelImportTask. One that has ended already is left as it is.
    async fn cancel_import(&self, task: &ImportTaskId) -> Result<()>;

    /// DescribeVolumes by EC2 filters, all pages.
    async fn volumes(&self, filters: &[(String, Vec<String>)]) -> Result<Vec<Volume>>;
    /// DeleteVolume.
    async fn delete_volume(&self, volume: &VolumeId) -> Result<()>;

    /// DescribeRegions, those included that the account has not opted in to.
    async fn regions(&self) -> Result<Vec<RegionDescription>>;
    /// DescribeVpcs by EC2 filters, all pages.
    async fn vpcs(&self, filters: &[(String, Vec<String>)]) -> Result<Vec<Vpc>>;
    /// DescribeSubnets by EC2 filters, all pages.
    async fn subnets(&self, filters: &[(String, Vec<String>)]) -> Result<Vec<Subnet>>;

    /// DescribeSecurityGroups by EC2 filters, all pages.
    async fn security_groups(
        &self,
        filters: &[(String, Vec<String>)],
    ) -> Result<Vec<SecurityGroup>>;
    /// CreateSecurityGroup.
    async fn create_security_group(
        &self,
        name: &str,
        description: &str,
        vpc: &VpcId,
        tags: &Tags,
    ) -> Result<SecurityGroupId>;
    /// AuthorizeSecurityGroupIngress. A rule that is there already counts as done.
    async fn authorize_ingress(&self, group: &SecurityGroupId, rule: &IngressRule) -> Result<()>;
    /// DeleteSecurityGroup.
    async fn delete_security_group(&self, group: &SecurityGroupId) -> Result<()>;

    /// DescribeKeyPairs by EC2 filters.
    async fn key_pairs(&self, filters: &[(String, Vec<String>)])
    -> Result<Vec<KeyPairDescription>>;
    /// ImportKeyPair: ed25519 or RSA, in OpenSSH's format.
    async fn import_key_pair(&self, name: &str, public_key: &str, tags: &Tags)
    -> Result<KeyPairId>;
    /// DeleteKeyPair by id.
    async fn delete_key_pair(&self, key_pair: &KeyPairId) -> Result<()>;

    /// DescribeAddresses. An unknown allocation is left out of the answer.
    async fn addresses(&self, filter: &AddressFilter) -> Result<Vec<Address>>;
    /// AssociateAddress, always with `AllowReassociation=false`: qib never takes an address from another.
    async fn associate_address(
        &self,
        allocation: &AllocationId,
        instance: &InstanceId,
    ) -> Result<AssociationId>;
    /// DisassociateAddress.
    async fn disassociate_address(&self, association: &AssociationId) -> Result<()>;

    /// RunInstances, exactly one, IMDSv2 required.
    async fn run_instance(&self, request: &LaunchRequest) -> Result<Instance>;
    /// DescribeInstanceTypes by name. An unknown one is an error.
    async fn instance_types(&self, names: &[String]) -> Result<Vec<InstanceTypeDescription>>;
    /// DescribeInstanceTypeOfferings by zone; a type that no zone has is left out.
    async fn offerings(&self, instance_types: &[String]) -> Result<Vec<Offering>>;
    /// DescribeInstances, all pages.
    async fn instances(&self, filter: &InstanceFilter) -> Result<Vec<Instance>>;
    /// ModifyInstanceAttribute: replaces the instance's groups.
    async fn set_instance_groups(
        &self,
        instance: &InstanceId,
        groups: &[SecurityGroupId],
    ) -> Result<()>;
    /// ModifyInstanceAttribute, once for each that is asked for: the instance must be stopped.
    async fn set_enhanced_networking(
        &self,
        instance: &InstanceId,
        networking: EnhancedNetworking,
    ) -> Result<()>;
    /// StopInstances.
    async fn stop_instance(&self, instance: &InstanceId) -> Result<()>;
    /// TerminateInstances.
    async fn terminate_instance(&self, instance: &InstanceId) -> Result<()>;
    /// GetConsoleOutput, decoded; `latest` needs a Nitro type. Empty if there is none yet.
    async fn console_output(&self, instance: &InstanceId) -> Result<String>;

    /// CreateTags on any resources of the region.
    async fn create_tags(&self, resources: &[String], tags: &Tags) -> Result<()>;

    /// GetParameter; none if there is no such parameter.
    async fn parameter(&self, name: &str) -> Result<Option<Parameter>>;
    /// GetParametersByPath, all pages.
    async fn parameters_below(&self, path: &str, depth: Depth) -> Result<Vec<Parameter>>;
    /// PutParameter of type String; gives the version written.
    async fn put_parameter(&self, name: &str, value: &str, write: ParameterWrite) -> Result<i64>;
    /// PutParameter of data type `aws:ec2:image`; gives the version written.
    async fn put_image_parameter(
        &self,
        name: &str,
        image: &ImageId,
        write: ParameterWrite,
    ) -> Result<i64>;
    /// DeleteParameter.
    async fn delete_parameter(&self, name: &str) -> Result<()>;

    /// Asks whether a call would be allowed, without making it.
    async fn dry_run(&self, call: &DryRun) -> Result<Verdict>;
    /// Service Quotas' GetServiceQuota, else GetAWSDefaultServiceQuota; none if there is no such quota.
    async fn quota(&self, service: &str, code: &str) -> Result<Option<Quota>>;
    /// KMS's DescribeKey, by id, ARN or alias; none if there is no such key.
    async fn kms_key(&self, key: &str) -> Result<Option<KmsKey>>;
    /// KMS's CreateGrant with `DryRun`: whether EBS could be let use the key for these credentials. A denial is no proof:
    /// a policy may allow grants to AWS's services only (`kms:GrantIsForAWSResource`), and says so then.
    async fn kms_grant(&self, key: &str) -> Result<Verdict>;
}
