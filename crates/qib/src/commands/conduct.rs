//! Doing a run, a new one or one that is gone on with.
//!
//! ```text
//!                     signal                      signal
//!   running ─────────────────────▶ cleaning up ───────────────▶ given up: what is left is named, exit 3 at once
//!      │ the engine's report            │ the engine's report
//!      └────────────────────────────────┴──▶ summary, exit code of the report
//! ```

use super::error::CommandError;
use super::pipeline_file::{PipelineFile, Target, load};
use super::place::Place;
use super::terminal::Terminal;
use crate::args::account::AccountArgs;
use crate::args::variables::VariableArgs;
use crate::edge::clock::SystemClock;
use crate::edge::environment::Environment;
use crate::edge::http::Web;
use crate::edge::local_commands::ThisHost;
use crate::edge::operator::TerminalOperator;
use crate::edge::signals::Signals;
use crate::render::screen::Screen;
use crate::render::summary::{closing_text, images_table};
use build::cancel::{Cancelled, Canceller, cancellation};
use build::event::{Event, Observer};
use build::host::Host;
use build::journal::{Invocation, JournalWatch};
use build::names::RunId;
use build::options::{Debugging, OnFailure, RunOptions};
use build::ports::Ports;
use build::report::{ExitCode, Report};
use cloud::Clock;
use pipeline::Loaded;
use std::path::PathBuf;
use std::sync::Arc;

/// What is asked for, by whichever command.
pub struct Asked {
    /// The pipeline's file.
    pub pipeline: PathBuf,
    /// Values for its variables.
    pub variables: VariableArgs,
    /// Where.
    pub account: AccountArgs,
    /// Stages whose cache is ignored.
    pub rebuild: Vec<String>,
    /// What happens to a failed stage's instance.
    pub on_failure: OnFailure,
    /// Help for debugging.
    pub debugging: Debugging,
    /// Whether the result is wanted as JSON.
    pub json: bool,
}

/// Whether a run begins, or goes on.
pub enum Start {
    /// A new one.
    New,
    /// This one, which died.
    Again(RunId),
}

/// Does it and gives the exit code.
///
/// # Errors
/// If the run could not begin.
pub async fn conduct(
    start: Start,
    asked: Asked,
    environment: &Environment,
    terminal: &Terminal,
) -> Result<u8, CommandError> {
    let loaded = load(
        &asked.pipeline,
        &asked.variables,
        Target::of(asked.account.local),
        &asked.rebuild,
        environment,
    )?;
    let region = loaded
        .pipeline
        .aws
        .region
        .as_ref()
        .map(|region| region.value.as_str());
    let place = Place::find(&asked.account, region, environment).await?;
    let limits = place.guest_limits;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let json: Option<Box<dyn std::io::Write + Send>> = if asked.json {
        Some(Box::new(std::io::stdout()))
    } else {
        None
    };
    let screen = Arc::new(Screen::new(
        terminal.progress(asked.json, clock.clone()),
        json,
    ));
    let options = RunOptions {
        on_failure: asked.on_failure,
        debugging: asked.debugging.clone(),
        invocation: invocation(&asked, &loaded)?,
        ..place.options(&asked.rebuild, environment)
    };
    let journal_watch = environment
        .crash_at
        .map(|point| Arc::new(point) as Arc<dyn JournalWatch>);
    let ports = Ports {
        account: place.account,
        clock: clock.clone(),
        guests: Arc::new(build::ssh_access::SshAccess::default()),
        caller_address: place.caller_address,
        host: Host {
            commands: Arc::new(ThisHost::new(environment.state_dir.join("scripts"))),
            http: Arc::new(Web),
            operator: TerminalOperator::present(screen.clone()),
            pipeline: Arc::new(PipelineFile {
                file: asked.pipeline.clone(),
                variables: asked.variables.clone(),
                target: Target::of(asked.account.local),
                environment: environment.clone(),
            }),
        },
        observer: screen.clone(),
        journal_watch,
    };
    let (canceller, cancellation) = cancellation();
    let signals = Signals::watch().map_err(|error| {
        CommandError::failed(format!("Ctrl-C and SIGTERM cannot be watched: {error}"))
    })?;

    let begun = clock.now();
    let id = match &start {
        Start::New => RunId::from_random(rand::random()),
        Start::Again(run) => run.clone(),
    };
    let watched = Watched {
        run: id.clone(),
        options: options.clone(),
        screen: screen.clone(),
    };
    let loaded = Arc::new(loaded);
    let report = match start {
        Start::New => {
            let engine = build::run::run(loaded, id, options, ports, cancellation);
            watched.until_its_end(engine, signals, &canceller).await
        }
        Start::Again(_) => {
            let engine = build::run::resume(loaded, id, options, ports, cancellation);
            watched.until_its_end(engine, signals, &canceller).await
        }
    };
    let took = cloud::clock::between(begun, clock.now());

    screen.text(&closing_text(&report, limits, took, terminal.err));
    if !asked.json {
        terminal.result_text(&images_table(&report.images))?;
    }
    match screen.result_error() {
        Some(error) if report.exit == ExitCode::Done => Err(CommandError::output(&error)),
        Some(error) => {
            terminal.say(&CommandError::output(&error).render(terminal.err));
            Ok(report.exit.code())
        }
        None => Ok(report.exit.code()),
    }
}

