//! EBS volumes: DescribeVolumes, DeleteVolume.

use crate::answer::{BadAnswer, moment, required};
use crate::classify::failed;
use crate::{filters, tagging};
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types;
use cloud::port::Result;
use cloud::{ErrorKind, InstanceId, Volume, VolumeId};

pub(crate) async fn describe(
    ec2: &Client,
    wanted: &[(String, Vec<String>)],
) -> Result<Vec<Volume>> {
    const CALL: &str = "DescribeVolumes";
    let mut volumes = Vec::new();
    let mut pages = ec2
        .describe_volumes()
        .set_filters(filters::filters(wanted))
        .into_paginator()
        .page_size(filters::PAGE)
        .send();
    while let Some(page) = pages.try_next().await.map_err(failed(CALL))? {
        for answered in page.volumes() {
            volumes.push(volume(answered).map_err(BadAnswer::to(CALL))?);
        }
    }
    Ok(volumes)
}

fn volume(answered: &types::Volume) -> std::result::Result<Volume, BadAnswer> {
    Ok(Volume {
        volume_id: VolumeId::from(required(answered.volume_id(), "volumeId")?),
        state: required(answered.state(), "status")?.as_str().to_owned(),
        attached_to: answered
            .attachments()
            .iter()
            .filter_map(|attachment| attachment.instance_id().map(InstanceId::from))
            .collect(),
        created: answered.create_time().and_then(moment),
        tags: tagging::tags(answered.tags()),
    })
}

pub(crate) async fn delete(ec2: &Client, volume: &VolumeId) -> Result<()> {
    match ec2
        .delete_volume()
        .volume_id(volume.as_str())
        .send()
        .await
        .map_err(failed("DeleteVolume"))
    {
        Ok(_) => Ok(()),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error.about(volume)),
    }
}
