//! A disk into a snapshot that was started: block by block, many at once.
//!
//! ```text
//!   reader ──▶ block ── the parent has it, or it is zeros and may be left out ──▶ (not sent)
//!                │
//!                ▼ as soon as fewer are under way than the pace allows
//!              put ── acknowledged ──▶ written down, then counted
//!                └── refused ──▶ patience: pause, put again │ the transfer fails
//! ```

use super::acknowledged::{Acknowledged, AcknowledgedError};
use super::pace::Pace;
use super::patience::{Moment, Patience};
use super::progress::{Transferred, Watch};
use bytes::Bytes;
use cloud::{
    BlockWrite, Clock, CloudError, ErrorKind, Sha256Digest, SnapshotBlocks, SnapshotId, Timestamp,
};
use disk::blocks::{BLOCK, Block, BlockContent, BlockIndex, Reading, block_count, read};
use disk::digest::BlockDigest;
use disk::{Disk, ReadError};
use std::num::NonZeroUsize;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use tokio::task::JoinSet;

/// Blocks that are read and wait to be sent.
const QUEUE: NonZeroUsize = NonZeroUsize::new(8).expect("eight is not zero");

static ZEROS: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(vec![0; BLOCK]));

/// What becomes of blocks in which there is nothing but zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holes {
    /// They are sent like all others. A block that was never written reads as zeros from an unencrypted volume only: from
    /// an encrypted one as whatever the key makes of zeros, and a volume made of an unencrypted snapshot may be encrypted.
    /// <https://github.com/awslabs/coldsnap/issues/395>
    Send,
    /// They are left out.
    Skip,
}

/// What is to be done.
pub struct Upload {
    /// EBS.
    pub blocks: Arc<dyn SnapshotBlocks>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// When it was started, by this process.
    pub started: Option<Timestamp>,
    /// What is to be in it.
    pub disk: Arc<dyn Disk>,
    /// What becomes of zeros.
    pub holes: Holes,
    /// How many threads read and hash.
    pub readers: NonZeroUsize,
}

/// Why it failed.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what the variants are")]
pub enum UploadError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Cloud(#[from] CloudError),
    #[error(transparent)]
    Acknowledged(#[from] AcknowledgedError),
    #[error("{0}")]
    TooLarge(#[from] disk::blocks::TooLarge),
    #[error("a task of the transfer ended early: {0}")]
    Ended(String),
}

/// What all tasks of a transfer share.
pub(super) struct Shared {
    pace: Mutex<Pace>,
    moved: Mutex<Timestamp>,
}

impl Shared {
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            pace: Mutex::new(Pace::new(now)),
            moved: Mutex::new(now),
        }
    }

    pub(super) fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn moved(&self) -> MutexGuard<'_, Timestamp> {
        self.moved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn answered(&self, now: Timestamp, under_way: usize) {
        *self.moved() = now;
        self.pace().answered(now, under_way);
    }

    /// Does `call` for one block until it succeeds or there is no patience left.
    pub(super) async fn repeated<T, F>(
        &self,
        clock: &dyn Clock,
        started: Option<Timestamp>,
        mut call: impl FnMut() -> F,
    ) -> Result<T, CloudError>
    where
        F: Future<Output = Result<T, CloudError>>,
    {
        let mut patience = Patience::default();
        loop {
            let sent = clock.now();
            let error = match call().await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let now = clock.now();
            if error.kind == ErrorKind::Throttled {
                self.pace().throttled(sent, now);
            }
            let moment = Moment {
                now,
                started,
                moved: *self.moved(),
            };
            match patience.pause(error.kind, moment) {
                Some(pause) => clock.sleep(pause).await,
                None => return Err(error),
            }
        }
    }
}

