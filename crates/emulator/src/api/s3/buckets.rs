//! Buckets.

use super::error::S3Error;
use super::{Reply, S3Cx, xml};
use crate::storage::records::Bucket;
use std::net::Ipv4Addr;

/// The region that has no location constraint.
const NAMELESS: &str = "us-east-1";

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html>
pub(super) fn create(cx: &S3Cx<'_>, body: &[u8]) -> Result<Reply, S3Error> {
    let name = cx.call.bucket();
    if !is_name(name) {
        return Err(S3Error::new(
            "InvalidBucketName",
            400,
            "The specified bucket is not valid.",
        )
        .with("BucketName", name));
    }
    let asked = constraint(body)?;
    // "If you don't specify a Region, the bucket is created in the US East (N. Virginia) Region (us-east-1) by default", and
    // IllegalLocationConstraintException: "You are attempting to access a bucket from a different Region than where the bucket
    // exists."
    if asked.as_deref().unwrap_or(NAMELESS) != cx.region {
        let which = asked.as_deref().unwrap_or("unspecified");
        return Err(S3Error::new(
            "IllegalLocationConstraintException",
            400,
            format!(
                "The {which} location constraint is incompatible for the region specific endpoint this request was sent to."
            ),
        ));
    }
    let mut shelves = cx.storage.lock();
    if let Some(there) = shelves.bucket(name) {
        let own = there.owner == cx.caller.account();
        // "For legacy compatibility, if you re-create an existing bucket that you already own in us-east-1, Amazon S3 returns
        // 200 OK".
        return match own {
            true if there.region == NAMELESS && cx.region == NAMELESS => Ok(made(name)),
            true => Err(S3Error::new(
                "BucketAlreadyOwnedByYou",
                409,
                "Your previous request to create the named bucket succeeded and you already own it.",
            )
            .with("BucketName", name)),
            false => Err(S3Error::new(
                "BucketAlreadyExists",
                409,
                "The requested bucket name is not available. The bucket namespace is shared by all users of the system. Please select a different name and try again.",
            )
            .with("BucketName", name)),
        };
    }
    shelves.add_bucket(Bucket {
        name: name.to_owned(),
        owner: cx.caller.account().to_owned(),
        region: cx.region.to_owned(),
        created: cx.now,
    })?;
    Ok(made(name))
}

fn made(name: &str) -> Reply {
    Reply::empty(200).with("Location", format!("/{name}"))
}

fn constraint(body: &[u8]) -> Result<Option<String>, S3Error> {
    if body.is_empty() {
        return Ok(None);
    }
    let document = xml::read(body, "CreateBucketConfiguration")?;
    document.only(&["LocationConstraint"])?;
    match document.text_of("LocationConstraint") {
        // "us-east-1" is no constraint that can be given.
        Some(region) if region == NAMELESS || crate::account::regions::find(region).is_none() => {
            Err(S3Error::new(
                "InvalidLocationConstraint",
                400,
                "The specified location-constraint is not valid",
            )
            .with("LocationConstraint", region))
        }
        Some(region) => Ok(Some(region.to_owned())),
        None => Ok(None),
    }
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>
fn is_name(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let prefixes = ["xn--", "sthree-", "amzn-s3-demo-"];
    let suffixes = ["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"];
    (3..=63).contains(&name.len())
        && name.chars().all(|c| letter(c) || c == '.' || c == '-')
        && name.starts_with(letter)
        && name.ends_with(letter)
        && !name.contains("..")
        && name.parse::<Ipv4Addr>().is_err()
        && !prefixes.iter().any(|p| name.starts_with(p))
        && !suffixes.iter().any(|s| name.ends_with(s))
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadBucket.html>
pub(super) fn head(cx: &S3Cx<'_>) -> Result<Reply, S3Error> {
    let bucket = cx.bucket()?;
    Ok(Reply::empty(200)
        .with("x-amz-bucket-region", bucket.region)
        .with("x-amz-access-point-alias", false))
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteBucket.html>
pub(super) fn delete(cx: &S3Cx<'_>) -> Result<Reply, S3Error> {
    let bucket = cx.bucket()?;
    let mut shelves = cx.storage.lock();
    if shelves.objects(&bucket.name).is_some_and(|o| !o.is_empty()) {
        return Err(S3Error::new(
            "BucketNotEmpty",
            409,
            "The bucket you tried to delete is not empty",
        )
        .with("BucketName", &bucket.name));
    }
    shelves.remove_bucket(&bucket.name)?;
    Ok(Reply::empty(204))
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketLocation.html>: "Buckets in Region us-east-1 have a
/// LocationConstraint of null."
pub(super) fn location(cx: &S3Cx<'_>) -> Result<Reply, S3Error> {
    let bucket = cx.bucket()?;
    let mut reply = Reply::xml("LocationConstraint", |_| {});
    if bucket.region != NAMELESS
        && let super::Answered::Xml(text) = &mut reply.content
    {
        // The root element itself holds the text.
        *text = text.replace("></", &format!(">{}</", bucket.region));
    }
    Ok(reply)
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListBuckets.html>
pub(super) fn list(cx: &S3Cx<'_>) -> Result<Reply, S3Error> {
    let account = cx.caller.account();
    let prefix = cx.call.query("prefix").unwrap_or_default();
    let region = cx.call.query("bucket-region");
    let after = cx.call.query("continuation-token").unwrap_or_default();
    let most = cx.call.number("max-buckets", 1)?.unwrap_or(10_000);
    if most > 10_000 {
        return Err(S3Error::argument(
            "max-buckets",
            &most.to_string(),
            "Argument maxBuckets must be an integer between 1 and 10000",
        ));
    }
    let shelves = cx.storage.lock();
    let mut buckets = shelves.buckets().filter(|b| {
        b.owner == account
            && b.name.starts_with(prefix)
            && b.name.as_str() > after
            && region.is_none_or(|r| b.region == r)
    });
    let page: Vec<&Bucket> = buckets.by_ref().take(most as usize).collect();
    let more = buckets.next().is_some();
    Ok(Reply::xml("ListAllMyBucketsResult", |x| {
        x.node("Owner", |x| {
            x.put("ID", owner_id(account));
        });
        x.node("Buckets", |x| {
            for bucket in &page {
                x.node("Bucket", |x| {
                    x.put("Name", &bucket.name)
                        .put("CreationDate", time(bucket.created))
                        .put("BucketRegion", &bucket.region);
                });
            }
        });
        if !prefix.is_empty() {
            x.put("Prefix", prefix);
        }
        x.maybe(
            "ContinuationToken",
            page.last().filter(|_| more).map(|b| &b.name),
        );
    }))
}

/// The canonical user id of an account: 64 hexadecimal digits.
pub(super) fn owner_id(account: &str) -> String {
    use sha2::Digest;
    hex::encode(sha2::Sha256::digest(format!("canonical user {account}")))
}

/// A time as S3's XML has it, to the millisecond.
pub(super) fn time(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_the_documentation_allows() {
        for name in ["abc", "my.bucket-1", "0a0"] {
            assert!(is_name(name), "{name}");
        }
        let long = "a".repeat(64);
        for name in [
            "ab",
            "Abc",
            "a_b",
            "-ab",
            "ab.",
            "a..b",
            "1.2.3.4",
            "xn--a",
            "a-s3alias",
            &long,
            "../x",
        ] {
            assert!(!is_name(name), "{name}");
        }
    }
}
