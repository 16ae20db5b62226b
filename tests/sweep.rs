//! `qib sweep` and `qib runs`: after kill -9 the account is as before, and nothing else is ever touched.

use end_to_end::one_stage::{THROUGH_ELASTIC_IP, WITH_PROFILE};
use end_to_end::{Config, Ended, LocalEc2, OneStage, Running, Signal};
use serde_json::{Value, json};

const ENDLESS: &str = r#"[{ run: { name: endless, inline: "echo begun; sleep 3600" } }]"#;

/// A run that is in its provisioner, and stays there.
#[track_caller]
fn begun(ec2: &LocalEc2) -> (Running, String) {
    let file = ec2.pipeline(
        OneStage {
            provision: ENDLESS,
            ..OneStage::default()
        }
        .text(),
    );
    let mut run = ec2.start_run(&file);
    let started = run.wait_for_event("it has an id", |event| event["event"] == "started");
    run.wait_for_event("the provisioner begins", |event| {
        event["event"] == "output" && event["line"] == "begun"
    });
    let id = started["run"].as_str().expect("a run has an id").to_owned();
    (run, id)
}

/// Ends a run as a power cut does.
#[track_caller]
fn killed(run: Running) -> Ended {
    run.signal(Signal::KILL);
    let ended = run.end();
    assert_eq!(ended.code, None, "{ended}");
    ended
}

#[track_caller]
fn sweep(ec2: &LocalEc2, more: &[&str]) -> Ended {
    let mut args = vec!["sweep", "--local", "--json"];
    args.extend(more);
    ec2.qib(args)
}

/// The same on a machine that has no journal of the run.
#[track_caller]
fn sweep_from_elsewhere(ec2: &LocalEc2, more: &[&str]) -> Ended {
    let mut args = vec!["sweep", "--local", "--json"];
    args.extend(more);
    let mut command = ec2.command(args);
    command.env("QIB_STATE_DIR", ec2.path("elsewhere"));
    Running::start(command).end()
}

/// The rows with an action.
#[track_caller]
fn of_action<'a>(rows: &'a Value, action: &str) -> Vec<&'a Value> {
    let rows = rows.as_array().expect("an array");
    rows.iter().filter(|row| row["action"] == action).collect()
}

fn kinds(rows: &[&Value]) -> Vec<String> {
    let mut kinds: Vec<String> = rows
        .iter()
        .map(|row| row["kind"].as_str().unwrap_or_default().to_owned())
        .collect();
    kinds.sort_unstable();
    kinds
}

#[track_caller]
fn state_of(ec2: &LocalEc2, run: &str) -> String {
    let runs = ec2.qib(["runs", "ls", "--json"]).exits(0).json();
    let row = runs.as_array().into_iter().flatten();
    let row = row.into_iter().find(|row| row["run"] == run);
    row.and_then(|row| row["state"].as_str())
        .unwrap_or_else(|| panic!("no state of {run} in {runs}"))
        .to_owned()
}

#[test]
fn after_kill_9_in_any_step_a_sweep_leaves_the_account_as_it_was() {
    let ec2 = LocalEc2::new(Config::USUAL);
    let stage = OneStage {
        connect: THROUGH_ELASTIC_IP,
        launch: WITH_PROFILE,
        provision: r#"[{ run: { name: short, inline: "echo begun; sleep 1; echo done" } }]"#,
        more: "    cache: false",
        ..OneStage::default()
    };
    let file = ec2.pipeline(stage.text());
    for step in [
        "lease-address",
        "security-group",
        "launch",
        "bind-address",
        "provision",
        "stop",
        "create-image",
        "complete",
    ] {
        let mut run = ec2.start_run(&file);
        let started = run.wait_for_event("it has an id", |event| event["event"] == "started");
        let id = started["run"].as_str().expect("a run has an id");
        assert!(run.reaches(step), "it ended before {step}{}", run.end());
        let dead = killed(run);
        assert_eq!(state_of(&ec2, id), "dead", "killed in {step}{dead}");

        let swept = sweep(&ec2, &["--yes"]).exits(0);
        let rows = swept.json();
        assert!(
            !of_action(&rows, "removed").is_empty(),
            "killed in {step}{swept}"
        );
        // The process may have lived long enough to set the last tag: then the image is whole, and a result.
        let holdings = ec2.holdings();
        if step == "complete" && !holdings.of("images").is_empty() {
            holdings.assert_counts(&[("images", 1), ("snapshots", 1)], &swept);
        } else {
            holdings.assert_none(&swept);
        }
        assert_eq!(state_of(&ec2, id), "swept", "killed in {step}{swept}");

        let again = sweep(&ec2, &["--yes"]).exits(0);
        assert_eq!(of_action(&again.json(), "removed"), [&Value::Null; 0]);
    }
}

