//! What goes, what stays, and why. Pure.
//!
//! ```text
//!   no qib:run, or one that no run could have ───▶ not looked at
//!   its run lives, or may live ──────────────────▶ stays
//!   a snapshot without qib:run that an import task of a run made ─▶ as that run's
//!   an image with qib:complete, its snapshots ───▶ stay
//!   a kept instance, with all of its cell ───────▶ stays, until asked for or past qib:expires
//!   a kept image, with its snapshots ────────────▶ stays, likewise
//!   an object of a run that nothing else tells of ▶ stays, until asked for by the run's id
//!   in use by what is not qib's ─────────────────▶ stays
//!   all else ────────────────────────────────────▶ goes
//! ```

use super::find::Observed;
use super::imports::Imports;
use super::journals::LocalJournal;
use crate::journal::JournalLock;
use crate::lease::{AliveBecause, LeaseRecord, Leased, Liveness, Signs, liveness};
use crate::lifetime;
use crate::names::{CellName, RunId, tag};
use cloud::*;
use std::collections::{BTreeMap, BTreeSet};

/// Whether what is kept for a person goes as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeptToo {
    /// It stays, until its `qib:expires`.
    No,
    /// It goes.
    Yes,
}

/// What a sweep can remove. Ordered as it is removed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Thing {
    /// The binding of an Elastic IP. The address itself is never released: it is not qib's.
    AddressBinding {
        /// The binding.
        association: AssociationId,
        /// The address.
        allocation: AllocationId,
    },
    /// An instance.
    Instance(InstanceId),
    /// An import task that is active.
    ImportTask(ImportTaskId),
    /// An upload to S3 that is under way.
    Upload {
        /// Where to.
        place: String,
        /// The bucket.
        bucket: String,
        /// The key.
        key: String,
        /// The upload.
        upload: String,
    },
    /// An object in S3.
    Object {
        /// Where it is.
        place: String,
        /// The bucket.
        bucket: String,
        /// The key.
        key: String,
    },
    /// An image that is not complete.
    Image(ImageId),
    /// A snapshot.
    Snapshot(SnapshotId),
    /// A snapshot that an import task came to and that has no tag yet.
    ImportedSnapshot {
        /// The snapshot.
        id: SnapshotId,
        /// The run whose task it was.
        run: RunId,
    },
    /// A volume.
    Volume(VolumeId),
    /// A key pair.
    KeyPair(KeyPairId),
    /// A security group.
    SecurityGroup(SecurityGroupId),
    /// A temporary instance profile, by its name, with the role in it taken out.
    InstanceProfile(String),
    /// A temporary role, by its name, with its policy.
    Role(String),
    /// A place in the queue for something.
    Ticket(String),
    /// What a run renews to show that it lives.
    RunLease(String),
    /// This machine's record of the run: what it says may still be there is looked up, and it is closed.
    Journal(RunId),
}

impl Thing {
    /// Its kind, as in JSON and in `LeftResource`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::AddressBinding { .. } => "address-binding",
            Self::Instance(_) => "instance",
            Self::ImportTask(_) => "import-task",
            Self::Upload { .. } => "upload",
            Self::Object { .. } => "object",
            Self::Image(_) => "image",
            Self::Snapshot(_) | Self::ImportedSnapshot { .. } => "snapshot",
            Self::Volume(_) => "volume",
            Self::KeyPair(_) => "key-pair",
            Self::SecurityGroup(_) => "security-group",
            Self::InstanceProfile(_) => "instance-profile",
            Self::Role(_) => "role",
            Self::Ticket(_) | Self::RunLease(_) => "lease",
            Self::Journal(_) => "journal",
        }
    }

    /// Its id, or the name that takes the place of one.
    pub fn id(&self) -> &str {
        match self {
            Self::AddressBinding { association, .. } => association.as_str(),
            Self::Instance(id) => id.as_str(),
            Self::ImportTask(id) => id.as_str(),
            Self::Upload { place, .. } | Self::Object { place, .. } => place,
            Self::Image(id) => id.as_str(),
            Self::Snapshot(id) | Self::ImportedSnapshot { id, .. } => id.as_str(),
            Self::Volume(id) => id.as_str(),
            Self::KeyPair(id) => id.as_str(),
            Self::SecurityGroup(id) => id.as_str(),
            Self::InstanceProfile(name) | Self::Role(name) => name,
            Self::Ticket(name) | Self::RunLease(name) => name,
            Self::Journal(run) => run.as_str(),
        }
    }
}

/// Whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The run that made it.
    pub run: RunId,
    /// Its pipeline; empty if nothing says so.
    pub pipeline: String,
    /// Its cell; none if it belongs to the run as a whole.
    pub cell: Option<CellName>,
}

/// Something of a run's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where it is.
    pub region: RegionName,
    /// What it is.
    pub thing: Thing,
    /// Its name, if it has one besides its id.
    pub name: String,
    /// Whose it is.
    pub origin: Origin,
    /// When it was made, if that is known.
    pub created: Option<Timestamp>,
}

/// What is to become of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes.
    Remove {
        /// Why.
        reason: String,
    },
    /// It stays.
    Keep {
        /// Why.
        reason: String,
    },
}

/// Something of a run's, and what is to become of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// What it is.
    pub finding: Finding,
    /// What is to become of it.
    pub verdict: Verdict,
    /// What it is to those who look.
    pub standing: Standing,
}

/// What something is to those who look at an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Something that a run needs for a while.
    Aid,
    /// A complete image, or a snapshot of one: what runs are for.
    Result,
    /// Kept for a person, with its cell.
    Kept,
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

/// What is known of a run from outside.
#[derive(Clone, Debug)]
pub(super) struct Known {
    signs: Signs,
    /// Why the leases of a region in which it has something cannot be read; then only `qib:expires` tells.
    unreadable: Option<String>,
}

impl Known {
    /// Why nothing of the run may be touched; or else, why it may.
    pub(super) fn verdict(&self, now: Timestamp) -> Verdict {
        let known_here = match self.signs.journal {
            JournalLock::Free => "its journal, on this machine, is held by no process",
            _ => "it has no lease",
        };
        let reason = match liveness(&self.signs, now) {
            Liveness::Alive(because) => {
                return Verdict::Keep {
                    reason: self.why_alive(because),
                };
            }
            Liveness::Dead => match self.signs.journal {
                JournalLock::Free => format!("the run is dead: {known_here}"),
                _ => {
                    let age = self.signs.lease.into_iter().chain(self.signs.ticket).min();
                    let minutes = age.unwrap_or_default().as_secs() / 60;
                    format!("the run is dead: it renewed its lease {minutes} min ago")
                }
            },
            Liveness::Ended => format!("the run is over: {known_here}"),
        };
        Verdict::Remove { reason }
    }

    fn why_alive(&self, because: AliveBecause) -> String {
        let until = |until: Option<Timestamp>| {
            until.map_or_else(
                || String::from("for good, as it has no qib:expires"),
                |until| format!("until {}", lifetime::tag_value(until)),
            )
        };
        match (because, &self.unreadable) {
            (AliveBecause::JournalLocked, _) => {
                String::from("the run lives: a process of this machine holds its journal")
            }
            (AliveBecause::Renewed(age), _) => {
                format!(
                    "the run lives: it renewed its lease {} s ago",
                    age.as_secs()
                )
            }
            (AliveBecause::WithoutLease(end), None) => format!(
                "the run may not use SSM, and so has no lease: it counts as alive {}",
                until(end)
            ),
            (AliveBecause::WithoutLease(end), Some(why)) => format!(
                "leases cannot be read, so the run counts as alive {}: {why}",
                until(end)
            ),
        }
    }
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

