//! Where a stage starts.

use super::{CellName, ImageId, Import, Located, Owner, ParameterName, PipelineName, StageName};
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
    ImageId {
        /// Its id.
        id: ImageId,
        /// Whether it may be deprecated.
        deprecated: Deprecated,
    },
    /// The image that a filter finds.
    Filter {
        /// What the image must be.
        filter: ImageFilter,
        /// Which one to take when several fit.
        pick: Pick,
        /// The stage of this pipeline whose cell is built, or found, before one looks.
        after: Option<StageCell>,
    },
    /// The image that another stage of this pipeline makes.
    Stage(StageCell),
    /// The image whose id an SSM parameter holds.
    Ssm {
        /// The parameter.
        parameter: ParameterName,
        /// Whether the image may be deprecated.
        deprecated: Deprecated,
    },
    /// The newest complete image that another pipeline has made.
    Pipeline(PipelineSource),
    /// A disk image, which is made into a snapshot first.
    Import(Box<Import>),
}

impl Source {
    /// The cell of another stage that has to be there first: the one to start from, or to look after.
    pub fn predecessor(&self) -> Option<&StageCell> {
        match self {
            Self::Stage(cell) => Some(cell),
            Self::Filter { after, .. } => after.as_ref(),
            Self::ImageId { .. } | Self::Ssm { .. } | Self::Pipeline(_) | Self::Import(_) => None,
        }
    }

    /// The disk image that is imported, if it starts from one.
    pub fn import(&self) -> Option<&Import> {
        match self {
            Self::Import(import) => Some(import),
            Self::ImageId { .. }
            | Self::Filter { .. }
            | Self::Stage(_)
            | Self::Ssm { .. }
            | Self::Pipeline(_) => None,
        }
    }

    pub(crate) fn import_mut(&mut self) -> Option<&mut Import> {
        match self {
            Self::Import(import) => Some(import),
            Self::ImageId { .. }
            | Self::Filter { .. }
            | Self::Stage(_)
            | Self::Ssm { .. }
            | Self::Pipeline(_) => None,
        }
    }
}

/// Which cell of another stage to start from, or to look for an image after.
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

/// Whether a source image may be deprecated.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Deprecated {
    /// It may not.
    #[default]
    Refused,
    /// It may.
    Taken,
}

impl Deprecated {
    const fn of(include: bool) -> Self {
        if include { Self::Taken } else { Self::Refused }
    }
}

/// Another pipeline's image, found by the tags that qib gives it: the newest complete one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PipelineSource {
    /// The pipeline's name.
    pub pipeline: PipelineName,
    /// The stage that made the image; without it any.
    pub stage: Option<StageName>,
    /// Further tags that the image carries, key and value.
    pub tags: BTreeMap<String, String>,
    /// Whose images are looked among; without any the caller's account's.
    pub owners: Vec<Owner>,
    /// Whether the image may be deprecated.
    pub deprecated: Deprecated,
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
    /// Whose image it is, one or several: account ids, `self`, `amazon`, `aws-marketplace`. Anyone can publish an image
    /// under any name, so this is required.
    pub owners: Vec<Owner>,
    /// The image's name; `*` stands for any characters and `?` for one. Without it, one of `description`, `product_code`
    /// and `tags` must be there.
    pub name: Option<String>,
    /// The image's description; `*` stands for any characters and `?` for one.
    pub description: Option<String>,
    /// The product code of an image of the AWS Marketplace.
    pub product_code: Option<String>,
    /// The processor architecture.
    #[serde(default)]
    pub arch: Architecture,
    /// Tags that the image carries, key and value; in a value `*` stands for any characters and `?` for one. Only the
    /// account that tagged an image sees its tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// Whether deprecated images count, too.
    #[serde(default)]
    pub include_deprecated: bool,
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

