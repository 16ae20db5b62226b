//! What a file is, by its first bytes.

use serde::{Deserialize, Serialize};
use std::fmt;

/// How many of the first bytes tell: a tar archive shows itself only here.
pub(crate) const HEAD: usize = 512;

/// How a file is packed, where it can be unpacked here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// The .xz format, of one or several streams.
    Xz,
    /// Zstandard (RFC 8878), of one or several frames.
    Zstd,
    /// gzip (RFC 1952), of one or several members.
    Gzip,
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Xz => "xz",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        })
    }
}

/// What the first bytes of a file say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// Something to unpack.
    Packed(Compression),
    /// Something that is no disk image, in words.
    Foreign(&'static str),
    /// Nothing that is known here: a disk image, as far as this can be told.
    Image,
}

const TOO: &str = "which is not unpacked here. Unpack it, and give the image itself";

/// Looks at the first bytes of a file, [`HEAD`] of them or as many as it has.
pub(crate) fn of(head: &[u8]) -> Content {
    let starts = |magic: &[u8]| head.starts_with(magic);
    if head.is_empty() {
        return Content::Foreign("it has 0 bytes");
    }
    if starts(b"\xfd7zXZ\0") {
        return Content::Packed(Compression::Xz);
    }
    // A skippable frame, which some writers put first, has one of sixteen magic numbers.
    if starts(b"\x28\xb5\x2f\xfd")
        || (head.len() >= 4 && head[0] & 0xf0 == 0x50 && head[1..4] == *b"\x2a\x4d\x18")
    {
        return Content::Packed(Compression::Zstd);
    }
    if starts(b"\x1f\x8b\x08") {
        return Content::Packed(Compression::Gzip);
    }
    let foreign = [
        (
            is_html(head),
            "it is a web page (HTML): an error page, a login page or a list of files. Open the address in a \
                         browser, and give that of the file itself",
        ),
        (is_bzip2(head), "it is a bzip2 file, {}"),
        (starts(b"PK\x03\x04"), "it is a ZIP archive, {}"),
        (starts(b"7z\xbc\xaf\x27\x1c"), "it is a 7z archive, {}"),
        (starts(b"Rar!\x1a\x07"), "it is a RAR archive, {}"),
        (starts(b"LZIP\x01"), "it is an lzip file, {}"),
        (starts(b"\x04\x22\x4d\x18"), "it is an lz4 file, {}"),
        (
            head.get(257..262) == Some(b"ustar"),
            "it is a tar archive (OVA files are too), {}",
        ),
        (
            starts(b"-----BEGIN PGP "),
            "it is a PGP signature or a signed text. Give the address of the image itself",
        ),
    ];
    foreign
        .into_iter()
        .find_map(|(is, what)| is.then_some(Content::Foreign(what)))
        .unwrap_or(Content::Image)
}

impl Content {
    /// Why it is no image, if so.
    pub(crate) fn objection(self) -> Option<String> {
        match self {
            Self::Foreign(what) => Some(what.replace("{}", TOO)),
            Self::Packed(_) | Self::Image => None,
        }
    }
}

fn is_bzip2(head: &[u8]) -> bool {
    head.starts_with(b"BZh") && head.get(4..10) == Some(b"1AY&SY")
}

/// The start of an HTML page: after a byte order mark and white space, a doctype or an `html` element in either case.
pub(crate) fn is_html(head: &[u8]) -> bool {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let head = head.trim_ascii_start();
    let begins = |text: &[u8]| {
        head.get(..text.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(text))
    };
    begins(b"<!doctype") || begins(b"<html") || begins(b"<head") || begins(b"<?xml")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_told_from_images() {
        for page in [
            "<!DOCTYPE html>\n<html>",
            "\u{feff}  \r\n<HTML lang=en>",
            "<!doctype HTML PUBLIC",
            "<?xml version=\"1.0\"?><Error>",
        ] {
            let objection = of(page.as_bytes()).objection().expect(page);
            assert!(objection.contains("HTML"), "{objection}");
        }
        for image in [
            &b"QFI\xfb\0\0\0\x03"[..],
            b"conectix",
            b"vhdxfile",
            b"KDMV",
            &[0; 512],
            b"<",
            b"B",
        ] {
            assert_eq!(of(image), Content::Image, "{image:?}");
        }
    }

    #[test]
    fn packed_files_are_told_by_their_magic() {
        assert_eq!(of(b"\xfd7zXZ\0\0\x04"), Content::Packed(Compression::Xz));
        assert_eq!(of(b"\x28\xb5\x2f\xfd"), Content::Packed(Compression::Zstd));
        assert_eq!(of(b"\x5f\x2a\x4d\x18"), Content::Packed(Compression::Zstd));
        assert_eq!(of(b"\x1f\x8b\x08\0"), Content::Packed(Compression::Gzip));
        assert_eq!(of(b"\x1f\x8b"), Content::Image);
    }

    #[test]
    fn archives_are_refused_with_advice() {
        let mut tar = [0; 512];
        tar[257..262].copy_from_slice(b"ustar");
        for archive in [
            &tar[..],
            b"PK\x03\x04",
            b"BZh91AY&SY",
            b"7z\xbc\xaf\x27\x1c\0",
            b"",
        ] {
            let objection = of(archive).objection().expect("it is no image");
            assert!(!objection.contains("{}"), "{objection}");
        }
    }
}
