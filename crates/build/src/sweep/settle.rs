//! This machine's journals of swept runs: held while the sweep works, and brought up to date when it is done.

use super::Sweep;
use super::remove::Things;
use super::rule::{Finding, Thing};
use crate::effects::Effects;
use crate::journal::{
    Effect, EffectEntry, EffectNumber, Journal, JournalState, Outcome, Record, RunDirectory,
    RunStatus,
};
use crate::names::{CellName, RunId};
use crate::report::LeftResource;
use crate::{undo, way_in};
use cloud::{ImageId, RegionName};
use futures::future::join_all;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::sync::Arc;

/// The journals that the sweep holds, so that nobody takes up a run that is being swept.
#[derive(Default)]
pub(super) struct Held(BTreeMap<RunId, Hold>);

enum Hold {
    Journal(Arc<Journal>),
    /// It cannot be read; held nevertheless, for as long as the file is open.
    Unreadable(
        #[allow(dead_code, reason = "the open file is the lock")] File,
        String,
    ),
}

impl Held {
    /// Takes what it gets of the journals of `runs`. What another process holds is that process's: its run lives.
    pub(super) fn take(sweep: &Sweep, runs: &BTreeSet<RunId>) -> Self {
        let hold = |run: &RunId| {
            let directory = RunDirectory::of(&sweep.state_dir, run);
            let hold = match Journal::reopen(&directory, run, None) {
                Ok(journal) => Hold::Journal(Arc::new(journal)),
                Err(error) => Hold::Unreadable(directory.hold()?, error.to_string()),
            };
            Some((run.clone(), hold))
        };
        Self(runs.iter().filter_map(hold).collect())
    }

    /// Whether the journal of `run` can be read and is held.
    pub(super) fn reads(&self, run: &RunId) -> bool {
        matches!(self.0.get(run), Some(Hold::Journal(_)))
    }

    /// Whether the sweep holds the journal of `run`.
    pub(super) fn has(&self, run: &RunId) -> bool {
        self.0.contains_key(run)
    }
}

/// What became of a journal.
#[derive(Debug)]
pub(super) struct Settled {
    /// How many effects of the run still stand because the sweep could not remove what they made.
    pub(super) resisted: usize,
    /// What only the journal knew of, and could not be removed.
    pub(super) left: Vec<LeftResource>,
    /// Other regions, which are not swept, where something of the run may be.
    pub(super) elsewhere: BTreeSet<RegionName>,
}

impl Settled {
    /// Whether nothing of the run is there any more but what is kept or part of its result.
    pub(super) fn is_clean(&self) -> bool {
        self.resisted == 0 && self.left.is_empty()
    }
}

/// What the sweep knows of the things that journals name.
pub(super) struct Fates {
    /// Removed.
    pub(super) gone: Things,
    /// Tried, and still there.
    pub(super) resisted: Things,
    /// Images that stay as parts of a result although their run could not finish them.
    pub(super) delivered: Vec<Finding>,
    /// Cells of which something is kept for a person.
    pub(super) kept_cells: BTreeSet<(RunId, CellName)>,
}

/// Brings the journal of `run` up to date: what the sweep removed is noted, what else may still be there in the swept
/// regions is looked up and removed, and a run that died and has nothing elsewhere is closed as swept. Errs if the journal cannot be read or written.
///
/// A sweep finds by tag what shows. The journal knows also of calls that were begun a moment before the process died,
/// and what they make may show only after a while.
pub(super) async fn settle(
    sweep: &Sweep,
    run: &RunId,
    held: &Held,
    fates: &Fates,
) -> Result<Settled, String> {
    let journal = match held.0.get(run) {
        Some(Hold::Journal(journal)) => journal,
        Some(Hold::Unreadable(_, why)) => return Err(why.clone()),
        None => return Err(String::from("another process has taken its journal")),
    };
    let effects = Effects::new(
        run.clone(),
        journal.clone(),
        sweep.clock.clone(),
        sweep.account.clone(),
        sweep.endpoint.clone(),
    );
    let state = journal.state();
    let cell_of = |entry: &EffectEntry| (run.clone(), entry.cell.clone());
    let stays = |entry: &EffectEntry| fates.kept_cells.contains(&cell_of(entry));
    let swept = |entry: &EffectEntry| sweep.regions.contains(entry.effect.region());
    let all = state.outstanding().into_iter().chain(state.kept());
    let elsewhere = all.filter(|(_, entry)| !swept(entry));
    let elsewhere = elsewhere.map(|(_, entry)| entry.effect.region().clone());
    let elsewhere: BTreeSet<RegionName> = elsewhere.collect();
    let kept = state.kept().into_iter().filter(|(_, entry)| swept(entry));
    let (kept, going): (Vec<_>, Vec<_>) = kept.partition(|(_, entry)| stays(entry));
    let mut settled = Settled {
        resisted: 0,
        left: Vec::new(),
        elsewhere,
    };
    let mut open: Vec<(EffectNumber, &EffectEntry)> = Vec::new();
    let outstanding = state.outstanding().into_iter();
    let outstanding = outstanding.filter(|(_, entry)| swept(entry));
    for (number, entry) in outstanding.chain(going) {
        let note = |record| journal.append(&record).map_err(|error| error.to_string());
        if is_among(entry, &fates.resisted) {
            // It was tried for long enough just now.
            settled.resisted += 1;
        } else if is_among(entry, &fates.gone) {
            note(Record::Undone { number })?;
        } else if let Some(id) = image_among(entry, &fates.delivered) {
            if entry.state.outcome().is_none() {
                let outcome = Outcome::Image { id };
                note(Record::Succeeded { number, outcome })?;
            }
            note(Record::Delivered { number })?;
        } else {
            open.push((number, entry));
        }
    }
    // Each may have to be looked for a while; none depends on another but by EC2's own rules, which are waited for.
    let tried = join_all(open.iter().map(|(number, _)| effects.unmake(*number))).await;
    for ((_, entry), result) in open.iter().zip(tried) {
        if let Err(error) = result {
            settled.left.push(undo::left_resource(
                &entry.effect,
                &entry.state,
                error.to_string(),
                sweep.endpoint.as_deref(),
            ));
        }
    }
    if let Some(why) = effects.unwritten() {
        return Err(why);
    }
    if !settled.elsewhere.is_empty() {
        if settled.is_clean() {
            forget_ways_in(sweep, run, &state, &kept)?;
        }
        return Ok(settled);
    }
    if settled.is_clean() && matches!(state.closed(), None | Some(RunStatus::LeftBehind)) {
        journal
            .close(RunStatus::Swept, sweep.clock.now())
            .map_err(|error| error.to_string())?;
    }
    if settled.is_clean() && kept.is_empty() {
        let directory = RunDirectory::of(&sweep.state_dir, run);
        way_in::forget_run(&directory).map_err(|error| error.to_string())?;
    }
    Ok(settled)
}

