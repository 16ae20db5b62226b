//! `qib images ls`.

use crate::args::images::ListArgs;
use crate::commands::error::CommandError;
use crate::commands::place::Place;
use crate::commands::terminal::Terminal;
use crate::edge::clock::SystemClock;
use crate::edge::environment::Environment;
use crate::render::images::images_table;
use crate::render::json::document;
use build::images::{ImageQuery, list};
use cloud::Clock;

pub(super) async fn ls(
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
