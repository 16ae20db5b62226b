//! `qib local`.

use clap::{Args, Subcommand};

/// Starts, stops and shows the local EC2.
#[derive(Args, Debug)]
pub struct LocalArgs {
    /// What to do with it.
    #[command(subcommand)]
    pub command: LocalCommand,
}

/// What to do with the local EC2.
#[derive(Debug, Subcommand)]
pub enum LocalCommand {
    /// Starts it in the background, if it does not run. It stops by itself when it is idle and has no instance.
    Up,
    /// Stops it. Instances end; images, addresses and parameters are there again after the next start.
    Down,
    /// Says whether it runs, and how to reach it.
    Status {
        /// Prints one JSON object on stdout.
        #[arg(long)]
        json: bool,
    },
    /// Removes all that is in it: instances, images, snapshots, everything but its settings.
    Reset,
    /// Prints what points the AWS CLI and SDKs at it, starting it if need be: eval "$(qib local env)".
    Env,
}
