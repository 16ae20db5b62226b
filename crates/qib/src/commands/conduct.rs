//! Doing a run, a new one or one that is gone on with.
//!
//! ```text
//!                     signal                      signal
//!   running ─────────────────────▶ cleaning up ───────────────▶ given up: what is left is named, exit 3 at once
//!      │ the engine's report            │ the engine's report
//!      └────────────────────────────────┴──▶ summary, exit code of the report
//! ```

use super::died;
use super::error::CommandError;
use super::pipeline_file::{PipelineFile, Target, choose, load};
use super::place::Place;
use super::terminal::Terminal;
use crate::args::account::AccountArgs;
use crate::args::variables::VariableArgs;
use crate::edge::clock::SystemClock;
use crate::edge::disk_images::CachedImages;
use crate::edge::environment::Environment;
use crate::edge::http::Web;
use crate::edge::local_commands::ThisHost;
use crate::edge::operator::TerminalOperator;
use crate::edge::signals::Signals;
use crate::render::logs::CellLogs;
use crate::render::screen::Screen;
use crate::render::summary::{Closing, cells_table, closing_text, images_table};
use build::cancel::{Cancelled, Canceller, cancellation};
use build::event::{Event, Observer};
use build::host::{Host, Operator};
use build::journal::{Invocation, JournalWatch, RunDirectory};
use build::names::{CellName, RunId};
use build::options::{AfterFailure, CellOptions, Debugging, OnFailure, RunOptions, USUAL_JOBS};
use build::pause::{Pace, Pauses};
use build::ports::Ports;
use build::report::{ExitCode, Report};
use build::selection::Choice;
use cloud::Clock;
use pipeline::Loaded;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is asked for, by whichever command.
pub struct Asked {
    /// The pipeline's file.
    pub pipeline: PathBuf,
    /// Values for its variables.
    pub variables: VariableArgs,
    /// Where.
    pub account: AccountArgs,
    /// Which cells.
    pub cells: Choice,
    /// How many at once, if that was said.
    pub jobs: Option<NonZeroUsize>,
    /// What one cell's failure means for the others.
    pub after_failure: AfterFailure,
    /// Where it is waited for a person.
    pub pauses: Pauses,
    /// Where the cells' logs go, if that was said.
    pub log_dir: Option<PathBuf>,
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
    /// The newest run of the same file that died here, in the same account and region; without one, a new one.
    WhereItDied,
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
    let loaded = Arc::new(loaded);
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
    let again = match start {
        Start::New => None,
        Start::Again(run) => Some(run),
        Start::WhereItDied => died::newest(&asked.pipeline, &place, environment).await,
    };
    let id = again
        .clone()
        .unwrap_or_else(|| RunId::from_random(rand::random()));
    let log_dir = log_dir(&asked, environment, &id)?;
    let cell_options = CellOptions {
        choice: asked.cells.clone(),
        jobs: match asked.pauses.pace {
            Pace::StepByStep => NonZeroUsize::MIN,
            Pace::WhereAsked => asked.jobs.unwrap_or(USUAL_JOBS),
        },
        after_failure: asked.after_failure,
        pauses: asked.pauses.clone(),
    };
    let options = RunOptions {
        cells: cell_options,
        on_failure: asked.on_failure,
        debugging: asked.debugging.clone(),
        invocation: invocation(&asked, &loaded, &log_dir)?,
        ..place.options(&asked.rebuild, environment)
    };
    let selection = choose(&loaded, &options)?;
    let order: Vec<CellName> = selection.cells.iter().map(|one| one.name.clone()).collect();
    if asked.pauses.any() {
        terminal.ask_at()?;
    }
    let forecast = terminal.forecast(&options, loaded.pipeline.name.as_str());
    let progress = terminal.progress(asked.json, clock.clone(), forecast);
    let logs = CellLogs::new(log_dir.clone(), clock.clone());
    let screen = Arc::new(Screen::new(progress, json).with_logs(logs));
    let (canceller, cancellation) = cancellation();
    let somebody = asked.pauses.any() || Terminal::has_somebody();
    let operator = somebody.then(|| {
        Arc::new(TerminalOperator::new(screen.clone(), canceller.clone())) as Arc<dyn Operator>
    });
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
            disk_images: Arc::new(CachedImages::new(environment.cache_dir.join("images"))),
            operator,
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
    let signals = Signals::watch().map_err(|error| {
        CommandError::failed(format!("Ctrl-C and SIGTERM cannot be watched: {error}"))
    })?;

    let begun = clock.now();
    let watched = Watched {
        run: id.clone(),
        options: options.clone(),
        screen: screen.clone(),
    };
    let report = match again {
        None => {
            let engine = build::run::run(loaded.clone(), id, options, ports, cancellation);
            watched.until_its_end(engine, signals, &canceller).await
        }
        Some(_) => {
            let engine = build::run::resume(loaded.clone(), id, options, ports, cancellation);
            watched.until_its_end(engine, signals, &canceller).await
        }
    };
    let took = cloud::clock::between(begun, clock.now());

    let closing = Closing {
        limits,
        took,
        logs: &log_dir,
    };
    screen.text(&closing_text(&report, &closing, terminal.err));
    if !asked.json {
        // Without a matrix a cell is as good as its stage.
        let many = loaded
            .pipeline
            .stages
            .iter()
            .any(|cell| cell.name.is_some());
        let table = if many {
            cells_table(&report, &order, terminal.out)
        } else {
            images_table(&report.images)
        };
        terminal.result_text(&table)?;
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

/// Where the cells' logs go. A folder that was asked for is made at once, so that a wrong one is found before anything is
/// built.
fn log_dir(asked: &Asked, environment: &Environment, run: &RunId) -> Result<PathBuf, CommandError> {
    let Some(folder) = &asked.log_dir else {
        let directory = RunDirectory::of(&environment.state_dir, run);
        return Ok(directory.path().join("logs"));
    };
    let wrong = |error: std::io::Error| {
        CommandError::bad_input(format!(
            "--log-dir {}: the folder cannot be used: {error}",
            folder.display()
        ))
    };
    std::fs::create_dir_all(folder).map_err(wrong)?;
    std::path::absolute(folder).map_err(wrong)
}

/// How the run was asked for, as its journal keeps it: without the values of secrets.
fn invocation(asked: &Asked, loaded: &Loaded, log_dir: &Path) -> Result<Invocation, CommandError> {
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
        only: asked.cells.only.iter().map(ToString::to_string).collect(),
        except: asked.cells.except.iter().map(ToString::to_string).collect(),
        jobs: asked.jobs,
        fail_fast: asked.after_failure == AfterFailure::NoneBegins,
        log_dir: Some(log_dir.display().to_string()),
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
            skipped: Vec::new(),
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
