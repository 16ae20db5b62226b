//! A disk as it is written by an export: blocks in any order, into a sparse raw file or a QCOW2 image.
//!
//! ```text
//!   open ──▶ Sink ── write │ write_zeros ──▶ PATH.partial            the blocks
//!    ▲        │                              PATH.partial.blocks     which of them are on stable storage
//!    │        ├─ killed: the next open goes on from there
//!    │        └─ finish ──▶ PATH, whole; both others are gone
//! ```
//!
//! A block counts once it is on stable storage: data is synchronised first, and then the record of it, for so many blocks
//! together ([`Sink::checkpoint`]). Blocks of an interrupted export are read again and compared with their digests before
//! they count. Blocks that were never written read as zeros.
//!
//! All functions block; in an async task they belong into `spawn_blocking`.

mod qcow2;
mod records;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, SeekFrom};
use rustix::io::Errno;

use crate::Format;
use crate::blocks::{self, BLOCK, BlockIndex, TooLarge};
use crate::digest::BlockDigest;

use records::{Begun, Kind, Record, Records};

/// So many blocks, 64 MiB, are synchronised together: what a kill costs at most.
const TOGETHER: usize = 128;

/// Why an export could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SinkError {
    /// The file is there already, or something else has the name of the unfinished one.
    #[error("{} is there already; move it away, or export to another file", .0.display())]
    Exists(PathBuf),
    /// There is an unfinished export of something else.
    #[error("{} is an unfinished export of something else; remove it, or export to another file", .0.display())]
    OfAnother(PathBuf),
    /// Another process writes the same file.
    #[error("{} is being written by another process", .0.display())]
    Busy(PathBuf),
    /// qib writes raw and qcow2 alone.
    #[error("{0} is not a format that qib writes; it writes raw and qcow2")]
    Format(Format),
    /// The disk is larger than any volume.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// A block that the disk does not have, or that is not of a block's size.
    #[error("block {index} of {length} bytes is not one of the disk's {count}")]
    NoSuchBlock {
        /// The block.
        index: BlockIndex,
        /// Its size.
        length: usize,
        /// How many the disk has.
        count: u32,
    },
    /// The operating system refused.
    #[error("{} could not be {doing}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was to be done with it, as a participle.
        doing: &'static str,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
}

/// A disk that is being written.
#[derive(Debug)]
pub struct Sink {
    path: PathBuf,
    partial: PathBuf,
    file: File,
    records: Records,
    layout: Layout,
    size: u64,
    done: Done,
    pending: Vec<Record>,
}

#[derive(Debug)]
enum Layout {
    Raw,
    /// A cluster is a block. The first has the header, then come blocks in the order in which they were written.
    Qcow2 {
        next: u32,
    },
}

impl Layout {
    /// Where a block stands in the file, in bytes, by its record.
    fn offset(&self, record: &Record) -> u64 {
        match self {
            Self::Raw => record.index.offset(),
            Self::Qcow2 { .. } => u64::from(record.place) * BLOCK as u64,
        }
    }

    /// How much of a block stands in the file: a raw disk ends where it ends.
    fn length(&self, index: BlockIndex, size: u64) -> usize {
        match self {
            Self::Raw => usize::try_from(size.saturating_sub(index.offset()))
                .map_or(BLOCK, |rest| rest.min(BLOCK)),
            Self::Qcow2 { .. } => BLOCK,
        }
    }
}

impl Sink {
    /// Begins to write a disk of `size` bytes to `path`, or goes on where an earlier process was interrupted. `identity`
    /// says what the disk is, a snapshot's id for example: what was begun for another is not gone on with.
    ///
    /// # Errors
    ///
    /// See [`SinkError`].
    pub fn open(path: &Path, format: Format, size: u64, identity: &str) -> Result<Self, SinkError> {
        let count = blocks::block_count(size)?;
        let layout = match format {
            Format::Raw => Layout::Raw,
            Format::Qcow2 => Layout::Qcow2 { next: 1 },
            other => return Err(SinkError::Format(other)),
        };
        let partial = with_suffix(path, ".partial");
        let blocks = with_suffix(path, ".partial.blocks");
        let identity = records::identity(format, size, identity);
        if exists(path) {
            // Killed between the last two steps of finishing, an earlier process has left its records.
            if exists(&blocks) && !exists(&partial) {
                Records::open(&blocks, &identity)?.0.remove()?;
            }
            return Err(SinkError::Exists(path.to_owned()));
        }
        let (records, begun) = Records::open(&blocks, &identity)?;
        let file = open_partial(&partial, begun)?;
        let mut sink = Self {
            path: path.to_owned(),
            partial,
            file,
            records,
            layout,
            size,
            done: Done::new(count),
            pending: Vec::new(),
        };
        sink.take_up()?;
        if let Layout::Raw = sink.layout {
            let sized = sink.file.set_len(size);
            sized.map_err(|source| sink.failed("given its size", source))?;
        }
        Ok(sink)
    }

