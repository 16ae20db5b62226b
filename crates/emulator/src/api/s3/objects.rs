//! Objects.

use super::body::{Expected, Received};
use super::conditions::{self, Reading};
use super::error::S3Error;
use super::route::object_arn;
use super::{Answered, Reply, S3Cx, described, xml};
use crate::faults::storage::Stored;
use crate::storage::Incoming;
use crate::storage::checksum::{Algorithm, Checksum, ChecksumType, written};
use crate::storage::content::Content;
use crate::storage::records::Object;

/// What PutObject is refused for before its body is asked for; the algorithm of the object's checksum.
pub(super) fn check_put(cx: &S3Cx<'_>) -> Result<Algorithm, S3Error> {
    let bucket = cx.bucket()?;
    let described = described::read(cx.request)?;
    // "you must have the s3:PutObjectTagging permission" if there are tags.
    if !described.tags.is_empty() && !(cx.permits)("PutObjectTagging", &cx.call.arn()) {
        return Err(S3Error::denied());
    }
    let shelves = cx.storage.lock();
    let there = shelves.objects(&bucket.name).and_then(|o| o.get(cx.key()));
    conditions::of_write(cx, there)?;
    let expected = Expected::of(cx.request)?;
    Ok(expected.algorithm().unwrap_or(Algorithm::Crc64Nvme))
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html>
pub(super) fn put(
    cx: &S3Cx<'_>,
    mut incoming: Incoming,
    received: &Received,
) -> Result<Reply, S3Error> {
    let bucket = cx.bucket()?;
    let described = described::read(cx.request)?;
    corrupt(cx, None, &mut incoming, received.size)?;
    let mut shelves = cx.storage.lock();
    let there = shelves.objects(&bucket.name).and_then(|o| o.get(cx.key()));
    conditions::of_write(cx, there)?;
    let segment = shelves.keep(&bucket.name, &incoming, received.size)?;
    let object = Object {
        key: cx.key().to_owned(),
        size: received.size,
        etag: hex::encode(received.md5),
        modified: cx.now,
        checksum: Checksum {
            algorithm: received
                .declared
                .as_ref()
                .map_or(Algorithm::Crc64Nvme, |(algorithm, _)| *algorithm),
            of: ChecksumType::FullObject,
            value: written(&received.wanted),
        },
        described,
        segments: vec![segment],
    };
    let reply = Reply::empty(200)
        .with("ETag", quoted(&object.etag))
        .with("x-amz-server-side-encryption", "AES256");
    let reply = with_checksum(reply, &object.checksum);
    shelves.put_object(&bucket.name, object)?;
    Ok(reply)
}

/// Stores something else than was received, if a fault asks for it. Everything that S3 says of the content stays as it was
/// received.
pub(super) fn corrupt(
    cx: &S3Cx<'_>,
    part: Option<u16>,
    incoming: &mut Incoming,
    size: u64,
) -> Result<(), S3Error> {
    let stored = Stored {
        bucket: cx.call.bucket(),
        key: cx.key(),
        part,
        size,
    };
    if let Some(corruption) = (cx.corrupts)(&stored)? {
        corruption.apply(&mut incoming.file, size)?;
    }
    Ok(())
}

pub(super) fn quoted(etag: &str) -> String {
    format!("\"{etag}\"")
}

/// Adds an object's checksum to an answer.
pub(super) fn with_checksum(reply: Reply, checksum: &Checksum) -> Reply {
    reply
        .with(checksum.algorithm.header(), &checksum.value)
        .with("x-amz-checksum-type", checksum.of.name())
}

/// The object that is asked for. "If the object you request doesn't exist, the error that Amazon S3 returns depends on whether
/// you also have the s3:ListBucket permission."
fn find(cx: &S3Cx<'_>) -> Result<(Object, Content), S3Error> {
    let bucket = cx.bucket()?;
    cx.storage.object(&bucket.name, cx.key()).ok_or_else(|| {
        let arn = super::route::bucket_arn(&bucket.name);
        match (cx.permits)("ListBucket", &arn) {
            true => S3Error::no_such_key(cx.key()),
            false => S3Error::denied(),
        }
    })
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html>
pub(super) fn get(cx: &S3Cx<'_>) -> Result<Reply, S3Error> {
    read(cx, |content, from, length| {
        Answered::Content(content.range(from, length))
    })
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html>
pub(super) fn head(cx: &S3Cx<'_>) -> Result<Reply, S3Error> {
    read(cx, |_, _, length| Answered::Length(length))
}

fn read(cx: &S3Cx<'_>, answer: impl Fn(&Content, u64, u64) -> Answered) -> Result<Reply, S3Error> {
    let (object, content) = find(cx)?;
    let identified = |status| {
        Reply::empty(status)
            .with("ETag", quoted(&object.etag))
            .with(
                "Last-Modified",
                super::super::protocol::http_date(object.modified),
            )
    };
    if conditions::of_read(cx.request, &object)? == Reading::NotModified {
        return Ok(identified(304));
    }
    let range = cx
        .request
        .header("range")
        .map_or(Ok(None), |r| range(r, object.size))?;
    let mut reply = identified(if range.is_some() { 206 } else { 200 })
        .with("Accept-Ranges", "bytes")
        .with("x-amz-server-side-encryption", "AES256");
    for (name, value) in &object.described.headers {
        reply = reply.with(name, value);
    }
    if !object.described.tags.is_empty() {
        reply = reply.with("x-amz-tagging-count", object.described.tags.len());
    }
    let (from, length) = match range {
        Some((from, length)) => {
            let last = from + length - 1;
            reply = reply.with(
                "Content-Range",
                format!("bytes {from}-{last}/{}", object.size),
            );
            (from, length)
        }
        None => (0, object.size),
    };
    // A checksum is of the whole; a range has none.
    if cx.request.header("x-amz-checksum-mode").is_some() && range.is_none() {
        reply = with_checksum(reply, &object.checksum);
    }
    reply.content = answer(&content, from, length);
    Ok(reply)
}

/// The range asked for: where it begins and how long it is; none for a header that is not understood, which HTTP ignores
/// (<https://www.rfc-editor.org/rfc/rfc9110#section-14.2>), as S3 does with several ranges.
fn range(header: &str, size: u64) -> Result<Option<(u64, u64)>, S3Error> {
    let Some((first, last)) = header
        .strip_prefix("bytes=")
        .and_then(|spec| spec.split_once('-'))
    else {
        return Ok(None);
    };
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let (from, to) = match (number(first), number(last)) {
        (Some(from), Some(to)) if from <= to => (from, to.min(size.saturating_sub(1))),
        (Some(from), None) if last.trim().is_empty() => (from, size.saturating_sub(1)),
        (None, Some(suffix)) if first.trim().is_empty() => match suffix {
            0 => (size, size),
            n => (size.saturating_sub(n), size.saturating_sub(1)),
        },
        _ => return Ok(None),
    };
    if from >= size {
        return Err(S3Error::new(
            "InvalidRange",
            416,
            "The requested range is not satisfiable",
        )
        .with("RangeRequested", header)
        .with("ActualObjectSize", size)
        .with_header("Content-Range", format!("bytes */{size}")));
    }
    Ok(Some((from, to - from + 1)))
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObject.html>. An object that is not there is deleted already.
pub(super) fn delete(cx: &S3Cx<'_>) -> Result<Reply, S3Error> {
    let bucket = cx.bucket()?;
    if cx.request.header("if-match").is_some() {
        return Err(S3Error::not_implemented("If-Match of DeleteObject"));
    }
    cx.storage.lock().remove_object(&bucket.name, cx.key())?;
    Ok(Reply::empty(204))
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html>
pub(super) fn delete_many(cx: &S3Cx<'_>, body: &[u8]) -> Result<Reply, S3Error> {
    let bucket = cx.bucket()?;
    let document = xml::read(body, "Delete")?;
    document.only(&["Object", "Quiet"])?;
    let quiet = match document.text_of("Quiet") {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(S3Error::malformed()),
    };
    let mut keys = Vec::new();
    for object in document.each("Object") {
        object.only(&["Key"])?;
        let key = object.text_of("Key").filter(|k| !k.is_empty());
        keys.push(key.ok_or_else(S3Error::malformed)?);
    }
    // "The request can contain a list of up to 1,000 keys that you want to delete."
    if keys.is_empty() || keys.len() > 1_000 {
        return Err(S3Error::malformed());
    }
    let mut denied = Vec::new();
    let mut deleted = Vec::new();
    let mut shelves = cx.storage.lock();
    for key in keys {
        if (cx.permits)("DeleteObject", &object_arn(&bucket.name, key)) {
            shelves.remove_object(&bucket.name, key)?;
            deleted.push(key);
        } else {
            denied.push(key);
        }
    }
    Ok(Reply::xml("DeleteResult", |x| {
        for key in deleted.iter().filter(|_| !quiet) {
            x.node("Deleted", |x| {
                x.put("Key", key);
            });
        }
        for key in &denied {
            x.node("Error", |x| {
                x.put("Key", key)
                    .put("Code", "AccessDenied")
                    .put("Message", "Access Denied");
            });
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let of = |header: &str| range(header, 10).map_err(|e| e.code().to_owned());
        assert_eq!(of("bytes=2-4"), Ok(Some((2, 3))));
        assert_eq!(of("bytes=2-"), Ok(Some((2, 8))));
        assert_eq!(of("bytes=-3"), Ok(Some((7, 3))));
        assert_eq!(of("bytes=-30"), Ok(Some((0, 10))));
        assert_eq!(of("bytes=9-30"), Ok(Some((9, 1))));
        for ignored in [
            "bytes=4-2",
            "bytes=a-b",
            "bytes=",
            "items=0-1",
            "bytes=0-1,3-4",
        ] {
            assert_eq!(of(ignored), Ok(None), "{ignored}");
        }
        for beyond in ["bytes=10-", "bytes=10-11", "bytes=-0"] {
            assert_eq!(of(beyond), Err("InvalidRange".into()), "{beyond}");
        }
        assert!(range("bytes=0-", 0).is_err());
    }
}
