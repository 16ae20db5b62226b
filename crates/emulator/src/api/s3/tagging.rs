//! Tags of objects.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html>: ten at most, keys of up to 128 and values of up to
//! 256 characters.

use super::error::S3Error;
use super::{Reply, S3Cx, xml};
use std::collections::BTreeMap;

const MOST: usize = 10;

/// Reads the header `x-amz-tagging`, "encoded as URL Query parameters".
pub(super) fn of_header(text: &str) -> Result<BTreeMap<String, String>, S3Error> {
    let pairs = form_urlencoded::parse(text.as_bytes()).into_owned();
    checked(pairs)
}

fn checked(
    pairs: impl Iterator<Item = (String, String)>,
) -> Result<BTreeMap<String, String>, S3Error> {
    let invalid = |message: &'static str| Err(S3Error::new("InvalidTag", 400, message));
    let mut tags = BTreeMap::new();
    for (key, value) in pairs {
        if key.is_empty() || key.chars().count() > 128 {
            return invalid("The TagKey you have provided is invalid");
        }
        if value.chars().count() > 256 {
            return invalid("The TagValue you have provided is invalid");
        }
        if key.starts_with("aws:") {
            return invalid("System tags cannot be added/updated by requester");
        }
        if tags.insert(key, value).is_some() {
            return invalid("Cannot provide multiple Tags with the same key");
        }
    }
    match tags.len() > MOST {
        true => Err(S3Error::new(
            "BadRequest",
            400,
            "Object tags cannot be greater than 10",
        )),
        false => Ok(tags),
    }
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectTagging.html>
pub(super) fn get(cx: &S3Cx<'_>) -> Result<Reply, S3Error> {
    let bucket = cx.bucket()?;
    let (object, _) = cx
        .storage
        .object(&bucket.name, cx.key())
        .ok_or_else(|| S3Error::no_such_key(cx.key()))?;
    Ok(Reply::xml("Tagging", |x| {
        x.node("TagSet", |x| {
            for (key, value) in &object.described.tags {
                x.node("Tag", |x| {
                    x.put("Key", key).put("Value", value);
                });
            }
        });
    }))
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectTagging.html>
pub(super) fn put(cx: &S3Cx<'_>, body: &[u8]) -> Result<Reply, S3Error> {
    let bucket = cx.bucket()?;
    let document = xml::read(body, "Tagging")?;
    document.only(&["TagSet"])?;
    let mut pairs = Vec::new();
    for set in &document.children {
        set.only(&["Tag"])?;
        for tag in &set.children {
            tag.only(&["Key", "Value"])?;
            let (key, value) = (tag.text_of("Key"), tag.text_of("Value"));
            let (Some(key), Some(value)) = (key, value) else {
                return Err(S3Error::malformed());
            };
            pairs.push((key.to_owned(), value.to_owned()));
        }
    }
    let tags = checked(pairs.into_iter())?;
    let mut shelves = cx.storage.lock();
    let there = shelves
        .objects(&bucket.name)
        .map(|o| o.contains_key(cx.key()));
    if there != Some(true) {
        return Err(S3Error::no_such_key(cx.key()));
    }
    shelves.change_object(&bucket.name, cx.key(), |o| o.described.tags = tags)?;
    Ok(Reply::empty(200))
}
