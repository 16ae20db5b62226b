//! A disk as EBS sees it: blocks of 512 KiB, each with its SHA-256, read and hashed by several threads while others are
//! being sent.
//!
//! ```text
//!                        ┌─ thread: read ▶ zeros? ▶ SHA-256 ─┐
//!   wanted indexes ──────┼─ thread: read ▶ zeros? ▶ SHA-256 ─┼──▶ bounded queue ──▶ Blocks::recv
//!                        └─ …                               ─┘
//! ```
//!
//! A block of zeros costs no hash, and no read either where the image's tables say that it is zeros. Blocks come out
//! roughly by index, each once. When [`Blocks`] is dropped, the threads end after the block that they have at hand.
//!
//! Memory: a buffer of [`BLOCK`] bytes for each thread, each place in the queue, and each block that the receiver still
//! holds. The buffer of a block that is dropped is used again.

use std::collections::BTreeMap;
use std::fmt;
use std::iter::Peekable;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::digest::{BlockDigest, InOrder, LinearDigest};
use crate::{Content, Disk, Extent, ReadError};

/// A block's size in bytes, which EBS direct prescribes.
pub const BLOCK: usize = 524_288;

/// So much is looked at in one go when a block is tested for zeros.
const CHUNK: usize = 4096;

/// A block's number, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlockIndex(pub u32);

impl BlockIndex {
    /// Where the block begins on the disk, in bytes.
    pub fn offset(self) -> u64 {
        u64::from(self.0) * BLOCK as u64
    }
}

impl fmt::Display for BlockIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A disk with more blocks than an index can tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a disk of {size} bytes is larger than any volume: 64 TiB is the most")]
pub struct TooLarge {
    /// The disk's size in bytes.
    pub size: u64,
}

/// The largest volume there is: io2 Block Express, 64 TiB
/// (<https://docs.aws.amazon.com/ebs/latest/userguide/ebs-volume-types.html>).
pub const LARGEST_VOLUME: u64 = 64 << 40;

/// How many blocks a disk of `size` bytes has; the last may be partly behind its end.
///
/// # Errors
///
/// [`TooLarge`] beyond [`LARGEST_VOLUME`].
pub fn block_count(size: u64) -> Result<u32, TooLarge> {
    if size > LARGEST_VOLUME {
        return Err(TooLarge { size });
    }
    u32::try_from(size.div_ceil(BLOCK as u64)).map_err(|_| TooLarge { size })
}

/// All blocks of a disk of `size` bytes, by index.
///
/// # Errors
///
/// [`TooLarge`] beyond [`LARGEST_VOLUME`].
pub fn all(size: u64) -> Result<impl Iterator<Item = BlockIndex> + Send + Sync, TooLarge> {
    let indexes: Range<u32> = 0..block_count(size)?;
    Ok(indexes.map(BlockIndex))
}

/// A block that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Which.
    pub index: BlockIndex,
    /// What is in it; what is behind the disk's end is zeros.
    pub content: BlockContent,
    /// The SHA-256 of its [`BLOCK`] bytes.
    pub digest: BlockDigest,
}

/// What is in a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlockContent {
    /// Nothing but zeros.
    Zero,
    /// [`BLOCK`] bytes, of which one at least is not zero.
    Data(Bytes),
}

/// How blocks are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// How many threads read and hash; as many as there are processors is best.
    pub threads: NonZeroUsize,
    /// How many blocks may wait for the receiver.
    pub queue: NonZeroUsize,
}

/// Blocks as they are read. Dropping it ends the threads.
pub struct Blocks {
    receiver: mpsc::Receiver<Result<Block, ReadError>>,
    threads: Vec<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
}

