//! The region table: where the metadata and the block allocation table are.

use crate::formats::{field, refused};
use crate::source::Source;
use crate::{OpenError, ReadError};

use super::MIB;
use super::checksum;

const PLACES: [u64; 2] = [192 << 10, 256 << 10];
const SIZE: usize = 64 << 10;
const MOST_ENTRIES: u32 = 2047;

#[derive(Clone, Copy)]
pub(super) struct Region {
    pub(super) offset: u64,
    pub(super) length: u64,
}

pub(super) struct Regions {
    pub(super) table: Region,
    pub(super) metadata: Region,
}

/// A GUID as it stands in the file: the first three groups little-endian.
pub(super) const fn guid(a: u32, b: u16, c: u16, rest: [u8; 8]) -> [u8; 16] {
    let (a, b, c, d) = (a.to_le_bytes(), b.to_le_bytes(), c.to_le_bytes(), rest);
    [
        a[0], a[1], a[2], a[3], b[0], b[1], c[0], c[1], d[0], d[1], d[2], d[3], d[4], d[5], d[6],
        d[7],
    ]
}

const TABLE: [u8; 16] = guid(
    0x2dc2_7766,
    0xf623,
    0x4200,
    [0x9d, 0x64, 0x11, 0x5e, 0x9b, 0xfd, 0x4a, 0x08],
);
const METADATA: [u8; 16] = guid(
    0x8b7c_a206,
    0x4790,
    0x4b9a,
    [0xb8, 0xfe, 0x57, 0x5f, 0x05, 0x0f, 0x88, 0x6e],
);

pub(super) fn read(source: &Source) -> Result<Regions, OpenError> {
    let mut bytes = vec![0; SIZE];
    for place in PLACES {
        source.read("the region table", &mut bytes, place)?;
        if bytes.starts_with(b"regi") && checksum::sound(&bytes) {
            return parse(source, &bytes);
        }
    }
    Err(OpenError::Read(source.damaged(
        "neither of its two region tables has a right checksum",
    )))
}

fn parse(source: &Source, bytes: &[u8]) -> Result<Regions, OpenError> {
    let damaged = |problem: &str| OpenError::Read(source.damaged(problem));
    let count = field::u32_le(bytes, 8);
    if count > MOST_ENTRIES {
        return Err(damaged("its region table has too many entries"));
    }
    let (mut table, mut metadata) = (None, None);
    let count = usize::try_from(count).unwrap_or(0);
    for entry in bytes[16..].chunks_exact(32).take(count) {
        let region = region(source, entry)?;
        let (kind, required) = (&entry[..16], field::u32_le(entry, 28) & 1 != 0);
        if *kind == TABLE {
            table = Some(region);
        } else if *kind == METADATA {
            metadata = Some(region);
        } else if required {
            return Err(refused(
                source,
                "it needs a region that qib does not know",
                "convert it with qemu-img convert -O qcow2",
            ));
        }
    }
    Ok(Regions {
        table: table.ok_or_else(|| damaged("it has no block allocation table"))?,
        metadata: metadata.ok_or_else(|| damaged("it has no metadata"))?,
    })
}

fn region(source: &Source, entry: &[u8]) -> Result<Region, ReadError> {
    let (offset, length) = (
        field::u64_le(entry, 16),
        u64::from(field::u32_le(entry, 24)),
    );
    if offset < MIB || !offset.is_multiple_of(MIB) || offset.checked_add(length).is_none() {
        return Err(source.damaged(format!("a region is said to be at byte {offset}")));
    }
    Ok(Region { offset, length })
}
