//! What tests of imports have in common: disk images by the block, and as distributions publish them; coldsnap; buckets.

use crate::disk_images::{Numbers, program, text};
use crate::{Ended, LocalEc2, Running, places};
use serde_json::Value;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// What a MiB has of bytes.
pub const MIB: u64 = 1 << 20;
/// What a block of EBS has of bytes.
pub const BLOCK: u64 = 1 << 19;

/// Bytes that no compression makes smaller, the same for the same seed.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    Numbers::of(&seed.to_string()).bytes(length)
}

/// A sparse raw image of `bytes`, with noise of its own in these blocks. Returns its path, in the folder `work`.
#[track_caller]
pub fn raw_image(ec2: &LocalEc2, name: &str, bytes: u64, seed: u64, blocks: &[u64]) -> PathBuf {
    let path = ec2.write(format!("work/{name}"), "");
    let file = OpenOptions::new()
        .write(true)
        .open(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    file.set_len(bytes)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    for block in blocks {
        put_block(&path, *block, seed + block);
    }
    path
}

/// Puts noise into one block of a raw image.
#[track_caller]
pub fn put_block(image: &Path, block: u64, seed: u64) {
    let file = OpenOptions::new().write(true).open(image);
    let size = fs::metadata(image).map_or(0, |found| found.len());
    let length = size.saturating_sub(block * BLOCK).min(BLOCK);
    let length = usize::try_from(length).expect("a block fits into memory");
    file.and_then(|file| file.write_all_at(&noise(seed, length), block * BLOCK))
        .unwrap_or_else(|error| panic!("{}: {error}", image.display()));
}

/// Fails unless two raw files have the same content, where one ends before the other zeros, as `qemu-img compare` judges.
#[track_caller]
pub fn assert_identical(one: &Path, other: &Path) {
    let (one, other) = (text(one), text(other));
    program(
        "qemu-img",
        ["compare", "-f", "raw", "-F", "raw", &one, &other],
    );
}

/// Runs coldsnap to its end, pointed at the local EC2 as `qib local status` tells.
#[track_caller]
pub fn coldsnap(ec2: &LocalEc2, args: &[&str]) -> Ended {
    let status = ec2.qib(["local", "status", "--json"]).exits(0).json();
    let text = |key: &str| status[key].as_str().unwrap_or_default().to_owned();
    let mut command = ec2.program(places::coldsnap());
    command
        .args(["--endpoint", &text("endpoint")])
        .args(args)
        .env("AWS_ENDPOINT_URL", text("endpoint"))
        .env("AWS_REGION", text("region"))
        .env("AWS_ACCESS_KEY_ID", text("access_key_id"))
        .env("AWS_SECRET_ACCESS_KEY", text("secret_access_key"));
    Running::start(command).end()
}

/// The one snapshot of a run's one image.
#[track_caller]
pub fn snapshot(ended: &Ended) -> String {
    let images = ended.finished()["images"].as_array().cloned();
    let images = images.unwrap_or_default();
    let [image] = images.as_slice() else {
        panic!("it should have one image{ended}");
    };
    image["snapshots"][0]
        .as_str()
        .unwrap_or_else(|| panic!("no snapshot{ended}"))
        .to_owned()
}

/// Makes a bucket.
#[track_caller]
pub fn bucket(ec2: &LocalEc2, name: &str) {
    let place = format!("LocationConstraint={}", crate::local_ec2::REGION);
    let args = [
        "s3api",
        "create-bucket",
        "--bucket",
        name,
        "--create-bucket-configuration",
        &place,
    ];
    ec2.aws(&args).exits(0);
}

/// The pipelines of `qib import` that are kept for going on with them.
pub fn kept_pipelines(ec2: &LocalEc2) -> usize {
    let folder = ec2.path("state/imports");
    std::fs::read_dir(folder).map_or(0, Iterator::count)
}

/// Fails unless nothing is left of imports by S3: no object, no upload, no task under way.
#[track_caller]
pub fn assert_nothing_left_of_s3(ec2: &LocalEc2, after: &Ended) {
    let left = ec2.transfers();
    assert!(left.is_empty(), "left of imports by S3: {left:?}{after}");
}

/// All import tasks, as the AWS CLI shows them.
#[track_caller]
pub fn import_tasks(ec2: &LocalEc2) -> Vec<Value> {
    let args = ["ec2", "describe-import-snapshot-tasks"];
    let tasks = ec2.aws(&args).exits(0).json()["ImportSnapshotTasks"].clone();
    tasks.as_array().cloned().unwrap_or_default()
}

/// The processor architecture of a disk, as its partition table says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// `x86_64`.
    X86,
    /// `arm64`.
    Arm,
}

impl Architecture {
    /// The type of a root partition:
    /// <https://uapi-group.org/specifications/specs/discoverable_partitions_specification/>.
    fn root_type(self) -> &'static str {
        match self {
            Self::X86 => "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709",
            Self::Arm => "B921B045-1DF0-41C3-AF44-4C6F280D3FAE",
        }
    }
}

/// The type of an EFI system partition.
const ESP: &str = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B";
/// Where the root partition of [`system_disk`] begins, in MiB.
const ROOT_AT: u64 = 6;
/// Its size, in MiB.
const ROOT_MIB: u64 = 24;

/// A raw disk as a distribution publishes it: a GPT with an EFI system partition and a root in ext4, which has these files.
/// Without root and without a mount. Returns its path, in the folder `work`.
#[track_caller]
pub fn system_disk(
    ec2: &LocalEc2,
    name: &str,
    architecture: Architecture,
    files: &[(&str, &[u8])],
) -> PathBuf {
    let tree = ec2.path(format!("disk-of-{name}"));
    if tree.exists() {
        fs::remove_dir_all(&tree).unwrap_or_else(|error| panic!("{}: {error}", tree.display()));
    }
    fs::create_dir_all(tree.join("etc")).unwrap_or_else(|error| panic!("a tree: {error}"));
    for (path, content) in files {
        ec2.write(tree.join(path), content);
    }
    let size = ROOT_AT + ROOT_MIB + 1;
    let script = format!(
        "export PATH=\"$PATH:/usr/sbin:/sbin\"\n\
         rm -f '{name}' '{name}.root'\n\
         truncate -s {size}M '{name}'\n\
         printf 'label: gpt\\nstart=1MiB, size=4MiB, type={ESP}\\nstart={ROOT_AT}MiB, size={ROOT_MIB}MiB, type={}\\n' \
           | sfdisk --quiet '{name}'\n\
         mke2fs -q -F -t ext4 -d \"$1\" '{name}.root' {ROOT_MIB}M\n\
         dd if='{name}.root' of='{name}' bs=1M seek={ROOT_AT} conv=notrunc,sparse status=none\n\
         rm '{name}.root'\n",
        architecture.root_type()
    );
    let mut command = ec2.program("sh");
    command.args(["-euc", &script, "sh"]).arg(&tree);
    Running::start(command).end().exits(0);
    ec2.path("work").join(name)
}
