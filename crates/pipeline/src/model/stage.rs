//! Stages and their cells: the images to make.

use super::{
    Connect, Image, Launch, Located, Provisioner, Region, Source, StageName, Tags, Test, TimeSpan,
};
use crate::decode::marker;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;

/// One combination of a stage's matrix, with the values of that combination in place: one image to make. A stage
/// without a matrix is one cell.
#[derive(Clone, Debug)]
pub struct Cell {
    /// The stage's name: its key under `stages`.
    pub stage: Located<StageName>,
    /// What tells the cell from the stage's others; none if the stage has no matrix.
    pub name: Option<String>,
    /// The value of each axis of the matrix; empty if there is none.
    pub matrix: BTreeMap<String, String>,
    /// What the stage says for this combination.
    pub recipe: Recipe,
}

impl Deref for Cell {
    type Target = Recipe;
    fn deref(&self) -> &Recipe {
        &self.recipe
    }
}

/// What one stage says: where it starts, how its instance is launched and reached, what is done to it, what the image is
/// called.
#[derive(Clone, Debug, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Stage")]
pub struct Recipe {
    /// The region to build in; without it the pipeline's.
    pub region: Option<Located<Region>>,
    /// The image that the stage starts from.
    pub source: Located<Source>,
    /// The instance to build on.
    pub launch: Launch,
    /// How to reach the instance.
    pub connect: Connect,
    /// What to do to the instance, in this order.
    #[serde(default)]
    pub provision: Vec<Located<Provisioner>>,
    /// The image to make of it.
    pub image: Image,
    /// A test that the image must pass before it is kept, copied and shared.
    pub test: Option<Test>,
    /// Tags for all four resources: instance, volumes, image and snapshots.
    #[serde(default)]
    pub tags: Tags,
    /// Whether an image made earlier from the same inputs may be used instead of a new one.
    #[serde(default)]
    pub cache: Cache,
}

/// The cells of all stages: stages in the order of the file, cells in the order of their matrix.
#[derive(Clone, Debug)]
pub struct Stages(pub Vec<Cell>);

impl Deref for Stages {
    type Target = [Cell];
    fn deref(&self) -> &[Cell] {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Stages {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct StagesVisitor;

        impl<'de> Visitor<'de> for StagesVisitor {
            type Value = Stages;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of stages by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Stages, A::Error> {
                let mut stages = Vec::new();
                while let Some(name) = map.next_key()? {
                    stages.push(Cell {
                        stage: name,
                        name: None,
                        matrix: BTreeMap::new(),
                        recipe: map.next_value()?,
                    });
                }
                if stages.is_empty() {
                    return Err(de::Error::custom("a pipeline needs at least one stage"));
                }
                Ok(Stages(stages))
            }
        }

        deserializer.deserialize_newtype_struct(marker::STAGES, StagesVisitor)
    }
}

impl JsonSchema for Stages {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Stages".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let stage = generator.subschema_for::<Recipe>();
        json_schema!({
            "type": "object", "minProperties": 1, "additionalProperties": stage,
            "propertyNames": { "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$" },
        })
    }
}

/// Whether an image made earlier from the same inputs may be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cache {
    /// Never: the stage is built on every run.
    Off,
    /// Yes.
    On {
        /// Only an image younger than this; without it, any.
        max_age: Option<TimeSpan>,
    },
}

impl Default for Cache {
    fn default() -> Self {
        Self::On { max_age: None }
    }
}

#[derive(serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CacheAge {
    /// Only an image younger than this may be used, for example `30d`.
    max_age: TimeSpan,
}

impl<'de> Deserialize<'de> for Cache {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct CacheVisitor;

        impl<'de> Visitor<'de> for CacheVisitor {
            type Value = Cache;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true, false or { max_age: DURATION }")
            }

            fn visit_bool<E>(self, on: bool) -> Result<Cache, E> {
                Ok(if on { Cache::default() } else { Cache::Off })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Cache, A::Error> {
                let age = CacheAge::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(Cache::On {
                    max_age: Some(age.max_age),
                })
            }
        }

        deserializer.deserialize_any(CacheVisitor)
    }
}

impl JsonSchema for Cache {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Cache".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let age = CacheAge::json_schema(generator);
        json_schema!({ "default": true, "anyOf": [{ "type": "boolean" }, age] })
    }
}