    fn judge_region(&self, seen: &Observed) -> Vec<Judged> {
        let mut judged = Vec::new();
        let mut add = |thing: Thing,
                       name: &str,
                       origin: Origin,
                       created: Option<Timestamp>,
                       verdict: Verdict,
                       standing: Standing| {
            judged.push(Judged {
                finding: Finding {
                    region: seen.region.clone(),
                    thing,
                    name: name.to_owned(),
                    origin,
                    created,
                },
                verdict,
                standing,
            });
        };
        for instance in &seen.instances {
            let Some(origin) = origin(&instance.tags) else {
                continue;
            };
            if instance.state.is_ending() {
                continue;
            }
            let verdict = self.judge_instance(instance, &origin);
            let standing = match (&verdict, self.reason_to_keep_for_a_person(instance)) {
                (Verdict::Keep { .. }, Some(_)) => Standing::Kept,
                _ => Standing::Aid,
            };
            for address in &seen.addresses {
                let Some(binding) = &address.binding else {
                    continue;
                };
                if binding.instance_id.as_ref() == Some(&instance.instance_id) {
                    let thing = Thing::AddressBinding {
                        association: binding.association_id.clone(),
                        allocation: address.allocation_id.clone(),
                    };
                    let name = address.public_ip.to_string();
                    add(
                        thing,
                        &name,
                        origin.clone(),
                        None,
                        verdict.clone(),
                        standing,
                    );
                }
            }
            let thing = Thing::Instance(instance.instance_id.clone());
            let name = instance.tags.get("Name").unwrap_or_default();
            add(thing, name, origin, instance.launched, verdict, standing);
        }
        let mut in_use: BTreeMap<&SnapshotId, (&Image, Verdict)> = BTreeMap::new();
        for image in &seen.images {
            let verdict = match origin(&image.tags) {
                None => Verdict::Keep {
                    reason: String::from("not qib's"),
                },
                Some(origin) => {
                    let is_complete = image.tags.get(tag::COMPLETE).is_some();
                    let kept = self.reason_to_keep(&image.tags);
                    let verdict = match (self.judge_of_run(&origin.run), &kept) {
                        _ if is_complete => Verdict::Keep {
                            reason: String::from("a complete image"),
                        },
                        (Verdict::Remove { .. }, Some(reason)) => Verdict::Keep {
                            reason: reason.clone(),
                        },
                        (verdict, _) => verdict,
                    };
                    let thing = Thing::Image(image.image_id.clone());
                    add(
                        thing,
                        &image.name,
                        origin,
                        image.created,
                        verdict.clone(),
                        match (is_complete, &verdict, kept) {
                            (true, _, _) => Standing::Result,
                            (false, Verdict::Keep { .. }, Some(_)) => Standing::Kept,
                            (false, _, _) => Standing::Aid,
                        },
                    );
                    verdict
                }
            };
            for snapshot in &image.snapshots {
                let stays = matches!(verdict, Verdict::Keep { .. });
                if stays || !in_use.contains_key(snapshot) {
                    in_use.insert(snapshot, (image, verdict.clone()));
                }
            }
        }
        // A task's snapshot carries no tag until its run gives it one: it is whose the task is.
        let of_tasks = seen.imports.snapshots.iter().filter_map(|snapshot| {
            let mut tasks = seen.imports.tasks.iter();
            let task =
                tasks.find(|task| task.snapshot_id.as_ref() == Some(&snapshot.snapshot_id))?;
            let is_tagged = origin(&snapshot.tags).is_some();
            (!is_tagged).then_some((snapshot, &task.tags))
        });
        let tagged = seen
            .snapshots
            .iter()
            .map(|snapshot| (snapshot, &snapshot.tags));
        for (snapshot, tags) in tagged.chain(of_tasks) {
            let Some(origin) = origin(tags) else {
                continue;
            };
            let (verdict, standing) = match in_use.get(&snapshot.snapshot_id) {
                Some((image, Verdict::Keep { .. })) => (
                    Verdict::Keep {
                        reason: format!("image {} is made of it", image.image_id),
                    },
                    if image.tags.get(tag::COMPLETE).is_some() {
                        Standing::Result
                    } else {
                        Standing::Aid
                    },
                ),
                Some((_, Verdict::Remove { .. })) | None => {
                    (self.judge_of_run(&origin.run), Standing::Aid)
                }
            };
            let id = snapshot.snapshot_id.clone();
            let thing = match snapshot.tags.get(tag::RUN) {
                Some(_) => Thing::Snapshot(id),
                None => Thing::ImportedSnapshot {
                    id,
                    run: origin.run.clone(),
                },
            };
            add(thing, "", origin, snapshot.started, verdict, standing);
        }
        for task in &seen.imports.tasks {
            let (ImportState::Active, Some(origin)) = (&task.state, origin(&task.tags)) else {
                continue;
            };
            let verdict = self.judge_of_run(&origin.run);
            let thing = Thing::ImportTask(task.task_id.clone());
            let name = task.object.as_ref().map(ToString::to_string);
            let name = name.unwrap_or_default();
            add(thing, &name, origin, None, verdict, Standing::Aid);
        }
        let whole = |run: RunId| Origin {
            run,
            pipeline: String::new(),
            cell: None,
        };
        for (place, upload) in &seen.imports.uploads {
            let Some(run) = Imports::run_of(place) else {
                continue;
            };
            let verdict = self.judge_of_object(seen, &run);
            let thing = Thing::Upload {
                place: place.to_string(),
                bucket: place.bucket.clone(),
                key: place.key.clone(),
                upload: upload.0.clone(),
            };
            add(thing, "", whole(run), None, verdict, Standing::Aid);
        }
        for place in &seen.imports.objects {
            let Some(run) = Imports::run_of(place) else {
                continue;
            };
            let verdict = self.judge_of_object(seen, &run);
            let thing = Thing::Object {
                place: place.to_string(),
                bucket: place.bucket.clone(),
                key: place.key.clone(),
            };
            add(thing, "", whole(run), None, verdict, Standing::Aid);
        }
        for volume in &seen.volumes {
            let Some(origin) = origin(&volume.tags) else {
                continue;
            };
            if matches!(volume.state.as_str(), "deleting" | "deleted") {
                continue;
            }
            let held_by = volume
                .attached_to
                .iter()
                .find(|instance| !self.going.contains(*instance));
            let verdict = match (self.judge_of_cell(&origin), held_by) {
                (Verdict::Remove { .. }, Some(instance)) => Verdict::Keep {
                    reason: format!("attached to {instance}, which stays"),
                },
                (verdict, _) => verdict,
            };
            let thing = Thing::Volume(volume.volume_id.clone());
            add(thing, "", origin, volume.created, verdict, Standing::Aid);
        }
        for pair in &seen.key_pairs {
            let Some(origin) = origin(&pair.tags) else {
                continue;
            };
            let verdict = self.judge_of_cell(&origin);
            let thing = Thing::KeyPair(pair.key_pair_id.clone());
            add(thing, &pair.name, origin, None, verdict, Standing::Aid);
        }
        for group in &seen.groups {
            let Some(origin) = origin(&group.tags) else {
                continue;
            };
            let verdict = self.judge_of_cell(&origin);
            let thing = Thing::SecurityGroup(group.group_id.clone());
            add(thing, &group.name, origin, None, verdict, Standing::Aid);
        }
        // IAM lets go of a role that an instance has; a kept instance would be without its credentials.
        for profile in &seen.roles.profiles {
            let Some(origin) = origin(&profile.tags) else {
                continue;
            };
            let verdict = self.judge_of_cell(&origin);
            let thing = Thing::InstanceProfile(profile.name.clone());
            add(
                thing,
                &profile.name,
                origin,
                profile.created,
                verdict,
                Standing::Aid,
            );
        }
        for role in &seen.roles.roles {
            let Some(origin) = origin(&role.tags) else {
                continue;
            };
            let verdict = self.judge_of_cell(&origin);
            let thing = Thing::Role(role.name.clone());
            add(
                thing,
                &role.name,
                origin,
                role.created,
                verdict,
                Standing::Aid,
            );
        }
        for lease in seen.leases() {
            let verdict = self.judge_of_run(&lease.run);
            let thing = match lease.what {
                Leased::Run => Thing::RunLease(lease.name),
                Leased::Address { .. } | Leased::Image { .. } => Thing::Ticket(lease.name),
            };
            let origin = Origin {
                run: lease.run,
                pipeline: String::new(),
                cell: None,
            };
            add(thing, "", origin, None, verdict, Standing::Aid);
        }
        judged
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

/// Whose a thing is by its tags; none if it is not qib's.
fn origin(tags: &Tags) -> Option<Origin> {
    let run = RunId::parse(tags.get(tag::RUN)?)?;
    let cell = match (tags.get(tag::STAGE), tags.get(tag::CELL)) {
        (Some(stage), Some(cell)) => Some(CellName {
            stage: stage.to_owned(),
            cell: cell.to_owned(),
        }),
        _ => None,
    };
    Some(Origin {
        run,
        pipeline: tags.get(tag::PIPELINE).unwrap_or_default().to_owned(),
        cell,
    })
}

#[cfg(test)]
mod tests;
