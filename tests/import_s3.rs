//! `via: s3`: what goes wrong between a disk image and the snapshot that EC2 makes of it, what becomes of it, and that
//! nothing of it stays: no object, no upload, no task, no snapshot that nobody knows.

use end_to_end::disk_images::{program, text};
use end_to_end::faults::is_whole;
use end_to_end::import_aids::{
    MIB, assert_identical, assert_nothing_left_of_s3, bucket, import_tasks, put_block, raw_image,
    snapshot,
};
use end_to_end::shipped::tag;
use end_to_end::{Config, Ended, LocalEc2, Running, Signal};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The bucket of all tests.
const BUCKET: &str = "imports";
/// Three parts of 16 MiB.
const SIZE: u64 = 48 * MIB;
/// What EC2 is known to say of images that it takes the next time.
const PASSES: &str = "ClientError: Disk validation failed [Timeout]";

fn started() -> LocalEc2 {
    let ec2 = LocalEc2::new(Config::QUICK);
    bucket(&ec2, BUCKET);
    ec2
}

fn image(ec2: &LocalEc2) -> PathBuf {
    raw_image(ec2, "disk.raw", SIZE, 5, &[0, 1, 40, 64, 95])
}

/// A pipeline whose one stage imports `file` by S3.
fn pipeline(ec2: &LocalEc2, file: &str, more: &str) -> PathBuf {
    ec2.pipeline(format!(
        "name: by-s3\n\
         aws: {{ region: us-east-2 }}\n\
         stages:\n  \
           disk:\n    \
             source: {{ import: {{ file: {file}, arch: x86_64, via: s3, bucket: {BUCKET}{more} }} }}\n    \
             image: {{ name: \"disk-${{{{ run.id }}}}\" }}\n"
    ))
}

fn command(ec2: &LocalEc2, file: &Path) -> Command {
    let mut command = ec2.command(["run", "--local", "--json"]);
    command.arg(file);
    command
}

/// Fails unless there is one image on one snapshot which carries the run's tag, and nothing else.
#[track_caller]
fn assert_one_image(ec2: &LocalEc2, after: &Ended) {
    ec2.holdings()
        .assert_counts(&[("images", 1), ("snapshots", 1)], after);
    let args = ["ec2", "describe-snapshots", "--owner-ids", "self"];
    let found = ec2.aws(&args).exits(0).json()["Snapshots"][0].clone();
    assert_eq!(
        tag(&found, "qib:run"),
        Some(after.run_id().as_str()),
        "{found:#}{after}"
    );
    assert_eq!(found["SnapshotId"], snapshot(after).as_str(), "{after}");
    assert_nothing_left_of_s3(ec2, after);
}

/// Fails unless there is nothing at all.
#[track_caller]
fn assert_nothing(ec2: &LocalEc2, after: &Ended) {
    ec2.holdings().assert_none(after);
    assert_nothing_left_of_s3(ec2, after);
}

/// Reads the snapshot of the run's image back.
#[track_caller]
fn exported(ec2: &LocalEc2, run: &Ended) -> PathBuf {
    let path = ec2.path("work/exported.raw");
    if path.exists() {
        fs::remove_file(&path).expect("it is the test's");
    }
    let id = snapshot(run);
    ec2.qib(["export", "--local", &id, "exported.raw"]).exits(0);
    path
}

/// Where bytes differ, two places at most.
fn differing(one: &[u8], other: &[u8]) -> Vec<usize> {
    one.iter()
        .zip(other)
        .enumerate()
        .filter(|(_, (one, other))| one != other)
        .map(|(at, _)| at)
        .take(2)
        .collect()
}

#[test]
fn a_task_that_fails_with_what_passes_is_begun_anew_and_what_ec2_says_is_shown() {
    let ec2 = started();
    let raw = image(&ec2);
    let file = pipeline(&ec2, "disk.raw", "");
    ec2.faults(json!({ "import_tasks": [{ "message": PASSES, "at_percent": 40, "times": 1 }] }));
    let ended = ec2
        .run(&file)
        .exits(0)
        .says(PASSES)
        .says("after 1 of 3 attempts; it is tried again")
        .says("active: downloading/converting")
        .says("the disk image is being imported:");
    // Everything anew: another object, another task.
    let tasks = import_tasks(&ec2);
    let key = |task: &Value| task["SnapshotTaskDetail"]["UserBucket"]["S3Key"].clone();
    assert_eq!(tasks.len(), 2, "{tasks:#?}{ended}");
    assert_ne!(key(&tasks[0]), key(&tasks[1]), "{ended}");
    for task in &tasks {
        let id = task["ImportTaskId"].as_str().unwrap_or_default();
        assert!(ended.stderr.contains(id), "{id} is not named{ended}");
    }
    assert_eq!(ec2.carried_out("CreateMultipartUpload"), 2, "{ended}");
    assert_identical(&raw, &exported(&ec2, &ended));
    assert_one_image(&ec2, &ended);
}

