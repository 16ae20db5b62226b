//! `kill -9` in the middle of an import, fifty times: who goes on sends nothing again that EBS has acknowledged, and what
//! nobody goes on with is swept.
//!
//! ```text
//!   import ── killed ─▶ resume ── killed ─▶ … ─▶ resume ─▶ whole, compared with the disk
//!                                            └── killed ─▶ sweep: nothing is left
//! ```
#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a kill comes at a moment that nothing tells of, and what the kills found is worth knowing"
)]

use end_to_end::disk_images::{BLOCK, Numbers, RawDisk, text};
use end_to_end::import_aids::kept_pipelines;
use end_to_end::service_log::{PutBlock, counts};
use end_to_end::shipped::images;
use end_to_end::{Config, Ended, LocalEc2, Running, Signal, places};
use serde_json::json;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const BLOCKS: u64 = 192;
/// How many puts qib ever has under way.
const MOST_AT_ONCE: usize = 128;
/// How many kills each of the two workers does.
const KILLS: usize = 25;

/// Reads qib's record of the blocks that EBS has acknowledged, and compares the digests in it with the disk.
const READ_RECORD: &str = r#"
import hashlib, json, sys
record, disk = open(sys.argv[1], "rb").read(), open(sys.argv[2], "rb")
BLOCK, HEADER, RECORD = 524288, 64, 36
assert record[:32] == b"qib blocks of a snapshot, v1\0\0\0\0", record[:32]
known = []
for index in range((len(record) - HEADER) // RECORD):
    at = HEADER + index * RECORD
    digest, check = record[at : at + 32], record[at + 32 : at + RECORD]
    if hashlib.sha256(index.to_bytes(4, "big") + digest).digest()[:4] != check:
        assert not any(digest + check), f"the record of block {index} is torn"
        continue
    disk.seek(index * BLOCK)
    assert hashlib.sha256(disk.read(BLOCK)).digest() == digest, f"block {index} is another one"
    known.append(index)
json.dump(known, sys.stdout)
"#;

/// One import, that is killed again and again.
struct Import<'a> {
    ec2: &'a LocalEc2,
    name: String,
    disk: RawDisk,
    /// The run, once it has told its name.
    run: Option<String>,
    /// What each kill found: the blocks that were known to be there, and all puts until then.
    kills: Vec<Kill>,
}

struct Kill {
    known: BTreeSet<u64>,
    puts: Vec<PutBlock>,
}

impl<'a> Import<'a> {
    #[track_caller]
    fn new(ec2: &'a LocalEc2, name: String) -> Self {
        let disk = RawDisk::new(ec2.path(format!("work/{name}.disk")), BLOCKS * BLOCK);
        disk.scatter(2 * BLOCK, &mut Numbers::of(&name));
        Self {
            ec2,
            name,
            disk,
            run: None,
            kills: Vec::new(),
        }
    }

    /// Begins it, or goes on with it.
    #[track_caller]
    fn start(&self) -> Running {
        match &self.run {
            Some(run) => self.ec2.start(["runs", "resume", "--json", run]),
            None => {
                let file = text(self.disk.path());
                let args = ["import", "--local", "--json", &file, "--arch", "x86_64"];
                self.ec2
                    .start([&args[..], &["--name", &self.name]].concat())
            }
        }
    }

    /// A process of it, killed at a random moment; whole if it ended before.
    #[track_caller]
    fn killed(&mut self, numbers: &mut Numbers) -> Option<Ended> {
        let mut running = self.start();
        // One in five at any moment from its start on, and the others when so many blocks more are there.
        if numbers.below(5) > 0 {
            let known = self.kills.last().map_or(0, |kill| kill.known.len() as u64);
            let more = known + 1 + numbers.below(30);
            let wanted = more.min(BLOCKS) * BLOCK;
            running.sees(|event| {
                let done = event["done"].as_u64().unwrap_or_default();
                event["event"] == "transfer" && event["what"] == "upload" && done >= wanted
            });
        } else {
            std::thread::sleep(Duration::from_millis(numbers.below(400)));
        }
        running.signal(Signal::KILL);
        let ended = running.end();
        if self.run.is_none() {
            self.run = ended.stdout.lines().next().and_then(|line| {
                let started: serde_json::Value = serde_json::from_str(line).ok()?;
                started["run"].as_str().map(str::to_owned)
            });
        }
        if ended.code.is_some() {
            return Some(ended.exits(0));
        }
        // One that has written nothing down has done nothing, and there is nothing to go on with.
        self.run = self.run.take().filter(|run| {
            let journal = self.ec2.path(format!("state/runs/{run}/journal.jsonl"));
            std::fs::metadata(journal).is_ok_and(|journal| journal.len() > 0)
        });
        let known = self.known_blocks();
        let puts = self.ec2.put_blocks();
        self.kills.push(Kill { known, puts });
        None
    }

