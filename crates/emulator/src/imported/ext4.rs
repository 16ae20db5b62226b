//! An ext4 file system, with bounds: the crate that reads it checks what it reads, and is asked for nothing that a few
//! forged bytes could make as large as they like.

use super::partitions::u32_at;
use super::volume::Volume;
use ext4_view::{Ext4, Ext4Read};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

/// How much may be read to find out whether there is a folder `/etc`: the file system's journal may have 1 GiB.
const LOOK: u64 = 2 << 30;

/// Most block groups: enough for 128 TiB with usual ones. Their descriptors are all in memory.
const MOST_GROUPS: u64 = 1 << 20;

/// A place of a disk, to be read up to a bound.
struct Bounded {
    volume: Volume,
    offset: u64,
    length: u64,
    left: Rc<Cell<u64>>,
}

impl Ext4Read for Bounded {
    fn read(
        &mut self,
        start_byte: u64,
        dst: &mut [u8],
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync + 'static>> {
        let length = dst.len() as u64;
        let end = start_byte.checked_add(length);
        if end.is_none_or(|end| end > self.length) {
            return Err("it points beyond its end".into());
        }
        let Some(left) = self.left.get().checked_sub(length) else {
            return Err("more had to be read of it than the local EC2 reads".into());
        };
        self.left.set(left);
        self.volume.read(self.offset + start_byte, dst)?;
        Ok(())
    }
}

/// Opens the file system at a place of a disk, of which so many bytes may be read.
///
/// # Errors
/// Why it cannot be read.
pub(super) fn open(
    volume: &Volume,
    (offset, length): (u64, u64),
    budget: u64,
) -> Result<Ext4, String> {
    check(volume, (offset, length))?;
    let reader = Bounded {
        volume: volume.clone(),
        offset,
        length,
        left: Rc::new(Cell::new(budget)),
    };
    Ext4::load(Box::new(reader)).map_err(|e| e.to_string())
}

/// Checks the superblock's sizes against each other and the disk.
/// <https://www.kernel.org/doc/html/latest/filesystems/ext4/globals.html#super-block>
fn check(volume: &Volume, (offset, length): (u64, u64)) -> Result<(), String> {
    let mut superblock = [0; 1024];
    if length < 2048 {
        return Err("it is too small".to_owned());
    }
    volume
        .read(offset + 1024, &mut superblock)
        .map_err(|e| e.to_string())?;
    let block_size = match u32_at(&superblock, 0x18) {
        log @ 0..=6 => 1024u64 << log,
        _ => return Err("its block size is none".to_owned()),
    };
    // The upper half of the count is there only with 64-bit block numbers.
    let wide = u32_at(&superblock, 0x60) & 0x80 != 0;
    let high = if wide {
        u64::from(u32_at(&superblock, 0x150))
    } else {
        0
    };
    let blocks = high << 32 | u64::from(u32_at(&superblock, 4));
    let per_group = u64::from(u32_at(&superblock, 0x20));
    if blocks.checked_mul(block_size).is_none_or(|n| n > length) {
        return Err("it is larger than where it lies".to_owned());
    }
    if per_group == 0 || blocks / per_group > MOST_GROUPS {
        return Err("its block groups are too small".to_owned());
    }
    Ok(())
}

/// Whether the file system has a folder `/etc`.
///
/// # Errors
/// Why it cannot be read.
pub(super) fn has_etc(volume: &Volume, at: (u64, u64)) -> Result<bool, String> {
    guarded(|| {
        let fs = open(volume, at, LOOK)?;
        Ok(fs.symlink_metadata("/etc").is_ok_and(|m| m.is_dir()))
    })
}

/// Does what reads a file system that a stranger made. A panic of the reader is an error like any other.
pub(super) fn guarded<T>(read: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    // What a panic leaves half done is thrown away with it.
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| {
        Err("it is damaged in a way that its reader does not expect".to_owned())
    })
}
