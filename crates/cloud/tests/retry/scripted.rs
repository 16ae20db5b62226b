//! An account whose every call ends as the test has put ready, and a log of the attempts.

use crate::virtual_clock::{Moment, VirtualClock};
use async_trait::async_trait;
use cloud::port::Result;
use cloud::*;
use std::sync::{Arc, Mutex};

/// How one attempt ends.
#[derive(Clone, Copy, Debug)]
pub enum End {
    Ok,
    Error(ErrorKind),
    /// Never.
    Hangs,
}

/// One attempt: how long it takes, in milliseconds, and how it ends.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    pub takes: Moment,
    pub end: End,
}

impl Attempt {
    pub fn ok() -> Self {
        Self {
            takes: 20,
            end: End::Ok,
        }
    }

    pub fn error(kind: ErrorKind) -> Self {
        Self {
            takes: 20,
            end: End::Error(kind),
        }
    }
}

/// The account.
pub struct Scripted {
    pub clock: VirtualClock,
    name: RegionName,
    /// What each attempt does; the last one stands for all that follow.
    script: Vec<Attempt>,
    /// When each attempt began, and which call it was.
    attempts: Mutex<Vec<(Moment, &'static str)>>,
}

impl Scripted {
    pub fn new(script: Vec<Attempt>) -> Arc<Self> {
        Arc::new(Self {
            clock: VirtualClock::default(),
            name: RegionName::from("us-east-2"),
            script,
            attempts: Mutex::default(),
        })
    }

    /// The region, with repeats.
    pub fn region(self: &Arc<Self>) -> Arc<dyn Region> {
        self.account().region(&self.name)
    }

    /// The account, with repeats.
    pub fn account(self: &Arc<Self>) -> retry::Retrying {
        let account = Arc::new(Handle(self.clone()));
        retry::Retrying::new(account, Arc::new(self.clock.clone()), 42)
    }

    /// When each attempt began.
    pub fn attempts(&self) -> Vec<Moment> {
        self.calls().into_iter().map(|(began, _)| began).collect()
    }

    /// The attempts, each with its call.
    pub fn calls(&self) -> Vec<(Moment, &'static str)> {
        self.attempts.lock().unwrap().clone()
    }

    async fn call<T>(&self, operation: &'static str, value: T) -> Result<T> {
        let number = {
            let mut attempts = self.attempts.lock().unwrap();
            attempts.push((self.clock.moment(), operation));
            attempts.len() - 1
        };
        let attempt = self.script[number.min(self.script.len() - 1)];
        self.clock.until(self.clock.moment() + attempt.takes).await;
        match attempt.end {
            End::Ok => Ok(value),
            End::Error(kind) => Err(error(operation, kind)),
            End::Hangs => std::future::pending().await,
        }
    }
}

pub fn error(operation: &'static str, kind: ErrorKind) -> CloudError {
    CloudError {
        operation,
        resource: None,
        kind,
        code: "AsWritten".to_owned(),
        message: "as the test wants it".to_owned(),
        request_id: None,
    }
}

struct Handle(Arc<Scripted>);

type Filters<'a> = &'a [(String, Vec<String>)];

#[async_trait]
impl Account for Handle {
    async fn caller_identity(&self) -> Result<CallerIdentity> {
        let identity = CallerIdentity {
            account: AccountId::from("123456789012"),
            arn: String::new(),
        };
        self.0.call("GetCallerIdentity", identity).await
    }

    async fn credentials_expiry(&self) -> Result<Option<Timestamp>> {
        self.0.call("credentials", None).await
    }

    fn iam(&self) -> Arc<dyn Iam> {
        Arc::new(Handle(self.0.clone()))
    }

