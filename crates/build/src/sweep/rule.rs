//! What goes, what stays, and why. Pure.
//!
//! ```text
//!   no qib:run, or one that no run could have ───▶ not looked at
//!   its run lives, or may live ──────────────────▶ stays
//!   a snapshot without qib:run that an import task of a run made ─▶ as that run's
//!   an image with qib:complete, its snapshots ───▶ stay; shown, if it still has to be given its name
//!   its copy that has that name already ─────────▶ stays, and is shown
//!   a kept instance, with all of its cell ───────▶ stays, until asked for or past qib:expires
//!   a kept image, with its snapshots ────────────▶ stays, likewise
//!   an object of a run that nothing else tells of ▶ stays, until asked for by the run's id
//!   in use by what is not qib's ─────────────────▶ stays
//!   all else ────────────────────────────────────▶ goes
//! ```

mod finding;
mod liveness;
mod region;

pub use finding::{Finding, Judged, Origin, Standing, Thing, Verdict};

use super::find::Observed;
use super::journals::LocalJournal;
use crate::journal::JournalLock;
use crate::lease::{LeaseRecord, Signs};
use crate::lifetime;
use crate::names::{CellName, RunId, tag};
use cloud::*;
use finding::origin;
use liveness::Known;
use std::collections::{BTreeMap, BTreeSet};

/// Whether what is kept for a person goes as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeptToo {
    /// It stays, until its `qib:expires`.
    No,
    /// It goes.
    Yes,
}

/// What the rule goes by, besides what the regions hold.
pub struct SweepFacts<'a> {
    /// The present moment. It is compared with `qib:expires` only.
    pub now: Timestamp,
    /// Only this run is judged; none for all.
    pub only: Option<&'a RunId>,
    /// Whether what is kept goes as well.
    pub kept: KeptToo,
    /// What this machine knows of a run.
    pub lock: &'a dyn Fn(&RunId) -> JournalLock,
}

/// Judges everything of qib's in the regions.
pub fn judge(
    observed: &[Observed],
    journals: &[LocalJournal],
    facts: &SweepFacts<'_>,
) -> Vec<Judged> {
    let leases: Vec<LeaseRecord> = observed.iter().flat_map(Observed::leases).collect();
    let account = Account::of(observed, &leases, facts);
    let mut judged: Vec<Judged> = observed
        .iter()
        .flat_map(|region| account.judge_region(region))
        .collect();
    judged.extend(
        journals
            .iter()
            .filter_map(|journal| account.judge_journal(journal)),
    );
    judged.retain(|one| facts.only.is_none_or(|run| *run == one.finding.origin.run));
    judged.sort_by(|a, b| {
        let key = |one: &Judged| {
            let finding = &one.finding;
            (
                finding.origin.run.clone(),
                finding.region.clone(),
                finding.thing.clone(),
            )
        };
        key(a).cmp(&key(b))
    });
    judged
}

/// What is known of the account before anything is judged.
struct Account<'a> {
    facts: &'a SweepFacts<'a>,
    leases: &'a [LeaseRecord],
    runs: BTreeMap<RunId, Known>,
    /// Cells whose instance is kept and stays, with the reason.
    kept: BTreeMap<(RunId, Option<CellName>), String>,
    /// Instances that go, or are going already.
    going: BTreeSet<InstanceId>,
}

impl<'a> Account<'a> {
    fn of(observed: &'a [Observed], leases: &'a [LeaseRecord], facts: &'a SweepFacts<'a>) -> Self {
        let mut account = Self {
            facts,
            leases,
            runs: BTreeMap::new(),
            kept: BTreeMap::new(),
            going: BTreeSet::new(),
        };
        for region in observed {
            for tags in region.all_tags() {
                account.learn(region, tags);
            }
        }
        let instances = || observed.iter().flat_map(|region| &region.instances);
        for instance in instances() {
            if let (Some(origin), Some(reason)) = (
                origin(&instance.tags),
                account.reason_to_keep_for_a_person(instance),
            ) {
                account.kept.insert((origin.run, origin.cell), reason);
            }
        }
        for instance in instances() {
            let goes = instance.state.is_ending()
                || origin(&instance.tags).is_some_and(|origin| {
                    matches!(
                        account.judge_instance(instance, &origin),
                        Verdict::Remove { .. }
                    )
                });
            if goes {
                account.going.insert(instance.instance_id.clone());
            }
        }
        account
    }

