//! The tables of a QCOW2 image whose clusters are blocks: version 3, without compression and without snapshots.
//!
//! ```text
//!   header │ blocks … │ L2 tables │ L1 table │ table of reference counts │ reference counts
//! ```
//!
//! The header comes last: until it is there, nothing takes the file for an image.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::blocks::BLOCK;

use super::SinkError;
use super::records::{Kind, Reading, Record};

const CLUSTER_BITS: u32 = 19;
const CLUSTER: u64 = 1 << CLUSTER_BITS;
const _: () = assert!(CLUSTER == BLOCK as u64, "a cluster is a block");

/// Entries of 8 bytes.
const PER_L2: u32 = 1 << (CLUSTER_BITS - 3);

/// Reference counts of 16 bits.
const COUNTS_PER_CLUSTER: u64 = CLUSTER / 2;

/// The only reference to a cluster.
const COPIED: u64 = 1 << 63;

pub(super) enum Failed {
    Records(SinkError),
    Io(io::Error),
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Writes everything but the blocks, which are in the clusters from 1 to before `next`.
pub(super) fn finish(
    file: &File,
    size: u64,
    next: u32,
    records: Reading,
    wanted: impl Fn(&Record) -> bool,
) -> Result<(), Failed> {
    // A block that was written twice, because its first attempt did not last, leaves a cluster that nothing refers to.
    let mut used = Bits::new(next);
    let mut next = u64::from(next);
    // What an interrupted attempt has written behind the last block that counts.
    file.set_len(next * CLUSTER)?;
    let regions = size.div_ceil(CLUSTER * u64::from(PER_L2));
    let mut l1 = vec![0_u64; usize::try_from(regions).unwrap_or(0)];
    for record in records {
        let record = record.map_err(Failed::Records)?;
        if !wanted(&record) {
            continue;
        }
        let (region, within) = (record.index.0 / PER_L2, record.index.0 % PER_L2);
        let Some(table) = usize::try_from(region)
            .ok()
            .and_then(|region| l1.get_mut(region))
        else {
            continue;
        };
        let entry = match record.kind {
            Kind::Data => (u64::from(record.place) * CLUSTER) | COPIED,
            Kind::Zeros if *table == 0 => continue,
            Kind::Zeros => 0,
        };
        if *table == 0 {
            *table = next * CLUSTER;
            next += 1;
            file.set_len(next * CLUSTER)?;
        }
        let at = *table + u64::from(within) * 8;
        let mut before = [0; 8];
        file.read_exact_at(&mut before, at)?;
        used.clear((u64::from_be_bytes(before) & !COPIED) / CLUSTER);
        used.set(u64::from(record.place));
        file.write_all_at(&entry.to_be_bytes(), at)?;
    }
    // The header is at the place that records of zeros have.
    used.set(0);
    let l1_offset = next * CLUSTER;
    let l1_bytes: Vec<u8> = l1
        .iter()
        .flat_map(|&table| (table | if table == 0 { 0 } else { COPIED }).to_be_bytes())
        .collect();
    // 64 TiB need 2048 entries: one cluster is always enough.
    file.write_all_at(&l1_bytes, l1_offset)?;
    let counts_table = next + 1;
    let counts = write_counts(file, counts_table, &used)?;
    file.sync_data()?;
    file.write_all_at(
        &header(size, l1.len(), l1_offset, counts_table * CLUSTER, counts),
        0,
    )?;
    Ok(())
}

/// Writes the reference counts, 1 or 0, of all clusters up to their own; gives the number of clusters of their table.
fn write_counts(file: &File, table: u64, used: &Bits) -> Result<u64, Failed> {
    // The counts are counted, too.
    let mut clusters = 1;
    while (table + 1 + clusters).div_ceil(COUNTS_PER_CLUSTER) > clusters {
        clusters += 1;
    }
    let total = table + 1 + clusters;
    file.set_len(total * CLUSTER)?;
    for number in 0..clusters {
        let offset = (table + 1 + number) * CLUSTER;
        file.write_all_at(&offset.to_be_bytes(), table * CLUSTER + number * 8)?;
        let first = number * COUNTS_PER_CLUSTER;
        let counts: Vec<u8> = (first..total.min(first + COUNTS_PER_CLUSTER))
            .flat_map(|cluster| u16::from(used.has(cluster)).to_be_bytes())
            .collect();
        file.write_all_at(&counts, offset)?;
    }
    Ok(1)
}

fn header(size: u64, l1_entries: usize, l1: u64, counts: u64, counts_clusters: u64) -> Vec<u8> {
    let short = |number: u64| u32::try_from(number).unwrap_or(0).to_be_bytes();
    let mut header = Vec::with_capacity(112);
    header.extend(b"QFI\xfb");
    header.extend(short(3));
    // No backing file.
    header.extend([0; 12]);
    header.extend(CLUSTER_BITS.to_be_bytes());
    header.extend(size.to_be_bytes());
    // Not encrypted.
    header.extend([0; 4]);
    header.extend(short(l1_entries as u64));
    header.extend(l1.to_be_bytes());
    header.extend(counts.to_be_bytes());
    header.extend(short(counts_clusters));
    // No snapshots, no features.
    header.extend([0; 12 + 24]);
    // Reference counts of 2^4 bits; the header's length; zlib; padding; the end of the extensions.
    header.extend(short(4));
    header.extend(short(112));
    header.extend([0; 8]);
    header.extend([0; 8]);
    header
}

/// Which of the clusters before the tables are used; all behind them are.
struct Bits {
    bits: Vec<u64>,
    count: u64,
}

impl Bits {
    fn new(count: u32) -> Self {
        Self {
            bits: vec![0; usize::try_from(count.div_ceil(64)).unwrap_or(0)],
            count: u64::from(count),
        }
    }

    fn word(&mut self, cluster: u64) -> Option<&mut u64> {
        let word = usize::try_from(cluster / 64).ok()?;
        self.bits.get_mut(word)
    }

    fn set(&mut self, cluster: u64) {
        if let Some(word) = self.word(cluster) {
            *word |= 1 << (cluster % 64);
        }
    }

    fn clear(&mut self, cluster: u64) {
        if let Some(word) = self.word(cluster) {
            *word &= !(1 << (cluster % 64));
        }
    }

    fn has(&self, cluster: u64) -> bool {
        let word = usize::try_from(cluster / 64).ok();
        cluster >= self.count
            || word
                .and_then(|word| self.bits.get(word))
                .is_some_and(|word| word >> (cluster % 64) & 1 != 0)
    }
}
