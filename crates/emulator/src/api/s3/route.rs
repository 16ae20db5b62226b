//! Which action a request asks for, and that nothing of the request is ignored.
//!
//! A query parameter or an `x-amz-` header that the action does not have here is refused with `NotImplemented` (501), which is
//! S3's own code for "a header you provided implies functionality that is not implemented".

use super::error::S3Error;
use crate::api::ec2::Access;
use crate::api::protocol::HttpRequest;
use crate::storage::checksum::Algorithm;
use percent_encoding::percent_decode_str;
use std::collections::BTreeMap;

/// An action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "they are S3's own names")]
pub enum Action {
    AbortMultipartUpload,
    CompleteMultipartUpload,
    CreateBucket,
    CreateMultipartUpload,
    DeleteBucket,
    DeleteObject,
    DeleteObjects,
    GetBucketLocation,
    GetObject,
    GetObjectTagging,
    HeadBucket,
    HeadObject,
    ListBuckets,
    ListMultipartUploads,
    ListObjectsV2,
    ListParts,
    PutObject,
    PutObjectTagging,
    UploadPart,
}

/// Every action there is.
pub const ACTIONS: [&str; 19] = [
    "AbortMultipartUpload",
    "CompleteMultipartUpload",
    "CreateBucket",
    "CreateMultipartUpload",
    "DeleteBucket",
    "DeleteObject",
    "DeleteObjects",
    "GetBucketLocation",
    "GetObject",
    "GetObjectTagging",
    "HeadBucket",
    "HeadObject",
    "ListBuckets",
    "ListMultipartUploads",
    "ListObjectsV2",
    "ListParts",
    "PutObject",
    "PutObjectTagging",
    "UploadPart",
];

/// What the body of a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyKind {
    /// There is none.
    None,
    /// A document that goes to memory.
    Document,
    /// Content that goes to a file.
    Content,
}

/// A request whose action is known.
#[derive(Clone, Debug)]
pub struct Call {
    /// The action.
    pub action: Action,
    bucket: String,
    key: String,
    query: BTreeMap<String, String>,
    /// `x-amz-expected-bucket-owner`.
    pub expected_owner: Option<String>,
}

impl Action {
    /// S3's name.
    pub fn name(self) -> &'static str {
        // Both are in the same order.
        ACTIONS[self as usize]
    }

    /// Whether it can change anything.
    pub fn access(self) -> Access {
        let looks = ["Get", "Head", "List"];
        match looks.iter().any(|l| self.name().starts_with(l)) {
            true => Access::Read,
            false => Access::Write,
        }
    }

    /// The permission that it needs, without `s3:`; on the bucket, the object, or `*`. See
    /// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html>. DeleteObjects asks for each
    /// object by itself.
    pub fn permission(self) -> Option<&'static str> {
        Some(match self {
            Self::DeleteObjects => return None,
            Self::CompleteMultipartUpload
            | Self::CreateMultipartUpload
            | Self::UploadPart
            | Self::PutObject => "PutObject",
            Self::GetObject | Self::HeadObject => "GetObject",
            Self::HeadBucket | Self::ListObjectsV2 => "ListBucket",
            Self::ListBuckets => "ListAllMyBuckets",
            Self::ListMultipartUploads => "ListBucketMultipartUploads",
            Self::ListParts => "ListMultipartUploadParts",
            other => other.name(),
        })
    }

    /// What its body is.
    pub fn body(self) -> BodyKind {
        match self {
            Self::PutObject | Self::UploadPart => BodyKind::Content,
            Self::CompleteMultipartUpload
            | Self::CreateBucket
            | Self::DeleteObjects
            | Self::PutObjectTagging => BodyKind::Document,
            _ => BodyKind::None,
        }
    }

    fn queries(self) -> &'static [&'static str] {
        match self {
            Self::ListBuckets => &[
                "bucket-region",
                "continuation-token",
                "max-buckets",
                "prefix",
            ],
            Self::ListObjectsV2 => &[
                "continuation-token",
                "delimiter",
                "encoding-type",
                "fetch-owner",
                "list-type",
                "max-keys",
                "prefix",
                "start-after",
            ],
            Self::ListMultipartUploads => &[
                "delimiter",
                "encoding-type",
                "key-marker",
                "max-uploads",
                "prefix",
                "upload-id-marker",
                "uploads",
            ],
            Self::ListParts => &["max-parts", "part-number-marker", "uploadId"],
            Self::UploadPart => &["partNumber", "uploadId"],
            Self::CompleteMultipartUpload | Self::AbortMultipartUpload => &["uploadId"],
            Self::CreateMultipartUpload => &["uploads"],
            Self::DeleteObjects => &["delete"],
            Self::GetBucketLocation => &["location"],
            Self::GetObjectTagging | Self::PutObjectTagging => &["tagging"],
            Self::CreateBucket
            | Self::DeleteBucket
            | Self::DeleteObject
            | Self::GetObject
            | Self::HeadBucket
            | Self::HeadObject
            | Self::PutObject => &[],
        }
    }

    /// The headers beginning with `x-amz-` that it has beside those that all have.
    fn headers(self) -> &'static [&'static str] {
        match self {
            Self::PutObject => &[
                "x-amz-acl",
                "x-amz-server-side-encryption",
                "x-amz-storage-class",
                "x-amz-tagging",
            ],
            Self::CreateMultipartUpload => &[
                "x-amz-acl",
                "x-amz-checksum-algorithm",
                "x-amz-checksum-type",
                "x-amz-server-side-encryption",
                "x-amz-storage-class",
                "x-amz-tagging",
            ],
            Self::CompleteMultipartUpload => &["x-amz-checksum-type", "x-amz-mp-object-size"],
            Self::GetObject | Self::HeadObject => &["x-amz-checksum-mode"],
            Self::CreateBucket => &["x-amz-acl", "x-amz-object-ownership"],
            _ => &[],
        }
    }
}

