//! Runs of this machine that died and can be gone on with.

use super::place::Place;
use crate::edge::environment::Environment;
use build::journal::{JournalLock, JournalReader, Opened, RunDirectory};
use build::names::RunId;
use std::path::Path;

/// The newest run of `file` that died, in this place, its region and its account. None where that cannot be told: a new run
/// then says why, and removes or leaves what others left as any run does.
pub(super) async fn newest(file: &Path, place: &Place, environment: &Environment) -> Option<RunId> {
    let runs = RunDirectory::all(&environment.state_dir).ok()?;
    let mut dead: Vec<Opened> = runs
        .into_iter()
        .filter(|(_, directory)| directory.lock_state() == JournalLock::Free)
        .filter_map(|(_, directory)| {
            let state = JournalReader::read(&directory).ok()?;
            let opened = state.opened().filter(|_| state.closed().is_none())?;
            Some(opened.clone())
        })
        .filter(|opened| {
            Path::new(&opened.file) == file
                && opened.region == place.region.as_str()
                && opened.is_at(place.endpoint.as_deref())
        })
        .collect();
    if dead.is_empty() {
        return None;
    }
    let caller = place.account.caller_identity().await.ok()?;
    dead.retain(|opened| opened.account == caller.account.as_str());
    dead.sort_by_key(|opened| opened.at);
    dead.pop().map(|opened| opened.run)
}
