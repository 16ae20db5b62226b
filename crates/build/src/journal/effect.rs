//! What a run does to the account, as data.

use super::record::EffectNumber;
use cloud::{
    AllocationId, AssociationId, ImageId, InstanceId, KeyPairId, RegionName, SecurityGroupId, VpcId,
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
    /// CreateImage.
    CreateImage {
        region: RegionName,
        name: String,
        instance: InstanceId,
    },
    /// CopyImage into `region`.
    CopyImage {
        region: RegionName,
        name: String,
        source_region: RegionName,
        source_image: ImageId,
        client_token: String,
    },
    /// CreateTags on the finished image; goes with the image.
    MarkComplete { region: RegionName, image: ImageId },
    /// ModifyImageAttribute and ModifySnapshotAttribute; goes with the image.
    ShareImage {
        region: RegionName,
        image: ImageId,
        accounts: Vec<String>,
    },
    /// CreateTags on an instance that stays for a person; goes with the instance.
    MarkKept {
        region: RegionName,
        instance: InstanceId,
    },
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
            | Self::CopyImage { .. }
            | Self::CreateImage { .. } => true,
            Self::PutRolePolicy { .. }
            | Self::AddRole { .. }
            | Self::AuthorizeIngress { .. }
            | Self::Provision { .. }
            | Self::Scrub { .. }
            | Self::StopInstance { .. }
            | Self::ReplaceGroups { .. }
            | Self::MarkComplete { .. }
            | Self::ShareImage { .. }
            | Self::MarkKept { .. } => false,
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
            | Self::CreateImage { region, .. }
            | Self::MarkComplete { region, .. }
            | Self::ShareImage { region, .. }
            | Self::MarkKept { region, .. } => region,
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
