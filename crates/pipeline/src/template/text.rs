//! Texts that are finished only when a stage is built.

use super::parse::escape;
use super::{Expression, Filter, Name, RenderError, RunFacts, Secret};
use crate::Span;
use crate::decode::marker;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, Visitor};
use std::borrow::Cow;
use std::fmt;

/// A piece of a loaded text: what was known when the file was loaded is literal already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Segment {
    /// Text.
    Literal(String),
    /// The value of a secret variable, filters applied.
    Secret {
        /// The expression it came from, which may be shown.
        expression: String,
        /// The value, which may not.
        value: Secret,
    },
    /// An expression whose value only a run has.
    RunTime(Expression),
}

/// A text that may hold run-time expressions, and no secrets: an image's name, a tag.
#[derive(Clone)]
pub struct Template {
    segments: Vec<Segment>,
    span: Span,
}

impl Template {
    /// A text without expressions, as if written at the start of a file.
    pub fn literal(text: impl Into<String>) -> Self {
        Self {
            segments: vec![Segment::Literal(text.into())],
            span: Span::START,
        }
    }

    /// Where it was written.
    pub const fn span(&self) -> Span {
        self.span
    }

    /// The text with everything in it that is known.
    ///
    /// # Errors
    /// When it uses a fact that is not known yet.
    pub fn render(&self, facts: &RunFacts) -> Result<String, RenderError> {
        render(&self.segments, facts)
    }

    /// The text as a person would write it: literals as they are, run-time expressions in their braces.
    pub fn source(&self) -> String {
        source(&self.segments)
    }

    /// The text with `*` for what only a run has: what it can come to, as a pattern. An `*` of the text's own stands for any
    /// text as well.
    pub fn pattern(&self) -> String {
        self.segments
            .iter()
            .map(|segment| match segment {
                Segment::Literal(text) => text.as_str(),
                Segment::Secret { .. } | Segment::RunTime(_) => "*",
            })
            .collect()
    }

    /// The text, when it holds no run-time expression.
    pub fn as_literal(&self) -> Option<&str> {
        match self.segments.as_slice() {
            [] => Some(""),
            [Segment::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// The names in it whose values only a run has.
    pub fn run_time_names(&self) -> impl Iterator<Item = &Name> {
        run_time_names(&self.segments)
    }

    pub(crate) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// A form in which equal texts are equal and different ones differ, for the cache key.
    pub(crate) fn canonical(&self) -> String {
        canonical(&self.segments)
    }
}

/// A text that may hold run-time expressions and secrets: an environment variable, an uploaded text.
#[derive(Clone)]
pub struct SecretTemplate {
    segments: Vec<Segment>,
    span: Span,
}

impl SecretTemplate {
    /// A text that is still to be read from a file named at that place.
    pub(crate) const fn unread(span: Span) -> Self {
        Self {
            segments: Vec::new(),
            span,
        }
    }

    /// Takes what a decoder carried over.
    pub(crate) fn unpack(carried: &str) -> Result<Self, String> {
        crate::decode::Carried::unpack(carried).map(|carried| Self {
            segments: carried.segments,
            span: carried.span,
        })
    }

    pub(crate) const fn from_segments(segments: Vec<Segment>, span: Span) -> Self {
        Self { segments, span }
    }

    /// Where it was written.
    pub const fn span(&self) -> Span {
        self.span
    }

    /// Whether a secret variable's value is in it.
    pub fn is_secret(&self) -> bool {
        self.segments
            .iter()
            .any(|segment| matches!(segment, Segment::Secret { .. }))
    }

    /// The names in it whose values only a run has.
    pub fn run_time_names(&self) -> impl Iterator<Item = &Name> {
        run_time_names(&self.segments)
    }

    /// The text with everything in it that is known. It comes as a [`Secret`] whether or not a secret is in it, so
    /// that no caller has to remember to ask.
    ///
    /// # Errors
    /// When it uses a fact that is not known yet.
    pub fn render(&self, facts: &RunFacts) -> Result<Secret, RenderError> {
        render(&self.segments, facts).map(Secret::new)
    }

    /// The text as a person would write it: secrets and run-time expressions in their braces.
    pub fn source(&self) -> String {
        source(&self.segments)
    }

    /// A form in which equal texts are equal and different ones differ, without the values of secrets.
    pub(crate) fn canonical(&self) -> String {
        canonical(&self.segments)
    }
}

fn run_time_names(segments: &[Segment]) -> impl Iterator<Item = &Name> {
    segments.iter().filter_map(|segment| match segment {
        Segment::RunTime(expression) => Some(&expression.name),
        Segment::Literal(_) | Segment::Secret { .. } => None,
    })
}

fn render(segments: &[Segment], facts: &RunFacts) -> Result<String, RenderError> {
    let mut text = String::new();
    for segment in segments {
        match segment {
            Segment::Literal(literal) => text.push_str(literal),
            Segment::Secret { value, .. } => text.push_str(value.expose()),
            Segment::RunTime(expression) => text.push_str(&facts.evaluate(expression)?),
        }
    }
    Ok(text)
}

fn source(segments: &[Segment]) -> String {
    let mut text = String::new();
    for segment in segments {
        match segment {
            Segment::Literal(literal) => text.push_str(literal),
            Segment::Secret { expression, .. } => text.push_str(expression),
            Segment::RunTime(expression) => text.push_str(&expression.to_string()),
        }
    }
    text
}

fn canonical(segments: &[Segment]) -> String {
    let mut text = String::new();
    for segment in segments {
        match segment {
            Segment::Literal(literal) => text.push_str(&escape(literal)),
            Segment::Secret { expression, .. } => text.push_str(expression),
            Segment::RunTime(expression) => {
                text.push_str(&expression.to_string());
                // What a map holds decides the text as much as its name does.
                for filter in &expression.filters {
                    if let Filter::Map { entries, .. } = filter {
                        text.push_str(&format!("${{{{ {entries:?} }}}}"));
                    }
                }
            }
        }
    }
    text
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source().fmt(f)
    }
}

impl fmt::Debug for SecretTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source().fmt(f)
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source())
    }
}

impl PartialEq for Template {
    fn eq(&self, other: &Self) -> bool {
        self.segments == other.segments
    }
}

impl Eq for Template {}

struct CarriedVisitor;

impl Visitor<'_> for CarriedVisitor {
    type Value = crate::decode::Carried;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E: de::Error>(self, carried: &str) -> Result<Self::Value, E> {
        crate::decode::Carried::unpack(carried).map_err(E::custom)
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let carried = deserializer.deserialize_newtype_struct(marker::TEMPLATE, CarriedVisitor)?;
        Ok(Self {
            segments: carried.segments,
            span: carried.span,
        })
    }
}

impl<'de> Deserialize<'de> for SecretTemplate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let carried =
            deserializer.deserialize_newtype_struct(marker::SECRET_TEMPLATE, CarriedVisitor)?;
        Ok(Self {
            segments: carried.segments,
            span: carried.span,
        })
    }
}

impl JsonSchema for Template {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Template".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1, "x-run-time": true })
    }
}

impl JsonSchema for SecretTemplate {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "SecretTemplate".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "x-run-time": true, "x-secret": true })
    }
}
