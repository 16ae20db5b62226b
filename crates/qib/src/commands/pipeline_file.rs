//! Reading the pipeline that the command line names.

use super::error::CommandError;
use crate::args::variables::VariableArgs;
use crate::edge::clock::SystemClock;
use crate::edge::environment::Environment;
use crate::edge::git;
use crate::render::style::Palette;
use build::host::PipelineSource;
use build::options::RunOptions;
use build::pause::PausePoint;
use build::selection::{Selection, SelectionError};
use cloud::Clock;
use pipeline::{Disk, GivenVar, LoadError, LoadOptions, Loaded, VarsFile};
use std::path::{Path, PathBuf};

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
        profiles: variables.profiles.clone(),
        env: &Environment::variable,
        home: environment.home.clone(),
        git: &|| git::facts(file.parent().unwrap_or(Path::new(""))),
    };
    Ok(
        pipeline::load(file, &bytes, &options, &Disk).and_then(|loaded| {
            let problems = build::precheck::problems(&loaded, SystemClock.now());
            if problems.is_empty() {
                Ok(loaded)
            } else {
                Err(LoadError { problems })
            }
        }),
    )
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
    let mut stages: Vec<String> = loaded
        .pipeline
        .stages
        .iter()
        .map(|cell| cell.stage.to_string())
        .collect();
    // A stage has several cells, which stand beside each other.
    stages.dedup();
    match rebuild.iter().find(|name| !stages.contains(name)) {
        Some(unknown) => Err(CommandError::bad_input(format!(
            "--rebuild {unknown}: the pipeline has no such stage"
        ))
        .hinted(format!("its stages are {}", stages.join(", ")))),
        None => Ok(loaded),
    }
}

/// The pipeline's file, for when `preflight` has made what it names.
pub struct PipelineFile {
    /// The file.
    pub file: PathBuf,
    /// Values for its variables.
    pub variables: VariableArgs,
    /// Where it is to run.
    pub target: Target,
    /// What qib was called with.
    pub environment: Environment,
}

impl PipelineSource for PipelineFile {
    fn read_again(&self) -> Result<Loaded, String> {
        match try_load(&self.file, &self.variables, self.target, &self.environment) {
            Ok(loaded) => loaded.map_err(|error| error.to_string()),
            Err(error) => Err(error.render(Palette::Plain)),
        }
    }
}

/// The cells that `options` choose, once it is known where those are built that say no region of their own.
///
/// # Errors
/// If a pattern fits no cell, a cell cannot start from what it says, or there is no provisioner of a name at which it is to
/// be waited.
pub fn choose<'p>(loaded: &'p Loaded, options: &RunOptions) -> Result<Selection<'p>, CommandError> {
    let choice = &options.cells.choice;
    let selection = Selection::choose(&loaded.pipeline, &options.region, choice)
        .map_err(|error| refused(&error))?;
    let mut names: Vec<String> = selection
        .cells
        .iter()
        .flat_map(|chosen| {
            let test = chosen.cell.test.iter().flat_map(|test| &test.provision);
            chosen.cell.provision.iter().chain(test)
        })
        .map(|entry| entry.label())
        .collect();
    names.sort();
    names.dedup();
    for point in &options.cells.pauses.after {
        if let PausePoint::Provisioner(name) = point
            && !names.contains(name)
        {
            return Err(CommandError::bad_input(format!(
                "--pause-after {point}: the chosen cells have no such provisioner"
            ))
            .hinted(format!("theirs are {}", names.join(", "))));
        }
    }
    Ok(selection)
}

fn refused(error: &SelectionError) -> CommandError {
    CommandError::bad_input(error.to_string()).hinted(error.hint())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment() -> Environment {
        Environment {
            cache_dir: PathBuf::new(),
            state_dir: PathBuf::new(),
            local_dir: PathBuf::new(),
            home: None,
            agent_socket: None,
            caller_address_url: None,
            ec2_endpoint: None,
            crash_at: None,
        }
    }

    fn variables(vars: &[(&str, &str)]) -> VariableArgs {
        let vars = vars
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        VariableArgs {
            vars: vars.collect(),
            vars_files: Vec::new(),
            profiles: Vec::new(),
        }
    }

    /// The pipeline that people copy from the README, as a file.
    fn of_readme() -> (tempfile::TempDir, PathBuf) {
        let readme = include_str!("../../../../README.md");
        let (_, rest) = readme
            .split_once("```yaml\n")
            .expect("the README has a pipeline");
        let (text, _) = rest.split_once("```").expect("it ends");
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("my-image.yaml");
        std::fs::write(&file, text).expect("it can be written");
        (folder, file)
    }

    #[test]
    fn the_pipeline_of_the_readme_is_valid_and_short() {
        let (_folder, file) = of_readme();
        let load = |target, vars: &[(&str, &str)]| {
            try_load(&file, &variables(vars), target, &environment()).expect("it can be read")
        };
        assert!(
            load(Target::Local, &[]).is_ok(),
            "{:?}",
            load(Target::Local, &[])
        );
        assert!(
            load(Target::Aws, &[]).is_err(),
            "the address has no value on AWS"
        );
        assert!(load(Target::Aws, &[("eip", "eipalloc-0123")]).is_ok());
        assert!(
            std::fs::read_to_string(&file)
                .expect("text")
                .lines()
                .count()
                <= 21
        );
    }

    #[test]
    fn a_stage_to_rebuild_must_be_there() {
        let (_folder, file) = of_readme();
        let load = |stage: &str| {
            load(
                &file,
                &variables(&[]),
                Target::Local,
                &[stage.to_owned()],
                &environment(),
            )
        };
        assert!(load("web").is_ok());
        let error = load("bse").expect_err("there is no such stage");
        assert_eq!(error.exit.code(), 2);
        assert!(
            error
                .render(crate::render::style::Palette::Plain)
                .contains("web")
        );
    }
}