const OF_ALL: [&str; 5] = [
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-expected-bucket-owner",
    "x-amz-security-token",
    "x-amz-user-agent",
];

const OF_BODIES: [&str; 3] = [
    "x-amz-decoded-content-length",
    "x-amz-sdk-checksum-algorithm",
    "x-amz-trailer",
];

/// Headers whose other values ask for something that there is not.
const VALUES: [(&str, &[&str]); 6] = [
    ("x-amz-acl", &["private", "bucket-owner-full-control"]),
    ("x-amz-checksum-mode", &["ENABLED"]),
    ("x-amz-object-ownership", &["BucketOwnerEnforced"]),
    ("x-amz-server-side-encryption", &["AES256"]),
    ("x-amz-storage-class", &["STANDARD"]),
    ("x-amz-checksum-type", &["COMPOSITE", "FULL_OBJECT"]),
];

impl Call {
    /// Reads a request's head.
    ///
    /// # Errors
    /// `MethodNotAllowed`, `NotImplemented`, `InvalidURI`, `KeyTooLongError`.
    pub fn read(request: &HttpRequest) -> Result<Self, S3Error> {
        let path = percent_decode_str(&request.path)
            .decode_utf8()
            .map_err(|_| S3Error::new("InvalidURI", 400, "Couldn't parse the specified URI."))?;
        let path = path.strip_prefix('/').unwrap_or(&path);
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        // "The name for a key is a sequence of Unicode characters whose UTF-8 encoding is at most 1,024 bytes long."
        if key.len() > 1024 {
            return Err(S3Error::new("KeyTooLongError", 400, "Your key is too long")
                .with("Size", key.len())
                .with("MaxSizeAllowed", 1024));
        }
        let query: BTreeMap<String, String> = form_urlencoded::parse(request.query.as_bytes())
            .into_owned()
            .collect();
        let place = match (bucket.is_empty(), key.is_empty()) {
            (true, true) => Place::Service,
            (true, false) => {
                return Err(S3Error::new(
                    "InvalidBucketName",
                    400,
                    "The specified bucket is not valid.",
                ));
            }
            (false, true) => Place::Bucket,
            (false, false) => Place::Object,
        };
        let action = find(&request.method, place, &query)?;
        let call = Self {
            action,
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            query,
            expected_owner: request
                .header("x-amz-expected-bucket-owner")
                .map(str::to_owned),
        };
        call.refuse_unknown(request)?;
        Ok(call)
    }