/// Sends what is not known to be there. `acknowledged` knows afterwards all blocks that were ever sent; `parent` are the
/// blocks that the snapshot has from its parent.
///
/// May be dropped at any time: what was acknowledged and written down by then is not sent again.
///
/// # Errors
/// If the disk cannot be read, EBS refuses a block, or the record cannot be written.
pub async fn upload(
    what: &Upload,
    acknowledged: &mut Acknowledged,
    parent: Option<&Acknowledged>,
    watch: &dyn Watch,
) -> Result<(), UploadError> {
    let size = what.disk.size();
    let all = block_count(size)?;
    let wanted: Vec<BlockIndex> = (0..all)
        .filter(|index| !acknowledged.has(*index))
        .map(BlockIndex)
        .collect();
    let mut progress = Transferred {
        done: bytes(all - u32::try_from(wanted.len()).unwrap_or(all)).min(size),
        total: size,
    };
    watch.moved(progress);
    let reading = Reading {
        threads: what.readers,
        queue: QUEUE,
    };
    let mut reader = Some(read(what.disk.clone(), wanted.into_iter(), reading));
    let mut behind = behind_the_end(all, acknowledged, parent)?.into_iter();
    let shared = Arc::new(Shared::new(what.clock.now()));
    let mut under_way: JoinSet<Result<(u32, BlockDigest), CloudError>> = JoinSet::new();
    let at_once = |shared: &Shared| shared.pace().at_once();
    loop {
        let room = under_way.len() < at_once(&shared);
        if room
            && reader.is_none()
            && let Some(index) = behind.next()
        {
            under_way.spawn(put(what, zeros(index), shared.clone()));
            continue;
        }
        tokio::select! {
            biased;
            Some(ended) = under_way.join_next(), if !under_way.is_empty() => {
                let (index, digest) = ended.map_err(|error| UploadError::Ended(error.to_string()))??;
                // Written down before it is counted: what is counted is never sent again.
                acknowledged.add(index, digest)?;
                shared.answered(what.clock.now(), under_way.len() + 1);
                progress.done = (progress.done + BLOCK as u64).min(size);
                watch.moved(progress);
            }
            block = next(&mut reader), if room && reader.is_some() => {
                match block {
                    None => reader = None,
                    Some(block) => {
                        let block = block?;
                        if is_left_out(what.holes, &block, parent)? {
                            progress.done = (progress.done + BLOCK as u64).min(size);
                            watch.moved(progress);
                        } else {
                            under_way.spawn(put(what, block, shared.clone()));
                        }
                    }
                }
            }
            else => return Ok(()),
        }
    }
}

/// The blocks behind the end of a disk of `all` blocks that have to be made zeros: the parent's, which was longer. Else a
/// partition table's copy or a file system would be found there that is of another disk.
fn behind_the_end(
    all: u32,
    acknowledged: &Acknowledged,
    parent: Option<&Acknowledged>,
) -> Result<Vec<u32>, AcknowledgedError> {
    let mut behind = Vec::new();
    if let Some(parent) = parent {
        parent.each(|index, digest| {
            if index >= all && digest != BlockDigest::of_zeros() && !acknowledged.has(index) {
                behind.push(index);
            }
        })?;
    }
    Ok(behind)
}

fn zeros(index: u32) -> Block {
    Block {
        index: BlockIndex(index),
        content: BlockContent::Zero,
        digest: BlockDigest::of_zeros(),
    }
}

fn bytes(blocks: u32) -> u64 {
    u64::from(blocks) * BLOCK as u64
}

async fn next(reader: &mut Option<disk::blocks::Blocks>) -> Option<Result<Block, ReadError>> {
    match reader {
        Some(reader) => reader.recv().await,
        None => None,
    }
}

fn is_left_out(
    holes: Holes,
    block: &Block,
    parent: Option<&Acknowledged>,
) -> Result<bool, AcknowledgedError> {
    if let Some(parent) = parent
        && let Some(there) = parent.digest(block.index.0)?
    {
        // Zeros that take the place of something have to be sent whatever is said of holes.
        return Ok(there == block.digest);
    }
    Ok(holes == Holes::Skip && block.content == BlockContent::Zero)
}

/// The task that sends one block.
fn put(
    what: &Upload,
    block: Block,
    shared: Arc<Shared>,
) -> impl Future<Output = Result<(u32, BlockDigest), CloudError>> + Send + 'static {
    let (blocks, clock) = (what.blocks.clone(), what.clock.clone());
    let (snapshot, started) = (what.snapshot.clone(), what.started);
    let write = BlockWrite {
        index: block.index.0,
        content: match block.content {
            BlockContent::Zero => ZEROS.clone(),
            BlockContent::Data(content) => content,
        },
        digest: Sha256Digest(*block.digest.as_bytes()),
    };
    async move {
        shared
            .repeated(clock.as_ref(), started, || blocks.put(&snapshot, &write))
            .await?;
        Ok((write.index, block.digest))
    }
}
