//! What goes wrong after the start: exit code 1, one message that names the step, and a clean account.

use end_to_end::one_stage::{THROUGH_ELASTIC_IP, WITH_PROFILE};
use end_to_end::{Config, Ended, LocalEc2, OneStage, Running};
use serde_json::json;

/// Runs the pipeline, which must fail in `step`, and looks that nothing is left.
#[track_caller]
fn fails_in(ec2: &LocalEc2, step: &str, stage: OneStage<'_>) -> Ended {
    let file = ec2.pipeline(stage.text());
    let ended = ec2.run(&file).failed_in(step);
    ec2.holdings().assert_none(&ended);
    ended
}

#[test]
fn a_provisioner_that_fails_is_named_with_its_exit_code_and_last_lines() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let provision = r#"[
        { run: { name: first, inline: "echo all well" } },
        { run: { name: second, inline: "echo the last thing it said; exit 7" } },
        { run: { name: third, inline: "echo never reached" } } ]"#;
    let ended = fails_in(
        &ec2,
        "provision",
        OneStage {
            provision,
            ..OneStage::default()
        },
    );
    let failure = ended.finished()["failures"][0]["error"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    assert!(
        failure.contains("second") && failure.contains('7'),
        "{failure}"
    );
    assert!(failure.contains("the last thing it said"), "{failure}");
    ended.says("second").never_says("never reached");
}

#[test]
fn errexit_is_on_unless_a_provisioner_says_otherwise() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let provision = r#"[
        { run: { name: lenient, errexit: false, inline: "false\necho went on" } },
        { run: { name: strict, inline: "false\necho not reached" } } ]"#;
    let ended = fails_in(
        &ec2,
        "provision",
        OneStage {
            provision,
            ..OneStage::default()
        },
    );
    let said = |line: &str| {
        ended
            .events_of("output")
            .iter()
            .any(|event| event["line"] == line)
    };
    assert!(said("went on") && !said("not reached"), "{ended}");
}

#[test]
fn a_failing_pipe_fails_its_provisioner() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let provision =
        r##"[{ run: { name: pipe, inline: "#!/bin/bash\nfalse | cat\necho not reached" } }]"##;
    fails_in(
        &ec2,
        "provision",
        OneStage {
            provision,
            ..OneStage::default()
        },
    )
    .says("pipe");
}

#[test]
fn a_provisioner_that_takes_too_long_is_ended_at_its_timeout() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let provision = r#"[{ run: { name: slow, inline: "echo begun; sleep 600", timeout: 2s } }]"#;
    fails_in(
        &ec2,
        "provision",
        OneStage {
            provision,
            ..OneStage::default()
        },
    )
    .says("slow");
}

#[test]
fn a_refused_binding_is_told_from_the_scripts_own_log_long_before_the_timeout() {
    let ec2 = LocalEc2::new(Config::USUAL);
    ec2.faults(json!({ "binding_refused": true }));
    // The run's hard deadline is far below ten minutes: only the script's marker on the console can end it in time.
    let connect =
        "{ user: ec2-user, address: { elastic_ip: eipalloc-0local, timeout: 10m }, timeout: 10m }";
    let ended = fails_in(
        &ec2,
        "bind-address",
        OneStage {
            connect,
            launch: WITH_PROFILE,
            ..OneStage::default()
        },
    );
    ended
        .says("the address was not bound")
        .says("UnauthorizedOperation")
        .never_says("SSH never came up");
}

#[test]
fn a_binding_that_never_happens_ends_at_its_timeout_and_is_not_called_an_ssh_timeout() {
    let ec2 = LocalEc2::new(Config::USUAL);
    ec2.faults(json!({ "instance_never_boots": true }));
    let connect =
        "{ user: ec2-user, address: { elastic_ip: eipalloc-0local, timeout: 4s }, timeout: 10m }";
    let ended = fails_in(
        &ec2,
        "bind-address",
        OneStage {
            connect,
            launch: WITH_PROFILE,
            ..OneStage::default()
        },
    );
    ended
        .says("the address was not bound")
        .never_says("SSH never came up");
}

#[test]
fn ssh_that_never_comes_up_is_told_with_the_destination_and_the_console() {
    let ec2 = LocalEc2::new(Config::QUICK);
    ec2.faults(json!({ "ssh_never_up": true }));
    let connect = "{ user: ec2-user, timeout: 4s }";
    let ended = fails_in(
        &ec2,
        "connect",
        OneStage {
            connect,
            ..OneStage::default()
        },
    );
    ended.says("SSH never came up").says("127.");
}

#[test]
fn an_unreachable_public_address_is_an_ssh_failure_when_the_firewall_is_on() {
    let ec2 = LocalEc2::new(Config::USUAL);
    let connect = "{ user: ec2-user, timeout: 4s }";
    fails_in(
        &ec2,
        "connect",
        OneStage {
            connect,
            ..OneStage::default()
        },
    )
    .says("SSH never came up");
}

#[test]
fn an_image_that_fails_is_removed_with_its_snapshots() {
    let ec2 = LocalEc2::new(Config::QUICK);
    ec2.faults(json!({ "image_creation_fails": true }));
    fails_in(&ec2, "create-image", OneStage::default()).says("ami-");
}

#[test]
fn an_image_that_ec2_refuses_to_create_fails_the_run() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let refusal = json!({ "action": "CreateImage", "code": "SnapshotLimitExceeded", "message": "Maximum reached." });
    ec2.faults(json!({ "actions": [refusal] }));
    fails_in(&ec2, "create-image", OneStage::default())
        .says("CreateImage")
        .says("SnapshotLimitExceeded");
}

