//! The test of an image before anybody else may use it.

use super::entry::entries;
use super::{Connect, InstanceProfileName, InstanceType, Located, ProvisionerEntry, TimeSpan};
use schemars::JsonSchema;
use serde::Deserialize;

/// A test of the new image: an instance is booted from it, the provisioners are run in it as checks, and it is
/// terminated. Only an image that passes is kept, copied, shared and named in parameters.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Test {
    /// What the test's instance has otherwise than the one that the image is built on.
    #[serde(default)]
    pub launch: TestLaunch,
    /// How to reach the test's instance; without it as the stage says.
    pub connect: Option<Connect>,
    /// The checks, in this order: the first that fails ends the test. Without any, the test is that the image boots and
    /// lets the user in.
    #[serde(default, deserialize_with = "entries")]
    pub provision: Vec<ProvisionerEntry>,
    /// How long the checks may take together, from the login on.
    #[serde(default = "half_an_hour")]
    pub timeout: TimeSpan,
}

const fn half_an_hour() -> TimeSpan {
    TimeSpan::from_secs(1_800)
}

/// What a test's instance has otherwise than the one that the image is built on. Its volumes are the image's own, and of
/// user-data it gets only what qib needs to get in.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(try_from = "TestLaunchFile")]
pub struct TestLaunch {
    /// The instance types, the preferred one first; empty for those of the stage.
    pub instance_types: Vec<Located<InstanceType>>,
    /// The instance profile; none for that of the stage.
    pub instance_profile: Option<Located<InstanceProfileName>>,
}

/// What a test's instance has otherwise than the one that the image is built on. Its volumes are the image's own, and of
/// user-data it gets only what qib needs to get in.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "TestLaunch")]
pub(crate) struct TestLaunchFile {
    /// The instance type; without it, and without `instance_types`, those of the stage.
    instance_type: Option<Located<InstanceType>>,
    /// Several instance types, the preferred one first.
    #[schemars(length(min = 1))]
    instance_types: Option<Vec<Located<InstanceType>>>,
    /// The instance profile; without it that of the stage.
    instance_profile: Option<Located<InstanceProfileName>>,
}

impl TryFrom<TestLaunchFile> for TestLaunch {
    type Error = &'static str;

    fn try_from(file: TestLaunchFile) -> Result<Self, Self::Error> {
        let instance_types = match (file.instance_type, file.instance_types) {
            (None, None) => Vec::new(),
            (Some(only), None) => vec![only],
            (None, Some(several)) if several.is_empty() => return Err("`instance_types` is empty"),
            (None, Some(several)) => several,
            (Some(_), Some(_)) => {
                return Err("`test.launch` has one of `instance_type` and `instance_types`");
            }
        };
        Ok(Self {
            instance_types,
            instance_profile: file.instance_profile,
        })
    }
}

impl JsonSchema for TestLaunch {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "TestLaunch".into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        TestLaunchFile::json_schema(generator)
    }
}
