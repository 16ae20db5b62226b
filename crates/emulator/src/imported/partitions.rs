//! GPT and MBR.
//!
//! <https://uefi.org/specs/UEFI/2.10/05_GUID_Partition_Table_Format.html>. Checksums are not looked at: a table that a
//! firmware would refuse is no guest's concern, since no firmware runs here. Sectors are of 512 bytes, as EBS's are.

use super::sector;
use super::volume::Volume;
use std::io;

/// Bytes of a sector.
pub const SECTOR: usize = 512;

/// A partition that lies on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Its number, from 1 on.
    pub number: u32,
    /// Its first byte.
    pub offset: u64,
    /// How many bytes it has.
    pub length: u64,
}

/// Most entries of a GPT that are read; a disk usually has room for 128.
const MOST_ENTRIES: u32 = 256;

/// The partitions; none if there is no table.
///
/// # Errors
/// If the disk cannot be read.
pub fn read(volume: &Volume) -> io::Result<Vec<Partition>> {
    let first = sector(volume, 0)?;
    let gpt = gpt(volume)?;
    if !gpt.is_empty() {
        return Ok(gpt);
    }
    Ok(mbr(volume, &first))
}

fn gpt(volume: &Volume) -> io::Result<Vec<Partition>> {
    let header = sector(volume, 1)?;
    if !header.starts_with(b"EFI PART") {
        return Ok(Vec::new());
    }
    let table = u64_at(&header, 72);
    let (count, size) = (u32_at(&header, 80), u32_at(&header, 84));
    // "SizeofPartitionEntry … shall be set to a value of 128 x 2^n"
    if !(128..=4096).contains(&size) || !size.is_power_of_two() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for n in 0..count.min(MOST_ENTRIES) {
        let at = table
            .checked_mul(SECTOR as u64)
            .and_then(|at| at.checked_add(u64::from(n) * u64::from(size)));
        let Some(at) = at.filter(|at| *at < volume.length()) else {
            break;
        };
        let mut entry = [0; 128];
        if volume.read(at, &mut entry).is_err() {
            break;
        }
        let unused = entry.iter().take(16).all(|b| *b == 0);
        let (start, end) = (u64_at(&entry, 32), u64_at(&entry, 40));
        if !unused && start > 0 && start <= end {
            let sectors = (end - start).saturating_add(1);
            found.extend(place(volume, n + 1, start, sectors));
        }
    }
    Ok(found)
}

fn mbr(volume: &Volume, first: &[u8; SECTOR]) -> Vec<Partition> {
    if !first.ends_with(&[0x55, 0xaa]) {
        return Vec::new();
    }
    let entries = (0..4u32).filter_map(|n| {
        let at = 446 + n as usize * 16;
        let kind = first.get(at + 4)?;
        let (start, sectors) = (u32_at(first, at + 8), u32_at(first, at + 12));
        // Extended partitions hold no file system themselves, and nobody puts a root into a logical one any more. A first
        // byte that is neither of these is no table's: file systems end their first sector in the same sign.
        let used = matches!(first.get(at)?, 0 | 0x80) && !matches!(kind, 0 | 5 | 0xf | 0x85 | 0xee);
        (used && start > 0 && sectors > 0)
            .then(|| place(volume, n + 1, u64::from(start), u64::from(sectors)))?
    });
    entries.collect()
}

/// A partition, cut off where the disk ends.
fn place(volume: &Volume, number: u32, start: u64, sectors: u64) -> Option<Partition> {
    let offset = start.checked_mul(SECTOR as u64)?;
    let room = volume.length().checked_sub(offset).filter(|r| *r > 0)?;
    Some(Partition {
        number,
        offset,
        length: sectors.saturating_mul(SECTOR as u64).min(room),
    })
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let found = bytes.get(at..).and_then(|b| b.first_chunk::<4>());
    found.map_or(0, |b| u32::from_le_bytes(*b))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let found = bytes.get(at..).and_then(|b| b.first_chunk::<8>());
    found.map_or(0, |b| u64::from_le_bytes(*b))
}

#[cfg(test)]
mod tests {
    use super::super::volume::Unwritten;
    use super::super::volume::tests::disk;
    use super::*;
    use proptest::prelude::*;

    fn mbr_entry(bytes: &mut [u8], n: usize, kind: u8, start: u32, sectors: u32) {
        let at = 446 + n * 16;
        bytes[at + 4] = kind;
        bytes[at + 8..at + 12].copy_from_slice(&start.to_le_bytes());
        bytes[at + 12..at + 16].copy_from_slice(&sectors.to_le_bytes());
        bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
    }

    #[test]
    fn an_mbrs_partitions_are_on_the_disk() {
        let mut bytes = vec![0; 4096];
        mbr_entry(&mut bytes, 0, 0x83, 2048, 10);
        mbr_entry(&mut bytes, 1, 0x83, 4096, u32::MAX);
        mbr_entry(&mut bytes, 2, 0x83, u32::MAX, 1);
        mbr_entry(&mut bytes, 3, 5, 1, 1);
        let volume = disk(&bytes, Unwritten::Zeros);
        let found = read(&volume).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].offset, found[0].length), (1 << 20, 5120));
        assert_eq!(found[1].offset + found[1].length, volume.length());
        assert_eq!(read(&disk(&[], Unwritten::Zeros)).unwrap(), []);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn whatever_a_table_says_no_partition_is_off_the_disk(
            mut head in proptest::collection::vec(any::<u8>(), 8192),
            gpt: bool,
            table in 0u64..20,
            count: u32,
        ) {
            head[510..512].copy_from_slice(&[0x55, 0xaa]);
            if gpt {
                head[512..520].copy_from_slice(b"EFI PART");
                head[584..592].copy_from_slice(&table.to_le_bytes());
                head[592..596].copy_from_slice(&count.to_le_bytes());
                head[596..600].copy_from_slice(&128u32.to_le_bytes());
            }
            let volume = disk(&head, Unwritten::Zeros);
            for partition in read(&volume).unwrap() {
                prop_assert!(partition.length > 0);
                prop_assert!(partition.offset + partition.length <= volume.length());
            }
        }
    }
}
