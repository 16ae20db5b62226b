//! EBS direct: StartSnapshot, PutSnapshotBlock, CompleteSnapshot, ListSnapshotBlocks, GetSnapshotBlock.

use crate::answer::{BadAnswer, required, unreadable, unsigned};
use crate::classify::failed;
use crate::client_settings::with_times;
use crate::credentials::RenewedCredentials;
use crate::sha256::{decoded, encoded};
use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_ebs::Client;
use aws_sdk_ebs::primitives::{ByteStream, SdkBody};
use aws_sdk_ebs::types::{ChecksumAggregationMethod, ChecksumAlgorithm, Tag};
use bytes::Bytes;
use cloud::port::Result;
use cloud::{
    BlockContent, BlockPage, BlockWrite, CloudError, ListedBlock, Sha256Digest, SnapshotBlocks,
    SnapshotEncryption, SnapshotId, StartRequest, StartedSnapshot, Written,
};
use std::time::Duration;

/// How long one block may take: from the request to the answer's first byte, and in all. EBS answers within tenths of a
/// second; a block is half a mebibyte, which a line of 256 kbit/s needs 16 seconds for.
const READ: Duration = Duration::from_secs(12);
const ATTEMPT: Duration = Duration::from_secs(20);
/// How many blocks a page of ListSnapshotBlocks has at most.
/// <https://docs.aws.amazon.com/ebs/latest/APIReference/API_ListSnapshotBlocks.html>
const PAGE: i32 = 10_000;

/// A region's EBS direct client.
pub(crate) struct AwsBlocks {
    ebs: Client,
    credentials: RenewedCredentials,
}

impl AwsBlocks {
    pub(crate) fn new(settings: &SdkConfig, credentials: RenewedCredentials) -> Self {
        Self {
            ebs: Client::new(&with_times(settings, READ, ATTEMPT)),
            credentials,
        }
    }
}

/// Which block it is as the API has it. A volume of 64 TiB has 2^27.
fn index(index: u32, operation: &'static str) -> Result<i32> {
    i32::try_from(index).map_err(|_| CloudError {
        message: format!("there is no block {index}"),
        ..unreadable(operation)
    })
}

#[async_trait]
impl SnapshotBlocks for AwsBlocks {
    async fn start(&self, request: &StartRequest) -> Result<StartedSnapshot> {
        const CALL: &str = "StartSnapshot";
        let tags = request
            .tags
            .iter()
            .map(|(key, value)| Tag::builder().key(key).value(value).build())
            .collect();
        let (encrypted, key) = match &request.encryption {
            SnapshotEncryption::AsAccount => (None, None),
            SnapshotEncryption::With(key) => (Some(true), key.clone()),
        };
        let call = self
            .ebs
            .start_snapshot()
            .volume_size(request.volume_gib.into())
            .set_parent_snapshot_id(request.parent.as_ref().map(ToString::to_string))
            .set_tags(Some(tags))
            .description(&request.description)
            .client_token(&request.client_token)
            .set_encrypted(encrypted)
            .set_kms_key_arn(key)
            .timeout(i32::try_from(request.idle_minutes).unwrap_or(i32::MAX))
            .send();
        let answer = self
            .credentials
            .sign(async { call.await.map_err(failed(CALL)) })
            .await?;
        let bad = BadAnswer::to(CALL);
        Ok(StartedSnapshot {
            snapshot_id: required(answer.snapshot_id(), "SnapshotId")
                .map(SnapshotId::from)
                .map_err(&bad)?,
            block_bytes: unsigned(answer.block_size(), "BlockSize").map_err(&bad)?,
            kms_key_id: answer.kms_key_arn().map(str::to_owned),
        })
    }

    async fn put(&self, snapshot: &SnapshotId, block: &BlockWrite) -> Result<()> {
        const CALL: &str = "PutSnapshotBlock";
        let length = i32::try_from(block.content.len()).unwrap_or(i32::MAX);
        let call = self
            .ebs
            .put_snapshot_block()
            .snapshot_id(snapshot.as_str())
            .block_index(index(block.index, CALL)?)
            .data_length(length)
            .checksum(encoded(block.digest))
            .checksum_algorithm(ChecksumAlgorithm::ChecksumAlgorithmSha256)
            .block_data(ByteStream::new(SdkBody::from(block.content.clone())))
            .send();
        self.credentials
            .sign(async { call.await.map_err(failed(CALL)) })
            .await
            .map_err(|error| error.about(format!("{snapshot}, block {}", block.index)))?;
        Ok(())
    }

