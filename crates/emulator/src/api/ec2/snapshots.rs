//! Looking at snapshots, and deleting them.
//!
//! <https://docs.aws.amazon.com/ebs/latest/userguide/ebs-snapshots.html>

use super::filter::Filters;
use super::page::{Page, write_token};
use super::params::Scope;
use super::tag_specs::write_tags;
use super::xml::Xml;
use super::{Action, done};
use crate::account::image::{Progress, Snapshot};
use crate::account::public_access::PublicSnapshots;
use crate::account::tags::Tags;
use crate::api::error::ApiError;
use crate::api::{Cx, Effect};
use crate::ids::SnapshotId;

/// EC2's answer to a snapshot that is not there.
pub(crate) fn not_found(id: &SnapshotId) -> ApiError {
    ApiError::new(
        "InvalidSnapshot.NotFound",
        format!("The snapshot '{id}' does not exist."),
    )
}

/// An own snapshot, by id.
pub(crate) fn own<'a>(cx: &'a mut Cx<'_>, id: &SnapshotId) -> Result<&'a mut Snapshot, ApiError> {
    cx.region()
        .snapshots
        .get_mut(id)
        .ok_or_else(|| not_found(id))
}

/// Whether the caller's account may make volumes and copies from a snapshot.
pub(crate) fn may_use(cx: &Cx<'_>, region: &str, s: &Snapshot) -> bool {
    let caller = cx.owner();
    if s.owner == caller || s.create_volume_permission.names(caller) {
        return true;
    }
    // "Snapshots that are already publicly shared are treated as private."
    let mut owners = cx.account.everywhere(region);
    let blocked = owners
        .any(|r| r.owner == s.owner && r.public_snapshots == PublicSnapshots::BlockAllSharing);
    s.create_volume_permission.all && !blocked
}

/// A snapshot of a region that something can be made from: the caller may use it, and it is complete.
///
/// # Errors
/// `InvalidSnapshot.NotFound`, also for one that is not shared; `IncorrectState`.
pub(crate) fn usable_in(cx: &Cx<'_>, region: &str, id: &SnapshotId) -> Result<Snapshot, ApiError> {
    let snapshot = cx
        .snapshot_in(region, id)
        .filter(|s| may_use(cx, region, s))
        .ok_or_else(|| not_found(id))?;
    match snapshot.state(cx.now) {
        "completed" => Ok(snapshot),
        state => Err(ApiError::new(
            "IncorrectState",
            format!("Snapshot is in invalid state - {state} ({id})"),
        )),
    }
}

