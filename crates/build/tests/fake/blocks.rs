//! EBS direct in memory, as strict as the service: <https://docs.aws.amazon.com/ebs/latest/APIReference/Welcome.html>.

use super::account::{FakeAccount, Fault, Store, error, lost};
use async_trait::async_trait;
use bytes::Bytes;
use cloud::*;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// How many blocks are listed at once.
const PAGE: usize = 3;

/// The blocks of a region.
#[derive(Default)]
pub struct Blocks {
    /// Of each snapshot by index; of one that was started with a parent, also the parent's.
    pub content: BTreeMap<String, BTreeMap<u32, Bytes>>,
    /// Those that were put into a snapshot, which is what CompleteSnapshot is told of.
    written: BTreeMap<String, BTreeSet<u32>>,
    /// Snapshots that blocks can be put into.
    pub open: BTreeSet<String>,
    /// Every put that was taken, in order.
    pub puts: Vec<(String, u32)>,
    /// How many puts were asked for, refused ones counted.
    pub asked: usize,
    /// How the next puts of a block end; then well.
    pub put_faults: BTreeMap<u32, VecDeque<Fault>>,
    /// So many puts find no snapshot.
    pub unknown_for: u32,
    /// More at once than this are throttled.
    pub at_once: Option<usize>,
    under_way: usize,
    /// How long a put takes.
    pub takes: Option<Duration>,
    /// StartSnapshot says that blocks have this size.
    pub block_bytes: Option<usize>,
    /// Snapshots that were started, by client token, each with its parameters.
    tokens: BTreeMap<String, (StartRequest, String)>,
    /// What StartSnapshot was asked for.
    pub starts: Vec<StartRequest>,
    /// The blocks that were read.
    pub gets: Vec<(String, u32)>,
    /// The next so many reads give another content than was written.
    pub corrupt_reads: u32,
}

impl Store {
    /// How often each block was put into `snapshot`.
    pub fn puts_of(&self, snapshot: &str) -> BTreeMap<u32, usize> {
        let mut counted = BTreeMap::new();
        for (_, index) in self.blocks.puts.iter().filter(|(of, _)| of == snapshot) {
            *counted.entry(*index).or_default() += 1;
        }
        counted
    }

    /// What a volume made of `snapshot` reads, as far as `size` bytes.
    pub fn reads(&self, snapshot: &str, size: usize) -> Vec<u8> {
        let blocks = &self.blocks.content[snapshot];
        let mut bytes = Vec::new();
        let mut index = 0;
        while bytes.len() < size {
            match blocks.get(&index) {
                Some(block) => bytes.extend_from_slice(block),
                None => bytes.resize(bytes.len() + BLOCK_BYTES, 0),
            }
            index += 1;
        }
        bytes.truncate(size);
        bytes
    }

    /// EBS gives a snapshot up that nothing is written to.
    pub fn give_up(&mut self, snapshot: &str) {
        self.blocks.open.remove(snapshot);
        let kept = self.snapshots.get_mut(snapshot).expect("it is there");
        kept.state = SnapshotState::Failed("idle for too long".to_owned());
    }
}

fn digest(bytes: &[u8]) -> Sha256Digest {
    Sha256Digest(Sha256::digest(bytes).into())
}

/// As few changes as two starts with the same token may have: none but the tags' time.
fn steady(request: &StartRequest) -> StartRequest {
    let mut steady = request.clone();
    steady.tags.0.remove(build::names::tag::EXPIRES);
    steady.tags.0.remove(build::names::tag::LEASE);
    steady
}

#[async_trait]
impl SnapshotBlocks for FakeAccount {
    async fn start(&self, request: &StartRequest) -> Result<StartedSnapshot, CloudError> {
        const CALL: &str = "StartSnapshot";
        let fault = self.call(CALL)?;
        assert!(request.client_token.len() <= 255 && request.client_token.is_ascii());
        assert!((10..=4320).contains(&request.idle_minutes));
        let known = self
            .store()
            .blocks
            .tokens
            .get(&request.client_token)
            .cloned();
        self.store().blocks.starts.push(request.clone());
        let id = match known {
            Some((earlier, _)) if steady(&earlier) != steady(request) => {
                return Err(error(CALL, ErrorKind::InvalidInput));
            }
            Some((_, id)) => SnapshotId::new(id),
            None => self.started(request)?,
        };
        let block_bytes = self.store().blocks.block_bytes.unwrap_or(BLOCK_BYTES);
        let kms_key_id = match &request.encryption {
            SnapshotEncryption::AsAccount => None,
            SnapshotEncryption::With(key) => Some(key.clone().unwrap_or("aws/ebs".into())),
        };
        let started = StartedSnapshot {
            snapshot_id: id,
            block_bytes,
            kms_key_id,
        };
        lost(started, fault)
    }