#[test]
fn a_task_that_always_fails_ends_the_run_after_its_attempts() {
    // Long enough for the task to be seen on its way.
    let ec2 = LocalEc2::new(Config {
        delays: "short",
        firewall: false,
    });
    bucket(&ec2, BUCKET);
    image(&ec2);
    let file = pipeline(&ec2, "disk.raw", ", attempts: 2");
    ec2.faults(json!({ "import_tasks": [{ "message": PASSES, "at_percent": 40 }] }));
    let ended = ec2.run(&file).failed_in("import");
    let tasks = import_tasks(&ec2);
    assert_eq!(tasks.len(), 2, "{ended}");
    let error = ended
        .stderr
        .lines()
        .find(|line| line.contains("after 2 of 2 attempts"))
        .unwrap_or_else(|| panic!("the attempts are not told{ended}"));
    assert!(error.contains(PASSES), "{error}{ended}");
    assert!(error.contains("% were done)"), "{error}{ended}");
    // The last one, by its id.
    let named = tasks
        .iter()
        .filter(|task| error.contains(task["ImportTaskId"].as_str().unwrap_or("no id")));
    assert_eq!(named.count(), 1, "{error}{ended}");
    let ended = ended.says("`via: ebs`");
    assert_nothing(&ec2, &ended);
    // What is wrong with the image is not tried again.
    let message = "ClientError: Disk validation failed [Unsupported VMDK File]";
    ec2.faults(json!({ "import_tasks": [{ "message": message }] }));
    let ended = ec2
        .run(&file)
        .failed_in("import")
        .says(message)
        .says("after 1 of 2 attempts")
        .never_says("it is tried again");
    assert_eq!(import_tasks(&ec2).len(), 3, "{ended}");
    assert_nothing(&ec2, &ended);
}

#[test]
fn a_task_that_hangs_is_cancelled_when_its_time_is_over() {
    let ec2 = started();
    image(&ec2);
    let file = pipeline(&ec2, "disk.raw", ", timeout: 1s, attempts: 2");
    ec2.faults(json!({ "import_tasks": [{ "stuck_at_percent": 30 }] }));
    let ended = ec2
        .run(&file)
        .failed_in("import")
        .says("was 30 % done after 1s")
        .says("after 1 of 2 attempts")
        .says("after 2 of 2 attempts")
        .says("the disk image is being imported: 30 %");
    assert_eq!(ec2.carried_out("CancelImportTask"), 2, "{ended}");
    assert_nothing(&ec2, &ended);
}

#[test]
fn a_part_that_s3_stores_otherwise_than_it_came_is_sent_again_where_the_format_tells() {
    let ec2 = started();
    let raw = image(&ec2);
    let vhdx = ec2.path("work/disk.vhdx");
    let convert = [
        "convert",
        "-f",
        "raw",
        "-O",
        "vhdx",
        &text(&raw),
        &text(&vhdx),
    ];
    program("qemu-img", convert);
    let content = fs::read(&vhdx).expect("qemu-img wrote it");
    let table = content.windows(8).position(|bytes| bytes == b"metadata");
    let table = table.expect("a VHDX has a metadata table");
    let part = table as u64 / (16 * MIB) + 1;
    let at = table as u64 % (16 * MIB);
    ec2.faults(json!({ "corrupt_uploads": [{ "bucket": BUCKET, "part": part, "at_byte": at, "times": 1 }] }));
    let file = pipeline(&ec2, "disk.vhdx", ", upload_as: original");
    let ended = ec2
        .run(&file)
        .exits(0)
        .says("Disk validation failed [Invalid VHDX File")
        .says("after 1 of 3 attempts; it is tried again");
    let tasks = import_tasks(&ec2);
    assert_eq!(tasks.len(), 2, "{tasks:#?}{ended}");
    for task in &tasks {
        assert_eq!(task["SnapshotTaskDetail"]["Format"], "VHDX", "{task:#}");
    }
    assert_identical(&raw, &exported(&ec2, &ended));
    assert_one_image(&ec2, &ended);
}

