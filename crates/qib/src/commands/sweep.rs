//! `qib sweep`.

use super::error::CommandError;
use super::place::Place;
use super::terminal::Terminal;
use crate::args::sweep::SweepArgs;
use crate::edge::clock::SystemClock;
use crate::edge::environment::Environment;
use crate::render::json::document;
use crate::render::style::Role;
use crate::render::sweep::{progress_line, sweep_ending, sweep_text};
use build::report::ExitCode;
use build::sweep::{
    KeptToo, Sweep, SweepError, SweepPlan, SweepProgress, SweepRow, SweepWatch, carry_out, look,
    planned_rows, rows,
};
use cloud::{Clock, RegionName};
use jiff::tz::TimeZone;
use std::sync::Arc;

/// Does it and gives the exit code.
///
/// # Errors
/// If the account cannot be looked at.
pub async fn sweep(
    args: &SweepArgs,
    environment: &Environment,
    terminal: &Terminal,
) -> Result<u8, CommandError> {
    let place = Place::find(&args.account(), None, environment).await?;
    let identity = place.account.caller_identity().await?;
    let mut regions = args.regions.clone();
    if regions.is_empty() {
        regions.push(place.region.clone());
    }
    regions.sort();
    regions.dedup();
    let named: Vec<&str> = regions.iter().map(RegionName::as_str).collect();
    let named = named.join(", ");
    terminal.say(&format!(
        "account {} as {}, region {named}",
        identity.account, identity.arn
    ));
    let sweep = Sweep {
        account: place.account,
        account_id: identity.account.to_string(),
        regions,
        endpoint: place.endpoint,
        clock: Arc::new(SystemClock),
        buckets: args.buckets.clone(),
        state_dir: environment.state_dir.clone(),
        only: args.run.clone(),
        kept: if args.kept { KeptToo::Yes } else { KeptToo::No },
    };
    let plan = look(&sweep).await?;
    warn_of_unreadable_journals(&plan, terminal);
    let endpoint = sweep.endpoint.as_deref();
    let show = |rows: &[SweepRow]| {
        if args.json {
            terminal.result(|out| document(out, &rows))?;
        } else {
            terminal.result_text(&sweep_text(rows, SystemClock.now(), terminal.out))?;
        }
        terminal.say(&sweep_ending(rows, &named, &again(args), terminal.err));
        Ok::<_, CommandError>(())
    };
    if !args.yes {
        show(&planned_rows(&plan, endpoint))?;
        return Ok(ExitCode::Done.code());
    }
    let carried = carry_out(&sweep, plan, &Lines(terminal)).await?;
    show(&rows(&carried, endpoint))?;
    if let Some(error) = &carried.not_looked_again {
        terminal.say(&format!(
            "{} whether anything has shown meanwhile is not known: {error}\nhint: sweep again",
            terminal.err.paint(Role::Error, "error:")
        ));
    }
    let exit = if carried.is_complete() {
        ExitCode::Done
    } else {
        ExitCode::LeftBehind
    };
    Ok(exit.code())
}

/// The command that removes what was shown.
fn again(args: &SweepArgs) -> String {
    let mut command = String::from("qib sweep");
    for region in &args.regions {
        command.push_str(&format!(" --region {region}"));
    }
    if let Some(run) = &args.run {
        command.push_str(&format!(" --run {run}"));
    }
    if let Some(profile) = &args.profile {
        command.push_str(&format!(" --profile {profile}"));
    }
    for bucket in &args.buckets {
        command.push_str(&format!(" --bucket {bucket}"));
    }
    for (given, option) in [(args.kept, " --kept"), (args.local, " --local")] {
        if given {
            command.push_str(option);
        }
    }
    command.push_str(" --yes");
    command
}

fn warn_of_unreadable_journals(plan: &SweepPlan, terminal: &Terminal) {
    for (run, why) in &plan.unreadable {
        terminal.say(&format!(
            "{} the journal of {run} cannot be read, so that what it made is found by tag alone: {why}",
            terminal.err.paint(Role::Warning, "warning:")
        ));
    }
}

/// Says what happens on stderr, a line each, as a run does in a pipe.
struct Lines<'a>(&'a Terminal);

impl SweepWatch for Lines<'_> {
    fn progress(&self, progress: &SweepProgress<'_>) {
        let (run, role, text) = progress_line(progress);
        let time = SystemClock
            .now()
            .to_zoned(TimeZone::system())
            .strftime("%H:%M:%S");
        let palette = self.0.err;
        let prefix = palette.paint(Role::Dim, &format!("{time} {run} │"));
        let text = role.map_or_else(|| text.clone(), |role| palette.paint(role, &text));
        self.0.say(&format!("{prefix} {text}"));
    }
}

impl From<SweepError> for CommandError {
    fn from(error: SweepError) -> Self {
        match error {
            SweepError::Cloud(error) => error.into(),
            SweepError::Journals(_) => Self::failed(error.to_string()),
        }
    }
}
