//! Sparse files: hosted (Workstation's) and stream-optimised.

use crate::content::{Map, Place, Run};
use crate::formats::{field, refused};
use crate::packed::{Codec, Framing, LARGEST_UNIT, Packed};
use crate::source::Source;
use crate::tables::{Cursor, Tables};
use crate::{OpenError, ReadError};

use super::SECTOR;
use super::descriptor::Descriptor;

pub(super) const MAGIC: &[u8; 4] = b"KDMV";

/// Where a header's directory is said to be if the footer says so.
const AT_END: u64 = u64::MAX;

const ZEROED_GRAINS: u32 = 1 << 2;
const COMPRESSED: u32 = 1 << 16;
const MARKERS: u32 = 1 << 17;

pub(super) struct Sparse {
    tables: Tables,
    size: u64,
    grain: u64,
    /// How many grains a grain table is for.
    per_table: u64,
    /// Where the grain directory is. It is within the file and has an entry for each grain table.
    directory: u64,
    zeroed: ZeroedGrains,
    packing: Option<Framing>,
}

/// What the entry 1 of a grain table means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ZeroedGrains {
    /// A grain of zeros.
    Marked,
    /// The sector 1, which no grain can be at.
    Unknown,
}

/// Opens a file that is a whole disk.
pub(super) fn open_alone(source: Source) -> Result<Sparse, OpenError> {
    let header: [u8; 512] = source.array("the header", 0)?;
    let (at, sectors) = (field::u64_le(&header, 28), field::u64_le(&header, 36));
    if at == 0 || sectors == 0 {
        return Err(refused(
            &source,
            "it is one part of a disk in several files",
            "give the small .vmdk file that names the parts",
        ));
    }
    let (Some(offset), Some(length)) = (at.checked_mul(SECTOR), sectors.checked_mul(SECTOR)) else {
        return Err(OpenError::Read(source.damaged(format!(
            "its description is at sector {at} and has {sectors} sectors"
        ))));
    };
    // What it says of the parent matters here; the only part is this file.
    Descriptor::read_within(&source, offset, length)?;
    open(source)
}

/// Opens a file that is a part of `length` bytes of a disk.
pub(super) fn open_part(source: Source, length: u64) -> Result<Sparse, OpenError> {
    if source.array("the header", 0)? != *MAGIC {
        return Err(OpenError::Read(source.damaged(
            "it should be a sparse part of a disk, but has no such header",
        )));
    }
    let sparse = open(source)?;
    if sparse.size < length {
        return Err(OpenError::Read(sparse.tables.source().damaged(format!(
            "it holds {} bytes of the disk instead of {length}",
            sparse.size
        ))));
    }
    Ok(sparse)
}

fn open(source: Source) -> Result<Sparse, OpenError> {
    let mut header: [u8; 512] = source.array("the header", 0)?;
    if field::u64_le(&header, 56) == AT_END {
        header = footer(&source)?;
    }
    let damaged = |problem: String| Err(OpenError::Read(source.damaged(problem)));
    let version = field::u32_le(&header, 4);
    if !(1..=3).contains(&version) {
        return Err(refused(
            &source,
            format!("it has version {version} of the VMDK format"),
            "convert it with qemu-img convert -O qcow2",
        ));
    }
    let flags = field::u32_le(&header, 8);
    let (capacity, grain) = (field::u64_le(&header, 12), field::u64_le(&header, 20));
    let per_table = u64::from(field::u32_le(&header, 44));
    let size = match capacity.checked_mul(SECTOR) {
        Some(size) if i64::try_from(size).is_ok() => size,
        _ => return damaged(format!("the disk has {capacity} sectors")),
    };
    if !grain.is_power_of_two() || !(1..=1 << 21).contains(&grain) {
        return damaged(format!("its grains have {grain} sectors"));
    }
    let grain = grain * SECTOR;
    if !(1..=512).contains(&per_table) {
        return damaged(format!("its grain tables have {per_table} entries"));
    }
    let packing = match (flags & COMPRESSED != 0, field::u16_le(&header, 77)) {
        (false, _) => None,
        (true, 1) if grain > LARGEST_UNIT => {
            return damaged(format!("its compressed grains have {grain} bytes"));
        }
        (true, 1) if flags & MARKERS != 0 => Some(Framing::Marker),
        (true, 1) => Some(Framing::AtMost(2 * grain)),
        (true, other) => {
            return Err(refused(
                &source,
                format!("it is compressed by method {other}"),
                "convert it with qemu-img convert -O qcow2",
            ));
        }
    };
    let directory = field::u64_le(&header, 56);
    let Some(directory) = directory.checked_mul(SECTOR) else {
        return damaged(format!("its grain directory is at sector {directory}"));
    };
    // A disk has less than 2^63 bytes, and a grain table is for 512 or more: nothing here can overflow.
    let tables = size.div_ceil(grain * per_table);
    source.hold("the grain directory", directory, tables * 4)?;
    Ok(Sparse {
        tables: Tables::new(source),
        size,
        grain,
        per_table,
        directory,
        zeroed: if flags & ZEROED_GRAINS != 0 {
            ZeroedGrains::Marked
        } else {
            ZeroedGrains::Unknown
        },
        packing,
    })
}

