//! The disk's bytes as they are.

use std::sync::Arc;

use crate::content::{Map, Mapped, Place, Run};
use crate::source::Source;
use crate::tables::Cursor;
use crate::{Disk, ReadError};

/// The first bytes of a file; all of it for a raw disk, all but the footer for a fixed VHD.
pub(crate) struct Flat {
    pub(crate) source: Source,
    pub(crate) size: u64,
}

pub(crate) fn open(source: Source) -> Arc<dyn Disk> {
    let size = source.length();
    Mapped::disk(Flat { source, size })
}

impl Map for Flat {
    fn size(&self) -> u64 {
        self.size
    }

    fn run_at<'a>(&'a self, _: &mut Cursor, offset: u64) -> Result<Run<'a>, ReadError> {
        Ok(Run {
            length: self.size - offset,
            place: Place::File {
                source: &self.source,
                offset,
            },
        })
    }
}
