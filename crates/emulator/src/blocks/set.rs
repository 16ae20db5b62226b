//! The blocks of one snapshot.
//!
//! ```text
//!  Open ──seal──► Sealed (waits for puts under way; none begins any more)
//!    ▲              │
//!    └───unseal─────┘  what was to be sealed is not what the client says it is
//! ```

use super::digest::Digest;
use super::{BLOCK_SIZE, BLOCKS_PER_GIB};
use crate::files;
use jiff::Timestamp;
use rustix::fs::SeekFrom;
use sha2::{Digest as _, Sha256};
use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// A record of the index.
const RECORD: usize = 40;
/// Records that are read at once.
const READ_AT_ONCE: usize = 4096;

const ABSENT: u8 = 0;
const ZEROS: u8 = 1;
const DATA: u8 = 2;

/// The blocks of one snapshot, without its parent's.
#[derive(Debug)]
pub struct BlockSet {
    /// How many blocks the volume has.
    blocks: u32,
    data: File,
    index: File,
    written: Mutex<Written>,
    /// Told when a put has ended.
    ended: Condvar,
}

#[derive(Debug)]
struct Written {
    present: Bits,
    under_way: HashSet<u32>,
    sealed: bool,
    last_put: Timestamp,
    progress: Option<u8>,
}

/// A block is not taken.
#[derive(Debug, thiserror::Error)]
pub enum PutError {
    /// No block is taken any more.
    #[error("the snapshot is not being written")]
    Sealed,
    /// The volume has no such block.
    #[error("the volume has {0} blocks")]
    OutOfRange(u32),
    /// The same block is being put by another request.
    #[error("the block is being written by another request")]
    Conflict,
    /// It cannot be written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A block that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// The SHA-256.
    pub digest: Digest,
    /// Whether it is zeros.
    pub zero: bool,
}

impl BlockSet {
    /// A new one in a new folder.
    ///
    /// # Errors
    /// If its files cannot be made.
    pub fn create(dir: &Path, size_gib: u32, now: Timestamp) -> io::Result<Self> {
        files::make_dir(dir, 0o700)?;
        let file = |name: &str| {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create_new(true).mode(0o600);
            options.open(dir.join(name))
        };
        Ok(Self::of(file("data")?, file("index")?, size_gib, now))
    }

    /// One that is there; sealed.
    ///
    /// # Errors
    /// If its files cannot be read.
    pub fn open(dir: &Path, size_gib: u32, last_put: Timestamp) -> io::Result<Self> {
        let file = |name: &str| {
            let mut options = OpenOptions::new();
            options.read(true).write(true).open(dir.join(name))
        };
        let set = Self::of(file("data")?, file("index")?, size_gib, last_put);
        let present = set.read_present()?;
        {
            let mut written = set.written();
            written.present = present;
            written.sealed = true;
        }
        Ok(set)
    }

    fn of(data: File, index: File, size_gib: u32, last_put: Timestamp) -> Self {
        let written = Written {
            present: Bits::default(),
            under_way: HashSet::new(),
            sealed: false,
            last_put,
            progress: None,
        };
        Self {
            blocks: size_gib.saturating_mul(BLOCKS_PER_GIB),
            data,
            index,
            written: Mutex::new(written),
            ended: Condvar::new(),
        }
    }

    /// Writes a block: its bytes, or none for zeros.
    ///
    /// # Errors
    /// If it is not taken; nothing has changed then, but for an error of the disk.
    pub fn put(
        &self,
        index: u32,
        data: Option<&[u8]>,
        digest: &Digest,
        now: Timestamp,
    ) -> Result<(), PutError> {
        if index >= self.blocks {
            return Err(PutError::OutOfRange(self.blocks));
        }
        let put = self.begin(index)?;
        if let Some(data) = data {
            self.data
                .write_all_at(data, u64::from(index) * BLOCK_SIZE as u64)?;
        }
        let mut record = [0; RECORD];
        record[0] = if data.is_some() { DATA } else { ZEROS };
        record[8..].copy_from_slice(digest);
        self.index.write_all_at(&record, record_at(index))?;
        let mut written = self.written();
        written.present.insert(index);
        written.last_put = written.last_put.max(now);
        drop(written);
        drop(put);
        Ok(())
    }