    async fn complete(&self, snapshot: &SnapshotId, written: Written) -> Result<()> {
        const CALL: &str = "CompleteSnapshot";
        let call = self
            .ebs
            .complete_snapshot()
            .snapshot_id(snapshot.as_str())
            .changed_blocks_count(index(written.blocks, CALL)?)
            .checksum(encoded(written.digest))
            .checksum_algorithm(ChecksumAlgorithm::ChecksumAlgorithmSha256)
            .checksum_aggregation_method(ChecksumAggregationMethod::ChecksumAggregationLinear)
            .send();
        self.credentials
            .sign(async { call.await.map_err(failed(CALL)) })
            .await
            .map_err(|error| error.about(snapshot))?;
        Ok(())
    }

    async fn list(&self, snapshot: &SnapshotId, from: Option<&str>) -> Result<BlockPage> {
        const CALL: &str = "ListSnapshotBlocks";
        let call = self
            .ebs
            .list_snapshot_blocks()
            .snapshot_id(snapshot.as_str())
            .max_results(PAGE)
            .set_next_token(from.map(str::to_owned))
            .send();
        let answer = self
            .credentials
            .sign(async { call.await.map_err(failed(CALL)) })
            .await
            .map_err(|error| error.about(snapshot))?;
        let bad = |bad| BadAnswer::to(CALL)(bad).about(snapshot);
        let listed = answer.blocks().iter().map(|block| {
            Ok(ListedBlock {
                index: unsigned(block.block_index(), "BlockIndex")?,
                token: required(block.block_token(), "BlockToken")?.to_owned(),
            })
        });
        Ok(BlockPage {
            blocks: listed
                .collect::<std::result::Result<_, BadAnswer>>()
                .map_err(bad)?,
            volume_gib: unsigned(answer.volume_size(), "VolumeSize").map_err(bad)?,
            block_bytes: unsigned(answer.block_size(), "BlockSize").map_err(bad)?,
            next: answer
                .next_token()
                .filter(|token| !token.is_empty())
                .map(str::to_owned),
        })
    }

    async fn get(&self, snapshot: &SnapshotId, block: &ListedBlock) -> Result<BlockContent> {
        const CALL: &str = "GetSnapshotBlock";
        let about = || format!("{snapshot}, block {}", block.index);
        let call = self
            .ebs
            .get_snapshot_block()
            .snapshot_id(snapshot.as_str())
            .block_index(index(block.index, CALL)?)
            .block_token(&block.token)
            .send();
        let read = async {
            let answer = call.await.map_err(failed(CALL))?;
            let digest = digest(answer.checksum()).map_err(BadAnswer::to(CALL))?;
            // The answer's beginning is bounded by the SDK, its body is not.
            let body = tokio::time::timeout(ATTEMPT, answer.block_data.collect()).await;
            let content: Bytes = match body {
                Ok(Ok(body)) => body.into_bytes(),
                Ok(Err(error)) => return Err(cut_off(CALL, error.to_string())),
                Err(_) => return Err(cut_off(CALL, format!("it took longer than {ATTEMPT:?}"))),
            };
            Ok(BlockContent { content, digest })
        };
        self.credentials
            .sign(read)
            .await
            .map_err(|error| error.about(about()))
    }
}

/// The error of an answer whose body did not come whole.
fn cut_off(operation: &'static str, reason: String) -> CloudError {
    CloudError {
        kind: cloud::ErrorKind::Transient,
        message: format!("the block did not come whole: {reason}"),
        ..unreadable(operation)
    }
}

fn digest(encoded: Option<&str>) -> std::result::Result<Sha256Digest, BadAnswer> {
    const FIELD: &str = "x-amz-Checksum";
    let encoded = required(encoded, FIELD)?;
    decoded(encoded).ok_or_else(|| BadAnswer {
        field: FIELD,
        value: Some(encoded.to_owned()),
    })
}
