//! Images that are made otherwise than from an instance.

use crate::region;
use crate::server::Answer;
use cloud::{
    CopyRequest, EbsVolume, ErrorKind, ImageId, ImageRequest, InstanceId, RegionName,
    RegisterRequest, SnapshotsRequest, Tags,
};

pub fn copy() -> CopyRequest {
    CopyRequest {
        client_token: "token-1".to_owned(),
        source_region: RegionName::from("us-west-2"),
        source_image: ImageId::from("ami-1"),
        name: "base-1".to_owned(),
        description: String::new(),
        encrypted: false,
        kms_key_id: None,
        image_tags: Tags::new(),
        snapshot_tags: Tags::new(),
    }
}

const COPIED: &str = "<CopyImageResponse><imageId>ami-2</imageId></CopyImageResponse>";

#[tokio::test]
async fn a_copy_is_asked_for_in_the_region_it_is_for() {
    let (server, region) = region([Answer::xml(COPIED)]).await;
    assert_eq!(region.copy_image(&copy()).await.unwrap().as_str(), "ami-2");
    let request = server.only_request();
    request.assert_signed_for("us-east-2", "ec2");
    request.assert_params(&[
        ("Action", "CopyImage"),
        ("ClientToken", "token-1"),
        ("SourceRegion", "us-west-2"),
        ("SourceImageId", "ami-1"),
        ("Name", "base-1"),
    ]);
}

#[tokio::test]
async fn a_copy_is_encrypted_and_tagged_in_the_same_call() {
    let (server, region) = region([Answer::xml(COPIED)]).await;
    let request = CopyRequest {
        description: "the base".to_owned(),
        encrypted: true,
        kms_key_id: Some("alias/images".to_owned()),
        image_tags: Tags::new().with("qib:run", "r1"),
        snapshot_tags: Tags::new().with("qib:run", "r1"),
        ..copy()
    };
    region.copy_image(&request).await.unwrap();
    server.only_request().assert_params(&[
        ("Action", "CopyImage"),
        ("ClientToken", "token-1"),
        ("SourceRegion", "us-west-2"),
        ("SourceImageId", "ami-1"),
        ("Name", "base-1"),
        ("Description", "the base"),
        ("Encrypted", "true"),
        ("KmsKeyId", "alias/images"),
        ("TagSpecification.1.ResourceType", "image"),
        ("TagSpecification.1.Tag.1.Key", "qib:run"),
        ("TagSpecification.1.Tag.1.Value", "r1"),
        ("TagSpecification.2.ResourceType", "snapshot"),
        ("TagSpecification.2.Tag.1.Key", "qib:run"),
        ("TagSpecification.2.Tag.1.Value", "r1"),
    ]);
}

#[tokio::test]
async fn too_many_copies_are_a_limit_and_no_lack_of_patience() {
    let message =
        "Too many snapshot copies in progress. The limit is 20 for this destination region.";
    let (_server, region) =
        region([Answer::ec2_error(400, "ResourceLimitExceeded", message)]).await;
    let error = region.copy_image(&copy()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Quota);
    assert_eq!(error.code, "ResourceLimitExceeded");
    assert_eq!(error.resource.as_deref(), Some("ami-1"));
}

pub fn registration() -> RegisterRequest {
    RegisterRequest {
        name: "base-1".to_owned(),
        description: String::new(),
        architecture: "arm64".to_owned(),
        virtualization: "hvm".to_owned(),
        root_device: "/dev/xvda".to_owned(),
        volumes: vec![EbsVolume {
            device: "/dev/xvda".to_owned(),
            snapshot_id: Some("snap-1".into()),
            ..EbsVolume::default()
        }],
        boot_mode: None,
        tpm: None,
        uefi_data: None,
        imds_v2: false,
        ena: None,
        sriov: false,
        image_tags: Tags::new(),
    }
}

const REGISTERED: &str = "<RegisterImageResponse><imageId>ami-3</imageId></RegisterImageResponse>";
const LEAST: &[(&str, &str)] = &[
    ("Action", "RegisterImage"),
    ("Name", "base-1"),
    ("Architecture", "arm64"),
    ("VirtualizationType", "hvm"),
    ("RootDeviceName", "/dev/xvda"),
    ("BlockDeviceMapping.1.DeviceName", "/dev/xvda"),
    ("BlockDeviceMapping.1.Ebs.SnapshotId", "snap-1"),
];

#[tokio::test]
async fn the_least_of_a_registration() {
    let (server, region) = region([Answer::xml(REGISTERED)]).await;
    let image = region.register_image(&registration()).await.unwrap();
    assert_eq!(image.as_str(), "ami-3");
    server.only_request().assert_params(LEAST);
}

