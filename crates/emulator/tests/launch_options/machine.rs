//! What suits a machine, and where it goes.

use super::*;

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
