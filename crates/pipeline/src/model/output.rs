//! Files to write about the images that a run made.

use super::{LocalFile, Located, StageName};
use crate::decode::marker;
use crate::template::Template;
use crate::yaml_edit::ValuePath;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;

/// The outputs, in the order of the file. Inside them what a cell has is known only when its image is there: `image.…`,
/// `matrix.NAME`, `stage.name`, `region`, `cell`.
#[derive(Clone, Debug, Default)]
pub struct Outputs(pub Vec<Located<Output>>);

impl Deref for Outputs {
    type Target = [Located<Output>];
    fn deref(&self) -> &[Located<Output>] {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Outputs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OutputsVisitor;

        impl<'de> Visitor<'de> for OutputsVisitor {
            type Value = Outputs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of outputs")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Outputs, A::Error> {
                let mut outputs = Vec::new();
                while let Some(output) = seq.next_element()? {
                    outputs.push(output);
                }
                Ok(Outputs(outputs))
            }
        }

        deserializer.deserialize_newtype_struct(marker::OUTPUTS, OutputsVisitor)
    }
}

impl JsonSchema for Outputs {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Outputs".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let output = generator.subschema_for::<Output>();
        json_schema!({ "type": "array", "items": output })
    }
}

/// One file about the images.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(try_from = "OutputFile")]
pub struct Output {
    /// Only the images of this stage.
    pub stage: Option<Located<StageName>>,
    /// What is written.
    pub kind: OutputKind,
}

/// What an output writes.
#[derive(Clone, Debug)]
pub enum OutputKind {
    /// A file of its own.
    Write {
        /// The file, relative to the folder qib is called in.
        path: Template,
        /// What it holds.
        content: OutputContent,
    },
    /// Values in a YAML file that is kept by hand.
    Update {
        /// The file, relative to the folder qib is called in.
        path: Template,
        /// What the file begins as where there is none yet.
        from: Option<LocalFile>,
        /// The values.
        set: BTreeMap<Located<ValuePath>, Template>,
    },
}

/// What a file of its own holds.
#[derive(Clone, Debug)]
pub enum OutputContent {
    /// The run's result.
    Json,
    /// What was made, for `qib images verify`.
    Manifest {
        /// What to put into each build's `custom_data`.
        data: BTreeMap<String, Template>,
    },
    /// A pair for each image.
    Pairs(PairFormat, Option<PairTemplates>),
    /// Lists of entries by group.
    Grouped {
        /// An image's group.
        group_by: Template,
        /// Its entry.
        entry: BTreeMap<String, Template>,
    },
    /// The steps as tests.
    Junit,
}

/// How pairs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PairFormat {
    /// As Java's properties.
    Properties,
    /// As shells and Jenkins read them.
    Dotenv,
    /// As GitHub Actions reads a step's outputs: behind what is in the file.
    Github,
}

impl PairFormat {
    /// Checks a finished name: Java's properties take any, shells and GitHub Actions do not.
    ///
    /// # Errors
    /// What a name is made of.
    pub fn check_key(self, key: &str) -> Result<(), &'static str> {
        let begins = |c: char| c.is_ascii_alphabetic() || c == '_';
        let goes_on = |c: char| begins(c) || c.is_ascii_digit();
        let fits = |more: fn(char) -> bool| {
            key.starts_with(begins) && key.chars().all(|c| goes_on(c) || more(c))
        };
        match self {
            Self::Properties if key.is_empty() => Err("a property's key is not empty"),
            Self::Properties => Ok(()),
            Self::Dotenv if fits(|_| false) => Ok(()),
            Self::Dotenv => {
                Err("a variable's name has letters, digits and `_`, and begins with no digit")
            }
            Self::Github if fits(|c| c == '-') => Ok(()),
            Self::Github => Err(
                "an output's name has letters, digits, `_` and `-`, and begins with a letter or `_`",
            ),
        }
    }
}

/// An image's name and value.
#[derive(Clone, Debug)]
pub struct PairTemplates {
    /// The name.
    pub key: Template,
    /// The value.
    pub value: Template,
}

/// What an output file holds.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, serde::Deserialize, serde::Serialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum OutputFormat {
    /// One JSON object with the run's id, its status and its images, as `qib run --json` ends with.
    #[default]
    Json,
    /// What was made, with snapshots and tags: for later runs, and for `qib images verify`.
    Manifest,
    /// A line `key=value` for each image, as Java's properties.
    Properties,
    /// A line `KEY=value` for each image, as shells, Jenkins and GitLab read it.
    Dotenv,
    /// A line `key=value` for each image, put behind what is in the file: `write: "${{ env('GITHUB_OUTPUT') }}"`.
    Github,
    /// One JSON object: `entry` for each image, in lists by `group_by`.
    Grouped,
    /// The run's steps as JUnit's XML.
    Junit,
}

