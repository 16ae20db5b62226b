//! Multipart uploads: beginning, parts, giving up.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html>,
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>.

use super::body::{Expected, Received};
use super::buckets::{owner_id, time};
use super::error::S3Error;
use super::objects::{corrupt, quoted};
use super::{Reply, S3Cx, described};
use crate::api::ec2::xml::Xml;
use crate::storage::checksum::{Algorithm, ChecksumType, written};
use crate::storage::records::{Part, Upload};
use crate::storage::{Incoming, Shelves};
use std::collections::BTreeMap;

/// "Part numbers: 1 to 10,000 (inclusive)".
pub(super) const MOST_PARTS: u16 = 10_000;

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateMultipartUpload.html>
pub(super) fn create(cx: &S3Cx<'_>) -> Result<Reply, S3Error> {
    let bucket = cx.bucket()?;
    let described = described::read(cx.request)?;
    if !described.tags.is_empty() && !(cx.permits)("PutObjectTagging", &cx.call.arn()) {
        return Err(S3Error::denied());
    }
    let (algorithm, checksum_type) = checksums(cx)?;
    let upload = Upload {
        id: hex::encode(rand::random::<[u8; 32]>()),
        key: cx.key().to_owned(),
        initiated: cx.now,
        initiator: cx.caller.arn(),
        algorithm,
        checksum_type,
        described,
        parts: BTreeMap::new(),
    };
    let mut reply = Reply::xml("InitiateMultipartUploadResult", |x| {
        x.put("Bucket", &bucket.name)
            .put("Key", &upload.key)
            .put("UploadId", &upload.id);
    })
    .with("x-amz-server-side-encryption", "AES256");
    if let Some(algorithm) = algorithm {
        reply = reply
            .with("x-amz-checksum-algorithm", algorithm.name())
            .with("x-amz-checksum-type", checksum_type.name());
    }
    cx.storage.lock().add_upload(&bucket.name, upload)?;
    Ok(reply)
}

fn checksums(cx: &S3Cx<'_>) -> Result<(Option<Algorithm>, ChecksumType), S3Error> {
    let unsupported = || {
        S3Error::invalid(
            "Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]",
        )
    };
    let named = cx.request.header("x-amz-checksum-algorithm");
    let algorithm = named.map(|n| Algorithm::named(n).ok_or_else(unsupported));
    let algorithm = algorithm.transpose()?;
    let kind = cx.request.header("x-amz-checksum-type");
    let kind = kind.and_then(ChecksumType::named);
    match (algorithm, kind) {
        (None, None) => Ok((None, ChecksumType::FullObject)),
        (None, Some(_)) => Err(S3Error::invalid(
            "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.",
        )),
        (Some(algorithm), None) => Ok((Some(algorithm), algorithm.usual_type())),
        (Some(algorithm), Some(kind)) if algorithm.can_be(kind) => Ok((Some(algorithm), kind)),
        (Some(algorithm), Some(kind)) => Err(S3Error::invalid(format!(
            "The {} checksum type cannot be used with the {} checksum algorithm.",
            kind.name(),
            algorithm.name().to_ascii_lowercase()
        ))),
    }
}

/// The upload that the request names, of the object that it names.
///
/// # Errors
/// `NoSuchUpload`.
pub(super) fn find<'s>(cx: &S3Cx<'_>, shelves: &'s Shelves<'_>) -> Result<&'s Upload, S3Error> {
    let id = cx.call.query("uploadId").unwrap_or_default();
    let uploads = shelves.uploads(cx.call.bucket());
    let upload = uploads.and_then(|u| u.get(id));
    upload
        .filter(|u| u.key == cx.key())
        .ok_or_else(|| S3Error::no_such_upload(id))
}

