//! Snapshots.
//!
//! <https://docs.aws.amazon.com/ebs/latest/userguide/ebs-snapshots.html>

use super::filter::Filters;
use super::page::{Page, write_token};
use super::params::Scope;
use super::tag_specs::{TagSpecs, write_tags};
use super::xml::Xml;
use super::{Action, done, volumes};
use crate::account::image::{Permission, Progress, Snapshot};
use crate::account::lifecycle::InstanceState;
use crate::account::tags::Tags;
use crate::account::{ACCOUNT_ID, REGIONS};
use crate::api::error::ApiError;
use crate::api::{Cx, Effect};
use crate::ids::{LayerId, SnapshotId, VolumeId};

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

/// A snapshot that something can be made from: complete.
pub(crate) fn usable(cx: &mut Cx<'_>, id: &SnapshotId) -> Result<Snapshot, ApiError> {
    let now = cx.now;
    let snapshot = own(cx, id)?;
    if snapshot.state(now) != "completed" {
        return Err(ApiError::new(
            "IncorrectState",
            format!(
                "Snapshot is in invalid state - {} ({id})",
                snapshot.state(now)
            ),
        ));
    }
    Ok(snapshot.clone())
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSnapshots.html>
pub(crate) struct DescribeSnapshots {
    ids: Vec<SnapshotId>,
    owners: Vec<String>,
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
        // Own snapshots are the only ones there are, and the account may restore from all of them.
        for who in p.texts("RestorableBy") {
            if who != "self" && who != ACCOUNT_ID {
                return Err(ApiError::new(
                    "UnsupportedOperation",
                    "The local EC2 has one account: RestorableBy can be 'self' only",
                ));
            }
        }
        let page = Page::parse(p, 5)?;
        page.excludes_ids("snapshotIds", ids.len())?;
        Ok(Self {
            ids,
            owners: p.texts("Owner").into_iter().map(str::to_owned).collect(),
            filters: Filters::parse(p, &known)?,
            page,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let (now, visibility) = (cx.now, cx.timing.visibility);
        let region = &*cx.region();
        let visible = |s: &&Snapshot| now.duration_since(s.started).unsigned_abs() >= visibility;
        if let Some(unknown) = self
            .ids
            .iter()
            .find(|id| region.snapshots.get(id).filter(visible).is_none())
        {
            return Err(not_found(unknown));
        }
        let own =
            self.owners.is_empty() || self.owners.iter().any(|o| o == "self" || o == ACCOUNT_ID);
        let chosen = region
            .snapshots
            .values()
            .filter(visible)
            .filter(|s| own && (self.ids.is_empty() || self.ids.contains(&s.id)))
            .filter(|s| {
                self.filters.pass(&s.tags, |name| {
                    vec![match name {
                        "description" => s.description.clone(),
                        "encrypted" => s.encrypted.to_string(),
                        "owner-alias" => "self".to_owned(),
                        "owner-id" => s.owner.clone(),
                        "progress" => format!("{}%", s.percent(now)),
                        "start-time" => s.started.to_string(),
                        "status" => s.state(now).to_owned(),
                        "storage-tier" => "standard".to_owned(),
                        "volume-id" => s.volume.clone(),
                        "volume-size" => s.size_gib.to_string(),
                        _ => s.id.to_string(),
                    }]
                })
            });
        let (page, token) = self.page.cut(chosen.collect(), |s| s.id.to_string());
        let mut x = Xml::new();
        x.list("snapshotSet", page, |x, s| write(x, s, now));
        write_token(&mut x, token);
        Ok(x)
    }
}

fn write(x: &mut Xml, s: &Snapshot, now: jiff::Timestamp) {
    x.put("snapshotId", &s.id)
        .put("volumeId", &s.volume)
        .put("status", s.state(now))
        .put("startTime", s.started);
    x.put("progress", format!("{}%", s.percent(now)))
        .put("ownerId", &s.owner)
        .put("volumeSize", s.size_gib);
    x.put("description", &s.description)
        .put("encrypted", s.encrypted)
        .put("storageTier", "standard");
    x.maybe("statusMessage", s.progress.failure(now));
    if let Progress::Done { complete } = &s.progress
        && *complete <= now
    {
        x.put("completionTime", complete);
    }
    write_tags(x, &s.tags);
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSnapshot.html>
pub(crate) struct CreateSnapshot {
    volume: VolumeId,
    description: String,
    tags: TagSpecs,
}

impl Action for CreateSnapshot {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        Ok(Self {
            volume: VolumeId::parse(p.required("VolumeId")?)?,
            description: description(p)?,
            tags: TagSpecs::parse(p, &["snapshot"])?,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let now = cx.now;
        let volume = cx
            .region()
            .volumes
            .get(&self.volume)
            .cloned()
            .ok_or_else(|| volumes::not_found(&self.volume))?;
        let holder = volume
            .attached_to
            .as_ref()
            .and_then(|id| cx.region().instances.get(id))
            .cloned();
        let is_root = holder.as_ref().is_some_and(|i| {
            i.volumes
                .iter()
                .any(|v| v.volume == volume.id && v.device == i.root_device)
        });
        let progress = match holder.filter(|_| is_root) {
            Some(instance) if instance.state == InstanceState::Stopped => {
                let layer = LayerId::random();
                cx.effects
                    .push(Effect::Capture(instance.id.clone(), layer.clone()));
                Progress::Capturing {
                    instance: instance.id,
                    layer,
                }
            }
            Some(instance) => {
                let message = format!(
                    "The local EC2 captures a root volume only while its instance is stopped; {} is {}",
                    instance.id, instance.state
                );
                return Err(ApiError::new("UnsupportedOperation", message));
            }
            None => cx.making(&self.tags.of("snapshot")).snapshot,
        };
        let layers = match &volume.snapshot {
            Some(id) if !is_root => cx
                .region()
                .snapshots
                .get(id)
                .map(|s| s.layers.clone())
                .unwrap_or_default(),
            _ => Vec::new(),
        };
        let snapshot = Snapshot {
            id: SnapshotId::random(),
            owner: ACCOUNT_ID.to_owned(),
            volume: volume.id.to_string(),
            size_gib: volume.size_gib,
            description: self.description,
            started: now,
            progress,
            encrypted: volume.encrypted,
            create_volume_permission: Permission::default(),
            layers,
            tags: self.tags.of("snapshot"),
        };
        let mut x = Xml::new();
        write(&mut x, &snapshot, now);
        cx.region().snapshots.insert(snapshot.id.clone(), snapshot);
        Ok(x)
    }
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

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CopySnapshot.html>
pub(crate) struct CopySnapshot {
    source: SnapshotId,
    source_region: String,
    description: String,
    encrypted: bool,
    tags: TagSpecs,
}

impl Action for CopySnapshot {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        // Clients send these two for encrypted snapshots; they repeat what the request's own signature says.
        p.text("PresignedUrl");
        p.text("DestinationRegion");
        Ok(Self {
            source: SnapshotId::parse(p.required("SourceSnapshotId")?)?,
            source_region: source_region(p)?,
            description: description(p)?,
            encrypted: p.flag("Encrypted")?.unwrap_or(false),
            tags: TagSpecs::parse(p, &["snapshot"])?,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let now = cx.now;
        let source = cx
            .account
            .region_mut(&self.source_region)
            .snapshots
            .get(&self.source)
            .cloned()
            .ok_or_else(|| not_found(&self.source))?;
        if source.state(now) != "completed" {
            return Err(ApiError::new(
                "IncorrectState",
                format!(
                    "Snapshot is in invalid state - {} ({})",
                    source.state(now),
                    source.id
                ),
            ));
        }
        let encrypted = self.encrypted || source.encrypted;
        let copy = copy(
            cx,
            &source,
            self.description,
            encrypted,
            self.tags.of("snapshot"),
        );
        let mut x = Xml::new();
        x.put("snapshotId", &copy.id);
        write_tags(&mut x, &copy.tags);
        cx.region().snapshots.insert(copy.id.clone(), copy);
        Ok(x)
    }
}

/// Reads `SourceRegion`.
pub(crate) fn source_region(p: &Scope<'_>) -> Result<String, ApiError> {
    let region = p.required("SourceRegion")?;
    if !REGIONS.contains(&region) {
        return Err(ApiError::invalid_value(
            "SourceRegion",
            region,
            "Invalid region.",
        ));
    }
    Ok(region.to_owned())
}

/// A copy of a snapshot in the request's region, sharing its layers.
pub(crate) fn copy(
    cx: &Cx<'_>,
    source: &Snapshot,
    description: String,
    encrypted: bool,
    tags: Tags,
) -> Snapshot {
    Snapshot {
        id: SnapshotId::random(),
        owner: ACCOUNT_ID.to_owned(),
        // "Snapshots created by the CopySnapshot action have an arbitrary volume ID."
        volume: "vol-ffffffff".to_owned(),
        size_gib: source.size_gib,
        description,
        started: cx.now,
        progress: cx.making(&tags).snapshot,
        encrypted,
        create_volume_permission: Permission::default(),
        layers: source.layers.clone(),
        tags,
    }
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
