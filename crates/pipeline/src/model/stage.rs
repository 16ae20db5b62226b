//! Stages and their cells: the images to make.

use super::entry::entries;
use super::{
    BastionHostKey, BastionKey, Connect, HostKey, Image, Import, InstanceProfile, Later, Launch,
    LocalFile, Located, LoginKey, Matrix, ProvisionerEntry, Region, Source, StageName, Tags, Test,
    TimeSpan, UserData,
};
use crate::template::Condition;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
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
    /// The values of the combination: of the matrix's axes, and those that `include` adds; empty without a matrix.
    pub matrix: BTreeMap<String, String>,
    /// Which of these names are axes of the stage's matrix.
    pub axes: BTreeSet<String>,
    /// What the stage says for this combination.
    pub recipe: Recipe,
}

impl Cell {
    /// Every entry of the cell: those of `provision`, of `on_error` and of its test.
    pub fn all_entries(&self) -> impl Iterator<Item = &ProvisionerEntry> {
        let checks = self.test.iter().flat_map(|test| &test.provision);
        self.provision.iter().chain(&self.on_error).chain(checks)
    }

    /// What to call it in messages: the stage's name, and the cell's if it has one.
    pub fn label(&self) -> String {
        match &self.name {
            Some(name) => format!("{}/{name}", self.stage),
            None => self.stage.to_string(),
        }
    }
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
    /// The combinations of values to build the stage for. Without it the stage is built once.
    pub matrix: Option<Later<Matrix>>,
    /// The condition on which the stage, or a cell of it, is there at all: `matrix.os != '1204'`.
    pub when: Option<Later<Condition>>,
    /// The region to build in; without it the pipeline's.
    pub region: Option<Located<Region>>,
    /// The image that the stage starts from, or the disk image that it imports.
    pub source: Located<Source>,
    /// The instance to build on. A stage that neither launches, connects nor provisions copies its source image, or makes the
    /// image of the disk that it imports.
    pub launch: Option<Launch>,
    /// How to reach the instance.
    pub connect: Option<Connect>,
    /// What to do to the instance, in this order.
    #[serde(default, deserialize_with = "entries")]
    pub provision: Vec<ProvisionerEntry>,
    /// What to do after an entry of `provision` has failed, before the instance is removed: to fetch logs, to tell
    /// somebody. A failure here is a warning. `QIB_ERROR` says what has failed.
    #[serde(default, deserialize_with = "entries")]
    pub on_error: Vec<ProvisionerEntry>,
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

impl Cell {
    /// The files of the build host that building the cell uses. In a rehearsal the entries that need what its guests do
    /// not have are skipped, and use none.
    pub fn files(&self, rehearsal: bool) -> Vec<&LocalFile> {
        let mut files = Vec::new();
        files.extend(self.import().into_iter().flat_map(Import::files));
        if let Some(launch) = &self.launch {
            if let Some(UserData::File(user_data)) = &launch.user_data {
                files.push(&user_data.file);
            }
            let profile = launch.instance_profile.as_ref();
            if let Some(InstanceProfile::Temporary(policy)) = profile.map(|named| &named.value) {
                files.extend(&policy.file);
            }
        }
        let test = self.test.as_ref();
        let tests_connect = test.and_then(|test| test.connect.as_ref());
        for connect in [self.connect.as_ref(), tests_connect].into_iter().flatten() {
            if let LoginKey::File(file) = &connect.key.value {
                files.push(file);
            }
            if let HostKey::KnownHosts(file) = &connect.host_key.value {
                files.push(file);
            }
            if let Some(bastion) = &connect.bastion {
                if let BastionKey::File(file) = &bastion.value.key.value {
                    files.push(file);
                }
                let host_key = bastion.value.host_key.as_ref().map(|key| &key.value);
                if let Some(BastionHostKey::KnownHosts(file)) = host_key {
                    files.push(file);
                }
            }
        }
        files.extend(self.image.uefi_data.iter().map(|data| &data.file));
        let used = self
            .all_entries()
            .filter(|entry| !rehearsal || entry.needs.is_empty());
        files.extend(used.flat_map(|entry| entry.files()));
        files
    }
}

impl Recipe {
    /// Whether the stage only copies its source: no instance is launched, so there is none to connect to or provision.
    pub fn is_copy(&self) -> bool {
        self.import().is_none() && self.has_no_instance()
    }

    /// The disk image that the stage starts from, if it does.
    pub fn import(&self) -> Option<&Import> {
        self.source.value.import()
    }

    /// Whether the stage registers the image of the disk that it imports, and does no more: no instance is launched.
    pub fn is_import(&self) -> bool {
        self.import().is_some() && self.has_no_instance()
    }

    fn has_no_instance(&self) -> bool {
        self.launch.is_none() && self.connect.is_none() && self.provision.is_empty()
    }
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
        // The cells are read one by one, when the values of each are known: see `decode::cells`.
        IgnoredAny::deserialize(deserializer).map(|_| Self(Vec::new()))
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
