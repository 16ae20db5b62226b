//! `qib import`: a pipeline of one stage, run as any other. So it has a journal, is gone on with after a crash, is swept, and
//! is found again instead of being done twice.

mod as_pipeline;
mod kept_file;
mod option_words;

use super::conduct::{self, Asked, Start};
use super::error::CommandError;
use super::pipeline_file::{Target, try_load};
use super::terminal::Terminal;
use crate::args::import::ImportArgs;
use crate::args::variables::VariableArgs;
use crate::edge::environment::Environment;
use build::options::{AfterFailure, Debugging, OnFailure};
use build::pause::{Pace, Pauses};
use build::report::ExitCode;
use build::selection::Choice;
use kept_file::KeptFile;

/// Does it and gives the exit code.
///
/// # Errors
/// If the import could not begin.
pub async fn import(
    args: ImportArgs,
    environment: &Environment,
    terminal: &Terminal,
) -> Result<u8, CommandError> {
    let text = as_pipeline::pipeline(&args)?;
    let file = KeptFile::write(&text, environment)?;
    let variables = VariableArgs::default();
    let target = Target::of(args.account.local);
    // What is wrong with the options must not be told as what is wrong with a file that nobody has written.
    if let Err(error) = try_load(&file.path, &variables, target, environment)? {
        file.forget_if_new()?;
        return Err(option_words::told(&error));
    }
    let asked = Asked {
        pipeline: file.path.clone(),
        variables,
        account: args.account,
        cells: Choice::default(),
        jobs: None,
        after_failure: AfterFailure::OthersGoOn,
        log_dir: None,
        pauses: Pauses {
            after: Vec::new(),
            pace: Pace::WhereAsked,
        },
        rebuild: Vec::new(),
        on_failure: OnFailure::CleanUp,
        debugging: Debugging::Off,
        json: args.json,
    };
    let conducted = conduct::conduct(Start::WhereItDied, asked, environment, terminal).await;
    match conducted {
        // What it left is told with the run, and swept; a person may want to see what it was.
        Ok(code) if code == ExitCode::LeftBehind.code() => {}
        Ok(code) if code != ExitCode::BadInput.code() => file.forget()?,
        Ok(_) | Err(_) => file.forget_if_new()?,
    }
    conducted
}
