//! This machine's journals, as far as a sweep is concerned with them.

use super::Sweep;
use crate::journal::{
    EffectEntry, EffectNumber, JournalError, JournalLock, JournalReader, RunDirectory,
};
use crate::names::RunId;
use cloud::{RegionName, Timestamp};

/// A journal of this machine that says that its run did not come to a clean end, or keeps something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalJournal {
    /// The run.
    pub run: RunId,
    /// The region it worked in; of several that are swept, the first.
    pub region: RegionName,
    /// Its pipeline.
    pub pipeline: String,
    /// When it began.
    pub started: Timestamp,
    /// How many effects in the swept regions may still stand and are neither part of the result nor kept.
    pub outstanding: usize,
    /// How many effects in the swept regions are kept for a person.
    pub kept: usize,
    /// Whether it was closed.
    pub closed: bool,
}

impl LocalJournal {
    /// Whether its run died, or could not clean up after itself.
    pub fn is_unsettled(&self) -> bool {
        !self.closed || self.outstanding > 0
    }
}

/// What this machine's journals say.
#[derive(Clone, Debug, Default)]
pub(super) struct Journals {
    /// Those of runs in the swept account and regions that are unsettled or keep something.
    pub(super) unsettled: Vec<LocalJournal>,
    /// Those that cannot be read, and why. Their runs' things are found by tag like those of another machine.
    pub(super) unreadable: Vec<(RunId, String)>,
}

pub(super) fn all(sweep: &Sweep) -> Result<Journals, JournalError> {
    let mut journals = Journals::default();
    for (run, directory) in RunDirectory::all(&sweep.state_dir)? {
        let state = match JournalReader::read(&directory) {
            Ok(state) => state,
            // A run that is about to begin has a folder before it has a journal.
            Err(_) if directory.lock_state() == JournalLock::Absent => continue,
            Err(error) => {
                journals.unreadable.push((run, error.to_string()));
                continue;
            }
        };
        let Some(opened) = state.opened() else {
            continue;
        };
        let ours = opened.account == sweep.account_id && opened.is_at(sweep.endpoint.as_deref());
        let swept = |region: &RegionName| sweep.regions.contains(region);
        let regions = state.regions();
        let Some(region) = regions.into_iter().find(|region| ours && swept(region)) else {
            continue;
        };
        let here = |(_, entry): &(EffectNumber, &EffectEntry)| swept(entry.effect.region());
        let journal = LocalJournal {
            run,
            region,
            pipeline: opened.pipeline.clone(),
            started: opened.at,
            outstanding: state.outstanding().iter().filter(|one| here(one)).count(),
            kept: state.kept().iter().filter(|one| here(one)).count(),
            closed: state.closed().is_some(),
        };
        if journal.is_unsettled() || journal.kept > 0 {
            journals.unsettled.push(journal);
        }
    }
    journals.unsettled.sort_by(|a, b| a.run.cmp(&b.run));
    journals.unreadable.sort();
    Ok(journals)
}
