//! `qib export`: what is interrupted goes on, what cannot be written is told, and no file is there that is not whole.

use end_to_end::disk_images::{BLOCK, Numbers, RawDisk, text};
use end_to_end::import_aids::snapshot;
use end_to_end::small_disk::SmallDisk;
use end_to_end::{Config, Ended, LocalEc2, Running, Signal};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// 256 MiB: what is written is on stable storage after every 64.
const BLOCKS: u64 = 512;
const SAVED_TOGETHER: u64 = 128;

/// A disk of so many blocks with something in each, and the image of it.
fn imported(blocks: u64) -> (LocalEc2, RawDisk, Value) {
    let ec2 = LocalEc2::new(Config::QUICK);
    let disk = RawDisk::new(ec2.path("work/exported.disk"), blocks * BLOCK);
    let mut numbers = Numbers::of("exported");
    for block in 0..blocks {
        disk.write(
            block * BLOCK + numbers.below(BLOCK - 64),
            &numbers.bytes(64),
        );
    }
    let path = text(disk.path());
    let ended = ec2
        .qib([
            "import", "--local", "--json", "--arch", "x86_64", "--name", "one", &path,
        ])
        .exits(0);
    let image = ended.finished()["images"][0].clone();
    assert_eq!(image["snapshots"][0], snapshot(&ended).as_str());
    (ec2, disk, image)
}

/// So many blocks can be read, and the others are waited for: an export cannot end before it is ended.
fn no_more_blocks_than(ec2: &LocalEc2, blocks: u64) {
    ec2.faults(json!({ "actions": [
        { "action": "GetSnapshotBlock", "kind": "timeout", "effect": "none", "hold_ms": 600_000, "after": blocks }
    ] }));
}

fn args(image: &Value, file: &Path) -> [String; 5] {
    let id = image["image_id"].as_str().expect("an id").to_owned();
    ["export", "--local", "--json", &id, &text(file)].map(str::to_owned)
}

/// How many blocks it has read.
#[track_caller]
fn read_by(ended: &Ended) -> u64 {
    let told = ended.json();
    assert_eq!(told["blocks"], BLOCKS, "{ended}");
    told["blocks_read"].as_u64().expect("a number")
}

/// What is in a folder, by name.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("an entry").file_name())
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn after_a_kill_it_goes_on_where_it_was_and_the_file_is_there_when_it_is_whole() {
    let (ec2, disk, image) = imported(BLOCKS);
    fs::create_dir(ec2.path("out")).expect("a folder");
    for (name, format) in [("one.raw", "raw"), ("one.qcow2", "qcow2")] {
        let file = ec2.path("out").join(name);
        no_more_blocks_than(&ec2, BLOCKS * 2 / 3);
        let mut running = ec2.start(args(&image, &file));
        running.wait_for_stderr("60 %");
        running.signal(Signal::KILL);
        let killed = running.end();
        ec2.no_faults();
        assert_eq!(killed.code, None, "{killed}");
        assert!(!file.exists(), "{killed}");
        let ended = ec2.qib(args(&image, &file)).exits(0);
        let read = read_by(&ended);
        assert!(
            (1..=BLOCKS - SAVED_TOGETHER * 2).contains(&read),
            "{read} of {BLOCKS} blocks were read again{ended}"
        );
        disk.assert_is_in(&file, format);
        // What an earlier export left is no file of that name, and what is whole is not written again.
        let again = ec2
            .qib(args(&image, &file))
            .exits(2)
            .says("is there already");
        disk.assert_is_in(&file, format);
        drop(again);
    }
    assert_eq!(names(&ec2.path("out")), ["one.qcow2", "one.raw"]);
}

#[test]
fn ctrl_c_keeps_every_block_that_was_written() {
    let (ec2, disk, image) = imported(BLOCKS);
    let file = ec2.path("out/one.raw");
    fs::create_dir(ec2.path("out")).expect("a folder");
    no_more_blocks_than(&ec2, BLOCKS / 2);
    let mut running = ec2.start(args(&image, &file));
    running.wait_for_stderr("30 %");
    running.signal(Signal::INT);
    let stopped = running.end().exits(130).says("same command goes on");
    assert!(!file.exists(), "{stopped}");
    ec2.no_faults();
    let ended = ec2.qib(args(&image, &file)).exits(0);
    let read = read_by(&ended);
    assert!(
        (1..=BLOCKS * 7 / 10).contains(&read),
        "{read} of {BLOCKS} blocks were read again{ended}"
    );
    disk.assert_is_in(&file, "raw");
}