#[tokio::test]
async fn what_only_a_registration_can_give_an_image() {
    let (server, region) = region([Answer::xml(REGISTERED)]).await;
    let request = RegisterRequest {
        description: "the base".to_owned(),
        boot_mode: Some("uefi-preferred".to_owned()),
        tpm: Some("v2.0".to_owned()),
        uefi_data: Some("QU1aTlVFRkk=".to_owned()),
        imds_v2: true,
        ena: Some(true),
        sriov: true,
        image_tags: Tags::new().with("qib:run", "r1"),
        ..registration()
    };
    region.register_image(&request).await.unwrap();
    let more = [
        ("Description", "the base"),
        ("BootMode", "uefi-preferred"),
        ("TpmSupport", "v2.0"),
        ("UefiData", "QU1aTlVFRkk="),
        ("ImdsSupport", "v2.0"),
        ("EnaSupport", "true"),
        ("SriovNetSupport", "simple"),
        ("TagSpecification.1.ResourceType", "image"),
        ("TagSpecification.1.Tag.1.Key", "qib:run"),
        ("TagSpecification.1.Tag.1.Value", "r1"),
    ];
    let all: Vec<_> = LEAST.iter().chain(&more).copied().collect();
    server.only_request().assert_params(&all);
}

#[tokio::test]
async fn all_volumes_of_an_instance_are_snapshot_at_once() {
    let (server, region) = region([Answer::xml(
        "<CreateSnapshotsResponse><snapshotSet><item><snapshotId>snap-1</snapshotId><volumeId>vol-1</volumeId></item>\
         <item><snapshotId>snap-2</snapshotId><volumeId>vol-2</volumeId></item></snapshotSet></CreateSnapshotsResponse>",
    )])
    .await;
    let request = SnapshotsRequest {
        instance_id: InstanceId::from("i-1"),
        excluded: vec!["vol-3".into()],
        description: "base-1".to_owned(),
        tags: Tags::new().with("qib:run", "r1"),
    };
    let made = region.create_snapshots(&request).await.unwrap();
    let pairs: Vec<_> = made
        .iter()
        .map(|one| (one.snapshot_id.as_str(), one.volume_id.as_str()))
        .collect();
    assert_eq!(pairs, [("snap-1", "vol-1"), ("snap-2", "vol-2")]);
    server.only_request().assert_params(&[
        ("Action", "CreateSnapshots"),
        ("InstanceSpecification.InstanceId", "i-1"),
        ("InstanceSpecification.ExcludeDataVolumeId.1", "vol-3"),
        ("Description", "base-1"),
        ("TagSpecification.1.ResourceType", "snapshot"),
        ("TagSpecification.1.Tag.1.Key", "qib:run"),
        ("TagSpecification.1.Tag.1.Value", "r1"),
    ]);
}

#[tokio::test]
async fn a_snapshot_without_its_volume_is_a_bad_answer() {
    let (_server, region) = region([Answer::xml(
        "<CreateSnapshotsResponse><snapshotSet><item><snapshotId>snap-1</snapshotId></item></snapshotSet>\
         </CreateSnapshotsResponse>",
    )])
    .await;
    let request = SnapshotsRequest {
        instance_id: InstanceId::from("i-1"),
        excluded: Vec::new(),
        description: String::new(),
        tags: Tags::new(),
    };
    let error = region.create_snapshots(&request).await.unwrap_err();
    assert!(error.message.contains("volumeId"), "{error}");
}

#[tokio::test]
async fn a_device_is_left_out_of_an_image() {
    let (server, region) = region([Answer::xml(
        "<CreateImageResponse><imageId>ami-9</imageId></CreateImageResponse>",
    )])
    .await;
    let request = ImageRequest {
        left_out_devices: vec!["/dev/sdb".to_owned()],
        instance_id: InstanceId::from("i-1"),
        capture: cloud::Capture::Stopped,
        name: "base-1".to_owned(),
        description: String::new(),
        volumes: Vec::new(),
        image_tags: Tags::new(),
        snapshot_tags: Tags::new(),
    };
    region.create_image(&request).await.unwrap();
    server.only_request().assert_params(&[
        ("Action", "CreateImage"),
        ("InstanceId", "i-1"),
        ("Name", "base-1"),
        ("NoReboot", "true"),
        ("BlockDeviceMapping.1.DeviceName", "/dev/sdb"),
        ("BlockDeviceMapping.1.NoDevice", ""),
    ]);
}
