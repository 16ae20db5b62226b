//! The pipeline as a whole.

use super::entry::entries;
use super::{
    Cell, Label, Located, Maps, Outputs, PipelineName, PreflightEntry, Profiles, Region, Scalar,
    StageCell, StageName, Stages, StepSets, Variables,
};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// One pipeline file: variables, stages, outputs.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pipeline {
    /// The pipeline's name: it stands in the `qib:pipeline` tag of all that a run creates.
    pub name: Located<PipelineName>,
    /// Other files, relative to this one, whose `vars`, `maps`, `step_sets`, `profiles`, `stages`, `preflight` and
    /// `outputs` are this pipeline's too. What has a name here goes before the same name there.
    #[serde(default)]
    pub include: Vec<Located<String>>,
    /// The pipeline's variables, used as `${{ vars.NAME }}`.
    #[serde(default)]
    pub vars: Variables,
    /// Tables for the filter `map('NAME')`: for each key a value.
    #[serde(default)]
    #[schemars(with = "BTreeMap<Label, BTreeMap<String, Scalar>>")]
    pub maps: Maps,
    /// Values for variables that belong together, chosen with `--use NAME`.
    #[serde(default)]
    pub profiles: Profiles,
    /// Entries to use in several stages, with `- use: NAME`; each as under `stages.NAME.provision`.
    #[serde(default)]
    pub step_sets: StepSets,
    /// Where in AWS the pipeline runs.
    #[serde(default)]
    pub aws: Aws,
    /// What to do on the machine that runs qib before anything is created in the account: to make files that the stages
    /// use, to wait for something that they need.
    #[serde(default, deserialize_with = "entries")]
    pub preflight: Vec<PreflightEntry>,
    /// The images to make, by name. A stage may start from the image of another.
    pub stages: Stages,
    /// Files to write about the images made.
    #[serde(default)]
    pub outputs: Outputs,
}

impl Pipeline {
    /// The first cell of the stage of that name.
    pub fn stage(&self, name: &StageName) -> Option<&Cell> {
        self.stages.iter().find(|cell| cell.stage.value == *name)
    }

    /// The cells of the stage of that name.
    pub fn cells_of<'p>(&'p self, name: &'p StageName) -> impl Iterator<Item = &'p Cell> {
        self.stages
            .iter()
            .filter(move |cell| cell.stage.value == *name)
    }

    /// The cell whose image a cell starts from, or looks for one after. In a loaded pipeline every cell that says such a
    /// stage has one.
    pub fn source_cell(&self, cell: &Cell) -> Option<&Cell> {
        let wanted = cell.source.value.predecessor()?;
        match self.fitting(cell, wanted).as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }

    /// The cells of a stage that fit another cell as its source: the named one, else those that agree with it in every
    /// axis that both have, and in the region as far as the file says it.
    pub(crate) fn fitting(&self, cell: &Cell, wanted: &StageCell) -> Vec<&Cell> {
        let named = |other: &&Cell| match &wanted.cell {
            Some(name) => other.name.as_deref() == Some(name.as_str()),
            None => agree(cell, other) && self.may_share_region(cell, other),
        };
        let cells = self.stages.iter();
        cells
            .filter(|other| other.stage.value == wanted.stage.value)
            .filter(named)
            .collect()
    }

    /// Whether two cells build in one region, as far as the file says it.
    pub(crate) fn may_share_region(&self, one: &Cell, other: &Cell) -> bool {
        let region = |cell: &Cell| {
            let own = cell.region.as_ref().or(self.aws.region.as_ref());
            own.map(|region| region.value.clone())
        };
        match (region(one), region(other)) {
            (Some(one), Some(other)) => one == other,
            _ => true,
        }
    }
}

/// Whether two cells have the same value in every axis that both have.
fn agree(one: &Cell, other: &Cell) -> bool {
    one.axes.intersection(&other.axes).all(|axis| {
        match (one.matrix.get(axis), other.matrix.get(axis)) {
            (Some(one), Some(other)) => one == other,
            // A combination that `include` adds need not have a value in each axis.
            _ => true,
        }
    })
}

impl Pipeline {
    /// Whether an entry of `preflight` makes what is at `path`: the file itself, or a folder that it is in or that is it.
    pub fn is_made_by_preflight(&self, path: &Path) -> bool {
        let mut made = self.preflight.iter().flat_map(|entry| entry.creates());
        made.any(|file| file.covers(path))
    }
}

/// Where in AWS the pipeline runs. Credentials never stand here: they come as the AWS CLI finds them.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Aws {
    /// The region to build in. `--region` goes before it; without either, the AWS environment decides.
    pub region: Option<Located<Region>>,
}
