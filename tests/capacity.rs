//! Where EC2 has no machine: the next instance type, the next subnet, on demand instead of spot. And a spot instance is
//! captured although it cannot be stopped.

use end_to_end::{Config, Ended, LocalEc2, OneStage};
use serde_json::{Value, json};

/// A pipeline with these members of `launch:` besides its instance type.
fn pipeline(ec2: &LocalEc2, launch: &str) -> std::path::PathBuf {
    let text = OneStage {
        launch,
        more: "    cache: false",
        ..OneStage::default()
    }
    .text();
    ec2.pipeline(text.replace("instance_type: m5.xlarge, ", ""))
}

/// Every instance that the account still shows, terminated ones too.
fn instances(ec2: &LocalEc2) -> Vec<Value> {
    let described = ec2.aws(&["ec2", "describe-instances"]).exits(0).json();
    let reservations = described["Reservations"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    reservations
        .iter()
        .flat_map(|reservation| {
            reservation["Instances"]
                .as_array()
                .cloned()
                .unwrap_or_default()
        })
        .collect()
}

fn only_the_image_stays(ec2: &LocalEc2, ended: &Ended) {
    ec2.holdings()
        .assert_counts(&[("images", 1), ("snapshots", 1)], ended);
}

#[test]
fn without_capacity_the_next_type_and_then_the_next_subnet_is_taken() {
    let ec2 = LocalEc2::new(Config::QUICK);
    ec2.faults(json!({ "capacity": [
        { "instance_type": "m5.xlarge" },
        { "instance_type": "m5.large", "zone": "us-east-2a" },
    ] }));
    let file = pipeline(
        &ec2,
        "instance_types: [m5.xlarge, m5.large], subnets: [{ default_vpc: true, zone: a }, { default_vpc: true, zone: b }]",
    );
    let ended = ec2
        .run(&file)
        .exits(0)
        .says("no m5.xlarge in us-east-2a")
        .says("no m5.xlarge in us-east-2b")
        .says("no m5.large in us-east-2a");
    only_the_image_stays(&ec2, &ended);
    let launched = instances(&ec2);
    assert_eq!(launched.len(), 1, "{launched:?}{ended}");
    assert_eq!(launched[0]["InstanceType"], "m5.large");
    assert_eq!(launched[0]["Placement"]["AvailabilityZone"], "us-east-2b");
}

#[test]
fn where_there_is_none_at_all_everything_that_was_tried_is_named() {
    let ec2 = LocalEc2::new(Config::QUICK);
    ec2.faults(json!({ "capacity": [{}] }));
    let file = pipeline(
        &ec2,
        "instance_types: [m5.xlarge, m5.large], subnet: { default_vpc: true, zone: c }",
    );
    let ended = ec2
        .run(&file)
        .failed_in("launch")
        .says("m5.xlarge in us-east-2c")
        .says("m5.large in us-east-2c")
        .says("InsufficientInstanceCapacity");
    ec2.holdings().assert_none(&ended);
}

#[test]
fn a_spot_instance_is_captured_running_and_ends() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let file = pipeline(
        &ec2,
        "instance_type: m5.large, spot: true, subnet: { default_vpc: true, zone: c }",
    );
    let ended = ec2.run(&file).exits(0);
    only_the_image_stays(&ec2, &ended);
    let launched = instances(&ec2);
    assert_eq!(launched[0]["InstanceLifecycle"], "spot", "{launched:?}");
    let requests = ec2
        .aws(&["ec2", "describe-spot-instance-requests"])
        .exits(0)
        .json();
    let open: Vec<&Value> = requests["SpotInstanceRequests"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|request| request["State"] == "open" || request["State"] == "active")
        .collect();
    assert!(open.is_empty(), "{open:?}{ended}");
}

#[test]
fn without_spot_capacity_it_is_launched_on_demand_unless_asked_otherwise() {
    let ec2 = LocalEc2::new(Config::QUICK);
    ec2.faults(json!({ "capacity": [{ "purchase": "spot" }] }));
    let file = pipeline(
        &ec2,
        "instance_type: m5.large, spot: { fall_back: none }, subnet: { default_vpc: true, zone: c }",
    );
    let ended = ec2.run(&file).failed_in("launch");
    ec2.holdings().assert_none(&ended);
    let file = pipeline(
        &ec2,
        "instance_type: m5.large, spot: true, subnet: { default_vpc: true, zone: c }",
    );
    let ended = ec2
        .run(&file)
        .exits(0)
        .says("no m5.large spot in us-east-2c");
    only_the_image_stays(&ec2, &ended);
    let launched = instances(&ec2);
    assert!(
        launched
            .iter()
            .all(|instance| instance["InstanceLifecycle"] != "spot"),
        "{launched:?}"
    );
}
