//! EBS direct APIs: what is put is what is read, and what the documentation refuses is refused.

// A test is an edge.
#![allow(clippy::disallowed_methods, clippy::print_stderr)]

mod support;

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

#[tokio::test]
async fn what_is_put_is_read_and_what_is_not_put_is_in_no_list() {
    let ec2 = LocalEc2::new();
    let body =
        json!({ "VolumeSize": 1, "Description": "d", "Tags": [{ "Key": "k", "Value": "v" }] });
    let answer = start(&ec2, &body).ok(201).json();
    assert_eq!(answer["BlockSize"], BLOCK_SIZE);
    assert_eq!(
        (&answer["Status"], &answer["VolumeSize"], &answer["OwnerId"]),
        (&"pending".into(), &1.into(), &"123456789012".into())
    );
    assert_eq!(answer["Tags"], json!([{ "Key": "k", "Value": "v" }]));
    let id = answer["SnapshotId"].as_str().unwrap();
    let shown = described(&ec2, id);
    assert_eq!(shown.text("status").unwrap(), "pending");
    assert_eq!(shown.text("volumeSize").unwrap(), "1");
    let accepted = put(&ec2, id, 5, block(7)).ok(201);
    assert_eq!(accepted.header("x-amz-Checksum").unwrap(), sum(&block(7)));
    assert_eq!(
        accepted.header("x-amz-Checksum-Algorithm").unwrap(),
        "SHA256"
    );
    put(&ec2, id, 0, block(0)).ok(201);
    put(&ec2, id, 2047, block(9)).ok(201);
    // The last one counts.
    put(&ec2, id, 5, block(8)).ok(201);
    refused(
        &get(&ec2, &format!("/snapshots/{id}/blocks")),
        "INVALID_SNAPSHOT_ID",
    );
    let digests = [block(0), block(8), block(9)].map(Sha256::digest).concat();
    let linear = sum(&digests);
    let headers = [
        ("x-amz-changedblockscount", "3"),
        ("x-amz-checksum", linear.as_str()),
        ("x-amz-checksum-algorithm", "SHA256"),
        ("x-amz-checksum-aggregation-method", "LINEAR"),
    ];
    let done = complete(&ec2, id, &headers).ok(202).json();
    assert_eq!(done["Status"], "completed", "there are no delays here");
    assert_eq!(described(&ec2, id).text("status").unwrap(), "completed");
    let list = get(&ec2, &format!("/snapshots/{id}/blocks")).ok(200).json();
    assert_eq!(indexes(&list, "Blocks"), [0, 5, 2047]);
    assert_eq!(
        (&list["BlockSize"], &list["VolumeSize"]),
        (&BLOCK_SIZE.into(), &1.into())
    );
    assert!(list.get("NextToken").is_none());
    let week = list["ExpiryTime"].as_f64().unwrap() - jiff::Timestamp::now().as_second() as f64;
    assert!((week - 7.0 * 86_400.0).abs() < 60.0);
    for (index, byte) in [(0, 0), (5, 8), (2047, 9)] {
        let got = read(&ec2, id, index).ok(200);
        assert!(got.0.body == block(byte));
        assert_eq!(got.header("x-amz-Checksum").unwrap(), sum(&block(byte)));
        assert_eq!(got.header("x-amz-Data-Length").unwrap(), "524288");
    }
    // One block's token is not another's, and none is none.
    let token = escaped(list["Blocks"][0]["BlockToken"].as_str().unwrap());
    let other = get(
        &ec2,
        &format!("/snapshots/{id}/blocks/5?blockToken={token}"),
    );
    refused(&other, "INVALID_BLOCK_TOKEN");
    refused(
        &get(&ec2, &format!("/snapshots/{id}/blocks/5")),
        "INVALID_PARAMETER_VALUE",
    );
    let log = log::read(ec2.path()).unwrap();
    let seen: Vec<_> = log.iter().map(|r| (r.index, r.zero)).collect();
    assert_eq!(seen, [(5, false), (0, true), (2047, false), (5, false)]);
    assert!(log.iter().all(|r| r.snapshot.as_str() == id));
}

