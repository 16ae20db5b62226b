//! Zeros, and SHA-256.

use super::BLOCK_SIZE;
use sha2::{Digest as _, Sha256};
use std::sync::LazyLock;

/// A SHA-256.
pub type Digest = [u8; 32];

/// The digest of a block of zeros.
pub static ZERO_BLOCK: LazyLock<Digest> = LazyLock::new(|| sha256(&[0; BLOCK_SIZE]));

/// How many bytes are looked at before the question is asked: long enough for the processor's widest registers, short
/// enough that a block of data is told from zeros at its first bytes.
const AT_ONCE: usize = 4096;

/// Whether all of `bytes` are zero.
pub fn is_zero(bytes: &[u8]) -> bool {
    let (chunks, rest) = bytes.as_chunks::<AT_ONCE>();
    let none = |bytes: &[u8]| bytes.iter().fold(0, |all, byte| all | byte) == 0;
    chunks.iter().all(|chunk| none(chunk)) && none(rest)
}

/// The SHA-256 of `bytes`.
pub fn sha256(bytes: &[u8]) -> Digest {
    Sha256::digest(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_bit_anywhere_is_no_zero() {
        let mut block = vec![0; BLOCK_SIZE + 3];
        assert!(is_zero(&block));
        for at in [0, 1, AT_ONCE - 1, AT_ONCE, BLOCK_SIZE - 1, BLOCK_SIZE + 2] {
            block[at] = 1;
            assert!(!is_zero(&block), "{at}");
            block[at] = 0;
        }
        assert!(is_zero(&[]));
    }

    #[test]
    fn the_digest_of_a_zero_block_is_the_known_one() {
        // dd if=/dev/zero bs=512k count=1 | sha256sum
        let known = "07854d2fef297a06ba81685e660c332de36d5d18d546927d30daad6d7fda1541";
        assert_eq!(hex::encode(*ZERO_BLOCK), known);
    }
}
