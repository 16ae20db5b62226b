//! A disk's content on its way into a snapshot and out of one: whatever is in it, whatever the service answers and whenever
//! the process dies, the snapshot reads as the disk, and what was written down is not sent again.

mod fake;

use build::transfer::download::{DownloadError, list};
use build::transfer::{
    Acknowledged, Holes, Transferred, Upload, UploadError, Watch, download, upload,
};
use bytes::Bytes;
use cloud::*;
use disk::{Content, Disk, Extent, ReadError};
use fake::account::{FakeAccount, Fault};
use fake::time::EventClock;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A disk in memory.
struct InMemory(Vec<u8>);

impl Disk for InMemory {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<(), ReadError> {
        let from = usize::try_from(offset).unwrap();
        buffer.copy_from_slice(&self.0[from..from + buffer.len()]);
        Ok(())
    }

    fn extent_at(&self, offset: u64) -> Result<Extent, ReadError> {
        Ok(Extent {
            length: self.size() - offset,
            content: Content::Data,
        })
    }
}

/// Sees that what is done never becomes less, nor more than all.
#[derive(Default)]
struct Seen(Mutex<Transferred>);

impl Watch for Seen {
    fn moved(&self, now: Transferred) {
        let mut before = self.0.lock().unwrap();
        assert!(now.done <= now.total, "{now:?}");
        assert!(now.done >= before.done, "{before:?} {now:?}");
        *before = now;
    }
}

/// Block `seed` 0 is zeros; all others differ.
fn block(seed: u8) -> Vec<u8> {
    match seed {
        0 => vec![0; BLOCK_BYTES],
        _ => {
            let begin = usize::from(seed) * 17;
            let cycle = (begin..begin + 251).map(|at| u8::try_from(at % 251).unwrap());
            let mut bytes = cycle.collect::<Vec<u8>>().repeat(BLOCK_BYTES / 251 + 1);
            bytes.truncate(BLOCK_BYTES);
            bytes
        }
    }
}

struct World {
    account: FakeAccount,
    clock: EventClock,
    snapshot: SnapshotId,
    folder: tempfile::TempDir,
    parent: Option<Acknowledged>,
}

impl World {
    fn new(parent: Option<&[u8]>) -> Self {
        let account = FakeAccount::new();
        let clock = EventClock::new();
        account.store().clock = Some(Arc::new(clock.clone()));
        account.store().blocks.takes = Some(Duration::from_millis(20));
        let folder = tempfile::tempdir().unwrap();
        let mut known = None;
        if let Some(seeds) = parent {
            let blocks = seeds.iter().enumerate();
            let blocks: BTreeMap<u32, Bytes> = blocks
                .map(|(index, seed)| (u32::try_from(index).unwrap(), Bytes::from(block(*seed))))
                .collect();
            let path = folder.path().join("parent");
            let mut there = Acknowledged::open(&path, "parent", 2048).unwrap();
            for (index, content) in &blocks {
                let digest = disk::digest::BlockDigest::of(content);
                there.add(*index, digest).unwrap();
            }
            account.with_snapshot("snap-parent", 1, blocks);
            known = Some(there);
        }
        let request = StartRequest {
            client_token: "t".to_owned(),
            volume_gib: 1,
            description: String::new(),
            parent: parent.map(|_| "snap-parent".into()),
            encryption: SnapshotEncryption::AsAccount,
            idle_minutes: 60,
            tags: Tags::new(),
        };
        let started = clock
            .run(SnapshotBlocks::start(&account, &request))
            .unwrap();
        Self {
            account,
            clock,
            snapshot: started.snapshot_id,
            folder,
            parent: known,
        }
    }

    fn acknowledged(&self) -> Acknowledged {
        let path = self.folder.path().join("acknowledged");
        Acknowledged::open(&path, "content", 2048).unwrap()
    }

