//! What is to become of everything in a region.

use super::finding::{Finding, Judged, Origin, Standing, Thing, Verdict, origin};
use super::{Account, Observed};
use crate::lease::Leased;
use crate::names::{RunId, tag};
use crate::sweep::imports::Imports;
use cloud::*;
use std::collections::BTreeMap;

/// Snapshots that images are made of, with the image that decides about each: one that stays, if there is one.
type InUse<'s> = BTreeMap<&'s SnapshotId, Use<'s>>;

/// That a snapshot is part of an image.
struct Use<'s> {
    image: &'s Image,
    verdict: Verdict,
    standing: Standing,
}

impl Account<'_> {
    pub(super) fn judge_region(&self, seen: &Observed) -> Vec<Judged> {
        let mut judged = Rows {
            region: &seen.region,
            judged: Vec::new(),
        };
        self.judge_instances(seen, &mut judged);
        let in_use = self.judge_images(seen, &mut judged);
        self.judge_snapshots(seen, &in_use, &mut judged);
        self.judge_imports(seen, &mut judged);
        self.judge_volumes(seen, &mut judged);
        self.judge_access(seen, &mut judged);
        self.judge_roles(seen, &mut judged);
        for lease in seen.leases() {
            let verdict = self.judge_of_run(&lease.run);
            let thing = match lease.what {
                Leased::Run => Thing::RunLease(lease.name),
                Leased::Address { .. } | Leased::Image { .. } => Thing::Ticket(lease.name),
            };
            judged.aid(thing, "", whole(lease.run), None, verdict);
        }
        judged.judged
    }

    fn judge_instances(&self, seen: &Observed, judged: &mut Rows<'_>) {
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
                    let (origin, verdict) = (origin.clone(), verdict.clone());
                    judged.add(thing, &name, origin, None, verdict, standing);
                }
            }
            let thing = Thing::Instance(instance.instance_id.clone());
            let name = instance.tags.get("Name").unwrap_or_default();
            judged.add(thing, name, origin, instance.launched, verdict, standing);
        }
    }

    fn judge_images<'s>(&self, seen: &'s Observed, judged: &mut Rows<'_>) -> InUse<'s> {
        let mut in_use = InUse::new();
        for image in &seen.images {
            let (verdict, standing) = match origin(&image.tags) {
                None => {
                    let reason = String::from("not qib's");
                    (Verdict::Keep { reason }, Standing::Aid)
                }
                Some(origin) => {
                    let (verdict, standing) = self.judge_image(seen, image, &origin);
                    let thing = Thing::Image(image.image_id.clone());
                    let (shown, made) = (verdict.clone(), image.created);
                    judged.add(thing, &image.name, origin, made, shown, standing);
                    (verdict, standing)
                }
            };
            for snapshot in &image.snapshots {
                let stays = matches!(verdict, Verdict::Keep { .. });
                if stays || !in_use.contains_key(snapshot) {
                    let verdict = verdict.clone();
                    in_use.insert(
                        snapshot,
                        Use {
                            image,
                            verdict,
                            standing,
                        },
                    );
                }
            }
        }
        in_use
    }

    fn judge_image(&self, seen: &Observed, image: &Image, origin: &Origin) -> (Verdict, Standing) {
        let of_run = self.judge_of_run(&origin.run);
        let keep = |reason: String, standing| (Verdict::Keep { reason }, standing);
        if image.tags.get(tag::COMPLETE).is_some() {
            return match (of_run, name_to_be(image)) {
                (Verdict::Remove { .. }, Some(name)) => keep(
                    format!(
                        "a complete image whose run died before it was named {name}: a run of its pipeline with the same \
                         inputs goes on with that, `qib images rm {}` removes it",
                        image.image_id
                    ),
                    Standing::Unnamed,
                ),
                _ => keep(String::from("a complete image"), Standing::Result),
            };
        }
        match (of_run, self.reason_to_keep(&image.tags)) {
            (Verdict::Remove { .. }, Some(reason)) => keep(reason, Standing::Kept),
            (Verdict::Remove { .. }, None) if takes_a_name(seen, image) => keep(
                format!(
                    "the image that took the name {} from another one; its run died before all was done: a run of its \
                     pipeline with the same inputs goes on with that",
                    image.name
                ),
                Standing::Unnamed,
            ),
            (verdict @ Verdict::Keep { .. }, Some(_)) => (verdict, Standing::Kept),
            (verdict, _) => (verdict, Standing::Aid),
        }
    }

    fn judge_snapshots(&self, seen: &Observed, in_use: &InUse<'_>, judged: &mut Rows<'_>) {
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
                Some(Use {
                    image,
                    verdict: Verdict::Keep { .. },
                    standing,
                }) => (
                    Verdict::Keep {
                        reason: format!("image {} is made of it", image.image_id),
                    },
                    match standing {
                        Standing::Result | Standing::Unnamed => *standing,
                        Standing::Aid | Standing::Kept => Standing::Aid,
                    },
                ),
                Some(_) | None => (self.judge_of_run(&origin.run), Standing::Aid),
            };
            let id = snapshot.snapshot_id.clone();
            let thing = match snapshot.tags.get(tag::RUN) {
                Some(_) => Thing::Snapshot(id),
                None => Thing::ImportedSnapshot {
                    id,
                    run: origin.run.clone(),
                },
            };
            judged.add(thing, "", origin, snapshot.started, verdict, standing);
        }
    }

    fn judge_imports(&self, seen: &Observed, judged: &mut Rows<'_>) {
        for task in &seen.imports.tasks {
            let (ImportState::Active, Some(origin)) = (&task.state, origin(&task.tags)) else {
                continue;
            };
            let verdict = self.judge_of_run(&origin.run);
            let thing = Thing::ImportTask(task.task_id.clone());
            let name = task.object.as_ref().map(ToString::to_string);
            judged.aid(thing, &name.unwrap_or_default(), origin, None, verdict);
        }
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
            judged.aid(thing, "", whole(run), None, verdict);
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
            judged.aid(thing, "", whole(run), None, verdict);
        }
    }

    fn judge_volumes(&self, seen: &Observed, judged: &mut Rows<'_>) {
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
            judged.aid(thing, "", origin, volume.created, verdict);
        }
    }

    /// Key pairs and security groups.
    fn judge_access(&self, seen: &Observed, judged: &mut Rows<'_>) {
        for pair in &seen.key_pairs {
            let Some(origin) = origin(&pair.tags) else {
                continue;
            };
            let verdict = self.judge_of_cell(&origin);
            let thing = Thing::KeyPair(pair.key_pair_id.clone());
            judged.aid(thing, &pair.name, origin, None, verdict);
        }
        for group in &seen.groups {
            let Some(origin) = origin(&group.tags) else {
                continue;
            };
            let verdict = self.judge_of_cell(&origin);
            let thing = Thing::SecurityGroup(group.group_id.clone());
            judged.aid(thing, &group.name, origin, None, verdict);
        }
    }

    /// Temporary instance profiles and roles. IAM lets go of a role that an instance has; a kept instance would be without
    /// its credentials.
    fn judge_roles(&self, seen: &Observed, judged: &mut Rows<'_>) {
        for profile in &seen.roles.profiles {
            let Some(origin) = origin(&profile.tags) else {
                continue;
            };
            let verdict = self.judge_of_cell(&origin);
            let thing = Thing::InstanceProfile(profile.name.clone());
            judged.aid(thing, &profile.name, origin, profile.created, verdict);
        }
        for role in &seen.roles.roles {
            let Some(origin) = origin(&role.tags) else {
                continue;
            };
            let verdict = self.judge_of_cell(&origin);
            let thing = Thing::Role(role.name.clone());
            judged.aid(thing, &role.name, origin, role.created, verdict);
        }
    }
}

