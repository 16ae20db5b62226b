//! What is made of a cell's stopped instance, and what becomes of it.

use cloud::{DeregistrationProtection, EbsVolume, Permissions, RegionName, Tags};
use std::time::Duration;

/// What is made of the stopped instance.
#[derive(Clone, Debug, Default)]
pub struct ImageSpec {
    /// Its name.
    pub name: String,
    /// The name that it is made under where another image has the name and is to be replaced; see
    /// [`crate::publication`].
    pub transitional_name: Option<String>,
    /// What happens when another image has the name.
    pub on_conflict: OnConflict,
    /// Its description.
    pub description: String,
    /// Tags of image and snapshots besides the cell's.
    pub tags: Tags,
    /// Volumes that differ from the instance's.
    pub volumes: Vec<EbsVolume>,
    /// Devices of the instance that the image leaves out.
    pub left_out_devices: Vec<String>,
    /// What it says of itself.
    pub properties: ImageProperties,
    /// Whether and how its snapshots are encrypted, from the launch on.
    pub encryption: Encryption,
    /// The regions it is copied to.
    pub copies: Vec<CopySpec>,
    /// Who else may use it.
    pub share: ShareSpec,
    /// After how long it is deprecated; none for never.
    pub deprecate_after: Option<Duration>,
    /// Whether it refuses to be deregistered; none where the pipeline does not ask for it.
    pub protection: Option<DeregistrationProtection>,
    /// Parameters that name it.
    pub parameters: Vec<ParameterSpec>,
    /// How long EC2 may take to make it, and each copy of it.
    pub wait: Duration,
    /// `qib:cache-key`, `qib:inputs` and the like.
    pub cache_tags: Tags,
}

impl ImageSpec {
    /// The name that the image is made under.
    pub fn made_as(&self) -> &str {
        self.transitional_name.as_deref().unwrap_or(&self.name)
    }
}

/// What happens when another image has the name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnConflict {
    /// The cell fails before anything is launched.
    #[default]
    Fail,
    /// That image is the result.
    Skip,
    /// The new image takes the name.
    Replace(Replaceable),
}

/// Which images may be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replaceable {
    /// Those that this stage made and that nobody else depends on.
    Own,
    /// Any of the account's.
    Any,
}

/// What an image says of itself. Where all of it is unsaid, CreateImage makes the image, and it is as its instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageProperties {
    /// `x86_64` or `arm64`.
    pub architecture: Option<String>,
    /// `legacy-bios`, `uefi` or `uefi-preferred`.
    pub boot_mode: Option<String>,
    /// `v2.0`.
    pub tpm: Option<String>,
    /// The UEFI variable store, base64.
    pub uefi_data: Option<String>,
    /// Whether it has ENA.
    pub ena: Option<bool>,
    /// Whether it has the Intel 82599 VF interface.
    pub sriov: bool,
    /// Whether its instances speak IMDSv2 only.
    pub imds_v2: bool,
}

impl ImageProperties {
    /// Whether it needs RegisterImage.
    pub fn are_registered(&self) -> bool {
        self.architecture.is_some()
            || self.boot_mode.is_some()
            || self.tpm.is_some()
            || self.uefi_data.is_some()
    }
}

/// Whether and how snapshots are encrypted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Encryption {
    /// As their source is.
    #[default]
    AsSource,
    /// With this key; none for the account's own for EBS.
    With(Option<String>),
}

/// A copy in another region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopySpec {
    /// Where.
    pub region: RegionName,
    /// Whether and how it is encrypted.
    pub encryption: Encryption,
}

/// Who else may use an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShareSpec {
    /// Who may launch it.
    pub image: Permissions,
    /// Who may make volumes of its snapshots.
    pub snapshots: Permissions,
}

/// A parameter that names the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterSpec {
    /// Its name.
    pub name: String,
    /// What may be replaced.
    pub overwrite: Overwrite,
    /// In which regions it is written.
    pub regions: ParameterRegions,
}

/// What a parameter may name when it is overwritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overwrite {
    /// An image of the same stage.
    Own,
    /// Anything.
    Any,
}

/// In which regions a parameter is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterRegions {
    /// In all that have the image.
    All,
    /// Where the image is built.
    Build,
}
