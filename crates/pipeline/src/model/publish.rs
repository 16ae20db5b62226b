//! What becomes of an image once it is made: who may use it, how long it counts, which parameters name it.

use super::{AccountId, Located, OrganizationArn, OrganizationalUnitArn};
use crate::template::Template;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// What happens when the account has an image of the wanted name already, in the build's region or in one that the image
/// is copied to. It is looked for before anything is launched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnConflict {
    /// The cell fails, before anything is created.
    #[default]
    Fail,
    /// The image that has the name is the result, and nothing is built.
    Skip,
    /// The new image takes the name, and the old one is removed once the new one is available.
    Replace {
        /// Which images may be replaced.
        force: bool,
    },
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ReplaceFile {
    /// The new image takes the name, and the old one is removed once the new one is available.
    replace: ReplaceTerms,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ReplaceTerms {
    /// Whether an image is replaced also if another stage or program made it, if it is shared with more than the new one
    /// will be, if a launch template names it, or if somebody protected it.
    #[serde(default)]
    force: bool,
}

impl<'de> Deserialize<'de> for OnConflict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ConflictVisitor;

        impl<'de> Visitor<'de> for ConflictVisitor {
            type Value = OnConflict;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("fail, skip, replace or { replace: { force: true } }")
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<OnConflict, E> {
                match word {
                    "fail" => Ok(OnConflict::Fail),
                    "skip" => Ok(OnConflict::Skip),
                    "replace" => Ok(OnConflict::Replace { force: false }),
                    _ => Err(E::invalid_value(de::Unexpected::Str(word), &self)),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<OnConflict, A::Error> {
                let file = ReplaceFile::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(OnConflict::Replace {
                    force: file.replace.force,
                })
            }
        }

        deserializer.deserialize_any(ConflictVisitor)
    }
}

impl JsonSchema for OnConflict {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "OnConflict".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let replace = ReplaceFile::json_schema(generator);
        json_schema!({
            "default": "fail",
            "anyOf": [{ "type": "string", "enum": ["fail", "skip", "replace"] }, replace],
        })
    }
}

/// Who else may use an image.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// The accounts that may launch it (`ModifyImageAttribute`, `launchPermission`).
    #[serde(default)]
    pub accounts: Vec<Located<AccountId>>,
    /// The organisations that may launch it, by ARN: `arn:aws:organizations::123456789012:organization/o-…`.
    #[serde(default)]
    pub organizations: Vec<Located<OrganizationArn>>,
    /// The organisational units that may launch it, by ARN: `arn:aws:organizations::123456789012:ou/o-…/ou-…`.
    #[serde(default)]
    pub organizational_units: Vec<Located<OrganizationalUnitArn>>,
    /// Whether everyone may launch it.
    #[serde(default)]
    pub public: Located<bool>,
    /// Whether they may also copy it: each of its snapshots is shared too (`createVolumePermission`), before the image.
    /// Left out, accounts may and the public may not. Snapshots cannot be shared with organisations.
    pub snapshots: Option<Located<bool>>,
}

impl Share {
    /// Whether nobody but the owner may use it.
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty()
            && self.organizations.is_empty()
            && self.organizational_units.is_empty()
            && !self.public.value
    }
}

/// Whether the image refuses to be deregistered. (EC2 API, EnableImageDeregistrationProtection.)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protection {
    /// It does not.
    #[default]
    Off,
    /// It does, until the protection is taken off.
    On,
    /// It does, and for 24 hours after the protection was taken off.
    WithCooldown,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ProtectionFile {
    /// Whether the image stays protected for 24 hours after the protection was taken off.
    cooldown: bool,
}

impl<'de> Deserialize<'de> for Protection {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ProtectionVisitor;

        impl<'de> Visitor<'de> for ProtectionVisitor {
            type Value = Protection;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true, false or { cooldown: true }")
            }

            fn visit_bool<E>(self, on: bool) -> Result<Protection, E> {
                Ok(if on { Protection::On } else { Protection::Off })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Protection, A::Error> {
                let file = ProtectionFile::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(if file.cooldown {
                    Protection::WithCooldown
                } else {
                    Protection::On
                })
            }
        }

        deserializer.deserialize_any(ProtectionVisitor)
    }
}

impl JsonSchema for Protection {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Protection".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let cooldown = ProtectionFile::json_schema(generator);
        json_schema!({ "default": false, "anyOf": [{ "type": "boolean" }, cooldown] })
    }
}

/// An SSM parameter that names the image, of data type `aws:ec2:image`. It is written last of all.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageParameter {
    /// The parameter's name: a path such as `/images/base/latest`.
    pub name: Template,
    /// Whether a parameter is overwritten that does not name an image of this stage now.
    #[serde(default)]
    pub overwrite: bool,
    /// The regions in which it is written, each with the image of that region.
    #[serde(default)]
    pub regions: ParameterRegions,
}

/// In which regions a parameter is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ParameterRegions {
    /// In the build's region and in all that the image is copied to.
    #[default]
    All,
    /// In the build's region only.
    Build,
}