/// The name that a complete image still has to be given, if it is one of transit.
fn name_to_be(image: &Image) -> Option<&str> {
    let wanted = image.tags.get(tag::FINAL_NAME);
    wanted.filter(|name| *name != image.name)
}

/// Whether the image has the name that one of transit is to have, as its copy: what had the name before is gone, and without
/// this one nothing would have it.
fn takes_a_name(seen: &Observed, image: &Image) -> bool {
    let Some(of) = image.tags.get(tag::COPY_OF) else {
        return false;
    };
    let is_transit = |other: &Image| {
        other.tags.get(tag::COMPLETE).is_some()
            && name_to_be(other) == Some(image.name.as_str())
            && (other.image_id.as_str() == of || other.tags.get(tag::COPY_OF) == Some(of))
    };
    matches!(image.state, ImageState::Available | ImageState::Pending)
        && seen.images.iter().any(is_transit)
}

/// What belongs to a run as a whole.
fn whole(run: RunId) -> Origin {
    Origin {
        run,
        pipeline: String::new(),
        cell: None,
    }
}

/// What was judged in a region so far.
struct Rows<'r> {
    region: &'r RegionName,
    judged: Vec<Judged>,
}

impl Rows<'_> {
    /// Something that a run needs for a while.
    fn aid(
        &mut self,
        thing: Thing,
        name: &str,
        origin: Origin,
        created: Option<Timestamp>,
        verdict: Verdict,
    ) {
        self.add(thing, name, origin, created, verdict, Standing::Aid);
    }

    fn add(
        &mut self,
        thing: Thing,
        name: &str,
        origin: Origin,
        created: Option<Timestamp>,
        verdict: Verdict,
        standing: Standing,
    ) {
        self.judged.push(Judged {
            finding: Finding {
                region: self.region.clone(),
                thing,
                name: name.to_owned(),
                origin,
                created,
            },
            verdict,
            standing,
        });
    }
}
