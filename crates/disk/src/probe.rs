//! What a file is, told from its first and last bytes: a disk image and of which format, or something that is often taken
//! for one by mistake, such as the page that a server sends in place of a file.

use std::fmt;
use std::io;

use crate::Format;
use crate::formats::vhd;
use crate::source::ReadAt;

/// So many first bytes are looked at: enough for the mark of an ISO 9660 file system.
pub const HEAD: usize = 0x8800;

/// What a file was told to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recognised {
    /// A disk image. Raw is what has no other mark.
    Disk(Format),
    /// Something else.
    Other(NotADisk),
}

/// What a file is instead of a disk image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotADisk {
    /// Nothing.
    Empty,
    /// A web page: most often an error's, or a login's.
    Html,
    /// XML, as S3 answers with when it refuses.
    Xml,
    /// Text of another kind.
    Text,
    /// gzip.
    Gzip,
    /// xz.
    Xz,
    /// Zstandard.
    Zstd,
    /// bzip2.
    Bzip2,
    /// zip.
    Zip,
    /// 7z.
    SevenZip,
    /// A tar archive, or an OVA, which is one.
    Tar,
    /// A CD or DVD image.
    Iso,
    /// A Linux program.
    Elf,
    /// A QCOW file of version 1.
    Qcow1,
    /// VirtualBox's own format.
    Vdi,
    /// QEMU's enhanced disk.
    Qed,
    /// VMware ESX's sparse disk.
    Cowd,
}

impl NotADisk {
    /// Whether there are disks that begin so, which a caller may know better.
    fn may_be_raw(self) -> bool {
        matches!(self, Self::Iso)
    }
}

impl fmt::Display for NotADisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "it is empty",
            Self::Html => {
                "it is a web page, perhaps the error or the login of the server that it comes from"
            }
            Self::Xml => "it is XML, perhaps the error of the server that it comes from",
            Self::Text => "it is text",
            Self::Gzip => "it is compressed with gzip; unpack it first",
            Self::Xz => "it is compressed with xz; unpack it first",
            Self::Zstd => "it is compressed with zstd; unpack it first",
            Self::Bzip2 => "it is compressed with bzip2; unpack it first",
            Self::Zip => "it is a zip archive; take the disk image out of it first",
            Self::SevenZip => "it is a 7z archive; take the disk image out of it first",
            Self::Tar => {
                "it is a tar archive, which an OVA is too; take the disk image out of it first"
            }
            Self::Iso => {
                "it is an image of a CD; if it is meant to be a disk as well, say that the format is raw"
            }
            Self::Elf => "it is a program",
            Self::Qcow1 => {
                "it is a QCOW image of version 1; convert it with qemu-img convert -O qcow2"
            }
            Self::Vdi => "it is a VirtualBox image; convert it with qemu-img convert -O qcow2",
            Self::Qed => "it is a QED image; convert it with qemu-img convert -O qcow2",
            Self::Cowd => "it is a VMware ESX sparse disk; convert it with qemu-img convert -O qcow2",
        })
    }
}

/// Tells what `source` is.
///
/// # Errors
///
/// What the operating system says.
pub fn probe(source: &dyn ReadAt) -> io::Result<Recognised> {
    let length = source.length();
    let mut head = vec![0; usize::try_from(length).map_or(HEAD, |length| length.min(HEAD))];
    source.read_exact_at(&mut head, 0)?;
    let mut tail = [0; vhd::FOOTER];
    let tail = match length.checked_sub(vhd::FOOTER as u64) {
        Some(offset) => {
            source.read_exact_at(&mut tail, offset)?;
            &tail[..]
        }
        None => &[],
    };
    Ok(recognise(&head, tail))
}

