//! Images, snapshots and their layers.
// A test is an edge.
#![allow(clippy::disallowed_methods)]

mod support;

use emulator::config::{Delays, EmulatorConfig};
use support::LocalEc2;

#[tokio::test(flavor = "multi_thread")]
async fn an_image_holds_the_disk_and_boots_from_its_chain() {
    let ec2 = LocalEc2::new();
    let first = ec2.stopped().await;
    let base = ec2.image_of(&first, "base image").await;
    let second = ec2.running(&[("ImageId", &base)]).await;
    let spec = ec2.guests.spec(&second).unwrap();
    assert_eq!(spec.image_layers.len(), 1);
    ec2.ec2("StopInstances", &[("InstanceId.1", &second)]).ok();
    ec2.state(&second, "stopped").await;
    let top = ec2.image_of(&second, "top image").await;
    let third = ec2.running(&[("ImageId", &top)]).await;
    let chain = ec2.guests.spec(&third).unwrap().image_layers;
    assert_eq!(chain.len(), 2);
    assert_eq!(chain[1], spec.image_layers[0], "topmost first");
    let shown = ec2.ec2("DescribeImages", &[("ImageId.1", &top)]).ok();
    assert_eq!(shown.text("sourceImageId").unwrap(), base);
    assert_eq!(shown.text("name").unwrap(), "top image");
}

