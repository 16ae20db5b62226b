//! The header, and what of it qib does not read.

use crate::formats::{field, refused};
use crate::packed::Codec;
use crate::source::Source;
use crate::{OpenError, ReadError};

use super::Entries;

const WHAT: &str = "the header";

/// The header of version 2; version 3 has more fields behind it.
const VERSION_2: usize = 72;
const VERSION_3: usize = 104;

/// More extensions of the header than this no image has.
const MOST_EXTENSIONS: usize = 64;

const BACKING_FORMAT: u32 = 0xe279_2aca;

pub(super) struct Header {
    pub(super) version: u32,
    pub(super) size: u64,
    pub(super) cluster_bits: u32,
    pub(super) entries: Entries,
    /// Where the L1 table is. It is within the file and has an entry for each part of the disk.
    pub(super) l1: u64,
    pub(super) codec: Codec,
    pub(super) backing: Option<Backing>,
}

pub(super) struct Backing {
    pub(super) name: String,
    pub(super) format: Option<String>,
}

impl Header {
    pub(super) fn read(source: &Source) -> Result<Self, OpenError> {
        let fixed: [u8; VERSION_2] = source.array(WHAT, 0)?;
        let version = field::u32_be(&fixed, 4);
        if !matches!(version, 2 | 3) {
            return Err(refused(
                source,
                format!("it has version {version} of the QCOW format"),
                "convert it with qemu-img convert -O qcow2",
            ));
        }
        let cluster_bits = field::u32_be(&fixed, 20);
        if !(9..=21).contains(&cluster_bits) {
            return Err(damaged(
                source,
                format!(
                    "its clusters have 2^{cluster_bits} bytes; there are none but of 2^9 to 2^21"
                ),
            ));
        }
        if field::u32_be(&fixed, 32) != 0 {
            return Err(refused(
                source,
                "it is encrypted",
                "decrypt it with qemu-img convert",
            ));
        }
        let mut entries = Entries::Standard;
        let mut codec = Codec::Deflate;
        let mut header_length = VERSION_2 as u64;
        if version == 3 {
            let more: [u8; VERSION_3] = source.array(WHAT, 0)?;
            header_length = u64::from(field::u32_be(&more, 100));
            if header_length < VERSION_3 as u64 || header_length > 1 << cluster_bits {
                return Err(damaged(
                    source,
                    format!("its header has {header_length} bytes"),
                ));
            }
            let features = Features(field::u64_be(&more, 72));
            features.check(source)?;
            if features.has(Features::EXTENDED_L2) {
                if cluster_bits < 14 {
                    return Err(damaged(
                        source,
                        "it has extended L2 entries with clusters of less than 16 KiB",
                    ));
                }
                entries = Entries::Extended;
            }
            if features.has(Features::COMPRESSION) && header_length > VERSION_3 as u64 {
                codec = match source.array::<1>(WHAT, VERSION_3 as u64)?[0] {
                    0 => Codec::Deflate,
                    1 => Codec::Zstd,
                    other => {
                        return Err(refused(
                            source,
                            format!("it is compressed by method {other}"),
                            "convert it with qemu-img convert",
                        ));
                    }
                };
            }
        }
        let size = field::u64_be(&fixed, 24);
        let (l1, l1_entries) = (field::u64_be(&fixed, 40), field::u32_be(&fixed, 36));
        check_l1(source, size, cluster_bits, entries, l1, l1_entries)?;
        Ok(Self {
            version,
            size,
            cluster_bits,
            entries,
            l1,
            codec,
            backing: backing(source, &fixed, cluster_bits, header_length)?,
        })
    }
}

/// Features without which an image cannot be read.
struct Features(u64);

impl Features {
    /// Reference counts may be wrong, which does not matter to a reader.
    const DIRTY: u64 = 1;
    const CORRUPT: u64 = 1 << 1;
    const EXTERNAL_DATA: u64 = 1 << 2;
    const COMPRESSION: u64 = 1 << 3;
    const EXTENDED_L2: u64 = 1 << 4;

    fn has(&self, feature: u64) -> bool {
        self.0 & feature != 0
    }