#[tokio::test]
async fn a_put_that_is_not_what_it_says_is_refused_and_leaves_nothing() {
    let ec2 = LocalEc2::new();
    let id = started(&ec2, &json!({ "VolumeSize": 1 }));
    let right = sum(&block(1));
    let with = |name, value| {
        put_as(
            &ec2,
            &id,
            "0",
            &[("x-amz-checksum", &right), (name, value)],
            block(1),
        )
    };
    refused(
        &put_as(
            &ec2,
            &id,
            "0",
            &[("x-amz-checksum", &sum(&block(2)))],
            block(1),
        ),
        "INVALID_BLOCK",
    );
    refused(
        &put_as(&ec2, &id, "0", &[("x-amz-checksum", "x")], block(1)),
        "INVALID_BLOCK",
    );
    // Zeros are looked at as closely as data.
    refused(
        &put_as(&ec2, &id, "0", &[("x-amz-checksum", &right)], block(0)),
        "INVALID_BLOCK",
    );
    refused(
        &put_as(
            &ec2,
            &id,
            "0",
            &[("x-amz-checksum", &sum(&block(0)))],
            block(1),
        ),
        "INVALID_BLOCK",
    );
    for data in [
        vec![1; 512],
        vec![0; 512],
        vec![1; BLOCK_SIZE + 1],
        Vec::new(),
    ] {
        refused(&put(&ec2, &id, 0, data), "INVALID_PARAMETER_VALUE");
    }
    refused(&with("x-amz-data-length", "512"), "INVALID_PARAMETER_VALUE");
    refused(&with("x-amz-data-length", ""), "INVALID_PARAMETER_VALUE");
    refused(
        &with("x-amz-checksum-algorithm", "MD5"),
        "INVALID_PARAMETER_VALUE",
    );
    refused(
        &with("x-amz-checksum-algorithm", ""),
        "INVALID_PARAMETER_VALUE",
    );
    refused(&with("x-amz-progress", "101"), "INVALID_PARAMETER_VALUE");
    refused(&put(&ec2, &id, 2048, block(1)), "INVALID_BLOCK");
    let odd = put_as(&ec2, &id, "-1", &[("x-amz-checksum", &right)], block(1));
    refused(&odd, "INVALID_BLOCK");
    let odd = put_as(&ec2, &id, "one", &[("x-amz-checksum", &right)], block(1));
    refused(&odd, "INVALID_PARAMETER_VALUE");
    let (status, code, reason) = put(&ec2, "snap-0123456789abcdef0", 0, block(1)).error();
    assert_eq!((status, code.as_str()), (404, "ResourceNotFoundException"));
    assert_eq!(reason, "SNAPSHOT_NOT_FOUND");
    assert_eq!(log::read(ec2.path()).unwrap(), []);
    complete(&ec2, &id, &[("x-amz-changedblockscount", "0")]).ok(202);
}

#[tokio::test]
async fn a_completion_that_is_not_what_was_put_is_refused_and_may_be_tried_again() {
    let ec2 = LocalEc2::new();
    let id = started(&ec2, &json!({ "VolumeSize": 1 }));
    put(&ec2, &id, 3, block(1)).ok(201);
    put(&ec2, &id, 3, block(1)).ok(201);
    let count = |n| [("x-amz-changedblockscount", n)];
    for n in ["2", "0", "-1", "one"] {
        refused(&complete(&ec2, &id, &count(n)), "INVALID_PARAMETER_VALUE");
    }
    refused(&complete(&ec2, &id, &[]), "INVALID_PARAMETER_VALUE");
    let right = sum(&Sha256::digest(block(1)));
    let wrong = sum(&block(1));
    for (checksum, algorithm, method) in [
        (wrong.as_str(), "SHA256", "LINEAR"),
        (right.as_str(), "SHA256", ""),
        (right.as_str(), "", "LINEAR"),
        ("", "SHA256", "LINEAR"),
        (right.as_str(), "SHA1", "LINEAR"),
        (right.as_str(), "SHA256", "TREE"),
    ] {
        let mut headers = vec![
            ("x-amz-changedblockscount", "1"),
            ("x-amz-checksum", checksum),
            ("x-amz-checksum-algorithm", algorithm),
            ("x-amz-checksum-aggregation-method", method),
        ];
        headers.retain(|(_, v)| !v.is_empty());
        refused(&complete(&ec2, &id, &headers), "INVALID_PARAMETER_VALUE");
    }
    // It takes blocks still.
    put(&ec2, &id, 4, block(2)).ok(201);
    complete(&ec2, &id, &count("2")).ok(202);
    refused(&put(&ec2, &id, 5, block(2)), "INVALID_SNAPSHOT_ID");
    refused(&complete(&ec2, &id, &count("2")), "INVALID_SNAPSHOT_ID");
}

