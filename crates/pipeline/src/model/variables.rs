//! Declared variables.

use super::{Later, Located, Scalar, VarName};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Declared variables by name.
pub type Variables = BTreeMap<Located<VarName>, Variable>;

/// A variable. Its value is the first of: `--var`, `--vars-file` (the last file that has it), the profiles chosen with
/// `--use` (the last that has it), `env`, `file`, `rehearsal` (under `--local`), `default` or `derive`. A variable without
/// a value, or with an empty one, is an error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Variable {
    /// What it is for: shown where its value is missing.
    pub description: Option<String>,
    /// The value when nothing else gives one.
    #[schemars(with = "Option<Scalar>")]
    pub default: Option<Located<String>>,
    /// The value when nothing else gives one, made of other variables and what else is known when the file is loaded:
    /// `"${{ vars.ocp_version | minor }}"`. Made of a secret, it is one. Stands instead of `default`.
    pub derive: Option<Later<String>>,
    /// An environment variable to take the value from.
    pub env: Option<Located<String>>,
    /// A file to take the value from, relative to the pipeline's file; `~/` is your home. One line end at its end is
    /// left out.
    pub file: Option<Located<String>>,
    /// The value in a rehearsal (`--local`) when nothing but `default` gives one.
    #[schemars(with = "Option<Scalar>")]
    pub rehearsal: Option<Located<String>>,
    /// A regular expression that the whole value must match.
    pub pattern: Option<Located<String>>,
    /// Whether the value is secret: it then may stand only in `run.env`, `upload.content` and uploaded templates, and
    /// is masked in all output.
    #[serde(default)]
    pub secret: bool,
}
