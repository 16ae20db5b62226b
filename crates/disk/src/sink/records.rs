//! Which blocks of an unfinished export are on stable storage: a file of records that are only ever appended.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, FlockOperation};

use crate::Format;
use crate::blocks::BlockIndex;
use crate::digest::BlockDigest;

use super::SinkError;

const MAGIC: &[u8; 16] = b"qib export, v.1\n";
const HEADER: usize = 48;
const RECORD: usize = 48;

/// What a block is, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) kind: Kind,
    pub(super) index: BlockIndex,
    /// The number of its cluster in a QCOW2 file.
    pub(super) place: u32,
    pub(super) digest: BlockDigest,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Data,
    Zeros,
}

/// Whether there were records before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begun {
    Now,
    Earlier,
}

/// The first bytes of the file: what it is, and of what.
pub(super) fn identity(format: Format, size: u64, what: &str) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..16].copy_from_slice(MAGIC);
    let text = format!("{format} {size} {what}");
    header[16..].copy_from_slice(BlockDigest::of(text.as_bytes()).as_bytes());
    header
}

#[derive(Debug)]
pub(super) struct Records {
    path: PathBuf,
    file: File,
    /// Where sound records end.
    end: u64,
}

impl Records {
    /// Opens or begins the records, and keeps others from them until it is dropped.
    pub(super) fn open(path: &Path, identity: &[u8; HEADER]) -> Result<(Self, Begun), SinkError> {
        let failed = |doing: &'static str| {
            let path = path.to_owned();
            move |source: io::Error| SinkError::Io {
                path,
                doing,
                source,
            }
        };
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(failed("created"))?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(SinkError::Busy(path.to_owned())),
            Err(error) => return Err(failed("locked")(error.into())),
        }
        let mut found = Vec::new();
        (&file)
            .take(HEADER as u64)
            .read_to_end(&mut found)
            .map_err(failed("read"))?;
        let begun = if found == identity {
            Begun::Earlier
        } else if found.len() < HEADER && identity.starts_with(&found) {
            // New, or its first process died before it had written anything.
            file.set_len(0).map_err(failed("emptied"))?;
            file.rewind().map_err(failed("written"))?;
            file.write_all(identity).map_err(failed("written"))?;
            file.sync_all()
                .map_err(failed("brought to stable storage"))?;
            Begun::Now
        } else {
            return Err(SinkError::OfAnother(path.to_owned()));
        };
        let mut records = Self {
            path: path.to_owned(),
            file,
            end: HEADER as u64,
        };
        let mut sound = 0;
        for record in records.up_to(u64::MAX)? {
            record?;
            sound += 1;
        }
        records.end += sound * RECORD as u64;
        // The last append may have been cut.
        records
            .file
            .set_len(records.end)
            .map_err(failed("shortened"))?;
        records.reserve();
        Ok((records, begun))
    }

    /// Sets room aside for what is appended next, so that on a disk that the blocks have filled it can still be written which of
    /// them are there. What sets none aside (some file systems, a full disk) costs no more than that.
    fn reserve(&self) {
        let room = (super::TOGETHER * RECORD) as u64;
        let _ = rustix::fs::fallocate(&self.file, FallocateFlags::KEEP_SIZE, self.end, room);
    }

    /// All records, by when they were written.
    pub(super) fn read(&self) -> Result<Reading, SinkError> {
        self.up_to(self.end)
    }

    fn up_to(&self, end: u64) -> Result<Reading, SinkError> {
        let failed = |source| SinkError::Io {
            path: self.path.clone(),
            doing: "read",
            source,
        };
        // A position of its own, so that two readers do not move each other's.
        let mut file = File::open(&self.path).map_err(failed)?;
        file.seek(SeekFrom::Start(HEADER as u64)).map_err(failed)?;
        let length = end.saturating_sub(HEADER as u64);
        Ok(Reading {
            path: self.path.clone(),
            reader: BufReader::new(file.take(length)),
        })
    }

    /// Appends records and brings them to stable storage.
    pub(super) fn append(&mut self, records: &[Record]) -> Result<(), SinkError> {
        let bytes: Vec<u8> = records.iter().flat_map(encode).collect();
        let failed = |source| SinkError::Io {
            path: self.path.clone(),
            doing: "written",
            source,
        };
        self.file
            .seek(SeekFrom::Start(self.end))
            .and_then(|_| self.file.write_all(&bytes))
            .and_then(|()| self.file.sync_data())
            .map_err(failed)?;
        self.end += bytes.len() as u64;
        self.reserve();
        Ok(())
    }

    /// Removes the file.
    pub(super) fn remove(&self) -> Result<(), SinkError> {
        std::fs::remove_file(&self.path).map_err(|source| SinkError::Io {
            path: self.path.clone(),
            doing: "removed",
            source,
        })
    }
}

/// Records as they are read; ends at the first that is not whole.
pub(super) struct Reading {
    path: PathBuf,
    reader: BufReader<io::Take<File>>,
}

impl Iterator for Reading {
    type Item = Result<Record, SinkError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut bytes = [0; RECORD];
        match self.reader.read_exact(&mut bytes) {
            Ok(()) => decode(&bytes).map(Ok),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => None,
            Err(source) => Some(Err(SinkError::Io {
                path: self.path.clone(),
                doing: "read",
                source,
            })),
        }
    }
}

fn encode(record: &Record) -> [u8; RECORD] {
    let mut bytes = [0; RECORD];
    bytes[0] = match record.kind {
        Kind::Data => 1,
        Kind::Zeros => 2,
    };
    bytes[4..8].copy_from_slice(&record.index.0.to_le_bytes());
    bytes[8..12].copy_from_slice(&record.place.to_le_bytes());
    bytes[12..44].copy_from_slice(record.digest.as_bytes());
    let check = check(&bytes);
    bytes[44..].copy_from_slice(&check);
    bytes
}

fn decode(bytes: &[u8; RECORD]) -> Option<Record> {
    let kind = match bytes[0] {
        1 => Kind::Data,
        2 => Kind::Zeros,
        _ => return None,
    };
    if bytes[44..] != check(bytes) {
        return None;
    }
    let number = |at: usize| {
        let mut field = [0; 4];
        field.copy_from_slice(&bytes[at..at + 4]);
        u32::from_le_bytes(field)
    };
    let mut digest = [0; 32];
    digest.copy_from_slice(&bytes[12..44]);
    Some(Record {
        kind,
        index: BlockIndex(number(4)),
        place: number(8),
        digest: BlockDigest::from_bytes(digest),
    })
}

/// Tells a whole record from one that was cut.
fn check(bytes: &[u8; RECORD]) -> [u8; 4] {
    let mut check = [0; 4];
    check.copy_from_slice(&BlockDigest::of(&bytes[..44]).as_bytes()[..4]);
    check
}
