//! Whether a file is in the format that it is said to be in, as far as it takes to hand it to `qemu-img`.
//!
//! Every format can name other files: extents, parents, differencing disks. Such files are refused here, so that no object leads
//! the converter to a file of the host's. The words of the refusals are those that EC2 was seen to use.

use super::Unusable;
use crate::account::import_task::DiskFormat;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// How `qemu-img` calls a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// VMDK.
    Vmdk,
    /// VHD.
    Vpc,
    /// VHDX.
    Vhdx,
}

impl Kind {
    /// The name for `-f`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Vmdk => "vmdk",
            Self::Vpc => "vpc",
            Self::Vhdx => "vhdx",
        }
    }
}

fn unsupported(what: &str) -> Unusable {
    Unusable::Invalid(what.to_owned())
}

/// Checks a file of `size` bytes.
///
/// # Errors
/// [`Unusable::Invalid`], in EC2's words.
pub fn check(format: DiskFormat, file: &File, size: u64) -> Result<Kind, Unusable> {
    match format {
        DiskFormat::Vmdk => vmdk(file, size),
        DiskFormat::Vhd => vhd(file, size),
        DiskFormat::Vhdx => vhdx(file, size),
        DiskFormat::Raw | DiskFormat::Ova => Err(unsupported("Unsupported specified file format")),
    }
}

fn read(file: &File, at: u64, length: usize, size: u64) -> Option<Vec<u8>> {
    let end = at.checked_add(length as u64)?;
    if end > size {
        return None;
    }
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, at).ok()?;
    Some(bytes)
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |n, b| (n << 8) | u64::from(*b))
}

/// "Stream-optimized ESX Virtual Machine Disk (VMDK)" is what is supported
/// (<https://docs.aws.amazon.com/vm-import/latest/userguide/prerequisites.html#vmimport-image-formats>). Its header:
/// <https://www.vmware.com/app/vmdk/?src=vmdk>.
fn vmdk(file: &File, size: u64) -> Result<Kind, Unusable> {
    let refused = || unsupported("Unsupported VMDK File");
    let header = read(file, 0, 512, size).ok_or_else(refused)?;
    let flags = number(&header[8..12]);
    // Compressed grains, and markers: what makes it a stream.
    let stream = flags & (1 << 16) != 0 && flags & (1 << 17) != 0;
    // A capacity of nothing would mean that the descriptor names the extents.
    let capacity = number(&header[12..20]);
    let (at, sectors) = (number(&header[28..36]), number(&header[36..44]));
    if &header[..4] != b"KDMV" || !stream || capacity == 0 || sectors == 0 || sectors > 2048 {
        return Err(refused());
    }
    let at = at.checked_mul(512).ok_or_else(refused)?;
    let length = usize::try_from(sectors * 512).map_err(|_| refused())?;
    let text = read(file, at, length, size).ok_or_else(refused)?;
    let text = String::from_utf8_lossy(&text);
    let text = text.split('\0').next().unwrap_or_default();
    let value = |key: &str| {
        let mut lines = text.lines().filter_map(|l| l.split_once('='));
        let found = lines.find(|(k, _)| k.trim().eq_ignore_ascii_case(key));
        found.map(|(_, v)| v.trim().trim_matches('"').to_ascii_lowercase())
    };
    let own = value("createType").as_deref() == Some("streamoptimized")
        && value("parentCID").is_none_or(|cid| cid == "ffffffff")
        && value("parentFileNameHint").is_none();
    match own {
        true => Ok(Kind::Vmdk),
        false => Err(refused()),
    }
}

/// "Fixed and Dynamic Virtual Hard Disk (VHD)". The footer is the last 512 bytes:
/// <https://download.microsoft.com/download/f/f/e/ffef50a5-07dd-4cf8-aaa3-442c0673a029/Virtual%20Hard%20Disk%20Format%20Spec_10_18_06.doc>.
fn vhd(file: &File, size: u64) -> Result<Kind, Unusable> {
    let refused = || unsupported("Unsupported VHD File");
    let at = size.checked_sub(512).ok_or_else(refused)?;
    let footer = read(file, at, 512, size).ok_or_else(refused)?;
    let kind = u32::from_be_bytes([footer[60], footer[61], footer[62], footer[63]]);
    // 4 would be one that differs from a parent.
    match &footer[..8] == b"conectix" && matches!(kind, 2 | 3) {
        true => Ok(Kind::Vpc),
        false => Err(refused()),
    }
}

