//! `qib runs resume`: how a run was asked for is in its journal, and so it is asked for again.

use super::conduct::{self, Asked, Start};
use super::error::CommandError;
use super::terminal::Terminal;
use crate::args::account::AccountArgs;
use crate::args::resume::ResumeArgs;
use crate::args::variables::VariableArgs;
use crate::edge::environment::Environment;
use build::journal::{
    Invocation, JournalError, JournalLock, JournalReader, JournalState, Opened, RunDirectory,
    RunStatus,
};
use build::names::RunId;
use build::options::{AfterFailure, Debugging, OnFailure};
use build::pause::Pauses;
use build::selection::Choice;
use cloud::RegionName;
use std::path::{Path, PathBuf};

/// Does it and gives the exit code.
///
/// # Errors
/// If the run cannot be gone on with.
pub async fn resume(
    args: ResumeArgs,
    environment: &Environment,
    terminal: &Terminal,
) -> Result<u8, CommandError> {
    let run = RunId::parse(&args.run).ok_or_else(|| {
        CommandError::bad_input(format!("`{}` is not the name of a run", args.run))
            .hinted("`qib runs ls` lists them; they look like r-0a1b2c3d")
    })?;
    let directory = RunDirectory::of(&environment.state_dir, &run);
    let state = read(&directory, &run, environment)?;
    let opened = resumable(&run, &directory, &state)?;
    if state.closed() == Some(RunStatus::Succeeded) {
        terminal.say(&format!(
            "Run {run} has succeeded: there is nothing to go on with. `qib runs show {run}` lists what it made."
        ));
        return Ok(0);
    }
    let invocation = &opened.invocation;
    let variables = variables(&run, invocation, args.variables)?;
    // Files are named from where the run was begun: the pipeline's, and those that it writes.
    let folder = Path::new(&invocation.folder);
    if !invocation.folder.is_empty() {
        std::env::set_current_dir(folder).map_err(|error| {
            CommandError::bad_input(format!(
                "run {run} was begun in {}, which cannot be entered: {error}",
                folder.display()
            ))
        })?;
    }
    let asked = Asked {
        pipeline: PathBuf::from(&opened.file),
        variables,
        account: AccountArgs {
            local: invocation.local,
            region: Some(RegionName::new(&opened.region)),
            profile: args.profile.or_else(|| invocation.profile.clone()),
            mfa_code: args.mfa_code,
        },
        cells: choice(invocation)?,
        jobs: args.jobs.or(invocation.jobs),
        after_failure: if invocation.fail_fast {
            AfterFailure::NoneBegins
        } else {
            AfterFailure::OthersGoOn
        },
        log_dir: invocation.log_dir.as_ref().map(PathBuf::from),
        pauses: Pauses::default(),
        rebuild: invocation.rebuild.clone(),
        on_failure: if args.keep_on_failure {
            OnFailure::Keep
        } else {
            OnFailure::CleanUp
        },
        debugging: Debugging::Off,
        json: args.json,
    };
    conduct::conduct(Start::Again(run), asked, environment, terminal).await
}

fn read(
    directory: &RunDirectory,
    run: &RunId,
    environment: &Environment,
) -> Result<JournalState, CommandError> {
    let wrong = |error: JournalError| {
        CommandError::bad_input(format!("run {run} cannot be gone on with: {error}"))
    };
    match directory.lock_state() {
        JournalLock::Absent => Err(CommandError::bad_input(format!(
            "there is no run {run} in {}",
            environment.state_dir.display()
        ))
        .hinted("`qib runs ls` lists the runs of this machine; a run is gone on with where it was begun")),
        JournalLock::Held => Err(wrong(JournalError::Alive { run: run.clone() })),
        JournalLock::Free => JournalReader::read(directory).map_err(wrong),
    }
}

