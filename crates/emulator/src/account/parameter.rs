//! SSM parameters as the account remembers them.

use super::tags::Tags;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The newest version of a parameter.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Parameter {
    /// Its name, with the path.
    pub name: String,
    /// `String`, `StringList` or `SecureString`.
    pub kind: String,
    /// Its value.
    pub value: String,
    /// Its description.
    pub description: Option<String>,
    /// `text` or `aws:ec2:image`.
    pub data_type: String,
    /// 1 for the first value, then one more for each.
    pub version: i64,
    /// When it was last written.
    pub modified: Timestamp,
    /// The ARN of who last wrote it.
    pub modified_by: String,
    /// Its tags.
    pub tags: Tags,
}

/// A value that is being checked: a parameter of the data type `aws:ec2:image`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PendingParameter {
    /// What the parameter will be.
    pub parameter: Parameter,
    /// When the check ends.
    pub due: Timestamp,
}
