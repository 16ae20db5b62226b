//! The headers and the log.
//!
//! A program that changes a disk's tables writes them into the log first. A disk that was not closed has changes there that
//! are not in their places yet. Nothing is written here: what the log says is laid over the file in memory.

mod overlay;

use std::collections::VecDeque;
use std::sync::Arc;

use crate::formats::{field, refused};
use crate::source::{ReadAt, Source};
use crate::{OpenError, ReadError};

use super::MIB;
use super::checksum::{self, Crc32c};
use overlay::{Change, Overlay};

const PLACES: [u64; 2] = [64 << 10, 128 << 10];
const HEADER: usize = 4096;

/// A log is read in such sectors, and so are the parts of the file that it changes.
const SECTOR: u64 = 4096;

/// Hyper-V makes logs of 1 MiB.
const LARGEST_LOG: u64 = 64 * MIB;

/// A log that takes more than so many descriptors was not made by a program that meant it.
const MOST_DESCRIPTORS: usize = 1 << 16;

/// Where the log is.
struct Log<'a> {
    source: &'a Source,
    id: [u8; 16],
    offset: u64,
    length: u64,
    /// How many more bytes may be read while entries are looked for. Entries that were made to overlap would take for ever.
    patience: u64,
}

/// An entry whose checksum is right.
struct Entry {
    /// Within the log.
    position: u64,
    length: u64,
    tail: u64,
    sequence: u64,
    descriptors: u32,
    /// The file had at least so many bytes when the entry was written.
    flushed: u64,
    /// The file should have so many bytes.
    last: u64,
}

/// The source as it is once its log has been replayed.
pub(super) fn replayed(source: Source) -> Result<Source, OpenError> {
    let header = header(&source)?;
    let version = field::u16_le(&header, 66);
    if version != 1 {
        return Err(refused(
            &source,
            format!("it has version {version} of the VHDX format"),
            "convert it with qemu-img convert -O qcow2",
        ));
    }
    let mut id = [0; 16];
    id.copy_from_slice(&header[48..64]);
    if id == [0; 16] {
        return Ok(source);
    }
    let (offset, length) = (
        field::u64_le(&header, 72),
        u64::from(field::u32_le(&header, 68)),
    );
    if field::u16_le(&header, 64) != 0
        || length > LARGEST_LOG
        || !length.is_multiple_of(SECTOR)
        || !offset.is_multiple_of(SECTOR)
    {
        return Err(refused(
            &source,
            "it was not closed, and its log is of a kind that qib does not know",
            "attach it once where it comes from, or repair it with qemu-img check -r all",
        ));
    }
    source.hold("the log", offset, length)?;
    let mut log = Log {
        source: &source,
        id,
        offset,
        length,
        patience: 4 * length,
    };
    let entries = log.active()?;
    let overlay = log.replay(&entries)?;
    let name = source.name().to_owned();
    Ok(Source::new(&name, Arc::new(overlay)))
}

/// The header that is in force: that with the higher number, of those that are sound.
fn header(source: &Source) -> Result<Vec<u8>, OpenError> {
    let mut current: Option<Vec<u8>> = None;
    for place in PLACES {
        let mut header = vec![0; HEADER];
        source.read("the header", &mut header, place)?;
        if !header.starts_with(b"head") || !checksum::sound(&header) {
            continue;
        }
        let number = |header: &[u8]| field::u64_le(header, 8);
        if current
            .as_ref()
            .is_none_or(|other| number(other) < number(&header))
        {
            current = Some(header);
        }
    }
    current.ok_or_else(|| {
        OpenError::Read(source.damaged("neither of its two headers has a right checksum"))
    })
}

