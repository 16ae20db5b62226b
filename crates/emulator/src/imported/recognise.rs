//! File systems by their first bytes, so that a refusal can say what is there.

use super::volume::Volume;
use std::fmt;
use std::io;

/// What a disk or a partition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// ext2, ext3 or ext4.
    Ext4,
    /// Something else that has a sign.
    Known(&'static str),
    /// Nothing but zeros where signs are.
    Empty,
    /// Something.
    Unknown,
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ext4 => "ext4",
            Self::Known(name) => name,
            Self::Empty => "empty",
            Self::Unknown => "of no kind that is known here",
        })
    }
}

/// Signs, and where they stand.
const SIGNS: [(&str, usize, &[u8]); 12] = [
    ("XFS", 0, b"XFSB"),
    ("Btrfs", 0x10040, b"_BHRfS_M"),
    ("SquashFS", 0, b"hsqs"),
    ("EROFS", 1024, &[0xe2, 0xe1, 0xf5, 0xe0]),
    ("LUKS", 0, b"LUKS\xba\xbe"),
    ("an LVM physical volume", 512, b"LABELONE"),
    ("swap", 4086, b"SWAPSPACE2"),
    ("NTFS", 3, b"NTFS    "),
    ("FAT", 54, b"FAT1"),
    ("FAT", 82, b"FAT32"),
    ("exFAT", 3, b"EXFAT   "),
    ("ISO 9660", 0x8001, b"CD001"),
];

/// How far the signs reach.
const LOOKED_AT: u64 = 0x1_1000;

/// What is at a place of a disk.
///
/// # Errors
/// If the disk cannot be read.
pub fn content(volume: &Volume, (offset, length): (u64, u64)) -> io::Result<Content> {
    let length = usize::try_from(length.min(LOOKED_AT)).unwrap_or_default();
    let mut head = vec![0; length];
    volume.read(offset, &mut head)?;
    let at = |at: usize, sign: &[u8]| head.get(at..).is_some_and(|b| b.starts_with(sign));
    if at(0x438, &[0x53, 0xef]) {
        return Ok(Content::Ext4);
    }
    let known = SIGNS.iter().find(|(_, place, sign)| at(*place, sign));
    Ok(match known {
        Some((name, ..)) => Content::Known(name),
        None if crate::blocks::digest::is_zero(&head) => Content::Empty,
        None => Content::Unknown,
    })
}
