//! What a disk's partition table says about how it boots, and on which architecture.
//!
//! Read with the same care as a format: the number of steps does not depend on what the table claims. What is odd about
//! a table is told in [`Layout::oddities`] and is no error, because a disk need not be bootable to be imported.

mod fat;
mod gpt;

use std::fmt;

use crate::{Disk, ReadError};

/// What a disk's partition table says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The table's kind.
    pub table: Table,
    /// Whether there is an EFI system partition.
    pub efi_system: Firmware,
    /// Whether there is what a BIOS needs: on a GPT a BIOS boot partition, or boot code and a partition marked as bootable
    /// by a BIOS; on an MBR boot code.
    pub bios: Firmware,
    /// What the system is for, as the types of root and usr partitions say (Discoverable Partitions Specification), or the
    /// boot loaders in the EFI system partition; a disk that a BIOS boots is for x86-64. `None` if nothing says so, or if
    /// it is for both.
    pub architecture: Option<Architecture>,
    /// The size of the sectors that the table counts in. EBS volumes have 512 bytes; a table for 4096 is not found there.
    pub sector_size: u32,
    /// What a person should know, in sentences without a full stop.
    pub oddities: Vec<String>,
}

/// A table's kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// A GUID partition table.
    Gpt,
    /// A master boot record with partitions.
    Mbr,
    /// None that can be read.
    None,
}

/// Whether a kind of firmware finds what it boots from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Firmware {
    /// It does.
    Present,
    /// It does not.
    Absent,
}

/// A processor architecture, by EC2's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Architecture {
    /// 64-bit Intel and AMD.
    X86_64,
    /// 64-bit Arm.
    Arm64,
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::X86_64 => "x86_64",
            Self::Arm64 => "arm64",
        })
    }
}

/// An image's boot mode, by EC2's names (<https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ami-boot.html>).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BootMode {
    /// UEFI alone.
    Uefi,
    /// UEFI where the instance type has it, else BIOS.
    UefiPreferred,
    /// BIOS alone.
    LegacyBios,
    /// Nothing says how it boots.
    Unknown,
}

impl fmt::Display for BootMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Uefi => "uefi",
            Self::UefiPreferred => "uefi-preferred",
            Self::LegacyBios => "legacy-bios",
            Self::Unknown => "unknown",
        })
    }
}

impl Layout {
    /// How the disk boots. An arm64 instance knows UEFI alone.
    pub fn boot_mode(&self) -> BootMode {
        match (self.efi_system, self.bios) {
            (Firmware::Present, Firmware::Absent) => BootMode::Uefi,
            (Firmware::Present, Firmware::Present)
                if self.architecture == Some(Architecture::Arm64) =>
            {
                BootMode::Uefi
            }
            (Firmware::Present, Firmware::Present) => BootMode::UefiPreferred,
            (Firmware::Absent, Firmware::Present) => BootMode::LegacyBios,
            (Firmware::Absent, Firmware::Absent) => BootMode::Unknown,
        }
    }
}

/// A partition, as far as it matters.
struct Partition {
    /// In bytes.
    start: u64,
    /// In bytes; never 0.
    length: u64,
    kind: Kind,
    legacy_bootable: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    EfiSystem,
    BiosBoot,
    Root(Architecture),
    Other,
}

/// Reads the partition table of `disk`.
///
/// # Errors
///
/// What is wrong with the image. What is wrong with the table is in [`Layout::oddities`].
pub fn layout(disk: &dyn Disk) -> Result<Layout, ReadError> {
    let mut layout = Layout {
        table: Table::None,
        efi_system: Firmware::Absent,
        bios: Firmware::Absent,
        architecture: None,
        sector_size: 512,
        oddities: Vec::new(),
    };
    if disk.size() < 512 {
        return Ok(layout);
    }
    let mut record = [0; 512];
    disk.read_at(&mut record, 0)?;
    let partitions = match gpt::read(disk, &mut layout)? {
        Some(partitions) => partitions,
        None => master_boot_record(disk, &record, &mut layout),
    };
    let boot_code = record[..440].iter().any(|&byte| byte != 0) && signed(&record);
    judge(disk, &partitions, boot_code, &mut layout)?;
    Ok(layout)
}

fn signed(record: &[u8; 512]) -> bool {
    record[510..] == [0x55, 0xaa]
}

fn judge(
    disk: &dyn Disk,
    partitions: &[Partition],
    boot_code: bool,
    layout: &mut Layout,
) -> Result<(), ReadError> {
    let has = |kind| partitions.iter().any(|partition| partition.kind == kind);
    if has(Kind::EfiSystem) {
        layout.efi_system = Firmware::Present;
    }
    let bios = match layout.table {
        Table::Gpt => {
            has(Kind::BiosBoot)
                || boot_code && partitions.iter().any(|partition| partition.legacy_bootable)
        }
        Table::Mbr => boot_code,
        Table::None => false,
    };
    if bios {
        layout.bios = Firmware::Present;
    }
    let mut architectures = Vec::new();
    for partition in partitions {
        if let Kind::Root(architecture) = partition.kind {
            architectures.push(architecture);
        }
    }
    if architectures.is_empty() {
        for partition in partitions {
            if partition.kind == Kind::EfiSystem {
                architectures.extend(fat::boot_loaders(disk, partition)?);
            }
        }
    }
    if architectures.is_empty() && bios {
        architectures.push(Architecture::X86_64);
    }
    architectures.sort_unstable();
    architectures.dedup();
    layout.architecture = match architectures[..] {
        [one] => Some(one),
        _ => None,
    };
    let beyond = partitions
        .iter()
        .filter_map(|partition| partition.start.checked_add(partition.length))
        .max()
        .filter(|&end| end > disk.size());
    if let Some(end) = beyond {
        layout.oddities.push(format!(
            "the last partition ends at byte {end}, but the disk has only {}: the image may be truncated",
            disk.size()
        ));
    }
    Ok(())
}

/// The four primary partitions; an EFI system partition is one of them.
fn master_boot_record(disk: &dyn Disk, record: &[u8; 512], layout: &mut Layout) -> Vec<Partition> {
    let mut partitions = Vec::new();
    if !signed(record) {
        return partitions;
    }
    for entry in record[446..510].chunks_exact(16) {
        let number = |at: usize| {
            u64::from(u32::from_le_bytes([
                entry[at],
                entry[at + 1],
                entry[at + 2],
                entry[at + 3],
            ]))
        };
        let (flag, kind, start, sectors) = (entry[0], entry[4], number(8), number(12));
        if kind == 0 && sectors == 0 {
            continue;
        }
        // A file system's boot sector has the same signature, and text or code where the entries are.
        if !matches!(flag, 0 | 0x80) || start == 0 || sectors == 0 || start * 512 >= disk.size() {
            return Vec::new();
        }
        partitions.push(Partition {
            start: start * 512,
            length: sectors * 512,
            kind: if kind == 0xef {
                Kind::EfiSystem
            } else {
                Kind::Other
            },
            legacy_bootable: flag == 0x80,
        });
    }
    if !partitions.is_empty() {
        layout.table = Table::Mbr;
    }
    partitions
}

#[cfg(test)]
mod tests;