#[test]
fn a_raw_part_that_s3_stores_otherwise_than_it_came_shows_in_an_export() {
    let ec2 = started();
    let raw = image(&ec2);
    let file = pipeline(&ec2, "disk.raw", "");
    ec2.faults(json!({ "corrupt_uploads": [{ "part": 3, "at_byte": 4711, "times": 1 }] }));
    let ended = ec2.run(&file).exits(0);
    // As docs/guide/import.md says: S3's checksums are of what came, and a raw image has none of its own.
    let sent = fs::read(&raw).expect("it is there");
    let there = fs::read(exported(&ec2, &ended)).expect("it is there");
    let at = usize::try_from(32 * MIB).expect("it fits") + 4711;
    assert_eq!(differing(&sent, &there), [at], "{ended}");
    assert_one_image(&ec2, &ended);
}

#[test]
fn after_lost_replies_nothing_is_made_twice() {
    let ec2 = started();
    let raw = image(&ec2);
    let file = pipeline(&ec2, "disk.raw", "");
    let lost = [
        "CreateMultipartUpload",
        "UploadPart",
        "CompleteMultipartUpload",
        "ImportSnapshot",
        "DeleteObject",
    ];
    let faults: Vec<Value> = lost
        .iter()
        .map(|action| json!({ "action": action, "kind": "drop-after", "times": 1 }))
        .collect();
    ec2.faults(json!({ "actions": faults }));
    let ended = ec2.run(&file).exits(0);
    let requests = ec2.requests();
    for action in lost {
        let met = requests
            .iter()
            .filter(|request| request["action"] == action && request["fault"] == "drop-after");
        assert_eq!(
            met.count(),
            1,
            "the reply to {action} was to be lost{ended}"
        );
    }
    for action in ["CreateMultipartUpload", "CompleteMultipartUpload"] {
        assert_eq!(ec2.carried_out(action), 1, "{action}{ended}");
    }
    // The part whose reply was lost is sent once more, and no other.
    assert_eq!(ec2.carried_out("UploadPart"), 4, "{ended}");
    assert_eq!(import_tasks(&ec2).len(), 1, "{ended}");
    assert_identical(&raw, &exported(&ec2, &ended));
    assert_one_image(&ec2, &ended);
}

/// Starts the run and kills it when two of three parts are there; the third hangs.
fn killed_between_parts(ec2: &LocalEc2, file: &Path) -> Ended {
    ec2.faults(json!({ "actions": [
        { "action": "UploadPart", "kind": "timeout", "effect": "none", "hold_ms": 600_000, "after": 2 }
    ] }));
    let mut running = Running::start(command(ec2, file));
    running.wait_for_event("two parts are there", |event| {
        event["event"] == "transfer"
            && event["what"] == "upload"
            && event["done"].as_u64() >= Some(32 * MIB)
    });
    running.signal(Signal::KILL);
    let killed = running.end();
    assert_eq!(killed.code, None, "{killed}");
    ec2.no_faults();
    assert_eq!(ec2.carried_out("UploadPart"), 2, "{killed}");
    killed
}

/// Starts a run and kills it when it has seen its task.
fn killed_in_the_task(command: Command) -> Ended {
    let mut running = Running::start(command);
    running.wait_for_event("the task is under way", |event| {
        event["event"] == "transfer" && event["what"] == "import"
    });
    running.signal(Signal::KILL);
    let killed = running.end();
    assert_eq!(killed.code, None, "{killed}");
    killed
}

/// The id of a run that has no last event.
fn run_of(killed: &Ended) -> String {
    let begun = killed.events_of("started");
    begun[0]["run"].as_str().unwrap_or_default().to_owned()
}

fn resumed(ec2: &LocalEc2, killed: &Ended) -> Ended {
    let run = run_of(killed);
    ec2.qib(["runs", "resume", "--json", &run]).exits(0)
}

#[test]
fn after_a_kill_parts_that_s3_has_are_not_sent_again() {
    let ec2 = started();
    let raw = image(&ec2);
    let file = pipeline(&ec2, "disk.raw", "");
    let killed = killed_between_parts(&ec2, &file);
    let ended = resumed(&ec2, &killed).says("S3 has 2 of 3 parts");
    assert_eq!(ec2.carried_out("UploadPart"), 3, "{ended}");
    assert_eq!(ec2.carried_out("CreateMultipartUpload"), 1, "{ended}");
    assert_eq!(ended.run_id(), run_of(&killed), "{ended}");
    assert_identical(&raw, &exported(&ec2, &ended));
    assert_one_image(&ec2, &ended);
}

