//! The metadata: what the disk is.

use crate::formats::{field, refused};
use crate::source::Source;
use crate::{OpenError, ReadError};

use super::MIB;
use super::region::{Region, guid};

const WHAT: &str = "the metadata";
const TABLE: usize = 64 << 10;
const MOST_ENTRIES: u16 = 2047;

const FILE_PARAMETERS: [u8; 16] = guid(
    0xcaa1_6737,
    0xfa36,
    0x4d43,
    [0xb3, 0xb6, 0x33, 0xf0, 0xaa, 0x44, 0xe7, 0x6b],
);
const DISK_SIZE: [u8; 16] = guid(
    0x2fa5_4224,
    0xcd1b,
    0x4876,
    [0xb2, 0x11, 0x5d, 0xbe, 0xd8, 0x3b, 0xf4, 0xb8],
);
const DISK_ID: [u8; 16] = guid(
    0xbeca_12ab,
    0xb2e6,
    0x4523,
    [0x93, 0xef, 0xc3, 0x09, 0xe0, 0x00, 0xc7, 0x46],
);
const LOGICAL_SECTOR: [u8; 16] = guid(
    0x8141_bf1d,
    0xa96f,
    0x4709,
    [0xba, 0x47, 0xf2, 0x33, 0xa8, 0xfa, 0xab, 0x5f],
);
const PHYSICAL_SECTOR: [u8; 16] = guid(
    0xcda3_48c7,
    0x445d,
    0x4471,
    [0x9c, 0xc9, 0xe9, 0x88, 0x52, 0x51, 0xc5, 0x56],
);
const PARENT: [u8; 16] = guid(
    0xa8d3_5f2d,
    0xb30b,
    0x454d,
    [0xab, 0xf7, 0xd3, 0xd8, 0x48, 0x34, 0xab, 0x0c],
);

/// The largest disk that the format has.
const LARGEST: u64 = 64 << 40;

pub(super) struct Metadata {
    /// In bytes; at most 64 TiB.
    pub(super) size: u64,
    /// In bytes; a power of two from 1 to 256 MiB.
    pub(super) block: u64,
    /// 512 or 4096.
    pub(super) sector: u64,
}

impl Metadata {
    pub(super) fn read(source: &Source, region: Region) -> Result<Self, OpenError> {
        let damaged = |problem: String| OpenError::Read(source.damaged(problem));
        let mut table = vec![0; TABLE];
        source.read(WHAT, &mut table, region.offset)?;
        let count = field::u16_le(&table, 10);
        if !table.starts_with(b"metadata") || count > MOST_ENTRIES {
            return Err(damaged("its metadata is not what it should be".to_owned()));
        }
        let (mut block, mut size, mut sector) = (None, None, None);
        for entry in table[32..].chunks_exact(32).take(usize::from(count)) {
            let kind = &entry[..16];
            let item = |length| item(source, region, entry, length);
            if *kind == FILE_PARAMETERS {
                let parameters = item(8)?;
                block = Some(u64::from(field::u32_le(&parameters, 0)));
                if field::u32_le(&parameters, 4) & 2 != 0 {
                    return Err(differencing(source));
                }
            } else if *kind == DISK_SIZE {
                size = Some(field::u64_le(&item(8)?, 0));
            } else if *kind == LOGICAL_SECTOR {
                sector = Some(u64::from(field::u32_le(&item(4)?, 0)));
            } else if *kind == PARENT {
                return Err(differencing(source));
            } else if *kind != DISK_ID
                && *kind != PHYSICAL_SECTOR
                && field::u32_le(entry, 24) & 4 != 0
            {
                return Err(refused(
                    source,
                    "it needs metadata that qib does not know",
                    "convert it with qemu-img convert -O qcow2",
                ));
            }
        }
        let missing = |what: &str| damaged(format!("its metadata has no {what}"));
        let block = block.ok_or_else(|| missing("size of a block"))?;
        let size = size.ok_or_else(|| missing("size of the disk"))?;
        let sector = sector.ok_or_else(|| missing("size of a sector"))?;
        if !block.is_power_of_two() || !(MIB..=256 * MIB).contains(&block) {
            return Err(damaged(format!("its blocks have {block} bytes")));
        }
        if !matches!(sector, 512 | 4096) {
            return Err(damaged(format!("its sectors have {sector} bytes")));
        }
        if size > LARGEST || !size.is_multiple_of(sector) {
            return Err(damaged(format!("the disk has {size} bytes")));
        }
        Ok(Self {
            size,
            block,
            sector,
        })
    }
}

fn differencing(source: &Source) -> OpenError {
    refused(
        source,
        "it holds only the differences from another disk",
        "merge the two where it comes from",
    )
}

/// The first bytes of an item, which is at most 8 long here.
fn item(source: &Source, region: Region, entry: &[u8], length: u32) -> Result<[u8; 8], ReadError> {
    let (offset, said) = (field::u32_le(entry, 16), field::u32_le(entry, 20));
    if said < length || u64::from(offset) + u64::from(said) > region.length {
        return Err(source.damaged(format!(
            "an item of its metadata has {said} bytes at {offset}"
        )));
    }
    let mut item = [0; 8];
    let length = usize::try_from(length).map_or(8, |length| length.min(8));
    // A region's end was checked, and the item is within it.
    source.read(WHAT, &mut item[..length], region.offset + u64::from(offset))?;
    Ok(item)
}
