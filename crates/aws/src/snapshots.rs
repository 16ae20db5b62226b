//! Snapshots: DescribeSnapshots, DeleteSnapshot, CreateSnapshots, DescribeSnapshotAttribute, ModifySnapshotAttribute,
//! GetSnapshotBlockPublicAccessState.

use crate::answer::{BadAnswer, moment, required, unreadable};
use crate::classify::failed;
use crate::{filters, tagging};
use aws_sdk_ec2::Client;
use aws_sdk_ec2::operation::create_snapshots::builders::CreateSnapshotsFluentBuilder;
use aws_sdk_ec2::types::{
    self, CreateVolumePermission, CreateVolumePermissionModifications, InstanceSpecification,
    PermissionGroup, ResourceType, SnapshotAttributeName, SnapshotBlockPublicAccessState,
};
use cloud::port::Result;
use cloud::{
    AccountId, CloudError, ErrorKind, Grant, Permissions, PublicSharing, Snapshot, SnapshotId,
    SnapshotState, SnapshotsRequest, VolumeId, VolumeSnapshot,
};

pub(crate) async fn describe(
    ec2: &Client,
    given: &[(String, Vec<String>)],
) -> Result<Vec<Snapshot>> {
    const CALL: &str = "DescribeSnapshots";
    let mut pages = ec2
        .describe_snapshots()
        // Without an owner EC2 lists every public snapshot of the region.
        .owner_ids("self")
        .set_filters(filters::filters(given))
        .into_paginator()
        .page_size(filters::PAGE)
        .items()
        .send();
    let mut snapshots = Vec::new();
    while let Some(answered) = pages.try_next().await.map_err(failed(CALL))? {
        snapshots.push(snapshot(&answered).map_err(BadAnswer::to(CALL))?);
    }
    Ok(snapshots)
}

fn snapshot(answered: &types::Snapshot) -> std::result::Result<Snapshot, BadAnswer> {
    let state = required(answered.state(), "status")?;
    Ok(Snapshot {
        snapshot_id: SnapshotId::from(required(answered.snapshot_id(), "snapshotId")?),
        state: match state {
            types::SnapshotState::Pending => SnapshotState::Pending,
            types::SnapshotState::Completed => SnapshotState::Completed,
            other => SnapshotState::Failed(match answered.state_message() {
                Some(message) if !message.is_empty() => format!("{}: {message}", other.as_str()),
                _ => other.as_str().to_owned(),
            }),
        },
        progress_percent: percent(answered.progress().unwrap_or_default()),
        description: answered.description().unwrap_or_default().to_owned(),
        volume_gib: answered
            .volume_size()
            .and_then(|size| u32::try_from(size).ok())
            .unwrap_or_default(),
        kms_key_id: answered.kms_key_id().map(str::to_owned),
        started: answered.start_time().and_then(moment),
        tags: tagging::tags(answered.tags()),
    })
}

/// EC2 writes `45%`, and nothing at all at the start: progress is shown, never decided upon, so what is not a number
/// counts as none.
fn percent(progress: &str) -> u8 {
    progress
        .trim_end_matches('%')
        .parse()
        .map_or(0, |percent: u8| percent.min(100))
}

pub(crate) async fn delete(ec2: &Client, snapshot: &SnapshotId) -> Result<()> {
    match ec2
        .delete_snapshot()
        .snapshot_id(snapshot.as_str())
        .send()
        .await
        .map_err(failed("DeleteSnapshot"))
    {
        Ok(_) => Ok(()),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error.about(snapshot)),
    }
}

pub(crate) async fn create(
    ec2: &Client,
    request: &SnapshotsRequest,
) -> Result<Vec<VolumeSnapshot>> {
    const CALL: &str = "CreateSnapshots";
    let answer = create_parameters(ec2.create_snapshots(), request)
        .send()
        .await
        .map_err(|error| failed(CALL)(error).about(&request.instance_id))?;
    let made = answer.snapshots().iter().map(|made| {
        Ok(VolumeSnapshot {
            snapshot_id: SnapshotId::from(required(made.snapshot_id(), "snapshotId")?),
            volume_id: VolumeId::from(required(made.volume_id(), "volumeId")?),
        })
    });
    made.collect::<std::result::Result<_, _>>()
        .map_err(|bad| BadAnswer::to(CALL)(bad).about(&request.instance_id))
}

