//! EBS direct APIs: what is put is what is read, and what the documentation refuses is refused.
// A test is an edge.
#![allow(clippy::disallowed_methods, clippy::print_stderr)]

mod callers;
mod life;
mod listing;
#[path = "../support/mod.rs"]
mod support;
mod writing;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use emulator::api::protocol::{Delivery, HttpReply, HttpRequest};
use emulator::blocks::{BLOCK_SIZE, log};
use emulator::config::{Delays, EmulatorConfig};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::time::Duration;
use support::{Answer, LocalEc2};

/// What came back.
struct Reply(HttpReply);

impl Reply {
    #[track_caller]
    fn ok(self, status: u16) -> Self {
        let body = String::from_utf8_lossy(&self.0.body);
        assert_eq!(self.0.status, status, "{body}");
        self
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.0.body).unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.0.headers.iter();
        headers.find(|(n, _)| *n == name).map(|(_, v)| v.as_str())
    }

    /// Its error: status, code and reason.
    #[track_caller]
    fn error(&self) -> (u16, String, String) {
        let text = |name: &str| self.json()[name].as_str().unwrap_or_default().to_owned();
        let code = self.header("x-amzn-ErrorType").expect("an error");
        assert!(!text("Message").is_empty());
        (self.0.status, code.to_owned(), text("Reason"))
    }
}

/// Signs and sends a request.
fn send(
    ec2: &LocalEc2,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> Reply {
    Reply(ec2.engine.handle(&signed(ec2, method, path, headers, body)))
}

fn signed(
    ec2: &LocalEc2,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> HttpRequest {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let mut all = vec![("host".to_owned(), "127.0.0.1:1".to_owned())];
    let own = headers.iter();
    all.extend(own.map(|(n, v)| ((*n).to_owned(), (*v).to_owned())));
    let mut request = HttpRequest {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers: all,
        body,
    };
    ec2.key
        .sign(&mut request, &ec2.region, "ebs", jiff::Timestamp::now());
    request
}

fn start(ec2: &LocalEc2, body: &Value) -> Reply {
    send(
        ec2,
        "POST",
        "/snapshots",
        &[],
        body.to_string().into_bytes(),
    )
}

/// A new snapshot's id.
fn started(ec2: &LocalEc2, body: &Value) -> String {
    let answer = start(ec2, body).ok(201).json();
    answer["SnapshotId"].as_str().unwrap().to_owned()
}

fn sum(data: &[u8]) -> String {
    BASE64_STANDARD.encode(Sha256::digest(data))
}

/// A block of one byte.
fn block(byte: u8) -> Vec<u8> {
    vec![byte; BLOCK_SIZE]
}

fn put(ec2: &LocalEc2, id: &str, index: u32, data: Vec<u8>) -> Reply {
    let sum = sum(&data);
    put_as(
        ec2,
        id,
        &index.to_string(),
        &[("x-amz-checksum", &sum)],
        data,
    )
}

/// A put with these headers in place of the right ones.
fn put_as(ec2: &LocalEc2, id: &str, index: &str, other: &[(&str, &str)], data: Vec<u8>) -> Reply {
    let mut headers = vec![
        ("x-amz-data-length", "524288"),
        ("x-amz-checksum-algorithm", "SHA256"),
    ];
    headers.retain(|(name, _)| !other.iter().any(|(n, _)| n == name));
    headers.extend(other);
    headers.retain(|(_, value)| !value.is_empty());
    let path = format!("/snapshots/{id}/blocks/{index}");
    send(ec2, "PUT", &path, &headers, data)
}

fn complete(ec2: &LocalEc2, id: &str, headers: &[(&str, &str)]) -> Reply {
    let path = format!("/snapshots/completion/{id}");
    send(ec2, "POST", &path, headers, Vec::new())
}

fn get(ec2: &LocalEc2, path: &str) -> Reply {
    send(ec2, "GET", path, &[], Vec::new())
}

/// A completed snapshot with these blocks.
fn written(ec2: &LocalEc2, body: &Value, blocks: &[(u32, u8)]) -> String {
    let id = started(ec2, body);
    for (index, byte) in blocks {
        put(ec2, &id, *index, block(*byte)).ok(201);
    }
    let count = blocks.len().to_string();
    complete(ec2, &id, &[("x-amz-changedblockscount", &count)]).ok(202);
    id
}

fn indexes(list: &Value, name: &str) -> Vec<u64> {
    let blocks = list[name].as_array().unwrap().iter();
    blocks.map(|b| b["BlockIndex"].as_u64().unwrap()).collect()
}

/// A block as it is read.
fn read(ec2: &LocalEc2, id: &str, index: u64) -> Reply {
    let path = format!("/snapshots/{id}/blocks?startingBlockIndex={index}");
    let list = get(ec2, &path).ok(200).json();
    let token = list["Blocks"][0]["BlockToken"].as_str().unwrap();
    let token = escaped(token);
    get(
        ec2,
        &format!("/snapshots/{id}/blocks/{index}?blockToken={token}"),
    )
}

fn escaped(token: &str) -> String {
    token
        .replace('+', "%2B")
        .replace('/', "%2F")
        .replace('=', "%3D")
}

fn described(ec2: &LocalEc2, id: &str) -> Answer {
    ec2.ec2("DescribeSnapshots", &[("SnapshotId.1", id)]).ok()
}

const VALIDATION: (u16, &str) = (400, "ValidationException");

#[track_caller]
fn refused(reply: &Reply, reason: &str) {
    let (status, code, why) = reply.error();
    assert_eq!((status, code.as_str()), VALIDATION, "{}", reply.json());
    assert_eq!(why, reason, "{}", reply.json());
}
