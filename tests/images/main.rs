//! `qib images`: what becomes of images after the build, as the AWS CLI sees it.
#![allow(
    clippy::disallowed_methods,
    reason = "an edge: tests run programs and wait for them"
)]

mod pruned;
mod removed;
mod shared;
mod shown;
mod verified;

use end_to_end::{Config, Ended, LocalEc2, OneStage};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const HOME: &str = "us-east-2";
const WEST: &str = "us-west-2";
const EUROPE: &str = "eu-west-1";
const OTHERS: &str = "111122223333";
const ORGANIZATION: &str = "arn:aws:organizations::111122223333:organization/o-abcdefghij";
const UNIT: &str = "arn:aws:organizations::111122223333:ou/o-abcdefghij/ou-abcd-12345678";

/// The AWS CLI in a region, to its end. Its output is JSON.
#[track_caller]
fn aws(ec2: &LocalEc2, region: &str, args: &[&str]) -> Value {
    let all = [&["--region", region][..], args].concat();
    let ended = ec2.aws(&all).exits(0);
    if ended.stdout.trim().is_empty() {
        return Value::Null;
    }
    ended.json()
}

/// Builds one image, `golden`, and returns its id.
#[track_caller]
fn golden(ec2: &LocalEc2) -> String {
    let stage = OneStage {
        image: "{ name: golden, tags: { Purpose: base } }",
        ..OneStage::default()
    };
    let built = ec2.run(&ec2.pipeline(stage.text())).exits(0);
    text(&built.image("one"), "image_id")
}

/// `qib images … --local`.
#[track_caller]
fn images(ec2: &LocalEc2, args: &[&str]) -> Ended {
    ec2.qib([&["images"], args, &["--local"]].concat())
}

/// Copies an image to another name in its region, with these tags: an image more, without a build.
#[track_caller]
fn another(ec2: &LocalEc2, image: &str, name: &str, tags: &[&str]) -> String {
    let mut args = vec!["copy", image, "--to", HOME, "--name", name, "--json"];
    for tag in tags {
        args.extend(["--tag", tag]);
    }
    let copied = images(ec2, &args).exits(0).json();
    text(&copied[0], "image_id")
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

fn tag(tagged: &Value, key: &str) -> Option<String> {
    let tags = tagged["Tags"].as_array()?;
    let tag = tags.iter().find(|tag| tag["Key"] == key)?;
    tag["Value"].as_str().map(str::to_owned)
}

/// The account's own images in a region.
#[track_caller]
fn own(ec2: &LocalEc2, region: &str) -> Vec<Value> {
    let args = [
        "ec2",
        "describe-images",
        "--owners",
        "self",
        "--query",
        "Images[]",
    ];
    aws(ec2, region, &args)
        .as_array()
        .cloned()
        .unwrap_or_default()
}

/// The ids of the account's own images in a region, sorted.
#[track_caller]
fn own_ids(ec2: &LocalEc2, region: &str) -> Vec<String> {
    let mut ids: Vec<String> = own(ec2, region)
        .iter()
        .map(|image| text(image, "ImageId"))
        .collect();
    ids.sort();
    ids
}

/// The account's own snapshots in a region.
#[track_caller]
fn own_snapshots(ec2: &LocalEc2, region: &str) -> Vec<Value> {
    let args = [
        "ec2",
        "describe-snapshots",
        "--owner-ids",
        "self",
        "--query",
        "Snapshots[]",
    ];
    aws(ec2, region, &args)
        .as_array()
        .cloned()
        .unwrap_or_default()
}

#[track_caller]
fn snapshots_of(image: &Value) -> Vec<String> {
    let mappings = image["BlockDeviceMappings"].as_array().cloned();
    let ids: Vec<String> = mappings
        .unwrap_or_default()
        .iter()
        .filter_map(|mapping| mapping["Ebs"]["SnapshotId"].as_str().map(str::to_owned))
        .collect();
    assert!(!ids.is_empty(), "{image}");
    ids
}

#[track_caller]
fn launch_permissions(ec2: &LocalEc2, image: &str) -> Value {
    let args = [
        "ec2",
        "describe-image-attribute",
        "--image-id",
        image,
        "--attribute",
        "launchPermission",
        "--query",
        "LaunchPermissions",
    ];
    aws(ec2, HOME, &args)
}

#[track_caller]
fn volume_permissions(ec2: &LocalEc2, snapshot: &str) -> Value {
    let args = [
        "ec2",
        "describe-snapshot-attribute",
        "--snapshot-id",
        snapshot,
        "--attribute",
        "createVolumePermission",
        "--query",
        "CreateVolumePermissions",
    ];
    aws(ec2, HOME, &args)
}

/// Makes a launch template that starts instances from an image.
#[track_caller]
fn launch_template(ec2: &LocalEc2, name: &str, image: &str) {
    let data = json!({ "ImageId": image, "InstanceType": "m5.xlarge" }).to_string();
    let args = [
        "ec2",
        "create-launch-template",
        "--launch-template-name",
        name,
        "--launch-template-data",
        &data,
    ];
    aws(ec2, HOME, &args);
}

/// Launches an instance by hand.
#[track_caller]
fn launch(ec2: &LocalEc2, image: &str) -> String {
    let args = [
        "ec2",
        "run-instances",
        "--image-id",
        image,
        "--instance-type",
        "m5.xlarge",
        "--query",
        "Instances[0]",
    ];
    text(&aws(ec2, HOME, &args), "InstanceId")
}

#[track_caller]
fn terminate(ec2: &LocalEc2, instance: &str) {
    aws(
        ec2,
        HOME,
        &["ec2", "terminate-instances", "--instance-ids", instance],
    );
    aws(
        ec2,
        HOME,
        &[
            "ec2",
            "wait",
            "instance-terminated",
            "--instance-ids",
            instance,
        ],
    );
}

/// The row of an image in a command's JSON.
#[track_caller]
fn row(ended: &Ended, image: &str) -> Value {
    let rows = ended.json();
    let rows = rows.as_array().cloned().unwrap_or_default();
    let found = rows.into_iter().find(|row| row["image_id"] == image);
    found.unwrap_or_else(|| panic!("no row of {image}{ended}"))
}
