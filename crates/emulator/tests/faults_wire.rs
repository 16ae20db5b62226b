//! Faults as a client sees them on the wire.

// A test is an edge.
#![allow(clippy::disallowed_methods)]

mod support;

use emulator::engine::request_log;
use std::time::{Duration, Instant};
use support::wire::{Saw, Served, exchange};
use support::{Answer, LocalEc2};

const TAG: [(&str, &str); 3] = [
    ("ResourceId.1", "eipalloc-0local"),
    ("Tag.1.Key", "lost"),
    ("Tag.1.Value", "reply"),
];

/// Whether the effect of [`TAG`] has happened.
fn tagged(ec2: &LocalEc2) -> bool {
    let addresses = ec2.ec2("DescribeAddresses", &[]).ok();
    addresses.texts("key").contains(&"lost".to_owned())
}

/// How a request went by the request log: fault, effect and code.
type Went = (Option<String>, bool, Option<String>);

/// What the request log says of the requests for an action, once it has so many. A request's line is
/// written after its effect, and where the client has given up nothing tells it when.
async fn logged<const N: usize>(ec2: &LocalEc2, action: &str) -> [Went; N] {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    loop {
        let records = request_log::read(ec2.path()).unwrap();
        let went: Vec<Went> = records
            .into_iter()
            .filter(|r| r.action == action)
            .map(|r| (r.fault, r.effect, r.code))
            .collect();
        match went.try_into() {
            Ok(went) => return went,
            Err(went) => assert!(
                went.len() < N && tokio::time::Instant::now() < deadline,
                "{N} of {action} in the log: {went:?}"
            ),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn fault(name: &str) -> Option<String> {
    Some(name.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_is_lost_before_and_after_the_effect() {
    let local = Served::new(LocalEc2::new()).await;
    let mut went = Vec::new();
    for (kind, effect) in [("drop-before", false), ("drop-after", true)] {
        local
            .faults(&format!(
                r#"{{"actions":[{{"action":"CreateTags","kind":"{kind}","times":1}}]}}"#
            ))
            .await;
        assert_eq!(local.ec2("CreateTags", &TAG).await, Saw::Closed, "{kind}");
        assert_eq!(tagged(&local.ec2), effect, "{kind}");
        went.push((fault(kind), effect, None));
    }
    assert_eq!(local.ec2("CreateTags", &TAG).await.status(), 200, "once");
    went.push((None, true, None));
    assert_eq!(logged::<3>(&local.ec2, "CreateTags").await.to_vec(), went);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_code_of_a_lost_refusal_is_logged() {
    let local = Served::new(LocalEc2::new()).await;
    local
        .faults(r#"{"actions":[{"action":"StopInstances","kind":"drop-after"}]}"#)
        .await;
    let unknown = [("InstanceId.1", "i-00000000000000000")];
    assert_eq!(local.ec2("StopInstances", &unknown).await, Saw::Closed);
    let code = Some("InvalidInstanceID.NotFound".to_owned());
    assert_eq!(
        logged(&local.ec2, "StopInstances").await,
        [(fault("drop-after"), false, code)]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_never_comes_with_and_without_the_effect() {
    for (effect, happens) in [("none", false), ("before", true)] {
        let local = Served::new(LocalEc2::new()).await;
        local
            .faults(&format!(
                r#"{{"actions":[{{"action":"CreateTags","kind":"timeout","effect":"{effect}","hold_ms":600000}}]}}"#
            ))
            .await;
        let patience = Duration::from_millis(300);
        let saw = local.within(patience, "CreateTags", &TAG).await;
        assert_eq!(saw, Saw::Silence, "{effect}");
        let expected = [(fault("timeout"), happens, None)];
        assert_eq!(logged(&local.ec2, "CreateTags").await, expected);
        assert_eq!(tagged(&local.ec2), happens, "{effect}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_effect_that_comes_when_the_client_has_given_up() {
    let local = Served::new(LocalEc2::new()).await;
    local
        .faults(r#"{"actions":[{"action":"CreateTags","kind":"timeout","effect":"after","hold_ms":400}]}"#)
        .await;
    let asked = Instant::now();
    let saw = local
        .within(Duration::from_millis(50), "CreateTags", &TAG)
        .await;
    assert_eq!(saw, Saw::Silence);
    assert!(!tagged(&local.ec2) || asked.elapsed() >= Duration::from_millis(400));
    let late = |a: &Answer| a.texts("key").contains(&"lost".to_owned());
    local.ec2.until("DescribeAddresses", &[], late).await;
    assert!(asked.elapsed() >= Duration::from_millis(400));
    let expected = [(fault("timeout"), true, None)];
    assert_eq!(logged(&local.ec2, "CreateTags").await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_connection_closes_when_its_time_is_over() {
    let local = Served::new(LocalEc2::new()).await;
    local
        .faults(r#"{"actions":[{"action":"*","kind":"timeout","effect":"none","hold_ms":100}]}"#)
        .await;
    let asked = Instant::now();
    assert_eq!(local.ec2("DescribeVpcs", &[]).await, Saw::Closed);
    assert!(asked.elapsed() >= Duration::from_millis(100));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_service_throttles_in_its_own_words() {
    let local = Served::new(LocalEc2::new()).await;
    local
        .faults(r#"{"actions":[{"action":"*","kind":"throttle"}]}"#)
        .await;
    let now = jiff::Timestamp::now();
    let ec2 = local.ec2("DescribeVpcs", &[]).await;
    let target = Some("AmazonSSM.GetParameter");
    let ssm = local
        .at_time("ssm", now, target, r#"{"Name":"/qib/a"}"#)
        .await;
    let identity = "Action=GetCallerIdentity&Version=2011-06-15";
    let sts = local.at_time("sts", now, None, identity).await;
    assert_eq!(
        [
            (ec2.code().as_str(), ec2.status()),
            (ssm.code().as_str(), ssm.status()),
            (sts.code().as_str(), sts.status())
        ],
        [
            ("RequestLimitExceeded", 503),
            ("ThrottlingException", 400),
            ("Throttling", 400)
        ]
    );
    assert_eq!(
        logged(&local.ec2, "DescribeVpcs").await,
        [(
            fault("throttle"),
            false,
            Some("RequestLimitExceeded".to_owned())
        )]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_begins_and_ends_when_asked_and_in_its_region() {
    let local = Served::new(LocalEc2::new()).await;
    local
        .faults(r#"{"actions":[{"action":"DescribeVpcs","code":"InternalError","status":500,"after":1,"times":2,"region":"us-east-2"}]}"#)
        .await;
    let elsewhere = local.ec2.in_region("us-west-2");
    let mut statuses = Vec::new();
    for _ in 0..5 {
        elsewhere.ec2("DescribeVpcs", &[]).ok();
        statuses.push(local.ec2("DescribeVpcs", &[]).await.status());
    }
    assert_eq!(statuses, [200, 500, 500, 200, 200]);
}

#[tokio::test(flavor = "multi_thread")]
async fn token_buckets_as_the_faults_say() {
    let local = Served::new(LocalEc2::new()).await;
    local
        .faults(r#"{"throttle":{"DescribeVpcs":{"burst":2,"rate":0},"GetParameter":{"burst":0,"rate":0}}}"#)
        .await;
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(local.ec2("DescribeVpcs", &[]).await.status());
    }
    assert_eq!(statuses, [200, 200, 503]);
    assert_eq!(
        local.ec2("DescribeVpcs", &[]).await.code(),
        "RequestLimitExceeded"
    );
    let elsewhere = local.ec2.in_region("us-west-2");
    elsewhere.ec2("DescribeVpcs", &[]).ok();
    let ssm = serde_json::json!({ "Name": "a" });
    assert_eq!(
        local.ec2.ssm("GetParameter", &ssm).code(),
        "ThrottlingException"
    );
    local.faults("{}").await;
    assert_eq!(local.ec2("DescribeVpcs", &[]).await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_endpoint_and_the_file_are_one() {
    let local = Served::new(LocalEc2::new()).await;
    let secret = local.ec2.key.secret.clone();
    assert_eq!(local.control("GET", &secret, "").await.body(), "{}");
    let set = r#"{"actions":[{"action":"DescribeVpcs","kind":"throttle"}]}"#;
    local.faults(set).await;
    let file = local.ec2.path().join("faults.json");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), set);
    assert_eq!(local.control("GET", &secret, "").await.body(), set);
    let wrong = r#"{"actions":[{"action":"DescribeVpc","kind":"throttle"}]}"#;
    let refused = local.control("PUT", &secret, wrong).await;
    assert_eq!(refused.status(), 400);
    assert!(refused.body().contains("DescribeVpc"), "{refused:?}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), set);
    assert_eq!(local.ec2("DescribeVpcs", &[]).await.status(), 503);
    // A file that somebody writes by hand counts from the next request on.
    std::fs::write(&file, "{}").unwrap();
    assert_eq!(local.ec2("DescribeVpcs", &[]).await.status(), 200);
    assert_eq!(local.control("DELETE", &secret, "").await.status(), 204);
    assert!(!file.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_endpoint_is_for_the_holder_of_the_secret_and_never_for_a_guest() {
    let local = Served::new(LocalEc2::new()).await;
    for secret in ["", "wrong", &local.ec2.key.access_key] {
        for method in ["GET", "PUT", "DELETE"] {
            let saw = local.control(method, secret, "{}").await;
            assert_eq!(saw.status(), 403, "{method} {secret}");
        }
    }
    let unsigned = "GET /_local/faults HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let saw = exchange(local.at, unsigned.to_owned(), Duration::from_secs(30)).await;
    assert_eq!(saw.status(), 403);
    // What a guest reaches, even with the account's secret.
    let id = local.ec2.running(&[]).await;
    let within = Served {
        ec2: local.ec2.in_region("us-east-2"),
        at: local.ec2.guests.endpoint(&id),
    };
    let secret = local.ec2.key.secret.clone();
    for method in ["GET", "PUT", "DELETE"] {
        assert_eq!(within.control(method, &secret, "{}").await.status(), 404);
    }
    assert_eq!(within.ec2("DescribeVpcs", &[]).await.status(), 200);
    local
        .faults(r#"{"actions":[{"action":"*","kind":"drop-before"}]}"#)
        .await;
    assert_eq!(
        within.ec2("DescribeVpcs", &[]).await,
        Saw::Closed,
        "guests' requests go wrong too"
    );
}
