//! Which instances a fault is for.
//!
//! A fault's value alone is for all instances; with `instances` beside it, for those only:
//!
//! ```json
//! {
//!   "instance_never_boots": true,
//!   "imds_delay_ms": { "value": 500, "instances": { "tag": "qib:stage=base" } },
//!   "instance_never_runs": { "value": true, "instances": { "next": 2 } }
//! }
//! ```

use crate::account::instance::Instance;
use crate::account::tags::Tags;
use crate::ids::InstanceId;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Some of the instances.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Selector {
    /// Every instance, also those that ran before the fault was set.
    #[default]
    All,
    /// The first so many that are launched after the faults were last changed, and no others.
    Next(usize),
    /// Those that have this tag.
    Tag(TagMatch),
}

/// A tag to look for: `key=value`, or `key` for any value.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct TagMatch {
    key: String,
    value: Option<String>,
}

impl TryFrom<String> for TagMatch {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (key, value) = match text.split_once('=') {
            Some((key, value)) => (key, Some(value.to_owned())),
            None => (text.as_str(), None),
        };
        if key.is_empty() {
            return Err(format!("the tag '{text}' has no key; write key=value"));
        }
        Ok(Self {
            key: key.to_owned(),
            value,
        })
    }
}

/// What a fault may be for: an instance, or an image that is made from no instance.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The instance.
    pub instance: Option<&'a InstanceId>,
    /// The tags that count.
    pub tags: &'a Tags,
}

impl<'a> From<&'a Instance> for Subject<'a> {
    fn from(instance: &'a Instance) -> Self {
        Self {
            instance: Some(&instance.id),
            tags: &instance.tags,
        }
    }
}

impl Selector {
    /// Whether `subject` is among them. `launched` are the instances launched since the faults were last changed, in order.
    pub(super) fn hits(&self, subject: Subject<'_>, launched: &[InstanceId]) -> bool {
        match self {
            Self::All => true,
            Self::Next(count) => subject
                .instance
                .is_some_and(|id| launched.iter().take(*count).any(|l| l == id)),
            Self::Tag(tag) => subject
                .tags
                .get(&tag.key)
                .is_some_and(|have| tag.value.as_deref().is_none_or(|wanted| wanted == have)),
        }
    }
}

/// A fault, and which instances it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aimed<T> {
    /// The fault.
    pub value: T,
    /// Its instances.
    pub instances: Selector,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written<T> {
    value: T,
    instances: Selector,
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Aimed<T> {
    /// By hand, so that a mistake is told as such and not as "did not match any variant".
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let given = Value::deserialize(from)?;
        let aimed = given
            .as_object()
            .is_some_and(|o| o.contains_key("instances"));
        if aimed {
            let Written { value, instances } =
                serde_json::from_value(given).map_err(D::Error::custom)?;
            return Ok(Self { value, instances });
        }
        let value = serde_json::from_value(given).map_err(D::Error::custom)?;
        Ok(Self {
            value,
            instances: Selector::All,
        })
    }
}