/// The same in the request's region.
pub(crate) fn usable(cx: &Cx<'_>, id: &SnapshotId) -> Result<Snapshot, ApiError> {
    usable_in(cx, cx.region, id)
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSnapshots.html>
pub(crate) struct DescribeSnapshots {
    ids: Vec<SnapshotId>,
    owners: Vec<String>,
    restorable_by: Vec<String>,
    filters: Filters,
    page: Page,
}

impl Action for DescribeSnapshots {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        let ids = p
            .texts("SnapshotId")
            .into_iter()
            .map(SnapshotId::parse)
            .collect::<Result<Vec<_>, _>>()?;
        let known = [
            "description",
            "encrypted",
            "owner-alias",
            "owner-id",
            "progress",
            "snapshot-id",
            "start-time",
            "status",
            "storage-tier",
            "volume-id",
            "volume-size",
        ];
        let page = Page::parse(p, 5)?;
        page.excludes_ids("snapshotIds", ids.len())?;
        let owned = |name| p.texts(name).into_iter().map(str::to_owned).collect();
        Ok(Self {
            ids,
            owners: owned("Owner"),
            restorable_by: owned("RestorableBy"),
            filters: Filters::parse(p, &known)?,
            page,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let (now, caller) = (cx.now, cx.owner());
        let seen = seen(cx);
        if let Some(unknown) = self
            .ids
            .iter()
            .find(|id| !seen.iter().any(|s| s.id == **id))
        {
            return Err(not_found(unknown));
        }
        let account = |who: &str| match who {
            "self" => caller.to_owned(),
            other => other.to_owned(),
        };
        let owners: Vec<String> = self.owners.iter().map(|o| account(o)).collect();
        // "The IDs of the Amazon Web Services accounts that can create volumes from the snapshot."
        let restorable = |s: &Snapshot, who: &str| match who {
            "all" => s.create_volume_permission.all,
            who => s.owner == account(who) || s.create_volume_permission.covers(&account(who)),
        };
        let chosen = seen.iter().filter(|s| {
            let asked = self.ids.is_empty() || self.ids.contains(&s.id);
            let owned = owners.is_empty() || owners.contains(&s.owner);
            let restorable = self.restorable_by.is_empty()
                || self.restorable_by.iter().any(|who| restorable(s, who));
            asked && owned && restorable && self.filters.pass(&s.tags, |name| values(s, name, now))
        });
        let (page, token) = self.page.cut(chosen.collect(), |s| s.id.to_string());
        let mut x = Xml::new();
        x.list("snapshotSet", page, |x, s| write(x, s, now));
        write_token(&mut x, token);
        Ok(x)
    }
}

/// The snapshots that the caller sees: its own and those it may use, without the tags that others gave them.
fn seen(cx: &Cx<'_>) -> Vec<Snapshot> {
    let caller = cx.owner();
    let all = cx.account.everywhere(cx.region);
    let mut seen: Vec<Snapshot> = all
        .flat_map(|r| r.snapshots.values())
        .filter(|s| cx.visible(s.started) && may_use(cx, cx.region, s))
        .cloned()
        .collect();
    for snapshot in seen.iter_mut().filter(|s| s.owner != caller) {
        snapshot.tags = Tags::default();
    }
    for snapshot in &mut seen {
        if let Progress::Writing { percent, .. } = &mut snapshot.progress
            && let Ok(set) = cx.blocks.get(&snapshot.id)
        {
            *percent = set.progress().unwrap_or_default();
        }
    }
    seen
}

fn values(s: &Snapshot, filter: &str, now: jiff::Timestamp) -> Vec<String> {
    match filter {
        "description" => vec![s.description.clone()],
        "encrypted" => vec![s.encrypted.to_string()],
        // "The owner alias, from an Amazon-maintained list (amazon)."
        "owner-alias" => Vec::new(),
        "owner-id" => vec![s.owner.clone()],
        "progress" => vec![format!("{}%", s.percent(now))],
        "start-time" => vec![s.started.to_string()],
        "status" => vec![s.state(now).to_owned()],
        "storage-tier" => vec!["standard".to_owned()],
        "volume-id" => vec![s.volume.clone()],
        "volume-size" => vec![s.size_gib.to_string()],
        _ => vec![s.id.to_string()],
    }
}

/// Writes a snapshot.
pub(crate) fn write(x: &mut Xml, s: &Snapshot, now: jiff::Timestamp) {
    x.put("snapshotId", &s.id)
        .put("volumeId", &s.volume)
        .put("status", s.state(now))
        .put("startTime", s.started);
    x.put("progress", format!("{}%", s.percent(now)))
        .put("ownerId", &s.owner)
        .put("volumeSize", s.size_gib);
    x.put("description", &s.description)
        .put("encrypted", s.encrypted)
        .maybe("kmsKeyId", s.kms_key.as_ref())
        .put("storageTier", "standard");
    x.maybe("statusMessage", s.progress.failure(now));
    if let Progress::Done { complete } = &s.progress
        && *complete <= now
    {
        x.put("completionTime", complete);
    }
    write_tags(x, &s.tags);
}

/// "Up to 255 characters in length."
pub(crate) fn description(p: &Scope<'_>) -> Result<String, ApiError> {
    let text = p.text("Description").unwrap_or_default();
    if text.chars().count() > 255 {
        return Err(ApiError::invalid_value(
            "Description",
            text,
            "Up to 255 characters.",
        ));
    }
    Ok(text.to_owned())
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteSnapshot.html>
pub(crate) struct DeleteSnapshot {
    id: SnapshotId,
}

impl Action for DeleteSnapshot {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        Ok(Self {
            id: SnapshotId::parse(p.required("SnapshotId")?)?,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        own(cx, &self.id)?;
        delete(cx, &self.id)?;
        Ok(done())
    }
}

/// Deletes a snapshot.
///
/// # Errors
/// `InvalidSnapshot.InUse`: "You cannot delete a snapshot of the root device of an EBS volume used by a registered AMI."
pub(crate) fn delete(cx: &mut Cx<'_>, id: &SnapshotId) -> Result<(), ApiError> {
    let region = cx.region();
    if let Some(image) = region
        .images
        .values()
        .find(|i| i.snapshots().any(|s| s == id))
    {
        return Err(ApiError::new(
            "InvalidSnapshot.InUse",
            format!("The snapshot {id} is currently in use by {}", image.id),
        ));
    }
    region.snapshots.remove(id);
    cx.effects.push(Effect::SweepLayers);
    Ok(())
}
