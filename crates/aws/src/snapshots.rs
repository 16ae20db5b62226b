//! Snapshots: DescribeSnapshots, DeleteSnapshot, ModifySnapshotAttribute.

use crate::answer::{BadAnswer, moment, required};
use crate::classify::failed;
use crate::{filters, tagging};
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{
    self, CreateVolumePermission, CreateVolumePermissionModifications, SnapshotAttributeName,
};
use cloud::port::Result;
use cloud::{AccountId, ErrorKind, Snapshot, SnapshotId, SnapshotState};

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

pub(crate) async fn share(
    ec2: &Client,
    snapshot: &SnapshotId,
    accounts: &[AccountId],
) -> Result<()> {
    if accounts.is_empty() {
        return Ok(());
    }
    let added = accounts
        .iter()
        .map(|account| {
            CreateVolumePermission::builder()
                .user_id(account.as_str())
                .build()
        })
        .collect();
    ec2.modify_snapshot_attribute()
        .snapshot_id(snapshot.as_str())
        .attribute(SnapshotAttributeName::CreateVolumePermission)
        .create_volume_permission(
            CreateVolumePermissionModifications::builder()
                .set_add(Some(added))
                .build(),
        )
        .send()
        .await
        .map_err(|error| failed("ModifySnapshotAttribute")(error).about(snapshot))?;
    Ok(())
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
