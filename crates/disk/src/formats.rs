//! The readers. Each is a lookup from a place on the disk to a place in a file, by tables that stay in the file: what a
//! header claims costs no memory, and no chain of pointers is followed that could lead back to its start.

pub(crate) mod raw;
pub(crate) mod vhd;

use std::sync::Arc;

use crate::source::Source;
use crate::{BackingFile, Disk, Format, OpenError};

/// The files beside an image, which it may name.
pub(crate) trait Neighbours {
    /// Opens one by a name that [`plain_name`] has passed. Never a link, and only a regular file.
    fn open(&self, name: &str) -> Result<Source, OpenError>;
}

pub(crate) fn open(
    format: Format,
    source: Source,
    _backing_file: BackingFile,
    _neighbours: &dyn Neighbours,
) -> Result<Arc<dyn Disk>, OpenError> {
    match format {
        Format::Raw => Ok(raw::open(source)),
        _ => Err(OpenError::Refused {
            file: source.name().to_owned(),
            what: format!("the format {format}"),
            remedy: "convert it with qemu-img convert -O raw",
        }),
    }
}