fn resumable<'s>(
    run: &RunId,
    directory: &RunDirectory,
    state: &'s JournalState,
) -> Result<&'s Opened, CommandError> {
    let opened = state.opened().ok_or_else(|| {
        CommandError::bad_input(format!(
            "the journal of run {run} is empty: there is nothing to go on with"
        ))
        .hinted(format!(
            "`qib sweep` finds what the run made, if anything; after that {} can be deleted",
            directory.path().display()
        ))
    })?;
    if !state.kept().is_empty() {
        return Err(CommandError::bad_input(format!(
            "run {run} keeps an instance for you to look at"
        ))
        .hinted(format!(
            "`qib ssh {run}` goes in; once it may go: qib sweep --run {run} --kept --yes"
        )));
    }
    Ok(opened)
}

/// The cells that the run was asked for.
fn choice(invocation: &Invocation) -> Result<Choice, CommandError> {
    let globs = |texts: &[String]| {
        let parsed = texts.iter().map(|text| text.parse());
        parsed.collect::<Result<Vec<_>, String>>()
    };
    let choice = globs(&invocation.only).and_then(|only| {
        let except = globs(&invocation.except)?;
        Ok(Choice { only, except })
    });
    choice.map_err(|error| {
        CommandError::bad_input(format!(
            "the run's journal names cells in a way that cannot be read: {error}"
        ))
    })
}

/// The values that the run was given, with those that are given now before them.
fn variables(
    run: &RunId,
    invocation: &Invocation,
    given: VariableArgs,
) -> Result<VariableArgs, CommandError> {
    let named = |name: &String| given.vars.iter().any(|(other, _)| other == name);
    let missing: Vec<&str> = invocation
        .secret_vars
        .iter()
        .filter(|name| !named(name))
        .map(String::as_str)
        .collect();
    if !missing.is_empty() && given.vars_files.is_empty() {
        let options: Vec<String> = missing
            .iter()
            .map(|name| format!("--var {name}=…"))
            .collect();
        return Err(CommandError::bad_input(format!(
            "run {run} was given secrets by --var, and secrets are not kept: {}",
            missing.join(", ")
        ))
        .hinted(format!("give them again: {}", options.join(" "))));
    }
    let mut vars: Vec<(String, String)> = invocation
        .vars
        .iter()
        .filter(|(name, _)| !named(name))
        .cloned()
        .collect();
    vars.extend(given.vars);
    let mut vars_files: Vec<PathBuf> = invocation.vars_files.iter().map(PathBuf::from).collect();
    // Named from where one is now.
    for file in given.vars_files {
        vars_files.push(std::path::absolute(&file).unwrap_or(file));
    }
    let mut profiles = invocation.used_profiles.clone();
    profiles.extend(given.profiles);
    Ok(VariableArgs {
        vars,
        vars_files,
        profiles,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(vars: &[(&str, &str)]) -> VariableArgs {
        VariableArgs {
            vars: vars
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            vars_files: Vec::new(),
            profiles: vec![String::from("now")],
        }
    }

    #[test]
    fn what_is_given_now_goes_before_what_was_given_then_and_secrets_are_asked_for() {
        let run = RunId::from_random(3);
        let invocation = Invocation {
            vars: vec![
                (String::from("region"), String::from("eu-west-1")),
                (String::from("eip"), String::from("eipalloc-1")),
            ],
            secret_vars: vec![String::from("token")],
            used_profiles: vec![String::from("then")],
            ..Invocation::default()
        };
        let error = variables(&run, &invocation, given(&[])).unwrap_err();
        let text = error.render(crate::render::style::Palette::Plain);
        assert!(text.contains("--var token="), "{text}");
        let merged =
            variables(&run, &invocation, given(&[("token", "t"), ("eip", "new")])).unwrap();
        assert_eq!(merged.profiles, ["then", "now"]);
        assert_eq!(
            merged.vars,
            [("region", "eu-west-1"), ("token", "t"), ("eip", "new")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
    }
}
