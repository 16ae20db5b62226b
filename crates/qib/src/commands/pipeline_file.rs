//! Reading the pipeline that the command line names.

use super::error::CommandError;
use crate::args::variables::VariableArgs;
use crate::edge::environment::Environment;
use pipeline::{Disk, GivenVar, LoadError, LoadOptions, Loaded, VarsFile};
use std::path::Path;

/// Where a pipeline is to run, as far as its variables are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// AWS.
    Aws,
    /// The local EC2: `rehearsal` values count.
    Local,
}

impl Target {
    /// What `--local` says.
    pub fn of(local: bool) -> Self {
        if local { Self::Local } else { Self::Aws }
    }
}

/// Reads and checks `file`. Says everything that is wrong with it.
///
/// # Errors
/// If a file cannot be read; or, inside, if the pipeline is wrong.
pub fn try_load(
    file: &Path,
    variables: &VariableArgs,
    target: Target,
    environment: &Environment,
) -> Result<Result<Loaded, LoadError>, CommandError> {
    let read = |path: &Path, what: &str| {
        std::fs::read(path).map_err(|error| {
            CommandError::bad_input(format!(
                "the {what} {} cannot be read: {error}",
                path.display()
            ))
        })
    };
    let bytes = read(file, "pipeline")?;
    let vars_files = variables
        .vars_files
        .iter()
        .map(|path| {
            Ok(VarsFile {
                path: path.clone(),
                bytes: read(path, "variables file")?,
            })
        })
        .collect::<Result<_, CommandError>>()?;
    let options = LoadOptions {
        local: target == Target::Local,
        vars: variables
            .vars
            .iter()
            .map(|(name, value)| GivenVar {
                name: name.clone(),
                value: value.clone(),
            })
            .collect(),
        vars_files,
        env: &Environment::variable,
        home: environment.home.clone(),
    };
    Ok(pipeline::load(file, &bytes, &options, &Disk))
}

/// The pipeline of `file`, checked, with the stages of `rebuild` in it.
///
/// # Errors
/// If anything is wrong with it.
pub fn load(
    file: &Path,
    variables: &VariableArgs,
    target: Target,
    rebuild: &[String],
    environment: &Environment,
) -> Result<Loaded, CommandError> {
    let loaded = try_load(file, variables, target, environment)??;
    let stages: Vec<String> = loaded
        .pipeline
        .stages
        .iter()
        .map(|stage| stage.name.to_string())
        .collect();
    match rebuild.iter().find(|name| !stages.contains(name)) {
        Some(unknown) => Err(CommandError::bad_input(format!(
            "--rebuild {unknown}: the pipeline has no such stage"
        ))
        .hinted(format!("its stages are {}", stages.join(", ")))),
        None => Ok(loaded),
    }
}
