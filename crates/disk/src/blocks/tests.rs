use std::sync::atomic::AtomicUsize;

use super::*;

/// A disk of which only some blocks hold data, and which counts its reads.
struct Dotted {
    size: u64,
    data: Vec<u32>,
    /// Blocks that hold zeros, of which the tables do not say so.
    hidden_zeros: Vec<u32>,
    reads: AtomicUsize,
    fails_at: Option<u32>,
}

impl Dotted {
    fn new(size: u64, data: &[u32]) -> Self {
        Self {
            size,
            data: data.to_vec(),
            hidden_zeros: Vec::new(),
            reads: AtomicUsize::new(0),
            fails_at: None,
        }
    }
}

fn byte(index: u64) -> u8 {
    u8::try_from(index % 250).expect("less than 250") + 1
}

impl Disk for Dotted {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<(), ReadError> {
        assert!(offset + buffer.len() as u64 <= self.size);
        self.reads.fetch_add(1, Ordering::SeqCst);
        for (place, out) in buffer.iter_mut().enumerate() {
            let index = (offset + place as u64) / BLOCK as u64;
            let data = self.data.iter().any(|&data| u64::from(data) == index);
            *out = if data { byte(index) } else { 0 };
        }
        Ok(())
    }

    fn extent_at(&self, offset: u64) -> Result<Extent, ReadError> {
        let index = u32::try_from(offset / BLOCK as u64).expect("small");
        if self.fails_at == Some(index) {
            return Err(ReadError::ThreadLost);
        }
        assert!(self.fails_at != Some(u32::MAX), "a reader that panics");
        let content = if self.data.contains(&index) || self.hidden_zeros.contains(&index) {
            Content::Data
        } else {
            Content::Zero
        };
        let end = BlockIndex(index + 1).offset().min(self.size);
        Ok(Extent {
            length: end - offset,
            content,
        })
    }
}

fn reading(threads: usize, queue: usize) -> Reading {
    Reading {
        threads: NonZeroUsize::new(threads).expect("not 0"),
        queue: NonZeroUsize::new(queue).expect("not 0"),
    }
}

fn gather(mut blocks: Blocks) -> Vec<Block> {
    let mut all = Vec::new();
    while let Some(block) = blocks.blocking_recv() {
        all.push(block.expect("the disk is fine"));
    }
    all.sort_by_key(|block| block.index);
    all
}

#[test]
fn every_block_comes_once_and_zeros_are_not_read() {
    let size = 40 * BLOCK as u64 + 7;
    let mut disk = Dotted::new(size, &[0, 3, 4, 39, 40]);
    disk.hidden_zeros = vec![5];
    let disk = Arc::new(disk);
    let shared: Arc<dyn Disk> = disk.clone();
    let blocks = gather(read(shared, all(size).expect("small"), reading(3, 2)));
    let indexes: Vec<u32> = blocks.iter().map(|block| block.index.0).collect();
    assert_eq!(indexes, (0..=40).collect::<Vec<_>>());
    assert_eq!(disk.reads.load(Ordering::SeqCst), 6);
    for block in blocks {
        match &block.content {
            BlockContent::Data(bytes) => {
                assert!(disk.data.contains(&block.index.0), "{}", block.index);
                assert_eq!(bytes.len(), BLOCK);
                let filled = if block.index.0 == 40 { 7 } else { BLOCK };
                assert!(
                    bytes[..filled]
                        .iter()
                        .all(|&found| found == byte(u64::from(block.index.0)))
                );
                assert!(is_zero(&bytes[filled..]), "padded with zeros");
                assert_eq!(block.digest, BlockDigest::of(bytes));
            }
            BlockContent::Zero => {
                assert!(!disk.data.contains(&block.index.0), "{}", block.index);
                assert_eq!(block.digest, BlockDigest::of_zeros());
            }
        }
    }
}

#[test]
fn only_wanted_blocks_are_read() {
    let disk = Arc::new(Dotted::new(
        100 * BLOCK as u64,
        &(0..100).collect::<Vec<_>>(),
    ));
    let shared: Arc<dyn Disk> = disk.clone();
    let blocks = gather(read(
        shared,
        [2, 50, 99].into_iter().map(BlockIndex),
        reading(2, 1),
    ));
    let indexes: Vec<u32> = blocks.iter().map(|block| block.index.0).collect();
    assert_eq!(indexes, [2, 50, 99]);
    assert_eq!(disk.reads.load(Ordering::SeqCst), 3);
}

#[test]
fn an_error_is_handed_out_and_ends_the_reading() {
    let mut disk = Dotted::new(1000 * BLOCK as u64, &[]);
    disk.fails_at = Some(10);
    let mut blocks = read(
        Arc::new(disk),
        all(1000 * BLOCK as u64).expect("small"),
        reading(2, 4),
    );
    let mut errors = 0;
    let mut seen = 0;
    while let Some(block) = blocks.blocking_recv() {
        match block {
            Ok(_) => seen += 1,
            Err(_) => errors += 1,
        }
    }
    assert_eq!(errors, 1);
    assert!(seen < 999, "{seen} blocks were read after all");
}

