//! `qib`: the command line, what is printed, and the exit code. What a test would want elsewhere is elsewhere.
//!
//! ```text
//!   main ─▶ args ─▶ commands (one file each) ─▶ build, aws, emulator
//!                        │                         │ events, report
//!                        └─▶ edge (the machine)    └─▶ render ─▶ stdout, stderr
//! ```
#![allow(
    clippy::disallowed_methods,
    reason = "an edge: it hands clock, environment and sleep to the crates that must not have them"
)]

mod args;
mod commands;
mod edge;
mod log;
mod render;

use args::Cli;
use clap::Parser;
use commands::error::CommandError;
use commands::terminal::Terminal;
use edge::environment::Environment;
use std::process::ExitCode;

fn main() -> ExitCode {
    // The same file is the local EC2's daemon and its guests' first process; both need a process without threads.
    emulator::guest::run_if_guest_process();
    emulator::daemon::run_if_daemon_process();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help goes to stdout, mistakes go to stderr; a stream that is closed hears neither.
            drop(error.print());
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    log::start(cli.verbose);
    let no_color = std::env::var("NO_COLOR").ok();
    let terminal = Terminal::new(cli.color, no_color.as_deref(), cli.verbose);
    match start(cli, &terminal) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            terminal.say(&error.render(terminal.err));
            ExitCode::from(error.exit.code())
        }
    }
}

fn start(cli: Cli, terminal: &Terminal) -> Result<u8, CommandError> {
    let environment = Environment::read()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            CommandError::failed(format!(
                "the asynchronous runtime cannot be started: {error}"
            ))
        })?;
    let outcome = runtime.block_on(commands::execute(cli, &environment, terminal));
    // A run that was given up may still hold a thread; nothing waits for it.
    runtime.shutdown_background();
    outcome
}