/// Removes the ways into instances of the swept regions, of a run that has something in others: but for what is kept.
fn forget_ways_in(
    sweep: &Sweep,
    run: &RunId,
    state: &JournalState,
    kept: &[(EffectNumber, &EffectEntry)],
) -> Result<(), String> {
    let directory = RunDirectory::of(&sweep.state_dir, run);
    let swept = |cell: &CellName| {
        let mut own = state.effects().filter(|(_, entry)| entry.cell == *cell);
        own.all(|(_, entry)| sweep.regions.contains(entry.effect.region()))
    };
    let cells: BTreeSet<(&str, &str)> = state
        .effects()
        .map(|(_, entry)| &entry.cell)
        .filter(|cell| swept(cell) && !kept.iter().any(|(_, entry)| entry.cell == **cell))
        .map(|cell| (cell.stage.as_str(), cell.cell.as_str()))
        .collect();
    for (stage, cell) in cells {
        let folder = directory.path().join(stage).join(cell);
        way_in::forget(&folder).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// The image that the effect made, if it is among `findings`: by its id or its name.
fn image_among(entry: &EffectEntry, findings: &[Finding]) -> Option<ImageId> {
    let made = |finding: &Finding, image: &ImageId| match (&entry.effect, entry.state.outcome()) {
        (_, Some(Outcome::Image { id })) => id == image,
        (
            Effect::CreateImage { name, .. }
            | Effect::RegisterImage { name, .. }
            | Effect::CopyImage { name, .. },
            None,
        ) => *name == finding.name,
        _ => false,
    };
    findings
        .iter()
        .filter(|finding| finding.region == *entry.effect.region())
        .find_map(|finding| match &finding.thing {
            Thing::Image(image) if made(finding, image) => Some(image.clone()),
            _ => None,
        })
}

/// Whether what the effect made is among `things`: by its id, or where the journal does not know that, by the name that
/// the run gave it.
fn is_among(entry: &EffectEntry, things: &Things) -> bool {
    let thing = match (&entry.effect, entry.state.outcome()) {
        (Effect::ClaimLease { name, .. }, _) => {
            return things.has(&Thing::Ticket(name.clone()))
                || things.has(&Thing::RunLease(name.clone()));
        }
        (_, Some(Outcome::Instance { id })) => Thing::Instance(id.clone()),
        (_, Some(Outcome::Image { id })) => Thing::Image(id.clone()),
        (Effect::StartSnapshot { .. }, Some(Outcome::Snapshot { id })) => {
            Thing::Snapshot(id.clone())
        }
        (_, Some(Outcome::KeyPair { id })) => Thing::KeyPair(id.clone()),
        (_, Some(Outcome::SecurityGroup { id })) => Thing::SecurityGroup(id.clone()),
        (
            Effect::CreateImage { name, .. }
            | Effect::RegisterImage { name, .. }
            | Effect::RegisterSnapshot { name, .. }
            | Effect::CopyImage { name, .. },
            None,
        ) => return things.has_named("image", name),
        (Effect::CreateRole { name, .. }, _) => Thing::Role(name.clone()),
        (Effect::CreateInstanceProfile { name, .. }, _) => Thing::InstanceProfile(name.clone()),
        (Effect::ImportKeyPair { name, .. }, None) => return things.has_named("key-pair", name),
        (Effect::CreateSecurityGroup { name, .. }, None) => {
            return things.has_named("security-group", name);
        }
        _ => return false,
    };
    things.has(&thing)
}
