//! What the local EC2 says has been asked of it: its request log and its block log.

use crate::LocalEc2;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// Prints what imports could leave in S3 and in EC2 and `holdings.py` does not look at.
const LOOK: &str = r#"
import json, sys
import boto3
s3 = boto3.client("s3", region_name=sys.argv[1])
ec2 = boto3.client("ec2", region_name=sys.argv[1])
left = []
for bucket in s3.list_buckets()["Buckets"]:
    name = bucket["Name"]
    left += [f"object {name}/{one['Key']}" for one in s3.list_objects_v2(Bucket=name).get("Contents", [])]
    left += [f"upload {name}/{one['Key']}" for one in s3.list_multipart_uploads(Bucket=name).get("Uploads", [])]
for task in ec2.describe_import_snapshot_tasks()["ImportSnapshotTasks"]:
    if task["SnapshotTaskDetail"]["Status"] == "active":
        left.append(f"task {task['ImportTaskId']}")
json.dump(left, sys.stdout)
"#;

/// A block that was put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutBlock {
    /// Into this snapshot.
    pub snapshot: String,
    /// At this place.
    pub index: u64,
    /// Whether it is all zeros.
    pub zero: bool,
}

impl LocalEc2 {
    /// The block log: all puts, in the order in which they had their effect.
    #[track_caller]
    pub fn put_blocks(&self) -> Vec<PutBlock> {
        lines(self, "local/blocks.jsonl")
            .iter()
            .map(|line| PutBlock {
                snapshot: line["snapshot"].as_str().expect("a snapshot").to_owned(),
                index: line["index"].as_u64().expect("an index"),
                zero: line["zero"].as_bool().expect("whether it is zero"),
            })
            .collect()
    }

    /// The request log.
    #[track_caller]
    pub fn requests(&self) -> Vec<Value> {
        lines(self, "local/requests.jsonl")
    }

    /// How often an action was carried out.
    #[track_caller]
    pub fn carried_out(&self, action: &str) -> usize {
        self.requests()
            .iter()
            .filter(|request| request["action"] == action && request["effect"] == true)
            .filter(|request| request["code"].is_null())
            .count()
    }

    /// The actions of the service that made or began something, leases of runs too.
    #[track_caller]
    pub fn effects(&self) -> BTreeSet<String> {
        const MAKING: [&str; 9] = [
            "Create", "Run", "Start", "Put", "Import", "Register", "Copy", "Upload", "Allocate",
        ];
        self.requests()
            .iter()
            .filter(|request| request["effect"] == true)
            .filter_map(|request| request["action"].as_str())
            .filter(|action| MAKING.iter().any(|word| action.starts_with(word)))
            .map(str::to_owned)
            .collect()
    }

    /// Objects, uploads and import tasks under way.
    #[track_caller]
    pub fn transfers(&self) -> Vec<String> {
        let looked = self.python(LOOK).exits(0);
        serde_json::from_value(looked.json())
            .unwrap_or_else(|error| panic!("not a list: {error}{looked}"))
    }
}

/// How often each index of a snapshot was put.
pub fn counts(puts: &[PutBlock], snapshot: &str) -> BTreeMap<u64, usize> {
    let mut counts = BTreeMap::new();
    for put in puts.iter().filter(|put| put.snapshot == snapshot) {
        *counts.entry(put.index).or_default() += 1;
    }
    counts
}

/// Each of the blocks once.
pub fn once(blocks: impl IntoIterator<Item = u64>) -> BTreeMap<u64, usize> {
    blocks.into_iter().map(|index| (index, 1)).collect()
}

/// The lines that are whole: the last one may be under way.
#[track_caller]
fn lines(ec2: &LocalEc2, name: &str) -> Vec<Value> {
    let text = fs::read_to_string(ec2.path(name)).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line:?}: {error}")))
        .collect()
}