#[tokio::test]
async fn a_start_is_checked_and_done_once_for_a_token() {
    let ec2 = LocalEc2::new();
    for (body, reason) in [
        (json!({}), "INVALID_PARAMETER_VALUE"),
        (json!({ "VolumeSize": 0 }), "INVALID_VOLUME_SIZE"),
        (json!({ "VolumeSize": 65_537 }), "INVALID_VOLUME_SIZE"),
        (
            json!({ "VolumeSize": 1, "Timeout": 9 }),
            "INVALID_PARAMETER_VALUE",
        ),
        (
            json!({ "VolumeSize": 1, "Timeout": 4321 }),
            "INVALID_PARAMETER_VALUE",
        ),
        (
            json!({ "VolumeSize": 1, "Size": 1 }),
            "INVALID_PARAMETER_VALUE",
        ),
        (
            json!({ "VolumeSize": 1, "ClientToken": "a b" }),
            "INVALID_PARAMETER_VALUE",
        ),
        (
            json!({ "VolumeSize": 1, "Description": "d".repeat(256) }),
            "INVALID_PARAMETER_VALUE",
        ),
        (
            json!({ "VolumeSize": 1, "Tags": [{ "Key": "aws:k", "Value": "" }] }),
            "INVALID_TAG",
        ),
        (
            json!({ "VolumeSize": 1, "Tags": [{ "Key": "k".repeat(128), "Value": "" }] }),
            "INVALID_TAG",
        ),
        (
            json!({ "VolumeSize": 1, "Tags": [{ "Key": "k" }, { "Key": "k" }] }),
            "INVALID_TAG",
        ),
        (
            json!({ "VolumeSize": 1, "KmsKeyArn": "arn:aws:kms:us-east-2:123456789012:key/1" }),
            "INVALID_PARAMETER_VALUE",
        ),
        (
            json!({ "VolumeSize": 1, "Encrypted": true, "KmsKeyArn": "alias/x" }),
            "INVALID_CUSTOMER_KEY",
        ),
        (
            json!({ "VolumeSize": 1, "Encrypted": true, "KmsKeyArn": "arn:aws:kms:us-east-2:123456789012:key/1" }),
            "INVALID_CUSTOMER_KEY",
        ),
        (
            json!({ "VolumeSize": 1, "ParentSnapshotId": "snap-x" }),
            "INVALID_SNAPSHOT_ID",
        ),
    ] {
        let reply = start(&ec2, &body);
        assert_eq!(reply.error().2, reason, "{body}");
        refused(&reply, reason);
    }
    let once = json!({ "VolumeSize": 1, "ClientToken": "once" });
    let first = start(&ec2, &once).ok(201).json();
    assert_eq!(start(&ec2, &once).ok(201).json(), first);
    let other = json!({ "VolumeSize": 2, "ClientToken": "once" });
    let (status, code, _) = start(&ec2, &other).error();
    assert_eq!((status, code.as_str()), (409, "ConflictException"));
    assert_eq!(
        ec2.ec2("DescribeSnapshots", &[("Owner.1", "self")])
            .texts("snapshotId")
            .len(),
        1
    );
    let encrypted = start(&ec2, &json!({ "VolumeSize": 1, "Encrypted": true }))
        .ok(201)
        .json();
    assert!(
        encrypted["KmsKeyArn"]
            .as_str()
            .unwrap()
            .starts_with("arn:aws:kms:")
    );
    let shown = described(&ec2, encrypted["SnapshotId"].as_str().unwrap());
    assert_eq!(shown.text("encrypted").unwrap(), "true");
}

