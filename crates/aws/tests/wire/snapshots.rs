//! Snapshots and tags.

use crate::region;
use crate::server::Answer;
use cloud::{AccountId, Grant, Permissions, SnapshotId, SnapshotState, Tags};

#[tokio::test]
async fn only_own_snapshots_are_listed() {
    let (server, region) = region([Answer::xml(
        "<DescribeSnapshotsResponse><snapshotSet><item><snapshotId>snap-1</snapshotId><status>pending</status>\
         <startTime>2026-03-01T10:20:30.000Z</startTime>\
         <progress>45%</progress><description>Created by CreateImage(i-1) for ami-1</description></item></snapshotSet>\
         </DescribeSnapshotsResponse>",
    )])
    .await;
    let filters = [("tag:qib:run".to_owned(), vec!["r1".to_owned()])];
    let snapshots = region.snapshots(&filters).await.unwrap();
    assert_eq!(snapshots[0].state, SnapshotState::Pending);
    assert_eq!(snapshots[0].progress_percent, 45);
    assert_eq!(
        snapshots[0].started,
        Some("2026-03-01T10:20:30Z".parse().unwrap())
    );
    server.only_request().assert_params(&[
        ("Action", "DescribeSnapshots"),
        ("Owner.1", "self"),
        ("Filter.1.Name", "tag:qib:run"),
        ("Filter.1.Value.1", "r1"),
        ("MaxResults", "1000"),
    ]);
}

#[tokio::test]
async fn a_snapshot_is_deleted_and_deleting_it_again_is_done() {
    let (server, region) = region([
        Answer::xml("<DeleteSnapshotResponse><return>true</return></DeleteSnapshotResponse>"),
        Answer::ec2_error(400, "InvalidSnapshot.NotFound", "gone"),
    ])
    .await;
    let snapshot = SnapshotId::from("snap-1");
    region.delete_snapshot(&snapshot).await.unwrap();
    region.delete_snapshot(&snapshot).await.unwrap();
    server.requests()[0].assert_params(&[("Action", "DeleteSnapshot"), ("SnapshotId", "snap-1")]);
}

#[tokio::test]
async fn a_snapshot_is_shared_with_each_account() {
    let (server, region) = region([Answer::xml(
        "<ModifySnapshotAttributeResponse><return>true</return></ModifySnapshotAttributeResponse>",
    )])
    .await;
    region
        .change_snapshot_permissions(
            &SnapshotId::from("snap-1"),
            Grant::Add,
            &Permissions {
                accounts: [AccountId::from("111111111111")].into(),
                ..Permissions::default()
            },
        )
        .await
        .unwrap();
    server.only_request().assert_params(&[
        ("Action", "ModifySnapshotAttribute"),
        ("SnapshotId", "snap-1"),
        ("Attribute", "createVolumePermission"),
        ("CreateVolumePermission.Add.1.UserId", "111111111111"),
    ]);
}

#[tokio::test]
async fn several_resources_are_tagged_in_one_call() {
    let (server, region) = region([Answer::xml(
        "<CreateTagsResponse><return>true</return></CreateTagsResponse>",
    )])
    .await;
    let resources = ["ami-1".to_owned(), "snap-1".to_owned()];
    let tags = Tags::new().with("qib:complete", "yes");
    region.create_tags(&resources, &tags).await.unwrap();
    region.create_tags(&resources, &Tags::new()).await.unwrap();
    server.only_request().assert_params(&[
        ("Action", "CreateTags"),
        ("ResourceId.1", "ami-1"),
        ("ResourceId.2", "snap-1"),
        ("Tag.1.Key", "qib:complete"),
        ("Tag.1.Value", "yes"),
    ]);
}
