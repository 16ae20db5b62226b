//! Questions that change nothing: would a call be allowed, how much may be used.

use crate::{CopyRequest, ImageId, ImageRequest, LaunchRequest, RegisterRequest, Tags};

/// A call that could be made, asked for with `DryRun`.
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/CommonParameters.html>
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DryRun {
    /// RunInstances, with everything that the launch will say.
    RunInstances(Box<LaunchRequest>),
    /// CreateImage.
    CreateImage(Box<ImageRequest>),
    /// CreateSnapshots of an instance that need not exist.
    CreateSnapshots,
    /// RegisterImage.
    RegisterImage(Box<RegisterRequest>),
    /// CopyImage.
    CopyImage(Box<CopyRequest>),
    /// ImportKeyPair.
    ImportKeyPair {
        /// The tags it would be given.
        tags: Tags,
    },
    /// CreateSecurityGroup and AuthorizeSecurityGroupIngress.
    SecurityGroup {
        /// The tags it would be given.
        tags: Tags,
    },
    /// AssociateAddress and DisassociateAddress.
    Address,
    /// CreateTags on an image.
    CreateTags,
    /// StopInstances.
    StopInstances,
    /// TerminateInstances.
    TerminateInstances,
    /// ModifyInstanceAttribute.
    ModifyInstanceAttribute,
    /// ModifyImageAttribute.
    ModifyImageAttribute {
        /// An image to ask about; none where there is none yet.
        image: Option<ImageId>,
    },
    /// ModifySnapshotAttribute.
    ModifySnapshotAttribute,
    /// DeregisterImage.
    DeregisterImage,
    /// DeleteSnapshot.
    DeleteSnapshot,
    /// EnableImageDeprecation.
    EnableImageDeprecation,
    /// EnableImageDeregistrationProtection.
    EnableImageDeregistrationProtection,
    /// GetConsoleOutput.
    GetConsoleOutput,
}

/// What EC2 says to a [`DryRun`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The call would be allowed (`DryRunOperation`).
    Allowed,
    /// It would not (`UnauthorizedOperation`, `AccessDenied` …): EC2's own words.
    Denied(String),
    /// EC2 looked at the resource before the permission, and there is none: the permission cannot be told this way.
    Unknown(String),
}

/// A limit of the account's (Service Quotas).
#[derive(Clone, Debug, PartialEq)]
pub struct Quota {
    /// Its name, such as `Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances`.
    pub name: String,
    /// How much may be used; for instances, in virtual processors.
    pub value: f64,
}

/// A KMS key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KmsKey {
    /// Its ARN.
    pub arn: String,
    /// Whether it can be used (`KeyState` is `Enabled`).
    pub enabled: bool,
}
