//! `qib images`.

use super::error::CommandError;
use super::place::Place;
use super::terminal::Terminal;
use crate::args::images::{ImagesArgs, ImagesCommand, ListArgs};
use crate::edge::clock::SystemClock;
use crate::edge::environment::Environment;
use crate::render::images::images_table;
use crate::render::json::document;
use build::images::{ImageQuery, list};
use cloud::Clock;

/// Does it and gives the exit code.
///
/// # Errors
/// If the account cannot be asked.
pub async fn images(
    args: ImagesArgs,
    environment: &Environment,
    terminal: &Terminal,
) -> Result<u8, CommandError> {
    match args.command {
        ImagesCommand::Ls(args) => ls(args, environment, terminal).await,
    }
}

async fn ls(
    args: ListArgs,
    environment: &Environment,
    terminal: &Terminal,
) -> Result<u8, CommandError> {
    let place = Place::find(&args.account, None, environment).await?;
    let query = ImageQuery {
        stage: args.stage,
        tags: args.tags,
    };
    let images = list(place.account.region(&place.region).as_ref(), &query).await?;
    if args.json {
        terminal.result(|out| document(out, &images))?;
    } else if images.is_empty() {
        terminal.say(&format!("There is no such image in {}.", place.region));
    } else {
        terminal.result_text(&images_table(&images, SystemClock.now()))?;
    }
    Ok(0)
}
