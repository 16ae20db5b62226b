//! Which of an instance's addresses qib dials.

use super::{AllocationId, TimeSpan};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// Which of the instance's addresses to use.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Address {
    /// The public address that EC2 gives it at launch.
    #[default]
    Public,
    /// Its private address: qib runs inside the network.
    Private,
    /// Its IPv6 address, which it has with `launch.ipv6: true`.
    Ipv6,
    /// An Elastic IP, bound to the instance for the time of the build.
    ElasticIp(ElasticIp),
}

/// An Elastic IP and how it comes to the instance.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ElasticIp {
    /// Which: the allocation id (`eipalloc-…`) of one address, or `{ tag: { KEY: VALUE } }` for a pool.
    #[serde(rename = "elastic_ip")]
    pub choice: ElasticIpChoice,
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

/// Which Elastic IP a stage uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ElasticIpChoice {
    /// This one.
    One(AllocationId),
    /// Whichever comes free first of the region's addresses that carry all of these tags.
    Pool(BTreeMap<String, String>),
}

/// A pool of Elastic IPs. The stage takes whichever comes free first; those who wait take them in order of arrival.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AddressPool {
    /// The tags that every address of the pool carries, key and value; one at least.
    tag: BTreeMap<String, String>,
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

impl<'de> Deserialize<'de> for ElasticIpChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ChoiceVisitor;

        impl<'de> Visitor<'de> for ChoiceVisitor {
            type Value = ElasticIpChoice;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an allocation id (eipalloc-…) or { tag: { KEY: VALUE } }")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<ElasticIpChoice, E> {
                AllocationId::new(text)
                    .map(ElasticIpChoice::One)
                    .map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ElasticIpChoice, A::Error> {
                let pool = AddressPool::deserialize(de::value::MapAccessDeserializer::new(map))?;
                if pool.tag.is_empty() {
                    return Err(de::Error::custom(
                        "a pool needs a tag: without one it would be every address of the region",
                    ));
                }
                Ok(ElasticIpChoice::Pool(pool.tag))
            }
        }

        deserializer.deserialize_any(ChoiceVisitor)
    }
}

impl JsonSchema for ElasticIpChoice {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "ElasticIpChoice".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (one, pool) = (
            AllocationId::json_schema(generator),
            AddressPool::json_schema(generator),
        );
        json_schema!({ "anyOf": [one, pool] })
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AddressVisitor;

        impl<'de> Visitor<'de> for AddressVisitor {
            type Value = Address;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("public, private, ipv6 or { elastic_ip: eipalloc-… }")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Address, E> {
                match text {
                    "public" => Ok(Address::Public),
                    "private" => Ok(Address::Private),
                    "ipv6" => Ok(Address::Ipv6),
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
            "anyOf": [{ "type": "string", "enum": ["public", "private", "ipv6"] }, elastic_ip],
        })
    }
}
