//! S3 in memory, as far as disk images go through it. It compares every digest, and an upload that is finished or aborted is
//! no more. <https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html>

use super::account::{FakeAccount, error, lost};
use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use cloud::*;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// The least size of a part that is not the last.
const LEAST_PART: usize = 5 << 20;

/// S3, as one region's endpoint reaches it.
#[derive(Default)]
pub struct Buckets {
    /// The region of each bucket.
    pub regions: BTreeMap<String, String>,
    /// Objects by bucket and key.
    pub objects: BTreeMap<(String, String), Object>,
    /// Uploads under way, by id.
    pub uploads: BTreeMap<String, Begun>,
    /// Every part that was taken, in order.
    pub parts: Vec<(String, u32)>,
    /// The next finished object is another one than was sent.
    pub corrupts: bool,
}

/// An object.
#[derive(Clone)]
pub struct Object {
    pub bytes: Vec<u8>,
    pub checksum: String,
}

/// An upload that has begun.
pub struct Begun {
    pub place: ObjectPlace,
    pub parts: BTreeMap<u32, (Bytes, Sha256Digest)>,
}

fn digest(bytes: &[u8]) -> Sha256Digest {
    Sha256Digest(Sha256::digest(bytes).into())
}

#[async_trait]
impl Objects for FakeAccount {
    async fn bucket_region(&self, bucket: &str) -> Result<Option<String>, CloudError> {
        const CALL: &str = "HeadBucket";
        self.call(CALL)?;
        let region = self.store().buckets.regions.get(bucket).cloned();
        region
            .map(Some)
            .ok_or_else(|| error(CALL, ErrorKind::NotFound))
    }

    async fn begin_upload(&self, place: &ObjectPlace) -> Result<UploadId, CloudError> {
        const CALL: &str = "CreateMultipartUpload";
        let fault = self.call(CALL)?;
        self.bucket(CALL, &place.bucket)?;
        let id = self.id("upload");
        let begun = Begun {
            place: place.clone(),
            parts: BTreeMap::new(),
        };
        self.store().buckets.uploads.insert(id.clone(), begun);
        lost(UploadId(id), fault)
    }

    async fn put_part(
        &self,
        place: &ObjectPlace,
        upload: &UploadId,
        part: &PartWrite,
    ) -> Result<UploadedPart, CloudError> {
        const CALL: &str = "UploadPart";
        let fault = self.call(CALL)?;
        if digest(&part.content) != part.digest {
            return Err(error(CALL, ErrorKind::InvalidInput));
        }
        let mut store = self.store();
        let begun = store.buckets.uploads.get_mut(&upload.0);
        let Some(begun) = begun.filter(|begun| begun.place == *place) else {
            return Err(error(CALL, ErrorKind::NotFound));
        };
        let kept = (part.content.clone(), part.digest);
        begun.parts.insert(part.number, kept);
        store.buckets.parts.push((place.key.clone(), part.number));
        drop(store);
        lost(uploaded(part.number, &part.content, part.digest), fault)
    }

    async fn parts(
        &self,
        _place: &ObjectPlace,
        upload: &UploadId,
    ) -> Result<Vec<UploadedPart>, CloudError> {
        const CALL: &str = "ListParts";
        self.call(CALL)?;
        let store = self.store();
        let Some(begun) = store.buckets.uploads.get(&upload.0) else {
            return Err(error(CALL, ErrorKind::NotFound));
        };
        let parts = begun.parts.iter();
        Ok(parts
            .map(|(number, (content, digest))| uploaded(*number, content, *digest))
            .collect())
    }

