//! Completing a multipart upload: the parts that the request lists become the object.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html>

use super::error::S3Error;
use super::objects::{quoted, with_checksum};
use super::uploads::{MOST_PARTS, find};
use super::{Reply, S3Cx, conditions, xml};
use crate::storage::checksum::{Algorithm, Checksum, ChecksumType, combined, composite};
use crate::storage::records::{Object, Part, Upload};

/// "5 MB to 5 GB. There is no minimum size limit on the last part of your multipart upload"
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>).
const LEAST_PART: u64 = 5 << 20;

/// A part as the request lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Listed {
    number: u16,
    etag: String,
    checksum: Option<(Algorithm, String)>,
}

pub(super) fn complete(cx: &S3Cx<'_>, body: &[u8]) -> Result<Reply, S3Error> {
    let bucket = cx.bucket()?;
    let mut shelves = cx.storage.lock();
    let upload = find(cx, &shelves)?.clone();
    let listed = read(body)?;
    let parts = chosen(&upload, &listed)?;
    let checksum = checksum(&upload, &parts)?;
    let size = parts.iter().map(|p| p.segment.size).sum();
    check_claims(cx, &upload, &checksum, size)?;
    let there = shelves.objects(&bucket.name).and_then(|o| o.get(cx.key()));
    conditions::of_write(cx, there)?;
    let object = Object {
        key: upload.key.clone(),
        size,
        etag: etag(&parts)?,
        modified: cx.now,
        checksum,
        described: upload.described.clone(),
        segments: parts.iter().map(|p| p.segment.clone()).collect(),
    };
    let reply = Reply::xml("CompleteMultipartUploadResult", |x| {
        let host = cx.request.header("host").unwrap_or("localhost");
        x.put(
            "Location",
            format!("http://{host}/{}/{}", bucket.name, object.key),
        )
        .put("Bucket", &bucket.name)
        .put("Key", &object.key)
        .put("ETag", quoted(&object.etag))
        .put(object.checksum.algorithm.element(), &object.checksum.value)
        .put("ChecksumType", object.checksum.of.name());
    });
    let reply = with_checksum(
        reply.with("x-amz-server-side-encryption", "AES256"),
        &object.checksum,
    );
    shelves.complete(&bucket.name, &upload.id, object)?;
    Ok(reply)
}

/// The MD5 of the parts' MD5s, and how many there are.
fn etag(parts: &[&Part]) -> Result<String, S3Error> {
    let mut all = Vec::with_capacity(parts.len() * 16);
    for part in parts {
        let md5 = hex::decode(&part.etag);
        all.extend(md5.map_err(|e| S3Error::new("InternalError", 500, e.to_string()))?);
    }
    Ok(format!("{:x}-{}", md5::compute(all), parts.len()))
}

fn read(body: &[u8]) -> Result<Vec<Listed>, S3Error> {
    let document = xml::read(body, "CompleteMultipartUpload")?;
    document.only(&["Part"])?;
    let mut known = vec!["PartNumber", "ETag"];
    known.extend(Algorithm::ALL.map(Algorithm::element));
    let mut listed = Vec::new();
    for part in &document.children {
        part.only(&known)?;
        let number = part
            .text_of("PartNumber")
            .and_then(|n| n.trim().parse().ok());
        let (Some(number), Some(etag)) = (number, part.text_of("ETag")) else {
            return Err(S3Error::malformed());
        };
        let mut checksums = Algorithm::ALL.into_iter().filter_map(|a| {
            let value = part.text_of(a.element())?;
            Some((a, value.trim().to_owned()))
        });
        listed.push(Listed {
            number,
            etag: etag.trim().trim_matches('"').to_owned(),
            checksum: checksums.next(),
        });
    }
    match listed.is_empty() || listed.len() > usize::from(MOST_PARTS) {
        true => Err(S3Error::malformed()),
        false => Ok(listed),
    }
}