    fn region(&self, _: &RegionName) -> Arc<dyn Region> {
        Arc::new(Handle(self.0.clone()))
    }
}

#[async_trait]
impl Region for Handle {
    fn name(&self) -> &RegionName {
        &self.0.name
    }
    fn blocks(&self) -> Arc<dyn SnapshotBlocks> {
        Arc::new(Handle(self.0.clone()))
    }
    fn objects(&self) -> Arc<dyn Objects> {
        Arc::new(Handle(self.0.clone()))
    }
    async fn import_snapshot(&self, _: &ImportRequest) -> Result<ImportTaskId> {
        self.0.call("ImportSnapshot", "import-snap-1".into()).await
    }
    async fn import_tasks(&self, _: Filters<'_>) -> Result<Vec<ImportTask>> {
        let none = Vec::new();
        self.0.call("DescribeImportSnapshotTasks", none).await
    }
    async fn cancel_import(&self, _: &ImportTaskId) -> Result<()> {
        self.0.call("CancelImportTask", ()).await
    }
    async fn images(&self, _: &ImageFilter) -> Result<Vec<Image>> {
        self.0.call("DescribeImages", Vec::new()).await
    }
    async fn create_image(&self, _: &ImageRequest) -> Result<ImageId> {
        self.0.call("CreateImage", "ami-1".into()).await
    }
    async fn deregister_image(&self, _: &ImageId) -> Result<()> {
        self.0.call("DeregisterImage", ()).await
    }
    async fn copy_image(&self, _: &CopyRequest) -> Result<ImageId> {
        self.0.call("CopyImage", "ami-1".into()).await
    }
    async fn register_image(&self, _: &RegisterRequest) -> Result<ImageId> {
        self.0.call("RegisterImage", "ami-1".into()).await
    }
    async fn image_permissions(&self, _: &ImageId) -> Result<Permissions> {
        let nobody = Permissions::default();
        self.0.call("DescribeImageAttribute, who", nobody).await
    }
    async fn require_imds_v2(&self, _: &ImageId) -> Result<()> {
        self.0.call("ModifyImageAttribute, IMDSv2", ()).await
    }
    async fn image_last_launched(&self, _: &ImageId) -> Result<Option<Timestamp>> {
        self.0.call("DescribeImageAttribute, when", None).await
    }
    async fn set_image_deprecation(&self, _: &ImageId, _: Option<Timestamp>) -> Result<()> {
        self.0.call("EnableImageDeprecation", ()).await
    }
    async fn set_deregistration_protection(
        &self,
        _: &ImageId,
        _: DeregistrationProtection,
    ) -> Result<()> {
        self.0.call("EnableImageDeregistrationProtection", ()).await
    }
    async fn public_images(&self) -> Result<PublicSharing> {
        let allowed = PublicSharing::Allowed;
        self.0.call("GetImageBlockPublicAccessState", allowed).await
    }
    async fn launch_template_images(&self) -> Result<Vec<LaunchTemplateImage>> {
        let none = Vec::new();
        self.0.call("DescribeLaunchTemplateVersions", none).await
    }
    async fn change_image_permissions(&self, _: &ImageId, _: Grant, _: &Permissions) -> Result<()> {
        self.0.call("ModifyImageAttribute", ()).await
    }
    async fn snapshots(&self, _: Filters<'_>) -> Result<Vec<Snapshot>> {
        self.0.call("DescribeSnapshots", Vec::new()).await
    }
    async fn delete_snapshot(&self, _: &SnapshotId) -> Result<()> {
        self.0.call("DeleteSnapshot", ()).await
    }
    async fn create_snapshots(&self, _: &SnapshotsRequest) -> Result<Vec<VolumeSnapshot>> {
        self.0.call("CreateSnapshots", Vec::new()).await
    }
    async fn snapshot_permissions(&self, _: &SnapshotId) -> Result<Permissions> {
        let nobody = Permissions::default();
        self.0.call("DescribeSnapshotAttribute", nobody).await
    }
    async fn public_snapshots(&self) -> Result<PublicSharing> {
        let allowed = PublicSharing::Allowed;
        self.0
            .call("GetSnapshotBlockPublicAccessState", allowed)
            .await
    }
    async fn change_snapshot_permissions(
        &self,
        _: &SnapshotId,
        _: Grant,
        _: &Permissions,
    ) -> Result<()> {
        self.0.call("ModifySnapshotAttribute", ()).await
    }
    async fn volumes(&self, _: Filters<'_>) -> Result<Vec<Volume>> {
        self.0.call("DescribeVolumes", Vec::new()).await
    }
    async fn delete_volume(&self, _: &VolumeId) -> Result<()> {
        self.0.call("DeleteVolume", ()).await
    }
    async fn regions(&self) -> Result<Vec<RegionDescription>> {
        self.0.call("DescribeRegions", Vec::new()).await
    }
    async fn vpcs(&self, _: Filters<'_>) -> Result<Vec<Vpc>> {
        self.0.call("DescribeVpcs", Vec::new()).await
    }
    async fn subnets(&self, _: Filters<'_>) -> Result<Vec<Subnet>> {
        self.0.call("DescribeSubnets", Vec::new()).await
    }
    async fn security_groups(&self, _: Filters<'_>) -> Result<Vec<SecurityGroup>> {
        self.0.call("DescribeSecurityGroups", Vec::new()).await
    }
    async fn create_security_group(
        &self,
        _: &str,
        _: &str,
        _: &VpcId,
        _: &Tags,
    ) -> Result<SecurityGroupId> {
        self.0.call("CreateSecurityGroup", "sg-1".into()).await
    }
    async fn authorize_ingress(&self, _: &SecurityGroupId, _: &IngressRule) -> Result<()> {
        self.0.call("AuthorizeSecurityGroupIngress", ()).await
    }
    async fn delete_security_group(&self, _: &SecurityGroupId) -> Result<()> {
        self.0.call("DeleteSecurityGroup", ()).await
    }
    async fn key_pairs(&self, _: Filters<'_>) -> Result<Vec<KeyPairDescription>> {
        self.0.call("DescribeKeyPairs", Vec::new()).await
    }
    async fn import_key_pair(&self, _: &str, _: &str, _: &Tags) -> Result<KeyPairId> {
        self.0.call("ImportKeyPair", "key-1".into()).await
    }
    async fn delete_key_pair(&self, _: &KeyPairId) -> Result<()> {
        self.0.call("DeleteKeyPair", ()).await
    }
    async fn addresses(&self, _: &AddressFilter) -> Result<Vec<Address>> {
        self.0.call("DescribeAddresses", Vec::new()).await
    }
    async fn associate_address(&self, _: &AllocationId, _: &InstanceId) -> Result<AssociationId> {
        self.0.call("AssociateAddress", "eipassoc-1".into()).await
    }
    async fn disassociate_address(&self, _: &AssociationId) -> Result<()> {
        self.0.call("DisassociateAddress", ()).await
    }
    async fn run_instance(&self, _: &LaunchRequest) -> Result<Instance> {
        let instance = Instance {
            availability_zone: None,
            instance_type: "t3.micro".into(),
            ipv6: None,
            instance_id: "i-1".into(),
            state: InstanceState::Pending,
            state_reason: None,
            image_id: None,
            public_ip: None,
            private_ip: None,
            vpc_id: None,
            security_groups: Vec::new(),
            launched: None,
            key_name: None,
            tags: Tags::new(),
            purchase: Purchase::OnDemand,
        };
        self.0.call("RunInstances", instance).await
    }
    async fn instance_types(&self, _: &[String]) -> Result<Vec<InstanceTypeDescription>> {
        self.0.call("DescribeInstanceTypes", Vec::new()).await
    }
    async fn offerings(&self, _: &[String]) -> Result<Vec<Offering>> {
        self.0
            .call("DescribeInstanceTypeOfferings", Vec::new())
            .await
    }
    async fn set_enhanced_networking(&self, _: &InstanceId, _: EnhancedNetworking) -> Result<()> {
        self.0.call("ModifyInstanceAttribute, network", ()).await
    }
    async fn instances(&self, _: &InstanceFilter) -> Result<Vec<Instance>> {
        self.0.call("DescribeInstances", Vec::new()).await
    }
    async fn set_instance_groups(&self, _: &InstanceId, _: &[SecurityGroupId]) -> Result<()> {
        self.0.call("ModifyInstanceAttribute", ()).await
    }
    async fn stop_instance(&self, _: &InstanceId) -> Result<()> {
        self.0.call("StopInstances", ()).await
    }
    async fn terminate_instance(&self, _: &InstanceId) -> Result<()> {
        self.0.call("TerminateInstances", ()).await
    }
    async fn console_output(&self, _: &InstanceId) -> Result<String> {
        self.0.call("GetConsoleOutput", String::new()).await
    }
    async fn create_tags(&self, _: &[String], _: &Tags) -> Result<()> {
        self.0.call("CreateTags", ()).await
    }
    async fn parameter(&self, _: &str) -> Result<Option<Parameter>> {
        self.0.call("GetParameter", None).await
    }
    async fn parameters_below(&self, _: &str, _: Depth) -> Result<Vec<Parameter>> {
        self.0.call("GetParametersByPath", Vec::new()).await
    }
    async fn put_parameter(&self, _: &str, _: &str, write: ParameterWrite) -> Result<i64> {
        let operation = match write {
            ParameterWrite::CreateOnly => "PutParameter, new",
            ParameterWrite::Overwrite => "PutParameter, over",
        };
        self.0.call(operation, 1).await
    }
    async fn put_image_parameter(
        &self,
        _: &str,
        _: &ImageId,
        write: ParameterWrite,
    ) -> Result<i64> {
        let operation = match write {
            ParameterWrite::CreateOnly => "PutParameter, new image",
            ParameterWrite::Overwrite => "PutParameter, image over",
        };
        self.0.call(operation, 1).await
    }
    async fn dry_run(&self, _: &DryRun) -> Result<Verdict> {
        self.0.call("a call with DryRun", Verdict::Allowed).await
    }
    async fn quota(&self, _: &str, _: &str) -> Result<Option<Quota>> {
        self.0.call("GetServiceQuota", None).await
    }
    async fn kms_key(&self, _: &str) -> Result<Option<KmsKey>> {
        self.0.call("DescribeKey", None).await
    }
    async fn kms_grant(&self, _: &str) -> Result<Verdict> {
        self.0.call("CreateGrant", Verdict::Allowed).await
    }
    async fn delete_parameter(&self, _: &str) -> Result<()> {
        self.0.call("DeleteParameter", ()).await
    }
}

#[async_trait]
impl SnapshotBlocks for Handle {
    async fn start(&self, _: &StartRequest) -> Result<StartedSnapshot> {
        let started = StartedSnapshot {
            snapshot_id: "snap-1".into(),
            block_bytes: BLOCK_BYTES,
            kms_key_id: None,
        };
        self.0.call("StartSnapshot", started).await
    }
    async fn put(&self, _: &SnapshotId, _: &BlockWrite) -> Result<()> {
        self.0.call("PutSnapshotBlock", ()).await
    }
    async fn complete(&self, _: &SnapshotId, _: Written) -> Result<()> {
        self.0.call("CompleteSnapshot", ()).await
    }
    async fn list(&self, _: &SnapshotId, _: Option<&str>) -> Result<BlockPage> {
        let page = BlockPage {
            blocks: Vec::new(),
            volume_gib: 1,
            block_bytes: BLOCK_BYTES,
            next: None,
        };
        self.0.call("ListSnapshotBlocks", page).await
    }
    async fn get(&self, _: &SnapshotId, _: &ListedBlock) -> Result<BlockContent> {
        let content = BlockContent {
            content: bytes::Bytes::new(),
            digest: Sha256Digest([0; 32]),
        };
        self.0.call("GetSnapshotBlock", content).await
    }
}

#[async_trait]
impl Objects for Handle {
    async fn bucket_region(&self, _: &str) -> Result<Option<String>> {
        self.0.call("HeadBucket", None).await
    }
    async fn begin_upload(&self, _: &ObjectPlace) -> Result<UploadId> {
        let upload = UploadId(String::from("u"));
        self.0.call("CreateMultipartUpload", upload).await
    }
    async fn put_part(&self, _: &ObjectPlace, _: &UploadId, _: &PartWrite) -> Result<UploadedPart> {
        let part = UploadedPart {
            number: 1,
            etag: String::new(),
            bytes: 0,
            digest: None,
        };
        self.0.call("UploadPart", part).await
    }
    async fn parts(&self, _: &ObjectPlace, _: &UploadId) -> Result<Vec<UploadedPart>> {
        self.0.call("ListParts", Vec::new()).await
    }
    async fn finish_upload(&self, _: &ObjectPlace, _: &UploadId, _: &[UploadedPart]) -> Result<()> {
        self.0.call("CompleteMultipartUpload", ()).await
    }
    async fn uploads(&self, _: &str, _: &str) -> Result<Vec<(ObjectPlace, UploadId)>> {
        self.0.call("ListMultipartUploads", Vec::new()).await
    }
    async fn abort_upload(&self, _: &ObjectPlace, _: &UploadId) -> Result<()> {
        self.0.call("AbortMultipartUpload", ()).await
    }
    async fn list(&self, _: &str, _: &str) -> Result<Vec<ObjectPlace>> {
        self.0.call("ListObjectsV2", Vec::new()).await
    }
    async fn facts(&self, _: &ObjectPlace) -> Result<Option<ObjectFacts>> {
        self.0.call("HeadObject", None).await
    }
    async fn delete(&self, _: &ObjectPlace) -> Result<()> {
        self.0.call("DeleteObject", ()).await
    }
}

fn a_role() -> Role {
    Role {
        name: "r".to_owned(),
        arn: String::new(),
        created: None,
        tags: Tags::new(),
    }
}

fn a_profile() -> InstanceProfile {
    InstanceProfile {
        name: "p".to_owned(),
        arn: String::new(),
        roles: Vec::new(),
        created: None,
        tags: Tags::new(),
    }
}

#[async_trait]
impl Iam for Handle {
    async fn role(&self, _: &str) -> Result<Option<Role>> {
        self.0.call("GetRole", None).await
    }
    async fn roles_below(&self, _: &str) -> Result<Vec<Role>> {
        self.0.call("ListRoles", Vec::new()).await
    }
    async fn create_instance_role(&self, _: &str, _: &str, _: &Tags) -> Result<Role> {
        self.0.call("CreateRole", a_role()).await
    }
    async fn put_role_policy(&self, _: &str, _: &str, _: &str) -> Result<()> {
        self.0.call("PutRolePolicy", ()).await
    }
    async fn delete_role_policy(&self, _: &str, _: &str) -> Result<()> {
        self.0.call("DeleteRolePolicy", ()).await
    }
    async fn delete_role(&self, _: &str) -> Result<()> {
        self.0.call("DeleteRole", ()).await
    }
    async fn instance_profile(&self, _: &str) -> Result<Option<InstanceProfile>> {
        self.0.call("GetInstanceProfile", None).await
    }
    async fn instance_profiles_below(&self, _: &str) -> Result<Vec<InstanceProfile>> {
        self.0.call("ListInstanceProfiles", Vec::new()).await
    }
    async fn create_instance_profile(&self, _: &str, _: &str, _: &Tags) -> Result<InstanceProfile> {
        self.0.call("CreateInstanceProfile", a_profile()).await
    }
    async fn add_role(&self, _: &str, _: &str) -> Result<()> {
        self.0.call("AddRoleToInstanceProfile", ()).await
    }
    async fn remove_role(&self, _: &str, _: &str) -> Result<()> {
        self.0.call("RemoveRoleFromInstanceProfile", ()).await
    }
    async fn delete_instance_profile(&self, _: &str) -> Result<()> {
        self.0.call("DeleteInstanceProfile", ()).await
    }
    async fn simulate(
        &self,
        _: &str,
        _: &[String],
        _: &[String],
        _: &[(String, String)],
    ) -> Result<Vec<Simulated>> {
        self.0.call("SimulatePrincipalPolicy", Vec::new()).await
    }
}