    /// One process: it goes on to its end, or to the moment at which so many puts were taken.
    fn process(
        &self,
        disk: &Arc<dyn Disk>,
        holes: Holes,
        dies_after: usize,
    ) -> Option<Result<(), UploadError>> {
        let what = Upload {
            blocks: Arc::new(self.account.clone()),
            clock: Arc::new(self.clock.clone()),
            snapshot: self.snapshot.clone(),
            started: Some(self.clock.now()),
            disk: disk.clone(),
            holes,
            readers: NonZeroUsize::new(2).unwrap(),
        };
        let mut acknowledged = self.acknowledged();
        let seen = Seen::default();
        let work = upload(&what, &mut acknowledged, self.parent.as_ref(), &seen);
        let is_over = || self.account.store().blocks.puts.len() >= dies_after;
        let ended = self.clock.run_beside_threads(work, is_over);
        if let Some(Ok(())) = ended {
            let last = *seen.0.lock().unwrap();
            assert_eq!(last.done, last.total, "it was told that all is done");
        }
        ended
    }
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        3 => Just(Fault::LostReply),
        3 => Just(Fault::Refused(ErrorKind::Throttled)),
        2 => Just(Fault::Refused(ErrorKind::Transient)),
        1 => Just(Fault::Refused(ErrorKind::NotFound)),
        1 => Just(Fault::Refused(ErrorKind::Expired)),
    ]
}

