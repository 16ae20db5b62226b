//! What an import task does with an object: it becomes the blocks of a snapshot.
//!
//! A raw image is taken as it is. Other formats are converted by the program `qemu-img`, so that what a client wrote is judged
//! by a reader that is not its own. Nothing in a file leads that program to another file: what could is refused before, see
//! [`container`].

pub mod container;
mod qemu;

use crate::account::import_task::DiskFormat;
use crate::blocks::digest::{ZERO_BLOCK, is_zero, sha256};
use crate::blocks::{BLOCK_SIZE, BlockStore};
use crate::ids::SnapshotId;
use crate::storage::Incoming;
use crate::storage::content::Content;
use jiff::Timestamp;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

/// "The maximum size … 64 TiB" of a volume (<https://docs.aws.amazon.com/ebs/latest/userguide/volume_constraints.html>), and
/// so of a disk.
const MOST: u64 = 64 << 40;

/// Why an object does not become a snapshot.
#[derive(Debug)]
pub enum Unusable {
    /// The file is not what it is said to be.
    Invalid(String),
    /// The local EC2 could not do its part.
    Internal(String),
}

impl Unusable {
    /// The task's status message, as EC2 words it.
    pub fn message(&self) -> String {
        match self {
            Self::Invalid(why) => format!("ClientError: Disk validation failed [{why}]"),
            Self::Internal(why) => {
                format!("ServerError: an internal error has occurred during conversion. ({why})")
            }
        }
    }
}

impl From<io::Error> for Unusable {
    fn from(e: io::Error) -> Self {
        Self::Internal(e.to_string())
    }
}

/// A disk that can be read from its start to its end.
pub enum Disk {
    /// An object.
    Object(Content, u64),
    /// A file with holes, which goes when this does.
    Sparse(Incoming),
}

/// How large a snapshot of so many bytes is.
pub fn size_gib(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(1 << 30)).unwrap_or(u32::MAX)
}

impl Disk {
    /// A raw image.
    pub fn raw(object: Content, size: u64) -> Self {
        Self::Object(object, size)
    }

    /// Writes it as the blocks of a snapshot: every block of the disk, those of zeros as such. The disk's length in bytes.
    ///
    /// # Errors
    /// If it is empty or too large, or something cannot be read or written.
    pub fn write(
        self,
        store: &BlockStore,
        id: &SnapshotId,
        now: Timestamp,
    ) -> Result<u64, Unusable> {
        let size = match &self {
            Self::Object(_, size) => *size,
            Self::Sparse(scratch) => scratch.file.metadata()?.len(),
        };
        if size == 0 || size > MOST {
            return Err(Unusable::Invalid("Invalid disk size".to_owned()));
        }
        store.create(id, size_gib(size), now)?;
        let set = store.get(id)?;
        let mut block = vec![0; BLOCK_SIZE];
        let count = size.div_ceil(BLOCK_SIZE as u64);
        let count = u32::try_from(count).map_err(|e| Unusable::Internal(e.to_string()))?;
        let put = |index: u32, block: &[u8]| {
            let put = match is_zero(block) {
                true => set.put(index, None, &ZERO_BLOCK, now),
                false => set.put(index, Some(block), &sha256(block), now),
            };
            put.map_err(|e| Unusable::Internal(e.to_string()))
        };
        match self {
            Self::Object(object, size) => {
                let mut reader = object.range(0, size).reader();
                for index in 0..count {
                    fill(&mut reader, &mut block)?;
                    put(index, &block)?;
                }
            }
            Self::Sparse(mut scratch) => {
                let file = &mut scratch.file;
                let mut data = 0;
                for index in 0..count {
                    let (from, to) = bounds(index);
                    data = next_data(file, data, from)?;
                    if data >= to {
                        block.fill(0);
                    } else {
                        file.seek(SeekFrom::Start(from))?;
                        fill(file, &mut block)?;
                    }
                    put(index, &block)?;
                }
            }
        }
        set.seal();
        Ok(size)
    }
}

fn bounds(index: u32) -> (u64, u64) {
    let from = u64::from(index) * BLOCK_SIZE as u64;
    (from, from + BLOCK_SIZE as u64)
}

/// Where there is data from `from` on; `known` is where it was found the last time.
fn next_data(file: &File, known: u64, from: u64) -> io::Result<u64> {
    if known > from {
        return Ok(known);
    }
    match rustix::fs::seek(file, rustix::fs::SeekFrom::Data(from)) {
        Ok(at) => Ok(at),
        // Holes to the end.
        Err(rustix::io::Errno::NXIO) => Ok(u64::MAX),
        // A file system that knows no holes.
        Err(rustix::io::Errno::INVAL) => Ok(from),
        Err(e) => Err(e.into()),
    }
}

/// Reads a block; what is beyond the end is zeros.
fn fill(from: &mut dyn Read, block: &mut [u8]) -> io::Result<()> {
    let mut have = 0;
    while have < block.len() {
        match from.read(&mut block[have..]) {
            Ok(0) => break,
            Ok(read) => have += read,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    block[have..].fill(0);
    Ok(())
}

/// Converts an object that is in a format of its own. It is gathered in `scratch`, and becomes `disk`.
///
/// # Errors
/// [`Unusable::Invalid`] if it is not what it is said to be; [`Unusable::Internal`] if `qemu-img` is not there or does not end.
pub async fn convert(
    format: DiskFormat,
    object: Content,
    (scratch, disk): (Incoming, Incoming),
    size: u64,
) -> Result<Disk, Unusable> {
    let gathered = tokio::task::spawn_blocking(move || -> Result<_, Unusable> {
        let mut scratch = scratch;
        io::copy(&mut object.range(0, size).reader(), &mut scratch.file)?;
        let kind = container::check(format, &scratch.file, size)?;
        Ok((scratch, kind))
    });
    let (scratch, kind) = gathered
        .await
        .map_err(|e| Unusable::Internal(e.to_string()))??;
    qemu::convert(kind, scratch.path(), disk.path()).await?;
    Ok(Disk::Sparse(disk))
}
