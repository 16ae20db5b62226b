//! `qib completions`.

use super::error::CommandError;
use super::terminal::Terminal;
use crate::args::Cli;
use crate::args::completions::CompletionsArgs;
use clap::CommandFactory;

/// Does it and gives the exit code.
///
/// # Errors
/// If stdout cannot be written.
pub fn completions(args: &CompletionsArgs, terminal: &Terminal) -> Result<u8, CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "qib", &mut script);
    terminal.result(|out| out.write_all(&script))?;
    Ok(0)
}