/// A stream-optimised file ends with a marker of the footer, the footer, and a marker of the end.
fn footer(source: &Source) -> Result<[u8; 512], OpenError> {
    let missing = || {
        OpenError::Read(ReadError::Truncated {
            file: source.name().to_owned(),
            what: "the footer of the stream-optimised disk",
            offset: source.length().saturating_sub(1024),
            end: source.length(),
            length: source.length(),
        })
    };
    let start = source
        .length()
        .checked_sub(3 * SECTOR)
        .ok_or_else(missing)?;
    let end: [u8; 1536] = source.array("the footer", start)?;
    let is_marker = |at: usize, kind: u32| {
        field::u32_le(&end, at + 8) == 0 && field::u32_le(&end, at + 12) == kind
    };
    let footer = &end[512..1024];
    if !is_marker(0, 3)
        || !is_marker(1024, 0)
        || footer[..4] != *MAGIC
        || field::u64_le(footer, 56) == AT_END
    {
        return Err(OpenError::Read(source.damaged(
            "the footer of the stream-optimised disk is not at the file's end: it may be truncated; fetch or copy it again",
        )));
    }
    let mut header = [0; 512];
    header.copy_from_slice(footer);
    Ok(header)
}

impl Map for Sparse {
    fn size(&self) -> u64 {
        self.size
    }

    fn unit(&self) -> u64 {
        self.packing.map_or(1, |_| self.grain)
    }

    fn run_at<'a>(&'a self, cursor: &mut Cursor, offset: u64) -> Result<Run<'a>, ReadError> {
        let covered = self.grain * self.per_table;
        let at = self.directory + offset / covered * 4;
        let table = u32::from_le_bytes(self.tables.entry(cursor, "the grain directory", at)?);
        if table == 0 {
            return Ok(Run {
                length: covered - offset % covered,
                place: Place::Zero,
            });
        }
        let at = u64::from(table) * SECTOR + offset % covered / self.grain * 4;
        let entry = u32::from_le_bytes(self.tables.entry(cursor, "a grain table", at)?);
        let within = offset % self.grain;
        let start = offset - within;
        let source = self.tables.source();
        let place = match (entry, self.packing) {
            (0, _) => Place::Zero,
            (1, _) if self.zeroed == ZeroedGrains::Marked => Place::Zero,
            (sector, None) => Place::File {
                source,
                offset: u64::from(sector) * SECTOR + within,
            },
            (sector, Some(framing)) => {
                // At most `LARGEST_UNIT`.
                let unpacked = usize::try_from(self.grain).unwrap_or(0);
                Place::Packed(Packed {
                    source,
                    offset: u64::from(sector) * SECTOR,
                    framing,
                    codec: Codec::Zlib,
                    start,
                    unpacked,
                    visible: usize::try_from(self.size - start)
                        .map_or(unpacked, |rest| rest.min(unpacked)),
                })
            }
        };
        Ok(Run {
            length: self.grain - within,
            place,
        })
    }
}
