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
    /// `matrix.NAME`: a value of the cell's combination.
    Matrix(String),
    /// `pipeline.name`
    PipelineName,
    /// `stage.name`
    StageName,
    /// `git.…`: what git says about the pipeline's file's folder.
    Git(GitFact),
    /// `file('PATH')`: a file's text, without one line end at its end.
    File(String),
    /// `env('NAME')`: an environment variable.
    Env(String),
    /// `hash('PATH')`: the SHA-256 of a file's content, or of a folder's.
    Hash(String),
    /// `run.id`
    RunId,
    /// `run.time`: when the run began, in UTC.
    RunTime,
    /// `source.id`: the id of the image the stage starts from; of a disk image, the digest of its file.
    SourceId,
    /// `source.name`: the name of the image the stage starts from; of a disk image, its file's without extension.
    SourceName,
    /// `source.created`: when that image was created, in UTC.
    SourceCreated,
    /// `source.owner`: the account that owns it.
    SourceOwner,
    /// `source.tags.KEY`: the value of one of its tags.
    SourceTag(String),
    /// `account.id`: the account the run builds in.
    AccountId,
    /// `region`: the region the cell builds in.
    Region,
    /// `cell`: the cell's name, unique in the run.
    Cell,
    /// `image.id`: the id of the image that was made.
    ImageId,
    /// `image.name`: its name.
    ImageName,
    /// `image.tags.KEY`: the value of one of its tags.
    ImageTag(String),
}

/// What git says about the folder of the pipeline's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GitFact {
    /// `git.sha`: the commit that is checked out, all 40 digits.
    Sha,
    /// `git.short_sha`: its first seven digits.
    ShortSha,
    /// `git.branch`: the branch that is checked out.
    Branch,
    /// `git.dirty`: `true` if a tracked file differs from the commit, else `false`.
    Dirty,
    /// `git.user`: `user.name` of git's configuration.
    User,
}

/// The names that have no part of their own, for messages and the reference.
pub(crate) const FIXED_NAMES: [(&str, Name); 18] = [
    ("pipeline.name", Name::PipelineName),
    ("stage.name", Name::StageName),
    ("git.sha", Name::Git(GitFact::Sha)),
    ("git.short_sha", Name::Git(GitFact::ShortSha)),
    ("git.branch", Name::Git(GitFact::Branch)),
    ("git.dirty", Name::Git(GitFact::Dirty)),
    ("git.user", Name::Git(GitFact::User)),
    ("run.id", Name::RunId),
    ("run.time", Name::RunTime),
    ("source.id", Name::SourceId),
    ("source.name", Name::SourceName),
    ("source.created", Name::SourceCreated),
    ("source.owner", Name::SourceOwner),
    ("account.id", Name::AccountId),
    ("region", Name::Region),
    ("cell", Name::Cell),
    ("image.id", Name::ImageId),
    ("image.name", Name::ImageName),
];

/// The functions; each takes one text.
pub(crate) const FUNCTION_NAMES: [&str; 3] = ["file", "env", "hash"];

/// Every name and when it is known, for the reference.
pub(crate) const FIXED_NAMES_WITH_TIME: [(&str, &str); 25] = [
    ("vars.NAME", "when the file is loaded: the variable's value"),
    (
        "matrix.NAME",
        "when the file is loaded: the cell's value of an axis, or one that `matrix.include` adds, inside a stage",
    ),
    (
        "pipeline.name",
        "when the file is loaded: the pipeline's `name`",
    ),
    (
        "stage.name",
        "when the file is loaded: the stage's key, inside a stage",
    ),
    (
        "git.sha",
        "when the file is loaded: the commit checked out in the pipeline's folder",
    ),
    (
        "git.short_sha",
        "when the file is loaded: its first seven digits",
    ),
    (
        "git.branch",
        "when the file is loaded: the branch checked out there",
    ),
    (
        "git.dirty",
        "when the file is loaded: `true` if a tracked file differs from the commit, else `false`",
    ),
    (
        "git.user",
        "when the file is loaded: `user.name` of git's configuration",
    ),
    (
        "file('PATH')",
        "when the file is loaded: a file's text, without one line end at its end",
    ),
    (
        "env('NAME')",
        "when the file is loaded: an environment variable",
    ),
    (
        "hash('PATH')",
        "when the file is loaded: the SHA-256 of a file's content, or of all that a folder holds",
    ),
    ("run.id", "in a run: the run's id"),
    ("run.time", "in a run: when it began, in UTC"),
    (
        "source.id",
        "in a run: the id of the image that the stage starts from; of a disk image that it imports, the digest of its file (`sha256:…`)",
    ),
    (
        "source.name",
        "in a run: the name of the image that the stage starts from; of a disk image, its file's name without extensions such as `.qcow2` and `.raw.xz`",
    ),
    (
        "source.created",
        "in a run: when that image was created, in UTC",
    ),
    ("source.owner", "in a run: the account that owns that image"),
    (
        "source.tags.KEY",
        "in a run: the value of that image's tag; `source.tags['KEY']` for any key",
    ),
    ("account.id", "in a run: the account that it builds in"),
    ("region", "in a run: the region that the cell builds in"),
    (
        "cell",
        "the cell's name: when the file is loaded where a `matrix` gives it one, else in a run",
    ),
    ("image.id", "in `outputs`: the id of the image"),
    ("image.name", "in `outputs`: the image's name"),
    (
        "image.tags.KEY",
        "in `outputs`: the value of the image's tag; `image.tags['KEY']` for any key",
    ),
];