#[test]
fn a_living_run_is_not_touched_and_a_dead_one_only_when_it_is_sure_to_be_dead() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let (run, id) = begun(&ec2);
    let before = ec2.holdings();
    for swept in [
        sweep(&ec2, &["--yes"]),
        sweep(&ec2, &["--yes", "--kept"]),
        sweep(&ec2, &["--yes", "--run", &id]),
        sweep_from_elsewhere(&ec2, &["--yes", "--kept"]),
    ] {
        let rows = swept.json();
        let ended = swept.exits(0);
        let all = rows.as_array().expect("an array");
        assert!(!all.is_empty(), "{ended}");
        for row in all {
            assert_eq!(row["action"], "keep", "{row}{ended}");
            let reason = row["reason"].as_str().unwrap_or_default();
            assert!(reason.contains("the run lives"), "{row}{ended}");
        }
        assert_eq!(ec2.holdings(), before, "{ended}");
    }
    assert_eq!(state_of(&ec2, &id), "running");
    let dead = killed(run);

    // Elsewhere its lease speaks for it for two minutes more.
    let swept = sweep_from_elsewhere(&ec2, &["--yes"]).exits(0);
    assert_eq!(of_action(&swept.json(), "removed"), [&Value::Null; 0]);
    assert_eq!(ec2.holdings(), before, "{swept}{dead}");

    // Here its journal shows that no process is there.
    let shown = sweep(&ec2, &[]).exits(0);
    let rows = shown.json();
    let planned = of_action(&rows, "remove");
    assert_eq!(
        kinds(&planned),
        [
            "instance",
            "journal",
            "key-pair",
            "lease",
            "lease",
            "security-group",
            "volume"
        ],
        "{shown}"
    );
    for row in planned {
        assert_eq!(row["run"], id.as_str(), "{row}");
        let aws = row["remove_with"].as_str().unwrap_or_default();
        assert!(!aws.is_empty(), "{row}");
        for key in [
            "region", "id", "name", "pipeline", "stage", "cell", "reason",
        ] {
            assert!(row[key].is_string(), "{key} of {row}");
        }
        assert!(row["created"].is_string() || row["created"].is_null());
    }
    assert_eq!(ec2.holdings(), before, "nothing goes without --yes{shown}");
    let swept = sweep(&ec2, &["--yes", "--run", &id]).exits(0);
    ec2.holdings().assert_none(&swept);
}

#[test]
fn a_kept_instance_stays_lives_longer_and_goes_when_it_is_asked_for() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let stage = OneStage {
        provision: r#"[{ run: { name: breaks, inline: "exit 3" } }]"#,
        ..OneStage::default()
    };
    let file = ec2.pipeline(stage.text());
    let file = file.to_string_lossy();
    let ended = ec2
        .qib(["run", "--local", "--json", "--keep-on-failure", &file])
        .failed_in("provision");
    let run = ended.run_id();
    let kept = ec2.holdings();
    assert_eq!(state_of(&ec2, &run), "kept", "{ended}");

    for swept in [
        sweep(&ec2, &["--yes"]),
        sweep_from_elsewhere(&ec2, &["--yes"]),
    ] {
        let swept = swept.exits(0);
        let rows = swept.json();
        assert_eq!(of_action(&rows, "removed"), [&Value::Null; 0], "{swept}");
        assert_eq!(ec2.holdings(), kept, "{swept}");
    }

    let expires = |ec2: &LocalEc2| {
        let query = "Reservations[].Instances[].Tags[?Key=='qib:expires'].Value[]";
        let tags = ec2.aws(&["ec2", "describe-instances", "--query", query]);
        tags.exits(0).json()[0].as_str().unwrap_or("?").to_owned()
    };
    let before = expires(&ec2);
    let extended = ec2.qib(["runs", "extend", &run, "--by", "2h"]).exits(0);
    let after = expires(&ec2);
    assert!(after > before, "{before} {after}{extended}");
    assert!(extended.stdout.contains(&after), "{extended}");

    let swept = sweep(&ec2, &["--yes", "--kept"]).exits(0);
    ec2.holdings().assert_none(&swept);
    assert_eq!(state_of(&ec2, &run), "failed", "{swept}");
    ec2.qib(["ssh", "--local", &run]).exits(1).says(&run);
    ec2.qib(["runs", "extend", &run, "--by", "2h"]).exits(2);
}

#[test]
fn what_is_not_qibs_and_what_is_complete_is_never_touched() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let file = ec2.pipeline(OneStage::default().text());
    let built = ec2.run(&file).exits(0);
    ec2.aws(&[
        "ec2",
        "create-key-pair",
        "--key-name",
        "somebodys",
        "--key-type",
        "ed25519",
    ])
    .exits(0);
    ec2.aws(&[
        "ec2",
        "create-security-group",
        "--group-name",
        "somebodys",
        "--description",
        "somebody's",
    ])
    .exits(0);
    let image = built.image("one")["image_id"].clone();
    let image = image.as_str().expect("an id");
    let launched = ec2
        .aws(&["ec2", "run-instances", "--image-id", image, "--count", "1"])
        .exits(0);
    let instance = launched.json()["Instances"][0]["InstanceId"].clone();
    let instance = instance.as_str().expect("an id");
    ec2.aws(&[
        "ec2",
        "wait",
        "instance-running",
        "--instance-ids",
        instance,
    ])
    .exits(0);
    // A tag of qib's kind that no run has written.
    let tag = "Key=qib:run,Value=mine";
    ec2.aws(&["ec2", "create-tags", "--resources", instance, "--tags", tag])
        .exits(0);
    ec2.aws(&[
        "ssm",
        "put-parameter",
        "--name",
        "/qib/leases/somebodys",
        "--type",
        "String",
        "--value",
        "x",
    ])
    .exits(0);
    let before = ec2.holdings();
    for kind in [
        "instances",
        "key pairs",
        "security groups",
        "images",
        "parameters",
    ] {
        assert_eq!(before.of(kind).len(), 1, "{kind}: {before:?}");
    }
    let swept = sweep(&ec2, &["--yes", "--kept"]).exits(0);
    assert_eq!(ec2.holdings(), before, "{swept}");
    let rows = swept.json();
    let rows = rows.as_array().expect("an array");
    let named: Vec<&str> = rows.iter().filter_map(|row| row["kind"].as_str()).collect();
    assert_eq!(named, ["image", "snapshot"], "{swept}");
}