/// What UploadPart is refused for before its body is asked for; the part's number and the algorithm of its checksum.
pub(super) fn check_part(cx: &S3Cx<'_>) -> Result<(u16, Algorithm), S3Error> {
    cx.bucket()?;
    let text = cx.call.query("partNumber").unwrap_or_default();
    let number = text.parse().ok();
    let number = number.filter(|n| (1..=MOST_PARTS).contains(n));
    let number = number.ok_or_else(|| {
        S3Error::argument(
            "partNumber",
            text,
            "Part number must be an integer between 1 and 10000, inclusive",
        )
    })?;
    let expected = Expected::of(cx.request)?;
    let shelves = cx.storage.lock();
    let upload = find(cx, &shelves)?;
    // "This checksum algorithm must be the same for all parts and it match the checksum value supplied in the
    // CreateMultipartUpload request."
    // An upload that was begun without one takes any, and one whose checksum is of the whole takes parts without.
    let fits = match (upload.algorithm, expected.algorithm()) {
        (None, _) => true,
        (Some(_), None) => upload.checksum_type == ChecksumType::FullObject,
        (Some(wanted), Some(given)) => wanted == given,
    };
    if !fits {
        let name = |a: Option<Algorithm>| {
            a.map_or_else(|| "null".to_owned(), |a| a.name().to_ascii_lowercase())
        };
        return Err(S3Error::invalid(format!(
            "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}",
            name(upload.algorithm),
            name(expected.algorithm())
        )));
    }
    Ok((number, upload.algorithm()))
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPart.html>
pub(super) fn put_part(
    cx: &S3Cx<'_>,
    mut incoming: Incoming,
    received: &Received,
) -> Result<Reply, S3Error> {
    let (number, _) = check_part(cx)?;
    corrupt(cx, Some(number), &mut incoming, received.size)?;
    let mut shelves = cx.storage.lock();
    // It may have been completed or aborted while the body came.
    let upload = find(cx, &shelves)?.id.clone();
    let bucket = cx.call.bucket();
    let part = Part {
        number,
        etag: hex::encode(received.md5),
        modified: cx.now,
        checksum: written(&received.wanted),
        declared: received
            .declared
            .as_ref()
            .map(|(algorithm, checksum)| (*algorithm, written(checksum))),
        segment: shelves.keep(bucket, &incoming, received.size)?,
    };
    let mut reply = Reply::empty(200)
        .with("ETag", quoted(&part.etag))
        .with("x-amz-server-side-encryption", "AES256");
    if let Some((algorithm, checksum)) = &part.declared {
        reply = reply.with(algorithm.header(), checksum);
    }
    shelves.put_part(bucket, &upload, part)?;
    Ok(reply)
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_AbortMultipartUpload.html>
pub(super) fn abort(cx: &S3Cx<'_>) -> Result<Reply, S3Error> {
    let bucket = cx.bucket()?;
    let mut shelves = cx.storage.lock();
    let upload = find(cx, &shelves)?.id.clone();
    shelves.abort(&bucket.name, &upload)?;
    Ok(Reply::empty(204))
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListParts.html>
pub(super) fn list_parts(cx: &S3Cx<'_>) -> Result<Reply, S3Error> {
    let bucket = cx.bucket()?;
    let asked = cx.call.number("max-parts", 0)?.unwrap_or(1_000);
    let most = asked.min(1_000) as usize;
    let after = cx.call.number("part-number-marker", 0)?.unwrap_or(0);
    let shelves = cx.storage.lock();
    let upload = find(cx, &shelves)?;
    let mut parts = upload.parts.values();
    let mut left = parts.by_ref().filter(|p| u32::from(p.number) > after);
    let page: Vec<&Part> = left.by_ref().take(most).collect();
    let more = left.next().is_some() && !page.is_empty();
    Ok(Reply::xml("ListPartsResult", |x| {
        x.put("Bucket", &bucket.name)
            .put("Key", &upload.key)
            .put("UploadId", &upload.id)
            .put("PartNumberMarker", after);
        if let Some(last) = page.last() {
            x.put("NextPartNumberMarker", last.number);
        }
        x.put("MaxParts", asked).put("IsTruncated", more);
        x.node("Initiator", |x| {
            x.put("ID", &upload.initiator)
                .put("DisplayName", &upload.initiator);
        });
        x.node("Owner", |x| {
            x.put("ID", owner_id(&bucket.owner));
        });
        x.put("StorageClass", "STANDARD");
        if let Some(algorithm) = upload.algorithm {
            x.put("ChecksumAlgorithm", algorithm.name())
                .put("ChecksumType", upload.checksum_type.name());
        }
        for part in &page {
            x.node("Part", |x| write_part(x, upload.algorithm, part));
        }
    }))
}

fn write_part(x: &mut Xml, algorithm: Option<Algorithm>, part: &Part) {
    x.put("PartNumber", part.number)
        .put("LastModified", time(part.modified))
        .put("ETag", quoted(&part.etag))
        .put("Size", part.segment.size);
    if let Some(algorithm) = algorithm {
        x.put(algorithm.element(), &part.checksum);
    }
}
