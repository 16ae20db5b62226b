//! A snapshot over its parents: "Snapshots A, B, and C are incremental snapshots"
//! (<https://docs.aws.amazon.com/ebs/latest/userguide/writesnapshots.html>).

use super::BLOCK_SIZE;
use super::set::{Block, BlockSet};
use crate::ids::SnapshotId;
use std::io;
use std::sync::Arc;

/// The blocks of a snapshot, and below them those of its parents.
#[derive(Clone, Debug)]
pub struct Chain {
    /// Topmost first, each with the snapshot that it was put to.
    sets: Vec<(SnapshotId, Arc<BlockSet>)>,
}

impl Chain {
    /// A chain of these, topmost first.
    pub fn new(sets: Vec<(SnapshotId, Arc<BlockSet>)>) -> Self {
        Self { sets }
    }

    /// Whether both come from one snapshot.
    pub fn is_related_to(&self, other: &Self) -> bool {
        let mut ids = self.sets.iter().map(|(id, _)| id);
        ids.any(|id| other.sets.iter().any(|(theirs, _)| theirs == id))
    }

    /// The snapshot that a block was put to.
    pub fn source(&self, index: u32) -> Option<&SnapshotId> {
        let mut sets = self.sets.iter();
        sets.find(|(_, set)| set.has(index)).map(|(id, _)| id)
    }

    /// A block; none if it was never put.
    ///
    /// # Errors
    /// If an index cannot be read.
    pub fn block(&self, index: u32) -> io::Result<Option<Block>> {
        Ok(self.find(index)?.map(|(_, block)| block))
    }

    /// Which blocks there are from `from` on, in order, at most so many.
    pub fn present_from(&self, from: u32, most: usize) -> Vec<u32> {
        let mut all: Vec<u32> = self
            .sets
            .iter()
            .flat_map(|(_, set)| set.present_from(from, most))
            .collect();
        all.sort_unstable();
        all.dedup();
        all.truncate(most);
        all
    }

    /// Reads some of a block. A block that was never put is zeros here; on an encrypted volume it would be noise.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read(&self, index: u32, offset: usize, into: &mut [u8]) -> io::Result<()> {
        match self.find(index)? {
            Some((set, block)) if !block.zero => set.read(index, offset, into),
            _ => {
                into.fill(0);
                Ok(())
            }
        }
    }

    /// A whole block that was put, and what its digest has to be.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn whole(&self, index: u32) -> io::Result<Option<(Vec<u8>, Block)>> {
        let Some((set, block)) = self.find(index)? else {
            return Ok(None);
        };
        let mut bytes = vec![0; BLOCK_SIZE];
        if !block.zero {
            set.read(index, 0, &mut bytes)?;
        }
        Ok(Some((bytes, block)))
    }

    fn find(&self, index: u32) -> io::Result<Option<(&BlockSet, Block)>> {
        for (_, set) in &self.sets {
            if let Some(block) = set.block(index)? {
                return Ok(Some((set, block)));
            }
        }
        Ok(None)
    }
}
