//! The pipeline as a whole.

use super::{Cell, Located, Outputs, PipelineName, Region, StageName, Stages, Variables};
use schemars::JsonSchema;
use serde::Deserialize;

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
}

/// Where in AWS the pipeline runs. Credentials never stand here: they come as the AWS CLI finds them.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Aws {
    /// The region to build in. `--region` goes before it; without either, the AWS environment decides.
    pub region: Option<Located<Region>>,
}
