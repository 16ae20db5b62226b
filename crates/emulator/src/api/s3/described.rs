//! What is said with an object: headers that come back with it, metadata of the client's own, and tags.

use super::error::S3Error;
use super::tagging;
use crate::api::protocol::HttpRequest;
use crate::storage::records::Described;
use std::collections::BTreeMap;

/// Headers that are kept as they are.
const KEPT: [&str; 6] = [
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "expires",
];

/// "the user-defined metadata is limited to 2 KB in size"
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html>).
const MOST_METADATA: usize = 2 * 1024;

/// Reads it.
///
/// # Errors
/// `MetadataTooLarge`; those of tags.
pub(super) fn read(request: &HttpRequest) -> Result<Described, S3Error> {
    let mut headers = BTreeMap::new();
    let mut metadata = 0;
    for (name, value) in &request.headers {
        if let Some(own) = name.strip_prefix("x-amz-meta-") {
            metadata += own.len() + value.len();
            headers.insert(name.clone(), value.clone());
        } else if name == "content-encoding" {
            // "Amazon S3 stores the resulting object without the aws-chunked value in the content-encoding header."
            let codings = value.split(',').map(str::trim);
            let codings: Vec<&str> = codings.filter(|c| *c != "aws-chunked").collect();
            if !codings.is_empty() {
                headers.insert(name.clone(), codings.join(","));
            }
        } else if KEPT.contains(&name.as_str()) {
            headers.insert(name.clone(), value.clone());
        }
    }
    if metadata > MOST_METADATA {
        return Err(S3Error::new(
            "MetadataTooLarge",
            400,
            "Your metadata headers exceed the maximum allowed metadata size",
        )
        .with("Size", metadata)
        .with("MaxSizeAllowed", MOST_METADATA));
    }
    headers
        .entry("content-type".to_owned())
        .or_insert_with(|| "binary/octet-stream".to_owned());
    let tags = match request.header("x-amz-tagging") {
        Some(text) => tagging::of_header(text)?,
        None => BTreeMap::new(),
    };
    Ok(Described { headers, tags })
}
