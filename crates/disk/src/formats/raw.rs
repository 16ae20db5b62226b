//! The disk's bytes as they are.

use std::sync::Arc;

use crate::content::{Map, Mapped, Place, Run};
use crate::source::Source;
use crate::{Disk, ReadError};

struct Raw(Source);

pub(crate) fn open(source: Source) -> Arc<dyn Disk> {
    Mapped::disk(Raw(source))
}

impl Map for Raw {
    fn size(&self) -> u64 {
        self.0.length()
    }

    fn run_at(&self, offset: u64, limit: u64) -> Result<Run<'_>, ReadError> {
        Ok(Run {
            length: limit,
            place: Place::File {
                source: &self.0,
                offset,
            },
        })
    }
}
