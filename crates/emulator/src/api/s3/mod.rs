//! S3: REST with XML, as far as it takes to put a disk image there and have it imported.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html>. Buckets are named in the
//! path (path style), as the SDKs do for an endpoint that is an address.
//!
//! ```text
//!  head of the request ─► action ─► signature ─► bucket ─► permission ─► … ─► body, to a file ─► action ─► answer
//! ```
//!
//! | module | subject |
//! |---|---|
//! | [`route`] | which action a request asks for, and that nothing of it is ignored |
//! | [`authenticate`] | who sent it |
//! | [`body`], [`chunked`] | receiving and checking content |
//! | [`xml`] | documents in requests |
//! | `buckets`, `objects`, `listing`, `uploads`, `upload_completion`, `tagging` | the actions |
//! | `conditions`, `described` | headers with a meaning of their own |

pub mod authenticate;
pub mod body;
mod buckets;
pub mod chunked;
mod conditions;
mod described;
pub mod error;
mod listing;
mod objects;
pub mod route;
mod tagging;
mod upload_completion;
mod uploads;
pub mod xml;

use super::caller::Caller;
use super::ec2::xml::Xml;
use super::error::ApiError;
use super::protocol::HttpRequest;
use crate::faults::storage::{Corruption, Stored};
use crate::storage::checksum::Algorithm;
use crate::storage::content::ContentRange;
use crate::storage::records::Bucket;
use crate::storage::{Incoming, Storage};
use body::Received;
use error::S3Error;
use jiff::Timestamp;
use route::{Action, Call};

pub use route::ACTIONS;

/// Longest document of a request: the ten thousand parts of CompleteMultipartUpload.
pub const MOST_DOCUMENT: u64 = 8 << 20;

/// Whether content is stored otherwise than it was received.
pub type Corrupts<'a> = dyn Fn(&Stored<'_>) -> Result<Option<Corruption>, ApiError> + 'a;

/// Whether the caller has a permission, such as `ListBucket`, on a resource.
pub type Permits<'a> = dyn Fn(&str, &str) -> bool + 'a;

/// What an action has to go by.
pub struct S3Cx<'a> {
    /// The buckets.
    pub storage: &'a Storage,
    /// The request's head.
    pub request: &'a HttpRequest,
    /// What it asks for.
    pub call: &'a Call,
    /// Who sent it.
    pub caller: &'a Caller,
    /// The region whose endpoint it came to.
    pub region: &'a str,
    /// The time.
    pub now: Timestamp,
    /// What the caller may do besides.
    pub permits: &'a Permits<'a>,
    /// What is stored corrupted.
    pub corrupts: &'a Corrupts<'a>,
}

/// A body, once it is received.
pub enum Arrived {
    /// There is none.
    Nothing,
    /// A document.
    Document(Vec<u8>),
    /// Content for the storage.
    Content(Incoming, Received),
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// Headers beside `Date`, the request's id and the length.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub content: Answered,
}

/// The body of an answer.
#[derive(Debug)]
pub enum Answered {
    /// None.
    Nothing,
    /// XML.
    Xml(String),
    /// Some of an object.
    Content(ContentRange),
    /// None, where GET would have one of this length.
    Length(u64),
}

impl Reply {
    fn empty(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            content: Answered::Nothing,
        }
    }

    fn xml(root: &str, fill: impl FnOnce(&mut Xml)) -> Self {
        let mut x = Xml::new();
        fill(&mut x);
        Self {
            content: Answered::Xml(format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{root} xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{}</{root}>",
                x.into_text()
            )),
            ..Self::empty(200)
        }
    }

    fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }
}

impl S3Cx<'_> {
    /// The bucket that the request is about: it is there, in this region, and the caller's account owns it.
    ///
    /// # Errors
    /// `NoSuchBucket`, `PermanentRedirect`, `AccessDenied`.
    fn bucket(&self) -> Result<Bucket, S3Error> {
        reachable(self.storage, self.call, self.caller.account(), self.region)?
            .ok_or_else(|| S3Error::no_such_bucket(self.call.bucket()))
    }

    fn key(&self) -> &str {
        self.call.key()
    }
}

