//! The port to a disk's content, and what all formats have in common: from a place on the disk to a place in a file.

use std::sync::Arc;

use crate::ReadError;
use crate::packed::{Packed, Units};
use crate::source::Source;
use crate::tables::Cursor;

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

/// Runs that follow one another are taken together up to this many: an answer is then quick, whatever the tables are.
const LONGEST_RUN: usize = 4096;

/// A disk's bytes that stand in one piece in one place.
#[derive(Clone, Copy)]
pub(crate) struct Run<'a> {
    /// In bytes; never 0. May go beyond the disk's end.
    pub(crate) length: u64,
    pub(crate) place: Place<'a>,
}

#[derive(Clone, Copy)]
pub(crate) enum Place<'a> {
    Zero,
    File {
        source: &'a Source,
        offset: u64,
    },
    Packed(Packed<'a>),
    /// At the same place of another disk, which may be smaller: what is behind its end is zeros.
    Beneath(&'a dyn Disk),
}

impl Place<'_> {
    /// Whether `next` stands right behind this, which is `length` long.
    fn goes_on(&self, length: u64, next: &Place<'_>) -> bool {
        match (self, next) {
            (Self::Zero, Place::Zero) | (Self::Beneath(_), Place::Beneath(_)) => true,
            (
                Self::File { source, offset },
                Place::File {
                    source: other,
                    offset: behind,
                },
            ) => {
                std::ptr::eq(std::ptr::from_ref(*source), std::ptr::from_ref(*other))
                    && offset.checked_add(length) == Some(*behind)
            }
            _ => false,
        }
    }
}

/// A format: where on its files a disk's bytes are.
pub(crate) trait Map: Send + Sync {
    fn size(&self) -> u64;

    /// As [`Disk::unit`].
    fn unit(&self) -> u64 {
        1
    }

    /// What is at `offset`, which is on the disk, by as few lookups as there can be. The length is known to fit into the
    /// file, or is checked by the caller.
    fn run_at<'a>(&'a self, cursor: &mut Cursor, offset: u64) -> Result<Run<'a>, ReadError>;
}

/// The disk of a format.
pub(crate) struct Mapped<M> {
    map: M,
    units: Units,
}

impl<M: Map + 'static> Mapped<M> {
    pub(crate) fn disk(map: M) -> Arc<dyn Disk> {
        Arc::new(Self {
            map,
            units: Units::default(),
        })
    }

    fn inside(&self, offset: u64, length: u64) -> Result<(), ReadError> {
        let size = self.map.size();
        match offset.checked_add(length) {
            Some(end) if end <= size => Ok(()),
            end => Err(ReadError::Outside {
                offset,
                end: end.unwrap_or(u64::MAX),
                size,
            }),
        }
    }

    /// What is at `offset`, as long as it goes on, but at most for `limit` bytes.
    fn long_run<'a>(
        &'a self,
        cursor: &mut Cursor,
        offset: u64,
        limit: u64,
    ) -> Result<Run<'a>, ReadError> {
        let mut run = self.map.run_at(cursor, offset)?;
        for _ in 0..LONGEST_RUN {
            if run.length >= limit || matches!(run.place, Place::Packed(_)) {
                break;
            }
            let next = self.map.run_at(cursor, offset + run.length)?;
            if !run.place.goes_on(run.length, &next.place) {
                break;
            }
            run.length = run.length.saturating_add(next.length);
        }
        run.length = run.length.min(limit);
        if let Place::File { source, offset } = run.place {
            source.hold("the disk's data", offset, run.length)?;
        }
        Ok(run)
    }
}

impl<M: Map + 'static> Disk for Mapped<M> {
    fn size(&self) -> u64 {
        self.map.size()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<(), ReadError> {
        self.inside(offset, buffer.len() as u64)?;
        let mut cursor = Cursor::default();
        let mut rest = buffer;
        let mut offset = offset;
        while !rest.is_empty() {
            let run = self.long_run(&mut cursor, offset, rest.len() as u64)?;
            let length = usize::try_from(run.length).map_or(rest.len(), |run| run.min(rest.len()));
            let (part, after) = rest.split_at_mut(length);
            match run.place {
                Place::Zero => part.fill(0),
                Place::File { source, offset } => source.read("the disk's data", part, offset)?,
                Place::Packed(packed) => self.units.read(&packed, part, offset)?,
                Place::Beneath(disk) => {
                    let there = disk.size().saturating_sub(offset);
                    let there = usize::try_from(there).map_or(length, |there| there.min(length));
                    let (data, behind) = part.split_at_mut(there);
                    if !data.is_empty() {
                        disk.read_at(data, offset)?;
                    }
                    behind.fill(0);
                }
            }
            offset += length as u64;
            rest = after;
        }
        Ok(())
    }

    fn extent_at(&self, offset: u64) -> Result<Extent, ReadError> {
        self.inside(offset, 1)?;
        let mut cursor = Cursor::default();
        let run = self.long_run(&mut cursor, offset, self.map.size() - offset)?;
        let (length, content) = match run.place {
            Place::Zero => (run.length, Content::Zero),
            Place::Packed(packed) => {
                packed.check()?;
                (run.length, Content::Data)
            }
            Place::File { source, offset } => {
                let extent = source.extent(offset)?;
                (extent.length.clamp(1, run.length), extent.content)
            }
            Place::Beneath(disk) if offset < disk.size() => {
                let extent = disk.extent_at(offset)?;
                (extent.length.clamp(1, run.length), extent.content)
            }
            Place::Beneath(_) => (run.length, Content::Zero),
        };
        Ok(Extent { length, content })
    }

    fn unit(&self) -> u64 {
        self.map.unit()
    }
}
