//! `kill -9` at every record of the journal of the two-stage run: before and after each, hence before and after each
//! effect. Then `sweep`, and in another run `resume`.
//!
//! After the sweep the account is as it was before, but for complete images. After the resumption both images are there
//! exactly once, and no effect was done twice.
//!
//! The usual form takes every fifth moment (root) or every fifteenth, with either of the two; `QIB_FAULTS=whole` takes
//! every moment with both.
#![allow(
    clippy::disallowed_methods,
    reason = "it tells how long the cases took"
)]

use end_to_end::faults::{Tally, is_whole};
use end_to_end::{Config, Ended, LocalEc2, places};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// What follows the crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Sweep,
    Resume,
}

/// One crash.
#[derive(Clone, Debug)]
struct Case {
    /// `QIB_CRASH_AT`.
    at: String,
    then: Then,
}

/// As many as the machine that CI runs on has cores.
const WORKERS: usize = 2;

const QUICK: Config = Config {
    delays: "none",
    firewall: true,
};

#[test]
fn after_a_crash_at_any_record_sweep_leaves_only_complete_images_and_resume_finishes_once() {
    let records = records_of_a_run();
    assert!(
        records > 40,
        "a two-stage run writes more than {records} records"
    );
    let cases = cases(records);
    let next = AtomicUsize::new(0);
    let sweep = Mutex::new(Tally::new("kill -9 at every record, sweep (real binary)"));
    let resume = Mutex::new(Tally::new("kill -9 at every record, resume (real binary)"));
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                let mut ec2 = LocalEc2::new(QUICK);
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let tally = match case.then {
                        Then::Sweep => &sweep,
                        Then::Resume => &resume,
                    };
                    let begun = Instant::now();
                    let done = catch_unwind(AssertUnwindSafe(|| case.check(&ec2)));
                    let took = begun.elapsed();
                    let mut tally = tally.lock().unwrap_or_else(|broken| broken.into_inner());
                    match done {
                        Ok(()) => tally.passed(took),
                        Err(cause) => {
                            tally.failed(&format!("{case:?}"), cause.as_ref(), took);
                            // What it left must not count against the next one.
                            ec2 = LocalEc2::new(QUICK);
                        }
                    }
                }
            });
        }
    });
    let sweep = sweep
        .into_inner()
        .unwrap_or_else(|broken| broken.into_inner());
    let resume = resume
        .into_inner()
        .unwrap_or_else(|broken| broken.into_inner());
    Tally::report(&[sweep, resume]);
}

/// How many records the journal of a run has in which nothing goes wrong.
fn records_of_a_run() -> usize {
    let ec2 = LocalEc2::new(QUICK);
    let ended = start(&ec2, None).exits(0);
    journal(&ec2, &ended.run_id()).len()
}

fn cases(records: usize) -> Vec<Case> {
    let moments = (1..=records)
        .flat_map(|record| ["before", "after"].map(|moment| format!("{record}:{moment}")));
    if is_whole() {
        return moments
            .flat_map(|at| {
                [Then::Sweep, Then::Resume].map(|then| Case {
                    at: at.clone(),
                    then,
                })
            })
            .collect();
    }
    // Odd, so that moments before and after a record take turns; and what follows takes turns every second time.
    let stride = if rustix::process::geteuid().is_root() {
        5
    } else {
        15
    };
    moments
        .step_by(stride)
        .enumerate()
        .map(|(position, at)| Case {
            at,
            then: if position % 4 < 2 {
                Then::Sweep
            } else {
                Then::Resume
            },
        })
        .collect()
}

fn start(ec2: &LocalEc2, crash_at: Option<&str>) -> Ended {
    let pipeline = places::tree().join("pipelines/ocp.yaml");
    let mut command = ec2.command(["run", "--local", "--json"]);
    // Both stages are built each time, whatever earlier cases have made.
    command
        .args(["--rebuild", "base", "--rebuild", "ocp"])
        .arg(pipeline);
    if let Some(at) = crash_at {
        command.env("QIB_CRASH_AT", at);
    }
    end_to_end::Running::start(command).end()
}

impl Case {
    fn check(&self, ec2: &LocalEc2) {
        let before = State::of(ec2);
        let crashed = start(ec2, Some(&self.at));
        assert_eq!(
            crashed.code, None,
            "it was to be killed at {}{crashed}",
            self.at
        );
        let after = match self.then {
            Then::Sweep => self.sweep(ec2, &before, &crashed),
            Then::Resume => self.resume(ec2, &before, &crashed),
        };
        after.assert_no_secret(ec2);
    }

    fn sweep(&self, ec2: &LocalEc2, before: &State, crashed: &Ended) -> State {
        let swept = ec2.qib(["sweep", "--local", "--yes", "--json"]).exits(0);
        let after = State::of(ec2);
        let made = after.assert_only_complete_images_more_than(before, &swept);
        assert!(made <= 2, "{made} images{swept}{crashed}");
        // Once more: there is nothing left to do.
        let again = ec2.qib(["sweep", "--local", "--json"]).exits(0);
        let left: Vec<Value> = again
            .json()
            .as_array()
            .into_iter()
            .flatten()
            .filter(|item| item["action"] == "remove")
            .cloned()
            .collect();
        assert!(left.is_empty(), "a second sweep finds {left:?}{swept}");
        after
    }

