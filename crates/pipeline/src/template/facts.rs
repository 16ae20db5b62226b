//! What is known only when a stage is built.

use super::filter::write_date;
use super::{Expression, Filter, Name};
use jiff::Timestamp;
use std::fmt;

/// What the run-time names stand for. A name that is not known yet (a source that is still to be built) is `None`, and
/// rendering a text that uses it is an error.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct RunFacts {
    /// `run.id`
    pub run_id: Option<String>,
    /// `run.time`
    pub run_time: Option<Timestamp>,
    /// `source.id`
    pub source_id: Option<String>,
    /// `source.name`
    pub source_name: Option<String>,
    /// `account.id`
    pub account_id: Option<String>,
    /// `region`
    pub region: Option<String>,
    /// `cell`
    pub cell: Option<String>,
}

impl RunFacts {
    pub(crate) fn evaluate(&self, expression: &Expression) -> Result<String, RenderError> {
        let unknown = || RenderError {
            expression: expression.to_string(),
            why: Why::NotKnownYet,
        };
        let mut filters = expression.filters.as_slice();
        let plain = match &expression.name {
            Name::RunTime => {
                let time = self.run_time.ok_or_else(unknown)?;
                if let [Filter::Date(format), rest @ ..] = filters {
                    filters = rest;
                    // The format was tried when it was parsed.
                    Some(write_date(format, time).unwrap_or_default())
                } else {
                    Some(time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
                }
            }
            Name::RunId => self.run_id.clone(),
            Name::SourceId => self.source_id.clone(),
            Name::SourceName => self.source_name.clone(),
            Name::AccountId => self.account_id.clone(),
            Name::Region => self.region.clone(),
            Name::Cell => self.cell.clone(),
            Name::Variable(_) | Name::PipelineName | Name::StageName => None,
        };
        let text = filters
            .iter()
            .fold(plain.ok_or_else(unknown)?, |text, filter| {
                filter.apply(&text)
            });
        if text.is_empty() {
            return Err(RenderError {
                expression: expression.to_string(),
                why: Why::Empty,
            });
        }
        Ok(text)
    }
}

/// Why a text could not be rendered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenderError {
    expression: String,
    why: Why,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    NotKnownYet,
    Empty,
}

impl RenderError {
    /// Whether the value simply is not known yet: `qib plan` shows such a text with the expression in it.
    pub const fn is_not_known_yet(&self) -> bool {
        matches!(self.why, Why::NotKnownYet)
    }
}

impl fmt::Display for RenderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.why {
            Why::NotKnownYet => write!(
                f,
                "{} is not known yet at this point of the run",
                self.expression
            ),
            Why::Empty => write!(f, "{} is empty", self.expression),
        }
    }
}

impl std::error::Error for RenderError {}
