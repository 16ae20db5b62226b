//! S3: what is put comes back, and what S3's documentation refuses is refused.
// A test is an edge.
#![allow(clippy::disallowed_methods)]

mod bodies;
mod callers;
mod multipart;
mod objects;
#[path = "../support/mod.rs"]
mod support;

use base64::prelude::{BASE64_STANDARD, Engine};
use emulator::config::{Delays, EmulatorConfig};
use emulator::engine::request_log;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::io::{Read, Write};
use support::LocalEc2;
use support::s3::{Got, S3, Sent};

const MIB: usize = 1 << 20;

/// Content without a period that any block or part has.
fn content(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed * 2 + 1;
    let mut data = Vec::with_capacity(length + 8);
    while data.len() < length {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        data.extend((state >> 11).to_le_bytes());
    }
    data.truncate(length);
    data
}

fn sha256(data: &[u8]) -> String {
    BASE64_STANDARD.encode(Sha256::digest(data))
}

fn md5(data: &[u8]) -> String {
    BASE64_STANDARD.encode(md5::compute(data).0)
}

fn crc32(data: &[u8]) -> String {
    let mut crc = !0u32;
    for byte in data {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
    }
    BASE64_STANDARD.encode((!crc).to_be_bytes())
}

fn refusal(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

/// The parts of an upload, and what is sent with each.
async fn upload_part(s3: &S3, target: &str, headers: &[(&str, &str)], data: &[u8]) -> String {
    let got = s3.send("PUT", target, headers, data).await.ok();
    got.header("etag").unwrap().to_owned()
}

fn parts_xml(parts: &[(u32, &str, Option<&str>)]) -> String {
    let parts: String = parts
        .iter()
        .map(|(n, etag, sum)| {
            let sum = sum.map_or(String::new(), |s| {
                format!("<ChecksumSHA256>{s}</ChecksumSHA256>")
            });
            format!("<Part><PartNumber>{n}</PartNumber><ETag>{etag}</ETag>{sum}</Part>")
        })
        .collect();
    format!(
        "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{parts}</CompleteMultipartUpload>"
    )
}

async fn begin(s3: &S3, headers: &[(&str, &str)]) -> String {
    let begun = s3.send("POST", "/b01/k?uploads", headers, b"").await.ok();
    begun.text("UploadId").unwrap()
}
