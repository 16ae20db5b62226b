//! Objects in S3, as far as a disk image on its way into EC2 needs them.
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html>

use crate::Sha256Digest;
use crate::port::Result;
use async_trait::async_trait;
use bytes::Bytes;

/// Where an object is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ObjectPlace {
    /// The bucket.
    pub bucket: String,
    /// The key.
    pub key: String,
}

impl std::fmt::Display for ObjectPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

/// A multipart upload that has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadId(pub String);

/// A part that S3 has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadedPart {
    /// Its number, from 1.
    pub number: u32,
    /// What S3 calls its content.
    pub etag: String,
    /// How long it is, in bytes.
    pub bytes: u64,
    /// What S3 says is its SHA-256; none if it does not say.
    pub digest: Option<Sha256Digest>,
}

/// A part that is to be uploaded.
#[derive(Clone, Debug)]
pub struct PartWrite {
    /// Its number, from 1.
    pub number: u32,
    /// Its content.
    pub content: Bytes,
    /// Of the content; S3 compares.
    pub digest: Sha256Digest,
}

/// What S3 says of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectFacts {
    /// How long it is, in bytes.
    pub bytes: u64,
    /// Its checksum as S3 writes it: for an object of several parts, base64 of the SHA-256 over the parts' digests, a
    /// hyphen and the number of parts. None if S3 does not say.
    pub checksum: Option<String>,
    /// The region of its bucket, if S3 says so.
    pub region: Option<String>,
}

/// The objects that a region's endpoint of S3 reaches.
#[async_trait]
pub trait Objects: Send + Sync {
    /// HeadBucket: the region that the bucket is in; none if S3 does not say.
    async fn bucket_region(&self, bucket: &str) -> Result<Option<String>>;
    /// CreateMultipartUpload, with SHA-256 as the checksum of parts and of the whole.
    async fn begin_upload(&self, place: &ObjectPlace) -> Result<UploadId>;
    /// UploadPart.
    async fn put_part(
        &self,
        place: &ObjectPlace,
        upload: &UploadId,
        part: &PartWrite,
    ) -> Result<UploadedPart>;
    /// ListParts, all pages.
    async fn parts(&self, place: &ObjectPlace, upload: &UploadId) -> Result<Vec<UploadedPart>>;
    /// CompleteMultipartUpload. S3 compares each part's checksum with what it has.
    async fn finish_upload(
        &self,
        place: &ObjectPlace,
        upload: &UploadId,
        parts: &[UploadedPart],
    ) -> Result<()>;
    /// ListMultipartUploads: those of a bucket whose keys begin so, all pages.
    async fn uploads(&self, bucket: &str, prefix: &str) -> Result<Vec<(ObjectPlace, UploadId)>>;
    /// AbortMultipartUpload: its parts go.
    async fn abort_upload(&self, place: &ObjectPlace, upload: &UploadId) -> Result<()>;
    /// ListObjectsV2: those of a bucket whose keys begin so, all pages.
    async fn list(&self, bucket: &str, prefix: &str) -> Result<Vec<ObjectPlace>>;
    /// HeadObject with its checksum; none if there is no such object.
    async fn facts(&self, place: &ObjectPlace) -> Result<Option<ObjectFacts>>;
    /// DeleteObject.
    async fn delete(&self, place: &ObjectPlace) -> Result<()>;
}
