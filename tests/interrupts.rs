//! Ctrl-C and SIGTERM at every step: the run cleans up and exits with 130 or 143.

use end_to_end::one_stage::{THROUGH_ELASTIC_IP, WITH_PROFILE};
use end_to_end::{Config, Ended, LocalEc2, OneStage, Signal};
use serde_json::json;

/// The steps up to the image's being complete. In each, an interrupted run leaves nothing at all.
const BEFORE_THE_IMAGE: &[&str] = &[
    "resolve",
    "lease-address",
    "key-pair",
    "security-group",
    "launch",
    "bind-address",
    "connect",
    "provision",
    "scrub",
    "free-address",
    "stop",
    "create-image",
];

/// The steps after it. The image may stay then, if the run says that it is there.
const AFTER_THE_IMAGE: &[&str] = &["complete", "terminate"];

fn through_every_step() -> OneStage<'static> {
    OneStage {
        connect: THROUGH_ELASTIC_IP,
        launch: WITH_PROFILE,
        // Long enough to be interrupted while it runs, and not a step's whole time to be waited for.
        provision: r#"[{ run: { name: short, inline: "echo begun; sleep 1; echo done" } }]"#,
        more: "    cache: false",
        ..OneStage::default()
    }
}

/// Interrupts a run when `step` begins.
#[track_caller]
fn interrupted(ec2: &LocalEc2, step: &str, signal: Signal) -> Ended {
    let file = ec2.pipeline(through_every_step().text());
    let mut run = ec2.start_run(&file);
    assert!(
        run.reaches(step),
        "the run ended before the step {step}{}",
        run.end()
    );
    run.signal(signal);
    run.end()
}

#[track_caller]
fn cleaned_up_in_every_step(signal: Signal, code: i32) {
    let ec2 = LocalEc2::new(Config::USUAL);
    for step in BEFORE_THE_IMAGE {
        let ended = interrupted(&ec2, step, signal);
        assert_eq!(ended.code, Some(code), "interrupted in {step}{ended}");
        let finished = ended.finished();
        assert_eq!(finished["status"], "interrupted", "in {step}{ended}");
        assert_eq!(finished["left_behind"], json!([]), "in {step}{ended}");
        ec2.holdings().assert_none(&ended);
    }
}

#[test]
fn ctrl_c_in_every_step_leaves_nothing_and_exits_130() {
    cleaned_up_in_every_step(Signal::INT, 130);
}

#[test]
fn sigterm_in_every_step_leaves_nothing_and_exits_143() {
    cleaned_up_in_every_step(Signal::TERM, 143);
}

#[test]
fn after_the_image_is_there_an_interrupted_run_keeps_exactly_what_it_names() {
    for step in AFTER_THE_IMAGE {
        let ec2 = LocalEc2::new(Config::USUAL);
        let ended = interrupted(&ec2, step, Signal::INT);
        let kept = ended.finished()["images"].as_array().map_or(0, Vec::len);
        let holdings = ec2.holdings();
        match kept {
            0 => {
                assert_eq!(ended.code, Some(130), "in {step}{ended}");
                holdings.assert_none(&ended);
            }
            // The signal can come when nothing is left to interrupt: then the run has simply ended well.
            _ => {
                assert!(matches!(ended.code, Some(0 | 130)), "in {step}{ended}");
                holdings.assert_counts(&[("images", 1), ("snapshots", 1)], &ended);
            }
        }
    }
}

#[test]
fn ctrl_c_while_waiting_for_the_provisioner_does_not_wait_for_its_end() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let provision = r#"[{ run: { name: endless, inline: "echo begun; sleep 3600" } }]"#;
    let file = ec2.pipeline(
        OneStage {
            provision,
            ..OneStage::default()
        }
        .text(),
    );
    let mut run = ec2.start_run(&file);
    run.wait_for_event("the provisioner begins", |event| {
        event["event"] == "output" && event["line"] == "begun"
    });
    run.signal(Signal::INT);
    let ended = run.end().exits(130);
    ec2.holdings().assert_none(&ended);
}

#[test]
fn a_second_ctrl_c_stops_at_once_and_says_what_is_left_and_how_to_remove_it() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let provision = r#"[{ run: { name: endless, inline: "echo begun; sleep 3600" } }]"#;
    let file = ec2.pipeline(
        OneStage {
            provision,
            ..OneStage::default()
        }
        .text(),
    );
    let mut run = ec2.start_run(&file);
    run.wait_for_event("the provisioner begins", |event| {
        event["event"] == "output" && event["line"] == "begun"
    });
    // Nothing can be terminated from now on: the clean-up goes on until it is stopped.
    let throttled =
        json!({ "action": "TerminateInstances", "code": "RequestLimitExceeded", "status": 503 });
    ec2.faults(json!({ "actions": [throttled] }));
    run.signal(Signal::INT);
    run.wait_for_event("cleaning up begins", |event| event["step"] == "clean-up");
    run.signal(Signal::INT);
    let ended = run.end();
    assert!(
        matches!(ended.code, Some(3)),
        "what is left must show in the exit code{ended}"
    );
    let left = ended.finished()["left_behind"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let instances = ec2.holdings().of("instances").to_vec();
    let named = left
        .iter()
        .any(|one| one["kind"] == "instance" && one["id"] == instances[0].as_str());
    assert!(instances.len() == 1 && named, "left {instances:?}{ended}");
    ec2.no_faults();
    for one in &left {
        let command = one["remove_with"]
            .as_str()
            .unwrap_or_else(|| panic!("no remove_with{ended}"));
        ec2.shell(command).exits(0);
    }
    ec2.holdings().assert_none(&ended);
}
