//! Who may use images and snapshots.

use crate::region;
use crate::server::Answer;
use cloud::{AccountId, ErrorKind, Grant, ImageId, Permissions, PublicSharing, SnapshotId};

const ORGANIZATION: &str = "arn:aws:organizations::123456789012:organization/o-a1";
const UNIT: &str = "arn:aws:organizations::123456789012:ou/o-a1/ou-b2";

fn everyone() -> Permissions {
    Permissions {
        public: true,
        accounts: [AccountId::from("111111111111")].into(),
        organizations: [ORGANIZATION.to_owned()].into(),
        organizational_units: [UNIT.to_owned()].into(),
    }
}

const DONE: &str =
    "<ModifyImageAttributeResponse><return>true</return></ModifyImageAttributeResponse>";

#[tokio::test]
async fn an_image_is_shared_with_all_kinds_in_one_call_and_taken_back() {
    let (server, region) = region([Answer::xml(DONE), Answer::xml(DONE)]).await;
    let image = ImageId::from("ami-1");
    for grant in [Grant::Add, Grant::Remove] {
        region
            .change_image_permissions(&image, grant, &everyone())
            .await
            .unwrap();
    }
    let requests = server.requests();
    requests[0].assert_params(&[
        ("Action", "ModifyImageAttribute"),
        ("ImageId", "ami-1"),
        ("LaunchPermission.Add.1.UserId", "111111111111"),
        ("LaunchPermission.Add.2.OrganizationArn", ORGANIZATION),
        ("LaunchPermission.Add.3.OrganizationalUnitArn", UNIT),
        ("LaunchPermission.Add.4.Group", "all"),
    ]);
    requests[1].assert_params(&[
        ("Action", "ModifyImageAttribute"),
        ("ImageId", "ami-1"),
        ("LaunchPermission.Remove.1.UserId", "111111111111"),
        ("LaunchPermission.Remove.2.OrganizationArn", ORGANIZATION),
        ("LaunchPermission.Remove.3.OrganizationalUnitArn", UNIT),
        ("LaunchPermission.Remove.4.Group", "all"),
    ]);
}

#[tokio::test]
async fn who_may_launch_an_image_is_read() {
    let (server, region) = region([
        Answer::xml(format!(
            "<DescribeImageAttributeResponse><imageId>ami-1</imageId><launchPermission>\
             <item><group>all</group></item><item><userId>111111111111</userId></item>\
             <item><organizationArn>{ORGANIZATION}</organizationArn></item>\
             <item><organizationalUnitArn>{UNIT}</organizationalUnitArn></item>\
             </launchPermission></DescribeImageAttributeResponse>"
        )),
        Answer::xml(
            "<DescribeImageAttributeResponse><imageId>ami-1</imageId><launchPermission/>\
             </DescribeImageAttributeResponse>",
        ),
    ])
    .await;
    let image = ImageId::from("ami-1");
    assert_eq!(region.image_permissions(&image).await.unwrap(), everyone());
    assert!(region.image_permissions(&image).await.unwrap().is_empty());
    server.requests()[0].assert_params(&[
        ("Action", "DescribeImageAttribute"),
        ("ImageId", "ami-1"),
        ("Attribute", "launchPermission"),
    ]);
}

#[tokio::test]
async fn a_snapshot_is_shared_with_accounts_and_everyone_only() {
    let (server, region) = region([Answer::xml(
        "<ModifySnapshotAttributeResponse><return>true</return></ModifySnapshotAttributeResponse>",
    )])
    .await;
    let snapshot = SnapshotId::from("snap-1");
    let refused = region
        .change_snapshot_permissions(&snapshot, Grant::Add, &everyone())
        .await
        .unwrap_err();
    assert_eq!(refused.kind, ErrorKind::InvalidInput);
    assert!(refused.message.contains("organisations"), "{refused}");
    let possible = Permissions {
        public: true,
        accounts: [AccountId::from("111111111111")].into(),
        ..Permissions::default()
    };
    region
        .change_snapshot_permissions(&snapshot, Grant::Remove, &possible)
        .await
        .unwrap();
    server.only_request().assert_params(&[
        ("Action", "ModifySnapshotAttribute"),
        ("SnapshotId", "snap-1"),
        ("Attribute", "createVolumePermission"),
        ("CreateVolumePermission.Remove.1.UserId", "111111111111"),
        ("CreateVolumePermission.Remove.2.Group", "all"),
    ]);
}

#[tokio::test]
async fn who_may_use_a_snapshot_is_read() {
    let (server, region) = region([
        Answer::xml(
            "<DescribeSnapshotAttributeResponse><snapshotId>snap-1</snapshotId><createVolumePermission>\
             <item><group>all</group></item><item><userId>111111111111</userId></item>\
             </createVolumePermission></DescribeSnapshotAttributeResponse>",
        ),
        Answer::xml(
            "<DescribeSnapshotAttributeResponse><snapshotId>snap-1</snapshotId><createVolumePermission>\
             <item><group>friends</group></item></createVolumePermission></DescribeSnapshotAttributeResponse>",
        ),
    ])
    .await;
    let snapshot = SnapshotId::from("snap-1");
    let permissions = region.snapshot_permissions(&snapshot).await.unwrap();
    assert!(permissions.public);
    assert!(permissions.accounts.contains(&"111111111111".into()));
    server.requests()[0].assert_params(&[
        ("Action", "DescribeSnapshotAttribute"),
        ("SnapshotId", "snap-1"),
        ("Attribute", "createVolumePermission"),
    ]);
    // What is not known must not be taken for nobody.
    let error = region.snapshot_permissions(&snapshot).await.unwrap_err();
    assert!(error.message.contains("friends"), "{error}");
}

#[tokio::test]
async fn whether_the_account_lets_things_be_public_is_read() {
    let images = |state: &str| {
        Answer::xml(format!(
            "<GetImageBlockPublicAccessStateResponse><imageBlockPublicAccessState>{state}\
             </imageBlockPublicAccessState></GetImageBlockPublicAccessStateResponse>"
        ))
    };
    let snapshots = |state: &str| {
        Answer::xml(format!(
            "<GetSnapshotBlockPublicAccessStateResponse><state>{state}</state>\
             </GetSnapshotBlockPublicAccessStateResponse>"
        ))
    };
    let (server, region) = region([
        images("unblocked"),
        images("block-new-sharing"),
        snapshots("unblocked"),
        snapshots("block-new-sharing"),
        snapshots("block-all-sharing"),
        images(""),
    ])
    .await;
    let (allowed, blocked) = (PublicSharing::Allowed, PublicSharing::Blocked);
    assert_eq!(region.public_images().await.unwrap(), allowed);
    assert_eq!(region.public_images().await.unwrap(), blocked);
    assert_eq!(region.public_snapshots().await.unwrap(), allowed);
    assert_eq!(region.public_snapshots().await.unwrap(), blocked);
    assert_eq!(region.public_snapshots().await.unwrap(), blocked);
    assert_eq!(region.public_images().await.unwrap(), blocked);
    let requests = server.requests();
    requests[0].assert_params(&[("Action", "GetImageBlockPublicAccessState")]);
    requests[2].assert_params(&[("Action", "GetSnapshotBlockPublicAccessState")]);
}
