//! Whole answers, as they go over the wire. Ids, addresses and times are replaced by what kind of thing they are.

// A test is an edge.
#![allow(clippy::disallowed_methods)]

mod support;

use regex::Regex;
use support::{Answer, LocalEc2};

/// The answer, one element a line, with what differs between runs replaced.
fn plain(answer: &Answer) -> String {
    let mut text = answer.body.replace("><", ">\n<");
    for (pattern, with) in [
        (
            r"\b(i|r|ami|vol|snap|eni|eni-attach|sg|sgr|subnet|vpc|key|eipassoc)-0[0-9a-f]{16}\b",
            "$1-ID",
        ),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME"),
        (
            r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
            "REQUEST",
        ),
        (r"127[.-]\d+[.-]\d+[.-]\d+", "PUBLIC"),
    ] {
        text = Regex::new(pattern)
            .unwrap()
            .replace_all(&text, with)
            .into_owned();
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance() {
    let ec2 = LocalEc2::new();
    let id = ec2
        .running(&[
            ("IamInstanceProfile.Name", "packer"),
            ("ClientToken", "once"),
        ])
        .await;
    insta::assert_snapshot!(plain(
        &ec2.ec2("DescribeInstances", &[("InstanceId.1", &id)])
    ));
    insta::assert_snapshot!(plain(
        &ec2.ec2("DescribeInstanceStatus", &[("InstanceId.1", &id)])
    ));
    insta::assert_snapshot!(plain(&ec2.ec2("DescribeVolumes", &[])));
    insta::assert_snapshot!(plain(&ec2.ec2("StopInstances", &[("InstanceId.1", &id)])));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image() {
    let ec2 = LocalEc2::new();
    let instance = ec2.stopped().await;
    let image = ec2.image_of(&instance, "golden image").await;
    insta::assert_snapshot!(plain(&ec2.ec2("DescribeImages", &[("ImageId.1", &image)])));
    insta::assert_snapshot!(plain(&ec2.ec2("DescribeSnapshots", &[])));
    insta::assert_snapshot!(plain(&ec2.ec2(
        "DeregisterImage",
        &[("ImageId", &image), ("DeleteAssociatedSnapshots", "true")]
    )));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_network() {
    let ec2 = LocalEc2::new();
    insta::assert_snapshot!(plain(&ec2.ec2("DescribeAddresses", &[])));
    insta::assert_snapshot!(plain(&ec2.ec2("DescribeSecurityGroups", &[])));
    insta::assert_snapshot!(plain(&ec2.ec2("DescribeVpcs", &[])));
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals() {
    let ec2 = LocalEc2::new();
    insta::assert_snapshot!(plain(&ec2.ec2("RunInstances", &[])));
    insta::assert_snapshot!(plain(&ec2.sts("GetFederationToken")));
    insta::assert_snapshot!(plain(
        &ec2.ssm("GetParameter", &serde_json::json!({ "Name": "a" }))
    ));
}
