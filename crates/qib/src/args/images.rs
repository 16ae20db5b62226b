//! `qib images`.

use super::account::AccountArgs;
use super::variables::assignment;
use clap::{Args, Subcommand};

/// Works with the images that qib made.
#[derive(Args, Debug)]
pub struct ImagesArgs {
    /// What to do with them.
    #[command(subcommand)]
    pub command: ImagesCommand,
}

/// What to do with the images.
#[derive(Debug, Subcommand)]
pub enum ImagesCommand {
    Ls(ListArgs),
}

/// Lists the account's own images that carry qib's tags, newest first.
#[derive(Args, Debug)]
pub struct ListArgs {
    /// Only those of this stage.
    #[arg(long, value_name = "STAGE")]
    pub stage: Option<String>,
    /// Only those with this tag. Can be given several times: all must be there.
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = assignment)]
    pub tags: Vec<(String, String)>,
    #[command(flatten)]
    pub account: AccountArgs,
    /// Prints one JSON array on stdout.
    #[arg(long)]
    pub json: bool,
}
