//! What can be done to an expression's value.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::fmt;

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
    /// `date('%Y-%m-%d')`: a time, written by strftime's rules, in UTC. Only `run.time` is a time.
    Date(String),
}

pub(crate) const FILTER_NAMES: [&str; 4] = ["lower", "upper", "replace", "date"];

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
            ("replace", Some(from), Some(to), None) if !from.is_empty() => {
                Ok(Self::Replace { from, to })
            }
            ("date", Some(format), None, _) if !format.is_empty() => {
                // A format that jiff refuses is found now, with any time.
                write_date(&format, Timestamp::UNIX_EPOCH)?;
                Ok(Self::Date(format))
            }
            ("lower" | "upper", ..) => Err(format!("the filter `{name}` takes no arguments")),
            ("replace", ..) => Err(
                "the filter `replace` takes two texts, the first not empty: replace('a', 'b')"
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

    /// Applies the filter to a text; `Date` leaves it as it is, since it belongs to a time.
    pub(crate) fn apply(&self, text: &str) -> String {
        match self {
            Self::Lower => text.to_lowercase(),
            Self::Upper => text.to_uppercase(),
            Self::Replace { from, to } => text.replace(from, to),
            Self::Date(_) => text.to_owned(),
        }
    }
}

/// Writes a time in UTC by a strftime format.
pub(crate) fn write_date(format: &str, time: Timestamp) -> Result<String, String> {
    jiff::fmt::strtime::format(format, &time.to_zoned(TimeZone::UTC))
        .map_err(|why| format!("the date format {format:?} cannot be used: {why}"))
}

fn quote(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    write!(f, "'{}'", text.replace('\'', "''"))
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lower => f.write_str("lower"),
            Self::Upper => f.write_str("upper"),
            Self::Replace { from, to } => {
                f.write_str("replace(")?;
                quote(f, from)?;
                f.write_str(", ")?;
                quote(f, to)?;
                f.write_str(")")
            }
            Self::Date(format) => {
                f.write_str("date(")?;
                quote(f, format)?;
                f.write_str(")")
            }
        }
    }
}
