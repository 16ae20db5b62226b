//! Disk images that become images, in whole runs: by EBS direct, with an instance and without one, and whatever fails when.

#[path = "../fake/mod.rs"]
mod fake;
mod faults;
mod images;
mod interrupted;
mod parent;

use build::names::tag;
use build::report::ExitCode;
use bytes::Bytes;
use cloud::{BLOCK_BYTES, ErrorKind, SnapshotState};
use fake::account::Fault;
use fake::importing::{Importing, Of, disk, empty_qcow2, only_failure};
use fake::pipelines::image;
use std::collections::BTreeMap;
use std::time::Duration;

const BLOCKS: [Of; 5] = [Of::Data(1), Of::Zeros, Of::Data(2), Of::Zeros, Of::Data(3)];

/// Five blocks, of which the last is not whole.
fn five() -> Importing {
    let mut bytes = disk(&BLOCKS);
    bytes.truncate(4 * BLOCK_BYTES + 512);
    Importing::of(bytes)
}
