//! Which of an instance's addresses qib dials.

use super::{AllocationId, TimeSpan};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;

/// Which of the instance's addresses to use.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Address {
    /// The public address that EC2 gives it at launch.
    #[default]
    Public,
    /// Its private address: qib runs inside the network.
    Private,
    /// An Elastic IP, bound to the instance for the time of the build.
    ElasticIp(ElasticIp),
}

/// An Elastic IP and how it comes to the instance.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ElasticIp {
    /// The address's allocation id (`eipalloc-…`).
    #[serde(rename = "elastic_ip")]
    pub allocation: AllocationId,
    /// Who binds it.
    #[serde(default)]
    pub bind: Bind,
    /// How long the binding may take, from the moment the instance runs.
    #[serde(default = "five_minutes")]
    pub timeout: TimeSpan,
    /// How long to wait behind a kept run that holds the address. Behind a living run qib waits until it is done.
    #[serde(default = "ten_minutes")]
    pub wait: TimeSpan,
}

const fn five_minutes() -> TimeSpan {
    TimeSpan::from_secs(300)
}

const fn ten_minutes() -> TimeSpan {
    TimeSpan::from_secs(600)
}

/// Who binds an Elastic IP to the instance.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub enum Bind {
    /// The instance itself, from user-data, with its instance profile's credentials.
    #[default]
    #[serde(rename = "user-data")]
    UserData,
    /// qib, with the caller's credentials; needs no instance profile.
    #[serde(rename = "api")]
    Api,
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AddressVisitor;

        impl<'de> Visitor<'de> for AddressVisitor {
            type Value = Address;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("public, private or { elastic_ip: eipalloc-… }")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Address, E> {
                match text {
                    "public" => Ok(Address::Public),
                    "private" => Ok(Address::Private),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Address, A::Error> {
                ElasticIp::deserialize(de::value::MapAccessDeserializer::new(map))
                    .map(Address::ElasticIp)
            }
        }

        deserializer.deserialize_any(AddressVisitor)
    }
}

impl JsonSchema for Address {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Address".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let elastic_ip = ElasticIp::json_schema(generator);
        json_schema!({
            "default": "public",
            "anyOf": [{ "type": "string", "enum": ["public", "private"] }, elastic_ip],
        })
    }
}