#[test]
fn a_panic_of_a_reader_is_not_taken_for_the_end() {
    let mut disk = Dotted::new(BLOCK as u64, &[]);
    disk.fails_at = Some(u32::MAX);
    let mut blocks = read(
        Arc::new(disk),
        all(BLOCK as u64).expect("small"),
        reading(1, 1),
    );
    assert!(matches!(
        blocks.blocking_recv(),
        Some(Err(ReadError::ThreadLost))
    ));
    assert!(blocks.blocking_recv().is_none());
}

#[test]
fn dropping_the_receiver_ends_the_threads() {
    let size = 1_000_000 * BLOCK as u64;
    let disk: Arc<dyn Disk> = Arc::new(Dotted::new(size, &[]));
    let mut blocks = read(Arc::clone(&disk), all(size).expect("small"), reading(3, 1));
    assert!(blocks.blocking_recv().is_some());
    let threads = std::mem::take(&mut blocks.threads);
    drop(blocks);
    for thread in threads {
        thread.join().expect("ended");
    }
    assert_eq!(Arc::strong_count(&disk), 1);
}

#[test]
fn buffers_are_used_again() {
    let size = 200 * BLOCK as u64;
    let disk = Arc::new(Dotted::new(size, &(0..200).collect::<Vec<_>>()));
    let mut blocks = read(disk, all(size).expect("small"), reading(1, 1));
    let mut places = std::collections::BTreeSet::new();
    while let Some(block) = blocks.blocking_recv() {
        if let BlockContent::Data(bytes) = block.expect("fine").content {
            places.insert(bytes.as_ptr() as usize);
        }
    }
    assert!(
        places.len() <= 4,
        "{} buffers for one thread and a queue of one",
        places.len()
    );
}

#[test]
fn a_buffer_that_was_used_leaves_nothing_behind_the_disks_end() {
    let size = BLOCK as u64 + 7;
    let pool = Arc::new(Pool {
        free: Mutex::new(Vec::new()),
        keep: 1,
    });
    let mut reader = Reader {
        disk: Arc::new(Dotted::new(size, &[0, 1])),
        pool: Arc::clone(&pool),
        extent: 0..0,
        content: Content::Data,
    };
    drop(reader.block(BlockIndex(0)).expect("readable"));
    assert_eq!(lock(&pool.free).len(), 1, "the buffer came back");
    let block = reader.block(BlockIndex(1)).expect("readable");
    assert!(lock(&pool.free).is_empty(), "and is used again");
    let BlockContent::Data(bytes) = block.content else {
        panic!("there is data in it");
    };
    assert!(is_zero(&bytes[7..]));
}

#[test]
fn a_unit_goes_to_one_thread() {
    let queue = Mutex::new([1, 2, 3, 4, 7, 9].into_iter().map(BlockIndex).peekable());
    let mut taken = Vec::new();
    let mut units = Vec::new();
    loop {
        take(&queue, 4 * BLOCK as u64, &mut taken);
        if taken.is_empty() {
            break;
        }
        units.push(taken.iter().map(|index| index.0).collect::<Vec<_>>());
    }
    assert_eq!(units, [vec![1, 2, 3], vec![4, 7], vec![9]]);
}

#[test]
fn blocks_are_counted() {
    assert_eq!(block_count(0), Ok(0));
    assert_eq!(block_count(1), Ok(1));
    assert_eq!(block_count(BLOCK as u64), Ok(1));
    assert_eq!(block_count(BLOCK as u64 + 1), Ok(2));
    assert_eq!(block_count(LARGEST_VOLUME), Ok(1 << 27));
    assert!(block_count(LARGEST_VOLUME + 1).is_err());
    assert!(block_count(u64::MAX).is_err());
}

#[test]
fn zeros_are_told_wherever_the_other_byte_is() {
    let mut bytes = vec![0; 3 * CHUNK + 5];
    assert!(is_zero(&bytes));
    assert!(is_zero(&[]));
    for place in [0, CHUNK - 1, CHUNK, 3 * CHUNK, 3 * CHUNK + 4] {
        bytes[place] = 0x80;
        assert!(!is_zero(&bytes), "{place}");
        bytes[place] = 0;
    }
}

#[test]
fn the_digest_of_the_content_is_that_of_its_blocks_in_order_zeros_included() {
    let size = 9 * BLOCK as u64 + 17;
    let disk: Arc<dyn Disk> = Arc::new(Dotted::new(size, &[0, 3, 8, 9]));
    let mut linear = LinearDigest::new();
    for index in 0..10_u32 {
        let mut block = vec![0; BLOCK];
        let length = (size - u64::from(index) * BLOCK as u64).min(BLOCK as u64);
        let part = &mut block[..usize::try_from(length).unwrap()];
        disk.read_at(part, u64::from(index) * BLOCK as u64).unwrap();
        linear.push(&BlockDigest::of(&block));
    }
    let reading = Reading {
        threads: NonZeroUsize::new(3).unwrap(),
        queue: NonZeroUsize::new(2).unwrap(),
    };
    assert_eq!(content_digest(&disk, reading).unwrap(), linear.finish());
}
