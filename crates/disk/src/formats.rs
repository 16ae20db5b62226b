//! The readers. Each is a lookup from a place on the disk to a place in a file, by tables that stay in the file: what a
//! header claims costs no memory, and no chain of pointers is followed that could lead back to its start.

pub(crate) mod qcow2;
pub(crate) mod raw;
pub(crate) mod vhd;
pub(crate) mod vhdx;
pub(crate) mod vmdk;

use std::sync::Arc;

use crate::source::Source;
use crate::{BackingFile, Disk, Format, OpenError};

/// The files beside an image, which it may name.
pub(crate) trait Neighbours {
    /// Opens one by a name that [`plain_name`] has passed. Never a link, and only a regular file.
    fn open(&self, name: &str) -> Result<Source, OpenError>;
}

/// Images may be based on one another so many times.
pub(crate) const DEEPEST: usize = 8;

/// What a reader is given beside the file.
#[derive(Clone, Copy)]
pub(crate) struct Surroundings<'a> {
    pub(crate) backing_file: BackingFile,
    pub(crate) neighbours: &'a dyn Neighbours,
    /// How many images are based on this one.
    pub(crate) depth: usize,
}

pub(crate) fn open(
    format: Format,
    source: Source,
    surroundings: Surroundings<'_>,
) -> Result<Arc<dyn Disk>, OpenError> {
    match format {
        Format::Raw => Ok(raw::open(source)),
        Format::Qcow2 => qcow2::open(source, surroundings),
        Format::Vmdk => vmdk::open(source, surroundings.neighbours),
        Format::Vhd => vhd::open(source),
        Format::Vhdx => vhdx::open(source),
    }
}

/// Whether a name that stands in an image is that of a file beside it: nothing that leads elsewhere, and nothing that
/// another program would take for an address.
pub(crate) fn plain_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 255
        && name != "."
        && name != ".."
        && !name
            .chars()
            .any(|each| each.is_control() || matches!(each, '/' | '\\' | ':'))
}

/// A name from an image, fit to be shown.
pub(crate) fn shown(name: &str) -> String {
    let short: String = name.chars().take(200).collect();
    format!("{short:?}")
}

pub(crate) fn refused(source: &Source, what: impl Into<String>, remedy: &'static str) -> OpenError {
    OpenError::Refused {
        file: source.name().to_owned(),
        what: what.into(),
        remedy,
    }
}

/// Fields of a header; all are within it, because headers have fixed sizes.
pub(crate) mod field {
    macro_rules! field {
        ($name:ident, $type:ty, $from:ident) => {
            pub(crate) fn $name(bytes: &[u8], at: usize) -> $type {
                let mut field = [0; size_of::<$type>()];
                field.copy_from_slice(&bytes[at..at + size_of::<$type>()]);
                <$type>::$from(field)
            }
        };
    }
    field!(u16_be, u16, from_be_bytes);
    field!(u32_be, u32, from_be_bytes);
    field!(u64_be, u64, from_be_bytes);
    field!(u16_le, u16, from_le_bytes);
    field!(u32_le, u32, from_le_bytes);
    field!(u64_le, u64, from_le_bytes);
}

#[cfg(test)]
mod tests {
    use super::plain_name;

    #[test]
    fn only_names_of_files_beside_the_image_are_plain() {
        for name in ["disk-flat.vmdk", "a b.qcow2", "...", "ü.raw"] {
            assert!(plain_name(name), "{name}");
        }
        let long = "a".repeat(256);
        for name in [
            "",
            ".",
            "..",
            "/etc/passwd",
            "../x",
            "a/b",
            "a\\b",
            "c:x",
            "nbd:localhost",
            "json:{}",
            "a\0",
            "a\n",
            &long,
        ] {
            assert!(!plain_name(name), "{name}");
        }
    }
}