#[test]
fn after_a_kill_the_same_task_is_waited_for() {
    let ec2 = started();
    let raw = image(&ec2);
    let file = pipeline(&ec2, "disk.raw", "");
    let killed = killed_in_the_task(command(&ec2, &file));
    let tasks = import_tasks(&ec2);
    assert_eq!(tasks.len(), 1, "{tasks:#?}{killed}");
    let ended = resumed(&ec2, &killed);
    let after = import_tasks(&ec2);
    assert_eq!(after.len(), 1, "{after:#?}{ended}");
    assert_eq!(
        after[0]["ImportTaskId"], tasks[0]["ImportTaskId"],
        "{ended}"
    );
    let made = &after[0]["SnapshotTaskDetail"]["SnapshotId"];
    assert_eq!(*made, snapshot(&ended).as_str(), "{ended}");
    assert_eq!(ec2.carried_out("UploadPart"), 3, "{ended}");
    assert_identical(&raw, &exported(&ec2, &ended));
    assert_one_image(&ec2, &ended);
}

/// The number of the record by which an effect of a kind is begun, in the journal of a run.
fn record_of(ec2: &LocalEc2, run: &str, effect: &str) -> usize {
    let path = ec2.path(format!("state/runs/{run}/journal.jsonl"));
    let text = fs::read_to_string(&path).unwrap_or_default();
    let found = text.lines().position(|line| {
        serde_json::from_str::<Value>(line).is_ok_and(|record| record["effect"] == effect)
    });
    found.unwrap_or_else(|| panic!("no {effect} in {text}")) + 1
}

#[test]
fn a_snapshot_that_was_not_tagged_yet_is_found_after_a_kill() {
    let ec2 = started();
    let raw = image(&ec2);
    let file = pipeline(&ec2, "disk.raw", "");
    let first = ec2.run(&file).exits(0);
    let at = record_of(&ec2, &first.run_id(), "tag-snapshot");
    let crash = |seed| {
        put_block(&raw, 3, seed);
        let mut command = command(&ec2, &file);
        command.env("QIB_CRASH_AT", format!("{at}:after"));
        let crashed = Running::start(command).end();
        assert_eq!(crashed.code, None, "it was to be killed{crashed}");
        let snapshots = ec2.holdings().of("snapshots").len();
        assert_eq!(snapshots, 2, "the task had come to one{crashed}");
        crashed
    };
    crash(31);
    let swept = ec2.qib(["sweep", "--local", "--yes", "--json"]).exits(0);
    assert_nothing_left_of_s3(&ec2, &swept);
    ec2.holdings()
        .assert_counts(&[("images", 1), ("snapshots", 1)], &swept);
    let crashed = crash(32);
    let ended = resumed(&ec2, &crashed);
    assert_nothing_left_of_s3(&ec2, &ended);
    ec2.holdings()
        .assert_counts(&[("images", 2), ("snapshots", 2)], &ended);
    assert_eq!(import_tasks(&ec2).len(), 3, "{ended}");
    assert_identical(&raw, &exported(&ec2, &ended));
}

#[test]
fn what_a_dead_run_left_in_s3_is_swept_on_its_own_machine() {
    let ec2 = started();
    image(&ec2);
    let file = pipeline(&ec2, "disk.raw", "");
    let killed = killed_between_parts(&ec2, &file);
    let swept = ec2.qib(["sweep", "--local", "--yes", "--json"]).exits(0);
    assert_nothing(&ec2, &killed);
    assert_nothing(&ec2, &swept);
    // A task that hangs is cancelled, and its object goes.
    ec2.faults(json!({ "import_tasks": [{ "stuck_at_percent": 40 }] }));
    let killed =
        killed_in_the_task(command(&ec2, &file)).says("the disk image is being imported: 40 %");
    ec2.no_faults();
    let active = import_tasks(&ec2)
        .iter()
        .filter(|task| task["SnapshotTaskDetail"]["Status"] == "active")
        .count();
    assert_eq!(active, 1, "{killed}");
    let swept = ec2.qib(["sweep", "--local", "--yes", "--json"]).exits(0);
    assert_nothing(&ec2, &swept);
}

