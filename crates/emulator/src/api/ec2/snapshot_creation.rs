//! Making snapshots of volumes.

use super::Action;
use super::instances::existing;
use super::params::Scope;
use super::snapshots::{description, write};
use super::tag_specs::{TagSpecs, write_tags};
use super::volumes;
use super::xml::Xml;
use crate::account::image::{Disk, Permission, Progress, Snapshot, Volume};
use crate::account::instance::Instance;
use crate::account::lifecycle::InstanceState;
use crate::account::tags::Tags;
use crate::api::error::ApiError;
use crate::api::{Cx, Effect};
use crate::ids::{InstanceId, LayerId, SnapshotId, VolumeId};

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
        let volume = volume(cx, &self.volume)?;
        let holder = volume
            .attached_to
            .as_ref()
            .and_then(|id| cx.region().instances.get(id))
            .cloned();
        let tags = self.tags.of("snapshot");
        let snapshot = make(cx, &volume, holder.as_ref(), self.description, tags)?;
        let mut x = Xml::new();
        write(&mut x, &snapshot, now);
        Ok(x)
    }
}

fn volume(cx: &mut Cx<'_>, id: &VolumeId) -> Result<Volume, ApiError> {
    let volume = cx.region().volumes.get(id).cloned();
    volume.ok_or_else(|| volumes::not_found(id))
}

/// Makes a snapshot of a volume, which `holder` has.
fn make(
    cx: &mut Cx<'_>,
    volume: &Volume,
    holder: Option<&Instance>,
    description: String,
    tags: Tags,
) -> Result<Snapshot, ApiError> {
    let root_of = holder.filter(|i| is_root(i, &volume.id));
    let progress = match root_of {
        Some(instance) if instance.state == InstanceState::Stopped => {
            let layer = LayerId::random();
            let capture = Effect::Capture(instance.id.clone(), layer.clone());
            cx.effects.push(capture);
            Progress::Capturing {
                instance: instance.id.clone(),
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
        None => cx.making(&tags).snapshot,
    };
    let from = volume
        .snapshot
        .as_ref()
        .filter(|_| root_of.is_none())
        .and_then(|id| cx.snapshot_in(cx.region, id));
    let snapshot = Snapshot {
        id: SnapshotId::random(),
        owner: cx.owner().to_owned(),
        volume: volume.id.to_string(),
        size_gib: volume.size_gib,
        description,
        started: cx.now,
        progress,
        encrypted: volume.encrypted,
        kms_key: volume.kms_key.clone(),
        create_volume_permission: Permission::default(),
        layers: from.as_ref().map(|s| s.layers.clone()).unwrap_or_default(),
        blocks: from.as_ref().map(|s| s.blocks.clone()).unwrap_or_default(),
        disk: match root_of {
            Some(instance) => Some(Disk::of(instance)),
            None => from.and_then(|s| s.disk),
        },
        tags,
    };
    let kept = snapshot.clone();
    cx.region().snapshots.insert(kept.id.clone(), kept);
    Ok(snapshot)
}

fn is_root(instance: &Instance, volume: &VolumeId) -> bool {
    let mut volumes = instance.volumes.iter();
    volumes.any(|v| v.volume == *volume && v.device == instance.root_device)
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSnapshots.html>
pub(crate) struct CreateSnapshots {
    instance: InstanceId,
    exclude_root: bool,
    exclude: Vec<VolumeId>,
    description: String,
    copy_tags: bool,
    tags: TagSpecs,
}

impl Action for CreateSnapshots {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        let which = p.inside("InstanceSpecification");
        let exclude = which
            .texts("ExcludeDataVolumeId")
            .into_iter()
            .map(VolumeId::parse)
            .collect::<Result<Vec<_>, _>>()?;
        // "You can specify up to 40 volume IDs per request."
        if exclude.len() > 40 {
            return Err(ApiError::new(
                "InvalidParameterValue",
                "ExcludeDataVolumeId can hold up to 40 volume IDs",
            ));
        }
        Ok(Self {
            instance: InstanceId::parse(which.required("InstanceId")?)?,
            exclude_root: which.flag("ExcludeBootVolume")?.unwrap_or(false),
            exclude,
            description: description(p)?,
            copy_tags: p.word("CopyTagsFromSource", &["volume"])?.is_some(),
            tags: TagSpecs::parse(p, &["snapshot"])?,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let now = cx.now;
        let instance = existing(cx, &self.instance)?.clone();
        if instance.state.is_over() || instance.state == InstanceState::Pending {
            let message = format!(
                "The instance '{}' is not in a state in which its volumes can be captured but '{}'.",
                instance.id, instance.state
            );
            return Err(ApiError::new("IncorrectInstanceState", message));
        }
        // "If you specify the ID of the root volume, the request fails."
        if let Some(root) = self.exclude.iter().find(|v| is_root(&instance, v)) {
            return Err(ApiError::new(
                "InvalidParameterValue",
                format!("Volume {root} is the root volume; use ExcludeBootVolume to exclude it"),
            ));
        }
        let attached = |v: &VolumeId| instance.volumes.iter().any(|a| a.volume == *v);
        if let Some(other) = self.exclude.iter().find(|v| !attached(v)) {
            return Err(volumes::not_found(other));
        }
        let wanted: Vec<VolumeId> = instance
            .volumes
            .iter()
            .map(|a| a.volume.clone())
            .filter(|v| !self.exclude.contains(v))
            .filter(|v| !(self.exclude_root && is_root(&instance, v)))
            .collect();
        if wanted.is_empty() {
            return Err(ApiError::new(
                "InvalidParameterValue",
                format!("No volume of instance {} is left", instance.id),
            ));
        }
        let mut made = Vec::new();
        for id in wanted {
            let volume = volume(cx, &id)?;
            let mut tags = match self.copy_tags {
                true => volume.tags.clone(),
                false => Tags::default(),
            };
            tags.set_all(&self.tags.of("snapshot").pairs())?;
            let description = self.description.clone();
            made.push(make(cx, &volume, Some(&instance), description, tags)?);
        }
        let mut x = Xml::new();
        x.list("snapshotSet", made, |x, s| {
            x.put("description", &s.description);
            write_tags(x, &s.tags);
            x.put("encrypted", s.encrypted)
                .put("volumeId", &s.volume)
                .put("state", s.state(now))
                .put("volumeSize", s.size_gib)
                .put("startTime", s.started)
                .put("progress", format!("{}%", s.percent(now)))
                .put("ownerId", &s.owner)
                .put("snapshotId", &s.id);
        });
        Ok(x)
    }
}
