//! Images, and what becomes of launches from them.

use super::*;

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
