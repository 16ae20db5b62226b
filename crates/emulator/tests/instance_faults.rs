//! What goes wrong with instances and images on demand, as a client sees it. With real guests: `guest_faults.rs`.

// A test is an edge.
#![allow(clippy::disallowed_methods)]

mod support;

use emulator::config::{Delays, EmulatorConfig};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use support::{Answer, LocalEc2, PROFILE, credentials_of};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// Shorter than a test may take, longer than anything here does that does happen.
const SHORT: Duration = Duration::from_millis(300);

fn set(ec2: &LocalEc2, faults: &str) {
    std::fs::write(ec2.path().join("faults.json"), faults).unwrap();
}

fn launch(ec2: &LocalEc2, parameters: &[(&str, &str)]) -> String {
    let image = ec2.image();
    let mut all = vec![
        ("ImageId", image.as_str()),
        ("InstanceType", "m5.large"),
        ("MinCount", "1"),
        ("MaxCount", "1"),
    ];
    all.extend(parameters);
    ec2.ec2("RunInstances", &all)
        .ok()
        .text("instanceId")
        .unwrap()
}

const BASE: [(&str, &str); 3] = [
    ("TagSpecification.1.ResourceType", "instance"),
    ("TagSpecification.1.Tag.1.Key", "qib:stage"),
    ("TagSpecification.1.Tag.1.Value", "base"),
];

fn state(ec2: &LocalEc2, id: &str) -> String {
    ec2.ec2("DescribeInstances", &[("InstanceId.1", id)])
        .ok()
        .text("instanceState/name")
        .unwrap()
}

