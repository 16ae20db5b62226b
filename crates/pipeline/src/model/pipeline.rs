//! The pipeline as a whole.

use super::entry::entries;
use super::{Cell, Located, PipelineName, PreflightEntry, Region, StageName, Stages, Variables};
use crate::template::Template;
use schemars::JsonSchema;
use serde::Deserialize;
use std::path::Path;

/// One pipeline file: variables, stages, outputs.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pipeline {
    /// The pipeline's name: it stands in the `qib:pipeline` tag of all that a run creates.
    pub name: Located<PipelineName>,
    /// The pipeline's variables, used as `${{ vars.NAME }}`.
    #[serde(default)]
    pub vars: Variables,
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
    pub outputs: Vec<Output>,
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

/// A file to write when a run has finished.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// The file to write, relative to the folder qib is called in.
    pub write: Template,
    /// What to write into it.
    #[serde(default)]
    pub format: OutputFormat,
}

/// What an output file holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OutputFormat {
    /// One JSON object with the run's id, its status and its images, as `qib run --json` ends with.
    #[default]
    Json,
}