    /// Whether it was killed twice when all blocks were there: another import has more to be interrupted.
    fn is_nearly_done(&self) -> bool {
        let with_all = |kill: &&Kill| kill.known.len() as u64 == BLOCKS;
        self.kills.iter().filter(with_all).count() >= 2
    }

    /// What qib's own record says.
    #[track_caller]
    fn known_blocks(&self) -> BTreeSet<u64> {
        let Some(run) = &self.run else {
            return BTreeSet::new();
        };
        let record = format!(
            "state/runs/{run}/{}/us-east-2/acknowledged-blocks",
            self.name
        );
        let record = self.ec2.path(record);
        if !record.exists() {
            return BTreeSet::new();
        }
        read_record(&record, self.disk.path())
    }

    /// Goes on to the end, and looks at all that was done.
    #[track_caller]
    fn finish(self, whole: Option<Ended>) {
        let ended = match whole {
            Some(ended) => ended,
            None => self.start().end().exits(0),
        };
        let found = images(&ended);
        assert_eq!(found.len(), 1, "{ended}");
        let snapshot = found[0]["snapshots"][0]
            .as_str()
            .expect("a snapshot")
            .to_owned();
        let all = counts(&self.ec2.put_blocks(), &snapshot);
        assert!(all.keys().copied().eq(0..BLOCKS), "{all:?}{ended}");
        let mut may_be_sent_again = 0;
        for kill in &self.kills {
            let then = counts(&kill.puts, &snapshot);
            for index in &kill.known {
                assert!(
                    then.contains_key(index),
                    "{index} was acknowledged and never put"
                );
                assert_eq!(
                    all[index], then[index],
                    "block {index} was acknowledged and is put again{ended}"
                );
            }
            let under_way = then
                .keys()
                .filter(|index| !kill.known.contains(index))
                .count();
            assert!(
                under_way <= MOST_AT_ONCE,
                "{under_way} were under way{ended}"
            );
            may_be_sent_again += under_way;
        }
        let again = all.values().sum::<usize>() - BLOCKS as usize;
        assert!(
            again <= may_be_sent_again,
            "{again} blocks were put again, and {may_be_sent_again} were under way at the kills{ended}"
        );
        eprintln!(
            "{}: {} kills, at {:?} known blocks, {again} of {may_be_sent_again} blocks under way put again",
            self.name,
            self.kills.len(),
            self.kills
                .iter()
                .map(|kill| kill.known.len())
                .collect::<Vec<_>>(),
        );
        let id = found[0]["image_id"].as_str().expect("an image");
        let file = self.ec2.path(format!("work/{}.exported", self.name));
        self.ec2
            .qib(["export", "--local", id, &text(&file)])
            .exits(0);
        self.disk.assert_is_in(&file, "raw");
        std::fs::remove_file(&file).expect("the exported file is there");
    }
}

#[track_caller]
fn read_record(record: &Path, disk: &Path) -> BTreeSet<u64> {
    let mut command = Command::new(places::python());
    command.args(["-c", READ_RECORD]).arg(record).arg(disk);
    let read = Running::start(command).end().exits(0);
    serde_json::from_value(read.json()).unwrap_or_else(|error| panic!("{error}{read}"))
}

/// Each put is answered late, so that there is time to be killed.
fn slow() -> LocalEc2 {
    let ec2 = LocalEc2::new(Config::QUICK);
    ec2.faults(slowly());
    ec2
}

fn slowly() -> serde_json::Value {
    json!({ "latency_ms": { "PutSnapshotBlock": 40 } })
}