#[test]
fn what_resists_is_named_with_its_command_and_the_exit_code_is_3() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let (run, id) = begun(&ec2);
    killed(run);
    let denied =
        json!({ "action": "DeleteKeyPair", "code": "UnauthorizedOperation", "status": 403 });
    ec2.faults(json!({ "actions": [denied] }));
    let swept = sweep(&ec2, &["--yes"]).exits(3);
    let rows = swept.json();
    let failed = of_action(&rows, "failed");
    assert_eq!(kinds(&failed), ["journal", "key-pair"], "{swept}");
    let pair = failed.iter().find(|row| row["kind"] == "key-pair");
    let pair = pair.expect("one is a key pair");
    let reason = pair["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("UnauthorizedOperation"), "{reason}{swept}");
    assert_eq!(state_of(&ec2, &id), "dead", "{swept}");
    ec2.holdings().assert_counts(&[("key pairs", 1)], &swept);

    ec2.no_faults();
    let command = pair["remove_with"].as_str().expect("a command").to_owned();
    ec2.shell(&command).exits(0);
    let swept = sweep(&ec2, &["--yes"]).exits(0);
    ec2.holdings().assert_none(&swept);
    assert_eq!(state_of(&ec2, &id), "swept", "{swept}");
}

#[test]
fn runs_are_listed_newest_first_with_their_state_and_shown_with_each_effect() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let none = ec2.qib(["runs", "ls", "--json"]).exits(0);
    assert_eq!(none.json(), json!([]));
    let file = ec2.pipeline(OneStage::default().text());
    let succeeded = ec2.run(&file).exits(0).run_id();
    let failing = OneStage {
        name: "failing",
        provision: r#"[{ run: { name: breaks, inline: "exit 3" } }]"#,
        ..OneStage::default()
    };
    let file = ec2.pipeline(failing.text());
    let failed = ec2.run(&file).failed_in("provision").run_id();
    let (run, interrupted) = begun(&ec2);
    run.signal(Signal::INT);
    run.end().exits(130);
    let (run, dead) = begun(&ec2);
    killed(run);
    let unreadable = "r-00000000";
    ec2.write(
        format!("state/runs/{unreadable}/journal.jsonl"),
        "{\"record\":\"opened\",\"version\":999}\n",
    );

    let listed = ec2.qib(["runs", "ls", "--json"]).exits(0);
    let rows = listed.json();
    let rows = rows.as_array().expect("an array");
    let seen: Vec<(&str, &str)> = rows
        .iter()
        .filter_map(|row| Some((row["run"].as_str()?, row["state"].as_str()?)))
        .collect();
    assert_eq!(
        seen,
        [
            (dead.as_str(), "dead"),
            (&interrupted, "interrupted"),
            (&failed, "failed"),
            (&succeeded, "succeeded"),
            (unreadable, "unreadable"),
        ],
        "{listed}"
    );
    let holds = rows[0]["holds"].to_string();
    for kind in ["instance i-", "security-group sg-", "key-pair qib-"] {
        assert!(holds.contains(kind), "{kind} in {holds}");
    }
    let error = rows[4]["error"].as_str().unwrap_or_default();
    assert!(error.contains("999"), "{error}");
    let table = ec2.qib(["runs", "ls"]).exits(0).says(&dead);
    assert!(table.stdout.starts_with("RUN "), "{table}");

    let shown = ec2.qib(["runs", "show", "--json", &succeeded]).exits(0);
    let detail = shown.json();
    assert_eq!(detail["state"], "succeeded", "{shown}");
    let effects = detail["effects"].as_array().expect("an array");
    let image = effects
        .iter()
        .find(|one| one["effect"] == "create-image")
        .unwrap_or_else(|| panic!("no image{shown}"));
    assert_eq!(image["state"], "delivered", "{shown}");
    assert!(
        image["id"]
            .as_str()
            .is_some_and(|id| id.starts_with("ami-"))
    );
    assert!(image["at"].as_str().is_some_and(|at| at.ends_with('Z')));
    ec2.qib(["runs", "show", "r-11111111"])
        .exits(2)
        .says("r-11111111");
    ec2.qib(["runs", "show", unreadable]).exits(1).says("999");
}
