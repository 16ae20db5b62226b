//! Images and snapshots between accounts and regions.
// A test is an edge.
#![allow(clippy::disallowed_methods)]

mod support;

use emulator::account::organization::{ORGANIZATION, SISTER_ACCOUNT, STRANGER_ACCOUNT, UNIT};
use emulator::account::quotas::Values;
use emulator::config::{Delays, EmulatorConfig};
use serde_json::json;
use support::{Answer, LocalEc2};

fn launch(ec2: &LocalEc2, image: &str) -> Answer {
    ec2.ec2(
        "RunInstances",
        &[
            ("ImageId", image),
            ("InstanceType", "m5.large"),
            ("MinCount", "1"),
            ("MaxCount", "1"),
        ],
    )
}

fn snapshots_of(ec2: &LocalEc2, image: &str) -> Vec<String> {
    let shown = ec2.ec2("DescribeImages", &[("ImageId.1", image)]).ok();
    shown.texts("ebs/snapshotId")
}

async fn available(ec2: &LocalEc2, image: &str) -> Answer {
    let is = |a: &Answer| a.text("imageState").as_deref() == Some("available");
    ec2.until("DescribeImages", &[("ImageId.1", image)], is)
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn only_those_it_is_shared_with_can_launch_an_image() {
    let ec2 = LocalEc2::new();
    let image = ec2.image_of(&ec2.stopped().await, "mine").await;
    ec2.ec2(
        "CreateTags",
        &[
            ("ResourceId.1", &image),
            ("Tag.1.Key", "secret"),
            ("Tag.1.Value", "x"),
        ],
    )
    .ok();
    let (sister, stranger) = (
        ec2.in_account(SISTER_ACCOUNT),
        ec2.in_account(STRANGER_ACCOUNT),
    );
    let identity = sister.sts("GetCallerIdentity").ok();
    assert_eq!(identity.text("Account").unwrap(), SISTER_ACCOUNT);
    let grants: [(&str, &str, bool, bool); 4] = [
        ("UserId", STRANGER_ACCOUNT, false, true),
        ("OrganizationArn", ORGANIZATION, true, false),
        ("OrganizationalUnitArn", UNIT, true, false),
        ("Group", "all", true, true),
    ];
    for (kind, value, of_sister, of_stranger) in grants {
        let change = |operation: &str| {
            let name = format!("LaunchPermission.{operation}.1.{kind}");
            ec2.ec2(
                "ModifyImageAttribute",
                &[("ImageId", &image), (&name, value)],
            )
            .ok();
        };
        change("Add");
        let permission = ec2.ec2(
            "DescribeImageAttribute",
            &[("ImageId", &image), ("Attribute", "launchPermission")],
        );
        assert!(permission.ok().body.contains(value), "{kind}");
        for (other, may) in [(&sister, of_sister), (&stranger, of_stranger)] {
            let found = other.ec2("DescribeImages", &[("ImageId.1", &image)]);
            assert_eq!(found.status == 200, may, "{kind}: {}", found.body);
            assert!(
                !found.body.contains("<key>secret</key>"),
                "tags are the owner's"
            );
            let launched = launch(other, &image);
            match may {
                true => {
                    let id = launched.ok().text("instanceId").unwrap();
                    other.state(&id, "running").await;
                }
                false => assert_eq!(launched.code(), "AuthFailure", "{kind}"),
            }
        }
        change("Remove");
    }
    assert_eq!(launch(&sister, &image).code(), "AuthFailure", "taken back");
    let foreign = sister.ec2("DeregisterImage", &[("ImageId", &image)]);
    assert_eq!(foreign.code(), "AuthFailure");
    // The owner sees that it was launched from.
    let last = ec2.ec2(
        "DescribeImageAttribute",
        &[("ImageId", &image), ("Attribute", "lastLaunchedTime")],
    );
    assert!(last.ok().text("lastLaunchedTime/value").is_some());
    // Executable-by and owners are seen from each account.
    ec2.ec2(
        "ModifyImageAttribute",
        &[
            ("ImageId", &image),
            ("LaunchPermission.Add.1.UserId", SISTER_ACCOUNT),
        ],
    )
    .ok();
    for (parameters, sees) in [
        (vec![("ExecutableBy.1", "self")], true),
        (vec![("Owner.1", "123456789012")], true),
        (vec![("Owner.1", "self")], false),
    ] {
        let found = sister.ec2("DescribeImages", &parameters).ok();
        assert_eq!(found.body.contains(&image), sees, "{parameters:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_parties_are_refused() {
    let ec2 = LocalEc2::new();
    let image = ec2.image_of(&ec2.stopped().await, "mine").await;
    for (name, value) in [
        ("LaunchPermission.Add.1.UserId", "1"),
        ("LaunchPermission.Add.1.Group", "some"),
        ("LaunchPermission.Add.1.OrganizationArn", "o-localec2org"),
        ("LaunchPermission.Add.1.OrganizationalUnitArn", ORGANIZATION),
    ] {
        let refused = ec2.ec2(
            "ModifyImageAttribute",
            &[("ImageId", &image), (name, value)],
        );
        assert_eq!(refused.code(), "InvalidAMIAttributeItemValue", "{name}");
    }
    let snapshot = &snapshots_of(&ec2, &image)[0];
    let refused = ec2.ec2(
        "ModifySnapshotAttribute",
        &[
            ("SnapshotId", snapshot),
            ("CreateVolumePermission.Add.1.OrganizationArn", ORGANIZATION),
        ],
    );
    assert_eq!(
        refused.code(),
        "MissingParameter",
        "snapshots have no organisations"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_by_another_account_needs_the_storage_too() {
    let ec2 = LocalEc2::new();
    let image = ec2.image_of(&ec2.stopped().await, "mine").await;
    ec2.ec2(
        "ModifyImageAttribute",
        &[
            ("ImageId", &image),
            ("LaunchPermission.Add.1.UserId", SISTER_ACCOUNT),
        ],
    )
    .ok();
    let sister = ec2.in_account(SISTER_ACCOUNT).in_region("eu-west-1");
    let copy = [
        ("SourceRegion", "us-east-2"),
        ("SourceImageId", image.as_str()),
        ("Name", "copied"),
    ];
    assert_eq!(sister.ec2("CopyImage", &copy).code(), "InvalidRequest");
    let snapshot = &snapshots_of(&ec2, &image)[0];
    ec2.ec2(
        "ModifySnapshotAttribute",
        &[
            ("SnapshotId", snapshot),
            ("CreateVolumePermission.Add.1.UserId", SISTER_ACCOUNT),
        ],
    )
    .ok();
    let copied = sister.ec2("CopyImage", &copy).ok().text("imageId").unwrap();
    let shown = available(&sister, &copied).await;
    assert_eq!(shown.text("imageOwnerId").unwrap(), SISTER_ACCOUNT);
    assert_eq!(shown.text("sourceImageId").unwrap(), image);
    assert_eq!(shown.text("sourceImageRegion").unwrap(), "us-east-2");
    let rhel = ec2.public_image("309956199498", "RHEL-9.5*");
    let centos = ec2.public_image("aws-marketplace", "CentOS Linux 7*");
    for (source, why) in [(rhel, "storage"), (centos, "Marketplace")] {
        let refused = ec2.ec2(
            "CopyImage",
            &[
                ("SourceRegion", "us-east-2"),
                ("SourceImageId", &source),
                ("Name", "copied"),
            ],
        );
        assert_eq!(refused.code(), "InvalidRequest");
        assert!(refused.body.contains(why), "{}", refused.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_encrypted_by_awss_own_key_cannot_be_shared() {
    let ec2 = LocalEc2::new();
    let image = ec2.image_of(&ec2.stopped().await, "mine").await;
    let key = ec2.kms("CreateKey", &json!({})).json();
    let key = key["KeyMetadata"]["Arn"].as_str().unwrap().to_owned();
    let copy = |name: &str, more: &[(&str, &str)]| {
        let mut parameters = vec![
            ("SourceRegion", "us-east-2"),
            ("SourceImageId", image.as_str()),
            ("Name", name),
            ("Encrypted", "true"),
        ];
        parameters.extend(more);
        ec2.ec2("CopyImage", &parameters)
            .ok()
            .text("imageId")
            .unwrap()
    };
    let (usual, own) = (copy("usual", &[]), copy("own", &[("KmsKeyId", &key)]));
    let share = |image: &str, who: &str, value: &str| {
        let name = format!("LaunchPermission.Add.1.{who}");
        ec2.ec2(
            "ModifyImageAttribute",
            &[("ImageId", image), (&name, value)],
        )
    };
    available(&ec2, &usual).await;
    available(&ec2, &own).await;
    assert_eq!(
        share(&usual, "UserId", SISTER_ACCOUNT).code(),
        "InvalidParameter"
    );
    share(&own, "UserId", SISTER_ACCOUNT).ok();
    assert_eq!(share(&own, "Group", "all").code(), "OperationNotPermitted");
    for (image, code) in [(&usual, Some("OperationNotPermitted")), (&own, None)] {
        let snapshot = &snapshots_of(&ec2, image)[0];
        let shared = ec2.ec2(
            "ModifySnapshotAttribute",
            &[
                ("SnapshotId", snapshot),
                ("CreateVolumePermission.Add.1.UserId", SISTER_ACCOUNT),
            ],
        );
        match code {
            Some(code) => assert_eq!(shared.code(), code),
            None => drop(shared.ok()),
        }
        let public = ec2.ec2(
            "ModifySnapshotAttribute",
            &[
                ("SnapshotId", snapshot),
                ("CreateVolumePermission.Add.1.Group", "all"),
            ],
        );
        assert_eq!(public.code(), "OperationNotPermitted");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn public_sharing_can_be_blocked_and_has_its_quota() {
    let config = EmulatorConfig {
        delays: Delays::None,
        quotas: Values::from([("L-0E3CBAB9".to_owned(), 1.0)]),
        ..EmulatorConfig::default()
    };
    let ec2 = LocalEc2::with(config);
    let stopped = ec2.stopped().await;
    let first = ec2.image_of(&stopped, "first").await;
    let copy = [
        ("SourceRegion", "us-east-2"),
        ("SourceImageId", first.as_str()),
        ("Name", "second"),
    ];
    let second = ec2.ec2("CopyImage", &copy).ok().text("imageId").unwrap();
    let publish = |image: &str| {
        ec2.ec2(
            "ModifyImageAttribute",
            &[("ImageId", image), ("LaunchPermission.Add.1.Group", "all")],
        )
    };
    let state = |action: &str| {
        let answer = ec2.ec2(action, &[]).ok();
        answer
            .text("imageBlockPublicAccessState")
            .or_else(|| answer.text("state"))
            .unwrap()
    };
    assert_eq!(state("GetImageBlockPublicAccessState"), "unblocked");
    let block = [("ImageBlockPublicAccessState", "block-new-sharing")];
    ec2.ec2("EnableImageBlockPublicAccess", &block).ok();
    assert_eq!(state("GetImageBlockPublicAccessState"), "block-new-sharing");
    assert_eq!(publish(&first).code(), "OperationNotPermitted");
    ec2.ec2("DisableImageBlockPublicAccess", &[]).ok();
    publish(&first).ok();
    ec2.ec2("EnableImageBlockPublicAccess", &block).ok();
    publish(&first).ok();
    ec2.ec2("DisableImageBlockPublicAccess", &[]).ok();
    assert_eq!(publish(&second).code(), "ResourceLimitExceeded");
    let snapshot = snapshots_of(&ec2, &first)[0].clone();
    let publish_snapshot = || {
        ec2.ec2(
            "ModifySnapshotAttribute",
            &[
                ("SnapshotId", &snapshot),
                ("CreateVolumePermission.Add.1.Group", "all"),
            ],
        )
    };
    let refused = ec2.ec2("EnableSnapshotBlockPublicAccess", &[("State", "unblocked")]);
    assert_eq!(refused.code(), "InvalidParameterValue");
    ec2.ec2(
        "EnableSnapshotBlockPublicAccess",
        &[("State", "block-new-sharing")],
    )
    .ok();
    assert_eq!(
        state("GetSnapshotBlockPublicAccessState"),
        "block-new-sharing"
    );
    assert_eq!(publish_snapshot().code(), "OperationNotPermitted");
    ec2.ec2("DisableSnapshotBlockPublicAccess", &[]).ok();
    publish_snapshot().ok();
    let stranger = ec2.in_account(STRANGER_ACCOUNT);
    let sees = || {
        let found = stranger.ec2("DescribeSnapshots", &[("Owner.1", "123456789012")]);
        found.ok().body.contains(&snapshot)
    };
    assert!(sees());
    ec2.ec2(
        "EnableSnapshotBlockPublicAccess",
        &[("State", "block-all-sharing")],
    )
    .ok();
    assert!(!sees(), "what was public is treated as private");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_of_a_marketplace_product_keeps_its_code_and_is_never_public() {
    let ec2 = LocalEc2::new();
    let centos = ec2.public_image("aws-marketplace", "CentOS Linux 7*1805_01*");
    let id = launch(&ec2, &centos).ok().text("instanceId").unwrap();
    ec2.state(&id, "running").await;
    ec2.ec2("StopInstances", &[("InstanceId.1", &id)]).ok();
    ec2.state(&id, "stopped").await;
    let image = ec2.image_of(&id, "own-centos").await;
    let shown = ec2.ec2("DescribeImages", &[("ImageId.1", &image)]).ok();
    assert_eq!(
        shown.text("productCodes/item/productCode").unwrap(),
        "aw0evgkw8e5c1q413zgy5pjce"
    );
    let public = ec2.ec2(
        "ModifyImageAttribute",
        &[("ImageId", &image), ("LaunchPermission.Add.1.Group", "all")],
    );
    assert_eq!(public.code(), "OperationNotPermitted");
    ec2.ec2(
        "ModifyImageAttribute",
        &[
            ("ImageId", &image),
            ("LaunchPermission.Add.1.UserId", SISTER_ACCOUNT),
        ],
    )
    .ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_take_time_one_token_makes_one_and_too_many_at_once_are_refused() {
    let config = EmulatorConfig {
        delays: Delays::Short,
        quotas: Values::from([("L-A84ABF80".to_owned(), 2.0)]),
        ..EmulatorConfig::default()
    };
    let ec2 = LocalEc2::with(config);
    let image = ec2.image_of(&ec2.stopped().await, "mine").await;
    let far = ec2.in_region("eu-west-1");
    // So that the copies are still under way when the next is asked for.
    std::fs::write(ec2.path().join("faults.json"), r#"{"image_takes_ms":1500}"#).unwrap();
    let copy = |name: &str, token: &str| {
        far.ec2(
            "CopyImage",
            &[
                ("SourceRegion", "us-east-2"),
                ("SourceImageId", &image),
                ("Name", name),
                ("ClientToken", token),
                ("TagSpecification.1.ResourceType", "image"),
                ("TagSpecification.1.Tag.1.Key", "on"),
                ("TagSpecification.1.Tag.1.Value", "image"),
                ("TagSpecification.2.ResourceType", "snapshot"),
                ("TagSpecification.2.Tag.1.Key", "on"),
                ("TagSpecification.2.Tag.1.Value", "snapshot"),
            ],
        )
    };
    let first = copy("one", "a").ok().text("imageId").unwrap();
    assert_eq!(copy("one", "a").ok().text("imageId").unwrap(), first);
    assert_eq!(copy("two", "a").code(), "IdempotentParameterMismatch");
    assert_eq!(copy("one", "b").code(), "InvalidAMIName.Duplicate");
    copy("two", "c").ok();
    assert_eq!(copy("three", "d").code(), "ResourceLimitExceeded");
    let partly = |a: &Answer| {
        a.text("progress")
            .is_some_and(|p| !["0%", "100%"].contains(&p.as_str()))
    };
    far.until("DescribeSnapshots", &[("Owner.1", "self")], partly)
        .await;
    let shown = available(&far, &first).await;
    assert_eq!(shown.text("tagSet/item/value").unwrap(), "image");
    let snapshot = shown.text("ebs/snapshotId").unwrap();
    let snapshot = far
        .ec2("DescribeSnapshots", &[("SnapshotId.1", &snapshot)])
        .ok();
    assert_eq!(snapshot.text("tagSet/item/value").unwrap(), "snapshot");
    copy("three", "e").ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copys_key_is_looked_for_later() {
    let ec2 = LocalEc2::new();
    let image = ec2.image_of(&ec2.stopped().await, "mine").await;
    let far = ec2.in_region("eu-west-1");
    let copy = |name: &str, more: &[(&str, &str)]| {
        let mut parameters = vec![
            ("SourceRegion", "us-east-2"),
            ("SourceImageId", image.as_str()),
            ("Name", name),
        ];
        parameters.extend(more);
        far.ec2("CopyImage", &parameters)
    };
    assert_eq!(
        copy("key", &[("KmsKeyId", "alias/mine")]).code(),
        "InvalidParameterDependency"
    );
    // A key of another region is none of this one's.
    ec2.kms("CreateKey", &json!({})).json();
    let elsewhere = copy("lost", &[("Encrypted", "true"), ("KmsKeyId", "alias/mine")]);
    let lost = elsewhere.ok().text("imageId").unwrap();
    let failed = |a: &Answer| a.text("imageState").as_deref() == Some("failed");
    let shown = far
        .until("DescribeImages", &[("ImageId.1", &lost)], failed)
        .await;
    assert!(shown.body.contains("Given key ID is not accessible"));
    let key = far
        .kms("CreateKey", &json!({ "Description": "mine" }))
        .json();
    let id = key["KeyMetadata"]["KeyId"].as_str().unwrap();
    far.kms(
        "CreateAlias",
        &json!({ "AliasName": "alias/mine", "TargetKeyId": id }),
    )
    .json();
    let found = copy(
        "found",
        &[("Encrypted", "true"), ("KmsKeyId", "alias/mine")],
    );
    let found = found.ok().text("imageId").unwrap();
    let shown = available(&far, &found).await;
    assert_eq!(shown.text("ebs/encrypted").unwrap(), "true");
    let snapshot = shown.text("ebs/snapshotId").unwrap();
    let snapshot = far
        .ec2("DescribeSnapshots", &[("SnapshotId.1", &snapshot)])
        .ok();
    assert_eq!(
        snapshot.text("kmsKeyId").unwrap(),
        key["KeyMetadata"]["Arn"].as_str().unwrap()
    );
    far.kms("DisableKey", &json!({ "KeyId": "alias/mine" }))
        .json();
    let disabled = copy("disabled", &[("Encrypted", "true"), ("KmsKeyId", id)]);
    let disabled = disabled.ok().text("imageId").unwrap();
    far.until("DescribeImages", &[("ImageId.1", &disabled)], failed)
        .await;
}
