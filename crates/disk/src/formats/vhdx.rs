//! Hyper-V's format ([MS-VHDX] 8.0, <https://learn.microsoft.com/en-us/openspecs/windows_protocols/ms-vhdx/>).
//!
//! ```text
//!   two headers ──▶ the current one ──▶ log, if the disk was not closed: its entries are laid over the file
//!   two region tables ──▶ metadata: size, size of a block and of a sector
//!                     └─▶ block allocation table ──▶ block: not there │ zeros │ data
//! ```

mod checksum;
mod log;
mod metadata;
mod region;

use std::sync::Arc;

use crate::content::{Map, Mapped, Place, Run};
use crate::source::Source;
use crate::tables::{Cursor, Tables};
use crate::{Disk, OpenError, ReadError};

use metadata::Metadata;

const MIB: u64 = 1 << 20;

pub(crate) fn open(source: Source) -> Result<Arc<dyn Disk>, OpenError> {
    let source = log::replayed(source)?;
    let regions = region::read(&source)?;
    let metadata = Metadata::read(&source, regions.metadata)?;
    // Each chunk of the disk has entries for its blocks, and one for a bitmap that only differencing disks have.
    let per_chunk = (metadata.sector << 23) / metadata.block;
    let blocks = metadata.size.div_ceil(metadata.block);
    // No block is less than a MiB and no disk more than 64 TiB: there are at most 2^26.
    let last = blocks.saturating_sub(1);
    let entries = if blocks == 0 {
        0
    } else {
        last + last / per_chunk + 1
    };
    if regions.table.length < entries * 8 {
        return Err(OpenError::Read(source.damaged(format!(
            "the block allocation table has {} bytes, but a disk of {} needs {}",
            regions.table.length,
            metadata.size,
            entries * 8
        ))));
    }
    source.hold(
        "the block allocation table",
        regions.table.offset,
        entries * 8,
    )?;
    Ok(Mapped::disk(Vhdx {
        tables: Tables::new(source),
        size: metadata.size,
        block: metadata.block,
        per_chunk,
        table: regions.table.offset,
    }))
}

struct Vhdx {
    tables: Tables,
    size: u64,
    block: u64,
    per_chunk: u64,
    /// Where the block allocation table is. It is within the file and has an entry for each block of the disk.
    table: u64,
}

impl Map for Vhdx {
    fn size(&self) -> u64 {
        self.size
    }

    fn run_at<'a>(&'a self, cursor: &mut Cursor, offset: u64) -> Result<Run<'a>, ReadError> {
        let number = offset / self.block;
        let at = self.table + (number + number / self.per_chunk) * 8;
        let entry = u64::from_le_bytes(self.tables.entry(
            cursor,
            "the block allocation table",
            at,
        )?);
        let within = offset % self.block;
        let source = self.tables.source();
        let place = match entry & 7 {
            // Not present, undefined, zero, unmapped; 5 is unmapped by an early draft.
            0 | 1 | 2 | 3 | 5 => Place::Zero,
            6 => Place::File {
                source,
                // The upper 44 bits are its place in MiB.
                offset: (entry & !(MIB - 1)).saturating_add(within),
            },
            state => {
                return Err(source.damaged(format!(
                    "the block at byte {} of the disk has the state {state}, which only a differencing disk may have",
                    offset - within
                )));
            }
        };
        Ok(Run {
            length: self.block - within,
            place,
        })
    }
}
