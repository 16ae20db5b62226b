//! What a run does to the account, as data.

use super::record::EffectNumber;
use cloud::{
    AllocationId, AssociationId, ImageId, ImportTaskId, InstanceId, KeyPairId, RegionName,
    SecurityGroupId, SnapshotId, Timestamp, UploadId, VpcId,
};
use serde::{Deserialize, Serialize};

/// Who binds the Elastic IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AddressBinder {
    /// A script in the instance's user-data.
    UserData,
    /// qib itself.
    Api,
}

/// Something that the run does to the account. Each carries what is needed to find the result again even when the
/// reply of the call was lost: a name that is unique to the run, or a client token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "effect", rename_all = "kebab-case")]
#[allow(
    missing_docs,
    reason = "the fields are the parameters of the calls that the variants name"
)]
pub enum Effect {
    /// PutParameter without overwrite: the exclusive use of something.
    ClaimLease { region: RegionName, name: String },
    /// ImportKeyPair.
    ImportKeyPair { region: RegionName, name: String },
    /// CreateSecurityGroup.
    CreateSecurityGroup {
        region: RegionName,
        name: String,
        vpc: VpcId,
    },
    /// CreateRole, for an instance.
    CreateRole { region: RegionName, name: String },
    /// PutRolePolicy; goes with the role, which the effect `of` made: one that was removed and made anew has the same
    /// name. `digest` is the document's SHA-256.
    PutRolePolicy {
        region: RegionName,
        role: String,
        of: EffectNumber,
        digest: String,
    },
    /// CreateInstanceProfile.
    CreateInstanceProfile { region: RegionName, name: String },
    /// AddRoleToInstanceProfile; goes with the profile, which the effect `of` made.
    AddRole {
        region: RegionName,
        profile: String,
        of: EffectNumber,
        role: String,
    },
    /// AuthorizeSecurityGroupIngress; goes with the group.
    AuthorizeIngress {
        region: RegionName,
        group: SecurityGroupId,
        from: Vec<String>,
    },
    /// RunInstances.
    ///
    /// `recipe` is a hash of what the pipeline says about the launch: who takes the run up again sees by it whether the
    /// instance is still the one that is wanted. It leaves out what is new at every try, such as host keys.
    LaunchInstance {
        region: RegionName,
        client_token: String,
        source_image: ImageId,
        #[serde(default)]
        recipe: String,
    },
    /// AssociateAddress, by qib or by the instance itself.
    BindAddress {
        region: RegionName,
        allocation: AllocationId,
        instance: InstanceId,
        by: AddressBinder,
    },
    /// The provisioners, by SSH; goes with the instance. `inputs` is the cache key of what they do.
    Provision {
        region: RegionName,
        instance: InstanceId,
        inputs: String,
    },
    /// Removal of qib's own traces, by SSH; goes with the instance.
    Scrub {
        region: RegionName,
        instance: InstanceId,
    },
    /// StopInstances; goes with the instance.
    StopInstance {
        region: RegionName,
        instance: InstanceId,
    },
    /// ModifyInstanceAttribute: the instance leaves the run's group; goes with the instance.
    ReplaceGroups {
        region: RegionName,
        instance: InstanceId,
        groups: Vec<SecurityGroupId>,
    },
    /// ModifyInstanceAttribute on the stopped instance: ENA and the Intel VF interface; goes with the instance.
    SetNetworking {
        region: RegionName,
        instance: InstanceId,
    },
    /// CreateSnapshots of the stopped instance's volumes, for RegisterImage.
    CreateSnapshots {
        region: RegionName,
        instance: InstanceId,
    },
    /// CreateImage. `test` is the digest of the checks that the image has to pass before it counts, if there are any.
    CreateImage {
        region: RegionName,
        name: String,
        instance: InstanceId,
        #[serde(default)]
        test: Option<String>,
    },
    /// RegisterImage, of snapshots of `instance`.
    RegisterImage {
        region: RegionName,
        name: String,
        instance: InstanceId,
        #[serde(default)]
        test: Option<String>,
    },
    /// StartSnapshot. `content` is a hash of what is to be in it: a snapshot that was begun with other content is not gone
    /// on with. The description is the run's own, and is how it is found again.
    StartSnapshot {
        region: RegionName,
        client_token: String,
        description: String,
        content: String,
    },
    /// CompleteSnapshot: all blocks are written; goes with the snapshot.
    CompleteSnapshot {
        region: RegionName,
        snapshot: SnapshotId,
    },
    /// CreateMultipartUpload, UploadPart and CompleteMultipartUpload: an object that is there until it has been imported.
    /// `content` is a hash of what is to be in it.
    UploadObject {
        region: RegionName,
        bucket: String,
        key: String,
        content: String,
    },
    /// CompleteMultipartUpload: the object is there; goes with the upload `of`.
    FinishUpload {
        region: RegionName,
        of: EffectNumber,
    },
    /// ImportSnapshot of an object. The snapshot is found by the task.
    ImportSnapshot {
        region: RegionName,
        client_token: String,
        bucket: String,
        key: String,
    },
    /// CreateTags on a snapshot that a task made, for the task gives it none; goes with the task.
    TagSnapshot {
        region: RegionName,
        snapshot: SnapshotId,
    },
    /// RegisterImage of a snapshot that was imported. `recipe` is a hash of what the image is to be, and of what: an image
    /// that was registered otherwise is not gone on with.
    RegisterSnapshot {
        region: RegionName,
        name: String,
        snapshot: SnapshotId,
        recipe: String,
    },
    /// ModifyImageAttribute: instances of the image speak IMDSv2 only; goes with the image.
    RequireImdsV2 { region: RegionName, image: ImageId },
    /// The checks, in an instance that was booted from the image; goes with that instance.
    TestImage {
        region: RegionName,
        image: ImageId,
        test: String,
    },
    /// CreateTags on the finished image; goes with the image.
    MarkComplete { region: RegionName, image: ImageId },
    /// CopyImage into `region`. The token is new whenever a parameter changes, also the time in a tag, so that it does not
    /// tell one copy from another.
    CopyImage {
        region: RegionName,
        name: String,
        source_region: RegionName,
        source_image: ImageId,
        client_token: String,
    },
    /// DeregisterImage of an image that another takes the place of, protection taken off first. Its snapshots are tagged,
    /// and stay for now.
    RetireImage {
        region: RegionName,
        image: ImageId,
        name: String,
    },
    /// DeleteSnapshot of all that belonged to a retired image.
    DeleteSnapshots {
        region: RegionName,
        image: ImageId,
        snapshots: Vec<SnapshotId>,
    },
    /// EnableImageDeprecation; goes with the image.
    DeprecateImage {
        region: RegionName,
        image: ImageId,
        /// The record has an `at` of its own.
        #[serde(rename = "deprecate_at")]
        at: Timestamp,
    },
    /// EnableImageDeregistrationProtection; goes with the image.
    ProtectImage {
        region: RegionName,
        image: ImageId,
        cooldown: bool,
    },
    /// ModifyImageAttribute and ModifySnapshotAttribute; goes with the image. `accounts` are all who it is shared with,
    /// organisations by ARN and everyone as `all`.
    ShareImage {
        region: RegionName,
        image: ImageId,
        accounts: Vec<String>,
    },
    /// PutParameter of an image's id. `before` is what the parameter held, to be put back if not all parameters of the
    /// region can be written.
    WriteParameter {
        region: RegionName,
        name: String,
        image: ImageId,
        before: Option<ParameterBefore>,
    },
    /// CreateTags on an instance that stays for a person; goes with the instance.
    MarkKept {
        region: RegionName,
        instance: InstanceId,
    },
    /// CreateTags on an image that failed its test and stays for a person; goes with the image.
    MarkImageKept { region: RegionName, image: ImageId },
}

