//! The variables' values.

use crate::template::Secret;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// Where a variable's value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// `--var NAME=VALUE`
    CommandLine,
    /// A `--vars-file`.
    VarsFile(PathBuf),
    /// A profile chosen with `--use`.
    Profile(String),
    /// An environment variable.
    Environment(String),
    /// A file that the declaration names.
    File(PathBuf),
    /// The declaration's `rehearsal`.
    Rehearsal,
    /// The declaration's `default`.
    Default,
    /// The declaration's `derive`.
    Derived,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommandLine => f.write_str("--var"),
            Self::VarsFile(path) => write!(f, "{}", path.display()),
            Self::Profile(name) => write!(f, "the profile {name}"),
            Self::Environment(name) => write!(f, "the environment variable {name}"),
            Self::File(path) => write!(f, "the file {}", path.display()),
            Self::Rehearsal => f.write_str("`rehearsal`"),
            Self::Default => f.write_str("`default`"),
            Self::Derived => f.write_str("`derive`"),
        }
    }
}

/// A variable's value. It is held as a secret whether or not it is one: `Debug` of a pipeline never prints values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// The value.
    pub secret: Secret,
    /// Whether the declaration says `secret: true`.
    pub is_secret: bool,
    /// Where it came from.
    pub origin: Origin,
}

/// Every declared variable's value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values(pub(crate) BTreeMap<String, Value>);

impl Values {
    /// A variable's value.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// The variables' names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The values of the secret ones: what must be masked in all output.
    pub fn secrets(&self) -> impl Iterator<Item = &Secret> {
        self.0
            .values()
            .filter(|value| value.is_secret)
            .map(|value| &value.secret)
    }
}
