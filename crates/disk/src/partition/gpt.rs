//! GUID partition tables (UEFI Specification 2.10, section 5.3).

use super::{Architecture, Kind, Layout, Partition, Table};
use crate::{Disk, ReadError};

/// The sizes of sectors that there are.
const SECTORS: [u32; 2] = [512, 4096];

/// More entries than this no tool makes; 128 is usual.
const MOST_ENTRIES: u32 = 4096;

const HEADER: usize = 92;

/// A type's GUID as it stands on the disk: the first three groups little-endian.
const fn guid(a: u32, b: u16, c: u16, d: u16, e: u64) -> [u8; 16] {
    let (a, b, c) = (a.to_le_bytes(), b.to_le_bytes(), c.to_le_bytes());
    let (d, e) = (d.to_be_bytes(), e.to_be_bytes());
    [
        a[0], a[1], a[2], a[3], b[0], b[1], c[0], c[1], d[0], d[1], e[2], e[3], e[4], e[5], e[6],
        e[7],
    ]
}

const EFI_SYSTEM: [u8; 16] = guid(0xc12a_7328, 0xf81f, 0x11d2, 0xba4b, 0x00a0_c93e_c93b);
const BIOS_BOOT: [u8; 16] = guid(0x2168_6148, 0x6449, 0x6e6f, 0x744e, 0x6565_6445_4649);

/// Root and usr partitions
/// (<https://uapi-group.org/specifications/specs/discoverable_partitions_specification/>).
const SYSTEMS: [([u8; 16], Architecture); 4] = [
    (
        guid(0x4f68_bce3, 0xe8cd, 0x4db1, 0x96e7, 0xfbca_f984_b709),
        Architecture::X86_64,
    ),
    (
        guid(0x8484_680c, 0x9521, 0x48c6, 0x9c11, 0xb072_0656_f69e),
        Architecture::X86_64,
    ),
    (
        guid(0xb921_b045, 0x1df0, 0x41c3, 0xaf44, 0x4c6f_280d_3fae),
        Architecture::Arm64,
    ),
    (
        guid(0xb0e0_1050, 0xee5f, 0x4390, 0x949a, 0x9101_b171_04e9),
        Architecture::Arm64,
    ),
];

/// The partitions of a GPT, and what is odd about it; `None` if there is none.
pub(super) fn read(
    disk: &dyn Disk,
    layout: &mut Layout,
) -> Result<Option<Vec<Partition>>, ReadError> {
    let mut damaged = false;
    for sector in SECTORS {
        let sector = u64::from(sector);
        match Header::read(disk, sector, sector)? {
            Found::Table(header) => return found(disk, &header, layout).map(Some),
            Found::Damaged => damaged = true,
            Found::Nothing => {}
        }
    }
    for sector in SECTORS {
        let sector = u64::from(sector);
        let Some(last) = disk.size().checked_sub(sector) else {
            continue;
        };
        if let Found::Table(header) = Header::read(disk, last - last % sector, sector)? {
            layout.oddities.push(
                "the partition table at the disk's beginning is damaged; the backup at its end was read"
                    .to_owned(),
            );
            return found(disk, &header, layout).map(Some);
        }
    }
    if damaged {
        layout
            .oddities
            .push("the partition table is damaged, and so is its backup".to_owned());
    }
    Ok(None)
}

fn found(
    disk: &dyn Disk,
    header: &Header,
    layout: &mut Layout,
) -> Result<Vec<Partition>, ReadError> {
    layout.table = Table::Gpt;
    layout.sector_size = u32::try_from(header.sector).unwrap_or(512);
    if header.sector != 512 {
        layout.oddities.push(format!(
            "the partition table is for sectors of {} bytes; EBS volumes have 512, and a machine will not find it there",
            header.sector
        ));
    }
    if header.furthest.saturating_mul(header.sector) >= disk.size() {
        layout.oddities.push(format!(
            "the partition table says that the disk has at least {} bytes, but it has {}: the image may be truncated",
            header.furthest.saturating_add(1).saturating_mul(header.sector),
            disk.size()
        ));
    }
    header.partitions(disk)
}

enum Found {
    Table(Header),
    /// The mark is there, but not what should follow.
    Damaged,
    Nothing,
}

struct Header {
    sector: u64,
    /// The last sector that the table speaks of: its backup's, or its own.
    furthest: u64,
    entries: u64,
    count: u32,
    entry_size: u32,
}

impl Header {
    fn read(disk: &dyn Disk, offset: u64, sector: u64) -> Result<Found, ReadError> {
        if offset.checked_add(512).is_none_or(|end| end > disk.size()) {
            return Ok(Found::Nothing);
        }
        let mut bytes = [0; 512];
        disk.read_at(&mut bytes, offset)?;
        if bytes[..8] != *b"EFI PART" {
            return Ok(Found::Nothing);
        }
        let size = usize::try_from(u32_at(&bytes, 12)).unwrap_or(0);
        if !(HEADER..=bytes.len()).contains(&size) {
            return Ok(Found::Damaged);
        }
        let said = u32_at(&bytes, 16);
        let mut header = bytes;
        header[16..20].fill(0);
        if crc32(&header[..size]) != said {
            return Ok(Found::Damaged);
        }
        let (own, backup) = (u64_at(&bytes, 24), u64_at(&bytes, 32));
        let (count, entry_size) = (u32_at(&bytes, 80), u32_at(&bytes, 84));
        let entries = u64_at(&bytes, 72).checked_mul(sector);
        match entries {
            Some(entries)
                if own.checked_mul(sector) == Some(offset)
                    && count <= MOST_ENTRIES
                    && (128..=4096).contains(&entry_size) =>
            {
                Ok(Found::Table(Self {
                    sector,
                    furthest: own.max(backup),
                    entries,
                    count,
                    entry_size,
                }))
            }
            _ => Ok(Found::Damaged),
        }
    }

    fn partitions(&self, disk: &dyn Disk) -> Result<Vec<Partition>, ReadError> {
        let mut partitions = Vec::new();
        for number in 0..self.count {
            let offset = u64::from(number) * u64::from(self.entry_size);
            let Some(offset) = self.entries.checked_add(offset) else {
                break;
            };
            if offset.checked_add(128).is_none_or(|end| end > disk.size()) {
                break;
            }
            let mut entry = [0; 128];
            disk.read_at(&mut entry, offset)?;
            if entry[..16] == [0; 16] {
                continue;
            }
            let (first, last) = (u64_at(&entry, 32), u64_at(&entry, 40));
            let sectors = last.checked_sub(first).and_then(|less| less.checked_add(1));
            let (Some(start), Some(length)) = (
                first.checked_mul(self.sector),
                sectors.and_then(|sectors| sectors.checked_mul(self.sector)),
            ) else {
                continue;
            };
            partitions.push(Partition {
                start,
                length,
                kind: kind(&entry[..16]),
                legacy_bootable: u64_at(&entry, 48) & 4 != 0,
            });
        }
        Ok(partitions)
    }
}

fn kind(guid: &[u8]) -> Kind {
    if *guid == EFI_SYSTEM {
        return Kind::EfiSystem;
    }
    if *guid == BIOS_BOOT {
        return Kind::BiosBoot;
    }
    SYSTEMS
        .iter()
        .find(|(each, _)| each == guid)
        .map_or(Kind::Other, |&(_, architecture)| Kind::Root(architecture))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut field = [0; 4];
    field.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(field)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut field = [0; 8];
    field.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(field)
}

/// The CRC that zip and Ethernet have. A header is at most a sector, so that bit by bit is quick enough.
pub(super) fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    })
}
