//! S3: HeadBucket, the calls of a multipart upload, HeadObject, ListObjectsV2, DeleteObject.

use crate::answer::{BadAnswer, required, unreadable, unsigned};
use crate::classify::failed;
use crate::client_settings::with_times;
use crate::credentials::RenewedCredentials;
use crate::sha256::{decoded, encoded};
use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use aws_sdk_s3::types::{
    ChecksumAlgorithm, ChecksumMode, ChecksumType, CompletedMultipartUpload, CompletedPart,
};
use cloud::port::Result;
use cloud::{
    CloudError, ErrorKind, ObjectFacts, ObjectPlace, Objects, PartWrite, UploadId, UploadedPart,
};
use std::time::Duration;

/// How long one part may take. A part of 16 MiB needs over two minutes on a line of one Mbit/s; joining the parts of a large
/// object takes S3 minutes. <https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html>
const READ: Duration = Duration::from_secs(4 * 60);
const ATTEMPT: Duration = Duration::from_secs(5 * 60);

/// S3 as seen from one region.
pub(crate) struct AwsObjects {
    s3: Client,
    credentials: RenewedCredentials,
}

impl AwsObjects {
    pub(crate) fn new(settings: &SdkConfig, credentials: RenewedCredentials) -> Self {
        let settings = with_times(settings, READ, ATTEMPT);
        // An endpoint that is not AWS's own need not have a name for every bucket.
        let own_endpoint = settings.endpoint_url().is_some();
        let config = aws_sdk_s3::config::Builder::from(&settings)
            .force_path_style(own_endpoint)
            .build();
        Self {
            s3: Client::from_conf(config),
            credentials,
        }
    }
}

