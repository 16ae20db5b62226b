//! Files of the build host that `preflight` makes, as a plan sees them.

use crate::options::Venue;
use pipeline::model::{Cell, Pipeline, Presence};
use std::collections::BTreeSet;

/// Why it cannot be told yet whether the cell's image is there: `preflight` makes files of it, and they are not there.
pub(super) fn to_be_made(stage: &Cell, venue: Venue) -> Option<String> {
    let files: BTreeSet<&str> = stage
        .files(venue == Venue::Rehearsal)
        .into_iter()
        .filter(|file| file.presence == Presence::ToBeMade)
        .map(|file| file.written.as_str())
        .collect();
    let files = Vec::from_iter(files).join(", ");
    (!files.is_empty())
        .then(|| format!("{files} (made by preflight) is not there yet, and decides what is built"))
}

/// The files of the cell that `preflight` makes anew, and that are there from before.
pub(super) fn made_anew(pipeline: &Pipeline, stage: &Cell, venue: Venue) -> Option<String> {
    let files: BTreeSet<&str> = stage
        .files(venue == Venue::Rehearsal)
        .into_iter()
        .filter(|file| file.presence == Presence::There)
        .filter(|file| pipeline.is_made_by_preflight(file.path()))
        .map(|file| file.written.as_str())
        .collect();
    let files = Vec::from_iter(files).join(", ");
    (!files.is_empty()).then(|| {
        format!("{files} (made by preflight) counts as it is now; a run makes it anew first")
    })
}