#[tokio::test]
async fn a_child_has_its_parents_blocks_and_the_difference_is_listed() {
    let ec2 = LocalEc2::new();
    let parent = written(&ec2, &json!({ "VolumeSize": 1 }), &[(0, 1), (1, 2)]);
    let child = |body: Value| json_with(&body, "ParentSnapshotId", &parent);
    for (body, reason) in [
        (
            json!({ "VolumeSize": 1, "Encrypted": true }),
            "INVALID_PARAMETER_VALUE",
        ),
        (
            json!({ "VolumeSize": 1, "Encrypted": false }),
            "INVALID_PARAMETER_VALUE",
        ),
    ] {
        refused(&start(&ec2, &child(body)), reason);
    }
    let big = written(&ec2, &json!({ "VolumeSize": 2 }), &[]);
    let small = json!({ "VolumeSize": 1, "ParentSnapshotId": big });
    refused(&start(&ec2, &small), "INVALID_VOLUME_SIZE");
    let pending = started(&ec2, &json!({ "VolumeSize": 1 }));
    let early = json!({ "VolumeSize": 1, "ParentSnapshotId": pending });
    refused(&start(&ec2, &early), "INVALID_SNAPSHOT_ID");
    let changed = written(
        &ec2,
        &child(json!({ "VolumeSize": 2 })),
        &[(1, 3), (4000, 4)],
    );
    let list = get(&ec2, &format!("/snapshots/{changed}/blocks"))
        .ok(200)
        .json();
    assert_eq!(indexes(&list, "Blocks"), [0, 1, 4000]);
    for (index, byte) in [(0, 1), (1, 3), (4000, 4)] {
        assert!(read(&ec2, &changed, index).ok(200).0.body == block(byte));
    }
    let path = |first: &str, second: &str| {
        format!("/snapshots/{second}/changedblocks?firstSnapshotId={first}")
    };
    let list = get(&ec2, &path(&parent, &changed)).ok(200).json();
    assert_eq!(indexes(&list, "ChangedBlocks"), [1, 4000]);
    assert!(list["ChangedBlocks"][0]["FirstBlockToken"].is_string());
    assert!(list["ChangedBlocks"][1].get("FirstBlockToken").is_none());
    let token = escaped(
        list["ChangedBlocks"][0]["FirstBlockToken"]
            .as_str()
            .unwrap(),
    );
    let before = get(
        &ec2,
        &format!("/snapshots/{parent}/blocks/1?blockToken={token}"),
    );
    assert!(before.ok(200).0.body == block(2));
    refused(&get(&ec2, &path(&big, &changed)), "UNRELATED_SNAPSHOTS");
    refused(
        &get(&ec2, &format!("/snapshots/{changed}/changedblocks")),
        "INVALID_SNAPSHOT_ID",
    );
    // The parent's own blocks stay for as long as a child has them.
    ec2.ec2(
        "DeleteSnapshot",
        &[("SnapshotId.1", &parent), ("SnapshotId", &parent)],
    );
    ec2.ec2("DeleteSnapshot", &[("SnapshotId", &parent)]).ok();
    assert!(read(&ec2, &changed, 0).ok(200).0.body == block(1));
    let copy = [
        ("SourceSnapshotId", changed.as_str()),
        ("SourceRegion", "us-east-2"),
    ];
    let copy = ec2
        .in_region("us-west-2")
        .ec2("CopySnapshot", &copy)
        .ok()
        .text("snapshotId")
        .unwrap();
    ec2.ec2("DeleteSnapshot", &[("SnapshotId", &changed)]).ok();
    let west = ec2.in_region("us-west-2");
    assert!(read(&west, &copy, 1).ok(200).0.body == block(3));
    west.ec2("DeleteSnapshot", &[("SnapshotId", &copy)]).ok();
    // What nothing needs is removed. The two that are left are `big` and `pending`.
    let folders = || {
        std::fs::read_dir(ec2.path().join("blocks"))
            .unwrap()
            .count()
    };
    ec2.until("DescribeSnapshots", &[], |_| folders() == 2)
        .await;
}

