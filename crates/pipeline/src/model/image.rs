//! The image that a stage makes.

use super::{AccountId, Located, Tags, TimeSpan, Volume};
use crate::template::Template;
use schemars::JsonSchema;
use serde::Deserialize;

/// The image that a stage makes. (EC2 API, CreateImage.)
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// The image's name, unique per account and region: 3 to 128 letters, digits, spaces and `( ) [ ] . / - ' @ _`.
    pub name: Template,
    /// The image's description, at most 255 characters.
    pub description: Option<Template>,
    /// Tags for the image and its snapshots, besides the stage's.
    #[serde(default)]
    pub tags: Tags,
    /// Block devices of the image where they differ from `launch.volumes`.
    #[serde(default)]
    pub volumes: Vec<Volume>,
    /// Who else may use the image.
    #[serde(default)]
    pub share: Share,
    /// How long EC2 may take to make the image.
    #[serde(default = "two_hours")]
    pub wait: TimeSpan,
}

const fn two_hours() -> TimeSpan {
    TimeSpan::from_secs(7_200)
}

/// Who else may use an image.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// The accounts that may launch it (`ModifyImageAttribute`, `launchPermission`).
    #[serde(default)]
    pub accounts: Vec<Located<AccountId>>,
    /// Whether they may also copy it: each of its snapshots is shared too (`createVolumePermission`).
    #[serde(default = "yes")]
    pub snapshots: bool,
}

impl Default for Share {
    fn default() -> Self {
        Self {
            accounts: Vec::new(),
            snapshots: true,
        }
    }
}

const fn yes() -> bool {
    true
}
