//! What the next run does about one that died on the same machine, and what those in line for an address do about one
//! that died with it.

use end_to_end::one_stage::{ELASTIC_IP, THROUGH_ELASTIC_IP, WITH_PROFILE};
use end_to_end::{Config, Ended, LocalEc2, OneStage, Running, Signal};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

fn one_stage(ec2: &LocalEc2) -> PathBuf {
    ec2.pipeline(OneStage::default().text())
}

/// Runs it up to a record of its journal.
fn dies(ec2: &LocalEc2, file: &Path, at: &str) -> Ended {
    let mut command = ec2.command(["run", "--local", "--json"]);
    command.arg(file).env("QIB_CRASH_AT", at);
    let crashed = Running::start(command).end();
    assert_eq!(crashed.code, None, "it was to be killed{crashed}");
    crashed
}

/// The number of the record that says so of an effect, in the journal of a run in which nothing goes wrong.
fn record_of(ec2: &LocalEc2, run: &str, record: &str, effect: &str) -> usize {
    let path = ec2.path(format!("state/runs/{run}/journal.jsonl"));
    let text = fs::read_to_string(&path).unwrap_or_default();
    let records: Vec<Value> = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let number = records
        .iter()
        .find(|entry| entry["effect"] == effect)
        .map(|entry| entry["number"].clone());
    let found = records
        .iter()
        .position(|entry| entry["record"] == record && Some(&entry["number"]) == number.as_ref());
    found.unwrap_or_else(|| panic!("no {record} of {effect} in {text}")) + 1
}

#[test]
fn the_next_run_finishes_a_dead_ones_image_instead_of_building_it_again() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let first = ec2.run(&one_stage(&ec2)).exits(0);
    let captured = record_of(&ec2, &first.run_id(), "succeeded", "create-image");
    // Other inputs than the first run's, so that there is something to build.
    let file = ec2.pipeline(
        OneStage {
            provision: r#"[{ run: { name: other, inline: "echo other" } }]"#,
            ..OneStage::default()
        }
        .text(),
    );
    dies(&ec2, &file, &format!("{captured}:after"));
    let next = ec2.run(&file).exits(0);
    assert_eq!(next.image("one")["cached"], true, "{next}");
    ec2.holdings()
        .assert_counts(&[("images", 2), ("snapshots", 2)], &next);
}

#[test]
fn the_next_run_removes_what_a_dead_one_left() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let file = one_stage(&ec2);
    let first = dies(&ec2, &file, "13:after");
    assert!(!ec2.holdings().of("instances").is_empty(), "{first}");
    let next = ec2
        .run(&file)
        .exits(0)
        .says("this run died; removing what it left");
    ec2.holdings()
        .assert_counts(&[("images", 1), ("snapshots", 1)], &next);
    let listed = ec2.qib(["runs", "ls", "--json"]).exits(0).json();
    let states: Vec<&Value> = listed
        .as_array()
        .into_iter()
        .flatten()
        .map(|run| &run["state"])
        .collect();
    assert!(states.contains(&&json!("swept")), "{states:?}");
}

#[test]
fn the_next_run_closes_the_journal_of_one_that_died_with_nothing_left() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let file = one_stage(&ec2);
    let whole = ec2.run(&file).exits(0);
    let path = ec2.path(format!("state/runs/{}/journal.jsonl", whole.run_id()));
    let text = fs::read_to_string(&path).unwrap_or_default();
    let other = ec2.pipeline(
        OneStage {
            provision: r#"[{ run: { name: other, inline: "echo other" } }]"#,
            ..OneStage::default()
        }
        .text(),
    );
    // Just before it says that it has ended.
    dies(&ec2, &other, &format!("{}:before", text.lines().count()));
    ec2.run(&other)
        .exits(0)
        .says("nothing but its leases and its journal");
    let listed = ec2.qib(["runs", "ls", "--json"]).exits(0);
    assert!(
        listed.stdout.contains("swept") && !listed.stdout.contains("dead"),
        "{listed}"
    );
}

#[test]
fn a_run_in_line_takes_over_from_one_that_is_killed_with_the_address() {
    let ec2 = LocalEc2::new(Config::USUAL);
    let text = |name: &str, inline: &str| {
        OneStage {
            name,
            connect: THROUGH_ELASTIC_IP,
            launch: WITH_PROFILE,
            provision: &format!(r#"[{{ run: {{ name: wait, inline: "{inline}" }} }}]"#),
            more: "    cache: false",
            ..OneStage::default()
        }
        .text()
    };
    let holder = ec2.write("work/holder.yaml", text("holder", "echo begun; sleep 600"));
    let waiter = ec2.write("work/waiter.yaml", text("waiter", "echo hello"));
    let mut first = ec2.start_run(&holder);
    first.wait_for_event("it provisions", |event| {
        event["event"] == "output" && event["line"] == "begun"
    });
    let mut second = ec2.start_run(&waiter);
    second.wait_for_stderr("waiting in line");
    first.signal(Signal::KILL);
    let killed = first.end();
    let second = second.end().exits(0);
    let swept = ec2.qib(["sweep", "--local", "--yes"]).exits(0);
    ec2.holdings()
        .assert_counts(&[("images", 1), ("snapshots", 1)], &second);
    // By the local EC2's own log: the address went from one instance to the other, and never to two.
    let log = fs::read_to_string(ec2.path("local/addresses.jsonl")).unwrap_or_default();
    let mut held_by: Option<Value> = None;
    for line in log.lines() {
        let entry: Value = serde_json::from_str(line).unwrap_or_default();
        match entry["what"].as_str() {
            Some("bound") => {
                assert_eq!(held_by, None, "{log}{killed}{second}{swept}");
                held_by = Some(entry["instance"].clone());
            }
            _ => held_by = None,
        }
    }
    assert!(log.contains(ELASTIC_IP), "{log}");
}

#[test]
fn all_members_of_a_pool_are_used_at_once() {
    let ec2 = LocalEc2::new(Config::USUAL);
    ec2.qib(["local", "up"]).exits(0);
    for _ in 0..2 {
        let tags = "ResourceType=elastic-ip,Tags=[{Key=Pool,Value=build}]";
        ec2.aws(&[
            "ec2",
            "allocate-address",
            "--domain",
            "vpc",
            "--tag-specifications",
            tags,
        ])
        .exits(0);
    }
    let text = |name: &str| {
        OneStage {
            name,
            connect: "{ user: ec2-user, address: { elastic_ip: { tag: { Pool: build } }, bind: api, timeout: 60s }, timeout: 60s }",
            provision: r#"[{ run: { name: wait, inline: "echo begun; while [ ! -e /tmp/go ]; do sleep 0.2; done" } }]"#,
            more: "    cache: false",
            ..OneStage::default()
        }
        .text()
    };
    let mut runs: Vec<Running> = ["one", "two"]
        .map(|name| {
            let file = ec2.write(format!("work/{name}.yaml"), text(name));
            ec2.start_run(&file)
        })
        .into();
    // Both provision at the same time, which one address would not let them.
    for run in &mut runs {
        run.wait_for_event("it provisions", |event| {
            event["event"] == "output" && event["line"] == "begun"
        });
    }
    for run in &runs {
        run.signal(Signal::INT);
    }
    for run in runs {
        let ended = run.end().exits(130);
        drop(ended);
    }
}
