//! The decoder's error: it finds its place on the way out.

use super::marker;
use crate::Span;
use crate::problem::Fault;
use crate::suggest::closest;
use serde::{Deserialize, Serialize, de};
use std::fmt;

/// A value that does not fit its type. serde makes errors without a place; the innermost node that the error passes
/// gives it its own.
#[derive(Debug)]
pub(crate) struct DecodeError {
    message: String,
    hint: Option<String>,
    span: Option<Span>,
}

impl DecodeError {
    pub(crate) fn at(span: Span, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: None,
            span: Some(span),
        }
    }

    pub(crate) fn or_at(mut self, span: Span) -> Self {
        self.span.get_or_insert(span);
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn into_fault(self) -> Fault {
        Fault {
            span: self.span.unwrap_or(Span::START),
            message: self.message,
            hint: self.hint,
        }
    }
}

impl From<Fault> for DecodeError {
    fn from(fault: Fault) -> Self {
        Self {
            message: fault.message,
            hint: fault.hint,
            span: Some(fault.span),
        }
    }
}

/// What a type says of itself when its parts do not fit each other: where, and what to do. serde hands on an error's text
/// only, so that the rest travels in it as JSON.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Refusal {
    span: Option<Span>,
    message: String,
    hint: Option<String>,
}

impl Refusal {
    /// About the whole value, unless `at` says otherwise.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            span: None,
            message: message.into(),
            hint: None,
        }
    }

    pub(crate) fn at(mut self, span: Span) -> Self {
        self.span = Some(span);
        self
    }

    pub(crate) fn or_at(mut self, span: Span) -> Self {
        self.span.get_or_insert(span);
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let packed = serde_json::to_string(self).map_err(|_| fmt::Error)?;
        write!(f, "{}{packed}", marker::REFUSAL)
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for DecodeError {}

fn list(words: &[&'static str]) -> String {
    words
        .iter()
        .map(|word| format!("`{word}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

fn known(written: &str, words: &'static [&'static str]) -> String {
    match closest(written, words.iter().copied()) {
        Some(word) => format!("did you mean `{word}`?"),
        None => format!("known here: {}", list(words)),
    }
}

impl de::Error for DecodeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        let message = message.to_string();
        let packed = message.strip_prefix(marker::REFUSAL);
        if let Some(Ok(refusal)) = packed.map(serde_json::from_str::<Refusal>) {
            return Self {
                message: refusal.message,
                hint: refusal.hint,
                span: refusal.span,
            };
        }
        Self {
            message,
            hint: None,
            span: None,
        }
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self {
            message: format!("unknown key `{field}`"),
            hint: Some(known(field, expected)),
            span: None,
        }
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self {
            message: format!("unknown word `{variant}`"),
            hint: Some(known(variant, expected)),
            span: None,
        }
    }

    fn missing_field(field: &'static str) -> Self {
        Self {
            message: format!("the key `{field}` is missing here"),
            hint: None,
            span: None,
        }
    }

    fn invalid_type(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self {
            message: format!("expected {expected}, found {}", describe(&found)),
            hint: None,
            span: None,
        }
    }

    fn invalid_value(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::invalid_type(found, expected)
    }
}

fn describe(found: &de::Unexpected<'_>) -> String {
    match found {
        de::Unexpected::Str(text) => format!("{text:?}"),
        de::Unexpected::Bool(value) => format!("`{value}`"),
        de::Unexpected::Unsigned(value) => format!("{value}"),
        de::Unexpected::Signed(value) => format!("{value}"),
        de::Unexpected::Float(value) => format!("{value}"),
        de::Unexpected::Map => "a map".to_owned(),
        de::Unexpected::Seq => "a list".to_owned(),
        de::Unexpected::Unit | de::Unexpected::UnitVariant => "a lone word".to_owned(),
        other => other.to_string(),
    }
}