impl Name {
    /// The name for a dotted path, if it is one.
    pub(crate) fn from_path(path: &str) -> Option<Self> {
        let part = |prefix: &str| path.strip_prefix(prefix).filter(|rest| !rest.is_empty());
        if let Some(variable) = path.strip_prefix("vars.") {
            return (!variable.contains('.')).then(|| Self::Variable(variable.to_owned()));
        }
        if let Some(value) = part("matrix.") {
            return (!value.contains('.')).then(|| Self::Matrix(value.to_owned()));
        }
        if let Some(key) = part("source.tags.") {
            return Some(Self::SourceTag(key.to_owned()));
        }
        if let Some(key) = part("image.tags.") {
            return Some(Self::ImageTag(key.to_owned()));
        }
        FIXED_NAMES
            .into_iter()
            .find(|(text, _)| *text == path)
            .map(|(_, name)| name)
    }

    /// A function's call; `None` for an unknown one and for an empty argument.
    pub(super) fn function(name: &str, argument: String) -> Option<Self> {
        match name {
            _ if argument.is_empty() => None,
            "file" => Some(Self::File(argument)),
            "env" => Some(Self::Env(argument)),
            "hash" => Some(Self::Hash(argument)),
            _ => None,
        }
    }

    /// Whether it is known only when a stage is built.
    pub const fn is_run_time(&self) -> bool {
        match self {
            Self::Variable(_)
            | Self::Matrix(_)
            | Self::PipelineName
            | Self::StageName
            | Self::Git(_)
            | Self::File(_)
            | Self::Env(_)
            | Self::Hash(_) => false,
            Self::RunId
            | Self::RunTime
            | Self::SourceId
            | Self::SourceName
            | Self::SourceCreated
            | Self::SourceOwner
            | Self::SourceTag(_)
            | Self::AccountId
            | Self::Region
            | Self::Cell
            | Self::ImageId
            | Self::ImageName
            | Self::ImageTag(_) => true,
        }
    }

    /// Whether it is a time, which the filter `date` writes.
    pub(super) const fn is_time(&self) -> bool {
        matches!(self, Self::RunTime | Self::SourceCreated)
    }

    /// Whether it may be absent without that being a mistake, so that the filter `default` makes sense.
    pub(super) const fn may_be_absent(&self) -> bool {
        matches!(
            self,
            Self::Env(_) | Self::SourceTag(_) | Self::ImageTag(_) | Self::Matrix(_)
        )
    }
}

/// Writes a text in single quotes, so that it is read as itself.
pub(super) fn quote(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    write!(f, "'{}'", text.replace('\'', "''"))
}

fn tag(f: &mut fmt::Formatter<'_>, of: &str, key: &str) -> fmt::Result {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if key.chars().all(plain) {
        return write!(f, "{of}.tags.{key}");
    }
    write!(f, "{of}.tags[")?;
    quote(f, key)?;
    f.write_str("]")
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let call = |f: &mut fmt::Formatter<'_>, function: &str, argument: &str| {
            write!(f, "{function}(")?;
            quote(f, argument)?;
            f.write_str(")")
        };
        match self {
            Self::Variable(name) => write!(f, "vars.{name}"),
            Self::Matrix(name) => write!(f, "matrix.{name}"),
            Self::File(path) => call(f, "file", path),
            Self::Env(name) => call(f, "env", name),
            Self::Hash(path) => call(f, "hash", path),
            Self::SourceTag(key) => tag(f, "source", key),
            Self::ImageTag(key) => tag(f, "image", key),
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

impl Expression {
    /// The expression without its braces.
    pub(super) fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)?;
        for filter in &self.filters {
            write!(f, " | {filter}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Expression {
    /// The expression as it can be parsed again, with its braces.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("${{ ")?;
        self.write(f)?;
        f.write_str(" }}")
    }
}
