//! The record of every request: `requests.jsonl`, one JSON object a line. It holds names and codes, never a parameter's
//! value, so nothing secret can be in it.

use crate::json_lines::{self, JsonLines};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

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
pub struct RequestLog(JsonLines<RequestRecord>);

const FILE: &str = "requests.jsonl";

impl RequestLog {
    /// Opens the log of a local EC2's folder.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn open(dir: &Path) -> io::Result<Self> {
        JsonLines::open(&dir.join(FILE)).map(Self)
    }

    /// Adds a record.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn add(&self, record: &RequestRecord) -> io::Result<()> {
        self.0.add(std::slice::from_ref(record))
    }
}

/// Reads the log of a local EC2's folder; empty if there is none.
///
/// # Errors
/// If it cannot be read. A line that is cut off, as a killed daemon leaves it, ends the reading.
pub fn read(dir: &Path) -> io::Result<Vec<RequestRecord>> {
    json_lines::read(&dir.join(FILE))
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