/// Tells what a file is from its first [`HEAD`] bytes (all, if it has less) and its last 512 (none, if it has less).
pub fn recognise(head: &[u8], tail: &[u8]) -> Recognised {
    use Recognised::{Disk, Other};
    let at = |offset: usize, mark: &[u8]| {
        offset
            .checked_add(mark.len())
            .and_then(|end| head.get(offset..end))
            == Some(mark)
    };
    if head.is_empty() {
        return Other(NotADisk::Empty);
    }
    if at(0, b"QFI\xfb") {
        return if at(4, &1_u32.to_be_bytes()) {
            Other(NotADisk::Qcow1)
        } else {
            Disk(Format::Qcow2)
        };
    }
    if at(0, b"KDMV") || is_vmdk_descriptor(head) {
        return Disk(Format::Vmdk);
    }
    if at(0, b"vhdxfile") {
        return Disk(Format::Vhdx);
    }
    if at(0, vhd::COOKIE) || vhd::is_footer(tail) {
        return Disk(Format::Vhd);
    }
    let others: [(usize, &[u8], NotADisk); 13] = [
        (0, b"\x1f\x8b\x08", NotADisk::Gzip),
        (0, b"\xfd7zXZ\0", NotADisk::Xz),
        (0, b"\x28\xb5\x2f\xfd", NotADisk::Zstd),
        (0, b"BZh", NotADisk::Bzip2),
        (0, b"PK\x03\x04", NotADisk::Zip),
        (0, b"7z\xbc\xaf\x27\x1c", NotADisk::SevenZip),
        (0, b"\x7fELF", NotADisk::Elf),
        (0, b"QED\0", NotADisk::Qed),
        (0, b"COWD", NotADisk::Cowd),
        (0x40, b"\x7f\x10\xda\xbe", NotADisk::Vdi),
        (257, b"ustar\0", NotADisk::Tar),
        (257, b"ustar ", NotADisk::Tar),
        (0x8001, b"CD001", NotADisk::Iso),
    ];
    for (offset, mark, other) in others {
        if at(offset, mark) {
            return Other(other);
        }
    }
    match text(head) {
        Some(other) => Other(other),
        None => Disk(Format::Raw),
    }
}

/// What to read a file as, whose content was recognised and of which the caller may have given the format.
pub(crate) fn decide(recognised: Recognised, said: Option<Format>) -> Result<Format, Decision> {
    match (recognised, said) {
        (Recognised::Disk(found), None) => Ok(found),
        (Recognised::Disk(found), Some(said)) if found == said => Ok(said),
        // The last sector of a disk may look like a VHD's by accident or on purpose: what the caller says holds.
        (Recognised::Disk(Format::Vhd), Some(Format::Raw)) => Ok(Format::Raw),
        (Recognised::Disk(Format::Raw), Some(said)) => Err(Decision::NotOf(said)),
        (Recognised::Disk(found), Some(said)) => Err(Decision::Other { said, found }),
        (Recognised::Other(other), Some(Format::Raw)) if other.may_be_raw() => Ok(Format::Raw),
        (Recognised::Other(other), _) => Err(Decision::NotADisk(other)),
    }
}

/// Why a file is not read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    NotADisk(NotADisk),
    NotOf(Format),
    Other { said: Format, found: Format },
}

/// A VMDK whose description stands in a text file, with comments and empty lines before it perhaps.
fn is_vmdk_descriptor(head: &[u8]) -> bool {
    for line in head.split(|&byte| byte == b'\n').take(32) {
        let line = line.trim_ascii();
        if line.eq_ignore_ascii_case(b"# Disk DescriptorFile") {
            return true;
        }
        if !line.is_empty() && !line.starts_with(b"#") {
            return false;
        }
    }
    false
}