    fn check(&self, source: &Source) -> Result<(), OpenError> {
        if self.has(Self::CORRUPT) {
            return Err(refused(
                source,
                "the image is marked as corrupt",
                "look at it with qemu-img check, or fetch it again",
            ));
        }
        if self.has(Self::EXTERNAL_DATA) {
            return Err(refused(
                source,
                "its data is in another file",
                "bring both together with qemu-img convert",
            ));
        }
        let known = Self::DIRTY | Self::COMPRESSION | Self::EXTENDED_L2;
        let unknown = self.0 & !known;
        if unknown != 0 {
            return Err(refused(
                source,
                format!(
                    "it needs a feature that qib does not know (bit {} of the incompatible ones)",
                    unknown.trailing_zeros()
                ),
                "convert it with qemu-img convert -O raw",
            ));
        }
        Ok(())
    }
}

fn damaged(source: &Source, problem: impl Into<String>) -> OpenError {
    OpenError::Read(source.damaged(problem))
}

fn check_l1(
    source: &Source,
    size: u64,
    cluster_bits: u32,
    entries: Entries,
    offset: u64,
    count: u32,
) -> Result<(), OpenError> {
    if i64::try_from(size).is_err() {
        return Err(damaged(source, format!("the disk has {size} bytes")));
    }
    // As QEMU has it: no disk needs a larger one.
    const LARGEST_L1: u64 = 32 << 20;
    if u64::from(count) * 8 > LARGEST_L1 {
        return Err(damaged(
            source,
            format!("the L1 table has {count} entries, more than any disk needs"),
        ));
    }
    let needed = size.div_ceil(1 << (2 * cluster_bits - entries.bits()));
    if u64::from(count) < needed {
        return Err(damaged(
            source,
            format!("the L1 table has {count} entries, but a disk of {size} bytes needs {needed}"),
        ));
    }
    if needed > 0 && !offset.is_multiple_of(1 << cluster_bits) {
        return Err(damaged(
            source,
            format!("the L1 table is at byte {offset}, which is not at the beginning of a cluster"),
        ));
    }
    // `needed` is at most `count`, which has 32 bits.
    Ok(source.hold("the L1 table", offset, needed * 8)?)
}

fn backing(
    source: &Source,
    fixed: &[u8; VERSION_2],
    cluster_bits: u32,
    header_length: u64,
) -> Result<Option<Backing>, OpenError> {
    let (offset, length) = (field::u64_be(fixed, 8), field::u32_be(fixed, 16));
    if offset == 0 || length == 0 {
        return Ok(None);
    }
    let within = offset
        .checked_add(u64::from(length))
        .is_some_and(|end| end <= 1 << cluster_bits);
    if length > 1023 || !within {
        return Err(damaged(
            source,
            "the name of its backing file is not within the first cluster",
        ));
    }
    let mut name = vec![0; usize::try_from(length).unwrap_or(0)];
    source.read("the name of the backing file", &mut name, offset)?;
    Ok(Some(Backing {
        name: String::from_utf8_lossy(&name).into_owned(),
        format: backing_format(source, header_length, offset)?,
    }))
}

/// Looks through the header's extensions, which stand between the header and the backing file's name.
fn backing_format(source: &Source, start: u64, end: u64) -> Result<Option<String>, ReadError> {
    const EXTENSIONS: &str = "an extension of the header";
    let mut offset = start;
    for _ in 0..MOST_EXTENSIONS {
        if offset + 8 > end {
            break;
        }
        let head: [u8; 8] = source.array(EXTENSIONS, offset)?;
        let (kind, length) = (field::u32_be(&head, 0), field::u32_be(&head, 4));
        if kind == 0 {
            break;
        }
        offset += 8;
        if kind == BACKING_FORMAT {
            if length > 15 {
                return Err(source.damaged("the format of its backing file has no such name"));
            }
            let mut name = vec![0; usize::try_from(length).unwrap_or(0)];
            source.read(EXTENSIONS, &mut name, offset)?;
            return Ok(Some(String::from_utf8_lossy(&name).into_owned()));
        }
        offset += u64::from(length).next_multiple_of(8);
    }
    Ok(None)
}
