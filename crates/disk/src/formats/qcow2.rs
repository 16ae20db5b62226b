//! QEMU's format, versions 2 and 3 (<https://www.qemu.org/docs/master/interop/qcow2.html>).
//!
//! ```text
//!   L1 table ──▶ L2 table ──▶ cluster: unallocated (zeros, or the backing file's) │ zeros │ data │ compressed data
//! ```
//!
//! With extended L2 entries a cluster has 32 parts, each unallocated, zeros or data. Reference counts, snapshots and
//! bitmaps are not looked at: reading does not need them.

mod header;

use std::sync::Arc;

use crate::content::{Map, Mapped, Place, Run};
use crate::formats::{Neighbours, Surroundings, field, plain_name, refused, shown};
use crate::packed::{Codec, Framing, Packed};
use crate::source::Source;
use crate::tables::{Cursor, Tables};
use crate::{BackingFile, Disk, Format, OpenError, ReadError};

use header::{Backing, Header};

/// Bits 9 to 55 of an entry: where something is in the file.
const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;
const COMPRESSED: u64 = 1 << 62;
const ZERO: u64 = 1;

struct Qcow2 {
    tables: Tables,
    size: u64,
    version: u32,
    cluster_bits: u32,
    entries: Entries,
    l1: u64,
    codec: Codec,
    backing: Option<Arc<dyn Disk>>,
}

/// What L2 tables have for a cluster.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Entries {
    /// 8 bytes.
    Standard,
    /// 16 bytes, with the state of each of 32 parts.
    Extended,
}

impl Entries {
    /// The binary logarithm of an entry's size.
    fn bits(self) -> u32 {
        match self {
            Self::Standard => 3,
            Self::Extended => 4,
        }
    }
}

pub(crate) fn open(
    source: Source,
    surroundings: Surroundings<'_>,
) -> Result<Arc<dyn Disk>, OpenError> {
    let header = Header::read(&source)?;
    let backing = match &header.backing {
        Some(backing) => Some(open_backing(&source, backing, surroundings)?),
        None => None,
    };
    Ok(Mapped::disk(Qcow2 {
        tables: Tables::new(source),
        size: header.size,
        version: header.version,
        cluster_bits: header.cluster_bits,
        entries: header.entries,
        l1: header.l1,
        codec: header.codec,
        backing,
    }))
}

fn open_backing(
    source: &Source,
    backing: &Backing,
    surroundings: Surroundings<'_>,
) -> Result<Arc<dyn Disk>, OpenError> {
    let name = shown(&backing.name);
    match surroundings.backing_file {
        BackingFile::Refused => {
            return Err(refused(
                source,
                format!("the image is based on another file, {name}"),
                "merge the two with qemu-img convert; a pipeline can allow it, if the backing file may be read and uploaded",
            ));
        }
        BackingFile::Allowed => {}
    }
    if surroundings.depth >= super::DEEPEST {
        return Err(refused(
            source,
            format!(
                "more than {} images are based on one another",
                super::DEEPEST
            ),
            "merge them with qemu-img convert",
        ));
    }
    if !plain_name(&backing.name) {
        return Err(refused(
            source,
            format!("the image is based on {name}, which is not the name of a file beside it"),
            "put the file into the same folder and give its name alone with qemu-img rebase -u",
        ));
    }
    // What such a file is cannot be told from its content: whoever could write to the disk decides how a raw disk begins.
    let format = match backing.format.as_deref() {
        Some("raw" | "file") => Format::Raw,
        Some("qcow2") => Format::Qcow2,
        Some("vmdk") => Format::Vmdk,
        Some("vpc") => Format::Vhd,
        Some("vhdx") => Format::Vhdx,
        Some(other) => {
            return Err(refused(
                source,
                format!(
                    "the image is based on {name} of the format {}, which qib does not read",
                    shown(other)
                ),
                "merge the two with qemu-img convert",
            ));
        }
        None => {
            return Err(refused(
                source,
                format!("the image is based on {name} and does not say which format that has"),
                "say so with qemu-img rebase -u -F FORMAT",
            ));
        }
    };
    let neighbours: &dyn Neighbours = surroundings.neighbours;
    let beneath = neighbours.open(&backing.name)?;
    super::open(
        format,
        beneath,
        Surroundings {
            depth: surroundings.depth + 1,
            ..surroundings
        },
    )
}

impl Qcow2 {
    fn cluster(&self) -> u64 {
        1 << self.cluster_bits
    }