/// Whether a request can reach its bucket; none if it is about none. There are no bucket policies here, so a bucket is for its
/// own account alone.
///
/// # Errors
/// `NoSuchBucket`, `PermanentRedirect`, `AccessDenied`.
pub fn reachable(
    storage: &Storage,
    call: &Call,
    account: &str,
    region: &str,
) -> Result<Option<Bucket>, S3Error> {
    if matches!(call.action, Action::ListBuckets | Action::CreateBucket) {
        return Ok(None);
    }
    let name = call.bucket();
    let shelves = storage.lock();
    let bucket = shelves
        .bucket(name)
        .ok_or_else(|| S3Error::no_such_bucket(name))?;
    // https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingRouting.html#Redirects
    if bucket.region != region {
        return Err(S3Error::new(
            "PermanentRedirect",
            301,
            "The bucket you are attempting to access must be addressed using the specified endpoint. Please send all future requests to this endpoint.",
        )
        .with("Endpoint", format!("s3.{}.amazonaws.com", bucket.region))
        .with("Bucket", name)
        .with_header("x-amz-bucket-region", &bucket.region));
    }
    // https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-owner-condition.html
    let expected = call.expected_owner.as_deref();
    match bucket.owner == account && expected.is_none_or(|owner| owner == bucket.owner) {
        true => Ok(Some(bucket.clone())),
        false => Err(S3Error::denied()),
    }
}

/// What a request is refused for before its body is asked for; the algorithm by which its body is to have a checksum.
///
/// # Errors
/// What the action itself would refuse it for.
pub fn check(cx: &S3Cx<'_>) -> Result<Algorithm, S3Error> {
    match cx.call.action {
        Action::UploadPart => uploads::check_part(cx).map(|(_, algorithm)| algorithm),
        Action::PutObject => objects::check_put(cx),
        _ => Ok(Algorithm::Crc64Nvme),
    }
}

/// Carries an action out.
///
/// # Errors
/// S3's refusals.
pub fn run(cx: &S3Cx<'_>, body: Arrived) -> Result<Reply, S3Error> {
    match (cx.call.action, body) {
        (Action::PutObject, Arrived::Content(incoming, received)) => {
            objects::put(cx, incoming, &received)
        }
        (Action::UploadPart, Arrived::Content(incoming, received)) => {
            uploads::put_part(cx, incoming, &received)
        }
        (Action::CreateBucket, Arrived::Document(body)) => buckets::create(cx, &body),
        (Action::DeleteObjects, Arrived::Document(body)) => objects::delete_many(cx, &body),
        (Action::CompleteMultipartUpload, Arrived::Document(body)) => {
            upload_completion::complete(cx, &body)
        }
        (Action::PutObjectTagging, Arrived::Document(body)) => tagging::put(cx, &body),
        (Action::ListBuckets, _) => buckets::list(cx),
        (Action::HeadBucket, _) => buckets::head(cx),
        (Action::DeleteBucket, _) => buckets::delete(cx),
        (Action::GetBucketLocation, _) => buckets::location(cx),
        (Action::ListObjectsV2, _) => listing::objects(cx),
        (Action::ListMultipartUploads, _) => listing::uploads(cx),
        (Action::ListParts, _) => uploads::list_parts(cx),
        (Action::GetObject, _) => objects::get(cx),
        (Action::HeadObject, _) => objects::head(cx),
        (Action::DeleteObject, _) => objects::delete(cx),
        (Action::CreateMultipartUpload, _) => uploads::create(cx),
        (Action::AbortMultipartUpload, _) => uploads::abort(cx),
        (Action::GetObjectTagging, _) => tagging::get(cx),
        // The engine receives a body for each action that has one.
        (_, _) => Err(S3Error::new(
            "InternalError",
            500,
            "the body was not received",
        )),
    }
}