/// Which kind of text this is, if it is text.
fn text(head: &[u8]) -> Option<NotADisk> {
    let start = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let start = start.trim_ascii_start();
    let start = &start[..start.len().min(64)];
    let begins = |mark: &str| {
        start
            .get(..mark.len())
            .is_some_and(|found| found.eq_ignore_ascii_case(mark.as_bytes()))
    };
    if begins("<!doctype html") || begins("<html") || begins("<head") || begins("<!--") {
        return Some(NotADisk::Html);
    }
    if begins("<?xml") || begins("<Error>") {
        return Some(NotADisk::Xml);
    }
    let first = &head[..head.len().min(512)];
    let valid = match std::str::from_utf8(first) {
        Ok(text) => text,
        // The last character is cut by the end of what is looked at.
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&first[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => "",
    };
    let is_text = !valid.is_empty()
        && valid
            .chars()
            .all(|each| !each.is_control() || matches!(each, '\n' | '\r' | '\t'));
    is_text.then_some(NotADisk::Text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(head: &[u8]) -> Recognised {
        let tail = head
            .len()
            .checked_sub(512)
            .map_or(&[][..], |at| &head[at..]);
        recognise(head, tail)
    }

    fn placed(offset: usize, mark: &[u8]) -> Vec<u8> {
        let mut head = vec![0; HEAD];
        head[offset..offset + mark.len()].copy_from_slice(mark);
        head
    }

    #[test]
    fn formats_are_told_by_their_marks() {
        assert_eq!(
            of(&placed(0, b"QFI\xfb\0\0\0\x03")),
            Recognised::Disk(Format::Qcow2)
        );
        assert_eq!(of(&placed(0, b"KDMV")), Recognised::Disk(Format::Vmdk));
        assert_eq!(
            of(b"# Disk DescriptorFile\nversion=1\n"),
            Recognised::Disk(Format::Vmdk)
        );
        assert_eq!(
            of(b"#\r\n\r\n# disk descriptorfile\r\nversion=1\n"),
            Recognised::Disk(Format::Vmdk)
        );
        assert_eq!(of(&placed(0, b"vhdxfile")), Recognised::Disk(Format::Vhdx));
        assert_eq!(of(&placed(0, b"conectix")), Recognised::Disk(Format::Vhd));
        assert_eq!(of(&[0; 512]), Recognised::Disk(Format::Raw));
        assert_eq!(of(&placed(510, b"\x55\xaa")), Recognised::Disk(Format::Raw));
        assert_eq!(of(b"\xff"), Recognised::Disk(Format::Raw));
    }

    #[test]
    fn what_is_no_disk_is_told_as_what_it_is() {
        for (head, expected) in [
            (b"".to_vec(), NotADisk::Empty),
            (b"<!DOCTYPE HTML><title>404".to_vec(), NotADisk::Html),
            (b"\n  <html>".to_vec(), NotADisk::Html),
            (b"\xef\xbb\xbf<html>".to_vec(), NotADisk::Html),
            (b"<?xml version=\"1.0\"?><Error>".to_vec(), NotADisk::Xml),
            (b"Not Found\n".to_vec(), NotADisk::Text),
            ("ü".repeat(400).into_bytes(), NotADisk::Text),
            (placed(0, b"\x1f\x8b\x08"), NotADisk::Gzip),
            (placed(0, b"\xfd7zXZ\0"), NotADisk::Xz),
            (placed(0, b"\x28\xb5\x2f\xfd"), NotADisk::Zstd),
            (placed(0, b"BZh9"), NotADisk::Bzip2),
            (placed(0, b"PK\x03\x04"), NotADisk::Zip),
            (placed(257, b"ustar\x0000"), NotADisk::Tar),
            (placed(257, b"ustar  "), NotADisk::Tar),
            (placed(0x8001, b"CD001"), NotADisk::Iso),
            (placed(0, b"\x7fELF"), NotADisk::Elf),
            (placed(0, b"QFI\xfb\0\0\0\x01"), NotADisk::Qcow1),
            (placed(0x40, b"\x7f\x10\xda\xbe"), NotADisk::Vdi),
        ] {
            assert_eq!(of(&head), Recognised::Other(expected));
        }
    }

    #[test]
    fn what_the_caller_says_must_fit_the_content() {
        use Recognised::{Disk, Other};
        assert_eq!(decide(Disk(Format::Qcow2), None), Ok(Format::Qcow2));
        assert_eq!(
            decide(Disk(Format::Qcow2), Some(Format::Raw)),
            Err(Decision::Other {
                said: Format::Raw,
                found: Format::Qcow2
            })
        );
        assert_eq!(
            decide(Disk(Format::Raw), Some(Format::Vhdx)),
            Err(Decision::NotOf(Format::Vhdx))
        );
        assert_eq!(
            decide(Disk(Format::Vhd), Some(Format::Raw)),
            Ok(Format::Raw)
        );
        assert_eq!(
            decide(Other(NotADisk::Iso), Some(Format::Raw)),
            Ok(Format::Raw)
        );
        assert_eq!(
            decide(Other(NotADisk::Html), Some(Format::Raw)),
            Err(Decision::NotADisk(NotADisk::Html))
        );
    }
}