    /// Looks at what an earlier process has left.
    fn take_up(&mut self) -> Result<(), SinkError> {
        let mut block = vec![0; BLOCK];
        for record in self.records.read()? {
            let record = record?;
            if record.index.0 >= self.done.count {
                continue;
            }
            if let Layout::Qcow2 { next } = &mut self.layout {
                *next = (*next).max(record.place.saturating_add(1));
            }
            let sound = match record.kind {
                Kind::Zeros => true,
                Kind::Data => {
                    let (inside, behind) =
                        block.split_at_mut(self.layout.length(record.index, self.size));
                    behind.fill(0);
                    match self.file.read_exact_at(inside, self.layout.offset(&record)) {
                        Ok(()) => BlockDigest::of(&block) == record.digest,
                        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => false,
                        Err(error) => return Err(self.failed("read", error)),
                    }
                }
            };
            // A later record of the same block is of a later attempt.
            self.done.set(record.index, sound);
        }
        Ok(())
    }

    /// How many blocks the disk has.
    pub fn count(&self) -> u32 {
        self.done.count
    }

    /// Whether a block is written, by this process or by an earlier one.
    pub fn has(&self, index: BlockIndex) -> bool {
        self.done.has(index)
    }

    /// How many blocks are written.
    pub fn written(&self) -> u32 {
        self.done.number
    }

    /// Writes a block of [`BLOCK`] bytes, whose digest the caller has compared with what it should be. What is behind the
    /// disk's end is left out of a raw disk. A block that is written already is left as it is.
    ///
    /// # Errors
    ///
    /// See [`SinkError`].
    pub fn write(
        &mut self,
        index: BlockIndex,
        bytes: &[u8],
        digest: BlockDigest,
    ) -> Result<(), SinkError> {
        self.check(index, bytes.len())?;
        if self.has(index) {
            return Ok(());
        }
        let place = match &mut self.layout {
            Layout::Raw => 0,
            Layout::Qcow2 { next } => {
                let place = *next;
                *next = place.saturating_add(1);
                place
            }
        };
        let record = Record {
            kind: Kind::Data,
            index,
            place,
            digest,
        };
        let length = self.layout.length(index, self.size);
        self.file
            .write_all_at(&bytes[..length], self.layout.offset(&record))
            .map_err(|source| self.failed("written", source))?;
        self.note(record)
    }

    /// Notes that a block is nothing but zeros, which takes no room.
    ///
    /// # Errors
    ///
    /// See [`SinkError`].
    pub fn write_zeros(&mut self, index: BlockIndex) -> Result<(), SinkError> {
        self.check(index, BLOCK)?;
        if self.has(index) {
            return Ok(());
        }
        if let Layout::Raw = self.layout {
            // An attempt that was interrupted before it was noted may have written something here.
            self.clear(index)?;
        }
        self.note(Record {
            kind: Kind::Zeros,
            index,
            place: 0,
            digest: BlockDigest::of_zeros(),
        })
    }

    /// Makes zeros of a block of a raw disk, unless it is a hole.
    fn clear(&self, index: BlockIndex) -> Result<(), SinkError> {
        let length = self.layout.length(index, self.size);
        let mut block = vec![0; length];
        self.file
            .read_exact_at(&mut block, index.offset())
            .map_err(|source| self.failed("read", source))?;
        if blocks::is_zero(&block) {
            return Ok(());
        }
        block.fill(0);
        self.file
            .write_all_at(&block, index.offset())
            .map_err(|source| self.failed("written", source))
    }

    fn check(&self, index: BlockIndex, length: usize) -> Result<(), SinkError> {
        if index.0 < self.done.count && length == BLOCK {
            return Ok(());
        }
        Err(SinkError::NoSuchBlock {
            index,
            length,
            count: self.done.count,
        })
    }

    fn note(&mut self, record: Record) -> Result<(), SinkError> {
        self.done.set(record.index, true);
        self.pending.push(record);
        if self.pending.len() >= TOGETHER {
            self.checkpoint()?;
        }
        Ok(())
    }

