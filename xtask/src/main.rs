//! `cargo xtask …`: what the project does with itself.
//!
//! ```text
//!   check   formatting, lints, licences and advisories, generated documentation
//!   test    check, then every test: of the crates, then end to end
//!   faults  the fault matrices, and their table
//!   docs    writes docs/reference.md and docs/pipeline.schema.json
//!   bench   the figures: a run's time and calls, validate's time and memory
//! ```
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an edge: it runs programs, reads the environment and the clock, and prints"
)]

mod bench;
mod bench_import;
mod check;
mod coldsnap;
mod command;
mod debian;
mod deny;
mod docs;
mod emulator;
mod faults;
mod python;
mod rusage;
mod test;
mod tree;
mod unprivileged;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// What the project does with itself: checks, tests, generated documentation, figures.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Formatting, lints, dependencies, documentation. Changes nothing.
    Check,
    /// Installs what the tests need, then runs `check` and every test.
    Test(test::Options),
    /// Crashes, faults, random schedules and queues, in a simulation and with the real binary; prints one table.
    Faults(faults::Options),
    /// Writes docs/reference.md and docs/pipeline.schema.json from the pipeline's types.
    Docs,
    /// Measures a one-stage run on the local EC2, and `qib validate`; `bench import` measures imports.
    Bench(bench::Options),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().task {
        Task::Check => check::check(),
        Task::Test(options) => test::test(&options),
        Task::Faults(options) => faults::faults(&options),
        Task::Docs => docs::write(),
        Task::Bench(options) => bench::bench(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("\nxtask: {failure}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Arguments;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_well_formed() {
        Arguments::command().debug_assert();
    }
}
