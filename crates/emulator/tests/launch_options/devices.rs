//! Devices and tags of a launch.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn devices_are_checked_against_their_types_and_keys() {
    let ec2 = LocalEc2::new();
    let image = ec2.image();
    let device =
        |name: &'static str, pairs: &[(&'static str, &'static str)]| -> Vec<(String, String)> {
            let mut all = vec![(
                "BlockDeviceMapping.1.DeviceName".to_owned(),
                name.to_owned(),
            )];
            all.extend(
                pairs
                    .iter()
                    .map(|(k, v)| (format!("BlockDeviceMapping.1.{k}"), (*v).to_owned())),
            );
            all
        };
    for (parameters, code) in [
        (device("/dev/sdf", &[]), "InvalidBlockDeviceMapping"),
        (
            device("disk1", &[("Ebs.VolumeSize", "1")]),
            "InvalidParameterValue",
        ),
        (
            device(
                "/dev/sdf",
                &[
                    ("Ebs.VolumeSize", "8"),
                    ("Ebs.VolumeType", "gp3"),
                    ("Ebs.Iops", "9000"),
                ],
            ),
            "InvalidParameterValue",
        ),
        (
            device(
                "/dev/sdf",
                &[
                    ("Ebs.VolumeSize", "8"),
                    ("Ebs.VolumeType", "gp3"),
                    ("Ebs.Throughput", "900"),
                ],
            ),
            "InvalidParameterCombination",
        ),
        (
            device(
                "/dev/sdf",
                &[("Ebs.VolumeSize", "8"), ("Ebs.VolumeType", "io1")],
            ),
            "MissingParameter",
        ),
        (
            device("/dev/sdf", &[("VirtualName", "disk0")]),
            "InvalidBlockDeviceMapping",
        ),
        (
            device(
                "/dev/sdf",
                &[("VirtualName", "ephemeral0"), ("Ebs.VolumeSize", "1")],
            ),
            "InvalidBlockDeviceMapping",
        ),
        (
            device("/dev/sda1", &[("NoDevice", "")]),
            "InvalidBlockDeviceMapping",
        ),
        (
            device("/dev/sdf", &[("Ebs.SnapshotId", "snap-0123456789abcdef0")]),
            "InvalidSnapshot.NotFound",
        ),
        (
            device(
                "/dev/sdf",
                &[("Ebs.VolumeSize", "1"), ("Ebs.KmsKeyId", "alias/x")],
            ),
            "InvalidParameterDependency",
        ),
    ] {
        let more: Vec<_> = parameters
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str()))
            .collect();
        assert_eq!(
            launch(&ec2, &image, "m5.large", &more).code(),
            code,
            "{more:?}"
        );
    }
    let store = [
        ("BlockDeviceMapping.1.DeviceName", "/dev/sdb"),
        ("BlockDeviceMapping.1.VirtualName", "ephemeral0"),
    ];
    for (kind, there) in [("m3.medium", true), ("m5.large", false)] {
        let id = launch(&ec2, &image, kind, &store)
            .ok()
            .text("instanceId")
            .unwrap();
        ec2.state(&id, "running").await;
        let token = ec2.guests.imds_token(&id);
        let header = [("X-aws-ec2-metadata-token", token.as_str())];
        let path = "/latest/meta-data/block-device-mapping/ephemeral0";
        let (status, body) = ec2.guests.imds(&id, "GET", path, &header);
        assert_eq!(status == 200, there, "{kind}: {body}");
    }
    // A key that cannot be used shows in the instance that ends.
    let key = ec2.kms("CreateKey", &json!({})).json();
    let key = key["KeyMetadata"]["KeyId"].as_str().unwrap().to_owned();
    let encrypted = [
        ("BlockDeviceMapping.1.DeviceName", "/dev/sda1"),
        ("BlockDeviceMapping.1.Ebs.Encrypted", "true"),
        ("BlockDeviceMapping.1.Ebs.KmsKeyId", key.as_str()),
    ];
    let good = launch(&ec2, &image, "m5.large", &encrypted)
        .ok()
        .text("instanceId")
        .unwrap();
    ec2.state(&good, "running").await;
    let volumes = ec2.ec2(
        "DescribeVolumes",
        &[
            ("Filter.1.Name", "attachment.instance-id"),
            ("Filter.1.Value.1", &good),
        ],
    );
    assert!(volumes.ok().text("kmsKeyId").unwrap().ends_with(&key));
    ec2.kms("DisableKey", &json!({ "KeyId": key })).json();
    let doomed = launch(&ec2, &image, "m5.large", &encrypted)
        .ok()
        .text("instanceId")
        .unwrap();
    let ended = ec2.state(&doomed, "terminated").await;
    assert_eq!(
        ended.text("stateReason/code").unwrap(),
        "Client.InvalidKMSKey.InvalidState"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_are_shown_inside_if_asked_and_then_their_keys_are_checked() {
    let ec2 = LocalEc2::new();
    let image = ec2.image();
    let tagged = |key: &'static str| {
        [
            ("MetadataOptions.InstanceMetadataTags", "enabled"),
            ("TagSpecification.1.ResourceType", "instance"),
            ("TagSpecification.1.Tag.1.Key", key),
            ("TagSpecification.1.Tag.1.Value", "v"),
        ]
    };
    assert_eq!(
        launch(&ec2, &image, "m5.large", &tagged("a b")).code(),
        "InvalidParameterValue"
    );
    assert_eq!(
        launch(&ec2, &image, "m5.large", &tagged("a/b")).code(),
        "InvalidParameterValue"
    );
    let id = launch(&ec2, &image, "m5.large", &tagged("qib:run"))
        .ok()
        .text("instanceId")
        .unwrap();
    ec2.state(&id, "running").await;
    let token = ec2.guests.imds_token(&id);
    let header = [("X-aws-ec2-metadata-token", token.as_str())];
    let get = |path: &str| ec2.guests.imds(&id, "GET", path, &header);
    assert_eq!(
        get("/latest/meta-data/tags/instance/qib:run"),
        (200, "v".to_owned())
    );
    let later = ec2.ec2(
        "CreateTags",
        &[
            ("ResourceId.1", &id),
            ("Tag.1.Key", "a b"),
            ("Tag.1.Value", ""),
        ],
    );
    assert_eq!(later.code(), "InvalidParameterValue");
    ec2.ec2(
        "ModifyInstanceMetadataOptions",
        &[("InstanceId", &id), ("InstanceMetadataTags", "disabled")],
    )
    .ok();
    assert_eq!(get("/latest/meta-data/tags/instance/qib:run").0, 404);
    ec2.ec2(
        "CreateTags",
        &[
            ("ResourceId.1", &id),
            ("Tag.1.Key", "a b"),
            ("Tag.1.Value", ""),
        ],
    )
    .ok();
    let enabled = ec2.ec2(
        "ModifyInstanceMetadataOptions",
        &[("InstanceId", &id), ("InstanceMetadataTags", "enabled")],
    );
    assert_eq!(enabled.code(), "InvalidParameterValue");
}
