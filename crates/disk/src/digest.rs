//! Digests of blocks, and of all blocks together.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use aws_lc_rs::digest::{self, Context, SHA256};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::blocks::{BLOCK, BlockIndex};

/// The SHA-256 of a block, which EBS direct wants with each (`x-amz-Checksum`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlockDigest([u8; 32]);

static OF_ZEROS: LazyLock<BlockDigest> = LazyLock::new(|| BlockDigest::of(&vec![0; BLOCK]));

impl BlockDigest {
    /// The digest of `block`.
    pub fn of(block: &[u8]) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest::digest(&SHA256, block).as_ref());
        Self(bytes)
    }

    /// The digest of a block of zeros, made once.
    pub fn of_zeros() -> Self {
        *OF_ZEROS
    }

    /// A digest that was kept.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The digest's bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// As in EBS direct's headers.
    pub fn to_base64(&self) -> String {
        STANDARD.encode(self.0)
    }

    /// From one of EBS direct's headers; `None` unless it is a SHA-256 in base64.
    pub fn from_base64(text: &str) -> Option<Self> {
        STANDARD
            .decode(text)
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
    }
}

impl fmt::Debug for BlockDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlockDigest({})", self.to_base64())
    }
}

/// The digest over all blocks of a snapshot, by EBS direct's only method, `LINEAR`: the SHA-256 of the blocks' digests one
/// after another, by increasing index, of those blocks that were sent
/// (<https://docs.aws.amazon.com/ebs/latest/APIReference/API_CompleteSnapshot.html>).
///
/// Needs the same little memory for every size of disk.
#[derive(Clone)]
pub struct LinearDigest(Context);

impl LinearDigest {
    /// Over no block yet.
    pub fn new() -> Self {
        Self(Context::new(&SHA256))
    }

    /// Takes the digest of the next block that was sent, by index.
    pub fn push(&mut self, block: &BlockDigest) {
        self.0.update(&block.0);
    }

    /// The digest over all that were pushed.
    pub fn finish(self) -> BlockDigest {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.0.finish().as_ref());
        BlockDigest(bytes)
    }
}

impl Default for LinearDigest {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for LinearDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinearDigest")
    }
}

/// A [`LinearDigest`] over blocks that come in another order than by index, every block from the first on.
///
/// Holds back what comes early: as much as the reading threads run ahead of the slowest of them.
#[derive(Debug, Clone, Default)]
pub struct InOrder {
    linear: LinearDigest,
    next: u32,
    /// A block that is not sent has no digest.
    early: BTreeMap<u32, Option<BlockDigest>>,
}

impl InOrder {
    /// Over no block yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the digest of a block that was sent, or was by an earlier process.
    pub fn put(&mut self, index: BlockIndex, digest: BlockDigest) {
        self.early.insert(index.0, Some(digest));
        self.catch_up();
    }

    /// Leaves a block out that is not sent.
    pub fn leave_out(&mut self, index: BlockIndex) {
        self.early.insert(index.0, None);
        self.catch_up();
    }

    fn catch_up(&mut self) {
        while let Some(digest) = self.early.remove(&self.next) {
            if let Some(digest) = digest {
                self.linear.push(&digest);
            }
            self.next = self.next.saturating_add(1);
        }
    }

    /// The index of the first block that has not come yet.
    pub fn next(&self) -> BlockIndex {
        BlockIndex(self.next)
    }

    /// The digest over all that came. If one is missing between others, those behind it are not in it: compare
    /// [`next`](Self::next) with the number of blocks before.
    pub fn finish(self) -> BlockDigest {
        self.linear.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_zeros_is_sha256s() {
        assert_eq!(
            BlockDigest::of_zeros().to_base64(),
            // head -c 524288 /dev/zero | openssl dgst -sha256 -binary | base64
            "B4VNL+8pega6gWheZgwzLeNtXRjVRpJ9MNqtbX/aFUE="
        );
        assert_eq!(
            BlockDigest::from_base64(&BlockDigest::of_zeros().to_base64()),
            Some(BlockDigest::of_zeros())
        );
        assert_eq!(BlockDigest::from_base64("B4VN"), None);
    }

    #[test]
    fn the_order_in_which_blocks_come_does_not_matter() {
        let digests: Vec<BlockDigest> = (0..6).map(|byte| BlockDigest::of(&[byte])).collect();
        let mut linear = LinearDigest::new();
        for place in [0, 1, 2, 4, 5] {
            linear.push(&digests[place]);
        }
        let mut in_order = InOrder::new();
        for place in [4, 0, 5, 2] {
            let index = u32::try_from(place).expect("small");
            in_order.put(BlockIndex(index), digests[place]);
        }
        assert_eq!(in_order.next(), BlockIndex(1));
        in_order.put(BlockIndex(1), digests[1]);
        in_order.leave_out(BlockIndex(3));
        assert_eq!(in_order.next(), BlockIndex(6));
        assert_eq!(in_order.finish(), linear.finish());
    }

    #[test]
    fn linear_is_the_digest_of_digests() {
        let (first, second) = (BlockDigest::of(b"a"), BlockDigest::of(b"b"));
        let mut linear = LinearDigest::new();
        linear.push(&first);
        linear.push(&second);
        let mut together = first.as_bytes().to_vec();
        together.extend(second.as_bytes());
        assert_eq!(linear.finish(), BlockDigest::of(&together));
    }
}
