//! Spot instances and their requests.

// A test is an edge.
#![allow(clippy::disallowed_methods)]

mod support;

use support::LocalEc2;

const SPOT: (&str, &str) = ("InstanceMarketOptions.MarketType", "spot");

const TAGS: [(&str, &str); 3] = [
    ("TagSpecification.1.ResourceType", "spot-instances-request"),
    ("TagSpecification.1.Tag.1.Key", "qib:run"),
    ("TagSpecification.1.Tag.1.Value", "r1"),
];

fn request(ec2: &LocalEc2) -> support::Answer {
    let by_tag = [("Filter.1.Name", "tag:qib:run"), ("Filter.1.Value.1", "r1")];
    ec2.ec2("DescribeSpotInstanceRequests", &by_tag).ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spot_instance_has_a_request_that_closes_with_it() {
    let ec2 = LocalEc2::new();
    let [a, b, c] = TAGS;
    let price = ("InstanceMarketOptions.SpotOptions.MaxPrice", "0.05");
    let kind = (
        "InstanceMarketOptions.SpotOptions.SpotInstanceType",
        "one-time",
    );
    let end = (
        "InstanceMarketOptions.SpotOptions.InstanceInterruptionBehavior",
        "terminate",
    );
    let id = ec2.running(&[SPOT, price, kind, end, a, b, c]).await;
    let shown = ec2.ec2("DescribeInstances", &[("InstanceId.1", &id)]).ok();
    assert_eq!(shown.text("instanceLifecycle").unwrap(), "spot");
    let sir = shown.text("spotInstanceRequestId").unwrap();
    let active = request(&ec2);
    assert_eq!(active.text("spotInstanceRequestId").unwrap(), sir);
    assert_eq!(active.text("instanceId").unwrap(), id);
    assert_eq!(active.text("state").unwrap(), "active");
    assert_eq!(active.text("status/code").unwrap(), "fulfilled");
    assert_eq!(active.text("spotPrice").unwrap(), "0.05");
    let refused = ec2.ec2("StopInstances", &[("InstanceId.1", &id)]);
    assert_eq!(refused.code(), "UnsupportedOperation");
    assert_eq!(
        refused.text("Message").unwrap(),
        format!(
            "You can't stop the Spot Instance '{id}' because it is associated with a one-time Spot Instance request. \
             You can only stop Spot Instances associated with persistent Spot Instance requests."
        )
    );
    ec2.state(&id, "running").await;
    ec2.ec2("TerminateInstances", &[("InstanceId.1", &id)]).ok();
    ec2.state(&id, "terminated").await;
    let closed = request(&ec2);
    assert_eq!(closed.text("state").unwrap(), "closed");
    assert_eq!(
        closed.text("status/code").unwrap(),
        "instance-terminated-by-user"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_request_leaves_its_instance() {
    let ec2 = LocalEc2::new();
    let [a, b, c] = TAGS;
    let id = ec2.running(&[SPOT, a, b, c]).await;
    let sir = request(&ec2).text("spotInstanceRequestId").unwrap();
    let cancelled = ec2
        .ec2(
            "CancelSpotInstanceRequests",
            &[("SpotInstanceRequestId.1", &sir)],
        )
        .ok();
    assert_eq!(cancelled.text("state").unwrap(), "cancelled");
    assert_eq!(
        request(&ec2).text("status/code").unwrap(),
        "request-canceled-and-instance-running"
    );
    ec2.state(&id, "running").await;
    let unknown = [("SpotInstanceRequestId.1", "sir-00000000000000000")];
    assert_eq!(
        ec2.ec2("CancelSpotInstanceRequests", &unknown).code(),
        "InvalidSpotInstanceRequestID.NotFound"
    );
    assert_eq!(
        ec2.ec2("DescribeSpotInstanceRequests", &unknown).code(),
        "InvalidSpotInstanceRequestID.NotFound"
    );
    ec2.ec2(
        "CreateTags",
        &[
            ("ResourceId.1", &sir),
            ("Tag.1.Key", "later"),
            ("Tag.1.Value", "x"),
        ],
    )
    .ok();
    assert!(request(&ec2).texts("key").contains(&"later".to_owned()));
    let kind = [
        ("Filter.1.Name", "resource-type"),
        ("Filter.1.Value.1", "spot-instances-request"),
    ];
    let tags = ec2.ec2("DescribeTags", &kind).ok();
    assert_eq!(tags.texts("resourceId"), [sir.as_str(), sir.as_str()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_from_inside_ends_a_spot_instance() {
    let ec2 = LocalEc2::new();
    let stop = ("InstanceInitiatedShutdownBehavior", "stop");
    let id = ec2.running(&[SPOT, stop]).await;
    ec2.guests
        .exit(&id, emulator::guest::GuestExit::ShutDownFromInside);
    ec2.state(&id, "terminated").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spot_instance_is_found_by_its_lifecycle() {
    let ec2 = LocalEc2::new();
    let plain = ec2.running(&[]).await;
    let spot = ec2.running(&[SPOT]).await;
    let found = ec2
        .ec2(
            "DescribeInstances",
            &[
                ("Filter.1.Name", "instance-lifecycle"),
                ("Filter.1.Value.1", "spot"),
            ],
        )
        .ok();
    assert_eq!(found.texts("instanceId"), [spot.as_str()]);
    let shown = ec2
        .ec2("DescribeInstances", &[("InstanceId.1", &plain)])
        .ok();
    assert_eq!(shown.text("instanceLifecycle"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_local_ec2_does_not_have_is_refused() {
    let ec2 = LocalEc2::new();
    let image = ec2.image();
    let launch = |more: &[(&str, &str)]| {
        let mut p = vec![
            ("ImageId", image.as_str()),
            ("InstanceType", "m5.large"),
            ("MinCount", "1"),
            ("MaxCount", "1"),
        ];
        p.extend_from_slice(more);
        ec2.ec2("RunInstances", &p)
    };
    let option = |name: &str| format!("InstanceMarketOptions.SpotOptions.{name}");
    for (name, value, code) in [
        ("SpotInstanceType", "persistent", "UnsupportedOperation"),
        (
            "InstanceInterruptionBehavior",
            "stop",
            "UnsupportedOperation",
        ),
        ("MaxPrice", "0", "InvalidParameterValue"),
        ("MaxPrice", "cheap", "InvalidParameterValue"),
        ("BlockDurationMinutes", "60", "UnknownParameter"),
        ("ValidUntil", "2030-01-01T00:00:00Z", "UnknownParameter"),
    ] {
        let refused = launch(&[SPOT, (&option(name), value)]);
        assert_eq!(refused.code(), code, "{name} {value}");
    }
    let persistent = launch(&[SPOT, (&option("SpotInstanceType"), "persistent")]);
    assert!(persistent.body.contains("local EC2 has no persistent"));
    assert_eq!(
        launch(&[(&option("MaxPrice"), "0.1")]).code(),
        "MissingParameter"
    );
    assert_eq!(
        launch(&TAGS).code(),
        "InvalidParameterValue",
        "an on-demand launch makes no spot request"
    );
    let all = ec2.ec2("DescribeSpotInstanceRequests", &[]).ok();
    assert_eq!(all.texts("spotInstanceRequestId").len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_instance_is_captured_by_a_reboot() {
    let ec2 = LocalEc2::new();
    let id = ec2.running(&[SPOT]).await;
    let boots = || {
        let console = ec2.path().join("instances").join(&id).join("console.log");
        let text = std::fs::read_to_string(console).unwrap();
        text.matches("is up").count()
    };
    assert_eq!(boots(), 1);
    let before = ec2.ec2("DescribeInstances", &[("InstanceId.1", &id)]).ok();
    let kept = ("NoReboot", "true");
    let p = [("InstanceId", id.as_str()), ("Name", "live"), kept];
    assert_eq!(ec2.ec2("CreateImage", &p).code(), "UnsupportedOperation");
    // The guest in memory does not let itself be captured while it runs.
    let image = ec2.image_of(&id, "of a spot instance").await;
    ec2.until("DescribeInstances", &[], |_| {
        ec2.guests.spec(&id).is_some() && boots() == 2
    })
    .await;
    let after = ec2.ec2("DescribeInstances", &[("InstanceId.1", &id)]).ok();
    for same in ["instanceState/name", "ipAddress", "launchTime"] {
        assert_eq!(before.text(same), after.text(same), "{same}");
    }
    let layers = ec2.guests.spec(&id).unwrap().image_layers;
    assert_eq!(layers.len(), 1, "it goes on over what was captured");
    let copy = ec2.running(&[("ImageId", &image)]).await;
    assert_eq!(ec2.guests.spec(&copy).unwrap().image_layers, layers);
}
