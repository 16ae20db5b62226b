//! What a pipeline's stages and variables share: maps, profiles, step sets.

use super::{Label, Later, Located, ProvisionerEntry, Scalar, VarName};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Maps by name: for each key a value, for the filter `map('NAME')`.
pub type Maps = BTreeMap<Located<Label>, BTreeMap<String, String>>;

/// Profiles by name.
pub type Profiles = BTreeMap<Located<Label>, Profile>;

/// Step sets by name. They are read where they are used.
pub type StepSets = BTreeMap<Located<Label>, Later<Vec<ProvisionerEntry>>>;

/// Values that belong together, chosen with `--use NAME`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Values for declared variables.
    #[serde(default)]
    #[schemars(with = "BTreeMap<VarName, Scalar>")]
    pub vars: BTreeMap<Located<VarName>, Located<String>>,
}
