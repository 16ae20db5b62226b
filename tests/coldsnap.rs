//! coldsnap, Amazon's own program for the EBS direct APIs, as the referee of what qib writes and reads: it is the other
//! side of every round trip here, and `qemu-img compare` is the judge.

use end_to_end::import_aids::{
    BLOCK, MIB, assert_identical, coldsnap, put_block, raw_image, snapshot,
};
use end_to_end::service_log::{counts, once};
use end_to_end::{Config, Ended, LocalEc2};
use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

/// No multiple of a block, nor of what a file system pads to.
const SIZE: u64 = 12 * MIB + 3 * 512;
/// Where it has data; the last block is not a whole one.
const DATA: [u64; 6] = [0, 1, 7, 8, 20, 24];
/// How many blocks it has.
const BLOCKS: u64 = SIZE.div_ceil(BLOCK);

fn started() -> LocalEc2 {
    let ec2 = LocalEc2::new(Config::QUICK);
    ec2.qib(["local", "up"]).exits(0);
    ec2
}

/// The image of most tests.
fn image(ec2: &LocalEc2, name: &str) -> PathBuf {
    raw_image(ec2, name, SIZE, 1, &DATA)
}

/// Uploads by coldsnap and returns the snapshot.
fn sent_by_coldsnap(ec2: &LocalEc2, file: &Path, more: &[&str]) -> (String, Ended) {
    let file = file.to_string_lossy();
    let mut args = vec!["upload", "--no-progress"];
    args.extend(more);
    args.push(&file);
    let ended = coldsnap(ec2, &args).exits(0);
    let id = ended.stdout.trim().to_owned();
    assert!(id.starts_with("snap-"), "{ended}");
    (id, ended)
}

/// Imports by qib and returns the snapshot.
fn sent_by_qib(ec2: &LocalEc2, file: &Path, name: &str, more: &[&str]) -> (String, Ended) {
    let file = file.to_string_lossy();
    let mut args = vec!["import", "--local", "--json", "--arch", "x86_64"];
    args.extend(["--format", "raw", "--name", name]);
    args.extend(more);
    args.push(&file);
    let ended = ec2.qib(args).exits(0);
    (snapshot(&ended), ended)
}

fn read_by_coldsnap(ec2: &LocalEc2, snapshot: &str, name: &str) -> PathBuf {
    let path = ec2.path("work").join(name);
    let to = path.to_string_lossy();
    coldsnap(ec2, &["download", "--no-progress", snapshot, &to]).exits(0);
    path
}

fn read_by_qib(ec2: &LocalEc2, snapshot: &str, name: &str) -> PathBuf {
    ec2.qib(["export", "--local", snapshot, name]).exits(0);
    ec2.path("work").join(name)
}

/// Fails unless exactly these blocks were put, each once.
#[track_caller]
fn assert_put(
    ec2: &LocalEc2,
    snapshot: &str,
    wanted: impl IntoIterator<Item = u64>,
    after: &Ended,
) {
    let put = counts(&ec2.put_blocks(), snapshot);
    assert_eq!(put, once(wanted), "the blocks that were put{after}");
}

#[test]
fn qib_reads_what_coldsnap_wrote() {
    let ec2 = started();
    let image = image(&ec2, "disk.raw");
    let (whole, ended) = sent_by_coldsnap(&ec2, &image, &["--wait"]);
    assert_put(&ec2, &whole, 0..BLOCKS, &ended);
    assert_identical(&image, &read_by_qib(&ec2, &whole, "whole.raw"));
    let (sparse, ended) = sent_by_coldsnap(&ec2, &image, &["--omit-zero-blocks"]);
    assert_put(&ec2, &sparse, DATA, &ended);
    let read = read_by_qib(&ec2, &sparse, "sparse.raw");
    assert_identical(&image, &read);
    // What no block holds takes no room.
    let facts = fs::metadata(&read).expect("it is there");
    assert_eq!(facts.len(), 1 << 30);
    let room = facts.blocks() * 512;
    assert!(room <= 2 * DATA.len() as u64 * BLOCK, "{room} bytes");
}

