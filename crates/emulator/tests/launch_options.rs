//! What a launch says about machine, place and devices, and the networks it goes to.
// A test is an edge.
#![allow(clippy::disallowed_methods)]

mod support;

use serde_json::json;
use support::{Answer, LocalEc2};

fn launch(ec2: &LocalEc2, image: &str, kind: &str, more: &[(&str, &str)]) -> Answer {
    let mut parameters = vec![
        ("ImageId", image),
        ("InstanceType", kind),
        ("MinCount", "1"),
        ("MaxCount", "1"),
    ];
    parameters.extend(more);
    ec2.ec2("RunInstances", &parameters)
}

async fn gone(ec2: &LocalEc2, id: &str) {
    ec2.ec2("TerminateInstances", &[("InstanceId.1", id)]).ok();
    ec2.state(id, "terminated").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_must_suit_the_machine() {
    let ec2 = LocalEc2::new();
    let ubuntu = "099720109477";
    let paravirtual = ec2.public_image(ubuntu, "ubuntu/images/ebs-ssd/*trusty*");
    let precise = ec2.public_image(ubuntu, "ubuntu/images/hvm-ssd/*precise*");
    let arm = ec2.public_image("125523088429", "Fedora-Cloud-Base-*aarch64*");
    for (image, kind, code, why) in [
        (
            &paravirtual,
            "m5.large",
            "InvalidParameterCombination",
            "Virtualization type 'hvm' is required",
        ),
        (
            &precise,
            "t1.micro",
            "InvalidParameterCombination",
            "Virtualization type 'paravirtual' is required",
        ),
        (
            &precise,
            "m5.large",
            "InvalidParameterCombination",
            "(ENA) is required for the 'm5.large' instance type",
        ),
        (
            &arm,
            "m5.large",
            "InvalidParameterValue",
            "does not match the architecture 'arm64' of the specified AMI",
        ),
    ] {
        let refused = launch(&ec2, image, kind, &[]);
        assert_eq!(refused.code(), code, "{kind}");
        assert!(refused.body.contains(why), "{}", refused.body);
    }
    for (image, kind) in [
        (&paravirtual, "m3.medium"),
        (&precise, "m3.medium"),
        (&arm, "t4g.medium"),
    ] {
        let id = launch(&ec2, image, kind, &[])
            .ok()
            .text("instanceId")
            .unwrap();
        ec2.state(&id, "running").await;
        gone(&ec2, &id).await;
    }
    let id = launch(&ec2, &paravirtual, "m3.medium", &[]).ok();
    assert_eq!(id.text("virtualizationType").unwrap(), "paravirtual");
    assert!(id.text("kernelId").unwrap().starts_with("aki-"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_may_not_have_the_type() {
    let ec2 = LocalEc2::new();
    let image = ec2.image();
    let offered = ec2.ec2(
        "DescribeInstanceTypeOfferings",
        &[
            ("LocationType", "availability-zone"),
            ("Filter.1.Name", "instance-type"),
            ("Filter.1.Value.1", "m3.medium"),
        ],
    );
    assert_eq!(offered.ok().texts("location"), ["us-east-2a", "us-east-2b"]);
    let there = [("Placement.AvailabilityZone", "us-east-2c")];
    let refused = launch(&ec2, &image, "m3.medium", &there);
    assert_eq!(refused.code(), "Unsupported");
    assert!(refused.body.contains("choosing us-east-2a, us-east-2b"));
    let anywhere = launch(&ec2, &image, "m3.medium", &[]).ok();
    assert_ne!(anywhere.text("availabilityZone").unwrap(), "us-east-2c");
    let shown = ec2
        .ec2("DescribeInstanceTypes", &[("InstanceType.1", "m3.medium")])
        .ok();
    assert_eq!(
        shown.texts("supportedVirtualizationTypes/item"),
        ["hvm", "paravirtual"]
    );
    assert_eq!(shown.texts("supportedBootModes/item"), ["legacy-bios"]);
    let burstable = [
        ("Filter.1.Name", "burstable-performance-supported"),
        ("Filter.1.Value.1", "true"),
        ("Filter.2.Name", "processor-info.supported-architecture"),
        ("Filter.2.Value.1", "arm64"),
    ];
    let found = ec2
        .ec2("DescribeInstanceTypes", &burstable)
        .ok()
        .texts("instanceType");
    assert!(
        found.contains(&"t4g.medium".to_owned()) && found.iter().all(|t| t.starts_with("t4g."))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_boot_mode_must_be_one_that_the_machine_has() {
    let ec2 = LocalEc2::new();
    let stopped = ec2.stopped().await;
    let made = ec2.image_of(&stopped, "made").await;
    let shown = ec2.ec2("DescribeImages", &[("ImageId.1", &made)]).ok();
    let snapshot = shown.text("ebs/snapshotId").unwrap();
    let register = |name: &str, more: &[(&str, &str)]| {
        let mut parameters = vec![
            ("Name", name),
            ("VirtualizationType", "hvm"),
            ("Architecture", "x86_64"),
            ("EnaSupport", "true"),
            ("RootDeviceName", "/dev/sda1"),
            ("BlockDeviceMapping.1.DeviceName", "/dev/sda1"),
            ("BlockDeviceMapping.1.Ebs.SnapshotId", snapshot.as_str()),
        ];
        parameters.extend(more);
        ec2.ec2("RegisterImage", &parameters)
    };
    let uefi = [
        ("BootMode", "uefi"),
        ("TpmSupport", "v2.0"),
        ("UefiData", "QU1aTkUx"),
        ("ImdsSupport", "v2.0"),
    ];
    let image = register("uefi", &uefi).ok().text("imageId").unwrap();
    for (attribute, value) in [
        ("bootMode", "uefi"),
        ("tpmSupport", "v2.0"),
        ("uefiData", "QU1aTkUx"),
        ("imdsSupport", "v2.0"),
    ] {
        let shown = ec2.ec2(
            "DescribeImageAttribute",
            &[("ImageId", &image), ("Attribute", attribute)],
        );
        assert_eq!(shown.ok().text("value").unwrap(), value, "{attribute}");
    }
    let xen = launch(&ec2, &image, "t2.micro", &[]);
    assert_eq!(xen.code(), "InvalidParameterCombination");
    assert!(xen.body.contains("boot mode 'uefi'"), "{}", xen.body);
    // "Instances launched from this AMI will have HttpTokens automatically set to required" and a hop limit of 2.
    let launched = launch(&ec2, &image, "m5.large", &[]).ok();
    assert_eq!(launched.text("httpTokens").unwrap(), "required");
    assert_eq!(launched.text("httpPutResponseHopLimit").unwrap(), "2");
    let optional = launch(
        &ec2,
        &image,
        "m5.large",
        &[("MetadataOptions.HttpTokens", "optional")],
    );
    assert_eq!(optional.ok().text("httpTokens").unwrap(), "optional");
    // The system on a registered disk is the one that was captured.
    let id = launched.text("instanceId").unwrap();
    ec2.state(&id, "running").await;
    let spec = ec2.guests.spec(&id).unwrap();
    assert_eq!(
        (spec.default_user.as_str(), spec.image_layers.len()),
        ("ec2-user", 1)
    );
    for (more, code) in [
        (&[("TpmSupport", "v2.0")][..], "InvalidParameterCombination"),
        (&[("UefiData", "QU1aTkUx")], "InvalidParameterCombination"),
        (
            &[("BootMode", "uefi"), ("UefiData", "!")],
            "InvalidParameterValue",
        ),
        (&[("BootMode", "bios")], "InvalidParameterValue"),
        (
            &[("BlockDeviceMapping.1.Ebs.Encrypted", "true")],
            "InvalidBlockDeviceMapping",
        ),
        (
            &[("ImageLocation", "bucket/manifest")],
            "UnsupportedOperation",
        ),
        (&[("Name", "uefi")], "InvalidAMIName.Duplicate"),
    ] {
        assert_eq!(register("other", more).code(), code, "{more:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_captured_user_survives_snapshots_and_registration() {
    let ec2 = LocalEc2::new();
    let ubuntu = ec2.public_image("099720109477", "ubuntu/images/*jammy*amd64*");
    let id = ec2
        .running(&[
            ("ImageId", &ubuntu),
            ("BlockDeviceMapping.1.DeviceName", "/dev/sdf"),
            ("BlockDeviceMapping.1.Ebs.VolumeSize", "3"),
        ])
        .await;
    let running = ec2.ec2(
        "CreateSnapshots",
        &[("InstanceSpecification.InstanceId", &id)],
    );
    assert_eq!(running.code(), "UnsupportedOperation");
    ec2.ec2("StopInstances", &[("InstanceId.1", &id)]).ok();
    ec2.state(&id, "stopped").await;
    let made = ec2.ec2(
        "CreateSnapshots",
        &[
            ("InstanceSpecification.InstanceId", &id),
            ("Description", "both"),
            ("TagSpecification.1.ResourceType", "snapshot"),
            ("TagSpecification.1.Tag.1.Key", "k"),
        ],
    );
    let made = made.ok();
    assert_eq!(
        (made.texts("snapshotId").len(), made.texts("key").len()),
        (2, 2)
    );
    let root = made
        .texts("volumeSize")
        .iter()
        .position(|s| s == "8")
        .unwrap();
    let snapshot = made.texts("snapshotId")[root].clone();
    let done = |a: &Answer| a.text("status").as_deref() == Some("completed");
    ec2.until("DescribeSnapshots", &[("SnapshotId.1", &snapshot)], done)
        .await;
    let data = ec2.ec2(
        "CreateSnapshots",
        &[
            ("InstanceSpecification.InstanceId", &id),
            ("InstanceSpecification.ExcludeBootVolume", "true"),
        ],
    );
    assert_eq!(data.ok().texts("volumeSize"), ["3"]);
    let image = ec2.ec2(
        "RegisterImage",
        &[
            ("Name", "registered"),
            ("VirtualizationType", "hvm"),
            ("Architecture", "x86_64"),
            ("EnaSupport", "true"),
            ("RootDeviceName", "/dev/sda1"),
            ("BlockDeviceMapping.1.DeviceName", "/dev/sda1"),
            ("BlockDeviceMapping.1.Ebs.SnapshotId", &snapshot),
            ("BlockDeviceMapping.1.Ebs.VolumeType", "gp3"),
        ],
    );
    let image = image.ok().text("imageId").unwrap();
    let id = ec2.running(&[("ImageId", &image)]).await;
    assert_eq!(ec2.guests.spec(&id).unwrap().default_user, "ubuntu");
}

#[tokio::test(flavor = "multi_thread")]
async fn capacity_reservations_are_used_up() {
    let ec2 = LocalEc2::new();
    let image = ec2.image();
    let reserve = |criteria: &str| {
        let made = ec2.ec2(
            "CreateCapacityReservation",
            &[
                ("InstanceType", "m5.large"),
                ("InstancePlatform", "Linux/UNIX"),
                ("AvailabilityZone", "us-east-2a"),
                ("InstanceCount", "1"),
                ("InstanceMatchCriteria", criteria),
            ],
        );
        made.ok().text("capacityReservationId").unwrap()
    };
    let targeted = reserve("targeted");
    let target = [
        (
            "CapacityReservationSpecification.CapacityReservationTarget.CapacityReservationId",
            targeted.as_str(),
        ),
        ("Placement.AvailabilityZone", "us-east-2a"),
    ];
    let left = || {
        let shown = ec2.ec2(
            "DescribeCapacityReservations",
            &[("CapacityReservationId.1", &targeted)],
        );
        shown.ok().text("availableInstanceCount").unwrap()
    };
    assert_eq!(left(), "1");
    let used = launch(&ec2, &image, "m5.large", &target).ok();
    assert_eq!(used.text("capacityReservationId").unwrap(), targeted);
    assert_eq!(left(), "0");
    assert_eq!(
        launch(&ec2, &image, "m5.large", &target).code(),
        "ReservationCapacityExceeded"
    );
    let id = used.text("instanceId").unwrap();
    ec2.state(&id, "running").await;
    gone(&ec2, &id).await;
    assert_eq!(left(), "1");
    assert_eq!(
        launch(&ec2, &image, "m5.xlarge", &target).code(),
        "ReservationCapacityExceeded"
    );
    let preference = |word: &'static str| {
        [
            (
                "CapacityReservationSpecification.CapacityReservationPreference",
                word,
            ),
            ("Placement.AvailabilityZone", "us-east-2a"),
        ]
    };
    assert_eq!(
        launch(
            &ec2,
            &image,
            "m5.large",
            &preference("capacity-reservations-only")
        )
        .code(),
        "ReservationCapacityExceeded"
    );
    let open = reserve("open");
    let none = launch(&ec2, &image, "m5.large", &preference("none")).ok();
    assert!(none.text("capacityReservationId").is_none());
    let taken = launch(&ec2, &image, "m5.large", &preference("open")).ok();
    assert_eq!(taken.text("capacityReservationId").unwrap(), open);
    let unknown = [(
        "CapacityReservationSpecification.CapacityReservationTarget.CapacityReservationId",
        "cr-0123456789abcdef0",
    )];
    assert_eq!(
        launch(&ec2, &image, "m5.large", &unknown).code(),
        "InvalidCapacityReservationId.NotFound"
    );
    let both = [target[0], preference("open")[0]];
    assert_eq!(
        launch(&ec2, &image, "m5.large", &both).code(),
        "InvalidParameterCombination"
    );
    ec2.ec2(
        "CancelCapacityReservation",
        &[("CapacityReservationId", &targeted)],
    )
    .ok();
    assert_eq!(
        launch(&ec2, &image, "m5.large", &target).code(),
        "ReservationCapacityExceeded"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_groups_and_credits() {
    let ec2 = LocalEc2::new();
    let image = ec2.image();
    let host = [
        ("InstanceFamily", "m5"),
        ("AvailabilityZone", "us-east-2b"),
        ("Quantity", "1"),
    ];
    let host = ec2
        .ec2("AllocateHosts", &host)
        .ok()
        .text("hostIdSet/item")
        .unwrap();
    let on_host = [
        ("Placement.HostId", host.as_str()),
        ("Placement.AvailabilityZone", "us-east-2b"),
    ];
    let launched = launch(&ec2, &image, "m5.large", &on_host).ok();
    assert_eq!(launched.text("placement/hostId").unwrap(), host);
    assert_eq!(launched.text("placement/tenancy").unwrap(), "host");
    let id = launched.text("instanceId").unwrap();
    let shown = ec2.ec2("DescribeHosts", &[("HostId.1", &host)]).ok();
    assert_eq!(shown.text("instances/item/instanceId").unwrap(), id);
    let kept = ec2.ec2("ReleaseHosts", &[("HostId.1", &host)]).ok();
    assert!(kept.text("unsuccessful/item/resourceId").is_some());
    for (more, code) in [
        (
            &[("Placement.HostId", "h-0123456789abcdef0")][..],
            "InvalidHostID.NotFound",
        ),
        (
            &[("Placement.Tenancy", "host")],
            "InsufficientCapacityOnHost",
        ),
        (
            &[
                ("Placement.HostId", host.as_str()),
                ("Placement.Tenancy", "dedicated"),
            ],
            "InvalidParameterCombination",
        ),
        (
            &[
                ("Placement.HostId", host.as_str()),
                ("Placement.AvailabilityZone", "us-east-2a"),
            ],
            "InsufficientCapacityOnHost",
        ),
        (
            &[("Placement.GroupName", "near")],
            "InvalidPlacementGroup.Unknown",
        ),
        (
            &[("Placement.HostResourceGroupArn", "mine")],
            "InvalidParameterValue",
        ),
    ] {
        assert_eq!(
            launch(&ec2, &image, "m5.large", more).code(),
            code,
            "{more:?}"
        );
    }
    let resource_group = "arn:aws:resource-groups:us-east-2:123456789012:group/mine";
    let grouped = launch(
        &ec2,
        &image,
        "m5.large",
        &[("Placement.HostResourceGroupArn", resource_group)],
    )
    .ok();
    assert_eq!(
        grouped.text("hostResourceGroupArn").unwrap(),
        resource_group
    );
    let dedicated = launch(
        &ec2,
        &image,
        "m5.large",
        &[("Placement.Tenancy", "dedicated")],
    )
    .ok();
    assert_eq!(dedicated.text("placement/tenancy").unwrap(), "dedicated");
    ec2.ec2(
        "CreatePlacementGroup",
        &[("GroupName", "near"), ("Strategy", "cluster")],
    )
    .ok();
    let near = launch(&ec2, &image, "m5.large", &[("Placement.GroupName", "near")]).ok();
    assert_eq!(near.text("placement/groupName").unwrap(), "near");
    assert_eq!(
        launch(&ec2, &image, "t3.micro", &[("Placement.GroupName", "near")]).code(),
        "InvalidParameterCombination"
    );
    assert_eq!(
        ec2.ec2("DeletePlacementGroup", &[("GroupName", "near")])
            .code(),
        "InvalidPlacementGroup.InUse"
    );
    let credits = [("CreditSpecification.CpuCredits", "standard")];
    assert_eq!(
        launch(&ec2, &image, "m5.large", &credits).code(),
        "InvalidParameterCombination"
    );
    let (asked, usual) = (
        launch(&ec2, &image, "t3.micro", &credits)
            .ok()
            .text("instanceId")
            .unwrap(),
        launch(&ec2, &image, "t3.micro", &[])
            .ok()
            .text("instanceId")
            .unwrap(),
    );
    for (id, expected) in [(&asked, "standard"), (&usual, "unlimited")] {
        let shown = ec2.ec2(
            "DescribeInstanceCreditSpecifications",
            &[("InstanceId.1", id)],
        );
        assert_eq!(shown.ok().text("cpuCredits").unwrap(), expected);
    }
}

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
async fn what_an_instance_has_cannot_be_changed_in_its_image() {
    let ec2 = LocalEc2::new();
    let stopped = ec2.stopped().await;
    let create = |more: &[(&str, &str)]| {
        let mut parameters = vec![
            ("InstanceId", stopped.as_str()),
            ("Name", "made"),
            ("BlockDeviceMapping.1.DeviceName", "/dev/sda1"),
        ];
        parameters.extend(more);
        ec2.ec2("CreateImage", &parameters)
    };
    for (name, value) in [
        ("VolumeSize", "20"),
        ("VolumeType", "gp3"),
        ("Encrypted", "true"),
    ] {
        let name = format!("BlockDeviceMapping.1.Ebs.{name}");
        assert_eq!(
            create(&[(&name, value)]).code(),
            "InvalidBlockDeviceMapping",
            "{name}"
        );
    }
    let kept = create(&[
        ("BlockDeviceMapping.1.Ebs.VolumeSize", "10"),
        ("BlockDeviceMapping.1.Ebs.DeleteOnTermination", "false"),
        ("BlockDeviceMapping.2.DeviceName", "/dev/sdf"),
        ("BlockDeviceMapping.2.Ebs.VolumeSize", "5"),
        ("BlockDeviceMapping.3.DeviceName", "/dev/sdb"),
        ("BlockDeviceMapping.3.VirtualName", "ephemeral0"),
    ]);
    let image = kept.ok().text("imageId").unwrap();
    let shown = ec2.ec2("DescribeImages", &[("ImageId.1", &image)]).ok();
    assert_eq!(shown.texts("deleteOnTermination"), ["false", "true"]);
    assert_eq!(
        shown.texts("ebs/snapshotId").len(),
        1,
        "a new volume has no snapshot"
    );
    assert_eq!(shown.text("virtualName").unwrap(), "ephemeral0");
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

#[tokio::test(flavor = "multi_thread")]
async fn networks_of_ones_own() {
    let ec2 = LocalEc2::new();
    let image = ec2.image();
    let tag = [
        ("CidrBlock", "10.7.0.0/16"),
        ("AmazonProvidedIpv6CidrBlock", "true"),
        ("TagSpecification.1.ResourceType", "vpc"),
        ("TagSpecification.1.Tag.1.Key", "Name"),
        ("TagSpecification.1.Tag.1.Value", "build"),
    ];
    let vpc = ec2.ec2("CreateVpc", &tag).ok();
    let (id, block) = (
        vpc.text("vpcId").unwrap(),
        vpc.text("ipv6CidrBlock").unwrap(),
    );
    let found = ec2
        .ec2(
            "DescribeVpcs",
            &[("Filter.1.Name", "tag:Name"), ("Filter.1.Value.1", "build")],
        )
        .ok();
    assert_eq!(
        (
            found.texts("vpcId").len(),
            found.text("isDefault").unwrap().as_str()
        ),
        (1, "false")
    );
    let subnet_block = block.replace("/56", "/64");
    let make = |more: &[(&str, &str)]| {
        let mut parameters = vec![("VpcId", id.as_str()), ("AvailabilityZone", "us-east-2b")];
        parameters.extend(more);
        ec2.ec2("CreateSubnet", &parameters)
    };
    for (cidr, code) in [
        ("10.8.0.0/24", "InvalidSubnet.Range"),
        ("10.7.0.0/30", "InvalidSubnet.Range"),
        ("moon", "InvalidParameterValue"),
    ] {
        assert_eq!(make(&[("CidrBlock", cidr)]).code(), code, "{cidr}");
    }
    assert_eq!(
        make(&[
            ("CidrBlock", "10.7.1.0/28"),
            ("Ipv6CidrBlock", "2001:db8::/64")
        ])
        .code(),
        "InvalidSubnet.Range"
    );
    let subnet = make(&[
        ("CidrBlock", "10.7.1.0/28"),
        ("Ipv6CidrBlock", &subnet_block),
    ])
    .ok();
    let subnet_id = subnet.text("subnetId").unwrap();
    assert_eq!(subnet.text("availableIpAddressCount").unwrap(), "11");
    assert_eq!(
        make(&[("CidrBlock", "10.7.1.8/29")]).code(),
        "InvalidSubnet.Range"
    );
    assert_eq!(
        make(&[("CidrBlock", "10.7.1.0/24")]).code(),
        "InvalidSubnet.Conflict"
    );
    let here = [("SubnetId", subnet_id.as_str()), ("Ipv6AddressCount", "1")];
    let launched = launch(&ec2, &image, "m5.large", &here).ok();
    let instance = launched.text("instanceId").unwrap();
    let address = launched.text("ipv6Address").unwrap();
    assert!(
        launched.text("ipAddress").is_none(),
        "no public address unless asked for"
    );
    ec2.state(&instance, "running").await;
    assert_eq!(
        ec2.guests.spec(&instance).unwrap().ipv6,
        [address.parse::<std::net::Ipv6Addr>().unwrap()]
    );
    let token = ec2.guests.imds_token(&instance);
    let header = [("X-aws-ec2-metadata-token", token.as_str())];
    assert_eq!(
        ec2.guests
            .imds(&instance, "GET", "/latest/meta-data/ipv6", &header),
        (200, address.clone())
    );
    let free = ec2
        .ec2("DescribeSubnets", &[("SubnetId.1", &subnet_id)])
        .ok();
    assert_eq!(free.text("availableIpAddressCount").unwrap(), "10");
    let taken = [
        ("SubnetId", subnet_id.as_str()),
        ("Ipv6Address.1.Ipv6Address", address.as_str()),
    ];
    assert_eq!(
        launch(&ec2, &image, "m5.large", &taken).code(),
        "InvalidIPAddress.InUse"
    );
    assert_eq!(
        launch(&ec2, &image, "m5.large", &[("Ipv6AddressCount", "1")]).code(),
        "InvalidParameterCombination"
    );
    assert_eq!(
        launch(&ec2, &image, "m3.medium", &here).code(),
        "InvalidParameterCombination"
    );
    // Groups are a VPC's own.
    let default = ec2
        .ec2(
            "DescribeSecurityGroups",
            &[("Filter.1.Name", "vpc-id"), ("Filter.1.Value.1", &id)],
        )
        .ok();
    assert_eq!(default.texts("groupName"), ["default"]);
    let group = ec2
        .ec2(
            "CreateSecurityGroup",
            &[("GroupName", "g"), ("GroupDescription", "d")],
        )
        .ok()
        .text("groupId")
        .unwrap();
    let wrong = launch(
        &ec2,
        &image,
        "m5.large",
        &[("SubnetId", &subnet_id), ("SecurityGroupId.1", &group)],
    );
    assert_eq!(wrong.code(), "InvalidParameter");
    assert!(wrong.body.contains("belong to different networks"));
    assert_eq!(
        ec2.ec2("DeleteSubnet", &[("SubnetId", &subnet_id)]).code(),
        "DependencyViolation"
    );
    assert_eq!(
        ec2.ec2("DeleteVpc", &[("VpcId", &id)]).code(),
        "DependencyViolation"
    );
    gone(&ec2, &instance).await;
    ec2.ec2("DeleteSubnet", &[("SubnetId", &subnet_id)]).ok();
    ec2.ec2("DeleteVpc", &[("VpcId", &id)]).ok();
    assert_eq!(show_vpcs(&ec2), 1);
}

fn show_vpcs(ec2: &LocalEc2) -> usize {
    ec2.ec2("DescribeVpcs", &[]).ok().texts("vpcId").len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_without_a_default_vpc() {
    let ec2 = LocalEc2::new().in_region("us-west-1");
    let image = ec2.image();
    for subnet in ec2.ec2("DescribeSubnets", &[]).ok().texts("subnetId") {
        ec2.ec2("DeleteSubnet", &[("SubnetId", &subnet)]).ok();
    }
    assert_eq!(launch(&ec2, &image, "m5.large", &[]).code(), "MissingInput");
    let vpc = ec2.ec2("DescribeVpcs", &[]).ok().text("vpcId").unwrap();
    ec2.ec2("DeleteVpc", &[("VpcId", &vpc)]).ok();
    assert_eq!(show_vpcs(&ec2), 0);
    assert_eq!(
        launch(&ec2, &image, "m5.large", &[]).code(),
        "VPCIdNotSpecified"
    );
    let group = ec2.ec2(
        "CreateSecurityGroup",
        &[("GroupName", "g"), ("GroupDescription", "d")],
    );
    assert_eq!(group.code(), "VPCIdNotSpecified");
    ec2.ec2("CreateDefaultVpc", &[]).ok();
    assert_eq!(
        ec2.ec2("CreateDefaultVpc", &[]).code(),
        "DefaultVpcAlreadyExists"
    );
    launch(&ec2, &image, "m5.large", &[]).ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn protected_images_stay() {
    let ec2 = LocalEc2::new();
    let image = ec2.image_of(&ec2.stopped().await, "made").await;
    let protect = |action: &str, more: &[(&str, &str)]| {
        let mut parameters = vec![("ImageId", image.as_str())];
        parameters.extend(more);
        ec2.ec2(action, &parameters).ok().text("return").unwrap()
    };
    let shown = || {
        let shown = ec2.ec2("DescribeImages", &[("ImageId.1", &image)]).ok();
        shown.text("deregistrationProtection").unwrap()
    };
    let (on, off) = (
        "EnableImageDeregistrationProtection",
        "DisableImageDeregistrationProtection",
    );
    assert_eq!(protect(on, &[]), "enabled-without-cooldown");
    assert_eq!(shown(), "enabled-without-cooldown");
    let refused = ec2.ec2("DeregisterImage", &[("ImageId", &image)]);
    assert_eq!(refused.code(), "OperationNotPermitted");
    assert_eq!(protect(off, &[]), "disabled");
    assert_eq!(
        protect(on, &[("WithCooldown", "true")]),
        "enabled-with-cooldown"
    );
    assert!(protect(off, &[]).starts_with("disabled-after-cooldown-"));
    let refused = ec2.ec2("DeregisterImage", &[("ImageId", &image)]);
    assert_eq!(
        refused.code(),
        "OperationNotPermitted",
        "for another 24 hours"
    );
    protect(on, &[]);
    protect(off, &[]);
    ec2.ec2("DeregisterImage", &[("ImageId", &image)]).ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn launch_templates_name_their_images() {
    let ec2 = LocalEc2::new();
    let image = ec2.image();
    let make = |name: &str, image: &str| {
        ec2.ec2(
            "CreateLaunchTemplate",
            &[
                ("LaunchTemplateName", name),
                ("LaunchTemplateData.ImageId", image),
                ("LaunchTemplateData.InstanceType", "m5.large"),
            ],
        )
    };
    let id = make("web", &image).ok().text("launchTemplateId").unwrap();
    assert_eq!(
        make("web", &image).code(),
        "InvalidLaunchTemplateName.AlreadyExistsException"
    );
    assert_eq!(
        make("w", &image).code(),
        "InvalidLaunchTemplateName.MalformedException"
    );
    assert_eq!(make("other", "ami").code(), "InvalidAMIID.Malformed");
    ec2.ec2(
        "CreateLaunchTemplateVersion",
        &[
            ("LaunchTemplateId", &id),
            ("LaunchTemplateData.ImageId", "ami-0123456789abcdef0"),
        ],
    )
    .ok();
    let latest = [
        ("LaunchTemplateVersion.1", "$Latest"),
        ("LaunchTemplateVersion.2", "$Default"),
    ];
    let all = ec2.ec2("DescribeLaunchTemplateVersions", &latest).ok();
    assert_eq!(
        all.texts("imageId"),
        [image.as_str(), "ami-0123456789abcdef0"]
    );
    let one = ec2
        .ec2(
            "DescribeLaunchTemplateVersions",
            &[
                ("LaunchTemplateName", "web"),
                ("LaunchTemplateVersion.1", "2"),
            ],
        )
        .ok();
    assert_eq!(
        (
            one.text("versionNumber").unwrap().as_str(),
            one.text("defaultVersion").unwrap().as_str()
        ),
        ("2", "false")
    );
    // A template may name a parameter; its image is shown to whoever asks for that.
    let parameter =
        "resolve:ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64";
    for image in [parameter, "resolve:ssm:/nothing/there"] {
        ec2.ec2(
            "CreateLaunchTemplateVersion",
            &[
                ("LaunchTemplateId", &id),
                ("LaunchTemplateData.ImageId", image),
            ],
        )
        .ok();
    }
    let shown = |resolve: &str| {
        let named = [("LaunchTemplateName", "web"), ("ResolveAlias", resolve)];
        let shown = ec2.ec2("DescribeLaunchTemplateVersions", &named).ok();
        shown.texts("imageId")[2..].to_vec()
    };
    assert_eq!(shown("false"), [parameter, "resolve:ssm:/nothing/there"]);
    let resolved = shown("true");
    assert!(resolved[0].starts_with("ami-"), "{resolved:?}");
    assert_eq!(resolved[1], "resolve:ssm:/nothing/there");
    assert_eq!(
        ec2.ec2("DescribeLaunchTemplateVersions", &[]).code(),
        "MissingParameter"
    );
    let by = launch(
        &ec2,
        &image,
        "m5.large",
        &[("LaunchTemplate.LaunchTemplateId", &id)],
    );
    assert_eq!(by.code(), "UnsupportedOperation");
    ec2.ec2("DeleteLaunchTemplate", &[("LaunchTemplateId", &id)])
        .ok();
    let gone = ec2.ec2("DescribeLaunchTemplates", &[("LaunchTemplateId.1", &id)]);
    assert_eq!(gone.code(), "InvalidLaunchTemplateId.NotFound");
}