/// The number of a part as the API has it: 1 to 10,000.
fn part_number(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

#[async_trait]
impl Objects for AwsObjects {
    async fn bucket_region(&self, bucket: &str) -> Result<Option<String>> {
        let call = self.s3.head_bucket().bucket(bucket).send();
        // A bucket of another region is answered with a redirection, which names the region.
        let answered = async {
            let error = match call.await {
                Ok(answer) => return Ok(answer.bucket_region().map(str::to_owned)),
                Err(error) => error,
            };
            let elsewhere = error
                .raw_response()
                .filter(|raw| matches!(raw.status().as_u16(), 301 | 307 | 400))
                .and_then(|raw| raw.headers().get("x-amz-bucket-region"));
            match elsewhere {
                Some(region) => Ok(Some(region.to_owned())),
                None => Err(failed("HeadBucket")(error)),
            }
        };
        self.credentials
            .sign(answered)
            .await
            // The answer to HEAD has no body, and so no code.
            .map_err(|error| without_body(error).about(bucket))
    }

    async fn begin_upload(&self, place: &ObjectPlace) -> Result<UploadId> {
        const CALL: &str = "CreateMultipartUpload";
        let call = self
            .s3
            .create_multipart_upload()
            .bucket(&place.bucket)
            .key(&place.key)
            .checksum_algorithm(ChecksumAlgorithm::Sha256)
            .checksum_type(ChecksumType::Composite)
            .send();
        let answer = self
            .credentials
            .sign(async { call.await.map_err(failed(CALL)) })
            .await
            .map_err(|error| error.about(place))?;
        required(answer.upload_id(), "UploadId")
            .map(|id| UploadId(id.to_owned()))
            .map_err(|bad| BadAnswer::to(CALL)(bad).about(place))
    }

    async fn put_part(
        &self,
        place: &ObjectPlace,
        upload: &UploadId,
        part: &PartWrite,
    ) -> Result<UploadedPart> {
        const CALL: &str = "UploadPart";
        let about = || format!("{place}, part {}", part.number);
        let call = self
            .s3
            .upload_part()
            .bucket(&place.bucket)
            .key(&place.key)
            .upload_id(&upload.0)
            .part_number(part_number(part.number))
            .checksum_algorithm(ChecksumAlgorithm::Sha256)
            .checksum_sha256(encoded(part.digest))
            .body(ByteStream::new(SdkBody::from(part.content.clone())))
            .customize()
            // The checksum is signed, and S3 compares it with what arrives.
            .disable_payload_signing()
            .send();
        let answer = self
            .credentials
            .sign(async { call.await.map_err(failed(CALL)) })
            .await
            .map_err(|error| error.about(about()))?;
        Ok(UploadedPart {
            number: part.number,
            etag: required(answer.e_tag(), "ETag")
                .map_err(|bad| BadAnswer::to(CALL)(bad).about(about()))?
                .to_owned(),
            bytes: part.content.len() as u64,
            digest: answer.checksum_sha256().and_then(decoded),
        })
    }

    async fn parts(&self, place: &ObjectPlace, upload: &UploadId) -> Result<Vec<UploadedPart>> {
        const CALL: &str = "ListParts";
        let bad = |bad| BadAnswer::to(CALL)(bad).about(place);
        let listed = async {
            let mut pages = self
                .s3
                .list_parts()
                .bucket(&place.bucket)
                .key(&place.key)
                .upload_id(&upload.0)
                .into_paginator()
                .items()
                .send();
            let mut parts = Vec::new();
            while let Some(part) = pages.try_next().await.map_err(failed(CALL))? {
                let number = required(part.part_number(), "PartNumber").map_err(bad)?;
                parts.push(UploadedPart {
                    number: unsigned(Some(number), "PartNumber").map_err(bad)?,
                    etag: required(part.e_tag(), "ETag").map_err(bad)?.to_owned(),
                    bytes: unsigned(part.size(), "Size").map_err(bad)?,
                    digest: part.checksum_sha256().and_then(decoded),
                });
            }
            Ok(parts)
        };
        self.credentials
            .sign(listed)
            .await
            .map_err(|error: CloudError| error.about(place))
    }

    async fn finish_upload(
        &self,
        place: &ObjectPlace,
        upload: &UploadId,
        parts: &[UploadedPart],
    ) -> Result<()> {
        let parts = parts
            .iter()
            .map(|part| {
                CompletedPart::builder()
                    .part_number(part_number(part.number))
                    .e_tag(&part.etag)
                    .set_checksum_sha256(part.digest.map(encoded))
                    .build()
            })
            .collect();
        let call = self
            .s3
            .complete_multipart_upload()
            .bucket(&place.bucket)
            .key(&place.key)
            .upload_id(&upload.0)
            .multipart_upload(
                CompletedMultipartUpload::builder()
                    .set_parts(Some(parts))
                    .build(),
            )
            .send();
        self.credentials
            .sign(async { call.await.map_err(failed("CompleteMultipartUpload")) })
            .await
            .map_err(|error| error.about(place))?;
        Ok(())
    }

    async fn uploads(&self, bucket: &str, prefix: &str) -> Result<Vec<(ObjectPlace, UploadId)>> {
        const CALL: &str = "ListMultipartUploads";
        let listed = async {
            let mut uploads = Vec::new();
            let (mut key, mut id) = (None, None);
            loop {
                let answer = self
                    .s3
                    .list_multipart_uploads()
                    .bucket(bucket)
                    .prefix(prefix)
                    .set_key_marker(key)
                    .set_upload_id_marker(id)
                    .send()
                    .await
                    .map_err(failed(CALL))?;
                for upload in answer.uploads() {
                    let (Some(key), Some(id)) = (upload.key(), upload.upload_id()) else {
                        continue;
                    };
                    let place = ObjectPlace {
                        bucket: bucket.to_owned(),
                        key: key.to_owned(),
                    };
                    uploads.push((place, UploadId(id.to_owned())));
                }
                key = answer.next_key_marker().map(str::to_owned);
                id = answer.next_upload_id_marker().map(str::to_owned);
                if answer.is_truncated() != Some(true) || key.is_none() {
                    return Ok(uploads);
                }
            }
        };
        self.credentials
            .sign(listed)
            .await
            .map_err(|error: CloudError| error.about(bucket))
    }

    async fn abort_upload(&self, place: &ObjectPlace, upload: &UploadId) -> Result<()> {
        let call = self
            .s3
            .abort_multipart_upload()
            .bucket(&place.bucket)
            .key(&place.key)
            .upload_id(&upload.0)
            .send();
        let aborted = self
            .credentials
            .sign(async { call.await.map_err(failed("AbortMultipartUpload")) })
            .await;
        gone_is_done(aborted.map(|_| ()), place)
    }

    async fn list(&self, bucket: &str, prefix: &str) -> Result<Vec<ObjectPlace>> {
        let listed = async {
            let mut pages = self
                .s3
                .list_objects_v2()
                .bucket(bucket)
                .prefix(prefix)
                .into_paginator()
                .send();
            let mut objects = Vec::new();
            while let Some(page) = pages.try_next().await.map_err(failed("ListObjectsV2"))? {
                let keys = page.contents().iter().filter_map(|object| object.key());
                objects.extend(keys.map(|key| ObjectPlace {
                    bucket: bucket.to_owned(),
                    key: key.to_owned(),
                }));
            }
            Ok(objects)
        };
        self.credentials
            .sign(listed)
            .await
            .map_err(|error: CloudError| error.about(bucket))
    }

    async fn facts(&self, place: &ObjectPlace) -> Result<Option<ObjectFacts>> {
        let call = self
            .s3
            .head_object()
            .bucket(&place.bucket)
            .key(&place.key)
            .checksum_mode(ChecksumMode::Enabled)
            .send();
        let answer = self
            .credentials
            .sign(async { call.await.map_err(failed("HeadObject")) })
            .await
            .map_err(|error| without_body(error).about(place));
        match answer {
            Ok(answer) => Ok(Some(ObjectFacts {
                bytes: unsigned(answer.content_length(), "Content-Length")
                    .map_err(|bad| BadAnswer::to("HeadObject")(bad).about(place))?,
                checksum: answer.checksum_sha256().map(str::to_owned),
                region: None,
            })),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn delete(&self, place: &ObjectPlace) -> Result<()> {
        let call = self
            .s3
            .delete_object()
            .bucket(&place.bucket)
            .key(&place.key)
            .send();
        let deleted = self
            .credentials
            .sign(async { call.await.map_err(failed("DeleteObject")) })
            .await;
        gone_is_done(deleted.map(|_| ()), place)
    }
}

fn gone_is_done(result: Result<()>, place: &ObjectPlace) -> Result<()> {
    match result {
        Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
        other => other.map_err(|error| error.about(place)),
    }
}

/// The error of a HEAD, whose answer has a status and nothing else.
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadBucket.html>
fn without_body(error: CloudError) -> CloudError {
    let status = |text: &str| error.message.contains(&format!("HTTP status {text}"));
    let (kind, message) =
        if error.code == "NotFound" || error.code == "NoSuchBucket" || status("404") {
            (ErrorKind::NotFound, "there is none of that name")
        } else if status("403") {
            (
                ErrorKind::AccessDenied,
                "these credentials may not see it, or it is not there",
            )
        } else if status("301") || status("400") {
            (ErrorKind::InvalidInput, "it is in another region")
        } else {
            return error;
        };
    CloudError {
        kind,
        message: format!("{message} ({})", error.message),
        ..unreadable(error.operation)
    }
}
