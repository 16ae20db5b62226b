//! `qib run`.
//!
//! ```text
//!                     signal                      signal
//!   running ─────────────────────▶ cleaning up ───────────────▶ given up: what is left is named, exit 3 at once
//!      │ the engine's report            │ the engine's report
//!      └────────────────────────────────┴──▶ summary, exit code of the report
//! ```

use super::error::CommandError;
use super::pipeline_file::{Target, load};
use super::place::Place;
use super::terminal::Terminal;
use crate::args::run::RunArgs;
use crate::edge::clock::SystemClock;
use crate::edge::environment::Environment;
use crate::edge::signals::Signals;
use crate::render::screen::Screen;
use crate::render::summary::{closing_text, images_table};
use build::cancel::{Cancelled, Canceller, cancellation};
use build::event::{Event, Observer};
use build::names::RunId;
use build::options::{Debugging, OnFailure, RunOptions};
use build::ports::Ports;
use build::report::{ExitCode, Report};
use cloud::Clock;
use std::sync::Arc;

/// Does it and gives the exit code.
///
/// # Errors
/// If the run could not begin.
pub async fn run(
    args: RunArgs,
    environment: &Environment,
    terminal: &Terminal,
) -> Result<u8, CommandError> {
    let loaded = load(
        &args.pipeline,
        &args.variables,
        Target::of(args.account.local),
        &args.rebuild,
        environment,
    )?;
    let region = loaded
        .pipeline
        .aws
        .region
        .as_ref()
        .map(|region| region.value.as_str());
    let place = Place::find(&args.account, region, environment).await?;
    let limits = place.guest_limits;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let json: Option<Box<dyn std::io::Write + Send>> = if args.json {
        Some(Box::new(std::io::stdout()))
    } else {
        None
    };
    let screen = Arc::new(Screen::new(
        terminal.progress(args.json, clock.clone()),
        json,
    ));
    let options = run_options(&args, &place, environment);
    let ports = Ports {
        account: place.account,
        clock: clock.clone(),
        guests: Arc::new(build::ssh_access::SshAccess::default()),
        caller_address: place.caller_address,
        observer: screen.clone(),
    };
    let id = RunId::from_random(rand::random());
    let (canceller, cancellation) = cancellation();
    let signals = Signals::watch().map_err(|error| {
        CommandError::failed(format!("Ctrl-C and SIGTERM cannot be watched: {error}"))
    })?;

    let begun = clock.now();
    let watched = Watched {
        run: id.clone(),
        options: options.clone(),
        screen: screen.clone(),
    };
    let engine = build::run::run(Arc::new(loaded), id, options, ports, cancellation);
    let report = watched.until_its_end(engine, signals, &canceller).await;
    let took = cloud::clock::between(begun, clock.now());

    screen.text(&closing_text(&report, limits, took, terminal.err));
    if !args.json {
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

fn run_options(args: &RunArgs, place: &Place, environment: &Environment) -> RunOptions {
    let debug = args.debug || !args.debug_from.is_empty();
    RunOptions {
        on_failure: if args.keep_on_failure {
            OnFailure::Keep
        } else {
            OnFailure::CleanUp
        },
        debugging: if debug {
            Debugging::On {
                from: args.debug_from.clone(),
            }
        } else {
            Debugging::Off
        },
        ..place.options(&args.rebuild, environment)
    }
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
            failures: Vec::new(),
            kept: Vec::new(),
            ways_in: Vec::new(),
            left_behind,
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
