//! The port to a disk's content, and what all formats have in common: from a place on the disk to a place in a file.

use std::sync::Arc;

use crate::ReadError;
use crate::source::Source;

/// A disk image's content, readable at any offset by any number of threads.
pub trait Disk: Send + Sync {
    /// The disk's size in bytes, as a machine would see it.
    fn size(&self) -> u64;

    /// Fills `buffer` from `offset` on. What the image has no data for reads as zeros.
    ///
    /// # Errors
    ///
    /// [`ReadError::Outside`] for bytes beyond [`size`](Self::size), else what is wrong with the image's files.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<(), ReadError>;

    /// What is at `offset`, and how far that goes: at least one byte, at most to the disk's end. Two extents of the
    /// same content may follow one another. Looks at tables only, and checks that what they lead to is in the file.
    ///
    /// # Errors
    ///
    /// As [`read_at`](Self::read_at); `offset` must be less than [`size`](Self::size).
    fn extent_at(&self, offset: u64) -> Result<Extent, ReadError>;

    /// Bytes that are best read by one thread, in one go and from a multiple of this: the unit of compression, if it is
    /// larger than a block.
    fn unit(&self) -> u64 {
        1
    }
}

/// A part of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// In bytes; never 0.
    pub length: u64,
    /// What is there.
    pub content: Content,
}

/// What an extent holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Bytes that must be read; they may all be zero.
    Data,
    /// Zeros for sure.
    Zero,
}

/// How much of a disk is data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Survey {
    /// Bytes that must be read.
    pub data: u64,
    /// Bytes that are zeros for sure.
    pub zero: u64,
}

/// Looks at all extents of `disk` without reading its data. What the tables lead to is then known to be within the files,
/// so that a truncated image is found before anything has been sent.
///
/// # Errors
///
/// What is wrong with the image's tables.
pub fn survey(disk: &dyn Disk) -> Result<Survey, ReadError> {
    let mut survey = Survey { data: 0, zero: 0 };
    let mut offset = 0;
    while offset < disk.size() {
        let extent = disk.extent_at(offset)?;
        match extent.content {
            Content::Data => survey.data += extent.length,
            Content::Zero => survey.zero += extent.length,
        }
        offset += extent.length;
    }
    Ok(survey)
}

/// A disk's bytes that stand in one piece in one place.
pub(crate) struct Run<'a> {
    /// In bytes; never 0, and within the disk.
    pub(crate) length: u64,
    pub(crate) place: Place<'a>,
}

pub(crate) enum Place<'a> {
    Zero,
    File { source: &'a Source, offset: u64 },
}

/// A format: where on its files a disk's bytes are.
pub(crate) trait Map: Send + Sync {
    fn size(&self) -> u64;

    /// What is at `offset`, which is on the disk. No more than `limit` bytes are asked for; neither is 0.
    fn run_at(&self, offset: u64, limit: u64) -> Result<Run<'_>, ReadError>;
}

/// The disk of a format.
pub(crate) struct Mapped<M>(pub(crate) M);

impl<M: Map + 'static> Mapped<M> {
    pub(crate) fn disk(map: M) -> Arc<dyn Disk> {
        Arc::new(Self(map))
    }

    fn inside(&self, offset: u64, length: u64) -> Result<(), ReadError> {
        let size = self.0.size();
        match offset.checked_add(length) {
            Some(end) if end <= size => Ok(()),
            end => Err(ReadError::Outside {
                offset,
                end: end.unwrap_or(u64::MAX),
                size,
            }),
        }
    }
}

impl<M: Map + 'static> Disk for Mapped<M> {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<(), ReadError> {
        self.inside(offset, buffer.len() as u64)?;
        let mut rest = buffer;
        let mut offset = offset;
        while !rest.is_empty() {
            let run = self.0.run_at(offset, rest.len() as u64)?;
            let length = usize::try_from(run.length).map_or(rest.len(), |run| run.min(rest.len()));
            let (part, after) = rest.split_at_mut(length);
            match run.place {
                Place::Zero => part.fill(0),
                Place::File { source, offset } => source.read("the disk's data", part, offset)?,
            }
            offset += length as u64;
            rest = after;
        }
        Ok(())
    }

    fn extent_at(&self, offset: u64) -> Result<Extent, ReadError> {
        self.inside(offset, 1)?;
        let run = self.0.run_at(offset, self.0.size() - offset)?;
        match run.place {
            Place::Zero => Ok(Extent {
                length: run.length,
                content: Content::Zero,
            }),
            Place::File { source, offset } => {
                source.hold("the disk's data", offset, run.length)?;
                let extent = source.extent(offset)?;
                Ok(Extent {
                    length: extent.length.clamp(1, run.length),
                    content: extent.content,
                })
            }
        }
    }
}