    fn unallocated(&self) -> Place<'_> {
        match &self.backing {
            Some(disk) => Place::Beneath(&**disk),
            None => Place::Zero,
        }
    }

    fn data(&self, entry: u64, within: u64) -> Result<Place<'_>, ReadError> {
        let cluster = entry & OFFSET;
        self.aligned("data", cluster)?;
        Ok(Place::File {
            source: self.tables.source(),
            offset: cluster + within,
        })
    }

    fn aligned(&self, what: &str, offset: u64) -> Result<(), ReadError> {
        if offset.is_multiple_of(self.cluster()) {
            return Ok(());
        }
        Err(self.tables.source().damaged(format!(
            "a table says that {what} is at byte {offset}, which is not at the beginning of a cluster"
        )))
    }

    fn packed(&self, entry: u64, start: u64) -> Place<'_> {
        // Where it is takes as many bits as the cluster's size leaves; above that stands how many further sectors it has.
        let bits = 62 - (self.cluster_bits - 8);
        let offset = entry & ((1 << bits) - 1);
        let further = (entry & (COMPRESSED - 1)) >> bits;
        let length = (further + 1) * 512 - offset % 512;
        let unpacked = usize::try_from(self.cluster()).unwrap_or(0);
        Place::Packed(Packed {
            source: self.tables.source(),
            offset,
            framing: Framing::AtMost(length),
            codec: self.codec,
            start,
            unpacked,
            visible: usize::try_from(self.size - start).map_or(unpacked, |rest| rest.min(unpacked)),
        })
    }

    /// What is in a cluster by a standard entry.
    fn standard(&self, entry: u64, offset: u64) -> Result<Run<'_>, ReadError> {
        let within = offset % self.cluster();
        let place = if entry & COMPRESSED != 0 {
            self.packed(entry, offset - within)
        } else if entry & ZERO != 0 {
            if self.version < 3 {
                return Err(self.tables.source().damaged(format!(
                    "byte {offset} of the disk is marked as zeros, which version 2 of the format does not have"
                )));
            }
            Place::Zero
        } else if entry & OFFSET == 0 {
            self.unallocated()
        } else {
            self.data(entry, within)?
        };
        Ok(Run {
            length: self.cluster() - within,
            place,
        })
    }

    /// What is in a part of a cluster by an extended entry.
    fn extended(&self, entry: u64, bitmap: u64, offset: u64) -> Result<Run<'_>, ReadError> {
        let within = offset % self.cluster();
        if entry & COMPRESSED != 0 {
            return Ok(Run {
                length: self.cluster() - within,
                place: self.packed(entry, offset - within),
            });
        }
        let part = self.cluster() / 32;
        let number = within / part;
        let allocated = bitmap >> number & 1 != 0;
        let zero = bitmap >> (32 + number) & 1 != 0;
        let place = match (allocated, zero) {
            (false, false) => self.unallocated(),
            (false, true) => Place::Zero,
            (true, false) if entry & OFFSET != 0 => self.data(entry, within)?,
            (true, _) => {
                return Err(self.tables.source().damaged(format!(
                    "the table says of byte {offset} of the disk that it has data and that it has none"
                )));
            }
        };
        Ok(Run {
            length: part - within % part,
            place,
        })
    }
}

impl Map for Qcow2 {
    fn size(&self) -> u64 {
        self.size
    }

    fn unit(&self) -> u64 {
        self.cluster()
    }

    fn run_at<'a>(&'a self, cursor: &mut Cursor, offset: u64) -> Result<Run<'a>, ReadError> {
        let l2_bits = self.cluster_bits - self.entries.bits();
        let covered = 1_u64 << (self.cluster_bits + l2_bits);
        let l1_index = offset / covered;
        // The header was checked: the table has an entry for every byte of the disk, and is within the file.
        let l1_entry = u64::from_be_bytes(self.tables.entry(
            cursor,
            "the L1 table",
            self.l1 + l1_index * 8,
        )?);
        let l2 = l1_entry & OFFSET;
        if l2 == 0 {
            return Ok(Run {
                length: covered - offset % covered,
                place: self.unallocated(),
            });
        }
        self.aligned("an L2 table", l2)?;
        let index = offset / self.cluster() % (1 << l2_bits);
        let at = l2 + (index << self.entries.bits());
        match self.entries {
            Entries::Standard => {
                let entry = self.tables.entry(cursor, "an L2 table", at)?;
                self.standard(u64::from_be_bytes(entry), offset)
            }
            Entries::Extended => {
                let entry: [u8; 16] = self.tables.entry(cursor, "an L2 table", at)?;
                self.extended(field::u64_be(&entry, 0), field::u64_be(&entry, 8), offset)
            }
        }
    }
}