fn json_with(body: &Value, name: &str, value: &str) -> Value {
    let mut body = body.clone();
    body[name] = value.into();
    body
}

#[tokio::test]
async fn lists_come_in_pages() {
    let ec2 = LocalEc2::new();
    let blocks: Vec<(u32, u8)> = (0..250).map(|n| (n * 3, 0)).collect();
    let id = written(&ec2, &json!({ "VolumeSize": 1 }), &blocks);
    let mut seen = Vec::new();
    let mut path = format!("/snapshots/{id}/blocks?maxResults=100");
    let mut pages = 0;
    loop {
        let list = get(&ec2, &path).ok(200).json();
        seen.extend(indexes(&list, "Blocks"));
        pages += 1;
        let Some(token) = list["NextToken"].as_str() else {
            break;
        };
        // A starting index beside a token is ignored.
        let token = escaped(token);
        path =
            format!("/snapshots/{id}/blocks?maxResults=100&pageToken={token}&startingBlockIndex=0");
        if pages == 1 {
            path = format!("/snapshots/{id}/blocks?maxResults=100&pageToken={token}");
        }
    }
    assert_eq!(pages, 3);
    assert_eq!(seen, (0..250).map(|n| n * 3).collect::<Vec<u64>>());
    let few = get(&ec2, &format!("/snapshots/{id}/blocks?maxResults=5"))
        .ok(200)
        .json();
    assert_eq!(indexes(&few, "Blocks").len(), 100);
    let later = get(
        &ec2,
        &format!("/snapshots/{id}/blocks?startingBlockIndex=100"),
    )
    .ok(200)
    .json();
    assert_eq!(indexes(&later, "Blocks")[0], 102);
    refused(
        &get(&ec2, &format!("/snapshots/{id}/blocks?maxResults=10001")),
        "INVALID_PARAMETER_VALUE",
    );
    refused(
        &get(&ec2, &format!("/snapshots/{id}/blocks?pageToken=AAAA")),
        "INVALID_PAGE_TOKEN",
    );
    refused(
        &get(&ec2, &format!("/snapshots/{id}/blocks?page=1")),
        "INVALID_PARAMETER_VALUE",
    );
}

#[tokio::test]
async fn an_unsigned_block_is_taken_and_other_unsigned_bodies_are_not() {
    let ec2 = LocalEc2::new();
    let id = started(&ec2, &json!({ "VolumeSize": 1 }));
    let unsigned = ("x-amz-content-sha256", "UNSIGNED-PAYLOAD");
    let good = sum(&block(1));
    put_as(
        &ec2,
        &id,
        "1",
        &[("x-amz-checksum", &good), unsigned],
        block(1),
    )
    .ok(201);
    let signed_body = hex::encode(Sha256::digest(block(1)));
    let signed_header = ("x-amz-content-sha256", signed_body.as_str());
    put_as(
        &ec2,
        &id,
        "2",
        &[("x-amz-checksum", &good), signed_header],
        block(1),
    )
    .ok(201);
    // Signed for other bytes than those that come.
    let other = sum(&block(2));
    let bad = put_as(
        &ec2,
        &id,
        "3",
        &[("x-amz-checksum", &other), signed_header],
        block(2),
    );
    assert_eq!(bad.error().1, "InvalidSignatureException");
    let body = json!({ "VolumeSize": 1 }).to_string().into_bytes();
    let bad = send(&ec2, "POST", "/snapshots", &[unsigned], body);
    assert_eq!(bad.error().1, "InvalidSignatureException");
    // A changed header of a signed put.
    let path = format!("/snapshots/{id}/blocks/4");
    let headers = [
        ("x-amz-data-length", "524288"),
        ("x-amz-checksum-algorithm", "SHA256"),
        ("x-amz-checksum", &good),
        unsigned,
    ];
    let mut request = signed(&ec2, "PUT", &path, &headers, block(1));
    request.path = format!("/snapshots/{id}/blocks/5");
    let bad = Reply(ec2.engine.handle(&request));
    assert_eq!(bad.error().1, "InvalidSignatureException");
    assert_eq!(log::read(ec2.path()).unwrap().len(), 2);
}