    /// Brings everything that was written to stable storage, so that a later process need not write it again. Done by
    /// itself for every 128 blocks.
    ///
    /// # Errors
    ///
    /// See [`SinkError`].
    pub fn checkpoint(&mut self) -> Result<(), SinkError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        self.file
            .sync_data()
            .map_err(|source| self.failed("brought to stable storage", source))?;
        self.records.append(&self.pending)?;
        self.pending.clear();
        Ok(())
    }

    /// Writes what the format needs beside the blocks, and gives the file its name.
    ///
    /// # Errors
    ///
    /// See [`SinkError`]; [`SinkError::Exists`] if something has taken the name meanwhile.
    pub fn finish(mut self) -> Result<(), SinkError> {
        self.checkpoint()?;
        match self.layout {
            Layout::Raw => self.clear_what_is_not_written()?,
            Layout::Qcow2 { next } => {
                let records = self.records.read()?;
                let wanted = |record: &Record| self.done.has(record.index);
                qcow2::finish(&self.file, self.size, next, records, wanted)
                    .map_err(|error| self.tables_failed(error))?;
            }
        }
        self.file
            .sync_all()
            .map_err(|source| self.failed("brought to stable storage", source))?;
        self.give_name()?;
        self.records.remove()?;
        sync_folder(&self.path)
    }

    /// Gives the file its name, unless something has it.
    fn give_name(&self) -> Result<(), SinkError> {
        let (from, to) = (&self.partial, &self.path);
        let outcome = match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            // The file system cannot do both at once.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) if !exists(to) => {
                std::fs::rename(from, to)
            }
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP | Errno::EXIST) => {
                return Err(SinkError::Exists(to.clone()));
            }
            outcome => outcome.map_err(io::Error::from),
        };
        outcome.map_err(|source| self.failed("given its name", source))
    }

    /// An attempt that was interrupted may have written a block that is not part of the disk after all.
    fn clear_what_is_not_written(&self) -> Result<(), SinkError> {
        for index in (0..self.done.count).map(BlockIndex) {
            if !self.done.has(index) && self.may_have_data(index) {
                self.clear(index)?;
            }
        }
        Ok(())
    }

    /// Whether there is something else than a hole in a block of a raw disk.
    fn may_have_data(&self, index: BlockIndex) -> bool {
        let end = index.offset() + BLOCK as u64;
        match rustix::fs::seek(&self.file, SeekFrom::Data(index.offset())) {
            Ok(data) => data < end,
            Err(Errno::NXIO) => false,
            Err(_) => true,
        }
    }

    fn tables_failed(&self, error: qcow2::Failed) -> SinkError {
        match error {
            qcow2::Failed::Records(error) => error,
            qcow2::Failed::Io(source) => self.failed("written", source),
        }
    }

    fn failed(&self, doing: &'static str, source: io::Error) -> SinkError {
        SinkError::Io {
            path: self.partial.clone(),
            doing,
            source,
        }
    }
}

/// Whether something has this name, be it a link that leads nowhere.
fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// The file of the blocks. What no records were begun for is not ours.
fn open_partial(path: &Path, begun: Begun) -> Result<File, SinkError> {
    let mut options = File::options();
    options.read(true).write(true);
    match begun {
        Begun::Now => options.create_new(true),
        Begun::Earlier => options.create(true).truncate(false),
    };
    options.open(path).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => SinkError::Exists(path.to_owned()),
        _ => SinkError::Io {
            path: path.to_owned(),
            doing: "created",
            source,
        },
    })
}

/// Brings a file's name to stable storage.
fn sync_folder(path: &Path) -> Result<(), SinkError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|source| SinkError::Io {
            path: folder.to_owned(),
            doing: "brought to stable storage",
            source,
        })
}

/// Which blocks are written: a bit for each, 16 MiB for the largest disk.
#[derive(Debug)]
struct Done {
    bits: Vec<u64>,
    count: u32,
    number: u32,
}

impl Done {
    fn new(count: u32) -> Self {
        let words = usize::try_from(count.div_ceil(64)).unwrap_or(0);
        Self {
            bits: vec![0; words],
            count,
            number: 0,
        }
    }

    fn has(&self, index: BlockIndex) -> bool {
        let word = usize::try_from(index.0 / 64).ok();
        word.and_then(|word| self.bits.get(word))
            .is_some_and(|word| word >> (index.0 % 64) & 1 != 0)
    }

    fn set(&mut self, index: BlockIndex, written: bool) {
        if self.has(index) == written {
            return;
        }
        let word = usize::try_from(index.0 / 64).ok();
        if let Some(word) = word.and_then(|word| self.bits.get_mut(word)) {
            *word ^= 1 << (index.0 % 64);
            self.number = if written {
                self.number + 1
            } else {
                self.number - 1
            };
        }
    }
}