/// What a parameter held before it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParameterBefore {
    /// Its value.
    pub value: String,
    /// Its version.
    pub version: i64,
    /// Whether it was of data type `aws:ec2:image`.
    pub image: bool,
}

impl Effect {
    /// Whether something of its own remains in the account that has to be removed. The others change what another
    /// effect made and go with it.
    pub fn leaves_something(&self) -> bool {
        match self {
            Self::ClaimLease { .. }
            | Self::ImportKeyPair { .. }
            | Self::CreateSecurityGroup { .. }
            | Self::CreateRole { .. }
            | Self::CreateInstanceProfile { .. }
            | Self::LaunchInstance { .. }
            | Self::BindAddress { .. }
            | Self::CreateSnapshots { .. }
            | Self::CreateImage { .. }
            | Self::RegisterImage { .. }
            | Self::CopyImage { .. }
            | Self::StartSnapshot { .. }
            | Self::UploadObject { .. }
            | Self::ImportSnapshot { .. }
            | Self::RegisterSnapshot { .. }
            | Self::WriteParameter { .. } => true,
            Self::PutRolePolicy { .. }
            | Self::AddRole { .. }
            | Self::AuthorizeIngress { .. }
            | Self::Provision { .. }
            | Self::Scrub { .. }
            | Self::StopInstance { .. }
            | Self::ReplaceGroups { .. }
            | Self::SetNetworking { .. }
            | Self::CompleteSnapshot { .. }
            | Self::FinishUpload { .. }
            | Self::TagSnapshot { .. }
            | Self::RequireImdsV2 { .. }
            | Self::TestImage { .. }
            | Self::MarkComplete { .. }
            | Self::RetireImage { .. }
            | Self::DeleteSnapshots { .. }
            | Self::DeprecateImage { .. }
            | Self::ProtectImage { .. }
            | Self::ShareImage { .. }
            | Self::MarkKept { .. }
            | Self::MarkImageKept { .. } => false,
        }
    }