#[test]
fn after_fifty_kills_no_acknowledged_block_is_sent_again_and_the_images_are_whole() {
    std::thread::scope(|scope| {
        for worker in 0..2 {
            scope.spawn(move || kills(worker));
        }
    });
}

#[track_caller]
fn kills(worker: usize) {
    let ec2 = slow();
    let mut numbers = Numbers::of(&format!("worker {worker}"));
    let (mut done, mut with_blocks, mut images) = (0, 0, 0);
    while done < KILLS {
        let mut import = Import::new(&ec2, format!("killed-{worker}-{images}"));
        let mut whole = None;
        while whole.is_none() && done + import.kills.len() < KILLS && !import.is_nearly_done() {
            whole = import.killed(&mut numbers);
        }
        done += import.kills.len();
        with_blocks += import
            .kills
            .iter()
            .filter(|kill| !kill.known.is_empty())
            .count();
        import.finish(whole);
        images += 1;
    }
    // The kills must have been in the middle, or they show nothing.
    assert!(
        with_blocks * 2 > done,
        "{with_blocks} of {done} kills came after the first block"
    );
    let there = ec2.holdings();
    let of = |kind: &str| there.of(kind).len();
    assert_eq!(
        (of("images"), of("snapshots")),
        (images, images),
        "{there:?}"
    );
    // The lease of a run that died before its first effect is the only thing that may be left to sweep.
    let swept = ec2.qib(["sweep", "--local", "--yes"]).exits(0);
    ec2.holdings()
        .assert_counts(&[("images", images), ("snapshots", images)], &swept);
}

/// One that is dead, with some blocks that EBS has. It could not have come to its end.
#[track_caller]
fn dead<'a>(ec2: &'a LocalEc2, name: &str) -> Import<'a> {
    let mut import = Import::new(ec2, name.to_owned());
    let mut numbers = Numbers::of(name);
    while import.kills.iter().all(|kill| kill.known.is_empty()) {
        ec2.faults(json!({ "actions": [
            { "action": "PutSnapshotBlock", "kind": "timeout", "effect": "none", "hold_ms": 600_000, "after": BLOCKS / 2 }
        ] }));
        assert!(import.killed(&mut numbers).is_none(), "it was to be killed");
    }
    ec2.faults(slowly());
    import
}

#[test]
fn another_import_leaves_it_alone_and_the_same_command_goes_on_with_it() {
    let ec2 = slow();
    let mut import = dead(&ec2, "gone-on-with");
    let run = import.run.take();
    let other = RawDisk::new(ec2.path("work/other.disk"), 2 * BLOCK);
    other.write(0, b"another");
    let path = text(other.path());
    let args = ["import", "--local", &path, "--arch", "x86_64", "--name"];
    ec2.qib([&args[..], &["other"]].concat()).exits(0);
    assert_eq!(
        kept_pipelines(&ec2),
        1,
        "the dead one's, and none of what ended"
    );
    let begun = ec2.carried_out("StartSnapshot");
    // Without the run's name, the command is the one that it was begun with.
    let ended = import.start().end().exits(0);
    assert_eq!(Some(ended.run_id()), run, "{ended}");
    assert_eq!(ec2.carried_out("StartSnapshot"), begun, "{ended}");
    assert_eq!(
        kept_pipelines(&ec2),
        0,
        "an address may hold a secret{ended}"
    );
    import.finish(Some(ended));
    // What died under a name goes when another disk gets the name.
    let mut import = dead(&ec2, "replaced");
    import.run = None;
    let ended = ec2.qib([&args[..], &["replaced"]].concat()).exits(0);
    let there = ec2.holdings();
    there.assert_counts(&[("images", 3), ("snapshots", 3)], &ended);
}

#[test]
fn what_nobody_goes_on_with_is_swept() {
    let ec2 = slow();
    let import = dead(&ec2, "forgotten");
    let run = import.run.clone().expect("the run has told its name");
    assert_eq!(ec2.holdings().of("snapshots").len(), 1);
    let swept = ec2
        .qib(["sweep", "--local", "--yes", "--run", &run])
        .exits(0);
    ec2.holdings().assert_none(&swept);
}
