//! Requests that are only to have their effect if something holds.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-reads.html>,
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html>.

use super::S3Cx;
use super::error::S3Error;
use crate::api::protocol::HttpRequest;
use crate::storage::records::Object;
use jiff::Timestamp;
use jiff::fmt::rfc2822;

/// What a read's conditions come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// It goes on.
    Allowed,
    /// The client has it already: 304.
    NotModified,
}

/// Checks a read's conditions.
///
/// # Errors
/// `PreconditionFailed`; `InvalidArgument` for a date that is none.
pub(super) fn of_read(request: &HttpRequest, object: &Object) -> Result<Reading, S3Error> {
    // HTTP's dates have no fractions of a second.
    let modified = object.modified.as_second();
    if let Some(tags) = request.header("if-match") {
        if !matches(tags, &object.etag) {
            return Err(S3Error::precondition("If-Match"));
        }
    } else if date(request, "if-unmodified-since")?.is_some_and(|t| modified > t.as_second()) {
        return Err(S3Error::precondition("If-Unmodified-Since"));
    }
    let has = match request.header("if-none-match") {
        Some(tags) => matches(tags, &object.etag),
        None => date(request, "if-modified-since")?.is_some_and(|t| modified <= t.as_second()),
    };
    Ok(match has {
        true => Reading::NotModified,
        false => Reading::Allowed,
    })
}

/// Checks a write's conditions against what has the key.
///
/// # Errors
/// `PreconditionFailed`; `NoSuchKey` if `If-Match` meets nothing; `NotImplemented` for `If-None-Match` with a tag.
pub(super) fn of_write(cx: &S3Cx<'_>, there: Option<&Object>) -> Result<(), S3Error> {
    match cx.request.header("if-none-match") {
        None => {}
        Some("*") if there.is_none() => {}
        Some("*") => return Err(S3Error::precondition("If-None-Match")),
        Some(_) => return Err(S3Error::not_implemented("If-None-Match but with *")),
    }
    match (cx.request.header("if-match"), there) {
        (None, _) => Ok(()),
        (Some(_), None) => Err(S3Error::no_such_key(cx.key())),
        (Some(tags), Some(object)) if matches(tags, &object.etag) => Ok(()),
        (Some(_), Some(_)) => Err(S3Error::precondition("If-Match")),
    }
}

fn matches(tags: &str, etag: &str) -> bool {
    let mut tags = tags.split(',').map(|t| t.trim().trim_matches('"'));
    tags.any(|tag| tag == "*" || tag == etag)
}

fn date(request: &HttpRequest, name: &'static str) -> Result<Option<Timestamp>, S3Error> {
    let Some(text) = request.header(name) else {
        return Ok(None);
    };
    let parsed = rfc2822::DateTimeParser::new().parse_timestamp(text);
    parsed
        .map(Some)
        .map_err(|_| S3Error::argument(name, text, format!("The date of {name} is not valid")))
}