    /// The image that it makes of the cell's instance, by its name; none if it makes none so.
    pub fn captures(&self) -> Option<&str> {
        match self {
            Self::CreateImage { name, .. } | Self::RegisterImage { name, .. } => Some(name),
            _ => None,
        }
    }

    /// The image that it makes, by its name; none if it makes none.
    pub fn makes_image(&self) -> Option<&str> {
        match self {
            Self::CopyImage { name, .. } | Self::RegisterSnapshot { name, .. } => Some(name),
            other => other.captures(),
        }
    }

    /// The checks that the image which it makes has to pass before it counts.
    pub fn test(&self) -> Option<&str> {
        match self {
            Self::CreateImage { test, .. } | Self::RegisterImage { test, .. } => test.as_deref(),
            _ => None,
        }
    }

    /// Whether `earlier`, of the same cell, is this effect: what it made is what this one would make.
    pub fn is(&self, earlier: &Self) -> bool {
        match (self, earlier) {
            // The token has host keys in it, which are new at every try.
            (
                Self::LaunchInstance {
                    region,
                    source_image,
                    recipe,
                    ..
                },
                Self::LaunchInstance {
                    region: earlier_region,
                    source_image: earlier_source,
                    recipe: earlier_recipe,
                    ..
                },
            ) => {
                region == earlier_region
                    && source_image == earlier_source
                    && recipe == earlier_recipe
            }
            // The token has the time in it, in a tag. That the name is the run's own, the tags say.
            (
                Self::CopyImage {
                    region,
                    name,
                    source_region,
                    source_image,
                    ..
                },
                Self::CopyImage {
                    region: earlier_region,
                    name: earlier_name,
                    source_region: earlier_source_region,
                    source_image: earlier_source,
                    ..
                },
            ) => {
                region == earlier_region
                    && name == earlier_name
                    && source_region == earlier_source_region
                    && source_image == earlier_source
            }
            // The token has the time in it, in a tag.
            (
                Self::StartSnapshot {
                    region, content, ..
                },
                Self::StartSnapshot {
                    region: earlier_region,
                    content: earlier_content,
                    ..
                },
            ) => region == earlier_region && content == earlier_content,
            _ => self == earlier,
        }
    }

