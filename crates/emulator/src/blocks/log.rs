//! The record of every block that was put: `blocks.jsonl`, one JSON object a line, in the order in which the puts had
//! their effect. It tells tests which blocks were sent, and how often.

use crate::files;
use crate::ids::SnapshotId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

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
pub struct BlockLog {
    file: Mutex<File>,
}

const FILE: &str = "blocks.jsonl";

impl BlockLog {
    /// Opens the log of a local EC2's folder.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let file = Mutex::new(files::append(&dir.join(FILE))?);
        Ok(Self { file })
    }

    /// Adds a record. It is written when this returns, though not flushed to the disk: a killed daemon loses none.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn add(&self, record: &BlockRecord) -> io::Result<()> {
        let mut line = serde_json::to_vec(record)?;
        line.push(b'\n');
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(&line)
    }
}

/// Reads the log of a local EC2's folder; empty if there is none.
///
/// # Errors
/// If it cannot be read. A line that is cut off, as a killed daemon may leave it, ends the reading.
pub fn read(dir: &Path) -> io::Result<Vec<BlockRecord>> {
    let file = match File::open(dir.join(FILE)) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    let mut records = Vec::new();
    for line in BufReader::new(file).lines() {
        match serde_json::from_str(&line?) {
            Ok(record) => records.push(record),
            Err(_) => break,
        }
    }
    Ok(records)
}