#[test]
fn what_a_dead_run_left_in_s3_is_swept_from_elsewhere_by_its_bucket() {
    let ec2 = started();
    let raw = image(&ec2);
    let file = pipeline(&ec2, "disk.raw", "");
    // Another's object and upload in the same bucket stay.
    ec2.shell(&format!(
        "printf mine > mine && aws s3 cp --quiet mine s3://{BUCKET}/qib/mine"
    ))
    .exits(0);
    let killed = killed_between_parts(&ec2, &file);
    put_block(&raw, 2, 22);
    ec2.faults(json!({ "import_tasks": [{ "stuck_at_percent": 40 }] }));
    // On a machine of its own: here it would first remove what the other one left.
    let mut on_another = command(&ec2, &file);
    on_another.env("QIB_STATE_DIR", ec2.path("another"));
    let other = killed_in_the_task(on_another);
    ec2.no_faults();
    // Their leases end.
    for dead in [&killed, &other] {
        let name = format!("/qib/leases/run/{}", run_of(dead));
        ec2.aws(&["ssm", "delete-parameter", "--name", &name])
            .exits(0);
    }
    let mut command = ec2.command(["sweep", "--local", "--yes", "--json", "--bucket", BUCKET]);
    command.env("QIB_STATE_DIR", ec2.path("elsewhere"));
    let swept = Running::start(command).end().exits(0);
    ec2.shell(&format!("aws s3 rm --quiet s3://{BUCKET}/qib/mine"))
        .exits(0);
    assert_nothing_left_of_s3(&ec2, &swept);
    assert_eq!(ec2.holdings().of("snapshots").len(), 0, "{swept}");
}

/// How many records the journal of a run has.
fn records_of(ec2: &LocalEc2, run: &str) -> usize {
    let path = ec2.path(format!("state/runs/{run}/journal.jsonl"));
    fs::read_to_string(&path)
        .unwrap_or_default()
        .lines()
        .count()
}

/// What was done to the account until now, of what must be done once for an image.
fn done_once(ec2: &LocalEc2) -> [usize; 4] {
    [
        ec2.carried_out("CreateMultipartUpload"),
        ec2.carried_out("CompleteMultipartUpload"),
        import_tasks(ec2).len(),
        ec2.carried_out("RegisterImage"),
    ]
}

/// The usual form takes three moments; `QIB_FAULTS=whole` takes each, once with a resumption and once with a sweep.
#[test]
fn after_a_kill_at_any_record_the_image_is_made_once_or_nothing_is_left() {
    let ec2 = started();
    let raw = image(&ec2);
    let file = pipeline(&ec2, "disk.raw", "");
    let first = ec2.run(&file).exits(0);
    let records = records_of(&ec2, &first.run_id());
    assert!(records > 10, "an import writes more than {records} records");
    let moments =
        (1..=records).flat_map(|record| ["before", "after"].map(|at| format!("{record}:{at}")));
    let cases: Vec<(String, bool)> = if is_whole() {
        moments
            .flat_map(|at| [(at.clone(), true), (at, false)])
            .collect()
    } else {
        let stride = records * 2 / 3 - 1;
        moments
            .step_by(stride)
            .skip(1)
            .zip([true, false, true])
            .collect()
    };
    let mut images = 1;
    for (seed, (at, resumes)) in cases.into_iter().enumerate() {
        let case = format!("killed at {at}, resumes: {resumes}");
        put_block(&raw, 3, 1000 + seed as u64);
        let before = done_once(&ec2);
        let mut command = command(&ec2, &file);
        command.env("QIB_CRASH_AT", &at);
        let crashed = Running::start(command).end();
        assert_eq!(crashed.code, None, "{case}{crashed}");
        let was_closed = crashed.stdout.contains("\"event\":\"finished\"");
        let ended = if resumes {
            let begun = crashed.events_of("started");
            match begun.first() {
                // It died before it had said its name: the next run begins anew.
                None => ec2.run(&file).exits(0),
                Some(begun) => {
                    let run = begun["run"].as_str().unwrap_or_default();
                    let resumed = ec2.qib(["runs", "resume", "--json", run]);
                    // Of one whose journal has no record nobody knows.
                    let unknown = at == "1:before" && resumed.code == Some(2);
                    if unknown { ec2.run(&file) } else { resumed }.exits(0)
                }
            }
        } else {
            ec2.qib(["sweep", "--local", "--yes", "--json"]).exits(0)
        };
        let now = done_once(&ec2);
        let done: Vec<usize> = now
            .iter()
            .zip(before)
            .map(|(now, before)| now - before)
            .collect();
        if resumes {
            assert_eq!(done, [1, 1, 1, 1], "{case}{crashed}{ended}");
        } else {
            assert!(
                done.iter().all(|times| *times <= 1),
                "{case}: {done:?}{crashed}{ended}"
            );
        }
        // A sweep leaves what had become complete.
        let there = ec2.holdings();
        let made = there.of("images").len() - images;
        images += made;
        assert!(
            made == 1 || (made == 0 && !resumes),
            "{case}{crashed}{ended}"
        );
        assert!(made == 1 || !was_closed, "{case}{crashed}{ended}");
        there.assert_counts(&[("images", images), ("snapshots", images)], &ended);
        assert_nothing_left_of_s3(&ec2, &ended);
    }
}
