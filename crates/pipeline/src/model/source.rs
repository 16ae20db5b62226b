//! Where a stage starts.

use super::{CellName, ImageId, Located, Owner, StageName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;

/// The image a stage starts from.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "SourceFile")]
pub enum Source {
    /// This very image.
    ImageId(ImageId),
    /// The image that a filter finds.
    Filter {
        /// What the image must be.
        filter: ImageFilter,
        /// Which one to take when several fit.
        pick: Pick,
    },
    /// The image that another stage of this pipeline makes.
    Stage(StageCell),
}

/// Which cell of another stage to start from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageCell {
    /// The stage.
    pub stage: Located<StageName>,
    /// The cell's name. Without it, the one that agrees with this cell in every axis that both have.
    pub cell: Option<Located<CellName>>,
}

impl Deref for StageCell {
    type Target = StageName;
    fn deref(&self) -> &StageName {
        &self.stage.value
    }
}

impl fmt::Display for StageCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cell {
            Some(cell) => write!(f, "{}/{cell}", self.stage),
            None => self.stage.fmt(f),
        }
    }
}

/// Which image to take when a filter finds several.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Pick {
    /// The one created last, by its creation date (never by its id).
    #[default]
    Newest,
    /// There must be exactly one.
    Only,
}

/// What an image must be to be found. (EC2 API, DescribeImages: `Owner` and `Filter`.)
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageFilter {
    /// Whose image it is: account ids, `self`, `amazon`, `aws-marketplace`. Anyone can publish an image under any
    /// name, so this is required.
    pub owners: Vec<Owner>,
    /// The image's name; `*` stands for any characters and `?` for one.
    pub name: String,
    /// The processor architecture.
    #[serde(default)]
    pub arch: Architecture,
    /// Tags that the image carries, key and value.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// The virtualisation type.
    #[serde(default)]
    pub virtualization: Virtualization,
    /// The type of the root device.
    #[serde(default)]
    pub root_device: RootDevice,
}

/// A processor architecture, in EC2's words.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Architecture {
    /// 64-bit x86.
    #[default]
    #[serde(rename = "x86_64")]
    X86_64,
    /// 64-bit Arm.
    Arm64,
}

impl Architecture {
    /// The word that EC2 uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Arm64 => "arm64",
        }
    }
}

/// A virtualisation type, in EC2's words.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Virtualization {
    /// Hardware virtual machine.
    #[default]
    Hvm,
    /// Paravirtual; only instance types of the first generations have it.
    Paravirtual,
}

impl Virtualization {
    /// The word that EC2 uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hvm => "hvm",
            Self::Paravirtual => "paravirtual",
        }
    }
}

/// The type of a root device. Only images with an EBS root can be built from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RootDevice {
    /// An EBS volume.
    #[default]
    Ebs,
}

impl RootDevice {
    /// The word that EC2 uses.
    pub const fn as_str(self) -> &'static str {
        "ebs"
    }
}

/// The image a stage starts from: exactly one of `image_id`, `filter` and `stage`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Source")]
pub(crate) struct SourceFile {
    /// This very image.
    image_id: Option<ImageId>,
    /// The image that fits all of this.
    filter: Option<ImageFilter>,
    /// Which image to take when the filter finds several (default `newest`).
    pick: Option<Pick>,
    /// The image that another stage of this pipeline makes; that stage is then built, or found, first.
    stage: Option<Located<StageName>>,
    /// With `stage`: the cell of it to start from. Without it, the one that agrees with this cell in every axis that both
    /// have, and in the region.
    cell: Option<Located<CellName>>,
}

impl TryFrom<SourceFile> for Source {
    type Error = &'static str;

    fn try_from(file: SourceFile) -> Result<Self, Self::Error> {
        match file {
            SourceFile {
                image_id: Some(id),
                filter: None,
                pick: None,
                stage: None,
                cell: None,
            } => Ok(Self::ImageId(id)),
            SourceFile {
                image_id: None,
                filter: Some(filter),
                pick,
                stage: None,
                cell: None,
            } => Ok(Self::Filter {
                filter,
                pick: pick.unwrap_or_default(),
            }),
            SourceFile {
                image_id: None,
                filter: None,
                pick: None,
                stage: Some(stage),
                cell,
            } => Ok(Self::Stage(StageCell { stage, cell })),
            SourceFile {
                cell: Some(_),
                stage: None,
                ..
            } => Err("`cell` goes with `stage` only"),
            SourceFile {
                pick: Some(_),
                filter: None,
                ..
            } => Err("`pick` goes with `filter` only"),
            _ => Err("a source is exactly one of `image_id`, `filter` and `stage`"),
        }
    }
}

impl JsonSchema for Source {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Source".into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        SourceFile::json_schema(generator)
    }
}
