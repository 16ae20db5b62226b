//! What can be done to an expression's value.

use super::Name;
use super::expression::quote;
use crate::check::is_image_name_character;
use crate::suggest::closest;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// One `| filter`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// `lower`: lower-case letters.
    Lower,
    /// `upper`: upper-case letters.
    Upper,
    /// `replace('a', 'b')`: every `a` by `b`.
    Replace {
        /// What to look for; not empty.
        from: String,
        /// What to put in its place.
        to: String,
    },
    /// `date('%Y-%m-%d')`: a time, written by strftime's rules, in UTC. `run.time` and `source.created` are times.
    Date(String),
    /// `major`, `minor`, `patch`: the first one, two or three fields of a version: 4, 4.12, 4.12.3.
    Version(VersionPart),
    /// `map('NAME')`: what the pipeline's map of that name has for the value.
    Map {
        /// The map's name.
        name: String,
        /// What it holds; empty until the pipeline's maps are known.
        entries: Arc<BTreeMap<String, String>>,
    },
    /// `sha256`: the SHA-256 of the text, in hexadecimal digits.
    Sha256,
    /// `clean_name`: every character that an image's name may not have becomes a `-`.
    CleanName,
    /// `default('x')`: `x` where there is no value. For `env('NAME')`, `source.tags.KEY` and `matrix.NAME` only.
    Default(String),
}

/// How many fields of a version to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionPart {
    /// The first field: `4`.
    Major,
    /// The first two fields: `4.12`.
    Minor,
    /// The first three fields: `4.12.3`.
    Patch,
}

impl VersionPart {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Major => "major",
            Self::Minor => "minor",
            Self::Patch => "patch",
        }
    }

    /// The first fields of a version; a `v` before it stays, what follows a `-` or `+` goes.
    fn of(self, text: &str) -> Option<String> {
        let fields = match self {
            Self::Major => 1,
            Self::Minor => 2,
            Self::Patch => 3,
        };
        let (prefix, rest) = match text.strip_prefix('v') {
            Some(rest) => ("v", rest),
            None => ("", text),
        };
        let release = rest.split(['-', '+']).next().unwrap_or_default();
        let numbers: Vec<&str> = release.split('.').take(fields).collect();
        let number = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        (numbers.len() == fields && numbers.iter().all(number))
            .then(|| format!("{prefix}{}", numbers.join(".")))
    }
}

pub(crate) const FILTER_NAMES: [&str; 11] = [
    "lower",
    "upper",
    "replace",
    "date",
    "major",
    "minor",
    "patch",
    "map",
    "sha256",
    "clean_name",
    "default",
];

/// What a filter may make of a text; filters in a row would multiply it.
const MAX_TEXT: usize = 1 << 20;

/// Why a filter cannot be applied to a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FilterError {
    /// The value is no version, or has too few fields.
    NoVersion { part: VersionPart, value: String },
    /// The text would grow out of all proportion.
    TooLong,
    /// The map has no such key.
    NoKey {
        map: String,
        value: String,
        known: Vec<String>,
    },
}

impl FilterError {
    /// What is wrong, and what to do; a `secret` value is not shown.
    pub(crate) fn describe(&self, secret: bool) -> (String, Option<String>) {
        let shown = |value: &String| {
            if secret {
                "the secret value".to_owned()
            } else {
                format!("{value:?}")
            }
        };
        match self {
            Self::TooLong => (
                format!("the filter `replace` makes more than {MAX_TEXT} bytes of it"),
                None,
            ),
            Self::NoVersion { part, value } => (
                format!(
                    "the filter `{}` needs a version such as 4.12.3, not {}",
                    part.as_str(),
                    shown(value)
                ),
                None,
            ),
            Self::NoKey { map, value, known } => {
                let near = closest(value, known.iter().map(String::as_str)).filter(|_| !secret);
                let hint = match near {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("its keys are: {}", known.join(", ")),
                };
                (
                    format!("the map `{map}` has no key {}", shown(value)),
                    Some(hint),
                )
            }
        }
    }
}