/// Starts to read the `wanted` blocks of `disk`, which should come by increasing index.
///
/// An index that is beyond the disk's end fails with [`ReadError::Outside`].
pub fn read<I>(disk: Arc<dyn Disk>, wanted: I, reading: Reading) -> Blocks
where
    I: Iterator<Item = BlockIndex> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(reading.queue.get());
    let stop = Arc::new(AtomicBool::new(false));
    let pool = Arc::new(Pool {
        free: Mutex::new(Vec::new()),
        keep: reading.threads.get() + reading.queue.get(),
    });
    let unit = disk.unit().max(BLOCK as u64);
    let queue = Arc::new(Mutex::new(wanted.peekable()));
    let threads = (0..reading.threads.get())
        .map(|_| {
            let reader = Reader {
                disk: Arc::clone(&disk),
                pool: Arc::clone(&pool),
                extent: 0..0,
                content: Content::Data,
            };
            let (queue, sender, stop) = (Arc::clone(&queue), sender.clone(), Arc::clone(&stop));
            std::thread::spawn(move || reader.work(&queue, unit, &sender, &stop))
        })
        .collect();
    Blocks {
        receiver,
        threads,
        stop,
    }
}

impl Blocks {
    /// The next block, or why there is none; `None` once every wanted block was handed out. After an error there may be
    /// a few more blocks, but not all.
    pub async fn recv(&mut self) -> Option<Result<Block, ReadError>> {
        match self.receiver.recv().await {
            Some(block) => Some(block),
            None => self.ended(),
        }
    }

    /// As [`recv`](Self::recv), for a thread that may block.
    ///
    /// # Panics
    ///
    /// In an async task.
    pub fn blocking_recv(&mut self) -> Option<Result<Block, ReadError>> {
        match self.receiver.blocking_recv() {
            Some(block) => Some(block),
            None => self.ended(),
        }
    }

    /// All threads have let go of the queue. One that panicked has not handed out its block, which must not look as if
    /// everything had been read.
    fn ended(&mut self) -> Option<Result<Block, ReadError>> {
        let mut lost = false;
        for thread in self.threads.drain(..) {
            lost |= thread.join().is_err();
        }
        lost.then_some(Err(ReadError::ThreadLost))
    }
}

impl Drop for Blocks {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.receiver.close();
    }
}

impl fmt::Debug for Blocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Blocks")
    }
}

/// What [`read_and_hash`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sums {
    /// All blocks.
    pub blocks: u32,
    /// Those that are not all zeros.
    pub data_blocks: u32,
    /// The digest over all of them, as EBS direct would have it.
    pub digest: BlockDigest,
}

/// Reads and hashes all blocks of a disk and sends them nowhere: what the first half of an import costs. Blocks.
///
/// # Errors
///
/// What is wrong with the image. A disk that is larger than any volume is [`ReadError::Outside`].
pub fn read_and_hash(disk: Arc<dyn Disk>, threads: NonZeroUsize) -> Result<Sums, ReadError> {
    let size = disk.size();
    let wanted = all(size).map_err(|TooLarge { size }| ReadError::Outside {
        offset: LARGEST_VOLUME,
        end: size,
        size,
    })?;
    let queue = threads.saturating_mul(NonZeroUsize::MIN.saturating_add(1));
    let mut blocks = read(disk, wanted, Reading { threads, queue });
    let mut sums = Sums {
        blocks: 0,
        data_blocks: 0,
        digest: BlockDigest::of_zeros(),
    };
    let mut linear = InOrder::new();
    while let Some(block) = blocks.blocking_recv() {
        let block = block?;
        sums.blocks += 1;
        sums.data_blocks += u32::from(block.content != BlockContent::Zero);
        linear.put(block.index, block.digest);
    }
    sums.digest = linear.finish();
    Ok(sums)
}

/// The digest of a disk's whole content: as [`LinearDigest`] over all of its blocks, those of zeros included. Two images of
/// the same disk have the same, whatever their formats. Blocks the calling thread.
///
/// # Errors
///
/// What is wrong with the image.
pub fn content_digest(disk: &Arc<dyn Disk>, reading: Reading) -> Result<BlockDigest, ReadError> {
    let wanted = all(disk.size()).map_err(|error| ReadError::Outside {
        offset: LARGEST_VOLUME,
        end: error.size,
        size: LARGEST_VOLUME,
    })?;
    let mut blocks = read(Arc::clone(disk), wanted, reading);
    let mut linear = LinearDigest::new();
    // Blocks come roughly by index: no more wait here than the readers are apart.
    let mut early = BTreeMap::new();
    let mut next = 0;
    while let Some(block) = blocks.blocking_recv() {
        let block = block?;
        early.insert(block.index.0, block.digest);
        while let Some(digest) = early.remove(&next) {
            linear.push(&digest);
            next += 1;
        }
    }
    Ok(linear.finish())
}