/// The image a stage starts from: exactly one of `image_id`, `filter`, `ssm`, `pipeline`, `import` and, alone,
/// `stage`.
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
    /// The image that another stage of this pipeline makes; that stage is then built, or found, first. Beside
    /// `pipeline`: the stage of that pipeline.
    stage: Option<Located<StageName>>,
    /// With `filter`: a stage of this pipeline that is built, or found, before one looks, for layers that are found by their
    /// tags. What is found is not older than that stage's image.
    after: Option<Located<StageName>>,
    /// With `stage` and `after`: the cell of it. Without it, the one that agrees with this cell in every axis that both
    /// have, and in the region.
    cell: Option<Located<CellName>>,
    /// The image whose id this SSM parameter holds: one of AWS's, such as
    /// `/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id`, or your own.
    ssm: Option<ParameterName>,
    /// The newest complete image that this other pipeline of qib's has made in the stage's region.
    pipeline: Option<PipelineName>,
    /// With `pipeline`: further tags that the image carries, key and value.
    tags: Option<BTreeMap<String, String>>,
    /// With `pipeline`: whose images are looked among (default `self`). Only the account that tagged an image sees its
    /// tags.
    owners: Option<Vec<Owner>>,
    /// With `image_id`, `ssm` and `pipeline`: whether the image may be deprecated (default `false`). For `filter`, it
    /// belongs into that.
    include_deprecated: Option<bool>,
    /// A disk image, which becomes an EBS snapshot. A stage without `launch` registers the AMI of it; one with `launch`
    /// starts its instance from it.
    import: Option<Box<Import>>,
}

impl TryFrom<SourceFile> for Source {
    type Error = &'static str;

    fn try_from(file: SourceFile) -> Result<Self, Self::Error> {
        let SourceFile {
            image_id,
            filter,
            pick,
            stage,
            ssm,
            pipeline,
            tags,
            owners,
            include_deprecated,
            after,
            cell,
            import,
        } = file;
        if let Some(import) = import {
            let alone = [
                image_id.is_some(),
                filter.is_some(),
                pick.is_some(),
                stage.is_some(),
                ssm.is_some(),
                pipeline.is_some(),
                tags.is_some(),
                owners.is_some(),
                include_deprecated.is_some(),
                after.is_some(),
                cell.is_some(),
            ];
            return if alone.contains(&true) {
                Err("`import` stands alone: nothing else says where the stage starts")
            } else {
                Ok(Self::Import(import))
            };
        }
        let of_stage = stage.is_some() && pipeline.is_none();
        if cell.is_some() && !of_stage && after.is_none() {
            return Err("`cell` goes with `stage` and `after` only");
        }
        if after.is_some() && filter.is_none() {
            return Err("`after` goes with `filter` only");
        }
        if pick.is_some() && filter.is_none() {
            return Err("`pick` goes with `filter` only");
        }
        if pipeline.is_none() && (tags.is_some() || owners.is_some()) {
            return Err(
                "`tags` and `owners` go with `pipeline` only; for `filter` they belong into that",
            );
        }
        if include_deprecated.is_some()
            && (filter.is_some() || (stage.is_some() && pipeline.is_none()))
        {
            return Err(
                "`include_deprecated` goes with `image_id`, `ssm` and `pipeline`; for `filter` it belongs into that",
            );
        }
        let deprecated = Deprecated::of(include_deprecated.unwrap_or(false));
        match (image_id, filter, ssm, pipeline, stage) {
            (Some(id), None, None, None, None) => Ok(Self::ImageId { id, deprecated }),
            (None, Some(filter), None, None, None) => Ok(Self::Filter {
                filter,
                pick: pick.unwrap_or_default(),
                after: after.map(|stage| StageCell { stage, cell }),
            }),
            (None, None, Some(parameter), None, None) => Ok(Self::Ssm {
                parameter,
                deprecated,
            }),
            (None, None, None, Some(pipeline), stage) => Ok(Self::Pipeline(PipelineSource {
                pipeline,
                stage: stage.map(Located::into_value),
                tags: tags.unwrap_or_default(),
                owners: owners.unwrap_or_default(),
                deprecated,
            })),
            (None, None, None, None, Some(stage)) => Ok(Self::Stage(StageCell { stage, cell })),
            _ => Err(
                "a source is exactly one of `image_id`, `filter`, `stage`, `ssm`, `pipeline` and `import`",
            ),
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
