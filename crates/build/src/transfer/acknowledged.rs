//! The blocks that EBS has acknowledged, in a file: what a process that takes the transfer up again need not send, and
//! what the next image need not send that has this snapshot as its parent.
//!
//! One record for each block at its place, so that it is written by one small write and nothing has to be sorted. A
//! process that is killed loses nothing that it wrote; a machine that loses its power may, and then a block is sent again,
//! which is the same. A record that was torn is not taken for one: it carries a check.
//!
//! ```text
//!   0        64            64 + 36 · index
//!   ├ header ┼ record 0 ┼ … ┼ digest (32 bytes) │ check (4 bytes) ┼ …
//! ```

use disk::digest::{BlockDigest, LinearDigest};
use sha2::{Digest, Sha256};
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const HEADER: usize = 64;
const MAGIC: &[u8; 32] = b"qib blocks of a snapshot, v1\0\0\0\0";
const RECORD: usize = 36;

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the record of sent blocks, {path}, cannot be {action}: {source}")]
pub struct AcknowledgedError {
    pub(crate) action: &'static str,
    pub(crate) path: String,
    #[source]
    pub(crate) source: io::Error,
}

/// The blocks that are known to be in a snapshot.
#[derive(Debug)]
pub struct Acknowledged {
    file: File,
    path: PathBuf,
    /// A bit for each block.
    known: Vec<u64>,
    count: u32,
}

impl Acknowledged {
    /// The file at `path` for a snapshot of `blocks` blocks that is to have `content`, any words that tell one content from
    /// another. A file that is of something else begins anew.
    ///
    /// # Errors
    /// If the file cannot be read or written.
    pub fn open(path: &Path, content: &str, blocks: u32) -> Result<Self, AcknowledgedError> {
        let failed = |action| {
            move |source| AcknowledgedError {
                action,
                path: path.display().to_string(),
                source,
            }
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(failed("opened"))?;
        let header = header(content);
        let mut found = [0; HEADER];
        let is_same = match file.read_exact_at(&mut found, 0) {
            Ok(()) => found == header,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => false,
            Err(error) => return Err(failed("read")(error)),
        };
        let mut this = Self {
            known: vec![0; (blocks as usize).div_ceil(64)],
            count: 0,
            path: path.to_owned(),
            file: file.try_clone().map_err(failed("opened"))?,
        };
        if !is_same {
            file.set_len(0).map_err(failed("written"))?;
            file.write_all_at(&header, 0).map_err(failed("written"))?;
            return Ok(this);
        }
        file.seek(SeekFrom::Start(HEADER as u64))
            .map_err(failed("read"))?;
        let mut records = BufReader::with_capacity(1 << 16, file);
        let mut record = [0; RECORD];
        for index in 0..blocks {
            match records.read_exact(&mut record) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
                Err(error) => return Err(failed("read")(error)),
            }
            if digest_of(index, &record).is_some() {
                this.set(index);
            }
        }
        Ok(this)
    }

    /// Whether the block is known to be there.
    pub fn has(&self, index: u32) -> bool {
        self.known
            .get(index as usize / 64)
            .is_some_and(|word| word & (1 << (index % 64)) != 0)
    }

    /// How many are.
    pub fn count(&self) -> u32 {
        self.count
    }

    fn set(&mut self, index: u32) {
        if let Some(word) = self.known.get_mut(index as usize / 64) {
            let bit = 1 << (index % 64);
            if *word & bit == 0 {
                *word |= bit;
                self.count += 1;
            }
        }
    }

