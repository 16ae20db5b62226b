//! Blocks of snapshots and objects in S3: each call of the port with its nature.

use super::CallNature::{Creating, Idempotent, Read};
use super::attempts::Attempts;
use super::calls::repeated_calls;
use crate::port::Result;
use crate::*;
use async_trait::async_trait;
use std::sync::Arc;

/// Blocks whose calls are repeated, but for those that move one block: of these there are thousands at once, and whoever
/// makes them has to see what is refused, for that tells how many may go at once. They are repeated there, and nowhere else.
pub(super) struct RetryingBlocks {
    inner: Arc<dyn SnapshotBlocks>,
    attempts: Arc<Attempts>,
}

impl RetryingBlocks {
    pub(super) fn new(inner: Arc<dyn SnapshotBlocks>, attempts: Arc<Attempts>) -> Self {
        Self { inner, attempts }
    }
}

repeated_calls! {
    impl SnapshotBlocks for RetryingBlocks {
        async fn put(&self, snapshot: &SnapshotId, block: &BlockWrite) -> Result<()> {
            self.inner.put(snapshot, block).await
        }

        async fn get(&self, snapshot: &SnapshotId, block: &ListedBlock) -> Result<BlockContent> {
            self.inner.get(snapshot, block).await
        }
    }
    /// By its ClientToken.
    start(request: &StartRequest) -> StartedSnapshot = Idempotent, "StartSnapshot" of request.description.as_str();
    complete(snapshot: &SnapshotId, written: Written) -> () = Idempotent, "CompleteSnapshot" of snapshot.as_str();
    list(snapshot: &SnapshotId, from: Option<&str>) -> BlockPage = Read, "ListSnapshotBlocks" of snapshot.as_str();
}

/// Objects whose calls are repeated.
pub(super) struct RetryingObjects {
    inner: Arc<dyn Objects>,
    attempts: Arc<Attempts>,
}

impl RetryingObjects {
    pub(super) fn new(inner: Arc<dyn Objects>, attempts: Arc<Attempts>) -> Self {
        Self { inner, attempts }
    }
}

repeated_calls! {
    impl Objects for RetryingObjects {}
    bucket_region(bucket: &str) -> Option<String> = Read, "HeadBucket" of bucket;
    begin_upload(place: &ObjectPlace) -> UploadId = Creating, "CreateMultipartUpload" of &place.to_string();
    /// The same part again takes the place of the first.
    put_part(place: &ObjectPlace, upload: &UploadId, part: &PartWrite) -> UploadedPart = Idempotent, "UploadPart" of &place.to_string();
    parts(place: &ObjectPlace, upload: &UploadId) -> Vec<UploadedPart> = Read, "ListParts" of &place.to_string();
    /// Once it is done there is no such upload any more.
    finish_upload(place: &ObjectPlace, upload: &UploadId, parts: &[UploadedPart]) -> () = Creating, "CompleteMultipartUpload" of &place.to_string();
    uploads(bucket: &str, prefix: &str) -> Vec<(ObjectPlace, UploadId)> = Read, "ListMultipartUploads" of bucket;
    abort_upload(place: &ObjectPlace, upload: &UploadId) -> () = Idempotent, "AbortMultipartUpload" of &place.to_string();
    list(bucket: &str, prefix: &str) -> Vec<ObjectPlace> = Read, "ListObjectsV2" of bucket;
    facts(place: &ObjectPlace) -> Option<ObjectFacts> = Read, "HeadObject" of &place.to_string();
    delete(place: &ObjectPlace) -> () = Idempotent, "DeleteObject" of &place.to_string();
}
