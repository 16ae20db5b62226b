//! Faults, throttling, restarts and the request log.

// A test is an edge.
#![allow(clippy::disallowed_methods)]

mod support;

use emulator::config::{Delays, EmulatorConfig};
use emulator::engine::request_log;
use serde_json::json;
use std::sync::Arc;
use support::{LocalEc2, MemoryGuests, PROFILE, credentials_of};

#[tokio::test(flavor = "multi_thread")]
async fn faults() {
    let ec2 = LocalEc2::new();
    let faults = |text: &str| std::fs::write(ec2.path().join("faults.json"), text).unwrap();
    faults(
        r#"{"actions":[{"action":"DescribeRegions","code":"InternalError","status":500,"times":1}]}"#,
    );
    assert_eq!(ec2.ec2("DescribeRegions", &[]).status, 500);
    ec2.ec2("DescribeRegions", &[]).ok();
    faults(r#"{"image_creation_fails":true}"#);
    let id = ec2.stopped().await;
    let image = ec2
        .ec2("CreateImage", &[("InstanceId", &id), ("Name", "doomed")])
        .ok()
        .text("imageId")
        .unwrap();
    let failed = |a: &support::Answer| a.text("imageState").as_deref() == Some("failed");
    ec2.until("DescribeImages", &[("ImageId.1", &image)], failed)
        .await;
    faults(r#"{"binding_refused":true}"#);
    let guest_id = ec2.running(&[("IamInstanceProfile.Name", PROFILE)]).await;
    let guest = ec2.as_caller(credentials_of(&ec2, &guest_id));
    let bind = [
        ("AllocationId", "eipalloc-0local"),
        ("InstanceId", guest_id.as_str()),
        ("AllowReassociation", "false"),
    ];
    assert_eq!(
        guest.ec2("AssociateAddress", &bind).code(),
        "UnauthorizedOperation"
    );
    ec2.ec2("AssociateAddress", &bind).ok();
    faults(r#"{"instance_never_boots":true}"#);
    let dead = ec2.running(&[]).await;
    assert!(ec2.guests.spec(&dead).is_none());
    faults(r#"{"instance_terminated_after_ms":1}"#);
    let image = ec2.image();
    let p = [
        ("ImageId", image.as_str()),
        ("InstanceType", "m5.large"),
        ("MinCount", "1"),
        ("MaxCount", "1"),
    ];
    let lost = ec2.ec2("RunInstances", &p).ok().text("instanceId").unwrap();
    ec2.state(&lost, "terminated").await;
    faults(r#"{"misspelt":true}"#);
    assert_eq!(ec2.ec2("DescribeRegions", &[]).code(), "InternalError");
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_requests_are_refused() {
    let ec2 = LocalEc2::with(EmulatorConfig {
        delays: Delays::Ec2Like,
        ..EmulatorConfig::default()
    });
    let refused = (0..150)
        .map(|_| ec2.ec2("DescribeRegions", &[]))
        .find(|a| a.status != 200)
        .unwrap();
    assert_eq!(
        (refused.code().as_str(), refused.status),
        ("RequestLimitExceeded", 503)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_there_is_there_after_a_restart_and_runs_again() {
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let config = EmulatorConfig {
        delays: Delays::None,
        ..EmulatorConfig::default()
    };
    let before = LocalEc2::over(
        dir.clone(),
        Arc::new(MemoryGuests::default()),
        config.clone(),
    );
    let running = before.running(&[]).await;
    let stopped = before.stopped().await;
    let image = before.image_of(&stopped, "kept image").await;
    before.engine.power_cut().await;
    let after = LocalEc2::over(dir, Arc::new(MemoryGuests::default()), config);
    assert!(after.guests.spec(&running).is_none());
    after.engine.resume();
    after
        .until("DescribeInstances", &[], |_| {
            after.guests.spec(&running).is_some()
        })
        .await;
    after.state(&running, "running").await;
    after.state(&stopped, "stopped").await;
    assert!(after.guests.spec(&stopped).is_none());
    let launched = after.running(&[("ImageId", &image)]).await;
    assert_eq!(after.guests.spec(&launched).unwrap().image_layers.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_request_log_has_names_and_codes_and_no_values() {
    let ec2 = LocalEc2::new();
    ec2.ssm(
        "PutParameter",
        &json!({ "Name": "p", "Value": "very-secret", "Type": "SecureString" }),
    )
    .ok();
    ec2.ec2("DescribeUnicorns", &[("Colour", "very-secret")]);
    let records = request_log::read(ec2.path()).unwrap();
    assert_eq!(records.len(), 2);
    assert_eq!(records[1].code.as_deref(), Some("InvalidAction"));
    assert_eq!(request_log::counts(&records)["ssm:PutParameter"], 1);
    let text = std::fs::read_to_string(ec2.path().join("requests.jsonl")).unwrap();
    assert!(!text.contains("very-secret") && !text.contains(&ec2.key.secret));
}
