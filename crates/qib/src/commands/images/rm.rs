//! `qib images rm`.

use super::{own_image, same_place};
use crate::args::images::RemoveArgs;
use crate::commands::error::CommandError;
use crate::commands::place::Place;
use crate::commands::terminal::Terminal;
use crate::edge::clock::SystemClock;
use crate::edge::environment::Environment;
use crate::render::removal::{RemovalRow, removal_text, resistance};
use build::images::{Fate, ImageFacts, facts_of, remove};
use build::report::ExitCode;
use cloud::Image;
use std::slice;

pub(super) async fn rm(
    args: RemoveArgs,
    environment: &Environment,
    terminal: &Terminal,
) -> Result<u8, CommandError> {
    let place = Place::find(&args.account, None, environment).await?;
    let mut images: Vec<Image> = Vec::new();
    for id in &args.images {
        if !images.iter().any(|image| image.image_id == *id) {
            images.push(own_image(&place, id).await?);
        }
    }
    let region = place.account.region(&place.region);
    let facts = facts_of(region.as_ref(), images).await?;
    let fate = |facts: &ImageFacts| match (facts.image.protected, facts.uses.first()) {
        (true, _) => Fate::Stays(String::from("it is protected from being deregistered")),
        (false, Some(using)) if !args.used => {
            Fate::Stays(format!("{using} uses it; --used removes it all the same"))
        }
        (false, _) => Fate::Goes(String::from("it is named")),
    };
    let mut rows: Vec<RemovalRow> = facts
        .iter()
        .map(|facts| RemovalRow::planned(region.as_ref(), &facts.image, &fate(facts)))
        .collect();
    let named = args
        .images
        .iter()
        .map(|id| format!(" {id}"))
        .collect::<String>();
    let used = if args.used { " --used" } else { "" };
    let profile = args.account.profile.as_deref();
    let place_again = same_place(slice::from_ref(&place.region), args.account.local, profile);
    let again = format!("qib images rm{named}{used}{place_again} --yes");
    if args.yes {
        let going = facts
            .iter()
            .filter(|facts| matches!(fate(facts), Fate::Goes(_)))
            .map(|facts| facts.image.clone())
            .collect();
        let removed = remove(region.as_ref(), &SystemClock, going).await?;
        RemovalRow::settle(&mut rows, &removed);
    }
    terminal.result(|out| removal_text(out, &rows, args.json))?;
    terminal.say(&resistance(
        &rows,
        args.yes,
        &again,
        place.endpoint.as_deref(),
    ));
    // What was asked for by its id and stays has not been done.
    let done = rows
        .iter()
        .all(|row| row.is_as_wanted() && !(args.yes && row.stays()));
    Ok(if done {
        ExitCode::Done
    } else {
        ExitCode::LeftBehind
    }
    .code())
}