    async fn put(&self, snapshot: &SnapshotId, block: &BlockWrite) -> Result<(), CloudError> {
        const CALL: &str = "PutSnapshotBlock";
        let fault = self.call(CALL)?;
        let (takes, clock, scripted) = {
            let mut store = self.store();
            store.blocks.asked += 1;
            if store.blocks.unknown_for > 0 {
                store.blocks.unknown_for -= 1;
                return Err(error(CALL, ErrorKind::NotFound));
            }
            if store
                .blocks
                .at_once
                .is_some_and(|most| store.blocks.under_way >= most)
            {
                return Err(error(CALL, ErrorKind::Throttled));
            }
            let faults = store.blocks.put_faults.get_mut(&block.index);
            let scripted = faults.and_then(VecDeque::pop_front);
            store.blocks.under_way += 1;
            (store.blocks.takes, store.clock.clone(), scripted)
        };
        let under_way = UnderWay(self);
        if let (Some(takes), Some(clock)) = (takes, clock) {
            clock.sleep(takes).await;
        }
        drop(under_way);
        if let Some(Fault::Refused(kind)) = scripted {
            return Err(error(CALL, kind));
        }
        assert_eq!(block.content.len(), BLOCK_BYTES, "a block is sent whole");
        if digest(&block.content) != block.digest {
            return Err(error(CALL, ErrorKind::InvalidInput));
        }
        let mut store = self.store();
        let Some(kept) = store.snapshots.get(snapshot.as_str()) else {
            return Err(error(CALL, ErrorKind::NotFound));
        };
        let beyond =
            u64::from(block.index) * BLOCK_BYTES as u64 >= u64::from(kept.volume_gib) << 30;
        if !store.blocks.open.contains(snapshot.as_str()) || beyond {
            return Err(error(CALL, ErrorKind::InvalidInput));
        }
        let id = snapshot.to_string();
        store.blocks.puts.push((id.clone(), block.index));
        let blocks = store.blocks.content.entry(id.clone()).or_default();
        blocks.insert(block.index, block.content.clone());
        let written = store.blocks.written.entry(id).or_default();
        written.insert(block.index);
        drop(store);
        let scripted = scripted.map(|_| error(CALL, ErrorKind::Transient));
        lost((), fault.or(scripted))
    }

    async fn complete(&self, snapshot: &SnapshotId, written: Written) -> Result<(), CloudError> {
        const CALL: &str = "CompleteSnapshot";
        let fault = self.call(CALL)?;
        let mut store = self.store();
        let id = snapshot.as_str();
        if !store.snapshots.contains_key(id) {
            return Err(error(CALL, ErrorKind::NotFound));
        }
        if !store.blocks.open.contains(id) {
            return Err(error(CALL, ErrorKind::WrongState));
        }
        let there = store.blocks.written.get(id).cloned().unwrap_or_default();
        let mut linear = Sha256::new();
        for index in &there {
            linear.update(digest(&store.blocks.content[id][index]).0);
        }
        let found = Written {
            blocks: u32::try_from(there.len()).unwrap(),
            digest: Sha256Digest(linear.finalize().into()),
        };
        if found != written {
            return Err(CloudError {
                message: format!("{written:?} was said, and there are {found:?}"),
                ..error(CALL, ErrorKind::InvalidInput)
            });
        }
        store.blocks.open.remove(id);
        drop(store);
        lost((), fault)
    }

