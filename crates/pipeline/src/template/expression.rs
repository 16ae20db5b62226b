//! An expression: a name and the filters its value goes through.

use super::Filter;
use std::fmt;

/// What stands between `${{` and `}}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expression {
    /// What it names.
    pub name: Name,
    /// What is done to the value, in this order.
    pub filters: Vec<Filter>,
}

/// What an expression can name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// `vars.NAME`
    Variable(String),
    /// `pipeline.name`
    PipelineName,
    /// `stage.name`
    StageName,
    /// `run.id`
    RunId,
    /// `run.time`: when the run began, in UTC.
    RunTime,
    /// `source.id`: the id of the image the stage starts from.
    SourceId,
    /// `source.name`: the name of the image the stage starts from.
    SourceName,
    /// `account.id`: the account the run builds in.
    AccountId,
    /// `region`: the region the run builds in.
    Region,
    /// `cell`: the cell's name, unique in the run.
    Cell,
}

/// The names without a variable's, for messages and the reference.
pub(crate) const FIXED_NAMES: [(&str, Name); 9] = [
    ("pipeline.name", Name::PipelineName),
    ("stage.name", Name::StageName),
    ("run.id", Name::RunId),
    ("run.time", Name::RunTime),
    ("source.id", Name::SourceId),
    ("source.name", Name::SourceName),
    ("account.id", Name::AccountId),
    ("region", Name::Region),
    ("cell", Name::Cell),
];

/// Every name and when it is known, for the reference.
pub(crate) const FIXED_NAMES_WITH_TIME: [(&str, &str); 10] = [
    ("vars.NAME", "when the file is loaded: the variable's value"),
    (
        "pipeline.name",
        "when the file is loaded: the pipeline's `name`",
    ),
    (
        "stage.name",
        "when the file is loaded: the stage's key, inside a stage",
    ),
    ("run.id", "in a run: the run's id"),
    ("run.time", "in a run: when it began, in UTC"),
    (
        "source.id",
        "in a run: the id of the image that the stage starts from",
    ),
    (
        "source.name",
        "in a run: the name of the image that the stage starts from",
    ),
    ("account.id", "in a run: the account that it builds in"),
    ("region", "in a run: the region that it builds in"),
    ("cell", "in a run: the cell's name"),
];

impl Name {
    /// The name for a dotted path, if it is one.
    pub(crate) fn from_path(path: &str) -> Option<Self> {
        if let Some(variable) = path.strip_prefix("vars.") {
            return (!variable.contains('.')).then(|| Self::Variable(variable.to_owned()));
        }
        FIXED_NAMES
            .into_iter()
            .find(|(text, _)| *text == path)
            .map(|(_, name)| name)
    }

    /// Whether it is known only when a stage is built.
    pub const fn is_run_time(&self) -> bool {
        !matches!(
            self,
            Self::Variable(_) | Self::PipelineName | Self::StageName
        )
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(name) => write!(f, "vars.{name}"),
            fixed => {
                let text = FIXED_NAMES
                    .iter()
                    .find(|(_, name)| name == fixed)
                    .map_or("", |(text, _)| text);
                f.write_str(text)
            }
        }
    }
}

impl fmt::Display for Expression {
    /// The expression as it can be parsed again, with its braces.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${{{{ {}", self.name)?;
        for filter in &self.filters {
            write!(f, " | {filter}")?;
        }
        f.write_str(" }}")
    }
}