/// Data and zeros, by the seed of each block, and how many bytes the last block lacks.
fn content() -> impl Strategy<Value = (Vec<u8>, usize)> {
    let seeds = proptest::collection::vec(prop_oneof![Just(0_u8), 1_u8..5], 1..30);
    (seeds, prop_oneof![Just(0), 0..BLOCK_BYTES])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn the_snapshot_reads_as_the_disk_and_what_was_written_down_is_not_sent_again(
        (seeds, lacking) in content(),
        faults in proptest::collection::vec((0_u32..30, fault()), 0..12),
        deaths in proptest::collection::vec(1_usize..40, 0..4),
        skip in any::<bool>(),
        parent in proptest::option::of(proptest::collection::vec(0_u8..5, 0..40)),
    ) {
        let mut bytes: Vec<u8> = seeds.iter().flat_map(|seed| block(*seed)).collect();
        bytes.truncate(bytes.len() - lacking);
        let holes = if skip { Holes::Skip } else { Holes::Send };
        let disk: Arc<dyn Disk> = Arc::new(InMemory(bytes.clone()));
        let world = World::new(parent.as_deref());
        for (index, fault) in faults {
            let mut store = world.account.store();
            let of_block = store.blocks.put_faults.entry(index).or_default();
            // No more than a block's patience: what it comes to then is another test.
            if of_block.len() < 2 {
                of_block.push_back(fault);
            }
        }
        let mut taken = 0;
        let mut lives = deaths.into_iter();
        loop {
            let dies_after = lives.next().map_or(usize::MAX, |more| taken + more);
            let before: BTreeSet<u32> = {
                let acknowledged = world.acknowledged();
                (0..64).filter(|index| acknowledged.has(*index)).collect()
            };
            let ended = world.process(&disk, holes, dies_after);
            let puts = world.account.store().blocks.puts.clone();
            for (_, index) in &puts[taken..] {
                prop_assert!(!before.contains(index), "{} is known, and was sent again", index);
            }
            taken = puts.len();
            match ended {
                None => {}
                Some(Ok(())) => break,
                Some(Err(error)) => {
                    // Two expired answers in a row for one block are one more than is sat out.
                    prop_assert!(matches!(&error, UploadError::Cloud(error) if error.kind == ErrorKind::Expired), "{error}");
                }
            }
        }
        let acknowledged = world.acknowledged();
        let written = Written {
            blocks: acknowledged.count(),
            digest: Sha256Digest(*acknowledged.linear().unwrap().as_bytes()),
        };
        // The fake compares count and digest with what it was sent.
        let completed = world.clock.run(SnapshotBlocks::complete(&world.account, &world.snapshot, written));
        prop_assert!(completed.is_ok(), "{completed:?}");
        let store = world.account.store();
        let volume = store.reads(world.snapshot.as_str(), 64 * BLOCK_BYTES);
        prop_assert!(volume[..bytes.len()] == bytes[..]);
        prop_assert!(volume[bytes.len()..].iter().all(|byte| *byte == 0), "nothing is behind the disk's end");
        let sent: BTreeSet<u32> = store.puts_of(world.snapshot.as_str()).into_keys().collect();
        let wanted: BTreeSet<u32> = (0_u32..64)
            .filter(|index| {
                let at = *index as usize;
                let mut now = vec![0; BLOCK_BYTES];
                if let Some(rest) = bytes.get(at * BLOCK_BYTES..) {
                    let length = rest.len().min(BLOCK_BYTES);
                    now[..length].copy_from_slice(&rest[..length]);
                }
                let is_of_disk = at < seeds.len();
                let is_zero = now.iter().all(|byte| *byte == 0);
                match parent.as_ref().and_then(|parent| parent.get(at)) {
                    Some(before) => block(*before) != now,
                    None => is_of_disk && !(skip && is_zero),
                }
            })
            .collect();
        prop_assert_eq!(sent, wanted);
    }

    #[test]
    fn what_is_read_is_what_was_written(
        seeds in proptest::collection::vec(prop_oneof![Just(None), (0_u8..5).prop_map(Some)], 1..20),
        corrupt in 0_u32..3,
    ) {
        let account = FakeAccount::new();
        let clock = EventClock::new();
        let blocks: BTreeMap<u32, Bytes> = seeds
            .iter()
            .enumerate()
            .filter_map(|(index, seed)| {
                Some((u32::try_from(index).unwrap(), Bytes::from(block((*seed)?))))
            })
            .collect();
        account.with_snapshot("snap-1", 1, blocks.clone());
        account.store().blocks.corrupt_reads = corrupt;
        let service: Arc<dyn SnapshotBlocks> = Arc::new(account);
        let time: Arc<dyn Clock> = Arc::new(clock.clone());
        let mut read = BTreeMap::new();
        let work = async {
            let snapshot = SnapshotId::from("snap-1");
            let listed = list::<Infallible>(service.as_ref(), &snapshot).await?;
            assert_eq!(listed.volume_bytes, 1 << 30);
            let seen = Seen::default();
            download(&service, &time, &snapshot, listed.blocks, &seen, async |index, _, content| {
                assert!(read.insert(index, content).is_none(), "each is handed over once");
                Ok::<(), Infallible>(())
            })
            .await
        };
        let ended: Result<(), DownloadError<Infallible>> =
            clock.run_beside_threads(work, || false).unwrap();
        prop_assert!(ended.is_ok(), "{ended:?}");
        prop_assert_eq!(read, blocks);
    }
}

#[test]
fn a_block_that_stays_wrong_is_told_and_not_handed_over() {
    let account = FakeAccount::new();
    let clock = EventClock::new();
    account.with_snapshot("snap-1", 1, [(7, Bytes::from(block(1)))].into());
    account.store().blocks.corrupt_reads = u32::MAX;
    let service: Arc<dyn SnapshotBlocks> = Arc::new(account);
    let time: Arc<dyn Clock> = Arc::new(clock.clone());
    let work = async {
        let snapshot = SnapshotId::from("snap-1");
        let listed = list::<Infallible>(service.as_ref(), &snapshot).await?;
        let seen = Seen::default();
        let take = async |index: u32, _, _| -> Result<(), Infallible> {
            panic!("block {index} is handed over")
        };
        download(&service, &time, &snapshot, listed.blocks, &seen, take).await
    };
    let ended: Result<(), DownloadError<Infallible>> =
        clock.run_beside_threads(work, || false).unwrap();
    let told = ended.unwrap_err().to_string();
    assert!(told.contains("block 7 of snap-1"), "{told}");
}
