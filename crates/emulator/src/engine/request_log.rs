//! The record of every request: `requests.jsonl`, one JSON object a line. It holds names and codes, never a parameter's
//! value, so nothing secret can be in it.

use crate::files;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// One request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestRecord {
    /// When it was answered.
    pub time: Timestamp,
    /// The request id of the answer.
    pub id: String,
    /// `ec2`, `sts` or `ssm`.
    pub service: String,
    /// The region it was signed for.
    pub region: String,
    /// The caller's ARN; empty if the signature was not accepted.
    pub caller: String,
    /// Such as `RunInstances`.
    pub action: String,
    /// The error's code; none if there was no error.
    pub code: Option<String>,
    /// The fault that was applied, such as `drop-after`; none if none was.
    #[serde(default)]
    pub fault: Option<String>,
    /// Whether the action was carried out.
    #[serde(default)]
    pub effect: bool,
}

/// The log being written.
#[derive(Debug)]
pub struct RequestLog {
    file: Mutex<File>,
}

const FILE: &str = "requests.jsonl";

impl RequestLog {
    /// Opens the log of a local EC2's folder.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn open(dir: &Path) -> io::Result<Self> {
        Ok(Self {
            file: Mutex::new(files::append(&dir.join(FILE))?),
        })
    }

    /// Adds a record.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn add(&self, record: &RequestRecord) -> io::Result<()> {
        let mut line = serde_json::to_vec(record)?;
        line.push(b'\n');
        self.file
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .write_all(&line)
    }
}

/// Reads the log of a local EC2's folder; empty if there is none.
///
/// # Errors
/// If it cannot be read. A line that is cut off, as a killed daemon leaves it, ends the reading.
pub fn read(dir: &Path) -> io::Result<Vec<RequestRecord>> {
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

/// How often each action was asked for, by `service:Action`.
pub fn counts(records: &[RequestRecord]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for record in records {
        *counts
            .entry(format!("{}:{}", record.service, record.action))
            .or_default() += 1;
    }
    counts
}