    /// The bucket's name; empty if it is about none.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// The object's key; empty if it is about none.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// A query parameter.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    /// A number in the query, `least` at least.
    ///
    /// # Errors
    /// `InvalidArgument`.
    pub fn number(&self, name: &str, least: u32) -> Result<Option<u32>, S3Error> {
        let Some(text) = self.query(name).filter(|t| !t.is_empty()) else {
            return Ok(None);
        };
        match text.parse().ok().filter(|n| *n >= least) {
            Some(number) => Ok(Some(number)),
            None => Err(S3Error::argument(
                name,
                text,
                format!("Provided {name} not an integer or within integer range"),
            )),
        }
    }

    /// What it is about, as policies name it.
    pub fn arn(&self) -> String {
        match (self.bucket.is_empty(), self.key.is_empty()) {
            (true, _) => "*".to_owned(),
            (_, true) => bucket_arn(&self.bucket),
            _ => object_arn(&self.bucket, &self.key),
        }
    }

    fn refuse_unknown(&self, request: &HttpRequest) -> Result<(), S3Error> {
        let known = self.action.queries();
        let unknown = |name: &&String| *name != "x-id" && !known.contains(&name.as_str());
        if let Some(name) = self.query.keys().find(unknown) {
            let action = self.action.name();
            return Err(S3Error::not_implemented(&format!(
                "the query parameter {name} of {action}"
            )));
        }
        let own = self.action.headers();
        let described = matches!(
            self.action,
            Action::PutObject | Action::CreateMultipartUpload
        );
        let body = self.action.body() != BodyKind::None;
        for (name, value) in &request.headers {
            let name = name.as_str();
            if !name.starts_with("x-amz-") {
                continue;
            }
            let checksum = Algorithm::ALL.iter().any(|a| a.header() == name);
            let known = OF_ALL.contains(&name)
                || own.contains(&name)
                || body && (OF_BODIES.contains(&name) || checksum)
                || described && name.starts_with("x-amz-meta-");
            let values = VALUES.iter().find(|(n, _)| *n == name);
            let fits = values.is_none_or(|(_, values)| values.contains(&value.as_str()));
            if !known || !fits {
                let what = match known {
                    true => format!("{name}: {value}"),
                    false => format!("the header {name} of {}", self.action.name()),
                };
                return Err(S3Error::not_implemented(&what).with("Header", name));
            }
        }
        Ok(())
    }
}

/// A bucket, as policies name it.
pub fn bucket_arn(bucket: &str) -> String {
    format!("arn:aws:s3:::{bucket}")
}

/// An object, as policies name it.
pub fn object_arn(bucket: &str, key: &str) -> String {
    format!("arn:aws:s3:::{bucket}/{key}")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Service,
    Bucket,
    Object,
}

