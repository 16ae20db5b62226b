//! The content of snapshots that are written by blocks: EBS's own store, apart from the account.
//!
//! A put goes here and nowhere else: neither the account nor its state file knows of single blocks, so that a put costs
//! what its bytes cost. Everything is in the folder `blocks` of the local EC2, one folder for each snapshot that was
//! started with StartSnapshot, and is there again after a restart, or a kill, of the daemon: what was answered is in the
//! kernel's hands by then. It goes when no snapshot needs it any more.
//!
//! ```text
//!  blocks/snap-…/data    block n at n × 524,288; sparse: blocks of zeros are never written
//!  blocks/snap-…/index   record n at n × 40: 0 absent, 1 zeros, 2 data; 7 bytes of nothing; the SHA-256
//! ```
//!
//! | module | subject |
//! |---|---|
//! | [`body`] | a block on its way in |
//! | [`chain`] | a snapshot over its parents |
//! | [`digest`] | zeros, and SHA-256 |
//! | [`log`] | the record of every block that was put |
//! | [`set`] | the blocks of one snapshot |

pub mod body;
pub mod chain;
pub mod digest;
pub mod log;
pub mod set;

use crate::files;
use crate::ids::SnapshotId;
use chain::Chain;
use jiff::Timestamp;
use log::BlockLog;
use set::BlockSet;
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// "Currently, the only supported size is 524288 bytes"
/// (<https://docs.aws.amazon.com/ebs/latest/APIReference/API_PutSnapshotBlock.html>).
pub const BLOCK_SIZE: usize = 524_288;

/// Blocks in a GiB.
pub const BLOCKS_PER_GIB: u32 = (1 << 30) / BLOCK_SIZE as u32;

/// The blocks of all snapshots that were written by blocks.
#[derive(Debug)]
pub struct BlockStore {
    dir: PathBuf,
    sets: RwLock<HashMap<SnapshotId, Arc<BlockSet>>>,
    log: BlockLog,
}

impl BlockStore {
    /// The store of a local EC2's folder.
    ///
    /// # Errors
    /// If its folder or its log cannot be made.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let blocks = dir.join("blocks");
        files::make_dir(&blocks, 0o700)?;
        Ok(Self {
            dir: blocks,
            sets: RwLock::default(),
            log: BlockLog::open(dir)?,
        })
    }

    /// The record of every block that was put.
    pub fn log(&self) -> &BlockLog {
        &self.log
    }

    /// Makes the folder of a new snapshot, open for blocks.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn create(&self, id: &SnapshotId, size_gib: u32, now: Timestamp) -> io::Result<()> {
        let set = BlockSet::create(&self.dir.join(id.as_str()), size_gib, now)?;
        self.keep(id, set);
        Ok(())
    }

    /// Opens what an earlier daemon has left of a snapshot that is still being written. A restart counts as activity.
    ///
    /// # Errors
    /// If its files cannot be read.
    pub fn reopen(&self, id: &SnapshotId, size_gib: u32, now: Timestamp) -> io::Result<()> {
        let set = BlockSet::open(&self.dir.join(id.as_str()), size_gib, now)?;
        set.unseal();
        self.keep(id, set);
        Ok(())
    }

    /// The blocks of one snapshot alone, without its parents'.
    ///
    /// # Errors
    /// If its files cannot be read.
    pub fn get(&self, id: &SnapshotId) -> io::Result<Arc<BlockSet>> {
        if let Some(set) = self.read().get(id) {
            return Ok(set.clone());
        }
        // Only what is still being written is open from the start.
        let set = BlockSet::open(&self.dir.join(id.as_str()), u32::MAX, Timestamp::MIN)?;
        Ok(self.keep(id, set))
    }

    /// A snapshot's blocks, those of its parents below. `ids` is topmost first.
    ///
    /// # Errors
    /// If files of any of them cannot be read.
    pub fn chain(&self, ids: &[SnapshotId]) -> io::Result<Chain> {
        let sets = ids.iter().map(|id| Ok((id.clone(), self.get(id)?)));
        Ok(Chain::new(sets.collect::<io::Result<_>>()?))
    }

    /// Whether any snapshot takes blocks.
    pub fn has_open(&self) -> bool {
        self.read().values().any(|set| set.is_open())
    }

    /// Those of `waiting` that nothing was written to for longer than is said beside each.
    pub fn idle<'a>(
        &self,
        waiting: impl IntoIterator<Item = (&'a SnapshotId, Duration)>,
        now: Timestamp,
    ) -> Vec<SnapshotId> {
        let sets = self.read();
        let idle = waiting.into_iter().filter(|(id, most)| {
            let last = sets.get(*id).map(|set| set.last_put());
            last.is_some_and(|last| now.duration_since(last).unsigned_abs() > *most && now > last)
        });
        idle.map(|(id, _)| id.clone()).collect()
    }

    /// Forgets all snapshots but those needed, and gives their folders, to be removed. Files that are being read stay
    /// readable to who reads them.
    pub fn forget_all_but(&self, needed: &BTreeSet<SnapshotId>) -> Vec<PathBuf> {
        let mut sets = self.sets.write().unwrap_or_else(PoisonError::into_inner);
        sets.retain(|id, _| needed.contains(id));
        let Ok(entries) = std::fs::read_dir(&self.dir) else {
            return Vec::new();
        };
        let needed: BTreeSet<&str> = needed.iter().map(SnapshotId::as_str).collect();
        entries
            .flatten()
            .filter(|e| !needed.contains(&*e.file_name().to_string_lossy()))
            .map(|e| e.path())
            .collect()
    }

    fn keep(&self, id: &SnapshotId, set: BlockSet) -> Arc<BlockSet> {
        let mut sets = self.sets.write().unwrap_or_else(PoisonError::into_inner);
        // Somebody else may have opened it meanwhile: there is one set for each snapshot.
        sets.entry(id.clone())
            .or_insert_with(|| Arc::new(set))
            .clone()
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, HashMap<SnapshotId, Arc<BlockSet>>> {
        self.sets.read().unwrap_or_else(PoisonError::into_inner)
    }
}
