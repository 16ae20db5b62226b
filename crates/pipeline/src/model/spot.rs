//! Whether an instance is bought as a spot instance.

use super::DollarsPerHour;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;

/// How an instance is bought. (EC2 User Guide, "Spot Instances".)
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Spot {
    /// On demand, at the fixed price.
    #[default]
    No,
    /// As a spot instance.
    Yes(SpotOptions),
}

/// The terms on which a spot instance is bought.
#[derive(Clone, Debug, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SpotOptions {
    /// The most to pay, in US dollars per hour, for example `"0.12"`. Without it: the on-demand price, which is what AWS
    /// recommends.
    pub max_price: Option<DollarsPerHour>,
    /// What to do when no instance type can be had as a spot instance in any of the subnets.
    #[serde(default)]
    pub fall_back: FallBack,
}

/// What follows when there is no spot capacity.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub enum FallBack {
    /// Try the instance types and subnets once more, on demand.
    #[default]
    #[serde(rename = "on-demand")]
    OnDemand,
    /// Fail.
    #[serde(rename = "none")]
    None,
}

impl<'de> Deserialize<'de> for Spot {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SpotVisitor;

        impl<'de> Visitor<'de> for SpotVisitor {
            type Value = Spot;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true, false or { max_price: \"0.12\", fall_back: on-demand }")
            }

            fn visit_bool<E: de::Error>(self, spot: bool) -> Result<Spot, E> {
                Ok(if spot {
                    Spot::Yes(SpotOptions::default())
                } else {
                    Spot::No
                })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Spot, A::Error> {
                SpotOptions::deserialize(de::value::MapAccessDeserializer::new(map)).map(Spot::Yes)
            }
        }

        deserializer.deserialize_any(SpotVisitor)
    }
}

impl JsonSchema for Spot {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Spot".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let options = SpotOptions::json_schema(generator);
        json_schema!({ "default": false, "anyOf": [{ "type": "boolean" }, options] })
    }
}
