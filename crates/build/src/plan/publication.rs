//! What would become of the images: what has their names, and what the parameters hold that would name them.

use super::cache::CacheState;
use super::names::Taken;
use super::row::PlanRow;
use super::survey::{Seen, Surveyed};
use crate::publication::Place;
use crate::spec::OnConflict;
use crate::steps::before_launch::REPLACING;
use crate::steps::parameters_of;
use cloud::{Account, RegionName};
use futures::future::join_all;

/// What a person should know about a name that is taken.
pub(super) fn warning(taken: &Taken, on_conflict: OnConflict) -> String {
    let (name, region) = (&taken.target.name, &taken.target.region);
    let by = &taken.by.image_id;
    match on_conflict {
        OnConflict::Fail => format!("the name `{name}` is taken in {region} by {by}"),
        OnConflict::Skip => {
            format!("{by} has the name `{name}` in {region} and stays (`on_conflict: skip`)")
        }
        OnConflict::Replace(_) => {
            format!("{by} has the name `{name}` in {region}; {REPLACING}")
        }
    }
}

/// Says in each row what the parameters hold now, and would hold then. A region that cannot be asked is left out: its
/// cells fail by themselves.
pub(super) async fn parameters(account: &dyn Account, surveyed: &[Surveyed], rows: &mut [PlanRow]) {
    let looks = surveyed.iter().map(|seen| async move {
        match seen {
            Ok(seen) => changes(account, seen).await,
            Err(_) => Vec::new(),
        }
    });
    for (row, changes) in rows.iter_mut().zip(join_all(looks).await) {
        row.parameter_changes = changes;
    }
}

async fn changes(account: &dyn Account, seen: &Seen) -> Vec<String> {
    let (region, image) = seen.work.publishes();
    let home = (region, Place::Home);
    let away = image.copies.iter();
    let places: Vec<(&RegionName, Place)> = std::iter::once(home)
        .chain(away.map(|copy| (&copy.region, Place::Away)))
        .collect();
    let mut changes = Vec::new();
    for (region, place) in places {
        let there = account.region(region);
        for parameter in parameters_of(&image.parameters, place) {
            let Ok(held) = there.parameter(&parameter.name).await else {
                continue;
            };
            let now = held.map_or_else(|| String::from("(none)"), |held| held.value);
            let then = match (&seen.cache, place) {
                (Some(CacheState::Hit(image)), Place::Home) => image.image_id.to_string(),
                (_, Place::Home) => String::from("(new image)"),
                (_, Place::Away) => String::from("(copy)"),
            };
            if now != then {
                changes.push(format!("{region} {}: {now} → {then}", parameter.name));
            }
        }
    }
    changes
}
