//! The texts of an import that have a rule.

use super::text::text;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};
use std::borrow::Cow;
use std::fmt;

/// Where a file is downloaded from: `https://…` or `http://…`, without a user and a fragment.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct DownloadUrl(String);

impl DownloadUrl {
    /// Checks a URL. No message repeats it, for a password may be in it.
    ///
    /// # Errors
    /// A sentence that says what was expected.
    pub fn new(text: impl Into<String>) -> Result<Self, String> {
        let text = text.into();
        let rest = text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"))
            .ok_or("a URL to download from begins with https:// or http://")?;
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.contains('@') {
            return Err(
                "the URL names a user, and qib logs in nowhere to download: leave it out".into(),
            );
        }
        let of_host =
            |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
        if authority.is_empty() || !authority.chars().all(of_host) {
            return Err("the URL names no host to download from".into());
        }
        if rest.contains('#') {
            return Err("a URL to download from has no fragment (#…)".into());
        }
        if !rest.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(
                "a URL holds no spaces and only ASCII characters: write %20 for a space".into(),
            );
        }
        Ok(Self(text))
    }

    /// The URL as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last part of its path; empty if the path has none.
    pub fn file_name(&self) -> &str {
        let rest = self.0.split_once("://").map_or("", |(_, rest)| rest);
        let path = rest.split('?').next().unwrap_or_default();
        path.split_once('/')
            .map_or("", |(_, path)| path.rsplit('/').next().unwrap_or_default())
    }
}

impl fmt::Display for DownloadUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for DownloadUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl<'de> Deserialize<'de> for DownloadUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

impl JsonSchema for DownloadUrl {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "DownloadUrl".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^https?://[A-Za-z0-9._:\\[\\]-]+([/?][!-\"$-~]*)?$" })
    }
}

/// S3 User Guide, "General purpose bucket naming rules": beginnings and ends that are for other kinds of buckets.
const RESERVED_BEGINNINGS: [&str; 3] = ["xn--", "sthree-", "amzn-s3-demo-"];
const RESERVED_ENDS: [&str; 5] = ["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"];

fn is_bucket(text: &str) -> bool {
    let end = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let bytes = text.as_bytes();
    let legal = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-');
    (3..=63).contains(&bytes.len())
        && bytes.iter().all(legal)
        && end(bytes.first())
        && end(bytes.last())
        && !text.contains("..")
        && text.parse::<std::net::Ipv4Addr>().is_err()
        && !RESERVED_BEGINNINGS
            .iter()
            .any(|begin| text.starts_with(begin))
        && !RESERVED_ENDS.iter().any(|end| text.ends_with(end))
}

text!(
    /// A bucket in S3. (S3 User Guide, "General purpose bucket naming rules".)
    BucketName, "^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$",
    "a bucket's name (3 to 63 lower-case letters, digits, '.' and '-', a letter or digit first and last; not an address, \
     not two dots together, none of S3's reserved beginnings and ends)",
    is_bucket
);
text!(
    /// The name of an IAM role (not its ARN). (IAM API, CreateRole: letters, digits and `+=,.@_-`, at most 64.)
    RoleName, "^[A-Za-z0-9+=,.@_-]{1,64}$", "a role's name (not its ARN)",
    |t| (1..=64).contains(&t.len())
        && t.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '=' | ',' | '.' | '@' | '_' | '-'))
);
impl RoleName {
    /// A name that is written in the program.
    pub(crate) fn fixed(name: &'static str) -> Self {
        Self(name.to_owned())
    }
}
text!(
    /// What a file is called in a checksum file: one line.
    ListedName, "^[^\\x00-\\x1f\\x7f]{1,255}$", "a file's name in a checksum file (1 to 255 characters, no control characters)",
    |t| (1..=255).contains(&t.chars().count()) && !t.chars().any(|c| c.is_control())
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_urls_file_is_the_last_part_of_its_path() {
        for (url, name) in [
            ("https://a.example/b/disk.qcow2", "disk.qcow2"),
            ("http://127.0.0.1:8080/disk.raw.xz?x=/y", "disk.raw.xz"),
            ("http://[::1]:80/d", "d"),
            ("https://a.example/b/", ""),
            ("https://a.example", ""),
            ("https://a.example?x=/y", ""),
        ] {
            assert_eq!(DownloadUrl::new(url).unwrap().file_name(), name, "{url}");
        }
    }

    #[test]
    fn what_is_no_url_to_download_from_is_refused_and_not_repeated() {
        for text in [
            "",
            "hunter2",
            "ftp://a.example/hunter2",
            "HTTPS://a.example/hunter2",
            "file:///hunter2",
            "https://",
            "https:///hunter2",
            "https://me:hunter2@a.example/x",
            "https://me@a.example/hunter2",
            "https://a.example/hunter2#x",
            "https://a.example/hunter2 x",
            "https://a.example/hunter2\n",
            "https://a.example/hünter2",
            "https://a b/hunter2",
        ] {
            let why = DownloadUrl::new(text).unwrap_err();
            assert!(!why.contains("hunter2"), "{why}");
        }
    }

    #[test]
    fn buckets_are_named_by_the_rules_of_s3() {
        for good in ["abc", "my-images.example", "0-0", &"a".repeat(63)] {
            assert!(BucketName::new(good).is_ok(), "{good}");
        }
        for bad in [
            "ab",
            "Images",
            "my_images",
            "-ab",
            "ab-",
            ".ab",
            "a..b",
            "192.0.2.1",
            "xn--images",
            "sthree-images",
            "amzn-s3-demo-images",
            "images-s3alias",
            "images--ol-s3",
            "images.mrap",
            "images--x-s3",
            "images--table-s3",
            "s3://images",
            &"a".repeat(64),
        ] {
            assert!(BucketName::new(bad).is_err(), "{bad}");
        }
    }
}