#[tokio::test(flavor = "multi_thread")]
async fn layers_go_when_nobody_needs_them() {
    let ec2 = LocalEc2::new();
    let instance = ec2.stopped().await;
    let image = ec2.image_of(&instance, "base image").await;
    let layers = || {
        std::fs::read_dir(ec2.path().join("layers"))
            .unwrap()
            .count()
    };
    assert_eq!(layers(), 1);
    let snapshot = ec2
        .ec2("DescribeImages", &[("ImageId.1", &image)])
        .text("snapshotId")
        .unwrap();
    assert_eq!(
        ec2.ec2("DeleteSnapshot", &[("SnapshotId", &snapshot)])
            .code(),
        "InvalidSnapshot.InUse"
    );
    ec2.ec2("DeregisterImage", &[("ImageId", &image)]).ok();
    assert_eq!(
        ec2.ec2("DescribeImages", &[("ImageId.1", &image)]).code(),
        "InvalidAMIID.NotFound"
    );
    ec2.ec2("DeleteSnapshot", &[("SnapshotId", &snapshot)]).ok();
    assert_eq!(
        ec2.ec2("DeleteSnapshot", &[("SnapshotId", &snapshot)])
            .code(),
        "InvalidSnapshot.NotFound"
    );
    // The instance still boots from the layer that was taken from it.
    ec2.ec2("StartInstances", &[("InstanceId.1", &instance)])
        .ok();
    ec2.state(&instance, "running").await;
    assert_eq!(ec2.guests.spec(&instance).unwrap().image_layers.len(), 1);
    ec2.ec2("TerminateInstances", &[("InstanceId.1", &instance)])
        .ok();
    ec2.state(&instance, "terminated").await;
    ec2.until("DescribeInstances", &[], |_| layers() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_instance_is_rebooted_for_its_image() {
    let ec2 = LocalEc2::new();
    let instance = ec2.running(&[]).await;
    let refused = ec2.ec2(
        "CreateImage",
        &[
            ("InstanceId", &instance),
            ("Name", "abc"),
            ("NoReboot", "true"),
        ],
    );
    assert_eq!(refused.code(), "UnsupportedOperation");
    ec2.image_of(&instance, "abc").await;
    ec2.state(&instance, "running").await;
    let booted = |_: &support::Answer| {
        ec2.guests
            .spec(&instance)
            .is_some_and(|s| s.image_layers.len() == 1)
    };
    ec2.until("DescribeInstances", &[], booted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_checked_and_unique() {
    let ec2 = LocalEc2::new();
    let instance = ec2.stopped().await;
    let create = |name: &str| ec2.ec2("CreateImage", &[("InstanceId", &instance), ("Name", name)]);
    for bad in ["ab", "a:b:c", "naïve", &"x".repeat(129)] {
        assert_eq!(create(bad).code(), "InvalidAMIName.Malformed", "{bad}");
    }
    create("OCP-Content 4.12 (x) [y] 'z' a@b/c_d").ok();
    assert_eq!(
        create("OCP-Content 4.12 (x) [y] 'z' a@b/c_d").code(),
        "InvalidAMIName.Duplicate"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_are_there_from_the_start() {
    let ec2 = LocalEc2::new();
    let instance = ec2.stopped().await;
    let tags = [
        ("InstanceId", instance.as_str()),
        ("Name", "tagged"),
        ("TagSpecification.1.ResourceType", "image"),
        ("TagSpecification.1.Tag.1.Key", "qib:run"),
        ("TagSpecification.1.Tag.1.Value", "r1"),
        ("TagSpecification.2.ResourceType", "snapshot"),
        ("TagSpecification.2.Tag.1.Key", "qib:run"),
        ("TagSpecification.2.Tag.1.Value", "r1"),
    ];
    ec2.ec2("CreateImage", &tags).ok();
    for action in ["DescribeImages", "DescribeSnapshots"] {
        let found = ec2
            .ec2(
                action,
                &[("Filter.1.Name", "tag:qib:run"), ("Filter.1.Value.1", "r1")],
            )
            .ok();
        assert_eq!(found.texts("tagSet/item/value"), ["r1"], "{action}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_in_another_region_shares_the_disk_and_nothing_else() {
    let ec2 = LocalEc2::new();
    let instance = ec2.stopped().await;
    let image = ec2.image_of(&instance, "base image").await;
    ec2.ec2(
        "CreateTags",
        &[
            ("ResourceId.1", &image),
            ("Tag.1.Key", "a"),
            ("Tag.1.Value", "b"),
        ],
    )
    .ok();
    let far = ec2.in_region("eu-west-1");
    let copy = [
        ("SourceImageId", image.as_str()),
        ("SourceRegion", "us-east-2"),
        ("Name", "copy"),
        ("ClientToken", "t"),
    ];
    let id = far.ec2("CopyImage", &copy).ok().text("imageId").unwrap();
    assert_eq!(
        far.ec2("CopyImage", &copy).ok().text("imageId").unwrap(),
        id,
        "the same token makes the same copy"
    );
    let shown = far.ec2("DescribeImages", &[("ImageId.1", &id)]).ok();
    assert_eq!(
        (
            shown.text("sourceImageId").unwrap(),
            shown.text("sourceImageRegion").unwrap()
        ),
        (image.clone(), "us-east-2".into())
    );
    assert!(shown.texts("tagSet/item/key").is_empty());
    assert_eq!(
        ec2.ec2("DescribeImages", &[("ImageId.1", &id)]).code(),
        "InvalidAMIID.NotFound"
    );
    ec2.ec2(
        "DeregisterImage",
        &[("ImageId", &image), ("DeleteAssociatedSnapshots", "true")],
    )
    .ok();
    let there = far.running(&[("ImageId", &id)]).await;
    assert_eq!(far.guests.spec(&there).unwrap().image_layers.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_registered_from_a_snapshot_keeps_what_was_said() {
    let ec2 = LocalEc2::new();
    let instance = ec2.stopped().await;
    let image = ec2.image_of(&instance, "base image").await;
    let snapshot = ec2
        .ec2("DescribeImages", &[("ImageId.1", &image)])
        .text("snapshotId")
        .unwrap();
    let register = [
        ("Name", "registered"),
        ("Architecture", "x86_64"),
        ("VirtualizationType", "hvm"),
        ("RootDeviceName", "/dev/xvda"),
        ("BootMode", "uefi"),
        ("TpmSupport", "v2.0"),
        ("ImdsSupport", "v2.0"),
        ("EnaSupport", "true"),
        ("BlockDeviceMapping.1.DeviceName", "/dev/xvda"),
        ("BlockDeviceMapping.1.Ebs.SnapshotId", snapshot.as_str()),
        ("BlockDeviceMapping.1.Ebs.VolumeType", "gp3"),
    ];
    let id = ec2
        .ec2("RegisterImage", &register)
        .ok()
        .text("imageId")
        .unwrap();
    let shown = ec2.ec2("DescribeImages", &[("ImageId.1", &id)]).ok();
    let field = |name: &str| shown.text(name).unwrap_or_default();
    assert_eq!(
        [
            field("architecture"),
            field("bootMode"),
            field("tpmSupport"),
            field("imdsSupport")
        ],
        ["x86_64", "uefi", "v2.0", "v2.0"]
    );
    assert_eq!(
        [
            field("rootDeviceName"),
            field("volumeType"),
            field("snapshotId")
        ],
        ["/dev/xvda".to_owned(), "gp3".into(), snapshot.clone()]
    );
    let mut missing = register;
    missing[9].1 = "snap-0123456789abcdef0";
    missing[0].1 = "another";
    assert_eq!(
        ec2.ec2("RegisterImage", &missing).code(),
        "InvalidSnapshot.NotFound"
    );
    let launched = ec2.running(&[("ImageId", &id)]).await;
    let metadata = ec2
        .ec2("DescribeInstances", &[("InstanceId.1", &launched)])
        .text("httpTokens")
        .unwrap();
    assert_eq!(metadata, "required", "ImdsSupport makes tokens required");
}

#[tokio::test(flavor = "multi_thread")]
async fn sharing() {
    let ec2 = LocalEc2::new();
    let instance = ec2.stopped().await;
    let image = ec2.image_of(&instance, "base image").await;
    let snapshot = ec2
        .ec2("DescribeImages", &[("ImageId.1", &image)])
        .text("snapshotId")
        .unwrap();
    ec2.ec2(
        "ModifyImageAttribute",
        &[
            ("ImageId", &image),
            ("LaunchPermission.Add.1.UserId", "111122223333"),
        ],
    )
    .ok();
    ec2.ec2(
        "ModifySnapshotAttribute",
        &[
            ("SnapshotId", &snapshot),
            ("Attribute", "createVolumePermission"),
            ("OperationType", "add"),
            ("UserId.1", "111122223333"),
        ],
    )
    .ok();
    let launch = ec2
        .ec2(
            "DescribeImageAttribute",
            &[("ImageId", &image), ("Attribute", "launchPermission")],
        )
        .ok();
    let volume = ec2
        .ec2(
            "DescribeSnapshotAttribute",
            &[
                ("SnapshotId", &snapshot),
                ("Attribute", "createVolumePermission"),
            ],
        )
        .ok();
    assert_eq!(
        (launch.texts("userId"), volume.texts("userId")),
        (
            vec!["111122223333".to_owned()],
            vec!["111122223333".to_owned()]
        )
    );
    let bad = ec2.ec2(
        "ModifyImageAttribute",
        &[("ImageId", &image), ("LaunchPermission.Add.1.UserId", "me")],
    );
    assert_eq!(bad.code(), "InvalidAMIAttributeItemValue");
    let public = ec2.image();
    let foreign = ec2.ec2(
        "ModifyImageAttribute",
        &[
            ("ImageId", &public),
            ("LaunchPermission.Add.1.UserId", "111122223333"),
        ],
    );
    assert_eq!(foreign.code(), "AuthFailure");
    ec2.ec2(
        "ResetImageAttribute",
        &[("ImageId", &image), ("Attribute", "launchPermission")],
    )
    .ok();
    let reset = ec2
        .ec2(
            "DescribeImageAttribute",
            &[("ImageId", &image), ("Attribute", "launchPermission")],
        )
        .ok();
    assert!(reset.texts("userId").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn with_delays_an_image_is_first_unknown_then_pending_then_available() {
    let ec2 = LocalEc2::with(EmulatorConfig {
        delays: Delays::Short,
        ..EmulatorConfig::default()
    });
    let image = ec2.image();
    let p = [
        ("ImageId", image.as_str()),
        ("InstanceType", "m5.large"),
        ("MinCount", "1"),
        ("MaxCount", "1"),
    ];
    let id = ec2.ec2("RunInstances", &p).ok().text("instanceId").unwrap();
    assert_eq!(
        ec2.ec2("DescribeInstances", &[("InstanceId.1", &id)])
            .code(),
        "InvalidInstanceID.NotFound"
    );
    let known = |a: &support::Answer| {
        a.status == 200 && a.text("instanceState/name").as_deref() == Some("running")
    };
    ec2.until("DescribeInstances", &[("InstanceId.1", &id)], known)
        .await;
    ec2.ec2("StopInstances", &[("InstanceId.1", &id)]).ok();
    ec2.state(&id, "stopped").await;
    let made = ec2
        .ec2("CreateImage", &[("InstanceId", &id), ("Name", "slow")])
        .ok()
        .text("imageId")
        .unwrap();
    assert_eq!(
        ec2.ec2("DescribeImages", &[("ImageId.1", &made)]).code(),
        "InvalidAMIID.NotFound"
    );
    let seen = std::sync::Mutex::new(std::collections::BTreeSet::new());
    ec2.until("DescribeImages", &[("ImageId.1", &made)], |a| {
        seen.lock().unwrap().extend(a.text("imageState"));
        a.text("imageState").as_deref() == Some("available")
    })
    .await;
    assert!(seen.lock().unwrap().contains("pending"));
}
