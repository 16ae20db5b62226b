//! Launching, stopping, starting and terminating, without delays and without real guests.
// A test is an edge.
#![allow(clippy::disallowed_methods)]

mod support;

use base64::prelude::{BASE64_STANDARD, Engine};
use emulator::guest::GuestExit;
use support::{Answer, LocalEc2};

#[tokio::test(flavor = "multi_thread")]
async fn the_ordinary_life() {
    let ec2 = LocalEc2::new();
    let id = ec2.running(&[]).await;
    let running = ec2.ec2("DescribeInstances", &[("InstanceId.1", &id)]).ok();
    assert!(running.text("ipAddress").unwrap().starts_with("127."));
    assert!(!running.text("ipAddress").unwrap().starts_with("127.0."));
    let stopping = ec2.ec2("StopInstances", &[("InstanceId.1", &id)]).ok();
    assert_eq!(stopping.text("previousState/name").unwrap(), "running");
    let stopped = ec2.state(&id, "stopped").await;
    assert_eq!(
        stopped.text("ipAddress"),
        None,
        "a stopped instance has no random public address"
    );
    assert!(
        stopped
            .text("stateReason/code")
            .unwrap()
            .starts_with("Client.UserInitiated")
    );
    ec2.ec2("StartInstances", &[("InstanceId.1", &id)]).ok();
    let again = ec2.state(&id, "running").await;
    assert!(again.text("ipAddress").is_some());
    ec2.ec2("TerminateInstances", &[("InstanceId.1", &id)]).ok();
    let gone = ec2.state(&id, "terminated").await;
    assert_eq!(gone.text("blockDeviceMapping/item/deviceName"), None);
    assert_eq!(
        ec2.ec2("StartInstances", &[("InstanceId.1", &id)]).code(),
        "IncorrectInstanceState"
    );
    assert_eq!(
        ec2.ec2("TerminateInstances", &[("InstanceId.1", &id)])
            .ok()
            .text("currentState/name")
            .unwrap(),
        "terminated"
    );
    assert!(
        ec2.ec2("DescribeVolumes", &[])
            .ok()
            .texts("volumeId")
            .is_empty()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_token_makes_one_reservation() {
    let ec2 = LocalEc2::new();
    let image = ec2.image();
    let run = |kind: &str| {
        let p = [
            ("ImageId", image.as_str()),
            ("InstanceType", kind),
            ("MinCount", "2"),
            ("MaxCount", "2"),
            ("ClientToken", "once"),
        ];
        ec2.ec2("RunInstances", &p)
    };
    let first = run("m5.large").ok();
    let second = run("m5.large").ok();
    let ids = |a: &Answer| {
        let mut ids = a.texts("instanceId");
        ids.sort();
        ids
    };
    assert_eq!(ids(&first).len(), 2);
    assert_eq!(ids(&first), ids(&second));
    assert_eq!(run("m5.xlarge").code(), "IdempotentParameterMismatch");
    assert_eq!(
        ec2.ec2("DescribeInstances", &[])
            .ok()
            .texts("instanceId")
            .len(),
        2
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_run_instances_refuses() {
    let ec2 = LocalEc2::new();
    let image = ec2.image();
    let long = BASE64_STANDARD.encode(vec![b'#'; 16_385]);
    let fits = BASE64_STANDARD.encode(vec![b'#'; 16_384]);
    let cases: &[(&[(&str, &str)], &str)] = &[
        (
            &[("ImageId", "ami-0123456789abcdef0")],
            "InvalidAMIID.NotFound",
        ),
        (&[("ImageId", "ami-x")], "InvalidAMIID.Malformed"),
        (&[("InstanceType", "m9.huge")], "InvalidParameterValue"),
        (&[("InstanceType", "t4g.micro")], "InvalidParameterValue"),
        (&[("KeyName", "nobody")], "InvalidKeyPair.NotFound"),
        (
            &[("SecurityGroupId.1", "sg-0123456789abcdef0")],
            "InvalidGroup.NotFound",
        ),
        (
            &[("SubnetId", "subnet-0123456789abcdef0")],
            "InvalidSubnetID.NotFound",
        ),
        (
            &[("IamInstanceProfile.Name", "nobody")],
            "InvalidParameterValue",
        ),
        (&[("UserData", &long)], "InvalidParameterValue"),
        (&[("UserData", "not base64!")], "InvalidParameterValue"),
        (
            &[("Placement.AvailabilityZone", "us-east-2z")],
            "InvalidParameterValue",
        ),
        (
            &[("InstanceInitiatedShutdownBehavior", "explode")],
            "InvalidParameterValue",
        ),
        (
            &[
                ("BlockDeviceMapping.1.DeviceName", "/dev/sda1"),
                ("BlockDeviceMapping.1.Ebs.VolumeSize", "1"),
            ],
            "InvalidBlockDeviceMapping",
        ),
        (
            &[("CreditSpecification.CpuCredits", "standard")],
            "InvalidParameterCombination",
        ),
        (&[("Colour", "red")], "UnknownParameter"),
        (
            &[
                ("TagSpecification.1.ResourceType", "image"),
                ("TagSpecification.1.Tag.1.Key", "k"),
            ],
            "InvalidParameterValue",
        ),
        (
            &[
                ("NetworkInterface.1.DeviceIndex", "0"),
                ("SubnetId", "subnet-0123456789abcdef0"),
            ],
            "InvalidParameterCombination",
        ),
        (&[("DryRun", "true")], "DryRunOperation"),
    ];
    for (parameters, code) in cases {
        let mut all = vec![
            ("ImageId", image.as_str()),
            ("InstanceType", "m5.large"),
            ("MinCount", "1"),
            ("MaxCount", "1"),
        ];
        all.extend(*parameters);
        assert_eq!(
            ec2.ec2("RunInstances", &all).code(),
            *code,
            "{parameters:?}"
        );
    }
    assert!(
        ec2.ec2("DescribeInstances", &[])
            .ok()
            .texts("instanceId")
            .is_empty(),
        "a refusal leaves nothing"
    );
    assert!(
        ec2.ec2("DescribeVolumes", &[])
            .ok()
            .texts("volumeId")
            .is_empty()
    );
    ec2.running(&[("UserData", &fits)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_are_checked_before_anything_is_changed() {
    let ec2 = LocalEc2::new();
    let id = ec2.running(&[]).await;
    let missing = ec2.ec2(
        "StopInstances",
        &[
            ("InstanceId.1", &id),
            ("InstanceId.2", "i-0123456789abcdef0"),
        ],
    );
    assert_eq!(missing.code(), "InvalidInstanceID.NotFound");
    assert_eq!(
        missing.text("Message").unwrap(),
        "The instance ID 'i-0123456789abcdef0' does not exist"
    );
    assert_eq!(
        ec2.ec2("StopInstances", &[("InstanceId.1", "i-1")]).code(),
        "InvalidInstanceID.Malformed"
    );
    assert_eq!(ec2.ec2("StopInstances", &[]).code(), "MissingParameter");
    ec2.state(&id, "running").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_from_inside_does_what_was_asked_at_launch() {
    let ec2 = LocalEc2::new();
    for (behavior, state) in [("stop", "stopped"), ("terminate", "terminated")] {
        let id = ec2
            .running(&[("InstanceInitiatedShutdownBehavior", behavior)])
            .await;
        ec2.guests.exit(&id, GuestExit::ShutDownFromInside);
        let ended = ec2.state(&id, state).await;
        assert_eq!(
            ended.text("stateReason/code").unwrap(),
            "Client.InstanceInitiatedShutdown"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reboot_from_inside_keeps_the_instance_running() {
    let ec2 = LocalEc2::new();
    let id = ec2.running(&[]).await;
    ec2.guests.exit(&id, GuestExit::RebootFromInside);
    let console = |a: &Answer| {
        let text = BASE64_STANDARD.decode(a.text("output").unwrap()).unwrap();
        String::from_utf8(text).unwrap().matches("is up").count() == 2
    };
    ec2.until("GetConsoleOutput", &[("InstanceId", &id)], console)
        .await;
    ec2.state(&id, "running").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_launch_that_fails_is_terminated_and_says_why() {
    let ec2 = LocalEc2::new();
    ec2.guests.fail("no room for another guest");
    let image = ec2.image();
    let p = [
        ("ImageId", image.as_str()),
        ("InstanceType", "m5.large"),
        ("MinCount", "1"),
        ("MaxCount", "1"),
    ];
    let id = ec2.ec2("RunInstances", &p).ok().text("instanceId").unwrap();
    let gone = ec2.state(&id, "terminated").await;
    assert!(
        gone.text("stateReason/message")
            .unwrap()
            .contains("no room for another guest")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn attributes_that_need_a_stopped_instance() {
    let ec2 = LocalEc2::new();
    let id = ec2.running(&[]).await;
    let data = BASE64_STANDARD.encode("#!/bin/sh");
    let set = [
        ("InstanceId", id.as_str()),
        ("UserData.Value", data.as_str()),
    ];
    assert_eq!(
        ec2.ec2("ModifyInstanceAttribute", &set).code(),
        "IncorrectInstanceState"
    );
    let group = ec2
        .ec2(
            "CreateSecurityGroup",
            &[("GroupName", "g"), ("GroupDescription", "g")],
        )
        .ok()
        .text("groupId")
        .unwrap();
    ec2.ec2(
        "ModifyInstanceAttribute",
        &[("InstanceId", &id), ("GroupId.1", &group)],
    )
    .ok();
    assert_eq!(
        ec2.ec2("DeleteSecurityGroup", &[("GroupId", &group)])
            .code(),
        "DependencyViolation"
    );
    ec2.ec2("StopInstances", &[("InstanceId.1", &id)]).ok();
    ec2.state(&id, "stopped").await;
    ec2.ec2("ModifyInstanceAttribute", &set).ok();
    let shown = ec2
        .ec2(
            "DescribeInstanceAttribute",
            &[("InstanceId", &id), ("Attribute", "userData")],
        )
        .ok();
    assert_eq!(shown.text("userData/value").unwrap(), data);
    assert_eq!(
        ec2.ec2("DeleteSecurityGroup", &[("GroupId", &group)])
            .code(),
        "DependencyViolation",
        "a stopped instance still uses it"
    );
    ec2.ec2("TerminateInstances", &[("InstanceId.1", &id)]).ok();
    ec2.state(&id, "terminated").await;
    ec2.ec2("DeleteSecurityGroup", &[("GroupId", &group)]).ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_and_pages() {
    let ec2 = LocalEc2::new();
    for n in 0..7 {
        let name = format!("n{n}");
        ec2.running(&[
            ("TagSpecification.1.ResourceType", "instance"),
            ("TagSpecification.1.Tag.1.Key", "Name"),
            ("TagSpecification.1.Tag.1.Value", &name),
        ])
        .await;
    }
    let some = ec2
        .ec2(
            "DescribeInstances",
            &[
                ("Filter.1.Name", "tag:Name"),
                ("Filter.1.Value.1", "n[0"),
                ("Filter.1.Value.2", "n3"),
                ("Filter.1.Value.3", "*5"),
            ],
        )
        .ok();
    assert_eq!(
        some.texts("instanceId")
            .iter()
            .collect::<std::collections::BTreeSet<_>>()
            .len(),
        2
    );
    assert_eq!(
        ec2.ec2(
            "DescribeInstances",
            &[("Filter.1.Name", "colour"), ("Filter.1.Value.1", "red")]
        )
        .code(),
        "InvalidParameterValue"
    );
    let first = ec2.ec2("DescribeInstances", &[("MaxResults", "5")]).ok();
    let token = first.text("nextToken").unwrap();
    let second = ec2
        .ec2(
            "DescribeInstances",
            &[("MaxResults", "5"), ("NextToken", &token)],
        )
        .ok();
    let count = |a: &Answer| a.texts("ownerId").len() / 2;
    assert_eq!(
        (count(&first), count(&second), second.text("nextToken")),
        (5, 2, None)
    );
}
