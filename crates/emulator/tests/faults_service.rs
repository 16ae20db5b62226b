//! The service as a whole behaving otherwise: stale reads, no capacity, a clock that is off, sessions that end.

// A test is an edge.
#![allow(clippy::disallowed_methods)]

mod support;

use emulator::api::protocol::HttpRequest;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use std::time::{Duration, Instant};
use support::wire::Served;
use support::{Answer, Credentials, LocalEc2, PROFILE, credentials_of};

fn set(ec2: &LocalEc2, faults: &serde_json::Value) {
    std::fs::write(ec2.path().join("faults.json"), faults.to_string()).unwrap();
}

/// Longer than any test takes, and hardly any time at all.
const LONG: u64 = 600_000;
const SHORT: u64 = 300;

#[tokio::test(flavor = "multi_thread")]
async fn reads_show_what_was_before_a_write_for_so_long() {
    let ec2 = LocalEc2::new();
    let old = ec2.running(&[]).await;
    ec2.ssm(
        "PutParameter",
        &json!({ "Name": "/a", "Value": "old", "Type": "String" }),
    )
    .ok();
    let tag = |value| {
        ec2.ec2(
            "CreateTags",
            &[
                ("ResourceId.1", old.as_str()),
                ("Tag.1.Key", "k"),
                ("Tag.1.Value", value),
            ],
        )
        .ok();
    };
    tag("old");
    set(&ec2, &json!({ "stale_reads_ms": LONG }));
    let instances = |filter: &str, value: &str| {
        ec2.ec2(
            "DescribeInstances",
            &[("Filter.1.Name", filter), ("Filter.1.Value.1", value)],
        )
        .ok()
        .texts("instanceId")
    };
    let parameter = || {
        let answer = ec2.ssm("GetParameter", &json!({ "Name": "/a" })).ok();
        let value: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        value["Parameter"]["Value"].as_str().unwrap().to_owned()
    };
    let image = ec2.image();
    let p = [
        ("ImageId", image.as_str()),
        ("InstanceType", "m5.large"),
        ("MinCount", "1"),
        ("MaxCount", "1"),
    ];
    let new = ec2.ec2("RunInstances", &p).ok().text("instanceId").unwrap();
    tag("new");
    ec2.ssm(
        "PutParameter",
        &json!({ "Name": "/a", "Value": "new", "Overwrite": true }),
    )
    .ok();
    // What is new is not there, what is changed is as it was.
    let by_id = ec2.ec2("DescribeInstances", &[("InstanceId.1", &new)]);
    assert_eq!(by_id.code(), "InvalidInstanceID.NotFound");
    assert_eq!(instances("tag:k", "old"), [old.as_str()]);
    assert_eq!(parameter(), "old");
    // Another region was not written to, and a write sees what is.
    ec2.in_region("us-west-2").ec2("DescribeVpcs", &[]).ok();
    ec2.ec2("TerminateInstances", &[("InstanceId.1", &new)])
        .ok();
    // What is deleted is still there.
    ec2.ssm("DeleteParameter", &json!({ "Name": "/a" })).ok();
    assert_eq!(parameter(), "old");
    // Once they lag by less, reads show what was done longer ago than that.
    set(&ec2, &json!({ "stale_reads_ms": SHORT }));
    let shown = |a: &Answer| a.status == 200;
    ec2.until("DescribeInstances", &[("InstanceId.1", &new)], shown)
        .await;
    let changed = |a: &Answer| a.texts("value").contains(&"new".to_owned());
    ec2.until("DescribeTags", &[], changed).await;
    ec2.state(&new, "terminated").await;
    let begun = Instant::now();
    tag("newest");
    let changed = |a: &Answer| a.texts("value").contains(&"newest".to_owned());
    ec2.until("DescribeTags", &[], changed).await;
    assert!(begun.elapsed() >= Duration::from_millis(SHORT));
    // Without a lag there is no stale read.
    set(&ec2, &json!({}));
    let gone = ec2.ssm("GetParameter", &json!({ "Name": "/a" }));
    assert_eq!(gone.code(), "ParameterNotFound");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_by_itself_is_seen_late_too() {
    let ec2 = LocalEc2::new();
    let id = ec2.running(&[]).await;
    set(&ec2, &json!({ "stale_reads_ms": LONG }));
    // No call is made that would be the change.
    ec2.guests
        .exit(&id, emulator::guest::GuestExit::ShutDownFromInside);
    let stopped = || {
        let account = ec2.account();
        let parsed = emulator::ids::InstanceId::parse(&id).unwrap();
        let (_, instance) = account.find_instance(&parsed).unwrap();
        instance.state == emulator::account::lifecycle::InstanceState::Stopped
    };
    ec2.until("DescribeInstances", &[], |_| stopped()).await;
    let shown = ec2
        .ec2("DescribeInstances", &[("InstanceId.1", &id)])
        .ok()
        .text("instanceState/name");
    assert_eq!(shown.as_deref(), Some("running"));
}

fn launch(ec2: &LocalEc2, more: &[(&str, &str)]) -> Answer {
    let image = ec2.image();
    let mut p = vec![
        ("ImageId", image.as_str()),
        ("MinCount", "1"),
        ("MaxCount", "1"),
    ];
    p.extend_from_slice(more);
    ec2.ec2("RunInstances", &p)
}

#[tokio::test(flavor = "multi_thread")]
async fn capacity_is_wanting_in_ec2s_words() {
    let ec2 = LocalEc2::new();
    set(
        &ec2,
        &json!({ "capacity": [
            { "instance_type": "m5.large", "zone": "us-east-2a" },
            { "purchase": "spot", "times": 1 },
            { "instance_type": "c5.large" },
        ] }),
    );
    let large = ("InstanceType", "m5.large");
    let zone = ("Placement.AvailabilityZone", "us-east-2a");
    let refused = launch(&ec2, &[large, zone]);
    assert_eq!(
        (refused.code().as_str(), refused.status),
        ("InsufficientInstanceCapacity", 500)
    );
    assert_eq!(
        refused.text("Message").unwrap(),
        "We currently do not have sufficient m5.large capacity in the Availability Zone you requested (us-east-2a). Our \
         system will be working on provisioning additional capacity. You can currently get m5.large capacity by not \
         specifying an Availability Zone in your request or choosing us-east-2b, us-east-2c."
    );
    let subnets = ec2.ec2("DescribeSubnets", &[]).ok();
    let zones = subnets.texts("availabilityZone");
    let ids = subnets.texts("subnetId");
    let of = |zone: &str| ids[zones.iter().position(|z| z == zone).unwrap()].clone();
    let there = of("us-east-2a");
    let refused = launch(&ec2, &[large, ("SubnetId", &there)]);
    assert_eq!(refused.code(), "InsufficientInstanceCapacity");
    let elsewhere = launch(&ec2, &[large]).ok();
    assert_eq!(elsewhere.text("availabilityZone").unwrap(), "us-east-2b");
    let spot = ("InstanceMarketOptions.MarketType", "spot");
    let other = ("InstanceType", "m5.xlarge");
    let refused = launch(&ec2, &[other, spot]);
    assert_eq!(
        (
            refused.code().as_str(),
            refused.text("Message").unwrap().as_str()
        ),
        (
            "InsufficientInstanceCapacity",
            "There is no Spot capacity available that matches your request."
        )
    );
    launch(&ec2, &[other, spot]).ok();
    let nowhere = launch(&ec2, &[("InstanceType", "c5.large")]);
    assert_eq!(nowhere.code(), "InsufficientInstanceCapacity");
    let instances = ec2.ec2("DescribeInstances", &[]).ok().texts("instanceId");
    assert_eq!(instances.len(), 2, "a refused launch makes nothing");
    assert_eq!(ec2.account().regions["us-east-2"].volumes.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_off_refuses_and_shows_itself() {
    let local = Served::new(LocalEc2::new()).await;
    let offset = SignedDuration::from_mins(10);
    let identity = "Action=GetCallerIdentity&Version=2011-06-15";
    let regions = "Action=DescribeRegions&Version=2016-11-15";
    let target = Some("AmazonSSM.GetParameter");
    local
        .ec2
        .ssm(
            "PutParameter",
            &json!({ "Name": "/a", "Value": "v", "Type": "String" }),
        )
        .ok();
    for skew in [offset, -offset] {
        local
            .faults(&format!(r#"{{"clock_skew_ms":{}}}"#, skew.as_millis()))
            .await;
        let now = Timestamp::now();
        let parameter = r#"{"Name":"/a"}"#;
        let codes = [
            local.at_time("ec2", now, None, regions).await.code(),
            local.at_time("sts", now, None, identity).await.code(),
            local.at_time("ssm", now, target, parameter).await.code(),
        ];
        assert_eq!(
            codes,
            [
                "RequestExpired",
                "SignatureDoesNotMatch",
                "InvalidSignatureException"
            ]
        );
        // The answer tells the service's time, and a client that goes by it is understood.
        let refused = local.at_time("ec2", now, None, regions).await;
        let date = refused.header("date").unwrap();
        let shown = jiff::fmt::rfc2822::parse(&date).unwrap().timestamp();
        let off = shown.duration_since(now + skew);
        assert!(off.abs() < SignedDuration::from_secs(60), "{date}");
        let there = local.at_time("ec2", shown, None, regions).await;
        assert_eq!(there.status(), 200);
        assert!(there.header("date").is_some());
        let answer = local.at_time("ssm", shown, target, parameter).await;
        let body: serde_json::Value = serde_json::from_str(answer.body()).unwrap();
        let modified = body["Parameter"]["LastModifiedDate"].as_f64().unwrap();
        let age = shown.as_second() as f64 - modified;
        assert!(age.abs() < 60.0, "its age by the service's clock is {age}");
    }
}

/// Credentials from an answer of STS.
fn credentials(answer: &Answer) -> Credentials {
    Credentials {
        access_key: answer.text("AccessKeyId").unwrap(),
        secret: answer.text("SecretAccessKey").unwrap(),
        token: answer.text("SessionToken"),
    }
}

fn sts(ec2: &LocalEc2, action: &str, parameters: &[(&str, &str)]) -> Answer {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("Action", action)
        .append_pair("Version", "2011-06-15")
        .extend_pairs(parameters);
    let form_type = "application/x-www-form-urlencoded";
    ec2.send("sts", form_type, None, form.finish())
}

/// What each service answers to a caller.
fn codes(caller: &LocalEc2) -> [String; 3] {
    [
        caller.ec2("DescribeRegions", &[]).code(),
        caller.ssm("GetParameter", &json!({ "Name": "/a" })).code(),
        caller.sts("GetCallerIdentity").code(),
    ]
}

const EXPIRED: [&str; 3] = ["RequestExpired", "ExpiredTokenException", "ExpiredToken"];

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_when_it_says() {
    let ec2 = LocalEc2::new();
    let refused = sts(&ec2, "GetSessionToken", &[("DurationSeconds", "899")]);
    assert_eq!(refused.code(), "ValidationError");
    set(&ec2, &json!({ "short_sessions": true }));
    let begun = Timestamp::now();
    let answer = sts(&ec2, "GetSessionToken", &[("DurationSeconds", "1")]).ok();
    let expires: Timestamp = answer.text("Expiration").unwrap().parse().unwrap();
    assert!(expires <= begun + SignedDuration::from_secs(2));
    let session = ec2.as_caller(credentials(&answer));
    let used = session.ec2("DescribeRegions", &[]);
    let over = Timestamp::now() >= begun + SignedDuration::from_secs(1);
    assert!(used.status == 200 || over, "{used:?}");
    let ended = |a: &Answer| a.status != 200;
    session.until("DescribeRegions", &[], ended).await;
    assert!(Timestamp::now() >= begun + SignedDuration::from_secs(1));
    assert_eq!(codes(&session), EXPIRED);
    // The long-term key goes on, and gets another session.
    let again = sts(&ec2, "GetSessionToken", &[]).ok();
    ec2.as_caller(credentials(&again))
        .ec2("DescribeRegions", &[])
        .ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn all_sessions_end_at_once_and_later_ones_do_not() {
    let ec2 = LocalEc2::new();
    let role = [
        ("RoleArn", "arn:aws:iam::123456789012:role/administrator"),
        ("RoleSessionName", "night-build"),
    ];
    let user = ec2.as_caller(credentials(&sts(&ec2, "GetSessionToken", &[]).ok()));
    let admin = ec2.as_caller(credentials(&sts(&ec2, "AssumeRole", &role).ok()));
    let guest_id = ec2.running(&[("IamInstanceProfile.Name", PROFILE)]).await;
    let guest = ec2.as_caller(credentials_of(&ec2, &guest_id));
    user.ec2("DescribeRegions", &[]).ok();
    admin.ec2("DescribeRegions", &[]).ok();
    set(&ec2, &json!({ "expire_sessions": true }));
    assert_eq!(codes(&user), EXPIRED);
    assert_eq!(codes(&admin), EXPIRED);
    guest.ec2("DescribeAddresses", &[]).ok();
    let fresh = ec2.as_caller(credentials(&sts(&ec2, "AssumeRole", &role).ok()));
    fresh.ec2("DescribeRegions", &[]).ok();
    set(&ec2, &json!({}));
    assert_eq!(codes(&user), EXPIRED, "what has ended stays ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_a_session_is_and_what_it_may_do() {
    let ec2 = LocalEc2::new();
    let user = ec2.as_caller(credentials(&sts(&ec2, "GetSessionToken", &[]).ok()));
    let who = |caller: &LocalEc2| caller.sts("GetCallerIdentity").ok().text("Arn").unwrap();
    assert_eq!(who(&user), "arn:aws:iam::123456789012:user/local");
    let nested = sts(&user, "GetSessionToken", &[]);
    assert_eq!(
        (nested.code().as_str(), nested.status),
        ("AccessDenied", 403)
    );
    let assume = |caller: &LocalEc2, arn: &str, name: &str| {
        sts(
            caller,
            "AssumeRole",
            &[("RoleArn", arn), ("RoleSessionName", name)],
        )
    };
    let binder = format!("arn:aws:iam::123456789012:role/{PROFILE}");
    let answer = assume(&user, &binder, "b").code();
    assert_eq!(answer, "ValidationError", "a name of one character");
    let answer = assume(&user, &binder, "binder").ok();
    let arn = format!("arn:aws:sts::123456789012:assumed-role/{PROFILE}/binder");
    assert_eq!(answer.text("AssumedRoleUser/Arn").unwrap(), arn);
    let role = ec2.as_caller(credentials(&answer));
    assert_eq!(who(&role), arn);
    role.ec2("DescribeAddresses", &[]).ok();
    assert_eq!(
        role.ec2("DescribeVpcs", &[]).code(),
        "UnauthorizedOperation"
    );
    let admin = "arn:aws:iam::123456789012:role/administrator";
    assert_eq!(assume(&role, admin, "chained").code(), "AccessDenied");
    for unknown in ["arn:aws:iam::123456789012:role/nobody", "administrator"] {
        assert_eq!(assume(&ec2, unknown, "none").code(), "AccessDenied");
    }
    // The token is part of the credentials.
    let without = ec2.as_caller(Credentials {
        token: None,
        ..role.key.clone()
    });
    assert_eq!(without.ec2("DescribeAddresses", &[]).code(), "AuthFailure");
    let mixed = ec2.as_caller(Credentials {
        token: user.key.token.clone(),
        ..role.key.clone()
    });
    assert_eq!(mixed.ec2("DescribeAddresses", &[]).code(), "AuthFailure");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_skew_does_not_let_an_old_request_through() {
    let ec2 = LocalEc2::new();
    let mut request = HttpRequest {
        method: "POST".into(),
        path: "/".into(),
        query: String::new(),
        headers: vec![("host".to_owned(), "x".to_owned())],
        body: b"Action=DescribeRegions&Version=2016-11-15".to_vec(),
    };
    set(&ec2, &json!({ "clock_skew_ms": -240_000 }));
    let old = Timestamp::now() - SignedDuration::from_mins(10);
    ec2.key.sign(&mut request, "us-east-2", "ec2", old);
    assert_eq!(ec2.raw(&request).code(), "RequestExpired");
}