#[tokio::test]
async fn a_new_snapshot_does_not_exist_yet() {
    let ec2 = LocalEc2::with(EmulatorConfig {
        delays: Delays::Ec2Like,
        ..EmulatorConfig::default()
    });
    let id = started(&ec2, &json!({ "VolumeSize": 1 }));
    let (status, code, reason) = put(&ec2, &id, 0, block(1)).error();
    assert_eq!((status, code.as_str()), (404, "ResourceNotFoundException"));
    assert_eq!(reason, "SNAPSHOT_NOT_FOUND");
    let known = |_: &Answer| put(&ec2, &id, 0, block(1)).0.status == 201;
    ec2.until("DescribeRegions", &[], known).await;
    let done = complete(&ec2, &id, &[("x-amz-changedblockscount", "1")]).ok(202);
    assert_eq!(done.json()["Status"], "pending");
    assert_eq!(described(&ec2, &id).text("status").unwrap(), "pending");
    refused(&put(&ec2, &id, 1, block(1)), "INVALID_SNAPSHOT_ID");
}

#[tokio::test]
async fn what_nobody_writes_to_fails() {
    let ec2 = LocalEc2::new();
    let (idle, busy) = (
        started(&ec2, &json!({ "VolumeSize": 1 })),
        started(&ec2, &json!({ "VolumeSize": 1 })),
    );
    put(&ec2, &idle, 0, block(1)).ok(201);
    std::fs::write(
        ec2.path().join("faults.json"),
        r#"{"snapshot_idle_timeout_ms":300}"#,
    )
    .unwrap();
    let failed = |_: &Answer| {
        put(&ec2, &busy, 0, block(1)).ok(201);
        described(&ec2, &idle).text("status").unwrap() == "error"
    };
    ec2.until("DescribeRegions", &[], failed).await;
    refused(&put(&ec2, &idle, 1, block(1)), "INVALID_SNAPSHOT_ID");
    refused(
        &complete(&ec2, &idle, &[("x-amz-changedblockscount", "1")]),
        "INVALID_SNAPSHOT_ID",
    );
    assert!(
        described(&ec2, &idle)
            .text("statusMessage")
            .unwrap()
            .contains("timeout")
    );
    complete(&ec2, &busy, &[("x-amz-changedblockscount", "1")]).ok(202);
    ec2.ec2("DeleteSnapshot", &[("SnapshotId", &idle)]).ok();
}

