//! The files that a pipeline wants written about its images.

use crate::failure::StepError;
use crate::report::Report;
use crate::steps::RunContext;
use pipeline::model::{OutputFormat, Pipeline};

/// Writes all of them. On failure gives which one and why.
pub(super) fn write_all(
    pipeline: &Pipeline,
    context: &RunContext,
    report: &Report,
) -> Result<(), (String, Box<StepError>)> {
    for output in &pipeline.outputs {
        let facts = super::convert::run_facts(context);
        let path = super::convert::rendered(&output.write, "outputs.write", &facts)
            .map_err(|error| (String::from("output"), Box::new(error)))?;
        let failed = |reason: String| {
            (
                path.clone(),
                Box::new(StepError::Output {
                    path: path.clone(),
                    reason,
                }),
            )
        };
        let text = match output.format {
            OutputFormat::Json => {
                serde_json::to_vec_pretty(report).map_err(|error| failed(error.to_string()))?
            }
        };
        // Written beside and renamed, so that nobody ever reads half a file.
        let partial = format!("{path}.partial");
        std::fs::write(&partial, text)
            .and_then(|()| std::fs::rename(&partial, &path))
            .map_err(|error| failed(error.to_string()))?;
    }
    Ok(())
}
