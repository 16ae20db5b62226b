//! Volumes.

use super::Action;
use super::block_devices::{VolumeWish, find_key};
use super::client_token::ClientToken;
use super::filter::Filters;
use super::page::{Page, write_token};
use super::params::Scope;
use super::snapshots;
use super::tag_specs::{TagSpecs, write_tags};
use super::xml::Xml;
use crate::account::image::Volume;
use crate::account::region::Region;
use crate::api::Cx;
use crate::api::error::ApiError;
use crate::ids::VolumeId;

/// EC2's answer to a volume that is not there.
pub(crate) fn not_found(id: &VolumeId) -> ApiError {
    ApiError::new(
        "InvalidVolume.NotFound",
        format!("The volume '{id}' does not exist."),
    )
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeVolumes.html>
pub(crate) struct DescribeVolumes {
    ids: Vec<VolumeId>,
    filters: Filters,
    page: Page,
}

impl Action for DescribeVolumes {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        let ids = p
            .texts("VolumeId")
            .into_iter()
            .map(VolumeId::parse)
            .collect::<Result<Vec<_>, _>>()?;
        let known = [
            "attachment.delete-on-termination",
            "attachment.device",
            "attachment.instance-id",
            "attachment.status",
            "availability-zone",
            "encrypted",
            "size",
            "snapshot-id",
            "status",
            "volume-id",
            "volume-type",
        ];
        let page = Page::parse(p, 5)?;
        page.excludes_ids("volumeIds", ids.len())?;
        Ok(Self {
            ids,
            filters: Filters::parse(p, &known)?,
            page,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let region = &*cx.region();
        if let Some(unknown) = self.ids.iter().find(|id| !region.volumes.contains_key(id)) {
            return Err(not_found(unknown));
        }
        let chosen = region
            .volumes
            .values()
            .filter(|v| self.ids.is_empty() || self.ids.contains(&v.id))
            .filter(|v| {
                self.filters.pass(&v.tags, |name| {
                    let attachment = attachment(region, v);
                    match name {
                        "attachment.delete-on-termination" => attachment
                            .map(|a| a.1.delete_on_termination.to_string())
                            .into_iter()
                            .collect(),
                        "attachment.device" => {
                            attachment.map(|a| a.1.device.clone()).into_iter().collect()
                        }
                        "attachment.instance-id" => {
                            attachment.map(|a| a.0.id.to_string()).into_iter().collect()
                        }
                        "attachment.status" => attachment
                            .map(|_| "attached".to_owned())
                            .into_iter()
                            .collect(),
                        "availability-zone" => vec![v.zone.clone()],
                        "encrypted" => vec![v.encrypted.to_string()],
                        "size" => vec![v.size_gib.to_string()],
                        "snapshot-id" => v.snapshot.iter().map(ToString::to_string).collect(),
                        "status" => vec![v.state().to_owned()],
                        "volume-type" => vec![v.volume_type.clone()],
                        _ => vec![v.id.to_string()],
                    }
                })
            });
        let (page, token) = self.page.cut(chosen.collect(), |v| v.id.to_string());
        let mut x = Xml::new();
        x.list("volumeSet", page, |x, v| write(x, region, v));
        write_token(&mut x, token);
        Ok(x)
    }
}

fn attachment<'a>(
    region: &'a Region,
    v: &Volume,
) -> Option<(
    &'a crate::account::instance::Instance,
    &'a crate::account::instance::VolumeAttachment,
)> {
    let instance = region.instances.get(v.attached_to.as_ref()?)?;
    Some((
        instance,
        instance.volumes.iter().find(|a| a.volume == v.id)?,
    ))
}

fn write(x: &mut Xml, region: &Region, v: &Volume) {
    x.put("volumeId", &v.id).put("size", v.size_gib).put(
        "snapshotId",
        v.snapshot
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
    );
    x.put("availabilityZone", &v.zone)
        .put("status", v.state())
        .put("createTime", v.created);
    x.list(
        "attachmentSet",
        attachment(region, v),
        |x, (instance, a)| {
            x.put("volumeId", &v.id)
                .put("instanceId", &instance.id)
                .put("device", &a.device)
                .put("status", "attached");
            x.put("attachTime", a.attached)
                .put("deleteOnTermination", a.delete_on_termination);
        },
    );
    write_tags(x, &v.tags);
    x.put("volumeType", &v.volume_type)
        .maybe("iops", v.iops)
        .maybe("throughput", v.throughput);
    x.put("encrypted", v.encrypted)
        .maybe("kmsKeyId", v.kms_key.as_ref())
        .put("multiAttachEnabled", false);
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateVolume.html>
pub(crate) struct CreateVolume {
    zone: String,
    wish: VolumeWish,
    tags: TagSpecs,
    token: Option<ClientToken>,
}

impl Action for CreateVolume {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        let mut wish = VolumeWish::parse(p)?;
        wish.size_gib = p.number("Size")?;
        Ok(Self {
            zone: p.required("AvailabilityZone")?.to_owned(),
            wish,
            tags: TagSpecs::parse(p, &["volume"])?,
            token: ClientToken::parse(p)?,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let now = cx.now;
        let mut x = Xml::new();
        if let Some(token) = &self.token
            && let Some(made) = token.made_before(cx, "CreateVolume")?
        {
            let region = &*cx.region();
            let id = VolumeId::parse(&made)?;
            write(
                &mut x,
                region,
                region.volumes.get(&id).ok_or_else(|| not_found(&id))?,
            );
            return Ok(x);
        }
        if !cx.region().subnets.values().any(|s| s.zone == self.zone) {
            return Err(ApiError::new(
                "InvalidZone.NotFound",
                format!("The zone '{}' does not exist.", self.zone),
            ));
        }
        let snapshot = self.wish.snapshot.as_ref();
        let snapshot = snapshot.map(|id| snapshots::usable(cx, id)).transpose()?;
        if snapshot.is_none() && self.wish.size_gib.is_none() {
            return Err(ApiError::missing("Size"));
        }
        let mut ebs = self.wish.resolve("volume", None, snapshot.as_ref())?;
        let unusable_key = find_key(cx, &mut ebs).is_err();
        let volume = Volume {
            id: VolumeId::random(),
            size_gib: ebs.size_gib,
            volume_type: ebs.volume_type,
            iops: ebs.iops,
            throughput: ebs.throughput,
            encrypted: ebs.encrypted,
            kms_key: ebs.kms_key,
            snapshot: ebs.snapshot,
            zone: self.zone,
            created: now,
            attached_to: None,
            client_token: self.token.as_ref().map(|t| t.text().to_owned()),
            tags: self.tags.of("volume"),
        };
        if let Some(token) = self.token {
            token.remember(cx, "CreateVolume", volume.id.as_str());
        }
        let region = cx.region();
        write(&mut x, region, &volume);
        // "If you specify a key that is not valid, the action can appear to complete, but eventually fails": the volume is gone.
        if !unusable_key {
            region.volumes.insert(volume.id.clone(), volume);
        }
        Ok(x)
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteVolume.html>
pub(crate) struct DeleteVolume {
    id: VolumeId,
}

impl Action for DeleteVolume {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        Ok(Self {
            id: VolumeId::parse(p.required("VolumeId")?)?,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let volumes = &mut cx.region().volumes;
        let volume = volumes.get(&self.id).ok_or_else(|| not_found(&self.id))?;
        if let Some(instance) = &volume.attached_to {
            return Err(ApiError::new(
                "VolumeInUse",
                format!("Volume {} is currently attached to {instance}", self.id),
            ));
        }
        volumes.remove(&self.id);
        Ok(super::done())
    }
}
