//! Parts of a disk that stand compressed in a file.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, PoisonError};

use zlib_rs::{Inflate, InflateFlush};
use zstd::zstd_safe::{self, DCtx};

use crate::ReadError;
use crate::source::Source;

/// The largest unit that is unpacked: QCOW2's largest cluster.
pub(crate) const LARGEST_UNIT: u64 = 2 << 20;

/// So many unpacked units are kept for the blocks that have other parts of them: 16 MiB at most.
const KEPT: usize = 8;

/// DEFLATE's largest window.
const WINDOW_BITS: u8 = 15;

/// A unit of a disk that stands compressed in a file.
#[derive(Clone, Copy)]
pub(crate) struct Packed<'a> {
    pub(crate) source: &'a Source,
    /// Where in the file.
    pub(crate) offset: u64,
    pub(crate) framing: Framing,
    pub(crate) codec: Codec,
    /// Where on the disk the unit begins.
    pub(crate) start: u64,
    /// The unit's size, at most [`LARGEST_UNIT`]. The last one may be partly behind the disk's end.
    pub(crate) unpacked: usize,
    /// How much of it is on the disk.
    pub(crate) visible: usize,
}

/// How long the compressed bytes are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// At most so many; other bytes may follow them.
    AtMost(u64),
    /// A marker of 12 bytes before them says so: a sector number of 64 bits, and the size.
    Marker,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codec {
    /// DEFLATE without any header.
    Deflate,
    /// DEFLATE with zlib's header and checksum.
    Zlib,
    Zstd,
}

const WHAT: &str = "compressed data";

impl Packed<'_> {
    /// Checks without reading anything that the compressed bytes begin within the file.
    pub(crate) fn check(&self) -> Result<(), ReadError> {
        let least = match self.framing {
            Framing::AtMost(_) => 1,
            Framing::Marker => 12,
        };
        self.source.hold(WHAT, self.offset, least)
    }

    /// Where the compressed bytes are, and whether the file's end has cut them.
    fn place(&self) -> Result<(u64, usize, bool), ReadError> {
        self.check()?;
        let (offset, length, cut) = match self.framing {
            Framing::AtMost(most) => {
                let there = self.source.length() - self.offset;
                (self.offset, most.min(there), most > there)
            }
            Framing::Marker => {
                let marker: [u8; 12] = self.source.array(WHAT, self.offset)?;
                let size = u32::from_le_bytes([marker[8], marker[9], marker[10], marker[11]]);
                let offset = self.offset.saturating_add(12);
                self.source.hold(WHAT, offset, u64::from(size))?;
                (offset, u64::from(size), false)
            }
        };
        // What does not compress may grow a little, but not twofold.
        match usize::try_from(length) {
            Ok(length) if length <= 2 * self.unpacked + 4096 => Ok((offset, length, cut)),
            _ => Err(self.source.damaged(format!(
                "at byte {} it has {length} compressed bytes for {} of the disk",
                self.offset, self.unpacked
            ))),
        }
    }
}

/// What a thread needs to unpack, made once.
struct Unpacker {
    raw: Inflate,
    zlib: Inflate,
    zstd: DCtx<'static>,
    packed: Vec<u8>,
}

thread_local! {
    static UNPACKER: RefCell<Unpacker> = RefCell::new(Unpacker {
        raw: Inflate::new(false, WINDOW_BITS),
        zlib: Inflate::new(true, WINDOW_BITS),
        zstd: DCtx::create(),
        packed: Vec::new(),
    });
}

impl Unpacker {
    /// Unpacks into `out`, which has the unit's size.
    fn unpack(&mut self, packed: &Packed<'_>, out: &mut [u8]) -> Result<(), ReadError> {
        let (offset, length, cut) = packed.place()?;
        self.packed.resize(length, 0);
        packed.source.read(WHAT, &mut self.packed, offset)?;
        let written = match packed.codec {
            Codec::Deflate => inflate(&mut self.raw, false, &self.packed, out),
            Codec::Zlib => inflate(&mut self.zlib, true, &self.packed, out),
            // Bytes that follow are no part of the frame, and zstd would not have them.
            Codec::Zstd => zstd_safe::find_frame_compressed_size(&self.packed)
                .and_then(|frame| self.zstd.decompress(out, &self.packed[..frame]))
                .map_err(|code| zstd_safe::get_error_name(code).to_owned()),
        };
        let problem = match written {
            Ok(written) if written >= packed.visible => return Ok(()),
            Ok(written) => format!("{written} bytes came out instead of {}", packed.visible),
            Err(problem) => problem,
        };
        if cut {
            // As long as it may be, it is only complete if it ends earlier.
            packed.source.hold(WHAT, offset, length as u64 + 1)?;
        }
        Err(packed.source.damaged(format!(
            "compressed data at byte {offset} cannot be unpacked: {problem}"
        )))
    }
}

/// How many bytes came out; more than fit are left where they are, as QEMU does.
fn inflate(
    state: &mut Inflate,
    header: bool,
    packed: &[u8],
    out: &mut [u8],
) -> Result<usize, String> {
    state.reset(header);
    match state.decompress(packed, out, InflateFlush::Finish) {
        Ok(_) => Ok(usize::try_from(state.total_out()).unwrap_or(0)),
        Err(error) => Err(error.as_str().to_owned()),
    }
}

/// Units that were unpacked for a part of them, the one that was used last in front.
#[derive(Default)]
pub(crate) struct Units(Mutex<Vec<(u64, Arc<[u8]>)>>);

impl Units {
    /// Fills `buffer`, which is at `offset` on the disk and within the unit.
    pub(crate) fn read(
        &self,
        packed: &Packed<'_>,
        buffer: &mut [u8],
        offset: u64,
    ) -> Result<(), ReadError> {
        let unpack =
            |out: &mut [u8]| UNPACKER.with_borrow_mut(|unpacker| unpacker.unpack(packed, out));
        if buffer.len() == packed.unpacked && offset == packed.start {
            return unpack(buffer);
        }
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let within = usize::try_from(offset - packed.start).unwrap_or(usize::MAX);
        let mut copy = |unit: &[u8]| {
            let part = within
                .checked_add(buffer.len())
                .and_then(|end| unit.get(within..end));
            match part {
                Some(part) => {
                    buffer.copy_from_slice(part);
                    Ok(())
                }
                None => Err(packed.source.damaged("a compressed part is too short")),
            }
        };
        let kept = {
            let mut units = lock();
            let place = units.iter().position(|(start, _)| *start == packed.start);
            place.map(|place| {
                units[..=place].rotate_right(1);
                Arc::clone(&units[0].1)
            })
        };
        if let Some(unit) = kept {
            return copy(&unit);
        }
        let mut unit = vec![0; packed.unpacked];
        unpack(&mut unit)?;
        copy(&unit)?;
        let mut units = lock();
        if units.iter().all(|(start, _)| *start != packed.start) {
            units.truncate(KEPT - 1);
            units.insert(0, (packed.start, unit.into()));
        }
        Ok(())
    }
}