/// The parts that are listed.
fn chosen<'u>(upload: &'u Upload, listed: &[Listed]) -> Result<Vec<&'u Part>, S3Error> {
    // "The parts list must be specified in order by part number."
    if listed.windows(2).any(|w| w[0].number >= w[1].number) {
        return Err(S3Error::new(
            "InvalidPartOrder",
            400,
            "The list of parts was not in ascending order. The parts list must be specified in order by part number.",
        )
        .with("UploadId", &upload.id));
    }
    let mut parts = Vec::new();
    for wanted in listed {
        let there = upload.parts.get(&wanted.number);
        let same = |p: &&Part| p.etag == wanted.etag && same_checksum(upload, p, wanted);
        let part = there.filter(same).ok_or_else(|| {
            S3Error::new(
                "InvalidPart",
                400,
                "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified entity tag may not match the part's entity tag.",
            )
            .with("UploadId", &upload.id)
            .with("PartNumber", wanted.number)
            .with("ETag", &wanted.etag)
        })?;
        if upload.checksum_type == ChecksumType::Composite && wanted.checksum.is_none() {
            return Err(S3Error::invalid(format!(
                "The upload was created using a {} checksum. The complete request must include the checksum for each part. It was missing for part {} in the request.",
                upload.algorithm().name().to_ascii_lowercase(),
                wanted.number
            )));
        }
        parts.push(part);
    }
    let but_last = parts.len() - 1;
    if let Some(small) = parts[..but_last]
        .iter()
        .find(|p| p.segment.size < LEAST_PART)
    {
        return Err(S3Error::new(
            "EntityTooSmall",
            400,
            "Your proposed upload is smaller than the minimum allowed size",
        )
        .with("ETag", &small.etag)
        .with("MinSizeAllowed", LEAST_PART)
        .with("ProposedSize", small.segment.size)
        .with("PartNumber", small.number));
    }
    // "If you try to complete a multipart upload request with nonconsecutive part numbers, Amazon S3 generates an HTTP 500
    // Internal Server error" where there are checksums
    // (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html>).
    let consecutive = parts.iter().zip(1u16..).all(|(p, n)| p.number == n);
    if upload.algorithm.is_some() && !consecutive {
        return Err(S3Error::new(
            "InternalError",
            500,
            "We encountered an internal error. Please try again. (The part numbers of an upload with checksums are not 1, 2, 3 …)",
        ));
    }
    Ok(parts)
}

fn same_checksum(upload: &Upload, part: &Part, wanted: &Listed) -> bool {
    match &wanted.checksum {
        None => true,
        Some((algorithm, value)) if *algorithm == upload.algorithm() => *value == part.checksum,
        Some(given) => part.declared.as_ref() == Some(given),
    }
}

/// The object's checksum.
fn checksum(upload: &Upload, parts: &[&Part]) -> Result<Checksum, S3Error> {
    let algorithm = upload.algorithm();
    let unreadable = || {
        S3Error::new(
            "InternalError",
            500,
            format!("a part of upload {} has no checksum", upload.id),
        )
    };
    let sums: Option<Vec<(Vec<u8>, u64)>> = parts
        .iter()
        .map(|p| Some((algorithm.read(&p.checksum)?, p.segment.size)))
        .collect();
    let sums = sums.ok_or_else(unreadable)?;
    match upload.checksum_type {
        ChecksumType::Composite => {
            let sums: Vec<&[u8]> = sums.iter().map(|(s, _)| s.as_slice()).collect();
            Ok(composite(algorithm, &sums))
        }
        ChecksumType::FullObject => {
            let sums: Vec<_> = sums.iter().map(|(s, n)| (s.as_slice(), *n)).collect();
            combined(algorithm, &sums).ok_or_else(unreadable)
        }
    }
}

/// Holds what the request says of the object against what it is.
fn check_claims(
    cx: &S3Cx<'_>,
    upload: &Upload,
    checksum: &Checksum,
    size: u64,
) -> Result<(), S3Error> {
    if let Some(claimed) = cx.request.header("x-amz-checksum-type")
        && claimed != upload.checksum_type.name()
    {
        return Err(S3Error::invalid(format!(
            "The upload was created using the {} checksum mode. The complete request must use the same checksum mode.",
            upload.checksum_type.name()
        )));
    }
    for algorithm in Algorithm::ALL {
        let Some(claimed) = cx.request.header(algorithm.header()) else {
            continue;
        };
        if algorithm != checksum.algorithm {
            return Err(S3Error::invalid(format!(
                "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}",
                checksum.algorithm.name().to_ascii_lowercase(),
                algorithm.name().to_ascii_lowercase()
            )));
        }
        let bare = checksum.value.split('-').next();
        if claimed != checksum.value && Some(claimed) != bare {
            return Err(S3Error::bad_digest(algorithm.name()));
        }
    }
    match cx.request.header("x-amz-mp-object-size") {
        Some(claimed) if claimed.parse() != Ok(size) => Err(S3Error::invalid(format!(
            "The provided 'x-amz-mp-object-size' header value {claimed} does not match what was computed: {size}"
        ))),
        _ => Ok(()),
    }
}