/// How the run was asked for, as its journal keeps it: without the values of secrets.
fn invocation(asked: &Asked, loaded: &Loaded) -> Result<Invocation, CommandError> {
    let folder = std::env::current_dir().map_err(|error| {
        CommandError::bad_input(format!("the current folder cannot be told: {error}"))
    })?;
    let is_secret = |name: &str| loaded.values.get(name).is_some_and(|value| value.is_secret);
    let (secret, plain): (Vec<_>, Vec<_>) = asked
        .variables
        .vars
        .iter()
        .cloned()
        .partition(|(name, _)| is_secret(name));
    Ok(Invocation {
        folder: folder.display().to_string(),
        local: asked.account.local,
        profile: asked.account.profile.clone(),
        vars_files: asked
            .variables
            .vars_files
            .iter()
            .map(|file| file.display().to_string())
            .collect(),
        used_profiles: asked.variables.profiles.clone(),
        vars: plain,
        secret_vars: secret.into_iter().map(|(name, _)| name).collect(),
        rebuild: asked.rebuild.clone(),
    })
}

/// A run that is watched for signals.
struct Watched {
    run: RunId,
    options: RunOptions,
    screen: Arc<Screen>,
}

impl Watched {
    async fn until_its_end(
        &self,
        engine: impl Future<Output = Report>,
        mut signals: Signals,
        canceller: &Canceller,
    ) -> Report {
        // Boxed so that it can be dropped, and with it the lock on the journal, before the journal is read.
        let mut engine = Box::pin(engine);
        let first = tokio::select! {
            report = &mut engine => return report,
            first = signals.next() => first,
        };
        canceller.cancel(first);
        self.screen.text(&format!(
            "{}: run {} stops and cleans up. Once more ends it at once, and leaves what it has made.",
            word(first),
            self.run
        ));
        tokio::select! {
            report = &mut engine => report,
            _ = signals.next() => {
                drop(engine);
                self.given_up(first)
            }
        }
    }

    /// The end of a run that stopped at once. A call that was under way cannot be taken back, but its record is in the
    /// journal already: what is left is known from there.
    fn given_up(&self, first: Cancelled) -> Report {
        let left_behind = build::run::left_now(
            &self.options.state_dir,
            &self.run,
            self.options.endpoint.as_deref(),
        );
        let exit = match first {
            _ if !left_behind.is_empty() => ExitCode::LeftBehind,
            Cancelled::Terminated => ExitCode::Terminated,
            Cancelled::Interrupted => ExitCode::Interrupted,
        };
        let report = Report {
            status: exit.status().as_str(),
            run: self.run.clone(),
            images: Vec::new(),
            skipped_preflight: Vec::new(),
            failures: Vec::new(),
            kept: Vec::new(),
            ways_in: Vec::new(),
            left_behind,
            steps: Vec::new(),
            exit,
        };
        self.screen.observe(&Event::Finished(report.clone()));
        report
    }
}

fn word(cancelled: Cancelled) -> &'static str {
    match cancelled {
        Cancelled::Interrupted => "Interrupted",
        Cancelled::Terminated => "Told to end",
    }
}