    /// Why `instance` is kept and stays, if so.
    fn reason_to_keep_for_a_person(&self, instance: &Instance) -> Option<String> {
        if instance.state.is_ending() {
            return None;
        }
        self.reason_to_keep(&instance.tags)
    }

    /// Why what has these tags is kept and stays, if so.
    fn reason_to_keep(&self, tags: &Tags) -> Option<String> {
        if tags.get(tag::KEPT).is_none() || self.facts.kept == KeptToo::Yes {
            return None;
        }
        match lifetime::expires(tags) {
            Some(end) if end <= self.facts.now => None,
            Some(end) => Some(format!(
                "kept for a person, until {}; --kept takes it too",
                lifetime::tag_value(end)
            )),
            None => Some(String::from("kept for a person; --kept takes it too")),
        }
    }

    /// Takes in what the tags of one thing say of its run.
    fn learn(&mut self, region: &Observed, tags: &Tags) {
        let Some(origin) = origin(tags) else {
            return;
        };
        let known = self.known(&origin.run);
        let known = self.runs.entry(origin.run).or_insert(known);
        known.signs.see_tags(tags);
        if let Err(why) = &region.leases {
            known.unreadable.get_or_insert_with(|| why.clone());
            // As if it had none.
            let leaseless = tags.clone().with(tag::LEASE, tag::LEASE_NONE);
            known.signs.see_tags(&leaseless);
        }
    }

    /// What is known of a run without its things.
    fn known(&self, run: &RunId) -> Known {
        Known {
            signs: Signs::of(run, (self.facts.lock)(run), self.leases),
            unreadable: None,
        }
    }

    /// The verdict on what belongs to `run` and is nothing special.
    fn judge_of_run(&self, run: &RunId) -> Verdict {
        match self.runs.get(run) {
            Some(known) => known.verdict(self.facts.now),
            None => self.known(run).verdict(self.facts.now),
        }
    }

    /// The verdict on an object of `run` or an upload, which carry no tags. A run that may not use SSM shows by the tags of
    /// other things alone, and while it uploads it may have none: where nothing else tells of a run, it is asked for by its
    /// id.
    fn judge_of_object(&self, seen: &Observed, run: &RunId) -> Verdict {
        let has_lease = self.leases.iter().any(|lease| lease.run == *run);
        let is_known = self.runs.contains_key(run)
            || has_lease
            || (self.facts.lock)(run) != JournalLock::Absent;
        if is_known || (self.facts.only == Some(run) && seen.leases.is_ok()) {
            return self.judge_of_run(run);
        }
        Verdict::Keep {
            reason: format!("nothing else tells whether its run lives; `--run {run}` takes it"),
        }
    }

    /// The verdict on what a kept instance of the same cell needs.
    fn judge_of_cell(&self, origin: &Origin) -> Verdict {
        match (self.judge_of_run(&origin.run), self.kept_cell(origin)) {
            (Verdict::Remove { .. }, Some(reason)) => Verdict::Keep {
                reason: format!("belongs to an instance that is {reason}"),
            },
            (verdict, _) => verdict,
        }
    }

    fn kept_cell(&self, origin: &Origin) -> Option<&String> {
        self.kept.get(&(origin.run.clone(), origin.cell.clone()))
    }

    fn judge_instance(&self, instance: &Instance, origin: &Origin) -> Verdict {
        match (
            self.judge_of_run(&origin.run),
            self.reason_to_keep_for_a_person(instance),
        ) {
            (Verdict::Remove { .. }, Some(reason)) => Verdict::Keep { reason },
            (verdict, _) => verdict,
        }
    }

    fn judge_journal(&self, journal: &LocalJournal) -> Option<Judged> {
        let keeps = self.kept.keys().any(|(run, _)| *run == journal.run);
        if !journal.is_unsettled() && keeps {
            return None;
        }
        Some(Judged {
            finding: Finding {
                region: journal.region.clone(),
                thing: Thing::Journal(journal.run.clone()),
                name: String::new(),
                origin: Origin {
                    run: journal.run.clone(),
                    pipeline: journal.pipeline.clone(),
                    cell: None,
                },
                created: Some(journal.started),
            },
            verdict: self.judge_of_run(&journal.run),
            standing: Standing::Aid,
        })
    }
}

#[cfg(test)]
mod tests;
