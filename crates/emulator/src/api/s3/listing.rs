//! Lists of objects and of uploads, in pages, with common prefixes.

use super::buckets::{owner_id, time};
use super::error::S3Error;
use super::objects::quoted;
use super::{Reply, S3Cx};
use crate::api::ec2::xml::Xml;
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// "The response might contain fewer keys but will never contain more."
const MOST: usize = 1_000;

/// How keys are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Keys {
    /// "An object key can contain any Unicode character. However, the XML 1.0 parser cannot parse certain characters".
    encoded: bool,
}

const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'*')
    .remove(b'/');

impl Keys {
    fn of(cx: &S3Cx<'_>) -> Result<Self, S3Error> {
        match cx.call.query("encoding-type") {
            None => Ok(Self { encoded: false }),
            Some("url") => Ok(Self { encoded: true }),
            Some(other) => Err(S3Error::argument(
                "encoding-type",
                other,
                "Invalid Encoding Method specified in Request",
            )),
        }
    }

    fn write(self, key: &str) -> String {
        match self.encoded {
            true => utf8_percent_encode(key, ENCODED).to_string(),
            false => key.to_owned(),
        }
    }

    fn said(self, x: &mut Xml) {
        if self.encoded {
            x.put("EncodingType", "url");
        }
    }
}

/// An entry of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Entry<T> {
    Item(T),
    Prefix(String),
}

/// Whether what is at a place in the order has been listed before.
#[derive(Clone, Debug, PartialEq, Eq)]
struct After(String);

impl After {
    /// Whether a key comes after; a key below a prefix that was listed does not.
    fn admits(&self, key: &str, prefix: Option<&str>) -> bool {
        match prefix {
            Some(prefix) => prefix > self.0.as_str(),
            None => key > self.0.as_str(),
        }
    }
}

/// The prefix up to the delimiter that a key is listed under, if it is.
fn common<'k>(key: &'k str, prefix: &str, delimiter: &str) -> Option<&'k str> {
    let rest = key.strip_prefix(prefix).filter(|_| !delimiter.is_empty())?;
    let end = rest.find(delimiter)? + delimiter.len();
    key.get(..prefix.len() + end)
}

/// A page of a sorted list, and whether there is more. Common prefixes count as one each.
fn page<T>(
    items: impl Iterator<Item = (String, T)>,
    (prefix, delimiter): (&str, &str),
    after: &After,
    most: usize,
) -> (Vec<Entry<T>>, bool) {
    let mut entries: Vec<Entry<T>> = Vec::new();
    for (key, item) in items.filter(|(key, _)| key.starts_with(prefix)) {
        let under = common(&key, prefix, delimiter);
        if !after.admits(&key, under) {
            continue;
        }
        if let (Some(under), Some(Entry::Prefix(last))) = (under, entries.last())
            && under == last
        {
            continue;
        }
        if entries.len() == most {
            return (entries, true);
        }
        entries.push(match under {
            Some(under) => Entry::Prefix(under.to_owned()),
            None => Entry::Item(item),
        });
    }
    (entries, false)
}

fn prefixes<T>(x: &mut Xml, keys: Keys, entries: &[Entry<T>]) {
    for entry in entries {
        if let Entry::Prefix(prefix) = entry {
            x.node("CommonPrefixes", |x| {
                x.put("Prefix", keys.write(prefix));
            });
        }
    }
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html>
pub(super) fn objects(cx: &S3Cx<'_>) -> Result<Reply, S3Error> {
    let bucket = cx.bucket()?;
    let keys = Keys::of(cx)?;
    let asked = cx.call.number("max-keys", 0)?.unwrap_or(MOST as u32);
    let most = (asked as usize).min(MOST);
    let (prefix, delimiter) = limits(cx);
    let token = cx.call.query("continuation-token");
    let start = cx.call.query("start-after").unwrap_or_default();
    let after = match token {
        // "StartAfter … is not used if a continuation token is given".
        Some(token) => read_token(token).ok_or_else(|| {
            S3Error::argument(
                "continuation-token",
                token,
                "The continuation token provided is incorrect",
            )
        })?,
        None => start.to_owned(),
    };
    let shelves = cx.storage.lock();
    let all = shelves.objects(&bucket.name).into_iter().flatten();
    let all = all.map(|(key, object)| (key.clone(), object));
    let (entries, more) = page(all, (prefix, delimiter), &After(after), most);
    let last = entries.last().map(|e| match e {
        Entry::Item(object) => object.key.clone(),
        Entry::Prefix(prefix) => prefix.clone(),
    });
    let owner = cx.call.query("fetch-owner") == Some("true");
    Ok(Reply::xml("ListBucketResult", |x| {
        x.put("Name", &bucket.name)
            .put("Prefix", keys.write(prefix));
        if !delimiter.is_empty() {
            x.put("Delimiter", keys.write(delimiter));
        }
        x.maybe("ContinuationToken", token);
        if !start.is_empty() {
            x.put("StartAfter", keys.write(start));
        }
        keys.said(x);
        // With no key at all there is nothing after which to go on.
        let more = more && last.is_some();
        x.put("KeyCount", entries.len())
            .put("MaxKeys", asked)
            .put("IsTruncated", more);
        x.maybe(
            "NextContinuationToken",
            last.filter(|_| more).map(|l| token_of(&l)),
        );
        for entry in &entries {
            let Entry::Item(object) = entry else { continue };
            x.node("Contents", |x| {
                x.put("Key", keys.write(&object.key))
                    .put("LastModified", time(object.modified))
                    .put("ETag", quoted(&object.etag))
                    .put("ChecksumAlgorithm", object.checksum.algorithm.name())
                    .put("ChecksumType", object.checksum.of.name())
                    .put("Size", object.size);
                if owner {
                    x.node("Owner", |x| {
                        x.put("ID", owner_id(&bucket.owner));
                    });
                }
                x.put("StorageClass", "STANDARD");
            });
        }
        prefixes(x, keys, &entries);
    }))
}

fn limits<'a>(cx: &S3Cx<'a>) -> (&'a str, &'a str) {
    let of = |name| cx.call.query(name).unwrap_or_default();
    (of("prefix"), of("delimiter"))
}