#[test]
fn a_file_that_cannot_be_is_told_before_anything_is_read() {
    let (ec2, _, image) = imported(2);
    let export = |file: &Path| ec2.qib(args(&image, file));
    let there = ec2.write("work/there.raw", "somebody's");
    export(&there)
        .exits(2)
        .says("is there already")
        .says("there.raw");
    assert_eq!(fs::read(&there).expect("it is there"), b"somebody's");
    export(&ec2.path("work")).exits(2).says("is there already");
    export(&ec2.path("nowhere/one.raw"))
        .exits(2)
        .says("nowhere");
    // What another image's export left is not mixed with this one's.
    let partial = ec2.write("work/of-another.raw.partial", "somebody's");
    export(&ec2.path("work/of-another.raw")).exits(2);
    assert_eq!(fs::read(&partial).expect("it is there"), b"somebody's");
    let nobody = json!({ "image_id": "ami-0123456789abcdef0" });
    let ended = ec2.qib(args(&nobody, &ec2.path("work/nobody.raw")));
    assert!(matches!(ended.code, Some(1 | 2)), "{ended}");
    let ended = ended.says("ami-0123456789abcdef0");
    assert!(!ec2.path("work/nobody.raw").exists(), "{ended}");
    ec2.qib(["export", "--local", "disk.raw", "one.raw"])
        .exits(2)
        .says("ami-");
}

#[test]
fn a_full_disk_is_told_and_with_room_the_same_command_goes_on() {
    let (ec2, disk, image) = imported(BLOCKS);
    let Some(small) = SmallDisk::mounted(ec2.path("small"), 200) else {
        return;
    };
    let file = small.path().join("one.raw");
    let full = ec2
        .qib(args(&image, &file))
        .exits(1)
        .says("No space left")
        .says("same command goes on");
    assert!(!file.exists(), "{full}");
    small.resize(400);
    let ended = ec2.qib(args(&image, &file)).exits(0);
    // 200 MiB are 400 blocks, but for the record of them; 384 are noted anyhow.
    let read = read_by(&ended);
    assert!(
        read < BLOCKS - 390,
        "{read} of {BLOCKS} blocks were read again{ended}"
    );
    disk.assert_is_in(&file, "raw");
}

/// The disk has 1 GiB with something in each block, of which the program may hold no more than a part at any time.
#[test]
fn neither_way_holds_much_of_the_disk_in_memory() {
    const BOUND_MIB: u64 = 256;
    let ec2 = LocalEc2::new(Config::QUICK);
    // As many at once as there ever are; and then, while that is looked at, so late that it cannot end meanwhile.
    let latency = |ms: u64| {
        ec2.faults(json!({ "latency_ms": { "PutSnapshotBlock": ms, "GetSnapshotBlock": ms } }));
    };
    latency(20);
    let disk = RawDisk::new(ec2.path("work/large.disk"), 2048 * BLOCK);
    for block in 0..2048 {
        disk.write(block * BLOCK, &(block + 1).to_le_bytes());
    }
    let held = |running: &Running| running.peak_memory_mib().expect("it is still there");
    let path = text(disk.path());
    let import = [
        "import", "--local", "--json", "--name", "large", "--arch", "x86_64", &path,
    ];
    let mut running = ec2.start(import);
    let sent = |event: &Value, blocks: u64| {
        event["event"] == "transfer"
            && event["what"] == "upload"
            && event["done"].as_u64() >= Some(blocks * BLOCK)
    };
    running.wait_for_event("half of it is sent", |event| sent(event, 1024));
    latency(300);
    running.wait_for_event("more of it is sent", |event| sent(event, 1300));
    let peak = held(&running);
    latency(20);
    let ended = running.end().exits(0);
    assert!(peak < BOUND_MIB, "an import held {peak} MiB{ended}");

    let file = ec2.path("work/large.qcow2");
    let image = ended.finished()["images"][0].clone();
    let mut running = ec2.start(args(&image, &file));
    running.wait_for_stderr("50 %");
    latency(300);
    running.wait_for_stderr("60 %");
    let peak = held(&running);
    latency(20);
    let ended = running.end().exits(0);
    assert!(peak < BOUND_MIB, "an export held {peak} MiB{ended}");
    disk.assert_is_in(&file, "qcow2");
}