/// <https://learn.microsoft.com/openspecs/windows_protocols/ms-vhdx>. `qemu-img` itself refuses one with a parent.
fn vhdx(file: &File, size: u64) -> Result<Kind, Unusable> {
    let header = read(file, 0, 8, size);
    match header.as_deref() == Some(b"vhdxfile") {
        true => Ok(Kind::Vhdx),
        false => Err(unsupported("Unsupported VHDX File")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    fn of(format: DiskFormat, bytes: &[u8]) -> Result<Kind, String> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        check(format, &file, bytes.len() as u64).map_err(|e| e.message())
    }

    const OWN: &str = "version=1\nCID=12345678\nparentCID=ffffffff\ncreateType=\"streamOptimized\"\nRDONLY 8 SPARSE \"disk.vmdk\"\n";

    /// A header as a stream has it, and a descriptor.
    fn vmdk_of(capacity: u64, at: u64, descriptor: &str) -> Vec<u8> {
        let mut bytes = vec![0; 1024];
        bytes[..4].copy_from_slice(b"KDMV");
        bytes[8..12].copy_from_slice(&0x0003_0003_u32.to_le_bytes());
        bytes[12..20].copy_from_slice(&capacity.to_le_bytes());
        bytes[28..36].copy_from_slice(&at.to_le_bytes());
        bytes[36..44].copy_from_slice(&1_u64.to_le_bytes());
        bytes[512..512 + descriptor.len()].copy_from_slice(descriptor.as_bytes());
        bytes
    }

    #[test]
    fn a_vmdk_that_names_other_files_is_refused() {
        assert_eq!(of(DiskFormat::Vmdk, &vmdk_of(8, 1, OWN)), Ok(Kind::Vmdk));
        let flat = OWN.replace("streamOptimized", "monolithicFlat");
        let child = OWN.replace("ffffffff", "00000001");
        let hint = format!("parentFileNameHint=\"/etc/passwd\"\n{OWN}");
        for (what, bytes) in [
            ("extents of its own", vmdk_of(8, 1, &flat)),
            ("a parent", vmdk_of(8, 1, &child)),
            ("a parent's name", vmdk_of(8, 1, &hint)),
            ("a descriptor in place of a disk", vmdk_of(0, 1, OWN)),
            ("a descriptor beyond the end", vmdk_of(8, 2, OWN)),
            ("a descriptor beyond all ends", vmdk_of(8, u64::MAX, OWN)),
        ] {
            let refused = of(DiskFormat::Vmdk, &bytes).unwrap_err();
            assert!(refused.contains("[Unsupported VMDK File]"), "{what}");
        }
    }

    #[test]
    fn a_vhd_that_differs_from_a_parent_is_refused() {
        let footer = |kind: u8| {
            let mut bytes = vec![0; 1024];
            bytes[512..520].copy_from_slice(b"conectix");
            bytes[512 + 63] = kind;
            bytes
        };
        assert_eq!(of(DiskFormat::Vhd, &footer(2)), Ok(Kind::Vpc));
        assert_eq!(of(DiskFormat::Vhd, &footer(3)), Ok(Kind::Vpc));
        assert!(of(DiskFormat::Vhd, &footer(4)).is_err());
    }

    proptest! {
        #[test]
        fn any_file_is_looked_at_without_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..600), stream: bool) {
            if stream && bytes.len() > 12 {
                bytes[..4].copy_from_slice(b"KDMV");
                bytes[10] = 3;
            }
            for format in DiskFormat::ALL {
                let _ = of(format, &bytes);
            }
        }
    }
}