fn token_of(last: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(format!("after {last}"))
}

fn read_token(token: &str) -> Option<String> {
    let text = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
    text.strip_prefix("after ").map(str::to_owned)
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListMultipartUploads.html>: by key, and under one key by time.
pub(super) fn uploads(cx: &S3Cx<'_>) -> Result<Reply, S3Error> {
    let bucket = cx.bucket()?;
    let keys = Keys::of(cx)?;
    let asked = cx.call.number("max-uploads", 1)?.unwrap_or(MOST as u32);
    let most = (asked as usize).min(MOST);
    let (prefix, delimiter) = limits(cx);
    let key_marker = cx.call.query("key-marker").unwrap_or_default();
    let id_marker = cx.call.query("upload-id-marker").unwrap_or_default();
    let shelves = cx.storage.lock();
    let mut all: Vec<_> = shelves
        .uploads(&bucket.name)
        .into_iter()
        .flat_map(|u| u.values())
        .collect();
    all.sort_by(|a, b| (&a.key, a.initiated, &a.id).cmp(&(&b.key, b.initiated, &b.id)));
    // "If upload-id-marker is not specified, only the keys lexicographically greater than the specified key-marker will be
    // included in the list."
    let mut passed = false;
    all.retain(|u| match u.key.as_str().cmp(key_marker) {
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Greater => true,
        std::cmp::Ordering::Equal if key_marker.is_empty() => true,
        std::cmp::Ordering::Equal => {
            let shown = passed;
            passed |= u.id == id_marker;
            shown
        }
    });
    let items = all.into_iter().map(|u| (u.key.clone(), u));
    let (entries, more) = page(items, (prefix, delimiter), &After(String::new()), most);
    Ok(Reply::xml("ListMultipartUploadsResult", |x| {
        x.put("Bucket", &bucket.name)
            .put("KeyMarker", keys.write(key_marker))
            .put("UploadIdMarker", id_marker);
        if more && let Some(last) = entries.last() {
            match last {
                Entry::Item(upload) => x
                    .put("NextKeyMarker", keys.write(&upload.key))
                    .put("NextUploadIdMarker", &upload.id),
                Entry::Prefix(prefix) => x.put("NextKeyMarker", keys.write(prefix)),
            };
        }
        x.put("Prefix", keys.write(prefix));
        if !delimiter.is_empty() {
            x.put("Delimiter", keys.write(delimiter));
        }
        keys.said(x);
        x.put("MaxUploads", asked).put("IsTruncated", more);
        for entry in &entries {
            let Entry::Item(upload) = entry else { continue };
            x.node("Upload", |x| {
                x.put("Key", keys.write(&upload.key))
                    .put("UploadId", &upload.id);
                x.node("Initiator", |x| {
                    x.put("ID", &upload.initiator)
                        .put("DisplayName", &upload.initiator);
                });
                x.node("Owner", |x| {
                    x.put("ID", owner_id(&bucket.owner));
                });
                x.put("StorageClass", "STANDARD")
                    .put("Initiated", time(upload.initiated));
                if let Some(algorithm) = upload.algorithm {
                    x.put("ChecksumAlgorithm", algorithm.name())
                        .put("ChecksumType", upload.checksum_type.name());
                }
            });
        }
        prefixes(x, keys, &entries);
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn list(keys: &[&str], delimiter: &str, after: &str, most: usize) -> (Vec<String>, bool) {
        let items = keys.iter().map(|k| ((*k).to_owned(), (*k).to_owned()));
        let (entries, more) = page(items, ("", delimiter), &After(after.to_owned()), most);
        let names = entries.into_iter().map(|e| match e {
            Entry::Item(key) => key,
            Entry::Prefix(prefix) => format!("({prefix})"),
        });
        (names.collect(), more)
    }

    #[test]
    fn what_is_below_a_delimiter_is_one_entry() {
        let keys = ["a", "b/1", "b/2", "c"];
        assert_eq!(
            list(&keys, "/", "", 9),
            (vec!["a".into(), "(b/)".into(), "c".into()], false)
        );
        assert_eq!(
            list(&keys, "/", "", 2),
            (vec!["a".into(), "(b/)".into()], true)
        );
        assert_eq!(list(&keys, "/", "b/", 2), (vec!["c".into()], false));
        assert_eq!(list(&keys, "/", "", 0), (vec![], true));
    }

    proptest! {
        #[test]
        fn pages_together_are_the_whole(keys in proptest::collection::btree_set("[ab/]{1,5}", 0..12), most in 1usize..4, delimiter in "/?") {
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            let (whole, _) = list(&keys, &delimiter, "", 1_000);
            let (mut paged, mut after) = (Vec::new(), String::new());
            loop {
                let (page, more) = list(&keys, &delimiter, &after, most);
                if let Some(last) = page.last() {
                    after = last.trim_matches(['(', ')']).to_owned();
                }
                paged.extend(page);
                if !more { break }
            }
            prop_assert_eq!(paged, whole);
        }
    }
}
