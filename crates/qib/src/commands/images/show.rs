//! `qib images show`.

use super::own_image;
use crate::args::images::ShowArgs;
use crate::commands::error::CommandError;
use crate::commands::place::Place;
use crate::commands::terminal::Terminal;
use crate::edge::clock::SystemClock;
use crate::edge::environment::Environment;
use crate::render::image_page::{ImagePage, image_page};
use crate::render::json::document;
use build::images::facts_of;
use cloud::Clock;

pub(super) async fn show(
    args: ShowArgs,
    environment: &Environment,
    terminal: &Terminal,
) -> Result<u8, CommandError> {
    let place = Place::find(&args.account, None, environment).await?;
    let image = own_image(&place, &args.image).await?;
    let region = place.account.region(&place.region);
    let ids = image.snapshots.iter().map(ToString::to_string).collect();
    let of_image = [(String::from("snapshot-id"), ids)];
    let snapshots = if image.snapshots.is_empty() {
        Vec::new()
    } else {
        region.snapshots(&of_image).await?
    };
    let facts = facts_of(region.as_ref(), vec![image]).await?;
    for facts in &facts {
        let page = ImagePage::new(region.as_ref(), facts, &snapshots);
        if args.json {
            terminal.result(|out| document(out, &page))?;
        } else {
            terminal.result_text(&image_page(&page, SystemClock.now()))?;
        }
    }
    Ok(0)
}
