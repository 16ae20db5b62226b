//! The boot loaders in an EFI system partition: `\EFI\BOOT` of a FAT file system, by short names. Anything that is not as
//! simple as that has none.

use super::{Architecture, Partition};
use crate::{Disk, ReadError};

/// A directory of an EFI system partition is followed no further than this many clusters.
const LONGEST_DIRECTORY: usize = 256;

const ENTRY: usize = 32;

/// The architectures for which there is a default boot loader (UEFI Specification 2.10, section 3.5.1.1).
pub(super) fn boot_loaders(
    disk: &dyn Disk,
    partition: &Partition,
) -> Result<Vec<Architecture>, ReadError> {
    let Some(fat) = Fat::read(disk, partition)? else {
        return Ok(Vec::new());
    };
    let mut place = fat.root;
    for name in [b"EFI        ", b"BOOT       "] {
        match fat.find(place, name)? {
            Some(entry) if entry.is_directory => place = Place::Cluster(entry.cluster),
            _ => return Ok(Vec::new()),
        }
    }
    let mut found = Vec::new();
    for (name, architecture) in [
        (b"BOOTX64 EFI", Architecture::X86_64),
        (b"BOOTAA64EFI", Architecture::Arm64),
    ] {
        if fat
            .find(place, name)?
            .is_some_and(|entry| !entry.is_directory)
        {
            found.push(architecture);
        }
    }
    Ok(found)
}

struct Fat<'a> {
    disk: &'a dyn Disk,
    start: u64,
    end: u64,
    cluster_size: u64,
    /// Where the table is, from the partition's start.
    table: u64,
    /// Where cluster 2 is, from the partition's start.
    data: u64,
    width: Width,
    root: Place,
}

#[derive(Clone, Copy)]
enum Width {
    Bits12,
    Bits16,
    Bits32,
}

#[derive(Clone, Copy)]
enum Place {
    /// The root directory of FAT12 and FAT16: from the partition's start, in bytes.
    Fixed {
        offset: u64,
        length: u64,
    },
    Cluster(u32),
}

struct Entry {
    cluster: u32,
    is_directory: bool,
}

impl<'a> Fat<'a> {
    fn read(disk: &'a dyn Disk, partition: &Partition) -> Result<Option<Self>, ReadError> {
        let Some(end) = partition.start.checked_add(partition.length) else {
            return Ok(None);
        };
        let end = end.min(disk.size());
        if partition
            .start
            .checked_add(512)
            .is_none_or(|head| head > end)
        {
            return Ok(None);
        }
        let mut boot = [0; 512];
        disk.read_at(&mut boot, partition.start)?;
        let short = |at: usize| u64::from(u16::from_le_bytes([boot[at], boot[at + 1]]));
        let long = |at: usize| {
            u64::from(u32::from_le_bytes([
                boot[at],
                boot[at + 1],
                boot[at + 2],
                boot[at + 3],
            ]))
        };
        let or = |first: u64, second: u64| if first == 0 { second } else { first };
        let (sector, per_cluster) = (short(11), u64::from(boot[13]));
        let (reserved, tables, root_entries) = (short(14), u64::from(boot[16]), short(17));
        let (sectors, table) = (or(short(19), long(32)), or(short(22), long(36)));
        if boot[510..] != [0x55, 0xaa]
            || ![512, 1024, 2048, 4096].contains(&sector)
            || per_cluster == 0
            || !per_cluster.is_power_of_two()
            || tables == 0
            || table == 0
        {
            return Ok(None);
        }
        // All factors are of 32 bits or less: nothing here can overflow 64.
        let root = (reserved + tables * table) * sector;
        let root_length = root_entries * ENTRY as u64;
        let data = root + root_length.next_multiple_of(sector);
        let clusters = sectors.saturating_sub(data / sector) / per_cluster;
        let width = match clusters {
            0..4085 => Width::Bits12,
            4085..65525 => Width::Bits16,
            _ => Width::Bits32,
        };
        let root = match width {
            Width::Bits12 | Width::Bits16 => Place::Fixed {
                offset: root,
                length: root_length,
            },
            Width::Bits32 => {
                Place::Cluster(u32::from_le_bytes([boot[44], boot[45], boot[46], boot[47]]))
            }
        };
        Ok(Some(Self {
            disk,
            start: partition.start,
            end,
            cluster_size: per_cluster * sector,
            table: reserved * sector,
            data,
            width,
            root,
        }))
    }

