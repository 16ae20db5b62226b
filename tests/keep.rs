//! `--keep-on-failure` and `--debug`: what stays, the way in, and how it goes.

use end_to_end::{Config, Ended, LocalEc2, OneStage};
use serde_json::{Value, json};

fn failing() -> OneStage<'static> {
    OneStage {
        provision: r#"[{ run: { name: breaks, inline: "echo evidence > evidence.txt; exit 3" } }]"#,
        more: "    tags: { Purpose: looked-at }",
        ..OneStage::default()
    }
}

#[track_caller]
fn kept(ec2: &LocalEc2) -> Ended {
    let file = ec2.pipeline(failing().text());
    let file = file.to_string_lossy();
    ec2.qib(["run", "--local", "--json", "--keep-on-failure", &file])
        .failed_in("provision")
}

fn kinds(list: &Value) -> Vec<String> {
    let mut kinds: Vec<String> = list
        .as_array()
        .into_iter()
        .flatten()
        .map(|one| one["kind"].as_str().unwrap_or("?").to_owned())
        .collect();
    kinds.sort_unstable();
    kinds
}

#[test]
fn exactly_the_instance_its_key_and_its_group_stay_and_the_way_in_is_printed() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let ended = kept(&ec2);
    let finished = ended.finished();
    assert_eq!(
        kinds(&finished["kept"]),
        ["instance", "key-pair", "security-group"],
        "{ended}"
    );
    let holdings = ec2.holdings();
    holdings.assert_counts(
        &[
            ("instances", 1),
            ("key pairs", 1),
            ("security groups", 1),
            ("volumes", 1),
        ],
        &ended,
    );

    let way_in = &finished["ways_in"][0];
    let instance = holdings.of("instances")[0].clone();
    assert_eq!(way_in["instance_id"], instance.as_str(), "{ended}");
    assert_eq!(way_in["user"], "ec2-user", "{ended}");
    let key_file = way_in["key_file"]
        .as_str()
        .unwrap_or_else(|| panic!("no key file{ended}"))
        .to_owned();
    let mode = {
        use std::os::unix::fs::PermissionsExt;
        std::fs::metadata(&key_file)
            .unwrap_or_else(|error| panic!("{key_file}: {error}{ended}"))
            .permissions()
            .mode()
    };
    assert_eq!(mode & 0o777, 0o600, "{key_file}{ended}");
    let fingerprint = way_in["host_fingerprints"][0]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let host = way_in["host"].as_str().unwrap_or_default().to_owned();
    let ended = ended
        .says(&instance)
        .says(&host)
        .says(&key_file)
        .says("qib ssh");
    assert!(fingerprint.starts_with("SHA256:"), "{ended}");

    every_resource_is_tagged(&ec2, &ended);
    let run = ended.run_id();
    qib_ssh_gets_in(&ec2, &run, &instance);
    freed(&ec2, &ended);
}

/// The run's and the pipeline's tags are on the instance and its volume.
#[track_caller]
fn every_resource_is_tagged(ec2: &LocalEc2, ended: &Ended) {
    let run = ended.run_id();
    for (what, list) in [
        ("instances", "Reservations[].Instances[].Tags[]"),
        ("volumes", "Volumes[].Tags[]"),
    ] {
        let command = format!("describe-{what}");
        let tags = ec2.aws(&["ec2", &command, "--query", list]).exits(0).json();
        let has = |key: &str, value: &str| {
            tags.as_array()
                .into_iter()
                .flatten()
                .any(|tag| *tag == json!({ "Key": key, "Value": value }))
        };
        assert!(
            has("qib:run", &run) && has("qib:stage", "one") && has("Purpose", "looked-at"),
            "{what}: {tags}"
        );
    }
}

/// By the run's id and by the instance's, with and without a command; the command's exit code comes back.
#[track_caller]
fn qib_ssh_gets_in(ec2: &LocalEc2, run: &str, instance: &str) {
    for target in [run, instance] {
        let seen = ec2
            .qib(["ssh", "--local", target, "--", "cat", "evidence.txt"])
            .exits(0);
        assert_eq!(seen.stdout.trim_end(), "evidence", "{seen}");
    }
    ec2.qib(["ssh", "--local", run, "--", "exit 5"]).exits(5);
    ec2.qib(["ssh", "--local", "r-00000000", "--", "true"])
        .says("r-00000000");
}

/// The printed commands remove it all.
#[track_caller]
fn freed(ec2: &LocalEc2, ended: &Ended) {
    let finished = ended.finished();
    for one in finished["kept"].as_array().into_iter().flatten() {
        let command = one["remove_with"]
            .as_str()
            .unwrap_or_else(|| panic!("no remove_with{ended}"));
        ec2.shell(command).exits(0);
    }
    ec2.holdings().assert_none(ended);
}

#[test]
fn nothing_stays_of_a_run_that_ends_well() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let file = ec2.pipeline(OneStage::default().text());
    let file = file.to_string_lossy();
    let ended = ec2
        .qib(["run", "--local", "--json", "--keep-on-failure", &file])
        .exits(0);
    assert_eq!(ended.finished()["kept"], json!([]), "{ended}");
    ec2.holdings()
        .assert_counts(&[("images", 1), ("snapshots", 1)], &ended);
}

#[test]
fn debug_prints_the_way_in_at_launch_and_lets_the_laptop_in() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let provision = r#"[{ run: { name: long, inline: "echo begun; sleep 3600" } }]"#;
    let file = ec2.pipeline(
        OneStage {
            provision,
            ..OneStage::default()
        }
        .text(),
    );
    let file = file.to_string_lossy();
    let mut run = ec2.start([
        "run",
        "--local",
        "--json",
        "--debug",
        "--debug-from",
        "198.51.100.7/32",
        &file,
    ]);
    run.wait_for_event("the provisioner begins", |event| {
        event["event"] == "output" && event["line"] == "begun"
    });
    let ranges = ec2
        .aws(&[
            "ec2",
            "describe-security-groups",
            "--query",
            "SecurityGroups[].IpPermissions[].IpRanges[].CidrIp",
        ])
        .exits(0);
    run.signal(end_to_end::Signal::INT);
    let ended = run.end().exits(130);
    let ranges = ranges.json();
    assert!(
        ranges
            .as_array()
            .is_some_and(|all| all.contains(&json!("198.51.100.7/32"))),
        "{ranges}{ended}"
    );
    let ended = ended.says("SHA256:").says("i-").says("ec2-user");
    ec2.holdings().assert_none(&ended);
}
