//! Blocks as a disk's bytes, as a volume made of the snapshot would have them.

use crate::blocks::BLOCK_SIZE;
use crate::blocks::chain::Chain;
use sha2::{Digest, Sha256};
use std::io;

/// How a block reads that was never put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unwritten {
    /// As zeros.
    Zeros,
    /// As noise: what an encrypted volume makes of bytes that nobody encrypted.
    Noise,
}

/// A disk.
#[derive(Clone, Debug)]
pub struct Volume {
    chain: Chain,
    length: u64,
    unwritten: Unwritten,
}

impl Volume {
    /// The disk that these blocks make.
    pub fn new(chain: Chain, size_gib: u32, unwritten: Unwritten) -> Self {
        Self {
            chain,
            length: u64::from(size_gib) << 30,
            unwritten,
        }
    }

    /// How many bytes it has.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Reads bytes, all of them.
    ///
    /// # Errors
    /// If they are not all on the disk, or cannot be read.
    pub fn read(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        let end = at.checked_add(into.len() as u64);
        if end.is_none_or(|end| end > self.length) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut at = at;
        let mut rest = into;
        while !rest.is_empty() {
            let offset = usize::try_from(at % BLOCK_SIZE as u64).unwrap_or_default();
            let here = rest.len().min(BLOCK_SIZE - offset);
            let (part, later) = rest.split_at_mut(here);
            let index = u32::try_from(at / BLOCK_SIZE as u64)
                .map_err(|_| io::Error::from(io::ErrorKind::UnexpectedEof))?;
            let absent = self.chain.source(index).is_none();
            match self.unwritten {
                Unwritten::Noise if absent => noise(at, part),
                _ => self.chain.read(index, offset, part)?,
            }
            at += here as u64;
            rest = later;
        }
        Ok(())
    }
}

/// The same noise each time, and another one at each place.
fn noise(at: u64, into: &mut [u8]) {
    const PIECE: u64 = 32;
    let mut at = at;
    let mut rest = into;
    while !rest.is_empty() {
        let digest = Sha256::digest((at / PIECE).to_be_bytes());
        let skipped = usize::try_from(at % PIECE).unwrap_or_default();
        let piece = digest.get(skipped..).unwrap_or_default();
        let here = rest.len().min(piece.len());
        let (part, later) = rest.split_at_mut(here);
        part.copy_from_slice(piece.get(..here).unwrap_or_default());
        at += here as u64;
        rest = later;
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::blocks::digest::{is_zero, sha256};
    use crate::blocks::set::BlockSet;
    use crate::ids::SnapshotId;
    use jiff::Timestamp;
    use std::sync::Arc;

    /// A disk of 1 GiB with these bytes at its start; blocks of zeros are not put.
    pub(in crate::imported) fn disk(bytes: &[u8], unwritten: Unwritten) -> Volume {
        let dir = tempfile::tempdir().unwrap();
        let now = Timestamp::UNIX_EPOCH;
        let set = BlockSet::create(&dir.path().join("s"), 1, now).unwrap();
        for (index, block) in bytes.chunks(BLOCK_SIZE).enumerate() {
            let mut block = block.to_vec();
            block.resize(BLOCK_SIZE, 0);
            if !is_zero(&block) {
                let index = u32::try_from(index).unwrap();
                set.put(index, Some(&block), &sha256(&block), now).unwrap();
            }
        }
        let id = SnapshotId::random();
        Volume::new(Chain::new(vec![(id, Arc::new(set))]), 1, unwritten)
    }

    #[test]
    fn what_was_never_put_is_zeros_or_noise_and_never_both() {
        let mut bytes = vec![1; BLOCK_SIZE + 10];
        bytes[BLOCK_SIZE..].fill(2);
        let read = |volume: &Volume, at: u64, length: usize| {
            let mut into = vec![9; length];
            volume.read(at, &mut into).unwrap();
            into
        };
        let end = 2 * BLOCK_SIZE as u64;
        let plain = disk(&bytes, Unwritten::Zeros);
        assert_eq!(read(&plain, BLOCK_SIZE as u64 - 2, 4), [1, 1, 2, 2]);
        assert!(is_zero(&read(&plain, end, 5000)));
        let encrypted = disk(&bytes, Unwritten::Noise);
        assert_eq!(read(&encrypted, BLOCK_SIZE as u64 - 2, 4), [1, 1, 2, 2]);
        let once = read(&encrypted, end - 3, 5003);
        assert_eq!(once[..3], [0, 0, 0], "of a block that was put");
        assert!(!is_zero(&once[3..35]));
        assert_eq!(
            read(&encrypted, end + 7, 100),
            once[10..110],
            "the same again"
        );
        assert!(plain.read(plain.length() - 1, &mut [0, 0]).is_err());
        assert!(plain.read(u64::MAX, &mut [0, 0]).is_err());
    }
}