impl Log<'_> {
    /// Reads a sector; the log goes round.
    fn sector(&self, position: u64) -> Result<[u8; 4096], ReadError> {
        self.source
            .array("the log", self.offset + position % self.length)
    }

    /// The entry at a position, if there is one and it is sound.
    fn entry(&mut self, position: u64) -> Result<Option<Entry>, OpenError> {
        let first = self.sector(position)?;
        let length = u64::from(field::u32_le(&first, 8));
        let (tail, sequence) = (
            u64::from(field::u32_le(&first, 12)),
            field::u64_le(&first, 16),
        );
        if !first.starts_with(b"loge")
            || first[32..48] != self.id
            || length == 0
            || length > self.length
            || !length.is_multiple_of(SECTOR)
            || tail >= self.length
            || !tail.is_multiple_of(SECTOR)
            || sequence == 0
        {
            return Ok(None);
        }
        self.patience = match self.patience.checked_sub(length) {
            Some(patience) => patience,
            None => {
                return Err(OpenError::Read(
                    self.source.damaged("the entries of its log overlap"),
                ));
            }
        };
        let mut crc = Crc32c::new().add(&first[..4]).add(&[0; 4]).add(&first[8..]);
        for further in 1..length / SECTOR {
            crc = crc.add(&self.sector(position + further * SECTOR)?);
        }
        if crc.value() != field::u32_le(&first, 4) {
            return Ok(None);
        }
        Ok(Some(Entry {
            position,
            length,
            tail,
            sequence,
            descriptors: field::u32_le(&first, 24),
            flushed: field::u64_le(&first, 48),
            last: field::u64_le(&first, 56),
        }))
    }

    /// The entries to be replayed: of all sequences of entries that follow one another, the one with the highest number,
    /// from where its last entry says that the log begins.
    fn active(&mut self) -> Result<VecDeque<Entry>, OpenError> {
        let mut active: VecDeque<Entry> = VecDeque::new();
        let mut start = 0;
        while start < self.length {
            let mut sequence: VecDeque<Entry> = VecDeque::new();
            let mut taken = 0;
            while taken < self.length {
                let position = (start + taken) % self.length;
                let Some(entry) = self.entry(position)? else {
                    break;
                };
                let follows = sequence
                    .back()
                    .is_none_or(|last| last.sequence.checked_add(1) == Some(entry.sequence));
                if !follows || taken + entry.length > self.length {
                    break;
                }
                taken += entry.length;
                sequence.push_back(entry);
            }
            start += taken.max(SECTOR);
            let Some(head) = sequence.back() else {
                continue;
            };
            let newest = active
                .back()
                .is_none_or(|other| other.sequence < head.sequence);
            let tail = head.tail;
            if newest && let Some(from) = sequence.iter().position(|each| each.position == tail) {
                sequence.drain(..from);
                active = sequence;
            }
        }
        if active.is_empty() {
            return Err(refused(
                self.source,
                "it was not closed, and its log has no complete entry",
                "attach it once where it comes from, or copy it again",
            ));
        }
        Ok(active)
    }

    fn replay(&self, entries: &VecDeque<Entry>) -> Result<Overlay, OpenError> {
        let inner = Arc::clone(self.source.bytes());
        let mut length = self.source.length();
        if let Some(newest) = entries.back() {
            self.source
                .hold("what the log says was written", 0, newest.flushed)?;
            length = length.max(newest.last);
        }
        let mut overlay = Overlay::new(inner, length);
        let mut descriptors = 0_usize;
        for entry in entries {
            descriptors = descriptors
                .saturating_add(usize::try_from(entry.descriptors).unwrap_or(usize::MAX));
            if descriptors > MOST_DESCRIPTORS {
                return Err(OpenError::Read(
                    self.source.damaged("its log has too many changes"),
                ));
            }
            self.replay_entry(entry, &mut overlay)?;
        }
        Ok(overlay)
    }

    fn replay_entry(&self, entry: &Entry, overlay: &mut Overlay) -> Result<(), OpenError> {
        let damaged = || {
            OpenError::Read(self.source.damaged(format!(
                "entry {} of its log is not what it should be",
                entry.sequence
            )))
        };
        // Behind the entry's header of 64 bytes the descriptors, up to the end of a sector; then the data.
        let mut data = (64 + u64::from(entry.descriptors) * 32).next_multiple_of(SECTOR);
        if data > entry.length {
            return Err(damaged());
        }
        for number in 0..u64::from(entry.descriptors) {
            let at = 64 + number * 32;
            let sector = self.sector(entry.position + at / SECTOR * SECTOR)?;
            // Descriptors have 32 bytes and begin at a multiple of that: none goes over the end of a sector.
            let within = usize::try_from(at % SECTOR).unwrap_or(0);
            let descriptor = &sector[within..within + 32];
            let place = field::u64_le(descriptor, 16);
            if field::u64_le(descriptor, 24) != entry.sequence || !place.is_multiple_of(SECTOR) {
                return Err(damaged());
            }
            let change = if descriptor.starts_with(b"zero") {
                let length = field::u64_le(descriptor, 8);
                (length, Change::Zeros)
            } else if descriptor.starts_with(b"desc") {
                if data >= entry.length {
                    return Err(damaged());
                }
                let sector = self.sector(entry.position + data)?;
                let number = u64::from(field::u32_le(&sector, 4)) << 32
                    | u64::from(field::u32_le(&sector, 4092));
                if !sector.starts_with(b"data") || number != entry.sequence {
                    return Err(damaged());
                }
                let position = self.offset + (entry.position + data) % self.length;
                data += SECTOR;
                let mut ends = [0; 12];
                ends[..8].copy_from_slice(&descriptor[8..16]);
                ends[8..].copy_from_slice(&descriptor[4..8]);
                (
                    SECTOR,
                    Change::Sector {
                        place,
                        position,
                        ends,
                    },
                )
            } else {
                return Err(damaged());
            };
            let (length, change) = change;
            let end = place.checked_add(length).ok_or_else(damaged)?;
            overlay.lay(place, end, change);
        }
        Ok(())
    }
}

impl ReadAt for Overlay {
    fn length(&self) -> u64 {
        Overlay::length(self)
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<()> {
        self.read(buffer, offset)
    }

    fn extent(&self, offset: u64) -> std::io::Result<crate::Extent> {
        self.extent_at(offset)
    }
}

#[cfg(test)]
mod tests;
