//! What is remembered of buckets, objects and uploads: plain data, one file of JSON for each.

use super::checksum::{Algorithm, Checksum, ChecksumType};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// Its name, which no other bucket of any account has.
    pub name: String,
    /// The account that owns it.
    pub owner: String,
    /// The region it lives in.
    pub region: String,
    /// When it was made.
    pub created: Timestamp,
}

/// Some of an object's content, in a file of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// The file's name in the bucket's folder `data`.
    pub file: String,
    /// Its length.
    pub size: u64,
}

/// What is said with an object when it is put, and given back with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Described {
    /// `content-type`, `cache-control` and the like, and `x-amz-meta-…`, by name in lower case.
    pub headers: BTreeMap<String, String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// An object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// Its key.
    pub key: String,
    /// Its length.
    pub size: u64,
    /// Its entity tag, without quotes.
    pub etag: String,
    /// When it was put.
    pub modified: Timestamp,
    /// Its checksum.
    pub checksum: Checksum,
    /// What was said with it.
    pub described: Described,
    /// Its content.
    pub segments: Vec<Segment>,
}

/// A multipart upload that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    /// Its id.
    pub id: String,
    /// The key of the object to be.
    pub key: String,
    /// When it was begun.
    pub initiated: Timestamp,
    /// The ARN of who began it.
    pub initiator: String,
    /// The algorithm that was asked for; none if nobody said.
    pub algorithm: Option<Algorithm>,
    /// What the object's checksum will be of.
    pub checksum_type: ChecksumType,
    /// What was said with it.
    pub described: Described,
    /// Its parts, by number.
    #[serde(skip)]
    pub parts: BTreeMap<u16, Part>,
}

/// A part of an upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its number, 1 to 10000.
    pub number: u16,
    /// Its MD5 as it was received, in hexadecimal: its entity tag.
    pub etag: String,
    /// When it was put.
    pub modified: Timestamp,
    /// Its checksum by the upload's algorithm as it was received, in base64.
    pub checksum: String,
    /// The checksum that the client gave.
    pub declared: Option<(Algorithm, String)>,
    /// Its content.
    pub segment: Segment,
}

impl Upload {
    /// The algorithm of its parts' checksums.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm.unwrap_or(Algorithm::Crc64Nvme)
    }
}