fn find(method: &str, place: Place, query: &BTreeMap<String, String>) -> Result<Action, S3Error> {
    let has = |name: &str| query.contains_key(name);
    let action = match (place, method) {
        (Place::Service, "GET") => Some(Action::ListBuckets),
        (Place::Bucket, "PUT") => Some(Action::CreateBucket),
        (Place::Bucket, "HEAD") => Some(Action::HeadBucket),
        (Place::Bucket, "DELETE") => Some(Action::DeleteBucket),
        (Place::Bucket, "GET") if has("location") => Some(Action::GetBucketLocation),
        (Place::Bucket, "GET") if has("uploads") => Some(Action::ListMultipartUploads),
        (Place::Bucket, "GET") if query.get("list-type").is_some_and(|t| t == "2") => {
            Some(Action::ListObjectsV2)
        }
        (Place::Bucket, "POST") if has("delete") => Some(Action::DeleteObjects),
        (Place::Object, "PUT") if has("uploadId") || has("partNumber") => Some(Action::UploadPart),
        (Place::Object, "PUT") if has("tagging") => Some(Action::PutObjectTagging),
        (Place::Object, "PUT") => Some(Action::PutObject),
        (Place::Object, "GET") if has("uploadId") => Some(Action::ListParts),
        (Place::Object, "GET") if has("tagging") => Some(Action::GetObjectTagging),
        (Place::Object, "GET") => Some(Action::GetObject),
        (Place::Object, "HEAD") => Some(Action::HeadObject),
        (Place::Object, "DELETE") if has("uploadId") => Some(Action::AbortMultipartUpload),
        (Place::Object, "DELETE") => Some(Action::DeleteObject),
        (Place::Object, "POST") if has("uploads") => Some(Action::CreateMultipartUpload),
        (Place::Object, "POST") if has("uploadId") => Some(Action::CompleteMultipartUpload),
        _ => None,
    };
    action.ok_or_else(|| match method {
        "GET" | "PUT" | "POST" | "DELETE" | "HEAD" => {
            let names: Vec<&str> = query.keys().map(String::as_str).collect();
            S3Error::not_implemented(&format!("{method} with the query {:?}", names.join("&")))
        }
        _ => S3Error::new(
            "MethodNotAllowed",
            405,
            "The specified method is not allowed against this resource.",
        )
        .with("Method", method),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, path: &str, query: &str, headers: &[(&str, &str)]) -> HttpRequest {
        HttpRequest {
            method: method.into(),
            path: path.into(),
            query: query.into(),
            headers: headers
                .iter()
                .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
                .collect(),
            body: Vec::new(),
        }
    }

    #[test]
    fn each_name_is_its_actions() {
        for (method, path, query, name) in [
            ("GET", "/", "", "ListBuckets"),
            ("PUT", "/b", "", "CreateBucket"),
            ("HEAD", "/b/", "", "HeadBucket"),
            ("DELETE", "/b", "", "DeleteBucket"),
            ("GET", "/b", "location", "GetBucketLocation"),
            ("GET", "/b", "list-type=2&prefix=x%2F", "ListObjectsV2"),
            ("GET", "/b", "uploads", "ListMultipartUploads"),
            ("POST", "/b", "delete", "DeleteObjects"),
            ("PUT", "/b/k", "x-id=PutObject", "PutObject"),
            ("PUT", "/b/k", "partNumber=1&uploadId=u", "UploadPart"),
            ("PUT", "/b/k", "tagging", "PutObjectTagging"),
            ("GET", "/b/k", "tagging", "GetObjectTagging"),
            ("GET", "/b/k", "", "GetObject"),
            ("GET", "/b/k", "uploadId=u", "ListParts"),
            ("HEAD", "/b/k", "", "HeadObject"),
            ("DELETE", "/b/k", "", "DeleteObject"),
            ("DELETE", "/b/k", "uploadId=u", "AbortMultipartUpload"),
            ("POST", "/b/k", "uploads", "CreateMultipartUpload"),
            ("POST", "/b/k", "uploadId=u", "CompleteMultipartUpload"),
        ] {
            let call = Call::read(&request(method, path, query, &[])).unwrap();
            assert_eq!(call.action.name(), name);
        }
    }

    #[test]
    fn keys_are_decoded_once() {
        let call = Call::read(&request("GET", "/b/a%2Fb%20c//%252F+", "", &[])).unwrap();
        assert_eq!(call.key(), "a/b c//%2F+");
        assert_eq!(call.arn(), "arn:aws:s3:::b/a/b c//%2F+");
    }

    #[test]
    fn what_is_not_there_is_refused_and_never_ignored() {
        let refused = |method: &str, path: &str, query: &str, headers: &[(&str, &str)]| {
            let e = Call::read(&request(method, path, query, headers)).unwrap_err();
            e.code().to_owned()
        };
        for (method, path, query) in [
            ("GET", "/b", ""),
            ("GET", "/b", "versions"),
            ("PUT", "/b", "versioning"),
            ("GET", "/b/k", "versionId=1"),
            ("POST", "/b/k", ""),
        ] {
            assert_eq!(
                refused(method, path, query, &[]),
                "NotImplemented",
                "{query}"
            );
        }
        for header in [
            ("x-amz-copy-source", "/b/k"),
            ("x-amz-storage-class", "GLACIER"),
            ("x-amz-server-side-encryption", "aws:kms"),
            ("x-amz-acl", "public-read"),
            ("x-amz-website-redirect-location", "/"),
        ] {
            assert_eq!(refused("PUT", "/b/k", "", &[header]), "NotImplemented");
        }
        assert_eq!(
            refused("HEAD", "/b/k", "", &[("x-amz-tagging", "a=b")]),
            "NotImplemented"
        );
        assert_eq!(refused("PATCH", "/b/k", "", &[]), "MethodNotAllowed");
        assert_eq!(refused("GET", "/b/%ff", "", &[]), "InvalidURI");
        let long = format!("/b/{}", "k".repeat(1025));
        assert_eq!(refused("GET", &long, "", &[]), "KeyTooLongError");
    }
}