#[test]
fn coldsnap_reads_what_qib_wrote() {
    let ec2 = started();
    let image = image(&ec2, "disk.raw");
    let (whole, ended) = sent_by_qib(&ec2, &image, "whole", &[]);
    assert_put(&ec2, &whole, 0..BLOCKS, &ended);
    assert_identical(&image, &read_by_coldsnap(&ec2, &whole, "whole.raw"));
    // Another image, as the same would be found in the cache.
    put_block(&image, 7, 99);
    let (sparse, ended) = sent_by_qib(&ec2, &image, "sparse", &["--holes", "skip"]);
    let ended = ended.says("blocks of zeros are not sent");
    assert_put(&ec2, &sparse, DATA, &ended);
    assert_identical(&image, &read_by_coldsnap(&ec2, &sparse, "sparse.raw"));
    // And back again.
    let (again, _) = sent_by_coldsnap(&ec2, &ec2.path("work/sparse.raw"), &["--omit-zero-blocks"]);
    assert_identical(&image, &read_by_qib(&ec2, &again, "again.raw"));
}

#[test]
fn on_top_of_the_others_snapshot_only_what_differs_is_sent() {
    let ec2 = started();
    let first = image(&ec2, "first.raw");
    let (parent, _) = sent_by_coldsnap(&ec2, &first, &["--omit-zero-blocks"]);
    let second = ec2.path("work/second.raw");
    fs::copy(&first, &second).expect("there is room");
    // One that was empty, one that was another, one that becomes zeros, and the last, which is shorter than a block.
    put_block(&second, 3, 33);
    put_block(&second, 8, 88);
    let zeros = vec![0; usize::try_from(BLOCK).expect("it fits")];
    let file = OpenOptions::new().write(true).open(&second);
    file.and_then(|file| file.write_all_at(&zeros, 20 * BLOCK))
        .expect("it is the test's");
    put_block(&second, 24, 24);
    for (holes, wanted) in [
        ("skip", vec![3, 8, 20, 24]),
        // Of an incomplete parent, what it never had is sent too.
        (
            "send",
            (0..BLOCKS)
                .filter(|block| ![0, 1, 7].contains(block))
                .collect(),
        ),
    ] {
        let name = format!("second-{holes}");
        let (child, ended) = sent_by_qib(
            &ec2,
            &second,
            &name,
            &["--parent", &parent, "--holes", holes],
        );
        assert_put(&ec2, &child, wanted, &ended);
        let read = read_by_coldsnap(&ec2, &child, &format!("{name}.raw"));
        assert_identical(&second, &read);
        // The cache would find the image otherwise.
        let image = ended.finished()["images"][0]["image_id"].clone();
        let image = image.as_str().unwrap_or_default().to_owned();
        ec2.aws(&["ec2", "deregister-image", "--image-id", &image])
            .exits(0);
    }
    // The other way round: coldsnap on top of what qib wrote.
    let (parent, _) = sent_by_qib(&ec2, &first, "first", &[]);
    let (child, _) = sent_by_coldsnap(&ec2, &second, &["--parent-snapshot-id", &parent]);
    assert_identical(&second, &read_by_qib(&ec2, &child, "child.raw"));
}

#[test]
fn of_a_larger_parent_nothing_shows_beyond_the_end_of_the_new_image() {
    let ec2 = started();
    let first = image(&ec2, "first.raw");
    let (parent, _) = sent_by_coldsnap(&ec2, &first, &[]);
    let second = raw_image(&ec2, "second.raw", 4 * MIB + 512, 1, &[0, 1, 7]);
    let (child, _) = sent_by_qib(&ec2, &second, "second", &["--parent", &parent]);
    let read = read_by_coldsnap(&ec2, &child, "read.raw");
    assert_identical(&second, &read);
}