    async fn finish_upload(
        &self,
        place: &ObjectPlace,
        upload: &UploadId,
        parts: &[UploadedPart],
    ) -> Result<(), CloudError> {
        const CALL: &str = "CompleteMultipartUpload";
        let fault = self.call(CALL)?;
        let mut store = self.store();
        let Some(begun) = store.buckets.uploads.get(&upload.0) else {
            return Err(error(CALL, ErrorKind::NotFound));
        };
        let there: Vec<UploadedPart> = begun
            .parts
            .iter()
            .map(|(number, (content, digest))| uploaded(*number, content, *digest))
            .collect();
        let small = there.iter().rev().skip(1);
        let small = small.filter(|part| part.bytes < LEAST_PART as u64).count();
        if there != parts || small > 0 || parts.is_empty() {
            return Err(error(CALL, ErrorKind::InvalidInput));
        }
        let mut whole = Sha256::new();
        let mut bytes = Vec::new();
        for (content, digest) in begun.parts.values() {
            whole.update(digest.0);
            bytes.extend_from_slice(content);
        }
        let checksum = format!("{}-{}", BASE64.encode(whole.finalize()), parts.len());
        store.buckets.uploads.remove(&upload.0);
        let mut object = Object { bytes, checksum };
        if std::mem::take(&mut store.buckets.corrupts) {
            object.checksum = format!("{}-{}", BASE64.encode([0; 32]), parts.len());
        }
        let key = (place.bucket.clone(), place.key.clone());
        store.buckets.objects.insert(key, object);
        drop(store);
        lost((), fault)
    }

    async fn uploads(
        &self,
        bucket: &str,
        prefix: &str,
    ) -> Result<Vec<(ObjectPlace, UploadId)>, CloudError> {
        const CALL: &str = "ListMultipartUploads";
        self.call(CALL)?;
        self.bucket(CALL, bucket)?;
        let store = self.store();
        let begun = store.buckets.uploads.iter();
        Ok(begun
            .filter(|(_, begun)| {
                begun.place.bucket == bucket && begun.place.key.starts_with(prefix)
            })
            .map(|(id, begun)| (begun.place.clone(), UploadId(id.clone())))
            .collect())
    }

    async fn abort_upload(&self, _: &ObjectPlace, upload: &UploadId) -> Result<(), CloudError> {
        let fault = self.call("AbortMultipartUpload")?;
        self.store().buckets.uploads.remove(&upload.0);
        lost((), fault)
    }

    async fn list(&self, bucket: &str, prefix: &str) -> Result<Vec<ObjectPlace>, CloudError> {
        const CALL: &str = "ListObjectsV2";
        self.call(CALL)?;
        self.bucket(CALL, bucket)?;
        let store = self.store();
        let keys = store.buckets.objects.keys();
        Ok(keys
            .filter(|(at, key)| at == bucket && key.starts_with(prefix))
            .map(|(bucket, key)| ObjectPlace {
                bucket: bucket.clone(),
                key: key.clone(),
            })
            .collect())
    }

    async fn facts(&self, place: &ObjectPlace) -> Result<Option<ObjectFacts>, CloudError> {
        self.call("HeadObject")?;
        let store = self.store();
        let key = (place.bucket.clone(), place.key.clone());
        Ok(store.buckets.objects.get(&key).map(|object| ObjectFacts {
            bytes: object.bytes.len() as u64,
            checksum: Some(object.checksum.clone()),
            region: store.buckets.regions.get(&place.bucket).cloned(),
        }))
    }

    async fn delete(&self, place: &ObjectPlace) -> Result<(), CloudError> {
        let fault = self.call("DeleteObject")?;
        let key = (place.bucket.clone(), place.key.clone());
        self.store().buckets.objects.remove(&key);
        lost((), fault)
    }
}

fn uploaded(number: u32, content: &Bytes, digest: Sha256Digest) -> UploadedPart {
    UploadedPart {
        number,
        etag: format!("\"{:?}\"", digest),
        bytes: content.len() as u64,
        digest: Some(digest),
    }
}

impl FakeAccount {
    fn bucket(&self, call: &'static str, bucket: &str) -> Result<(), CloudError> {
        match self.store().buckets.regions.contains_key(bucket) {
            true => Ok(()),
            false => Err(error(call, ErrorKind::NotFound)),
        }
    }
}