    fn resume(&self, ec2: &LocalEc2, before: &State, crashed: &Ended) -> State {
        let Some(run) = run_of(crashed) else {
            // It died before it had said its name, which is before it had done anything.
            let after = State::of(ec2);
            assert_eq!(
                after.assert_only_complete_images_more_than(before, crashed),
                0
            );
            return after;
        };
        let resumed = ec2.qib(["runs", "resume", "--json", &run]);
        if journal(ec2, &run).is_empty() {
            resumed.exits(2);
            return State::of(ec2);
        }
        if closed_before_the_crash(&resumed) {
            let after = State::of(ec2);
            assert_eq!(
                after.assert_only_complete_images_more_than(before, &resumed),
                2
            );
            return after;
        }
        let resumed = resumed.exits(0);
        let stages: BTreeSet<String> = ["base", "ocp"]
            .map(|stage| resumed.image(stage)["image_id"].to_string())
            .into();
        assert_eq!(stages.len(), 2, "{resumed}");
        let after = State::of(ec2);
        let made = after.assert_only_complete_images_more_than(before, &resumed);
        assert_eq!(made, 2, "each image exactly once{crashed}{resumed}");
        self.assert_nothing_twice(before, &after, &resumed);
        after
    }

    /// From the requests that the local EC2 carried out, the crashed process's and the one's that went on together.
    fn assert_nothing_twice(&self, before: &State, after: &State, resumed: &Ended) {
        let carried_out = |action: &str| {
            let count = |state: &State| {
                state
                    .requests
                    .iter()
                    .filter(|request| request["action"] == action && request["code"].is_null())
                    .count()
            };
            count(after) - count(before)
        };
        let thrown_away = usize::from(resumed.stdout.contains("is thrown away"));
        assert_eq!(carried_out("CreateImage"), 2, "{resumed}");
        for action in ["RunInstances", "CreateSecurityGroup"] {
            let done = carried_out(action);
            assert!(
                (2..=2 + thrown_away).contains(&done),
                "{action} was carried out {done} times{resumed}"
            );
        }
        assert_eq!(
            carried_out("TerminateInstances"),
            carried_out("RunInstances"),
            "each instance ends once{resumed}"
        );
    }
}

/// The run's name, from its first event.
fn run_of(crashed: &Ended) -> Option<String> {
    let first: Value = serde_json::from_str(crashed.stdout.lines().next()?).ok()?;
    first["run"].as_str().map(str::to_owned)
}

/// A crash after the closing record: there is nothing to go on with.
fn closed_before_the_crash(resumed: &Ended) -> bool {
    resumed.code == Some(0) && resumed.stderr.contains("has succeeded")
}

fn journal(ec2: &LocalEc2, run: &str) -> Vec<String> {
    let path = ec2.path(format!("state/runs/{run}/journal.jsonl"));
    let text = fs::read_to_string(&path).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// What a case looks at, before and after.
struct State {
    account: Value,
    requests: Vec<Value>,
}

/// Prints what is in the account: ids by kind, and the images that are not complete.
const LOOK: &str = include_str!("src/state.py");

impl State {
    fn of(ec2: &LocalEc2) -> Self {
        let looked = ec2.python(LOOK).exits(0);
        let text = fs::read_to_string(ec2.path("local/requests.jsonl")).unwrap_or_default();
        Self {
            account: looked.json(),
            requests: text
                .lines()
                .filter_map(|line| serde_json::from_str(line).ok())
                .collect(),
        }
    }

    /// Gives how many.
    fn assert_only_complete_images_more_than(&self, before: &Self, said: &Ended) -> usize {
        let ids = |state: &Self, kind: &str| -> BTreeSet<String> {
            let list = state.account[kind].as_array().cloned().unwrap_or_default();
            list.iter()
                .map(|id| id.as_str().unwrap_or_default().to_owned())
                .collect()
        };
        for kind in [
            "instances",
            "key pairs",
            "security groups",
            "volumes",
            "bound addresses",
            "parameters",
            "incomplete images",
            "snapshots without image",
        ] {
            let (now, then) = (ids(self, kind), ids(before, kind));
            assert_eq!(now, then, "leaked: {kind}{said}");
        }
        let gone: Vec<_> = ids(before, "images")
            .difference(&ids(self, "images"))
            .cloned()
            .collect();
        assert!(gone.is_empty(), "complete images are gone: {gone:?}{said}");
        ids(self, "images")
            .difference(&ids(before, "images"))
            .count()
    }

    /// The pull secret of the rehearsal, in nothing that stays.
    fn assert_no_secret(&self, ec2: &LocalEc2) {
        let secret = r#"{"auths":{}}"#;
        let account = self.account.to_string();
        assert!(
            !account.contains(&secret.replace('"', "\\\"")),
            "secret: in the account"
        );
        for entry in fs::read_dir(ec2.path("state/runs"))
            .into_iter()
            .flatten()
            .flatten()
        {
            let text = fs::read_to_string(entry.path().join("journal.jsonl")).unwrap_or_default();
            let escaped = secret.replace('"', "\\\"");
            assert!(
                !text.contains(secret) && !text.contains(&escaped),
                "secret: in {}",
                entry.path().display()
            );
        }
    }
}
