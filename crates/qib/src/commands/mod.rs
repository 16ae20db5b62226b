//! One file for each command. A command gets what it needs and gives an exit code or an error; the printing and the
//! machine are at the edges.

pub mod completions;
pub mod conduct;
mod died;
pub mod error;
pub mod export;
pub mod iam_policy;
pub mod images;
pub mod import;
pub mod local;
pub mod pipeline_file;
pub mod place;
pub mod plan;
pub mod preflight;
pub mod resume;
pub mod run;
pub mod runs;
pub mod ssh;
pub mod sweep;
pub mod terminal;
pub mod validate;

use crate::args::{Cli, Command};
use crate::edge::environment::Environment;
use error::CommandError;
use terminal::Terminal;

/// Does what the command line says and gives the exit code.
///
/// # Errors
/// Whatever keeps the command from being done.
pub async fn execute(
    cli: Cli,
    environment: &Environment,
    terminal: &Terminal,
) -> Result<u8, CommandError> {
    match cli.command {
        Command::Run(args) => run::run(args, environment, terminal).await,
        Command::Plan(args) => plan::plan(args, environment, terminal).await,
        Command::Preflight(args) => preflight::preflight(args, environment, terminal).await,
        Command::IamPolicy(args) => iam_policy::iam_policy(args, environment, terminal),
        Command::Validate(args) => validate::validate(&args, environment, terminal),
        Command::Import(args) => import::import(*args, environment, terminal).await,
        Command::Export(args) => export::export(args, environment, terminal).await,
        Command::Images(args) => images::images(args, environment, terminal).await,
        Command::Runs(args) => runs::runs(args, environment, terminal).await,
        Command::Sweep(args) => sweep::sweep(&args, environment, terminal).await,
        Command::Ssh(args) => ssh::ssh(&args, environment),
        Command::Local(args) => local::local(&args, environment, terminal),
        Command::Completions(args) => completions::completions(&args, terminal),
    }
}
