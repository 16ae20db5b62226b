//! Launch templates as the account remembers them.

use super::tags::Tags;
use crate::ids::LaunchTemplateId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A launch template, see
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-launch-templates.html>.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LaunchTemplate {
    /// Its id.
    pub id: LaunchTemplateId,
    /// Its name, unique in the region.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// The ARN of who made it.
    pub created_by: String,
    /// The version that is meant if none is named.
    pub default_version: u64,
    /// Its versions, by number.
    pub versions: BTreeMap<u64, TemplateVersion>,
    /// Its tags.
    pub tags: Tags,
}

/// A version of a launch template.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TemplateVersion {
    /// Its description.
    pub description: Option<String>,
    /// When it was made.
    pub created: Timestamp,
    /// The ARN of who made it.
    pub created_by: String,
    /// What it says of a launch.
    pub data: TemplateData,
}

/// What a version says of a launch, as far as it is kept here.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct TemplateData {
    /// The image, or `resolve:ssm:` and a parameter.
    pub image: Option<String>,
    /// Such as `m5.xlarge`.
    pub instance_type: Option<String>,
    /// The key pair's name.
    pub key_name: Option<String>,
    /// User-data, in base64.
    pub user_data: Option<String>,
    /// The instance profile's name.
    pub profile_name: Option<String>,
    /// The instance profile's ARN.
    pub profile_arn: Option<String>,
    /// Ids of security groups.
    pub groups: Vec<String>,
    /// Whether it has dedicated bandwidth to its volumes.
    pub ebs_optimized: Option<bool>,
    /// `stop` or `terminate`.
    pub shutdown_behavior: Option<String>,
}

impl LaunchTemplate {
    /// The number of the newest version.
    pub fn latest(&self) -> u64 {
        self.versions.keys().next_back().copied().unwrap_or(1)
    }
}
