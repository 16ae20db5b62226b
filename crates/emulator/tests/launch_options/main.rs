//! What a launch says about machine, place and devices, and the networks it goes to.
// A test is an edge.
#![allow(clippy::disallowed_methods)]

mod devices;
mod images;
mod machine;
mod networks;
#[path = "../support/mod.rs"]
mod support;

use serde_json::json;
use support::{Answer, LocalEc2};

fn launch(ec2: &LocalEc2, image: &str, kind: &str, more: &[(&str, &str)]) -> Answer {
    let mut parameters = vec![
        ("ImageId", image),
        ("InstanceType", kind),
        ("MinCount", "1"),
        ("MaxCount", "1"),
    ];
    parameters.extend(more);
    ec2.ec2("RunInstances", &parameters)
}

async fn gone(ec2: &LocalEc2, id: &str) {
    ec2.ec2("TerminateInstances", &[("InstanceId.1", id)]).ok();
    ec2.state(id, "terminated").await;
}
