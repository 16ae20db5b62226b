//! Virtual PC's format, fixed and dynamic
//! (<https://learn.microsoft.com/en-us/previous-versions/windows/desktop/legacy/dd323654(v=vs.85)>).
//!
//! A fixed disk is its bytes and a footer behind them. A dynamic one has a table of blocks; each block has a bitmap of its
//! sectors in front, which is not looked at: an allocated block is read as it stands, as QEMU does it.

use std::sync::Arc;

use crate::content::{Map, Mapped, Place, Run};
use crate::formats::raw::Flat;
use crate::formats::{field, refused};
use crate::source::Source;
use crate::tables::{Cursor, Tables};
use crate::{Disk, OpenError, ReadError};

/// The footer's size in bytes.
pub(crate) const FOOTER: usize = 512;

/// What a footer, and its copy at the beginning of a dynamic disk, begin with.
pub(crate) const COOKIE: &[u8; 8] = b"conectix";

const HEADER: usize = 1024;

/// Sectors by the largest geometry that a footer can give: more is only in its size.
const LARGEST_GEOMETRY: u64 = 65_535 * 16 * 255;

/// A block that is not there.
const UNALLOCATED: u32 = u32::MAX;

/// Whether these 512 bytes are a footer, by its mark and its checksum.
pub(crate) fn is_footer(bytes: &[u8]) -> bool {
    bytes.len() == FOOTER && bytes.starts_with(COOKIE) && sound(bytes, 64)
}

/// Whether the checksum at `at` is right: the one's complement of the sum of all other bytes.
fn sound(bytes: &[u8], at: usize) -> bool {
    let (before, rest) = bytes.split_at(at);
    let sum = before
        .iter()
        .chain(&rest[4..])
        .fold(0_u32, |sum, &byte| sum.wrapping_add(u32::from(byte)));
    field::u32_be(bytes, at) == !sum
}

pub(crate) fn open(source: Source) -> Result<Arc<dyn Disk>, OpenError> {
    let footer = footer(&source)?;
    let size = size(&footer);
    match field::u32_be(&footer, 60) {
        2 => {
            // The footer is not part of the disk.
            let there = source.length().saturating_sub(FOOTER as u64);
            if size > there {
                return Err(OpenError::Read(ReadError::Truncated {
                    file: source.name().to_owned(),
                    what: "the disk's data",
                    offset: 0,
                    end: size,
                    length: there,
                }));
            }
            Ok(Mapped::disk(Flat { source, size }))
        }
        3 => Ok(Mapped::disk(Dynamic::read(source, &footer, size)?)),
        4 => Err(refused(
            &source,
            "it holds only the differences from another disk",
            "merge the two where it comes from",
        )),
        other => Err(refused(
            &source,
            format!("it has the type {other}; fixed disks have 2, dynamic ones 3"),
            "convert it with qemu-img convert -O qcow2",
        )),
    }
}

/// The footer, or its copy at the beginning.
fn footer(source: &Source) -> Result<[u8; FOOTER], OpenError> {
    const WHAT: &str = "the footer";
    let last = source.length().saturating_sub(FOOTER as u64);
    for offset in [last, 0] {
        let footer = source.array(WHAT, offset)?;
        if is_footer(&footer) {
            return Ok(footer);
        }
    }
    Err(OpenError::Read(source.damaged(
        "neither its footer nor the copy at its beginning has a right checksum",
    )))
}

/// The disk's size in bytes.
///
/// Virtual PC and old versions of QEMU took the geometry for the size; everybody else takes the size.
fn size(footer: &[u8; FOOTER]) -> u64 {
    let said = field::u64_be(footer, 48);
    let geometry =
        u64::from(field::u16_be(footer, 56)) * u64::from(footer[58]) * u64::from(footer[59]);
    let by_geometry = matches!(&footer[28..32], b"vpc " | b"qemu");
    if by_geometry && geometry != LARGEST_GEOMETRY {
        geometry * 512
    } else {
        said
    }
}

struct Dynamic {
    tables: Tables,
    size: u64,
    /// Where the table of blocks is. It is within the file and has an entry for each block of the disk.
    table: u64,
    block: u64,
    /// The size of the bitmap in front of each block.
    bitmap: u64,
}

impl Dynamic {
    fn read(source: Source, footer: &[u8; FOOTER], size: u64) -> Result<Self, OpenError> {
        let damaged = |problem: String| Err(OpenError::Read(source.damaged(problem)));
        let header: [u8; HEADER] =
            source.array("the header of the dynamic disk", field::u64_be(footer, 16))?;
        if !header.starts_with(b"cxsparse") || !sound(&header, 36) {
            return damaged("the header of the dynamic disk is not one".to_owned());
        }
        let table = field::u64_be(&header, 16);
        let entries = u64::from(field::u32_be(&header, 28));
        let block = u64::from(field::u32_be(&header, 32));
        if !block.is_power_of_two() || block < 4096 {
            return damaged(format!("its blocks have {block} bytes"));
        }
        let needed = size.div_ceil(block);
        if needed > entries {
            return damaged(format!(
                "its table has {entries} entries, but a disk of {size} bytes needs {needed}"
            ));
        }
        // `needed` is at most `entries`, which has 32 bits.
        source.hold("the table of blocks", table, needed * 4)?;
        Ok(Self {
            tables: Tables::new(source),
            size,
            table,
            block,
            bitmap: (block / 512 / 8).next_multiple_of(512),
        })
    }
}

impl Map for Dynamic {
    fn size(&self) -> u64 {
        self.size
    }

    fn run_at<'a>(&'a self, cursor: &mut Cursor, offset: u64) -> Result<Run<'a>, ReadError> {
        let at = self.table + offset / self.block * 4;
        let entry = self.tables.entry(cursor, "the table of blocks", at)?;
        let within = offset % self.block;
        let place = match u32::from_be_bytes(entry) {
            UNALLOCATED => Place::Zero,
            sector => Place::File {
                source: self.tables.source(),
                offset: u64::from(sector) * 512 + self.bitmap + within,
            },
        };
        Ok(Run {
            length: self.block - within,
            place,
        })
    }
}
