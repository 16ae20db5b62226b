//! What can happen to a journal: no room, no folder, a torn end, a line that is no record, a later qib's format. Each gets
//! an answer, and the account is never left with what nobody knows of.
#![allow(
    clippy::disallowed_methods,
    reason = "it runs qib on a disk of its own"
)]

use end_to_end::{Config, Ended, LocalEc2, OneStage, Running};
use serde_json::Value;
use std::fs;
use std::io::Write;
use std::path::PathBuf;

fn one_stage(ec2: &LocalEc2) -> PathBuf {
    ec2.pipeline(
        OneStage {
            more: "    cache: false",
            ..OneStage::default()
        }
        .text(),
    )
}

#[test]
fn a_state_folder_that_cannot_be_made_is_bad_input_and_nothing_is_created() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let file = one_stage(&ec2);
    let not_a_folder = ec2.write("work/not-a-folder", "");
    let mut command = ec2.command(["run", "--local", "--json"]);
    command
        .arg(&file)
        .env("QIB_STATE_DIR", not_a_folder.join("state"));
    let ended = Running::start(command).end().exits(2).says("QIB_STATE_DIR");
    ec2.holdings().assert_none(&ended);
}

/// A disk that is full at ever later moments of the run, down to its clean-up.
#[test]
fn a_full_disk_fails_the_run_and_leaves_nothing() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let file = one_stage(&ec2);
    ec2.qib(["local", "up"]).exits(0);
    let mut failures = 0;
    for kib in [4, 8, 12, 16, 20, 24] {
        let ended = with_disk_of(&ec2, kib, &file);
        let holdings = ec2.holdings();
        match ended.code {
            Some(0) => holdings.assert_counts(&[("images", 1), ("snapshots", 1)], &ended),
            Some(1 | 2) => {
                failures += 1;
                let ended = ended.says("No space left on device").says("QIB_STATE_DIR");
                holdings.assert_none(&ended);
            }
            _ => panic!("a disk of {kib} KiB{ended}"),
        }
        if ended_well(&holdings) {
            break;
        }
    }
    assert!(failures > 1, "the disk was never full");
}

fn ended_well(holdings: &end_to_end::Holdings) -> bool {
    !holdings.of("images").is_empty()
}

/// Runs qib with a state folder on a disk of its own, in a mount namespace.
fn with_disk_of(ec2: &LocalEc2, kib: u32, file: &std::path::Path) -> Ended {
    let script = format!(
        "mount -t tmpfs -o size={kib}k none '{state}' && exec qib run --local --json '{file}'",
        state = ec2.path("state").display(),
        file = file.display(),
    );
    let mut command = ec2.command::<&str>([]);
    let mut unshare = std::process::Command::new("unshare");
    unshare
        .args([
            "--user",
            "--map-current-user",
            "--keep-caps",
            "--mount",
            "sh",
            "-euc",
            &script,
        ])
        .env_clear()
        .envs(
            command
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
    if let Some(folder) = command.get_current_dir() {
        unshare.current_dir(folder);
    }
    command.arg("--version");
    Running::start(unshare).end()
}

/// Dies at `at`, and gives the run's name.
fn dead_run(ec2: &LocalEc2, at: &str) -> String {
    let file = one_stage(ec2);
    let mut command = ec2.command(["run", "--local", "--json"]);
    command.arg(&file).env("QIB_CRASH_AT", at);
    let crashed = Running::start(command).end();
    assert_eq!(crashed.code, None, "it was to be killed{crashed}");
    let first: Value =
        serde_json::from_str(crashed.stdout.lines().next().unwrap_or_default()).unwrap_or_default();
    first["run"]
        .as_str()
        .unwrap_or_else(|| panic!("no name{crashed}"))
        .to_owned()
}

fn journal(ec2: &LocalEc2, run: &str) -> PathBuf {
    ec2.path(format!("state/runs/{run}/journal.jsonl"))
}

fn append(ec2: &LocalEc2, run: &str, text: &str) {
    fs::OpenOptions::new()
        .append(true)
        .open(journal(ec2, run))
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .unwrap_or_else(|error| panic!("cannot write to the journal of {run}: {error}"));
}

#[test]
fn a_torn_last_line_is_left_out_and_the_run_goes_on() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let run = dead_run(&ec2, "11:after");
    append(&ec2, &run, r#"{"record":"intent","num"#);
    let resumed = ec2.qib(["runs", "resume", "--json", &run]).exits(0);
    ec2.holdings()
        .assert_counts(&[("images", 1), ("snapshots", 1)], &resumed);
    let text = fs::read_to_string(journal(&ec2, &run)).unwrap_or_default();
    assert!(
        text.lines()
            .all(|line| serde_json::from_str::<Value>(line).is_ok()),
        "{text}"
    );
}

#[test]
fn a_line_that_is_no_record_is_named_and_sweep_needs_no_journal() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let run = dead_run(&ec2, "11:after");
    append(&ec2, &run, "not a record\n");
    ec2.qib(["runs", "resume", &run])
        .exits(2)
        .says("journal.jsonl, line 12 is not a journal record");
    let listed = ec2.qib(["runs", "ls", "--json"]).exits(0);
    assert!(listed.stdout.contains(&run), "{listed}");
    let key = ec2.path(format!("state/runs/{run}/one/us-east-2/id"));
    assert!(key.exists(), "the run had a login key");
    let swept = ec2.qib(["sweep", "--local", "--yes"]).exits(0);
    ec2.holdings().assert_none(&swept);
    assert!(!key.exists(), "a login key stays on disk{swept}");
}

#[test]
fn a_later_qibs_journal_is_not_guessed_at() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let line = r#"{"record":"opened","version":99,"what":"nobody knows"}"#;
    ec2.write("state/runs/r-0000000a/journal.jsonl", format!("{line}\n"));
    ec2.qib(["runs", "resume", "r-0000000a"])
        .exits(2)
        .says("format 99");
    let listed = ec2.qib(["runs", "ls", "--json"]).exits(0);
    assert!(listed.stdout.contains("format 99"), "{listed}");
    ec2.qib(["runs", "show", "r-0000000a"]).says("format 99");
}
