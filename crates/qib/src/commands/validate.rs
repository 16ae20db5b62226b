//! `qib validate`: no network, no credentials.

use super::error::CommandError;
use super::pipeline_file::{Target, try_load};
use super::terminal::Terminal;
use crate::args::validate::ValidateArgs;
use crate::edge::environment::Environment;
use crate::render::json::document;
use build::report::ExitCode;
use pipeline::{Loaded, Problem};
use serde::Serialize;

/// What `validate --json` prints.
#[derive(Debug, Serialize)]
struct Verdict {
    valid: bool,
    /// The pipeline's name; none if the file could not be read as far as that.
    pipeline: Option<String>,
    /// Its stages, in the order of the file.
    stages: Vec<String>,
    problems: Vec<FlatProblem>,
}

/// One thing that is wrong.
#[derive(Debug, Serialize)]
struct FlatProblem {
    message: String,
    hint: Option<String>,
    file: Option<String>,
    /// From 1.
    line: Option<u32>,
    /// From 1, in characters.
    column: Option<u32>,
}

impl From<&Problem> for FlatProblem {
    fn from(problem: &Problem) -> Self {
        let place = problem.place.as_ref();
        Self {
            message: problem.message.clone(),
            hint: problem.hint.clone(),
            file: place.map(|place| place.file.display().to_string()),
            line: place.map(|place| place.span.line),
            column: place.map(|place| place.span.column),
        }
    }
}

impl Verdict {
    fn good(loaded: &Loaded) -> Self {
        let cells = loaded.pipeline.stages.iter();
        let mut stages: Vec<String> = cells.map(|cell| cell.stage.to_string()).collect();
        // A stage's cells stand side by side.
        stages.dedup();
        Self {
            valid: true,
            pipeline: Some(loaded.pipeline.name.to_string()),
            stages,
            problems: Vec::new(),
        }
    }

    fn bad(problems: &[Problem]) -> Self {
        Self {
            valid: false,
            pipeline: None,
            stages: Vec::new(),
            problems: problems.iter().map(FlatProblem::from).collect(),
        }
    }
}

/// Does it and gives the exit code.
///
/// # Errors
/// If the pipeline is wrong or cannot be read.
pub fn validate(
    args: &ValidateArgs,
    environment: &Environment,
    terminal: &Terminal,
) -> Result<u8, CommandError> {
    let outcome = try_load(
        &args.pipeline,
        &args.variables,
        Target::of(args.local),
        environment,
    )?;
    if args.json {
        let verdict = match &outcome {
            Ok(loaded) => Verdict::good(loaded),
            Err(error) => Verdict::bad(&error.problems),
        };
        terminal.result(|out| document(out, &verdict))?;
        return Ok(if verdict.valid {
            ExitCode::Done
        } else {
            ExitCode::BadInput
        }
        .code());
    }
    let loaded = outcome?;
    let verdict = Verdict::good(&loaded);
    let stages = verdict.stages.join(", ");
    let mut text = format!("{} is valid; its stages: {stages}", args.pipeline.display());
    for entry in &loaded.pipeline.preflight {
        for file in entry.creates() {
            text.push_str(&format!("\n  {} (made by preflight)", file.written.value));
        }
    }
    terminal.result_text(&text)?;
    Ok(ExitCode::Done.code())
}
