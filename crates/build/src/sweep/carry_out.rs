//! Carrying out a plan: what may still go goes, and what shows meanwhile goes as well.

use super::remove::{Handled, Remover, Things};
use super::rule::{Finding, Judged, Standing, Thing, Verdict};
use super::settle::{Fates, Held, settle};
use super::{Sweep, SweepError, SweepPlan, look_holding};
use crate::journal::{JournalLock, RunDirectory};
use crate::names::{CellName, RunId};
use crate::report::LeftResource;
use crate::way_in;
use cloud::RegionName;
use std::collections::{BTreeMap, BTreeSet};

/// What a sweep tells of its work, as it happens.
#[derive(Clone, Debug)]
pub enum SweepProgress<'a> {
    /// It is being removed.
    Removing(&'a Finding),
    /// It is gone.
    Removed(&'a Finding),
    /// It is still there.
    NotRemoved(&'a Finding, &'a str),
    /// The run has come to life since the plan was made, so that its things stay.
    Spared(&'a RunId, &'a str),
}

/// Watches a sweep.
pub trait SweepWatch: Send + Sync {
    /// Is told of what happens; must not block for long.
    fn progress(&self, progress: &SweepProgress<'_>);
}

/// What became of a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It stays.
    Kept {
        /// Why.
        reason: String,
    },
    /// It is gone.
    Removed {
        /// Why it was removed.
        reason: String,
    },
    /// It is still there.
    Failed {
        /// Why.
        reason: String,
    },
}

/// What a sweep came to.
#[derive(Debug, Default)]
pub struct Carried {
    /// Everything that was judged, and what became of it.
    pub outcomes: Vec<(Finding, Standing, Outcome)>,
    /// What journals say may still be there and could not be removed, by run.
    pub unsettled: Vec<(RunId, LeftResource)>,
    /// Why it is not known whether something new showed meanwhile, if so.
    pub not_looked_again: Option<SweepError>,
}

impl Carried {
    /// Whether everything that was to go is gone, as far as can be told.
    pub fn is_complete(&self) -> bool {
        let failed = |outcome: &Outcome| matches!(outcome, Outcome::Failed { .. });
        self.unsettled.is_empty()
            && self.not_looked_again.is_none()
            && !self.outcomes.iter().any(|(_, _, outcome)| failed(outcome))
    }

    /// What is still there although it was to go.
    pub fn left(&self, endpoint: Option<&str>) -> Vec<LeftResource> {
        let failed = self
            .outcomes
            .iter()
            .filter_map(|(finding, _, outcome)| match outcome {
                Outcome::Failed { reason } => {
                    Some(super::lines::left(finding, reason.clone(), endpoint))
                }
                Outcome::Kept { .. } | Outcome::Removed { .. } => None,
            });
        let unsettled = self.unsettled.iter().map(|(_, left)| left.clone());
        failed.chain(unsettled).collect()
    }
}

/// Removes what `plan` lets go and still may go. Changes nothing of runs that the plan does not let go.
///
/// # Errors
/// If it cannot be looked once more before anything is removed; then nothing was.
pub async fn carry_out(
    sweep: &Sweep,
    plan: SweepPlan,
    watch: &dyn SweepWatch,
) -> Result<Carried, SweepError> {
    let runs: BTreeSet<RunId> = plan
        .removals()
        .map(|finding| finding.origin.run.clone())
        .collect();
    let held = Held::take(sweep, &runs);
    // Time may have passed since the plan was made and shown.
    let mut now = look_holding(sweep, &held).await?;
    let spared = spared(&runs, &now);
    for (run, reason) in &spared {
        watch.progress(&SweepProgress::Spared(run, reason));
    }
    let mut seen = Seen::default();
    seen.take_in(plan);
    seen.take_in(now.clone());
    let remover = Remover::new(sweep, watch);
    let goes = |finding: &&Finding| runs.contains(&finding.origin.run);
    let mut not_looked_again = None;
    // A call of the dead process may still have been under way: what it makes shows later.
    loop {
        let new: Vec<Finding> = now
            .removals()
            .filter(goes)
            .filter(|finding| !comes_last(&finding.thing) && remover.handled(finding).is_none())
            .cloned()
            .collect();
        if new.is_empty() {
            break;
        }
        remover.remove_all(new).await;
        match look_holding(sweep, &held).await {
            Ok(look) => {
                seen.take_in(look.clone());
                now = look;
            }
            Err(error) => {
                not_looked_again = Some(error);
                break;
            }
        }
    }
    let mut unsettled = Vec::new();
    if not_looked_again.is_none() {
        let unnamed = now.judged.iter();
        let unnamed = unnamed.filter(|one| one.standing == Standing::Unnamed);
        let mut fates = Fates {
            gone: Things::default(),
            resisted: Things::default(),
            delivered: unnamed.map(|one| one.finding.clone()).collect(),
            kept_cells: kept_cells(&now),
        };
        for finding in now.removals().filter(goes) {
            if let Thing::Journal(run) = &finding.thing {
                fates.gone = remover.all(|handled| *handled == Handled::Gone);
                fates.resisted = remover.all(|handled| matches!(handled, Handled::Resisted(_)));
                let settled = settle(sweep, run, &held, &fates).await;
                let how = match &settled {
                    Ok(settled) if !settled.elsewhere.is_empty() && settled.is_clean() => {
                        Handled::Stays(elsewhere(&settled.elsewhere))
                    }
                    Ok(settled) if settled.is_clean() => Handled::Gone,
                    Ok(_) => Handled::Resisted(String::from("the run still has what it names")),
                    Err(error) => Handled::Resisted(error.clone()),
                };
                remover.note(finding, how);
                let left = settled.into_iter().flat_map(|settled| settled.left);
                unsettled.extend(left.map(|one| (run.clone(), one)));
            }
        }
        unsettled.extend(forget_keys(
            sweep,
            &runs,
            &held,
            &fates.kept_cells,
            &remover,
        ));
        let leases = now.removals().filter(goes);
        let leases = leases.filter(|finding| matches!(finding.thing, Thing::RunLease(_)));
        remover.remove_all(leases.cloned().collect()).await;
    }
    Ok(Carried {
        outcomes: seen.outcomes(&remover),
        unsettled,
        not_looked_again,
    })
}

/// Why a journal stays of whose run something may be in regions that are not swept.
fn elsewhere(regions: &BTreeSet<RegionName>) -> String {
    let options: Vec<String> = regions
        .iter()
        .map(|region| format!("--region {region}"))
        .collect();
    format!(
        "the run may have something in other regions as well: sweep with {}",
        options.join(" ")
    )
}

/// Removes the keys of swept runs whose journal is gone or cannot be read: nobody else will.
fn forget_keys(
    sweep: &Sweep,
    runs: &BTreeSet<RunId>,
    held: &Held,
    kept_cells: &BTreeSet<(RunId, CellName)>,
    remover: &Remover<'_>,
) -> Vec<(RunId, LeftResource)> {
    let resisted = remover.all(|handled| matches!(handled, Handled::Resisted(_)));
    let mut left = Vec::new();
    for run in runs {
        let directory = RunDirectory::of(&sweep.state_dir, run);
        let is_kept = kept_cells.iter().any(|(other, _)| other == run);
        let nobodys = held.has(run) || directory.lock_state() == JournalLock::Absent;
        if held.reads(run)
            || is_kept
            || !nobodys
            || !resisted.is_empty()
            || !directory.path().is_dir()
        {
            continue;
        }
        if let Err(error) = way_in::forget_run(&directory) {
            let path = directory.path().display().to_string();
            let resource = LeftResource {
                kind: String::from("key-file"),
                id: path.clone(),
                region: String::new(),
                remove_with: format!("rm -r {path}"),
                reason: error.to_string(),
            };
            left.push((run.clone(), resource));
        }
    }
    left
}

/// Whether it goes only when all else of its run is gone.
fn comes_last(thing: &Thing) -> bool {
    matches!(thing, Thing::RunLease(_) | Thing::Journal(_))
}

/// Runs that were to be swept and of which nothing goes any more, with the reason.
fn spared(runs: &BTreeSet<RunId>, now: &SweepPlan) -> BTreeMap<RunId, String> {
    let mut spared = BTreeMap::new();
    for one in &now.judged {
        let run = &one.finding.origin.run;
        let goes = |other: &Finding| other.origin.run == *run;
        if let (Standing::Aid, Verdict::Keep { reason }) = (one.standing, &one.verdict)
            && runs.contains(run)
            && !now.removals().any(goes)
        {
            spared.entry(run.clone()).or_insert_with(|| reason.clone());
        }
    }
    spared
}

/// Cells in which something stays for a person.
fn kept_cells(plan: &SweepPlan) -> BTreeSet<(RunId, CellName)> {
    let kept = plan
        .judged
        .iter()
        .filter(|one| one.standing == Standing::Kept);
    kept.filter_map(|one| {
        let origin = &one.finding.origin;
        Some((origin.run.clone(), origin.cell.clone()?))
    })
    .collect()
}

/// Everything that was seen, in the order of the plan, with what was last said of it.
#[derive(Default)]
struct Seen {
    latest: BTreeMap<Key, Judged>,
    /// What the last look showed.
    showing: BTreeSet<Key>,
}

type Key = (RunId, RegionName, Thing);

impl Seen {
    fn take_in(&mut self, plan: SweepPlan) {
        self.showing.clear();
        for one in plan.judged {
            let finding = &one.finding;
            let key = (
                finding.origin.run.clone(),
                finding.region.clone(),
                finding.thing.clone(),
            );
            self.showing.insert(key.clone());
            self.latest.insert(key, one);
        }
    }

    fn outcomes(self, remover: &Remover<'_>) -> Vec<(Finding, Standing, Outcome)> {
        let showing = self.showing;
        self.latest
            .into_iter()
            .map(|(key, one)| {
                let outcome = match (remover.handled(&one.finding), one.verdict) {
                    (
                        Some(Handled::Gone),
                        Verdict::Remove { reason } | Verdict::Keep { reason },
                    ) => Outcome::Removed { reason },
                    (Some(Handled::Stays(reason)), _) | (None, Verdict::Keep { reason }) => {
                        Outcome::Kept { reason }
                    }
                    (Some(Handled::Resisted(reason)), _) => Outcome::Failed { reason },
                    // It went by itself, as volumes go with their instance.
                    (None, Verdict::Remove { reason }) if !showing.contains(&key) => {
                        Outcome::Removed { reason }
                    }
                    (None, Verdict::Remove { .. }) => Outcome::Failed {
                        reason: String::from("the sweep ended before it came to it"),
                    },
                };
                (one.finding, one.standing, outcome)
            })
            .collect()
    }
}
