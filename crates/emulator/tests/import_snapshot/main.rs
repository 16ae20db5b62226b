//! Disk images in S3 become snapshots, with the program `qemu-img` as the judge of what they are.
// A test is an edge.
#![allow(clippy::disallowed_methods, clippy::print_stderr)]

mod asked;
mod conversion;
#[path = "../support/mod.rs"]
mod support;
mod tasks;

use emulator::blocks::{BLOCK_SIZE, BlockStore};
use emulator::config::{Delays, EmulatorConfig};
use emulator::ids::SnapshotId;
use serde_json::json;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use support::s3::S3;
use support::{Answer, LocalEc2};

const MIB: usize = 1 << 20;

/// A disk with data at its start, in its middle and at its end, and zeros between.
fn disk(length: usize) -> Vec<u8> {
    let mut data = vec![0; length];
    for at in [0, length / 2, length.saturating_sub(700)] {
        let end = (at + 700).min(length);
        for (n, byte) in data[at..end].iter_mut().enumerate() {
            *byte = (n % 251) as u8 + 1;
        }
    }
    data
}

/// A file that `qemu-img` makes of a disk; none if it is not there.
fn made(dir: &Path, disk: &[u8], format: &str, options: &str) -> Option<Vec<u8>> {
    let (raw, file) = (dir.join("disk.raw"), dir.join(format!("disk.{format}")));
    std::fs::write(&raw, disk).unwrap();
    let mut command = Command::new("qemu-img");
    command.args(["convert", "-f", "raw", "-O", format]);
    if !options.is_empty() {
        command.args(["-o", options]);
    }
    match command.arg(&raw).arg(&file).status() {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("SKIPPED: qemu-img is not installed");
            None
        }
        done => {
            assert!(done.unwrap().success());
            Some(std::fs::read(&file).unwrap())
        }
    }
}

struct Import {
    s3: S3,
}

impl Import {
    async fn new() -> Self {
        Self::with(Delays::None).await
    }

    async fn with(delays: Delays) -> Self {
        let s3 = S3::over(LocalEc2::with(EmulatorConfig {
            delays,
            ..EmulatorConfig::default()
        }))
        .await;
        s3.bucket("images").await;
        Self { s3 }
    }

    fn ec2(&self) -> &LocalEc2 {
        &self.s3.served.ec2
    }

    async fn put(&self, key: &str, data: &[u8]) {
        self.s3
            .send("PUT", &format!("/images/{key}"), &[], data)
            .await
            .ok();
    }

    fn begin(&self, key: &str, format: &str, more: &[(&str, &str)]) -> Answer {
        let mut parameters = vec![
            ("DiskContainer.Format", format),
            ("DiskContainer.UserBucket.S3Bucket", "images"),
            ("DiskContainer.UserBucket.S3Key", key),
        ];
        parameters.extend(more);
        self.ec2().ec2("ImportSnapshot", &parameters)
    }

    /// Waits until a task is in a state.
    async fn is(&self, task: &str, state: &str) -> Answer {
        let is = |a: &Answer| a.text("snapshotTaskDetail/status").as_deref() == Some(state);
        self.ec2()
            .until(
                "DescribeImportSnapshotTasks",
                &[("ImportTaskId.1", task)],
                is,
            )
            .await
    }

    /// Imports, and says how it ended.
    async fn ended(&self, key: &str, format: &str) -> Result<String, String> {
        let begun = self.begin(key, format, &[]).ok();
        let task = begun.text("importTaskId").unwrap();
        let over = |a: &Answer| {
            let status = a.text("snapshotTaskDetail/status").unwrap();
            status == "completed" || status == "deleted"
        };
        let ids = [("ImportTaskId.1", task.as_str())];
        let ended = self
            .ec2()
            .until("DescribeImportSnapshotTasks", &ids, over)
            .await;
        match ended.text("snapshotId") {
            Some(snapshot) => Ok(snapshot),
            None => Err(ended.text("statusMessage").unwrap()),
        }
    }

    /// What a snapshot consists of, `length` bytes, and how many of its blocks are there and are zeros.
    fn content(&self, snapshot: &str, length: usize) -> (Vec<u8>, usize, usize) {
        let store = BlockStore::open(self.ec2().path()).unwrap();
        let set = store.get(&SnapshotId::parse(snapshot).unwrap()).unwrap();
        let (mut content, mut zeros) = (Vec::new(), 0);
        let count = length.div_ceil(BLOCK_SIZE);
        for index in 0..u32::try_from(count).unwrap() {
            let block = set.block(index).unwrap().expect("every block is there");
            zeros += usize::from(block.zero);
            let mut bytes = vec![0; BLOCK_SIZE];
            if !block.zero {
                set.read(index, 0, &mut bytes).unwrap();
            }
            content.extend(bytes);
        }
        assert_eq!(set.count(), count as u64, "and none besides");
        assert!(content[length..].iter().all(|b| *b == 0));
        content.truncate(length);
        (content, count, zeros)
    }
}