/// A panic of another thread leaves a queue or pool that is still whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes the next indexes that are best read by one thread.
fn take<I: Iterator<Item = BlockIndex>>(
    queue: &Mutex<Peekable<I>>,
    unit: u64,
    taken: &mut Vec<BlockIndex>,
) {
    taken.clear();
    let mut queue = lock(queue);
    if let Some(first) = queue.next() {
        taken.push(first);
        while let Some(next) =
            queue.next_if(|next| next.offset() / unit == first.offset() / unit && next.0 > first.0)
        {
            taken.push(next);
        }
    }
}

struct Reader {
    disk: Arc<dyn Disk>,
    pool: Arc<Pool>,
    /// What was last looked at. Indexes increase, so that each extent is looked up about once by each thread.
    extent: Range<u64>,
    content: Content,
}

impl Reader {
    fn work<I: Iterator<Item = BlockIndex>>(
        mut self,
        queue: &Mutex<Peekable<I>>,
        unit: u64,
        sender: &mpsc::Sender<Result<Block, ReadError>>,
        stop: &AtomicBool,
    ) {
        let mut taken = Vec::new();
        loop {
            take(queue, unit, &mut taken);
            if taken.is_empty() {
                return;
            }
            for &index in &taken {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let block = self.block(index);
                if block.is_err() {
                    stop.store(true, Ordering::Relaxed);
                }
                let failed = block.is_err();
                if sender.blocking_send(block).is_err() || failed {
                    return;
                }
            }
        }
    }

    fn block(&mut self, index: BlockIndex) -> Result<Block, ReadError> {
        let start = index.offset();
        let size = self.disk.size();
        if start >= size {
            return Err(ReadError::Outside {
                offset: start,
                end: start + BLOCK as u64,
                size,
            });
        }
        let end = size.min(start + BLOCK as u64);
        let zero = Block {
            index,
            content: BlockContent::Zero,
            digest: BlockDigest::of_zeros(),
        };
        if self.is_zero(start, end)? {
            return Ok(zero);
        }
        let mut buffer = self.pool.take();
        let length = usize::try_from(end - start).map_or(BLOCK, |length| length.min(BLOCK));
        let (inside, behind) = buffer.bytes.split_at_mut(length);
        self.disk.read_at(inside, start)?;
        behind.fill(0);
        if is_zero(&buffer.bytes) {
            return Ok(zero);
        }
        let digest = BlockDigest::of(&buffer.bytes);
        Ok(Block {
            index,
            content: BlockContent::Data(Bytes::from_owner(buffer)),
            digest,
        })
    }

    /// Whether the tables say that there are only zeros from `start` to `end`.
    fn is_zero(&mut self, start: u64, end: u64) -> Result<bool, ReadError> {
        let mut offset = start;
        while offset < end {
            if !self.extent.contains(&offset) {
                let Extent { length, content } = self.disk.extent_at(offset)?;
                self.extent = offset..offset.saturating_add(length.max(1));
                self.content = content;
            }
            if self.content == Content::Data {
                return Ok(false);
            }
            offset = self.extent.end;
        }
        Ok(true)
    }
}

/// Whether there is nothing but zeros in `bytes`. Ors a chunk together before it looks, which compilers turn into wide
/// instructions; a look at every byte is 20 times slower.
pub fn is_zero(bytes: &[u8]) -> bool {
    bytes
        .chunks(CHUNK)
        .all(|chunk| chunk.iter().fold(0, |all, byte| all | byte) == 0)
}

/// Buffers that are used again.
struct Pool {
    free: Mutex<Vec<Vec<u8>>>,
    keep: usize,
}

impl Pool {
    fn take(self: &Arc<Self>) -> Buffer {
        let bytes = lock(&self.free).pop().unwrap_or_else(|| vec![0; BLOCK]);
        Buffer {
            bytes,
            pool: Arc::clone(self),
        }
    }
}

/// A buffer that goes back to its pool.
struct Buffer {
    bytes: Vec<u8>,
    pool: Arc<Pool>,
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut free = lock(&self.pool.free);
        if free.len() < self.pool.keep {
            free.push(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests;