/// A file to write when a run has finished: exactly one of `write` and `update`.
#[derive(serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Output")]
pub(crate) struct OutputFile {
    /// The file to write, relative to the folder qib is called in. With `${{ region }}`, `${{ cell }}` and the like in it,
    /// each image goes into the file of its own values.
    write: Option<Template>,
    /// What to write into it (default `json`).
    format: Option<OutputFormat>,
    /// A YAML file in which to set values, relative to the folder qib is called in. Everything else in it stays as it is,
    /// byte for byte.
    update: Option<Template>,
    /// With `update`: a file, relative to the pipeline's, that is taken where there is none yet.
    from: Option<LocalFile>,
    /// With `update`: the values to set, by their paths, such as `bastion.machine_image.id` or `nodes[0].image`.
    #[schemars(with = "Option<BTreeMap<String, Template>>")]
    set: Option<BTreeMap<Located<ValuePath>, Template>>,
    /// Only the images of this stage.
    stage: Option<Located<StageName>>,
    /// With `properties`, `dotenv` and `github`: an image's key. Without it the stage's name, with the cell's where it has
    /// several.
    key: Option<Template>,
    /// With `key`: the value.
    value: Option<Template>,
    /// With `grouped`: an image's group, for example `${{ region }}`.
    group_by: Option<Template>,
    /// With `grouped`: an image's entry.
    entry: Option<BTreeMap<String, Template>>,
    /// With `manifest`: what to add to each image's `custom_data`.
    data: Option<BTreeMap<String, Template>>,
}

impl TryFrom<OutputFile> for Output {
    type Error = &'static str;

    fn try_from(file: OutputFile) -> Result<Self, Self::Error> {
        let OutputFile {
            write,
            format,
            update,
            from,
            set,
            stage,
            key,
            value,
            group_by,
            entry,
            data,
        } = file;
        let content = OutputParts {
            key,
            value,
            group_by,
            entry,
            data,
        };
        let kind = match (write, update) {
            (Some(path), None) => {
                if from.is_some() || set.is_some() {
                    return Err("`from` and `set` go with `update` only");
                }
                OutputKind::Write {
                    path,
                    content: content.of(format.unwrap_or_default())?,
                }
            }
            (None, Some(path)) => {
                if format.is_some() {
                    return Err(
                        "`format` goes with `write` only; `update` sets values in a YAML file",
                    );
                }
                content.none()?;
                let set = set.filter(|set| !set.is_empty());
                OutputKind::Update {
                    path,
                    from,
                    set: set.ok_or("`update` needs `set`: the values by their paths")?,
                }
            }
            _ => return Err("an output has exactly one of `write` and `update`"),
        };
        Ok(Self { stage, kind })
    }
}

/// The keys that belong to one format each.
struct OutputParts {
    key: Option<Template>,
    value: Option<Template>,
    group_by: Option<Template>,
    entry: Option<BTreeMap<String, Template>>,
    data: Option<BTreeMap<String, Template>>,
}

impl OutputParts {
    fn of(mut self, format: OutputFormat) -> Result<OutputContent, &'static str> {
        let content = match format {
            OutputFormat::Json => OutputContent::Json,
            OutputFormat::Junit => OutputContent::Junit,
            OutputFormat::Manifest => OutputContent::Manifest {
                data: self.data.take().unwrap_or_default(),
            },
            OutputFormat::Properties => self.pairs(PairFormat::Properties)?,
            OutputFormat::Dotenv => self.pairs(PairFormat::Dotenv)?,
            OutputFormat::Github => self.pairs(PairFormat::Github)?,
            OutputFormat::Grouped => OutputContent::Grouped {
                group_by: self
                    .group_by
                    .take()
                    .ok_or("`format: grouped` needs `group_by`")?,
                entry: self
                    .entry
                    .take()
                    .filter(|entry| !entry.is_empty())
                    .ok_or("`format: grouped` needs `entry`")?,
            },
        };
        self.none()?;
        Ok(content)
    }

    fn pairs(&mut self, format: PairFormat) -> Result<OutputContent, &'static str> {
        let templates = match (self.key.take(), self.value.take()) {
            (None, None) => None,
            (Some(key), Some(value)) => Some(PairTemplates { key, value }),
            _ => return Err("`key` and `value` go together"),
        };
        Ok(OutputContent::Pairs(format, templates))
    }

    /// What is left belongs to another format.
    fn none(&self) -> Result<(), &'static str> {
        if self.key.is_some() || self.value.is_some() {
            return Err("`key` and `value` go with `properties`, `dotenv` and `github` only");
        }
        if self.group_by.is_some() || self.entry.is_some() {
            return Err("`group_by` and `entry` go with `grouped` only");
        }
        if self.data.is_some() {
            return Err("`data` goes with `manifest` only");
        }
        Ok(())
    }
}

impl JsonSchema for Output {
    fn schema_name() -> Cow<'static, str> {
        "Output".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        OutputFile::json_schema(generator)
    }
}

impl<'de> Deserialize<'de> for ValuePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}
