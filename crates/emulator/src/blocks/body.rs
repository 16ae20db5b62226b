//! A block on its way in: read into memory that is used again, and not kept at all while it is zeros.

use super::BLOCK_SIZE;
use super::digest::{self, Digest, ZERO_BLOCK, is_zero};
use std::sync::{Mutex, PoisonError};
use tokio::sync::{Semaphore, SemaphorePermit};

/// How many blocks of data may be in memory at once: 128 MiB. Further ones wait before they are read.
const AT_ONCE: usize = 256;

/// How many buffers are kept for the next blocks.
const KEPT: usize = 64;

static PERMITS: Semaphore = Semaphore::const_new(AT_ONCE);
static FREE: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// The body of a put.
#[derive(Debug, Default)]
pub struct BlockBody {
    length: usize,
    /// None while all of it is zeros, and of what is longer than a block.
    data: Option<Buffer>,
}

/// Memory for one block.
#[derive(Debug)]
struct Buffer {
    bytes: Vec<u8>,
    /// None where the body was in memory before.
    _permit: Option<SemaphorePermit<'static>>,
}

impl BlockBody {
    /// A body that is in memory already.
    pub fn of(bytes: &[u8]) -> Self {
        let mut body = Self::default();
        if body.wants_memory(bytes) {
            body.begin(None);
        }
        body.add(bytes);
        body
    }

    /// Takes the next part of a body. Waits if too many blocks are in memory.
    pub async fn push(&mut self, part: &[u8]) {
        if self.wants_memory(part) {
            // The semaphore is never closed.
            self.begin(PERMITS.acquire().await.ok());
        }
        self.add(part);
    }

    /// How many bytes it has.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Its bytes; none if all of them are zeros.
    pub fn data(&self) -> Option<&[u8]> {
        self.data.as_ref().map(|b| b.bytes.as_slice())
    }

    /// The SHA-256 of all of it; none if it is longer than a block, as its bytes are not kept then.
    pub fn digest(&self) -> Option<Digest> {
        match &self.data {
            _ if self.length > BLOCK_SIZE => None,
            Some(buffer) => Some(digest::sha256(&buffer.bytes)),
            None if self.length == BLOCK_SIZE => Some(*ZERO_BLOCK),
            None => Some(digest::sha256(&vec![0; self.length])),
        }
    }

    fn wants_memory(&self, part: &[u8]) -> bool {
        self.data.is_none() && self.length + part.len() <= BLOCK_SIZE && !is_zero(part)
    }

    fn begin(&mut self, permit: Option<SemaphorePermit<'static>>) {
        let kept = FREE.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut bytes = kept.unwrap_or_else(|| Vec::with_capacity(BLOCK_SIZE));
        // What came before were zeros.
        bytes.resize(self.length, 0);
        self.data = Some(Buffer {
            bytes,
            _permit: permit,
        });
    }

    fn add(&mut self, part: &[u8]) {
        self.length += part.len();
        match &mut self.data {
            Some(buffer) if self.length <= BLOCK_SIZE => buffer.bytes.extend_from_slice(part),
            _ if self.length > BLOCK_SIZE => self.data = None,
            _ => {}
        }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < KEPT {
            free.push(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn data_after_zeros_is_whole() {
        let mut block = vec![0; BLOCK_SIZE];
        block[300_000] = 7;
        for size in [1000, 65_536, BLOCK_SIZE] {
            let mut body = BlockBody::default();
            for part in block.chunks(size) {
                body.push(part).await;
            }
            assert_eq!(body.data().unwrap(), block, "{size}");
            assert_eq!(body.digest().unwrap(), digest::sha256(&block));
        }
    }

    #[tokio::test]
    async fn zeros_take_no_memory_and_have_the_digest_all_the_same() {
        for length in [0, 5, BLOCK_SIZE] {
            let mut body = BlockBody::default();
            body.push(&vec![0; length]).await;
            assert!(body.data().is_none() && body.length() == length);
            assert_eq!(body.digest().unwrap(), digest::sha256(&vec![0; length]));
        }
    }

    #[tokio::test]
    async fn what_is_longer_than_a_block_is_counted_and_not_kept() {
        let mut body = BlockBody::default();
        for _ in 0..3 {
            body.push(&vec![1; BLOCK_SIZE]).await;
        }
        assert_eq!(body.length(), 3 * BLOCK_SIZE);
        assert!(body.data().is_none() && body.digest().is_none());
    }
}
