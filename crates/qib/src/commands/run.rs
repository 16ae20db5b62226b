//! `qib run`.

use super::conduct::{self, Asked, Start};
use super::error::CommandError;
use super::terminal::Terminal;
use crate::args::run::RunArgs;
use crate::edge::environment::Environment;
use build::options::{AfterFailure, Debugging, OnFailure};
use build::pause::{Pace, Pauses};
use build::selection::Choice;

/// Does it and gives the exit code.
///
/// # Errors
/// If the run could not begin.
pub async fn run(
    args: RunArgs,
    environment: &Environment,
    terminal: &Terminal,
) -> Result<u8, CommandError> {
    let debug = args.debug || !args.debug_from.is_empty();
    let asked = Asked {
        pipeline: args.pipeline,
        variables: args.variables,
        account: args.account,
        cells: Choice {
            only: args.cells.only,
            except: args.cells.except,
        },
        jobs: args.jobs,
        after_failure: if args.fail_fast {
            AfterFailure::NoneBegins
        } else {
            AfterFailure::OthersGoOn
        },
        log_dir: args.log_dir,
        pauses: Pauses {
            after: args.pause_after,
            pace: if args.step {
                Pace::StepByStep
            } else {
                Pace::WhereAsked
            },
        },
        rebuild: args.rebuild,
        on_failure: if args.keep_on_failure {
            OnFailure::Keep
        } else {
            OnFailure::CleanUp
        },
        debugging: if debug {
            Debugging::On {
                from: args.debug_from,
            }
        } else {
            Debugging::Off
        },
        json: args.json,
    };
    conduct::conduct(Start::New, asked, environment, terminal).await
}
