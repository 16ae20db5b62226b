//! The record of every block that was put: `blocks.jsonl`, one JSON object a line, in the order in which the puts had
//! their effect. It tells tests which blocks were sent, and how often.

use crate::ids::SnapshotId;
use crate::json_lines::{self, JsonLines};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::Path;

/// A block that was put.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockRecord {
    /// When.
    pub time: Timestamp,
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// Which block of it.
    pub index: u32,
    /// Whether it is all zeros.
    pub zero: bool,
}

/// The log being written.
#[derive(Debug)]
pub struct BlockLog(JsonLines<BlockRecord>);

const FILE: &str = "blocks.jsonl";

impl BlockLog {
    /// Opens the log of a local EC2's folder.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn open(dir: &Path) -> io::Result<Self> {
        JsonLines::open(&dir.join(FILE)).map(Self)
    }

    /// Adds a record. It is written when this returns, though not flushed to the disk: a killed daemon loses none.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn add(&self, record: &BlockRecord) -> io::Result<()> {
        self.0.add(std::slice::from_ref(record))
    }
}

/// Reads the log of a local EC2's folder; empty if there is none.
///
/// # Errors
/// If it cannot be read. A line that is cut off, as a killed daemon may leave it, ends the reading.
pub fn read(dir: &Path) -> io::Result<Vec<BlockRecord>> {
    json_lines::read(&dir.join(FILE))
}
