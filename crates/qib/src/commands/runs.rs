//! `qib runs`.

use super::error::CommandError;
use super::place::Place;
use super::resume;
use super::terminal::Terminal;
use crate::args::account::AccountArgs;
use crate::args::runs::{ExtendArgs, ListArgs, RunsArgs, RunsCommand, ShowArgs};
use crate::edge::clock::SystemClock;
use crate::edge::environment::Environment;
use crate::render::json::document;
use crate::render::runs::{run_text, runs_hint, runs_table};
use build::journal::{JournalError, JournalReader, RunDirectory};
use build::lifetime::{Extension, expires, extend, later_end, tag_value};
use build::names::RunId;
use build::report::WayIn;
use build::way_in;
use cloud::{Clock, InstanceFilter, InstanceId, RegionName};

/// Does it and gives the exit code.
///
/// # Errors
/// If a journal or the account keeps it from being done.
pub async fn runs(
    args: RunsArgs,
    environment: &Environment,
    terminal: &Terminal,
) -> Result<u8, CommandError> {
    match args.command {
        RunsCommand::Ls(args) => ls(&args, environment, terminal),
        RunsCommand::Show(args) => show(&args, environment, terminal),
        RunsCommand::Resume(args) => resume::resume(args, environment, terminal).await,
        RunsCommand::Extend(args) => lengthen(&args, environment, terminal).await,
    }
}

fn ls(args: &ListArgs, environment: &Environment, terminal: &Terminal) -> Result<u8, CommandError> {
    let runs = build::runs::list(&environment.state_dir).map_err(unreadable)?;
    if args.json {
        terminal.result(|out| document(out, &runs))?;
    } else if runs.is_empty() {
        terminal.say(&format!(
            "No run was begun on this machine: there is none in {}.",
            environment.state_dir.display()
        ));
    } else {
        terminal.result_text(&runs_table(&runs, SystemClock.now()))?;
        if let Some(hint) = runs_hint(&runs) {
            terminal.say(&hint);
        }
    }
    Ok(0)
}

fn show(
    args: &ShowArgs,
    environment: &Environment,
    terminal: &Terminal,
) -> Result<u8, CommandError> {
    let detail = build::runs::show(&environment.state_dir, &args.run).map_err(unreadable)?;
    if args.json {
        terminal.result(|out| document(out, &detail))?;
    } else {
        let text = run_text(&detail, SystemClock.now(), terminal.out);
        terminal.result_text(&text)?;
    }
    Ok(0)
}

async fn lengthen(
    args: &ExtendArgs,
    environment: &Environment,
    terminal: &Terminal,
) -> Result<u8, CommandError> {
    let found = way_in::find_with_run(&environment.state_dir, &args.target);
    let (run, way_in) = found.map_err(|error| {
        CommandError::bad_input(error.to_string())
            .hinted("`qib runs ls` lists the runs of this machine, and what they keep")
    })?;
    let place = place_of(&run, &way_in, args, environment).await?;
    let region = place.account.region(&place.region);
    let filter = InstanceFilter {
        instance_ids: vec![InstanceId::new(&way_in.instance_id)],
        ..InstanceFilter::default()
    };
    let instances = region.instances(&filter).await?;
    let Some(instance) = instances.iter().find(|one| !one.state.is_ending()) else {
        return Err(CommandError::failed(format!(
            "instance {} is gone: there is nothing to extend",
            way_in.instance_id
        ))
        .hinted("`qib sweep --yes` removes what belonged to it"));
    };
    let end = later_end(expires(&instance.tags), SystemClock.now(), args.by.get());
    let guests = build::ssh_access::SshAccess::default();
    let through = Extension {
        region: region.as_ref(),
        guests: &guests,
        agent_socket: environment.agent_socket.as_deref(),
    };
    extend(through, &way_in, end)
        .await
        .map_err(|error| CommandError::failed(error.to_string()))?;
    terminal.result_text(&format!("{} {}", way_in.instance_id, tag_value(end)))?;
    Ok(0)
}

/// Where the instance is, as its run was told.
async fn place_of(
    run: &RunId,
    way_in: &WayIn,
    args: &ExtendArgs,
    environment: &Environment,
) -> Result<Place, CommandError> {
    let directory = RunDirectory::of(&environment.state_dir, run);
    let journal = JournalReader::read(&directory).map_err(unreadable)?;
    let invocation = journal.opened().map(|opened| opened.invocation.clone());
    let invocation = invocation.unwrap_or_default();
    let account = AccountArgs {
        local: invocation.local,
        region: Some(RegionName::new(&way_in.region)),
        profile: args.profile.clone().or(invocation.profile),
        mfa_code: args.mfa_code.clone(),
    };
    Place::find(&account, None, environment).await
}

fn unreadable(error: JournalError) -> CommandError {
    match error {
        JournalError::NoSuchRun { .. } => CommandError::bad_input(error.to_string())
            .hinted("`qib runs ls` lists the runs of this machine"),
        _ => CommandError::failed(error.to_string()),
    }
}