    /// Writes down that the block is there.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn add(&mut self, index: u32, digest: BlockDigest) -> Result<(), AcknowledgedError> {
        let mut record = [0; RECORD];
        record[..32].copy_from_slice(digest.as_bytes());
        record[32..].copy_from_slice(&check(index, digest.as_bytes()));
        self.file
            .write_all_at(&record, place(index))
            .map_err(|source| self.failed("written", source))?;
        self.set(index);
        Ok(())
    }

    /// The block's digest; none if it is not known to be there.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn digest(&self, index: u32) -> Result<Option<BlockDigest>, AcknowledgedError> {
        if !self.has(index) {
            return Ok(None);
        }
        let mut record = [0; RECORD];
        self.file
            .read_exact_at(&mut record, place(index))
            .map_err(|source| self.failed("read", source))?;
        Ok(digest_of(index, &record))
    }

    /// The digest over the digests of all known blocks, in the order of their indexes.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn linear(&self) -> Result<BlockDigest, AcknowledgedError> {
        let mut linear = LinearDigest::new();
        self.each(|_, digest| linear.push(&digest))?;
        Ok(linear.finish())
    }

    /// Hands every known block to `take`, in the order of the indexes.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn each(&self, mut take: impl FnMut(u32, BlockDigest)) -> Result<(), AcknowledgedError> {
        let file = File::open(&self.path).map_err(|source| self.failed("opened", source))?;
        let mut records = BufReader::with_capacity(1 << 16, file);
        let skipped = io::copy(&mut records.by_ref().take(HEADER as u64), &mut io::sink());
        skipped.map_err(|source| self.failed("read", source))?;
        let mut record = [0; RECORD];
        let last = self.known.len() as u32 * 64;
        for index in 0..last {
            match records.read_exact(&mut record) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
                Err(source) => return Err(self.failed("read", source)),
            }
            if let (true, Some(digest)) = (self.has(index), digest_of(index, &record)) {
                take(index, digest);
            }
        }
        Ok(())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn failed(&self, action: &'static str, source: io::Error) -> AcknowledgedError {
        AcknowledgedError {
            action,
            path: self.path.display().to_string(),
            source,
        }
    }
}

fn place(index: u32) -> u64 {
    HEADER as u64 + u64::from(index) * RECORD as u64
}

fn header(content: &str) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..32].copy_from_slice(MAGIC);
    header[32..].copy_from_slice(&Sha256::digest(content));
    header
}

/// Tells a whole record from none and from half of one.
fn check(index: u32, digest: &[u8; 32]) -> [u8; 4] {
    let mut hash = Sha256::new();
    hash.update(index.to_be_bytes());
    hash.update(digest);
    let hash = hash.finalize();
    [hash[0], hash[1], hash[2], hash[3]]
}

fn digest_of(index: u32, record: &[u8; RECORD]) -> Option<BlockDigest> {
    let mut digest = [0; 32];
    digest.copy_from_slice(&record[..32]);
    (check(index, &digest) == record[32..]).then(|| BlockDigest::from_bytes(digest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn digest(byte: u8) -> BlockDigest {
        BlockDigest::from_bytes([byte; 32])
    }

    #[test]
    fn another_process_knows_what_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("blocks");
        let mut first = Acknowledged::open(&path, "content", 100).unwrap();
        first.add(7, digest(1)).unwrap();
        first.add(99, digest(0)).unwrap();
        drop(first);
        let second = Acknowledged::open(&path, "content", 100).unwrap();
        assert_eq!(second.count(), 2);
        assert_eq!(second.digest(7).unwrap(), Some(digest(1)));
        assert_eq!(second.digest(99).unwrap(), Some(digest(0)));
        assert_eq!(second.digest(8).unwrap(), None);
        let other = Acknowledged::open(&path, "other content", 100).unwrap();
        assert_eq!(other.count(), 0);
    }

    #[test]
    fn a_torn_record_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("blocks");
        let mut first = Acknowledged::open(&path, "content", 10).unwrap();
        for index in 0..3 {
            first.add(index, digest(9)).unwrap();
        }
        drop(first);
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(place(2) + 20).unwrap();
        file.write_all_at(&[0; 16], place(1)).unwrap();
        let second = Acknowledged::open(&path, "content", 10).unwrap();
        let known: Vec<u32> = (0..10).filter(|index| second.has(*index)).collect();
        assert_eq!(known, [0]);
    }

    proptest! {
        #[test]
        fn the_digest_over_all_is_that_of_the_blocks_by_index(
            added in proptest::collection::vec((0_u32..300, any::<u8>()), 0..200)
        ) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("blocks");
            let mut file = Acknowledged::open(&path, "content", 300).unwrap();
            let mut model = BTreeMap::new();
            for (index, byte) in added {
                file.add(index, digest(byte)).unwrap();
                model.insert(index, digest(byte));
            }
            let mut linear = LinearDigest::new();
            model.values().for_each(|digest| linear.push(digest));
            prop_assert_eq!(file.linear().unwrap(), linear.finish());
            prop_assert_eq!(file.count() as usize, model.len());
        }
    }
}