    /// The region that it happens in.
    pub fn region(&self) -> &RegionName {
        match self {
            Self::ClaimLease { region, .. }
            | Self::ImportKeyPair { region, .. }
            | Self::CreateSecurityGroup { region, .. }
            | Self::CreateRole { region, .. }
            | Self::PutRolePolicy { region, .. }
            | Self::CreateInstanceProfile { region, .. }
            | Self::AddRole { region, .. }
            | Self::CopyImage { region, .. }
            | Self::AuthorizeIngress { region, .. }
            | Self::LaunchInstance { region, .. }
            | Self::BindAddress { region, .. }
            | Self::Provision { region, .. }
            | Self::Scrub { region, .. }
            | Self::StopInstance { region, .. }
            | Self::ReplaceGroups { region, .. }
            | Self::SetNetworking { region, .. }
            | Self::CreateSnapshots { region, .. }
            | Self::CreateImage { region, .. }
            | Self::RegisterImage { region, .. }
            | Self::StartSnapshot { region, .. }
            | Self::CompleteSnapshot { region, .. }
            | Self::UploadObject { region, .. }
            | Self::FinishUpload { region, .. }
            | Self::ImportSnapshot { region, .. }
            | Self::TagSnapshot { region, .. }
            | Self::RegisterSnapshot { region, .. }
            | Self::RequireImdsV2 { region, .. }
            | Self::TestImage { region, .. }
            | Self::MarkComplete { region, .. }
            | Self::RetireImage { region, .. }
            | Self::DeleteSnapshots { region, .. }
            | Self::DeprecateImage { region, .. }
            | Self::ProtectImage { region, .. }
            | Self::ShareImage { region, .. }
            | Self::WriteParameter { region, .. }
            | Self::MarkKept { region, .. }
            | Self::MarkImageKept { region, .. } => region,
        }
    }
}

/// What an effect made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
#[allow(missing_docs, reason = "each variant holds the id of what it names")]
pub enum Outcome {
    /// Nothing that has an id.
    Done,
    /// A key pair.
    KeyPair { id: KeyPairId },
    /// A security group.
    SecurityGroup { id: SecurityGroupId },
    /// An instance.
    Instance { id: InstanceId },
    /// The binding of an address.
    Association { id: AssociationId },
    /// An image.
    Image { id: ImageId },
    /// A snapshot.
    Snapshot { id: SnapshotId },
    /// A multipart upload.
    Upload { id: String },
    /// An import task.
    ImportTask { id: ImportTaskId },
    /// A parameter, as of this version.
    Parameter { version: i64 },
    /// A guest in which all provisioners have run, but for those that a rehearsal skips.
    Provisioned { skipped: Vec<String> },
}

/// What a call gives, as the journal keeps it.
pub trait Recorded: Sized {
    /// As it is written down.
    fn outcome(&self) -> Outcome;
    /// As it was; none if the outcome is of another kind.
    fn recorded(outcome: &Outcome) -> Option<Self>;
}

impl Recorded for () {
    fn outcome(&self) -> Outcome {
        Outcome::Done
    }

    fn recorded(outcome: &Outcome) -> Option<Self> {
        (*outcome == Outcome::Done).then_some(())
    }
}

/// The version that a write gave a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParameterVersion(pub i64);

impl Recorded for ParameterVersion {
    fn outcome(&self) -> Outcome {
        Outcome::Parameter { version: self.0 }
    }

    fn recorded(outcome: &Outcome) -> Option<Self> {
        match outcome {
            Outcome::Parameter { version } => Some(Self(*version)),
            _ => None,
        }
    }
}

macro_rules! recorded {
    ($id:ty, $variant:ident) => {
        impl Recorded for $id {
            fn outcome(&self) -> Outcome {
                Outcome::$variant { id: self.clone() }
            }

            fn recorded(outcome: &Outcome) -> Option<Self> {
                match outcome {
                    Outcome::$variant { id } => Some(id.clone()),
                    _ => None,
                }
            }
        }
    };
}

recorded!(KeyPairId, KeyPair);
recorded!(SecurityGroupId, SecurityGroup);
recorded!(InstanceId, Instance);
recorded!(AssociationId, Association);
recorded!(ImageId, Image);
recorded!(SnapshotId, Snapshot);
recorded!(ImportTaskId, ImportTask);

impl Recorded for UploadId {
    fn outcome(&self) -> Outcome {
        Outcome::Upload { id: self.0.clone() }
    }

    fn recorded(outcome: &Outcome) -> Option<Self> {
        match outcome {
            Outcome::Upload { id } => Some(Self(id.clone())),
            _ => None,
        }
    }
}
