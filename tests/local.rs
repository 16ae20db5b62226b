//! `qib local`: up, down, status, reset, env.

use end_to_end::{Config, LocalEc2, OneStage};
use serde_json::Value;

#[track_caller]
fn status(ec2: &LocalEc2) -> Value {
    ec2.qib(["local", "status", "--json"]).exits(0).json()
}

#[test]
fn status_has_what_a_client_needs() {
    let ec2 = LocalEc2::new(Config::QUICK);
    assert_eq!(status(&ec2)["running"], false);
    ec2.qib(["local", "up"]).exits(0);
    let up = status(&ec2);
    assert_eq!(up["running"], true);
    let endpoint = up["endpoint"].as_str().unwrap_or_default();
    assert!(endpoint.starts_with("http://127.0.0.1:"), "{up}");
    for key in ["region", "access_key_id", "secret_access_key"] {
        assert!(
            up[key].as_str().is_some_and(|value| !value.is_empty()),
            "{key} in {up}"
        );
    }
    assert!(up["ssh_port"].as_u64().is_some_and(|port| port > 0), "{up}");
}

#[test]
fn up_twice_is_one() {
    let ec2 = LocalEc2::new(Config::QUICK);
    ec2.qib(["local", "up"]).exits(0);
    let first = status(&ec2);
    ec2.qib(["local", "up"]).exits(0);
    assert_eq!(status(&ec2), first);
}

#[test]
fn what_was_made_is_there_again_after_down_and_up_and_gone_after_reset() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let file = ec2.pipeline(OneStage::default().text());
    let built = ec2.run(&file).exits(0);
    let image = built.image("one")["image_id"].clone();
    ec2.qib(["local", "down"]).exits(0);
    assert_eq!(status(&ec2)["running"], false);

    let listed = ec2.qib(["images", "ls", "--local", "--json"]).exits(0);
    assert_eq!(listed.json()[0]["image_id"], image, "{listed}");
    let again = ec2.run(&file).exits(0);
    assert_eq!(
        (
            &again.image("one")["cached"],
            &again.image("one")["image_id"]
        ),
        (&Value::Bool(true), &image),
        "{again}"
    );

    ec2.qib(["local", "reset"]).exits(0);
    let listed = ec2.qib(["images", "ls", "--local", "--json"]).exits(0);
    assert_eq!(listed.json(), serde_json::json!([]), "{listed}");
    let settings = std::fs::read_to_string(ec2.path("local/config.json")).unwrap_or_default();
    assert!(
        settings.contains(r#""delays":"none""#),
        "the settings are the user's: {settings}"
    );
}

#[test]
fn an_image_boots_with_what_was_written_before_the_restart() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let provision =
        r#"[{ run: { name: write, become: root, inline: "echo kept > /etc/kept.txt" } }]"#;
    let first = ec2.write(
        "work/first.yaml",
        OneStage {
            name: "first",
            provision,
            ..OneStage::default()
        }
        .text(),
    );
    ec2.run(&first).exits(0);
    ec2.qib(["local", "down"]).exits(0);
    let source = r#"{ filter: { owners: [self], name: "one-*" } }"#;
    let provision = r#"[{ run: { name: read, inline: "cat /etc/kept.txt" } }]"#;
    let second = ec2.write(
        "work/second.yaml",
        OneStage {
            name: "second",
            source,
            provision,
            ..OneStage::default()
        }
        .text(),
    );
    let ended = ec2.run(&second).exits(0);
    assert!(
        ended
            .events_of("output")
            .iter()
            .any(|event| event["line"] == "kept"),
        "{ended}"
    );
}

#[test]
fn env_is_for_a_shell_and_holds_what_aws_clients_read() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let seen = ec2.shell("env").exits(0);
    for key in [
        "AWS_ENDPOINT_URL=http://127.0.0.1:",
        "AWS_ACCESS_KEY_ID=",
        "AWS_SECRET_ACCESS_KEY=",
        "AWS_REGION=us-east-2",
    ] {
        assert!(
            seen.stdout.lines().any(|line| line.starts_with(key)),
            "{key}{seen}"
        );
    }
}

#[test]
fn a_configuration_that_cannot_be_used_is_told_by_the_one_who_starts_it() {
    let ec2 = LocalEc2::new(Config::QUICK);
    ec2.write("local/config.json", r#"{"delay":"none"}"#);
    let ended = ec2.qib(["local", "up"]);
    assert!(matches!(ended.code, Some(1 | 2)), "{ended}");
    ended.says("config.json").says("delay");
}

#[test]
fn the_daemon_is_not_held_by_the_one_who_started_it() {
    // `Running` reads both streams to their ends: a daemon that inherited them would hold them open for ever.
    let ec2 = LocalEc2::new(Config::QUICK);
    ec2.qib(["local", "up"]).exits(0);
    assert_eq!(status(&ec2)["running"], true);
}