#[test]
fn calls_that_fail_for_a_while_do_not_fail_the_run_nor_make_a_thing_twice() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let broken = |action: &str| json!({ "action": action, "code": "InternalError", "status": 500, "times": 1 });
    let throttled = json!({ "action": "DescribeInstances", "code": "RequestLimitExceeded", "status": 503, "times": 3 });
    let actions = [
        "RunInstances",
        "ImportKeyPair",
        "CreateSecurityGroup",
        "CreateImage",
        "TerminateInstances",
    ];
    let mut faults: Vec<_> = actions.into_iter().map(broken).collect();
    faults.push(throttled);
    ec2.faults(json!({ "actions": faults }));
    let file = ec2.pipeline(OneStage::default().text());
    let ended = ec2.run(&file).exits(0);
    ec2.holdings()
        .assert_counts(&[("images", 1), ("snapshots", 1)], &ended);
}

#[test]
fn an_instance_terminated_underneath_is_told_as_such() {
    let ec2 = LocalEc2::new(Config::QUICK);
    ec2.faults(json!({ "instance_terminated_after_ms": 4000 }));
    let provision = r#"[{ run: { name: long, inline: "sleep 600" } }]"#;
    let ended = fails_in(
        &ec2,
        "provision",
        OneStage {
            provision,
            ..OneStage::default()
        },
    );
    ended.says("terminated").says("i-");
}

#[test]
fn a_source_that_no_image_matches_is_told_with_the_filter() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let source = r#"{ filter: { owners: ["309956199498"], name: "RHEL-99*" } }"#;
    let ended = fails_in(
        &ec2,
        "resolve",
        OneStage {
            source,
            ..OneStage::default()
        },
    );
    ended.says("no image").says("RHEL-99*").says("309956199498");
}

#[test]
fn an_image_id_that_does_not_exist_is_told() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let source = "{ image_id: ami-00000000000000000 }";
    fails_in(
        &ec2,
        "resolve",
        OneStage {
            source,
            ..OneStage::default()
        },
    )
    .says("ami-00000000000000000");
}

#[test]
fn an_unknown_elastic_ip_is_told_before_anything_is_launched() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let connect = "{ user: ec2-user, address: { elastic_ip: eipalloc-0nowhere } }";
    let ended = fails_in(
        &ec2,
        "lease-address",
        OneStage {
            connect,
            launch: WITH_PROFILE,
            ..OneStage::default()
        },
    );
    let begun = |step: &str| {
        ended
            .events_of("step-started")
            .iter()
            .any(|event| event["step"] == step)
    };
    assert!(!begun("key-pair") && !begun("launch"), "{ended}");
    ended.says("there is no Elastic IP eipalloc-0nowhere");
}

#[test]
fn an_image_name_that_is_taken_is_found_before_anything_is_launched() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let image = r#"{ name: "taken" }"#;
    let file = ec2.pipeline(
        OneStage {
            image,
            more: "    cache: false",
            ..OneStage::default()
        }
        .text(),
    );
    ec2.run(&file).exits(0);
    let ended = ec2
        .run(&file)
        .failed_in("resolve")
        .says("taken")
        .says("ami-");
    ec2.holdings()
        .assert_counts(&[("images", 1), ("snapshots", 1)], &ended);
}

#[test]
fn a_host_key_that_is_not_the_expected_one_is_never_connected_to() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let connect = r#"{ user: ec2-user, timeout: 60s,
        host_key: { fingerprint: "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" } }"#;
    let ended = fails_in(
        &ec2,
        "connect",
        OneStage {
            connect,
            ..OneStage::default()
        },
    );
    assert!(
        ended.events_of("output").is_empty(),
        "a provisioner ran{ended}"
    );
    ended.says("HOST KEY").says("SHA256:");
}

#[test]
fn a_refused_login_names_the_user() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let connect = "{ user: stranger, timeout: 20s }";
    fails_in(
        &ec2,
        "connect",
        OneStage {
            connect,
            ..OneStage::default()
        },
    )
    .says("stranger");
}

#[test]
fn without_credentials_the_message_says_so_and_what_to_do() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let file = ec2.pipeline(OneStage::default().text());
    let mut command = ec2.command(["run", "--region", "us-east-2"]);
    // The metadata service is the last place that the SDK looks at; there is none here, and no wait for it either.
    command.arg(&file).env("AWS_EC2_METADATA_DISABLED", "true");
    let ended = Running::start(command).end().exits(1);
    assert!(ended.stderr.contains("credentials"), "{ended}");
    assert!(
        ended.stderr.contains("AWS_PROFILE") || ended.stderr.contains("aws configure"),
        "what to do{ended}"
    );
}

#[test]
fn bind_api_needs_no_instance_profile_and_frees_the_address() {
    let ec2 = LocalEc2::new(Config::USUAL);
    let connect =
        "{ user: ec2-user, address: { elastic_ip: eipalloc-0local, bind: api }, timeout: 60s }";
    let file = ec2.pipeline(
        OneStage {
            connect,
            ..OneStage::default()
        }
        .text(),
    );
    let ended = ec2.run(&file).exits(0);
    ec2.holdings()
        .assert_counts(&[("images", 1), ("snapshots", 1)], &ended);
}

#[test]
fn bind_user_data_without_an_instance_profile_never_hangs() {
    let ec2 = LocalEc2::new(Config::USUAL);
    let file = ec2.pipeline(
        OneStage {
            connect: THROUGH_ELASTIC_IP,
            ..OneStage::default()
        }
        .text(),
    );
    let ended = ec2.run(&file);
    assert!(matches!(ended.code, Some(1 | 2)), "{ended}");
    assert!(
        ended.stderr.contains("instance_profile") || ended.stderr.contains("instance profile"),
        "{ended}"
    );
    if ended.code == Some(1) {
        ec2.holdings().assert_none(&ended);
    }
}