#[tokio::test]
async fn what_was_put_survives_the_local_ec2() {
    let ec2 = LocalEc2::new();
    let id = started(&ec2, &json!({ "VolumeSize": 64 }));
    // Far enough apart for the index to have holes.
    let put_at = [(0, 1), (1, 0), (70_000, 2), (131_071, 0)];
    for (index, byte) in put_at {
        put(&ec2, &id, index, block(byte)).ok(201);
    }
    put_as(
        &ec2,
        &id,
        "2",
        &[
            ("x-amz-checksum", &sum(&block(0))),
            ("x-amz-progress", "40"),
        ],
        block(0),
    )
    .ok(201);
    assert_eq!(described(&ec2, &id).text("progress").unwrap(), "40%");
    let (dir, guests) = (ec2.dir.clone(), ec2.guests.clone());
    let config = EmulatorConfig {
        delays: Delays::None,
        ..EmulatorConfig::default()
    };
    drop(ec2);
    let ec2 = LocalEc2::over(dir, guests, config);
    put(&ec2, &id, 1, block(3)).ok(201);
    let blocks = [block(1), block(3), block(0), block(2), block(0)];
    let linear = sum(&blocks.map(Sha256::digest).concat());
    let headers = [
        ("x-amz-changedblockscount", "5"),
        ("x-amz-checksum", linear.as_str()),
        ("x-amz-checksum-algorithm", "SHA256"),
        ("x-amz-checksum-aggregation-method", "LINEAR"),
    ];
    complete(&ec2, &id, &headers).ok(202);
    let list = get(&ec2, &format!("/snapshots/{id}/blocks")).ok(200).json();
    assert_eq!(indexes(&list, "Blocks"), [0, 1, 2, 70_000, 131_071]);
    assert!(read(&ec2, &id, 1).ok(200).0.body == block(3));
    assert!(read(&ec2, &id, 131_071).ok(200).0.body == block(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_hold_for_blocks() {
    let served = support::wire::Served::new(LocalEc2::new()).await;
    let ec2 = &served.ec2;
    let id = started(ec2, &json!({ "VolumeSize": 1 }));
    let policy = async |actions: &[&str], resource: &str| {
        let statement = json!({ "Effect": "Allow", "Action": actions, "Resource": resource });
        let policy = json!({ "Version": "2012-10-17", "Statement": [statement] }).to_string();
        let secret = &served.ec2.key.secret;
        let saw = served.control_at("/_local/policy", "PUT", secret, &policy);
        assert_eq!(saw.await.status(), 204);
    };
    let denied = |reply: Reply| {
        let (status, code, _) = reply.error();
        assert_eq!((status, code.as_str()), (403, "AccessDeniedException"));
    };
    let snapshot = |id: &str| format!("arn:aws:ec2:us-east-2::snapshot/{id}");
    policy(&["ebs:PutSnapshotBlock"], &snapshot(&id)).await;
    put(ec2, &id, 0, block(1)).ok(201);
    denied(complete(ec2, &id, &[("x-amz-changedblockscount", "1")]));
    denied(start(ec2, &json!({ "VolumeSize": 1 })));
    policy(
        &["ebs:PutSnapshotBlock"],
        &snapshot("snap-0123456789abcdef0"),
    )
    .await;
    denied(put(ec2, &id, 0, block(1)));
    policy(&["ebs:StartSnapshot"], "*").await;
    start(ec2, &json!({ "VolumeSize": 1 })).ok(201);
    let tagged = json!({ "VolumeSize": 1, "Tags": [{ "Key": "k", "Value": "v" }] });
    denied(start(ec2, &tagged));
    policy(&["ebs:StartSnapshot", "ec2:CreateTags"], "*").await;
    start(ec2, &tagged).ok(201);
}

#[tokio::test]
async fn faults_and_quotas_hold_for_blocks() {
    let ec2 = LocalEc2::new();
    let id = started(&ec2, &json!({ "VolumeSize": 1 }));
    let set =
        |faults: Value| std::fs::write(ec2.path().join("faults.json"), faults.to_string()).unwrap();
    set(json!({ "actions": [
        { "action": "PutSnapshotBlock", "kind": "drop-before", "times": 1 },
        { "action": "PutSnapshotBlock", "kind": "drop-after", "times": 1 },
        { "action": "PutSnapshotBlock", "kind": "throttle", "times": 1 },
        { "action": "PutSnapshotBlock", "code": "InternalServerException", "message": "m", "status": 500, "times": 1 },
    ]}));
    assert_eq!(put(&ec2, &id, 0, block(1)).0.delivery, Delivery::Dropped);
    assert_eq!(log::read(ec2.path()).unwrap().len(), 0);
    assert_eq!(put(&ec2, &id, 1, block(1)).0.delivery, Delivery::Dropped);
    assert_eq!(log::read(ec2.path()).unwrap().len(), 1, "a lost reply");
    let (status, code, reason) = put(&ec2, &id, 2, block(1)).error();
    assert_eq!(
        (status, code.as_str(), reason.as_str()),
        (400, "RequestThrottledException", "ACCOUNT_THROTTLED")
    );
    assert_eq!(put(&ec2, &id, 2, block(1)).error().0, 500);
    set(json!({ "latency_ms": { "PutSnapshotBlock": 50 } }));
    let late = put(&ec2, &id, 2, block(1)).ok(201);
    assert_eq!(late.0.delivery, Delivery::Late(Duration::from_millis(50)));
    set(json!({ "throttle": { "PutSnapshotBlock": { "burst": 2, "rate": 0 } } }));
    put(&ec2, &id, 3, block(1)).ok(201);
    put(&ec2, &id, 4, block(1)).ok(201);
    assert_eq!(
        put(&ec2, &id, 5, block(1)).error().1,
        "RequestThrottledException"
    );
    complete(&ec2, &id, &[("x-amz-changedblockscount", "4")]).ok(202);
    // What was refused or went wrong is in the log of requests, and what went well is not.
    let requests = emulator::engine::request_log::read(ec2.path()).unwrap();
    let puts: Vec<_> = requests
        .iter()
        .filter(|r| r.action == "PutSnapshotBlock")
        .collect();
    assert_eq!(puts.len(), 5);
    set(json!({ "latency_ms": { "PutSnapshotBlocks": 50 } }));
    assert!(
        ec2.engine
            .handle(&signed(
                &ec2,
                "GET",
                "/snapshots/snap-1/blocks",
                &[],
                Vec::new()
            ))
            .status
            == 500
    );
}

#[tokio::test]
async fn a_hundred_snapshots_may_be_pending() {
    let ec2 = LocalEc2::new();
    for _ in 0..100 {
        started(&ec2, &json!({ "VolumeSize": 1 }));
    }
    let (status, code, _) = start(&ec2, &json!({ "VolumeSize": 1 })).error();
    assert_eq!(
        (status, code.as_str()),
        (400, "ConcurrentLimitExceededException")
    );
}

#[tokio::test]
async fn a_guests_snapshot_has_no_blocks() {
    let ec2 = LocalEc2::new();
    let instance = ec2.running(&[]).await;
    let image = ec2
        .ec2(
            "CreateImage",
            &[("InstanceId", &instance), ("Name", "image")],
        )
        .ok();
    let image = image.text("imageId").unwrap();
    let available = |a: &Answer| a.text("imageState").as_deref() == Some("available");
    let image = ec2
        .until("DescribeImages", &[("ImageId.1", &image)], available)
        .await;
    let snapshot = image.text("snapshotId").unwrap();
    let reply = get(&ec2, &format!("/snapshots/{snapshot}/blocks"));
    refused(&reply, "INVALID_SNAPSHOT_ID");
    assert!(
        reply.json()["Message"]
            .as_str()
            .unwrap()
            .contains("a guest's files")
    );
    let child = json!({ "VolumeSize": 500, "ParentSnapshotId": snapshot });
    refused(&start(&ec2, &child), "INVALID_SNAPSHOT_ID");
}

#[tokio::test]
async fn another_account_reads_what_is_shared_with_it() {
    let ec2 = LocalEc2::new();
    let id = written(&ec2, &json!({ "VolumeSize": 1 }), &[(0, 1)]);
    let other = ec2.in_account("111122223333");
    let path = format!("/snapshots/{id}/blocks");
    assert_eq!(get(&other, &path).error().1, "ResourceNotFoundException");
    let share = [
        ("SnapshotId", id.as_str()),
        ("Attribute", "createVolumePermission"),
        ("OperationType", "add"),
        ("UserId.1", "111122223333"),
    ];
    ec2.ec2("ModifySnapshotAttribute", &share).ok();
    assert!(read(&other, &id, 0).ok(200).0.body == block(1));
    // A token is the caller's own.
    let token = get(&ec2, &path).ok(200).json()["Blocks"][0]["BlockToken"]
        .as_str()
        .unwrap()
        .to_owned();
    let stolen = get(&other, &format!("{path}/0?blockToken={}", escaped(&token)));
    refused(&stolen, "INVALID_BLOCK_TOKEN");
    let pending = started(&ec2, &json!({ "VolumeSize": 1 }));
    assert_eq!(
        put(&other, &pending, 0, block(1)).error().1,
        "ResourceNotFoundException"
    );
}
