//! The image that a stage makes.

use super::{
    Architecture, CopyTarget, ImageParameter, KmsKeyId, Located, OnConflict, Protection, Share,
    Tags, TimeSpan, UefiDataFile, Volume,
};
use crate::template::Template;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The image that a stage makes. (EC2 API, CreateImage; with `architecture`, `boot_mode`, `tpm` or `uefi_data`
/// CreateSnapshots and RegisterImage.)
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// The image's name, unique per account and region: 3 to 128 letters, digits, spaces and `( ) [ ] . / - ' @ _`.
    pub name: Template,
    /// What happens when the name is taken, here or in a region of `copy_to`: `fail`, `skip` (the image that has it is
    /// the result) or `replace` (the old image is removed once the new one is available). `replace: { force: true }` also
    /// replaces images that this stage did not make, or that others depend on.
    #[serde(default)]
    pub on_conflict: Located<OnConflict>,
    /// The image's description, at most 255 characters.
    pub description: Option<Template>,
    /// What backs the image: EBS snapshots.
    #[serde(default)]
    pub kind: Located<ImageKind>,
    /// Tags for the image, its snapshots and its copies, besides the stage's.
    #[serde(default)]
    pub tags: Tags,
    /// Block devices of the image where they differ from `launch.volumes`; of a disk that is imported without `launch`, its
    /// root device and further ones.
    #[serde(default)]
    pub volumes: Vec<Volume>,
    /// The processor architecture, where it is not the source image's. (RegisterImage.) Of a disk that is imported,
    /// `source.import.arch` says it.
    pub architecture: Option<Located<Architecture>>,
    /// How instances of the image boot, where it is not as the source image says. (RegisterImage.) Of a disk that is
    /// imported, the architecture and the partition table say it otherwise.
    pub boot_mode: Option<Located<BootMode>>,
    /// The NitroTPM that instances of the image have; needs `boot_mode: uefi`. (RegisterImage, `TpmSupport`.)
    pub tpm: Option<Located<Tpm>>,
    /// A file with the image's UEFI variable store as `GetInstanceUefiData` gives it (base64), relative to the pipeline's
    /// file; needs a UEFI `boot_mode`. (RegisterImage, `UefiData`.)
    pub uefi_data: Option<UefiDataFile>,
    /// Whether the image has enhanced networking with ENA; without it as the instance has.
    pub ena: Option<Located<bool>>,
    /// Whether the image has enhanced networking with the Intel 82599 VF interface (`sriovNetSupport`).
    #[serde(default)]
    pub sriov: Located<bool>,
    /// `v2`: instances of the image speak IMDSv2 only, unless their launch says otherwise. (`ImdsSupport`.)
    pub imds: Option<Imds>,
    /// Whether all of the image's snapshots are encrypted: the volumes are encrypted from the launch on, so that no second
    /// image has to be made.
    #[serde(default)]
    pub encrypted: Located<bool>,
    /// The KMS key to encrypt with; needs `encrypted: true`. Without it the account's key for EBS.
    pub kms_key_id: Option<Located<KmsKeyId>>,
    /// The regions to copy the image to, all at once: each a region, or `{ region, encrypted, kms_key_id }`.
    #[serde(default)]
    pub copy_to: Vec<Located<CopyTarget>>,
    /// Who else may use the image and its copies.
    #[serde(default)]
    pub share: Share,
    /// After how long EC2 shows the image and its copies to their owner only, from the image's creation on.
    /// (EnableImageDeprecation.)
    pub deprecate_after: Option<Located<TimeSpan>>,
    /// Whether the image and its copies refuse to be deregistered.
    #[serde(default)]
    pub protect: Located<Protection>,
    /// SSM parameters that name the image, written last of all.
    #[serde(default)]
    pub parameters: Vec<ImageParameter>,
    /// How long EC2 may take to make the image, and to make each copy of it.
    #[serde(default = "two_hours")]
    pub wait: TimeSpan,
}

const fn two_hours() -> TimeSpan {
    TimeSpan::from_secs(7_200)
}

impl Image {
    /// Whether it needs RegisterImage, for CreateImage cannot say what is asked for.
    pub fn is_registered(&self) -> bool {
        self.architecture.is_some()
            || self.boot_mode.is_some()
            || self.tpm.is_some()
            || self.uefi_data.is_some()
    }
}

/// What backs an image.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, Serialize, JsonSchema)]
pub enum ImageKind {
    /// EBS snapshots.
    #[default]
    #[serde(rename = "ebs")]
    Ebs,
    /// A bundle in S3, which is refused: qib makes none.
    #[serde(rename = "s3_bundle")]
    #[schemars(skip)]
    S3Bundle,
}

/// How instances of an image boot. (EC2 User Guide, "Instance launch behavior with Amazon EC2 boot modes".)
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BootMode {
    /// BIOS.
    LegacyBios,
    /// UEFI.
    Uefi,
    /// UEFI where the instance type has it, else BIOS.
    UefiPreferred,
}

impl BootMode {
    /// The word that EC2 uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LegacyBios => "legacy-bios",
            Self::Uefi => "uefi",
            Self::UefiPreferred => "uefi-preferred",
        }
    }
}

/// A version of NitroTPM.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, Serialize, JsonSchema)]
pub enum Tpm {
    /// TPM 2.0.
    #[serde(rename = "v2.0")]
    V2,
}

impl Tpm {
    /// The word that EC2 uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V2 => "v2.0",
        }
    }
}

/// Which metadata service instances of an image have.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Imds {
    /// IMDSv2 only.
    V2,
}
