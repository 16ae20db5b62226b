//! `qib completions`.

use clap::Args;
use clap_complete::Shell;

/// Prints a completion script for a shell.
#[derive(Args, Debug)]
pub struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    pub shell: Shell,
}