/// What is left out keeps EC2's default.
pub(crate) fn create_parameters(
    call: CreateSnapshotsFluentBuilder,
    request: &SnapshotsRequest,
) -> CreateSnapshotsFluentBuilder {
    let excluded: Vec<String> = request.excluded.iter().map(ToString::to_string).collect();
    let excluded = (!excluded.is_empty()).then_some(excluded);
    call.instance_specification(
        InstanceSpecification::builder()
            .instance_id(request.instance_id.as_str())
            .set_exclude_data_volume_ids(excluded)
            .build(),
    )
    .set_description((!request.description.is_empty()).then(|| request.description.clone()))
    .set_tag_specifications(tagging::specifications([(
        ResourceType::Snapshot,
        request.tags.clone(),
    )]))
}

/// DescribeSnapshotAttribute.
pub(crate) async fn permissions(ec2: &Client, snapshot: &SnapshotId) -> Result<Permissions> {
    const CALL: &str = "DescribeSnapshotAttribute";
    let answer = ec2
        .describe_snapshot_attribute()
        .snapshot_id(snapshot.as_str())
        .attribute(SnapshotAttributeName::CreateVolumePermission)
        .send()
        .await
        .map_err(|error| failed(CALL)(error).about(snapshot))?;
    let mut permissions = Permissions::default();
    for answered in answer.create_volume_permissions() {
        match (answered.group(), answered.user_id()) {
            (Some(PermissionGroup::All), _) => permissions.public = true,
            (None, Some(account)) => {
                permissions.accounts.insert(AccountId::from(account));
            }
            (group, None) | (group @ Some(_), Some(_)) => {
                let bad = BadAnswer {
                    field: "group",
                    value: group.map(|group| group.as_str().to_owned()),
                };
                return Err(BadAnswer::to(CALL)(bad).about(snapshot));
            }
        }
    }
    Ok(permissions)
}

/// ModifySnapshotAttribute.
pub(crate) async fn change_permissions(
    ec2: &Client,
    snapshot: &SnapshotId,
    grant: Grant,
    permissions: &Permissions,
) -> Result<()> {
    const CALL: &str = "ModifySnapshotAttribute";
    if permissions.is_empty() {
        return Ok(());
    }
    if !permissions.organizations.is_empty() || !permissions.organizational_units.is_empty() {
        return Err(CloudError {
            kind: ErrorKind::InvalidInput,
            message:
                "a snapshot can be shared with accounts and with everyone, not with organisations"
                    .to_owned(),
            ..unreadable(CALL)
        }
        .about(snapshot));
    }
    let one = CreateVolumePermission::builder;
    let accounts = permissions.accounts.iter();
    let changed = accounts
        .map(|account| one().user_id(account.as_str()).build())
        .chain(
            permissions
                .public
                .then(|| one().group(PermissionGroup::All).build()),
        )
        .collect();
    let change = CreateVolumePermissionModifications::builder();
    let change = match grant {
        Grant::Add => change.set_add(Some(changed)),
        Grant::Remove => change.set_remove(Some(changed)),
    };
    ec2.modify_snapshot_attribute()
        .snapshot_id(snapshot.as_str())
        .attribute(SnapshotAttributeName::CreateVolumePermission)
        .create_volume_permission(change.build())
        .send()
        .await
        .map_err(|error| failed(CALL)(error).about(snapshot))?;
    Ok(())
}

/// GetSnapshotBlockPublicAccessState: `unblocked`, `block-new-sharing` or `block-all-sharing`.
pub(crate) async fn public_sharing(ec2: &Client) -> Result<PublicSharing> {
    const CALL: &str = "GetSnapshotBlockPublicAccessState";
    let answer = ec2
        .get_snapshot_block_public_access_state()
        .send()
        .await
        .map_err(failed(CALL))?;
    match required(answer.state(), "state").map_err(BadAnswer::to(CALL))? {
        SnapshotBlockPublicAccessState::Unblocked => Ok(PublicSharing::Allowed),
        _ => Ok(PublicSharing::Blocked),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_read_as_ec2_writes_it() {
        assert_eq!(percent("45%"), 45);
        assert_eq!(percent("100%"), 100);
        assert_eq!(percent(""), 0);
        assert_eq!(percent("n/a"), 0);
    }

    #[test]
    fn a_failed_snapshot_says_why() {
        let answered = types::Snapshot::builder()
            .snapshot_id("snap-1")
            .state(types::SnapshotState::Error)
            .state_message("the KMS key is disabled")
            .build();
        assert_eq!(
            snapshot(&answered).unwrap().state,
            SnapshotState::Failed("error: the KMS key is disabled".to_owned())
        );
    }
}
