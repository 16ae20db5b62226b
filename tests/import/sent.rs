//! Which blocks are sent.

use super::*;

#[test]
fn a_sparse_disk_of_10_gib_sends_what_is_in_it_and_warns() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let disk = RawDisk::new(ec2.path("work/large.disk"), 10 * GIB);
    let mut numbers = Numbers::of("large");
    let mut blocks = vec![0, 10 * GIB / BLOCK - 1];
    disk.write(3, b"the beginning");
    disk.write(10 * GIB - 7, b"the end");
    for _ in 0..40 {
        let at = numbers.below(10 * GIB - 9000);
        disk.write(at, &numbers.bytes(9000));
        blocks.extend([at / BLOCK, (at + 8999) / BLOCK]);
    }
    blocks.sort_unstable();
    blocks.dedup();
    let file = in_format(&disk, QCOW2);
    let ended = import(
        &ec2,
        &file,
        "large",
        &["--arch", "x86_64", "--holes", "skip"],
    )
    .exits(0);
    let image = only_image(&ended);
    let puts = counts(&ec2.put_blocks(), &snapshot(&image));
    assert_eq!(puts, once(blocks), "{ended}");
    let warned = ended.events_of("warning");
    let about_holes = warned.iter().any(|warning| {
        let text = warning["text"].as_str().unwrap_or_default();
        text.contains("zeros") && text.contains("encrypted")
    });
    assert!(about_holes, "{ended}");
    assert_exports(&ec2, &id(&image), &disk);
}

#[test]
fn zeros_are_sent_unless_asked_otherwise_and_what_is_there_is_not_sent_again() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let disk = RawDisk::new(ec2.path("work/holey.disk"), 16 * MIB);
    disk.write(5 * BLOCK + 100, b"something");
    disk.write(20 * BLOCK - 1, b"over a border");
    let file = in_format(&disk, QCOW2);

    let ended = import(&ec2, &file, "holey", &["--arch", "x86_64"]).exits(0);
    let puts = ec2.put_blocks();
    let sent = only_image(&ended);
    assert_eq!(counts(&puts, &snapshot(&sent)), once(0..32), "{ended}");
    let zeros = puts.iter().filter(|put| put.zero).count();
    assert_eq!(zeros, 32 - 3, "{ended}");
    let warnings = ended.events_of("warning");
    assert!(warnings.is_empty(), "{warnings:?}{ended}");

    // The same again: it is there, and nothing but questions is asked.
    let (made, put) = (ec2.effects(), ec2.put_blocks().len());
    let starts = ec2.carried_out("StartSnapshot");
    let again = import(&ec2, &file, "holey", &["--arch", "x86_64"]).exits(0);
    let reused = only_image(&again);
    assert_eq!(
        (id(&reused), &reused["cached"]),
        (id(&sent), &json!(true)),
        "{again}"
    );
    again.says("reused");
    assert_eq!(ec2.put_blocks().len(), put);
    assert_eq!(
        (ec2.effects(), ec2.carried_out("StartSnapshot")),
        (made, starts)
    );

    let skip = ["--arch", "x86_64", "--holes", "skip"];
    let ended = import(&ec2, &file, "holey-skipped", &skip).exits(0);
    let skipped = only_image(&ended);
    let puts = counts(&ec2.put_blocks(), &snapshot(&skipped));
    assert_eq!(puts, once(disk.written_blocks()), "{ended}");
    assert_eq!(disk.written_blocks(), [5, 19, 20]);
    assert!(!ended.events_of("warning").is_empty(), "{ended}");
    assert_exports(&ec2, &id(&skipped), &disk);
    assert_exports(&ec2, &snapshot(&sent), &disk);
}

#[test]
fn an_image_has_the_name_that_was_asked_for_also_if_its_content_is_there_under_another() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let disk = scattered(&ec2, "same", MIB, MIB);
    let first = import(&ec2, disk.path(), "one-name", &["--arch", "x86_64"]).exits(0);
    let second = import(&ec2, disk.path(), "other-name", &["--arch", "x86_64"]).exits(0);
    let second = only_image(&second);
    assert_eq!(described(&ec2, REGION, &id(&second))["Name"], "other-name");
    assert_ne!(id(&second), id(&only_image(&first)));
}

#[test]
fn with_a_parent_only_what_differs_is_sent() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let disk = scattered(&ec2, "grown", 12 * MIB, 2 * MIB);
    let parent = import(&ec2, disk.path(), "grown-1", &["--arch", "x86_64"]).exits(0);
    let parent = snapshot(&only_image(&parent));

    // Something new, something that became zeros, and a byte that changes.
    disk.write(3 * BLOCK + 17, b"new");
    disk.write(0, &vec![0; BLOCK as usize]);
    let last = 24 * BLOCK - 1;
    disk.write(last, &[0]);
    let changed = [0, 3, 23];
    let args = ["--arch", "x86_64", "--parent", &parent];
    let ended = import(&ec2, disk.path(), "grown-2", &args).exits(0);
    let second = only_image(&ended);
    let puts = counts(&ec2.put_blocks(), &snapshot(&second));
    assert_eq!(puts, once(changed), "{ended}");
    assert_exports(&ec2, &id(&second), &disk);

    // A machine that knows nothing of the parent reads it first, and skips no block that has become zeros.
    disk.write(9 * BLOCK, &vec![0; BLOCK as usize]);
    disk.write(10 * BLOCK + 5, b"again");
    let file = text(disk.path());
    let parent = snapshot(&second);
    let mut command = ec2.command(["import", "--local", "--json", &file, "--name", "grown-3"]);
    command
        .args(["--arch", "x86_64", "--holes", "skip", "--parent", &parent])
        .env("QIB_STATE_DIR", ec2.path("another-state"));
    let ended = end_to_end::Running::start(command).end().exits(0);
    let third = only_image(&ended);
    let puts = counts(&ec2.put_blocks(), &snapshot(&third));
    assert_eq!(puts, once([9, 10]), "{ended}");
    assert_exports(&ec2, &id(&third), &disk);
}