    async fn list(
        &self,
        snapshot: &SnapshotId,
        from: Option<&str>,
    ) -> Result<BlockPage, CloudError> {
        const CALL: &str = "ListSnapshotBlocks";
        self.call(CALL)?;
        let store = self.store();
        let Some(kept) = store.snapshots.get(snapshot.as_str()) else {
            return Err(error(CALL, ErrorKind::NotFound));
        };
        if kept.state != SnapshotState::Completed {
            return Err(error(CALL, ErrorKind::WrongState));
        }
        let from: u32 = from.map_or(0, |from| from.parse().unwrap());
        let empty = BTreeMap::new();
        let all = store
            .blocks
            .content
            .get(snapshot.as_str())
            .unwrap_or(&empty);
        let page: Vec<u32> = all
            .range(from..)
            .map(|(index, _)| *index)
            .take(PAGE)
            .collect();
        let next = page
            .last()
            .filter(|last| all.range(*last + 1..).next().is_some())
            .map(|last| (last + 1).to_string());
        Ok(BlockPage {
            blocks: page
                .into_iter()
                .map(|index| ListedBlock {
                    index,
                    token: format!("{snapshot}/{index}"),
                })
                .collect(),
            volume_gib: kept.volume_gib,
            block_bytes: BLOCK_BYTES,
            next,
        })
    }

    async fn get(
        &self,
        snapshot: &SnapshotId,
        block: &ListedBlock,
    ) -> Result<BlockContent, CloudError> {
        const CALL: &str = "GetSnapshotBlock";
        self.call(CALL)?;
        assert_eq!(block.token, format!("{snapshot}/{}", block.index));
        let mut store = self.store();
        let read = (snapshot.to_string(), block.index);
        store.blocks.gets.push(read);
        let blocks = store.blocks.content.get(snapshot.as_str());
        let content = blocks
            .and_then(|blocks| blocks.get(&block.index))
            .cloned()
            .ok_or_else(|| error(CALL, ErrorKind::NotFound))?;
        let digest = digest(&content);
        let content = if store.blocks.corrupt_reads > 0 {
            store.blocks.corrupt_reads -= 1;
            Bytes::from(vec![0xee; BLOCK_BYTES])
        } else {
            content
        };
        Ok(BlockContent { content, digest })
    }
}

struct UnderWay<'a>(&'a FakeAccount);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.store().blocks.under_way -= 1;
    }
}

impl FakeAccount {
    fn started(&self, request: &StartRequest) -> Result<SnapshotId, CloudError> {
        const CALL: &str = "StartSnapshot";
        let mut inherited = BTreeMap::new();
        if let Some(parent) = &request.parent {
            let store = self.store();
            let Some(kept) = store.snapshots.get(parent.as_str()) else {
                return Err(error(CALL, ErrorKind::NotFound));
            };
            let encrypted = request.encryption != SnapshotEncryption::AsAccount;
            if kept.state != SnapshotState::Completed
                || kept.volume_gib > request.volume_gib
                || encrypted
            {
                return Err(error(CALL, ErrorKind::InvalidInput));
            }
            inherited = store
                .blocks
                .content
                .get(parent.as_str())
                .cloned()
                .unwrap_or_default();
        }
        let id = self.begin_snapshot(&request.tags, &request.description);
        let mut store = self.store();
        let kept = store.snapshots.get_mut(id.as_str()).expect("just made");
        kept.volume_gib = request.volume_gib;
        kept.progress_percent = 0;
        store.blocks.open.insert(id.to_string());
        store.blocks.content.insert(id.to_string(), inherited);
        let token = request.client_token.clone();
        let made = (request.clone(), id.to_string());
        store.blocks.tokens.insert(token, made);
        Ok(id)
    }

    /// A snapshot that is there, with these blocks.
    pub fn with_snapshot(&self, id: &str, volume_gib: u32, blocks: BTreeMap<u32, Bytes>) {
        let mut store = self.store();
        let snapshot = Snapshot {
            volume_gib,
            kms_key_id: None,
            snapshot_id: id.into(),
            state: SnapshotState::Completed,
            progress_percent: 100,
            description: String::new(),
            started: store.now(),
            tags: Tags::new(),
        };
        store.snapshots.insert(id.to_owned(), snapshot);
        store.blocks.content.insert(id.to_owned(), blocks);
    }

    pub(super) fn own_blocks(&self) -> Arc<dyn SnapshotBlocks> {
        Arc::new(self.clone())
    }
}