    /// Fills `buffer` from an offset within the partition; `None` if that is not within it.
    fn bytes(&self, buffer: &mut [u8], offset: u64) -> Result<Option<()>, ReadError> {
        let Some(offset) = self.start.checked_add(offset) else {
            return Ok(None);
        };
        if offset
            .checked_add(buffer.len() as u64)
            .is_none_or(|end| end > self.end)
        {
            return Ok(None);
        }
        self.disk.read_at(buffer, offset).map(Some)
    }

    fn find(&self, place: Place, name: &[u8; 11]) -> Result<Option<Entry>, ReadError> {
        match place {
            Place::Fixed { offset, length } => match self.search(offset, length, name)? {
                Search::Found(entry) => Ok(Some(entry)),
                Search::Goes | Search::Ends => Ok(None),
            },
            Place::Cluster(first) => {
                let mut cluster = first;
                for _ in 0..LONGEST_DIRECTORY {
                    let Some(number) = cluster.checked_sub(2) else {
                        return Ok(None);
                    };
                    let offset = self.data + u64::from(number) * self.cluster_size;
                    match self.search(offset, self.cluster_size, name)? {
                        Search::Found(entry) => return Ok(Some(entry)),
                        Search::Ends => return Ok(None),
                        Search::Goes => {}
                    }
                    match self.next(cluster)? {
                        Some(next) => cluster = next,
                        None => return Ok(None),
                    }
                }
                Ok(None)
            }
        }
    }

    fn search(&self, offset: u64, length: u64, name: &[u8; 11]) -> Result<Search, ReadError> {
        for place in 0..length / ENTRY as u64 {
            let mut entry = [0; ENTRY];
            if self
                .bytes(&mut entry, offset + place * ENTRY as u64)?
                .is_none()
            {
                return Ok(Search::Ends);
            }
            // A volume's label and the parts of long names have the bit 8.
            match entry[0] {
                0 => return Ok(Search::Ends),
                _ if entry[..11] == *name && entry[11] & 8 == 0 => {
                    return Ok(Search::Found(Entry {
                        cluster: u32::from_le_bytes([entry[26], entry[27], entry[20], entry[21]]),
                        is_directory: entry[11] & 16 != 0,
                    }));
                }
                _ => {}
            }
        }
        Ok(Search::Goes)
    }

    /// The cluster that follows; `None` at a chain's end.
    fn next(&self, cluster: u32) -> Result<Option<u32>, ReadError> {
        let number = u64::from(cluster);
        let mut entry = [0; 4];
        let (offset, size, mask, end) = match self.width {
            Width::Bits12 => (number + number / 2, 2, 0xfff, 0xff8),
            Width::Bits16 => (number * 2, 2, 0xffff, 0xfff8),
            Width::Bits32 => (number * 4, 4, 0x0fff_ffff, 0x0fff_fff8),
        };
        if self
            .bytes(&mut entry[..size], self.table + offset)?
            .is_none()
        {
            return Ok(None);
        }
        let mut next = u32::from_le_bytes(entry);
        if matches!(self.width, Width::Bits12) && cluster % 2 == 1 {
            next >>= 4;
        }
        next &= mask;
        Ok((2..end).contains(&next).then_some(next))
    }
}

enum Search {
    Found(Entry),
    /// Not here; the directory may go on elsewhere.
    Goes,
    Ends,
}
