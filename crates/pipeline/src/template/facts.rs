//! What is known only when a stage is built.

use super::filter::write_date;
use super::{Expression, Filter, Name};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::fmt;

/// What the run-time names stand for. A name that is not known yet (a source that is still to be built) is `None`, and
/// rendering a text that uses it is an error.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct RunFacts {
    /// `run.id`
    pub run_id: Option<String>,
    /// `run.time`
    pub run_time: Option<Timestamp>,
    /// `source.id`; where a disk is imported, the digest of its file: `sha256:…`
    pub source_id: Option<String>,
    /// `source.name`; where a disk is imported, [`crate::model::Import::name`]
    pub source_name: Option<String>,
    /// `source.created`
    pub source_created: Option<Timestamp>,
    /// `source.owner`
    pub source_owner: Option<String>,
    /// `source.tags.KEY`
    pub source_tags: SourceTags,
    /// `account.id`
    pub account_id: Option<String>,
    /// `region`
    pub region: Option<String>,
    /// `cell`
    pub cell: Option<String>,
    /// What `outputs` know of an image; none elsewhere.
    pub image: Option<ImageFacts>,
}

/// What `outputs` know of an image.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ImageFacts {
    /// `image.id`
    pub id: String,
    /// `image.name`
    pub name: String,
    /// `image.tags.KEY`
    pub tags: BTreeMap<String, String>,
    /// `stage.name`
    pub stage: String,
    /// `matrix.NAME`
    pub matrix: BTreeMap<String, String>,
}

/// What is known of the tags of the image that a stage starts from.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum SourceTags {
    /// Nothing: a text that uses one cannot be rendered.
    #[default]
    NotKnown,
    /// The image is still to be built: this stands for whatever tag is asked for.
    Planned(String),
    /// The image's tags.
    Known(BTreeMap<String, String>),
}

impl RunFacts {
    pub(crate) fn evaluate(&self, expression: &Expression) -> Result<String, RenderError> {
        let error = |why: Why| RenderError {
            expression: expression.to_string(),
            why,
        };
        let time = |time: Option<Timestamp>| {
            time.map(|time| match expression.filters.first() {
                // The format was tried when it was parsed.
                Some(Filter::Date(format)) => write_date(format, time).unwrap_or_default(),
                _ => time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            })
        };
        let plain = match &expression.name {
            Name::RunTime => time(self.run_time),
            Name::SourceCreated => time(self.source_created),
            Name::RunId => self.run_id.clone(),
            Name::SourceId => self.source_id.clone(),
            Name::SourceName => self.source_name.clone(),
            Name::SourceOwner => self.source_owner.clone(),
            Name::SourceTag(key) => match (&self.source_tags, expression.filters.first()) {
                (SourceTags::NotKnown, _) => None,
                (SourceTags::Planned(text), _) => Some(text.clone()),
                (SourceTags::Known(tags), default) => match (tags.get(key), default) {
                    (Some(value), _) if !value.is_empty() => Some(value.clone()),
                    (_, Some(Filter::Default(text))) => Some(text.clone()),
                    (Some(value), _) => Some(value.clone()),
                    (None, _) => return Err(error(Why::NoSuchTag(key.clone()))),
                },
            },
            Name::ImageId => self.image.as_ref().map(|image| image.id.clone()),
            Name::ImageName => self.image.as_ref().map(|image| image.name.clone()),
            Name::StageName => self.image.as_ref().map(|image| image.stage.clone()),
            Name::ImageTag(key) => match &self.image {
                None => None,
                Some(image) => {
                    let default = expression.filters.first();
                    let value = image.tags.get(key).filter(|value| !value.is_empty());
                    Some(
                        value_or_default(value, default)
                            .ok_or_else(|| error(Why::NoSuchTag(key.clone())))?,
                    )
                }
            },
            Name::Matrix(name) => match &self.image {
                None => None,
                Some(image) => {
                    let default = expression.filters.first();
                    let value = value_or_default(image.matrix.get(name), default);
                    Some(value.ok_or_else(|| error(Why::NoSuchAxis(name.clone())))?)
                }
            },
            Name::AccountId => self.account_id.clone(),
            Name::Region => self.region.clone(),
            Name::Cell => self.cell.clone(),
            Name::Variable(_)
            | Name::PipelineName
            | Name::Git(_)
            | Name::File(_)
            | Name::Env(_)
            | Name::Hash(_) => None,
        };
        let mut text = plain.ok_or_else(|| error(Why::NotKnownYet))?;
        // What stands for a tag of an image that is not there yet is no version and no map's key.
        let planned = matches!(
            (&expression.name, &self.source_tags),
            (Name::SourceTag(_), SourceTags::Planned(_))
        );
        for filter in expression.filters.iter().filter(|_| !planned) {
            text = filter
                .apply(&text)
                .map_err(|why| error(Why::Filter(why.describe(false).0)))?;
        }
        if text.is_empty() {
            return Err(error(Why::Empty));
        }
        Ok(text)
    }
}

fn value_or_default(value: Option<&String>, first: Option<&Filter>) -> Option<String> {
    match (value, first) {
        (Some(value), _) => Some(value.clone()),
        (None, Some(Filter::Default(text))) => Some(text.clone()),
        (None, _) => None,
    }
}

/// Why a text could not be rendered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenderError {
    expression: String,
    why: Why,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Why {
    NotKnownYet,
    Empty,
    NoSuchTag(String),
    NoSuchAxis(String),
    Filter(String),
}

impl RenderError {
    /// Whether the value simply is not known yet: `qib plan` shows such a text with the expression in it.
    pub const fn is_not_known_yet(&self) -> bool {
        matches!(self.why, Why::NotKnownYet)
    }
}

impl fmt::Display for RenderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let expression = &self.expression;
        match &self.why {
            Why::NotKnownYet => {
                write!(f, "{expression} is not known yet at this point of the run")
            }
            Why::Empty => write!(f, "{expression} is empty"),
            Why::NoSuchTag(key) => write!(
                f,
                "{expression}: the image has no tag `{key}`; \
                 `| default('…')` says what to use without it"
            ),
            Why::NoSuchAxis(name) => write!(
                f,
                "{expression}: the image's cell has no `{name}` in its matrix; \
                 `| default('…')` says what to use without it"
            ),
            Why::Filter(why) => write!(f, "{expression}: {why}"),
        }
    }
}

impl std::error::Error for RenderError {}
