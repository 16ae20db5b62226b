//! An instance ends by itself, without qib: its timer runs in the guest, and its shutdown terminates it.

#![allow(
    clippy::disallowed_methods,
    reason = "the wait for an instance to end has a deadline"
)]

use end_to_end::{Config, Ended, LocalEc2, OneStage};
use std::time::{Duration, Instant};

/// The timer looks every ten seconds; shutting down takes the guest a moment.
const WITHIN: Duration = Duration::from_secs(60);

/// A run whose instance was kept.
#[track_caller]
fn kept(ec2: &LocalEc2) -> Ended {
    let stage = OneStage {
        provision: r#"[{ run: { name: breaks, inline: "exit 3" } }]"#,
        launch: "subnet: { default_vpc: true, zone: c }, max_lifetime: 2h",
        ..OneStage::default()
    };
    let file = ec2.pipeline(stage.text());
    let file = file.to_string_lossy();
    ec2.qib(["run", "--local", "--json", "--keep-on-failure", &file])
        .failed_in("provision")
}

#[track_caller]
fn asked_of_ec2(ec2: &LocalEc2, instance: &str, what: &str) -> String {
    let query = format!("Reservations[0].Instances[0].{what}");
    let args = [
        "ec2",
        "describe-instances",
        "--instance-ids",
        instance,
        "--output",
        "text",
        "--query",
        &query,
    ];
    ec2.aws(&args).exits(0).stdout.trim().to_owned()
}

/// What a command in the guest prints.
#[track_caller]
fn in_guest(ec2: &LocalEc2, run: &str, command: &str) -> String {
    let ended = ec2.qib(["ssh", "--local", run, "--", command]).exits(0);
    ended.stdout.trim().to_owned()
}

#[test]
fn a_kept_instance_terminates_itself_at_the_end_that_its_tag_says() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let ended = kept(&ec2);
    let run = ended.run_id();
    let instance = ec2.holdings().of("instances")[0].clone();

    let tag = asked_of_ec2(&ec2, &instance, "Tags[?Key=='qib:expires'].Value|[0]");
    let end = in_guest(
        &ec2,
        &run,
        "date -u -d @$(cat /run/qib/lifetime) +%Y-%m-%dT%H:%M:%SZ",
    );
    assert_eq!(end, tag, "{ended}");
    // Of the same boot, so that two hours are two hours.
    let left = in_guest(
        &ec2,
        &run,
        "echo $(( $(cat /run/qib/lifetime) - $(date +%s) ))",
    );
    let left: u64 = left.parse().unwrap_or_else(|_| panic!("{left}{ended}"));
    assert!((6900..=7200).contains(&left), "{left} s left{ended}");
    let watcher = in_guest(
        &ec2,
        &run,
        "kill -0 $(cat /run/qib/watcher) 2>&1; cat /var/log/qib-lifetime.log",
    );
    assert!(
        watcher.contains(&format!("this instance ends at {tag}")),
        "{watcher}{ended}"
    );
    assert_eq!(asked_of_ec2(&ec2, &instance, "State.Name"), "running");

    in_guest(
        &ec2,
        &run,
        "date +%s | sudo tee /run/qib/lifetime >/dev/null",
    );
    let begun = Instant::now();
    loop {
        let state = asked_of_ec2(&ec2, &instance, "State.Name");
        // It never stops on the way: a stopped instance keeps its volumes, and costs.
        assert_ne!(state, "stopped", "{ended}");
        if state == "terminated" {
            break;
        }
        assert!(
            begun.elapsed() < WITHIN,
            "the instance is still {state} after {WITHIN:?}{ended}"
        );
        std::thread::sleep(Duration::from_millis(200));
    }
}