    fn begin(&self, index: u32) -> Result<PutUnderWay<'_>, PutError> {
        let mut written = self.written();
        if written.sealed {
            return Err(PutError::Sealed);
        }
        match written.under_way.insert(index) {
            true => Ok(PutUnderWay { set: self, index }),
            false => Err(PutError::Conflict),
        }
    }

    /// Takes no further block, once those are written that are under way.
    pub fn seal(&self) {
        let mut written = self.written();
        written.sealed = true;
        while !written.under_way.is_empty() {
            let waited = self.ended.wait(written);
            written = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Takes blocks again.
    pub fn unseal(&self) {
        self.written().sealed = false;
    }

    /// Whether it takes blocks.
    pub fn is_open(&self) -> bool {
        !self.written().sealed
    }

    /// How many different blocks there are.
    pub fn count(&self) -> u64 {
        self.written().present.count
    }

    /// When a block was last put; the start if none was.
    pub fn last_put(&self) -> Timestamp {
        self.written().last_put
    }

    /// How far the client says it is, in percent.
    pub fn progress(&self) -> Option<u8> {
        self.written().progress
    }

    /// Remembers how far the client says it is.
    pub fn set_progress(&self, percent: u8) {
        self.written().progress = Some(percent);
    }

    /// Which blocks there are from `from` on, in order, at most so many.
    pub fn present_from(&self, from: u32, most: usize) -> Vec<u32> {
        self.written().present.from(from).take(most).collect()
    }

    /// Whether a block was put.
    pub fn has(&self, index: u32) -> bool {
        self.written().present.contains(index)
    }

    /// A block; none if it was never put.
    ///
    /// # Errors
    /// If the index cannot be read.
    pub fn block(&self, index: u32) -> io::Result<Option<Block>> {
        if !self.has(index) {
            return Ok(None);
        }
        let mut record = [0; RECORD];
        self.index.read_exact_at(&mut record, record_at(index))?;
        Ok(block_of(&record))
    }

    /// Reads some of a block that is data.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read(&self, index: u32, offset: usize, into: &mut [u8]) -> io::Result<()> {
        let at = u64::from(index) * BLOCK_SIZE as u64 + offset as u64;
        self.data.read_exact_at(into, at)
    }

    /// The SHA-256 over the digests of all blocks in ascending order: "arrange the checksums for each written block in
    /// ascending order of their block index, concatenate them to form a single string, and then generate the checksum on
    /// the entire string" (<https://docs.aws.amazon.com/ebs/latest/APIReference/API_CompleteSnapshot.html>). The
    /// checksums are taken as bytes, as AWS's own coldsnap does.
    ///
    /// # Errors
    /// If the index cannot be read.
    pub fn linear(&self) -> io::Result<Digest> {
        let mut hash = Sha256::new();
        self.records(|_, block| hash.update(block.digest))?;
        Ok(hash.finalize().into())
    }

    fn read_present(&self) -> io::Result<Bits> {
        let mut present = Bits::default();
        self.records(|index, _| present.insert(index))?;
        Ok(present)
    }

    /// Calls `each` for all records that are there, in order, skipping the index's holes.
    fn records(&self, mut each: impl FnMut(u32, Block)) -> io::Result<()> {
        let end = self.index.metadata()?.len();
        let mut bytes = vec![0; RECORD * READ_AT_ONCE];
        let mut at = 0;
        while let Some(data) = next_data(&self.index, at)? {
            // To the record that this byte is of.
            let mut here = (data / RECORD as u64 * RECORD as u64).max(at);
            let hole = next_hole(&self.index, data)?;
            while here < hole && here + RECORD as u64 <= end {
                let most = (end - here).min(bytes.len() as u64) / RECORD as u64 * RECORD as u64;
                let wanted = (hole - here).next_multiple_of(RECORD as u64).min(most);
                let part = bytes
                    .get_mut(..usize::try_from(wanted).unwrap_or(0))
                    .unwrap_or_default();
                self.index.read_exact_at(part, here)?;
                for record in part.as_chunks::<RECORD>().0 {
                    if let (Ok(index), Some(block)) =
                        (u32::try_from(here / RECORD as u64), block_of(record))
                    {
                        each(index, block);
                    }
                    here += RECORD as u64;
                }
            }
            if here <= at {
                break;
            }
            at = here;
        }
        Ok(())
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A put that has begun; another of the same block is refused until this one has ended.
struct PutUnderWay<'a> {
    set: &'a BlockSet,
    index: u32,
}

impl Drop for PutUnderWay<'_> {
    fn drop(&mut self) {
        let mut written = self.set.written();
        written.under_way.remove(&self.index);
        if written.under_way.is_empty() {
            self.set.ended.notify_all();
        }
    }
}

fn record_at(index: u32) -> u64 {
    u64::from(index) * RECORD as u64
}

fn block_of(record: &[u8; RECORD]) -> Option<Block> {
    let mut digest = [0; 32];
    digest.copy_from_slice(&record[8..]);
    match record[0] {
        ZEROS | DATA => Some(Block {
            digest,
            zero: record[0] == ZEROS,
        }),
        ABSENT => None,
        // Nobody else writes these files.
        _ => None,
    }
}

fn next_data(file: &File, from: u64) -> io::Result<Option<u64>> {
    match rustix::fs::seek(file, SeekFrom::Data(from)) {
        Ok(at) => Ok(Some(at)),
        Err(rustix::io::Errno::NXIO) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

fn next_hole(file: &File, from: u64) -> io::Result<u64> {
    Ok(rustix::fs::seek(file, SeekFrom::Hole(from))?)
}

/// A set of block indexes: a bit for each.
#[derive(Clone, Debug, Default)]
pub(super) struct Bits {
    words: Vec<u64>,
    count: u64,
}

impl Bits {
    fn insert(&mut self, index: u32) {
        let (word, bit) = (index as usize / 64, 1 << (index % 64));
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        if let Some(word) = self.words.get_mut(word)
            && *word & bit == 0
        {
            *word |= bit;
            self.count += 1;
        }
    }

    fn contains(&self, index: u32) -> bool {
        let word = self.words.get(index as usize / 64);
        word.is_some_and(|word| word & (1 << (index % 64)) != 0)
    }

    fn from(&self, from: u32) -> impl Iterator<Item = u32> {
        let first = from as usize / 64;
        let words = self.words.iter().enumerate().skip(first);
        words.flat_map(move |(n, word)| {
            let mask = match n == first {
                true => u64::MAX << (from % 64),
                false => u64::MAX,
            };
            let mut left = word & mask;
            std::iter::from_fn(move || {
                let bit = (left != 0).then(|| left.trailing_zeros())?;
                left &= left - 1;
                u32::try_from(n * 64).ok().map(|base| base + bit)
            })
        })
    }
}