impl Filter {
    /// The filter of that name with those arguments.
    ///
    /// # Errors
    /// When there is none, or its arguments are others.
    pub(crate) fn new(name: &str, arguments: Vec<String>) -> Result<Self, String> {
        let mut arguments = arguments.into_iter();
        let (first, second, more) = (arguments.next(), arguments.next(), arguments.next());
        match (name, first, second, more) {
            ("lower", None, ..) => Ok(Self::Lower),
            ("upper", None, ..) => Ok(Self::Upper),
            ("major", None, ..) => Ok(Self::Version(VersionPart::Major)),
            ("minor", None, ..) => Ok(Self::Version(VersionPart::Minor)),
            ("patch", None, ..) => Ok(Self::Version(VersionPart::Patch)),
            ("sha256", None, ..) => Ok(Self::Sha256),
            ("clean_name", None, ..) => Ok(Self::CleanName),
            ("replace", Some(from), Some(to), None) if !from.is_empty() => {
                Ok(Self::Replace { from, to })
            }
            ("map", Some(name), None, _) if !name.is_empty() => Ok(Self::Map {
                name,
                entries: Arc::default(),
            }),
            ("default", Some(text), None, _) if !text.is_empty() => Ok(Self::Default(text)),
            ("date", Some(format), None, _) if !format.is_empty() => {
                // A format that jiff refuses is found now, with any time.
                write_date(&format, Timestamp::UNIX_EPOCH)?;
                Ok(Self::Date(format))
            }
            ("lower" | "upper" | "major" | "minor" | "patch" | "sha256" | "clean_name", ..) => {
                Err(format!("the filter `{name}` takes no arguments"))
            }
            ("replace", ..) => Err(
                "the filter `replace` takes two texts, the first not empty: replace('a', 'b')"
                    .into(),
            ),
            ("map", ..) => Err("the filter `map` takes a map's name: map('NAME')".into()),
            ("default", ..) => Err(
                "the filter `default` takes the text to use where there is no value: default('x')"
                    .into(),
            ),
            ("date", ..) => {
                Err("the filter `date` takes one format: date('%Y-%m-%d-%H%M%S')".into())
            }
            _ => Err(format!(
                "there is no filter `{name}`; the filters are {}",
                FILTER_NAMES.join(", ")
            )),
        }
    }

    /// The filter, if it may stand at that position (from 0) after that name.
    pub(super) fn fits(self, name: &Name, position: usize) -> Result<Self, String> {
        match self {
            Self::Date(_) if position > 0 || !name.is_time() => Err(
                "the filter `date` needs a time, and only run.time and source.created are times"
                    .to_owned(),
            ),
            Self::Default(_) if position > 0 || !name.may_be_absent() => Err(
                "the filter `default` stands directly after env('NAME'), source.tags.KEY or matrix.NAME; \
                 a variable has its own `default:`"
                    .to_owned(),
            ),
            fitting => Ok(fitting),
        }
    }

    /// Applies the filter to a text. `Date` and `Default` leave it as it is: the one belongs to a time, the other to a
    /// value that is not there.
    pub(crate) fn apply(&self, text: &str) -> Result<String, FilterError> {
        Ok(match self {
            Self::Lower => text.to_lowercase(),
            Self::Upper => text.to_uppercase(),
            Self::Replace { from, to } => {
                let more = to.len().saturating_sub(from.len());
                let growth = text.matches(from.as_str()).count().saturating_mul(more);
                if growth > MAX_TEXT {
                    return Err(FilterError::TooLong);
                }
                text.replace(from, to)
            }
            Self::Date(_) | Self::Default(_) => text.to_owned(),
            Self::Version(part) => part.of(text).ok_or_else(|| FilterError::NoVersion {
                part: *part,
                value: text.to_owned(),
            })?,
            Self::Map { name, entries } => {
                entries
                    .get(text)
                    .cloned()
                    .ok_or_else(|| FilterError::NoKey {
                        map: name.clone(),
                        value: text.to_owned(),
                        known: entries.keys().cloned().collect(),
                    })?
            }
            Self::Sha256 => hex::encode(Sha256::digest(text)),
            Self::CleanName => text
                .chars()
                .map(|c| if is_image_name_character(c) { c } else { '-' })
                .collect(),
        })
    }
}

/// Writes a time in UTC by a strftime format.
pub(crate) fn write_date(format: &str, time: Timestamp) -> Result<String, String> {
    jiff::fmt::strtime::format(format, &time.to_zoned(TimeZone::UTC))
        .map_err(|why| format!("the date format {format:?} cannot be used: {why}"))
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let call = |f: &mut fmt::Formatter<'_>, name: &str, argument: &str| {
            write!(f, "{name}(")?;
            quote(f, argument)?;
            f.write_str(")")
        };
        match self {
            Self::Lower => f.write_str("lower"),
            Self::Upper => f.write_str("upper"),
            Self::Sha256 => f.write_str("sha256"),
            Self::CleanName => f.write_str("clean_name"),
            Self::Version(part) => f.write_str(part.as_str()),
            Self::Replace { from, to } => {
                f.write_str("replace(")?;
                quote(f, from)?;
                f.write_str(", ")?;
                quote(f, to)?;
                f.write_str(")")
            }
            Self::Date(format) => call(f, "date", format),
            Self::Map { name, .. } => call(f, "map", name),
            Self::Default(text) => call(f, "default", text),
        }
    }
}
