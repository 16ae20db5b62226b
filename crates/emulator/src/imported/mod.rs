//! What is on a disk that was written by blocks, and whether a guest can be made of it.
//!
//! ```text
//!  blocks ─► volume ─► whole disk, or partitions of its GPT or MBR ─► ext4 with /etc ─► a layer over the base system
//!                                                                  └─ anything else ─► kept as data; no guest
//! ```
//!
//! A guest is a set of namespaces over the host's own `/usr` ([`crate::guest`]). So the image's kernel and boot loader are
//! not run, and neither are its programs and libraries, which need each other's versions and not the host's: the host's are
//! in their place. What is left is what makes the image what it is to a rehearsal: its accounts, settings, data and
//! scripts. The console says so.
//!
//! Everything read here was written by a stranger. Nothing is believed but what was checked: sizes against the volume's,
//! names against what a name may be, and everything against a bound.
//!
//! | module | subject |
//! |---|---|
//! | [`volume`] | blocks as a disk's bytes |
//! | [`partitions`] | GPT and MBR |
//! | [`recognise`] | file systems by their first bytes |
//! | [`ext4`] | an ext4 file system, with bounds |
//! | [`unpack`] | its files as a layer |

pub mod ext4;
pub mod partitions;
pub mod recognise;
pub mod unpack;
pub mod volume;

use partitions::{Partition, SECTOR};
use recognise::Content;
use std::fmt;
use std::io;
use volume::Volume;

/// Where a root file system is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Root {
    /// Its first byte.
    pub offset: u64,
    /// How many bytes it may have.
    pub length: u64,
    /// The partition's number; 0 for a disk without partitions.
    pub partition: u32,
}

/// Why no guest can be made of a disk.
#[derive(Debug)]
pub enum NoRoot {
    /// It holds something else.
    Other {
        /// What each partition holds; the one number 0 is the whole disk.
        seen: Vec<(u32, String)>,
    },
    /// It cannot be read.
    Unreadable(io::Error),
}

impl fmt::Display for NoRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(e) => write!(f, "its blocks cannot be read: {e}"),
            Self::Other { seen } => {
                f.write_str("a guest needs an ext4 file system with the folder /etc, and ")?;
                for (n, (number, what)) in seen.iter().enumerate() {
                    if n > 0 {
                        f.write_str(", ")?;
                    }
                    match number {
                        0 => write!(f, "the disk as a whole is {what}")?,
                        number => write!(f, "partition {number} is {what}")?,
                    }
                }
                Ok(())
            }
        }
    }
}

/// Most partitions that are looked at.
const MOST_PARTITIONS: usize = 128;

/// Finds the first file system that a guest can be made of.
///
/// # Errors
/// What there is instead.
pub fn find_root(volume: &Volume) -> Result<Root, NoRoot> {
    let whole = Partition {
        number: 0,
        offset: 0,
        length: volume.length(),
    };
    let mut found = partitions::read(volume).map_err(NoRoot::Unreadable)?;
    if found.is_empty() {
        found.push(whole);
    }
    found.truncate(MOST_PARTITIONS);
    let mut seen = Vec::new();
    for partition in found {
        let at = (partition.offset, partition.length);
        let what = match recognise::content(volume, at).map_err(NoRoot::Unreadable)? {
            Content::Ext4 => match ext4::has_etc(volume, at) {
                Ok(true) => {
                    return Ok(Root {
                        offset: partition.offset,
                        length: partition.length,
                        partition: partition.number,
                    });
                }
                Ok(false) => "ext4 without /etc".to_owned(),
                Err(why) => format!("ext4 that cannot be read ({why})"),
            },
            other => other.to_string(),
        };
        seen.push((partition.number, what));
    }
    Err(NoRoot::Other { seen })
}

/// Reads one sector; zeros beyond the end.
fn sector(volume: &Volume, number: u64) -> io::Result<[u8; SECTOR]> {
    let mut bytes = [0; SECTOR];
    if let Some(at) = number
        .checked_mul(SECTOR as u64)
        .filter(|at| *at < volume.length())
    {
        volume.read(at, &mut bytes)?;
    }
    Ok(bytes)
}
