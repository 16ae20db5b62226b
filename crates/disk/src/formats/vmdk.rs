//! VMware's format (Virtual Disk Format 5.0, VMware, 2011).
//!
//! ```text
//!   text file that describes ──▶ extents, one after another: flat file │ sparse file │ zeros
//!   sparse file: header ──▶ grain directory ──▶ grain table ──▶ grain: not there │ zeros │ data │ compressed data
//!   stream-optimised file: the same, with compressed grains, and its directory may be told by a footer at the end
//! ```

mod descriptor;
mod sparse;

use std::sync::Arc;

use crate::content::{Map, Mapped, Place, Run};
use crate::formats::{Neighbours, plain_name, refused, shown};
use crate::source::Source;
use crate::tables::Cursor;
use crate::{Disk, OpenError, ReadError};

use descriptor::{Descriptor, Kind};
use sparse::Sparse;

/// No disk has more files than a process may have open; with the usual 2 GiB each that is 1 TiB.
const MOST_FILES: usize = 512;

const SECTOR: u64 = 512;

pub(crate) fn open(
    source: Source,
    neighbours: &dyn Neighbours,
) -> Result<Arc<dyn Disk>, OpenError> {
    if source.array("the header", 0)? == *sparse::MAGIC {
        return Ok(Mapped::disk(sparse::open_alone(source)?));
    }
    let descriptor = Descriptor::read(&source)?;
    Ok(Mapped::disk(Extents::open(
        &source, descriptor, neighbours,
    )?))
}

/// A disk in several parts.
struct Extents {
    size: u64,
    /// By where they begin.
    parts: Vec<Part>,
}

struct Part {
    start: u64,
    length: u64,
    content: Content,
}

enum Content {
    Flat { source: Source, offset: u64 },
    Sparse(Box<Sparse>),
    Zero,
}

impl Extents {
    fn open(
        described_in: &Source,
        descriptor: Descriptor,
        neighbours: &dyn Neighbours,
    ) -> Result<Self, OpenError> {
        if descriptor.extents.len() > MOST_FILES {
            return Err(refused(
                described_in,
                format!("the disk is in more than {MOST_FILES} files"),
                "convert it with qemu-img convert -O qcow2",
            ));
        }
        let too_large =
            || OpenError::Read(described_in.damaged("its parts are too large together"));
        let mut size = 0_u64;
        let mut parts = Vec::new();
        for extent in descriptor.extents {
            let length = extent.sectors.checked_mul(SECTOR).ok_or_else(too_large)?;
            let content = match extent.kind {
                Kind::Zero => Content::Zero,
                Kind::Flat { name, sector } => {
                    let source = beside(described_in, &name, neighbours)?;
                    let offset = sector.checked_mul(SECTOR).ok_or_else(too_large)?;
                    source.hold("the disk's data", offset, length)?;
                    Content::Flat { source, offset }
                }
                Kind::Sparse { name } => {
                    let source = beside(described_in, &name, neighbours)?;
                    Content::Sparse(Box::new(sparse::open_part(source, length)?))
                }
            };
            if length > 0 {
                parts.push(Part {
                    start: size,
                    length,
                    content,
                });
            }
            size = size
                .checked_add(length)
                .filter(|&size| i64::try_from(size).is_ok())
                .ok_or_else(too_large)?;
        }
        Ok(Self { size, parts })
    }
}

fn beside(
    described_in: &Source,
    name: &str,
    neighbours: &dyn Neighbours,
) -> Result<Source, OpenError> {
    if plain_name(name) {
        return neighbours.open(name);
    }
    Err(refused(
        described_in,
        format!(
            "it names {} as a part of the disk, which is not the name of a file beside it",
            shown(name)
        ),
        "put all parts into one folder and give their names alone",
    ))
}

impl Map for Extents {
    fn size(&self) -> u64 {
        self.size
    }

    fn run_at<'a>(&'a self, cursor: &mut Cursor, offset: u64) -> Result<Run<'a>, ReadError> {
        let behind = self.parts.partition_point(|part| part.start <= offset);
        let Some(part) = behind.checked_sub(1).and_then(|last| self.parts.get(last)) else {
            return Err(ReadError::Outside {
                offset,
                end: offset,
                size: self.size,
            });
        };
        let within = offset - part.start;
        let rest = part.length - within;
        match &part.content {
            Content::Zero => Ok(Run {
                length: rest,
                place: Place::Zero,
            }),
            Content::Flat { source, offset } => Ok(Run {
                length: rest,
                place: Place::File {
                    source,
                    offset: offset + within,
                },
            }),
            Content::Sparse(sparse) => {
                let mut run = sparse.run_at(cursor, within)?;
                run.length = run.length.min(rest);
                if let Place::Packed(packed) = &mut run.place {
                    packed.start += part.start;
                }
                Ok(run)
            }
        }
    }
}