/// Waits for a condition that nothing announces.
async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "{what} did not come about");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn console(ec2: &LocalEc2, id: &str) -> String {
    use base64::prelude::{BASE64_STANDARD, Engine};
    let output = ec2
        .ec2("GetConsoleOutput", &[("InstanceId", id)])
        .ok()
        .text("output")
        .unwrap();
    String::from_utf8(BASE64_STANDARD.decode(output).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_two_launches_fail_and_the_third_does_not() {
    let ec2 = LocalEc2::new();
    let before = ec2.running(&[]).await;
    set(
        &ec2,
        r#"{"instance_never_runs": {"value": true, "instances": {"next": 2}}}"#,
    );
    // A start is no launch: it is neither hit nor counted.
    ec2.ec2("StopInstances", &[("InstanceId.1", &before)]).ok();
    ec2.state(&before, "stopped").await;
    ec2.ec2("StartInstances", &[("InstanceId.1", &before)]).ok();
    ec2.state(&before, "running").await;
    for _ in 0..2 {
        let id = launch(&ec2, &[]);
        let gone = ec2.state(&id, "terminated").await;
        assert_eq!(
            gone.text("stateReason/code").unwrap(),
            "Server.InternalError"
        );
        assert!(!ec2.guests.runs(&id));
    }
    ec2.running(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_fails_ends_in_stopped() {
    let ec2 = LocalEc2::new();
    let id = ec2.stopped().await;
    set(&ec2, r#"{"instance_never_runs": true}"#);
    ec2.ec2("StartInstances", &[("InstanceId.1", &id)]).ok();
    let stopped = |a: &Answer| {
        a.text("instanceState/name").as_deref() == Some("stopped")
            && a.text("stateReason/code").as_deref() == Some("Server.InternalError")
    };
    ec2.until("DescribeInstances", &[("InstanceId.1", &id)], stopped)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_never_stops_does_when_it_is_forced_or_terminated() {
    let ec2 = LocalEc2::new();
    set(
        &ec2,
        r#"{"instance_never_stops": {"value": true, "instances": {"tag": "qib:stage=base"}}}"#,
    );
    let other = ec2.running(&[]).await;
    ec2.ec2("StopInstances", &[("InstanceId.1", &other)]).ok();
    ec2.state(&other, "stopped").await;
    for end in ["StopInstances", "TerminateInstances"] {
        let id = ec2.running(&BASE).await;
        ec2.ec2("StopInstances", &[("InstanceId.1", &id)]).ok();
        eventually("the stop was heard", || {
            console(&ec2, &id).contains("never_stops")
        })
        .await;
        tokio::time::sleep(SHORT).await;
        assert_eq!(state(&ec2, &id), "stopping");
        assert!(ec2.guests.runs(&id), "it goes on running meanwhile");
        ec2.ec2(end, &[("InstanceId.1", &id), ("Force", "true")])
            .ok();
        let last = match end {
            "StopInstances" => "stopped",
            _ => "terminated",
        };
        ec2.state(&id, last).await;
        assert!(!ec2.guests.runs(&id));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_shutdown_takes_as_long_as_asked_and_not_longer_than_force() {
    let ec2 = LocalEc2::new();
    set(&ec2, r#"{"instance_shutdown_takes_ms": 1500}"#);
    let id = ec2.running(&[]).await;
    let begun = Instant::now();
    ec2.ec2("StopInstances", &[("InstanceId.1", &id)]).ok();
    assert!(ec2.guests.runs(&id));
    ec2.state(&id, "stopped").await;
    assert!(begun.elapsed() >= Duration::from_millis(1500));
    let id = ec2.running(&[]).await;
    let begun = Instant::now();
    ec2.ec2("TerminateInstances", &[("InstanceId.1", &id)]).ok();
    ec2.state(&id, "terminated").await;
    assert!(begun.elapsed() >= Duration::from_millis(1500));

    set(&ec2, r#"{"instance_shutdown_takes_ms": 600000}"#);
    let id = ec2.running(&[]).await;
    ec2.ec2("StopInstances", &[("InstanceId.1", &id)]).ok();
    ec2.ec2("StopInstances", &[("InstanceId.1", &id), ("Force", "true")])
        .ok();
    ec2.state(&id, "stopped").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_shutdown_never_ends_a_later_run_of_the_same_instance() {
    let ec2 = LocalEc2::new();
    set(&ec2, r#"{"instance_shutdown_takes_ms": 200}"#);
    let id = ec2.running(&[]).await;
    ec2.ec2("StopInstances", &[("InstanceId.1", &id)]).ok();
    ec2.ec2("StopInstances", &[("InstanceId.1", &id), ("Force", "true")])
        .ok();
    ec2.state(&id, "stopped").await;
    ec2.ec2("StartInstances", &[("InstanceId.1", &id)]).ok();
    ec2.state(&id, "running").await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(state(&ec2, &id), "running");
    assert!(ec2.guests.runs(&id));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spot_instance_is_told_before_it_is_taken_back() {
    let ec2 = LocalEc2::new();
    set(
        &ec2,
        r#"{"spot_interruption": {"value": {"after_ms": 1500, "notice_ms": 1200}, "instances": {"next": 1}}}"#,
    );
    let id = ec2.running(&[]).await;
    let notice = |id: &str| {
        ec2.guests
            .imds(id, "GET", "/latest/meta-data/spot/instance-action", &[])
    };
    assert_eq!(notice(&id).0, 404, "nothing is told before its time");
    eventually("the notice", || notice(&id).0 == 200).await;
    assert_eq!(state(&ec2, &id), "running");
    let told: serde_json::Value = serde_json::from_str(&notice(&id).1).unwrap();
    assert_eq!(told["action"], "terminate");
    let at: jiff::Timestamp = told["time"].as_str().unwrap().parse().unwrap();
    let left = at.duration_since(jiff::Timestamp::now()).as_millis();
    assert!((-1000..=1200).contains(&left), "{told}");
    let gone = ec2.state(&id, "terminated").await;
    assert_eq!(
        gone.text("stateReason/code").unwrap(),
        "Server.SpotInstanceTermination"
    );
    assert!(!ec2.guests.runs(&id));
    let other = ec2.running(&[]).await;
    tokio::time::sleep(Duration::from_millis(1700)).await;
    assert_eq!(state(&ec2, &other), "running");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_to_end_one_run_of_an_instance_does_not_end_the_next() {
    let ec2 = LocalEc2::new();
    set(
        &ec2,
        r#"{"instance_terminated_after_ms": 500, "spot_interruption": {"after_ms": 500}}"#,
    );
    let id = ec2.running(&[]).await;
    set(&ec2, "{}");
    let notice = || {
        ec2.guests
            .imds(&id, "GET", "/latest/meta-data/spot/instance-action", &[])
    };
    eventually("the notice", || notice().0 == 200).await;
    ec2.ec2("StopInstances", &[("InstanceId.1", &id)]).ok();
    ec2.state(&id, "stopped").await;
    ec2.ec2("StartInstances", &[("InstanceId.1", &id)]).ok();
    ec2.state(&id, "running").await;
    tokio::time::sleep(Duration::from_millis(800)).await;
    assert_eq!(state(&ec2, &id), "running");
    assert_eq!(notice().0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delayed_binding_takes_effect_later_and_the_address_is_taken_meanwhile() {
    let ec2 = LocalEc2::new();
    set(&ec2, r#"{"binding_delayed_ms": 2000}"#);
    let id = ec2.running(&[("IamInstanceProfile.Name", PROFILE)]).await;
    let rival = ec2.running(&[]).await;
    let bind = |id: &str| {
        [
            ("AllocationId", "eipalloc-0local"),
            ("InstanceId", id),
            ("AllowReassociation", "false"),
        ]
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
    };
    let call = |as_whom: &LocalEc2, id: &str| {
        let p = bind(id);
        let p: Vec<_> = p.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        as_whom.ec2("AssociateAddress", &p)
    };
    let begun = Instant::now();
    let guest = ec2.as_caller(credentials_of(&ec2, &id));
    let first = call(&guest, &id).ok().text("associationId").unwrap();
    let addresses = || ec2.ec2("DescribeAddresses", &[]).ok();
    assert_eq!(addresses().text("instanceId"), None);
    assert_eq!(call(&ec2, &rival).code(), "Resource.AlreadyAssociated");
    assert_eq!(
        ec2.ec2("ReleaseAddress", &[("AllocationId", "eipalloc-0local")])
            .code(),
        "InvalidIPAddress.InUse"
    );
    assert_eq!(
        call(&guest, &id).ok().text("associationId").unwrap(),
        first,
        "asked again, it is the same binding"
    );
    let bound = |a: &Answer| a.text("instanceId").as_deref() == Some(id.as_str());
    ec2.until("DescribeAddresses", &[], bound).await;
    assert!(begun.elapsed() >= Duration::from_millis(2000));

    // One that is undone before it has taken effect never does.
    ec2.ec2("DisassociateAddress", &[("AssociationId", &first)])
        .ok();
    let second = call(&ec2, &rival).ok().text("associationId").unwrap();
    ec2.ec2("DisassociateAddress", &[("AssociationId", &second)])
        .ok();
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(addresses().text("instanceId"), None);

    // Nor does one whose instance is gone.
    call(&ec2, &rival).ok();
    ec2.ec2("TerminateInstances", &[("InstanceId.1", &rival)])
        .ok();
    ec2.state(&rival, "terminated").await;
    call(&ec2, &id).ok();
    ec2.until("DescribeAddresses", &[], bound).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delayed_binding_outlives_a_restart() {
    let dir = std::sync::Arc::new(tempfile::tempdir().unwrap());
    let config = EmulatorConfig {
        delays: Delays::None,
        ..EmulatorConfig::default()
    };
    let before = LocalEc2::over(dir.clone(), Default::default(), config.clone());
    set(&before, r#"{"binding_delayed_ms": 400}"#);
    let id = before.running(&[]).await;
    before
        .ec2(
            "AssociateAddress",
            &[("AllocationId", "eipalloc-0local"), ("InstanceId", &id)],
        )
        .ok();
    before.engine.power_cut().await;
    let after = LocalEc2::over(dir, Default::default(), config);
    after.engine.resume();
    let bound = |a: &Answer| a.text("instanceId").as_deref() == Some(id.as_str());
    after.until("DescribeAddresses", &[], bound).await;
}

/// Makes an image; gives it and its snapshot's highest progress seen before `ended`, with the last answers.
async fn image_until(
    ec2: &LocalEc2,
    name: &str,
    instance: &str,
    ended: impl Fn(&Answer, &Answer) -> bool,
) -> (Vec<String>, Answer, Answer) {
    let image = ec2
        .ec2("CreateImage", &[("InstanceId", instance), ("Name", name)])
        .ok()
        .text("imageId")
        .unwrap();
    let mut seen = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let shown = ec2.ec2("DescribeImages", &[("ImageId.1", &image)]).ok();
        let id = shown.text("snapshotId").unwrap();
        let snapshot = ec2.ec2("DescribeSnapshots", &[("SnapshotId.1", &id)]).ok();
        seen.push(snapshot.text("progress").unwrap());
        seen.dedup();
        if ended(&shown, &snapshot) {
            return (seen, shown, snapshot);
        }
        assert!(Instant::now() < deadline, "{shown:?} {snapshot:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn percents(seen: &[String]) -> Vec<u32> {
    let parse = |p: &String| p.trim_end_matches('%').parse().unwrap();
    seen.iter().map(parse).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_fails_on_the_way_and_takes_its_image_with_it() {
    let ec2 = LocalEc2::new();
    let id = ec2.stopped().await;
    set(
        &ec2,
        r#"{"snapshot_fails_at_percent": 40, "image_takes_ms": 800}"#,
    );
    let both = |i: &Answer, s: &Answer| {
        i.text("imageState").as_deref() == Some("failed")
            && s.text("status").as_deref() == Some("error")
    };
    let (seen, image, snapshot) = image_until(&ec2, "doomed", &id, both).await;
    let seen = percents(&seen);
    assert!(seen.is_sorted() && seen.len() > 3, "it moves: {seen:?}");
    assert_eq!(seen.last(), Some(&40));
    assert!(
        snapshot
            .text("statusMessage")
            .unwrap()
            .contains("snapshot_fails_at_percent")
    );
    assert!(
        image
            .text("stateReason/message")
            .unwrap()
            .contains("snapshot_fails_at_percent")
    );
    let launched = ec2.ec2(
        "RunInstances",
        &[
            ("ImageId", image.text("imageId").unwrap().as_str()),
            ("InstanceType", "m5.large"),
            ("MinCount", "1"),
            ("MaxCount", "1"),
        ],
    );
    assert_ne!(launched.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_fails_on_the_way_and_leaves_a_whole_snapshot() {
    let ec2 = LocalEc2::new();
    let id = ec2.stopped().await;
    set(
        &ec2,
        r#"{"image_fails_at_percent": 50, "image_takes_ms": 600}"#,
    );
    let failed = |i: &Answer, _: &Answer| i.text("imageState").as_deref() == Some("failed");
    let (seen, image, _) = image_until(&ec2, "doomed", &id, failed).await;
    let last = *percents(&seen).last().unwrap();
    assert!((45..100).contains(&last), "{seen:?}");
    let snapshot = image.text("snapshotId").unwrap();
    let whole = |a: &Answer| a.text("status").as_deref() == Some("completed");
    let snapshot = ec2
        .until("DescribeSnapshots", &[("SnapshotId.1", &snapshot)], whole)
        .await;
    assert_eq!(snapshot.text("progress").unwrap(), "100%");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_never_completes_and_a_slow_one_does() {
    let ec2 = LocalEc2::new();
    let id = ec2.stopped().await;
    set(&ec2, r#"{"image_never_completes": true}"#);
    let stuck = |_: &Answer, s: &Answer| s.text("progress").as_deref() == Some("99%");
    let (_, image, _) = image_until(&ec2, "stuck", &id, stuck).await;
    let id = ec2.stopped().await;
    set(&ec2, r#"{"image_takes_ms": 500}"#);
    let begun = Instant::now();
    let done = |i: &Answer, _: &Answer| i.text("imageState").as_deref() == Some("available");
    let (seen, whole, _) = image_until(&ec2, "slow", &id, done).await;
    assert!(begun.elapsed() >= Duration::from_millis(500));
    assert!(seen.len() > 3, "it moves: {seen:?}");
    let stuck = image.text("imageId").unwrap();
    let shown = ec2.ec2("DescribeImages", &[("ImageId.1", &stuck)]).ok();
    assert_eq!(shown.text("imageState").unwrap(), "pending");
    // Copies have the same fault.
    set(&ec2, r#"{"image_never_completes": true}"#);
    let source = whole.text("imageId").unwrap();
    let west = ec2.in_region("us-west-2");
    let copy = west
        .ec2(
            "CopyImage",
            &[
                ("SourceImageId", &source),
                ("SourceRegion", "us-east-2"),
                ("Name", "copy"),
            ],
        )
        .ok()
        .text("imageId")
        .unwrap();
    let shown = west.ec2("DescribeImages", &[("ImageId.1", &copy)]).ok();
    assert_eq!(shown.text("imageState").unwrap(), "pending");
    let id = shown.text("snapshotId").unwrap();
    let snapshot = west.ec2("DescribeSnapshots", &[("SnapshotId.1", &id)]).ok();
    assert_eq!(
        (snapshot.text("status"), snapshot.text("progress")),
        (Some("pending".to_owned()), Some("99%".to_owned()))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_metadata_service_is_slow_or_down_for_chosen_instances() {
    let ec2 = LocalEc2::new();
    let (base, other) = (ec2.running(&BASE).await, ec2.running(&[]).await);
    set(
        &ec2,
        r#"{"imds_down": {"value": true, "instances": {"tag": "qib:stage=base"}}}"#,
    );
    let long = Duration::from_secs(30);
    assert_eq!(ec2.guests.imds_within(&base, SHORT), None);
    assert!(
        ec2.guests
            .imds_within(&other, long)
            .unwrap()
            .ends_with(&other)
    );
    set(&ec2, r#"{"imds_delay_ms": 400}"#);
    let begun = Instant::now();
    assert!(
        ec2.guests
            .imds_within(&base, long)
            .unwrap()
            .ends_with(&base)
    );
    assert!(begun.elapsed() >= Duration::from_millis(400));
}

/// A local EC2 whose instances' random addresses are reached, and one of them.
async fn reachable(parameters: &[(&str, &str)]) -> (LocalEc2, String, SocketAddr) {
    let ec2 = LocalEc2::with(EmulatorConfig {
        delays: Delays::None,
        firewall: false,
        ..EmulatorConfig::default()
    });
    ec2.ec2(
        "AuthorizeSecurityGroupIngress",
        &[
            ("GroupName", "default"),
            ("IpPermissions.1.IpProtocol", "tcp"),
            ("IpPermissions.1.FromPort", "22"),
            ("IpPermissions.1.ToPort", "22"),
            ("IpPermissions.1.IpRanges.1.CidrIp", "127.0.0.0/8"),
        ],
    )
    .ok();
    let id = ec2.running(parameters).await;
    let at = at(&ec2, &id);
    (ec2, id, at)
}

fn at(ec2: &LocalEc2, id: &str) -> SocketAddr {
    let ip = ec2
        .ec2("DescribeInstances", &[("InstanceId.1", id)])
        .ok()
        .text("ipAddress")
        .unwrap();
    SocketAddr::new(ip.parse().unwrap(), ec2.engine.served().ssh_port)
}

/// All that a server says until the connection ends.
async fn all(at: SocketAddr) -> std::io::Result<String> {
    let mut text = String::new();
    let mut stream = TcpStream::connect(at).await?;
    stream.read_to_string(&mut text).await.map(|_| text)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_connections_are_reset_and_the_banner_is_slow() {
    let (ec2, id, at) = reachable(&[]).await;
    let banner = format!("SSH-2.0-{id}\r\n");
    assert_eq!(all(at).await.unwrap(), banner);
    set(&ec2, r#"{"ssh_refuses_first": 2}"#);
    for _ in 0..2 {
        assert_eq!(
            all(at).await.unwrap_err().kind(),
            ErrorKind::ConnectionReset
        );
    }
    assert_eq!(all(at).await.unwrap(), banner);
    set(&ec2, r#"{"ssh_banner_delay_ms": 400}"#);
    let begun = Instant::now();
    assert_eq!(all(at).await.unwrap(), banner);
    assert!(begun.elapsed() >= Duration::from_millis(400));
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_break_in_the_middle() {
    let (ec2, id, at) = reachable(&BASE).await;
    set(
        &ec2,
        r#"{"ssh_breaks": {"value": {"how": "close", "after_bytes": 4, "first": 1}, "instances": {"tag": "qib:stage=base"}}}"#,
    );
    assert_eq!(all(at).await.unwrap(), "SSH-");
    assert_eq!(all(at).await.unwrap(), format!("SSH-2.0-{id}\r\n"));
    set(
        &ec2,
        r#"{"ssh_breaks": {"how": "reset", "after_bytes": 4}}"#,
    );
    assert_eq!(
        all(at).await.unwrap_err().kind(),
        ErrorKind::ConnectionReset
    );
    set(&ec2, r#"{"ssh_breaks": {"how": "hang", "after_bytes": 4}}"#);
    let mut stream = TcpStream::connect(at).await.unwrap();
    let mut start = [0; 4];
    stream.read_exact(&mut start).await.unwrap();
    let silent = tokio::time::timeout(SHORT, stream.read_u8()).await;
    assert!(silent.is_err(), "neither data nor an end: {silent:?}");
    ec2.ec2("TerminateInstances", &[("InstanceId.1", &id)]).ok();
    assert!(stream.read_u8().await.is_err(), "it ends with the instance");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_without_network_runs_and_nothing_reaches_it() {
    let (ec2, _, _) = reachable(&[]).await;
    set(
        &ec2,
        r#"{"instance_boots_without_network": {"value": true, "instances": {"next": 1}}}"#,
    );
    let id = ec2.running(&[]).await;
    assert!(ec2.guests.runs(&id));
    assert!(console(&ec2, &id).contains("is up"), "the console shows it");
    assert_eq!(ec2.guests.imds_within(&id, SHORT), None);
    let heard = async {
        let mut stream = TcpStream::connect(at(&ec2, &id)).await?;
        stream.read_u8().await
    };
    assert!(
        tokio::time::timeout(SHORT, heard).await.is_err(),
        "no answer, not even a refusal"
    );
    let other = ec2.running(&[]).await;
    assert!(all(at(&ec2, &other)).await.unwrap().contains(&other));
    ec2.ec2("TerminateInstances", &[("InstanceId.1", &id)]).ok();
    ec2.state(&id, "terminated").await;
    assert!(!ec2.guests.runs(&id));
}
