//! S3's refusals.
//!
//! Codes, statuses and words: <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#ErrorCodeList>.

use crate::api::ec2::xml::Xml;
use crate::api::error::ApiError;
use std::borrow::Cow;

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Error {
    code: Cow<'static, str>,
    message: Cow<'static, str>,
    status: u16,
    /// Further elements of the answer.
    details: Vec<(&'static str, String)>,
    /// Headers of the answer.
    headers: Vec<(&'static str, String)>,
}

impl S3Error {
    /// A refusal with a code, a status and a message.
    pub fn new(
        code: impl Into<Cow<'static, str>>,
        status: u16,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
            status,
            details: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// The same with a further element.
    pub fn with(mut self, element: &'static str, value: impl ToString) -> Self {
        self.details.push((element, value.to_string()));
        self
    }

    /// The same with a header.
    pub fn with_header(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }

    /// The code.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Headers that the answer has beside the usual ones.
    pub fn headers(&self) -> &[(&'static str, String)] {
        &self.headers
    }

    /// The answer's XML.
    pub fn xml(&self, resource: &str, request_id: &str) -> String {
        let mut x = Xml::new();
        x.node("Error", |x| {
            x.put("Code", &self.code).put("Message", &self.message);
            for (element, value) in &self.details {
                x.put(element, value);
            }
            x.put("Resource", resource).put("RequestId", request_id);
        });
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{}",
            x.into_text()
        )
    }

    /// `AccessDenied`.
    pub fn denied() -> Self {
        Self::new("AccessDenied", 403, "Access Denied")
    }

    /// `InvalidRequest`.
    pub fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new("InvalidRequest", 400, message)
    }

    /// `InvalidArgument`, naming what it is about.
    pub fn argument(name: &str, value: &str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new("InvalidArgument", 400, message)
            .with("ArgumentName", name)
            .with("ArgumentValue", value)
    }

    /// `NotImplemented`: "A header that you provided implies functionality that is not implemented." Nothing that a client
    /// asks for is ignored.
    pub fn not_implemented(what: &str) -> Self {
        Self::new(
            "NotImplemented",
            501,
            format!("The local EC2's S3 does not implement {what}."),
        )
    }

    /// `MalformedXML`.
    pub fn malformed() -> Self {
        Self::new(
            "MalformedXML",
            400,
            "The XML you provided was not well-formed or did not validate against our published schema",
        )
    }

    /// `NoSuchBucket`.
    pub fn no_such_bucket(name: &str) -> Self {
        Self::new("NoSuchBucket", 404, "The specified bucket does not exist")
            .with("BucketName", name)
    }

    /// `NoSuchKey`.
    pub fn no_such_key(key: &str) -> Self {
        Self::new("NoSuchKey", 404, "The specified key does not exist.").with("Key", key)
    }

    /// `NoSuchUpload`.
    pub fn no_such_upload(id: &str) -> Self {
        Self::new(
            "NoSuchUpload",
            404,
            "The specified multipart upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.",
        )
        .with("UploadId", id)
    }

    /// `PreconditionFailed`.
    pub fn precondition(condition: &'static str) -> Self {
        Self::new(
            "PreconditionFailed",
            412,
            "At least one of the pre-conditions you specified did not hold",
        )
        .with("Condition", condition)
    }

    /// `BadDigest`, of a checksum of that name.
    pub fn bad_digest(name: &str) -> Self {
        Self::new(
            "BadDigest",
            400,
            format!("The {name} you specified did not match the calculated checksum."),
        )
    }
}

impl From<ApiError> for S3Error {
    fn from(e: ApiError) -> Self {
        Self::new(e.code().to_owned(), e.status(), e.message().to_owned())
    }
}

impl From<std::io::Error> for S3Error {
    fn from(e: std::io::Error) -> Self {
        tracing::error!("S3: {e}");
        Self::new("InternalError", 500, format!("The local EC2's S3: {e}"))
    }
}
