//! A snapshot's blocks out of EBS, many at once, each compared with its digest.

use super::pace::Pace;
use super::progress::{Transferred, Watch};
use super::upload::Shared;
use bytes::Bytes;
use cloud::{
    BLOCK_BYTES, BlockPage, Clock, CloudError, ErrorKind, ListedBlock, SnapshotBlocks, SnapshotId,
};
use disk::digest::BlockDigest;
use std::sync::Arc;
use tokio::task::JoinSet;

/// Why it failed.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what the variants are")]
pub enum DownloadError<E: std::error::Error + 'static> {
    #[error(transparent)]
    Cloud(#[from] CloudError),
    #[error("EBS says that the blocks of {snapshot} have {found} bytes, and not {BLOCK_BYTES}")]
    BlockSize { snapshot: String, found: usize },
    #[error(
        "block {index} of {snapshot} is not what EBS says it is, {tries} times in a row: its SHA-256 is {found:?}, and should be {wanted:?}"
    )]
    Corrupted {
        snapshot: String,
        index: u32,
        tries: u32,
        found: BlockDigest,
        wanted: BlockDigest,
    },
    #[error("a task of the transfer ended early: {0}")]
    Ended(String),
    #[error(transparent)]
    Taken(E),
}

/// How often a block is read that is not what EBS says it is.
const TRIES: u32 = 3;

/// What EBS lists of a snapshot.
pub struct Listing {
    /// The blocks, by index.
    pub blocks: Vec<ListedBlock>,
    /// The size of the volume, in bytes.
    pub volume_bytes: u64,
}

/// Lists a snapshot's blocks.
///
/// # Errors
/// If EBS refuses, or has blocks of another size.
pub async fn list<E: std::error::Error + 'static>(
    blocks: &dyn SnapshotBlocks,
    snapshot: &SnapshotId,
) -> Result<Listing, DownloadError<E>> {
    let mut listed = Vec::new();
    let mut from: Option<String> = None;
    loop {
        let page: BlockPage = blocks.list(snapshot, from.as_deref()).await?;
        if page.block_bytes != BLOCK_BYTES {
            return Err(DownloadError::BlockSize {
                snapshot: snapshot.to_string(),
                found: page.block_bytes,
            });
        }
        listed.extend(page.blocks);
        match page.next {
            // A page without end would be an endless loop.
            Some(next) if from.as_ref() != Some(&next) => from = Some(next),
            _ => {
                return Ok(Listing {
                    blocks: listed,
                    volume_bytes: u64::from(page.volume_gib) << 30,
                });
            }
        }
    }
}

/// Reads `wanted` and hands each block to `take`, in whatever order they come.
///
/// May be dropped at any time.
///
/// # Errors
/// If EBS refuses a block or sends another than it says, or `take` fails.
pub async fn download<E: std::error::Error + 'static>(
    blocks: &Arc<dyn SnapshotBlocks>,
    clock: &Arc<dyn Clock>,
    snapshot: &SnapshotId,
    wanted: Vec<ListedBlock>,
    watch: &dyn Watch,
    mut take: impl AsyncFnMut(u32, BlockDigest, Bytes) -> Result<(), E>,
) -> Result<(), DownloadError<E>> {
    let mut progress = Transferred {
        done: 0,
        total: wanted.len() as u64 * BLOCK_BYTES as u64,
    };
    watch.moved(progress);
    let shared = Arc::new(Shared::new(clock.now()));
    let mut wanted = wanted.into_iter();
    let mut under_way = JoinSet::new();
    loop {
        while under_way.len() < Pace::at_once(&shared.pace()) {
            let Some(block) = wanted.next() else { break };
            under_way.spawn(get(blocks, clock, snapshot, block, shared.clone()));
        }
        let Some(ended) = under_way.join_next().await else {
            return Ok(());
        };
        let got: Got = ended.map_err(|error| DownloadError::Ended(error.to_string()))??;
        if got.found != got.wanted {
            return Err(DownloadError::Corrupted {
                snapshot: snapshot.to_string(),
                index: got.index,
                tries: TRIES,
                found: got.found,
                wanted: got.wanted,
            });
        }
        take(got.index, got.found, got.content)
            .await
            .map_err(DownloadError::Taken)?;
        shared.answered(clock.now(), under_way.len() + 1);
        progress.done += BLOCK_BYTES as u64;
        watch.moved(progress);
    }
}

/// A block that was read.
struct Got {
    index: u32,
    content: Bytes,
    found: BlockDigest,
    wanted: BlockDigest,
}

fn get(
    blocks: &Arc<dyn SnapshotBlocks>,
    clock: &Arc<dyn Clock>,
    snapshot: &SnapshotId,
    block: ListedBlock,
    shared: Arc<Shared>,
) -> impl Future<Output = Result<Got, CloudError>> + Send + 'static {
    let (blocks, clock, snapshot) = (blocks.clone(), clock.clone(), snapshot.clone());
    async move {
        let mut tries = 0;
        loop {
            let answer = shared
                .repeated(clock.as_ref(), None, || blocks.get(&snapshot, &block))
                .await?;
            if answer.content.len() != BLOCK_BYTES {
                return Err(CloudError {
                    operation: "GetSnapshotBlock",
                    resource: Some(format!("{snapshot}, block {}", block.index)),
                    kind: ErrorKind::Other,
                    code: String::new(),
                    message: format!(
                        "the block has {} bytes, and not {BLOCK_BYTES}",
                        answer.content.len()
                    ),
                    request_id: None,
                });
            }
            let got = Got {
                index: block.index,
                found: BlockDigest::of(&answer.content),
                wanted: BlockDigest::from_bytes(answer.digest.0),
                content: answer.content,
            };
            tries += 1;
            if got.found == got.wanted || tries >= TRIES {
                return Ok(got);
            }
        }
    }
}
