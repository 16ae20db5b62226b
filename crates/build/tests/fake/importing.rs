//! Whole runs that import a disk image, with the moments at which they are killed or stopped.

use super::disks::FakeDisks;
use super::pipelines::{KillAfter, Site, load};
use build::cancel::{Cancelled, cancellation};
use build::journal::{JournalReader, JournalWatch, RunDirectory};
use build::names::RunId;
use build::report::{ExitCode, Report};
use cloud::{BLOCK_BYTES, Image};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;

pub const MIB: usize = 1 << 20;

/// What a block of a disk holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    Zeros,
    Data(u8),
}

/// The bytes of a disk of these blocks.
pub fn disk(blocks: &[Of]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (index, block) in blocks.iter().enumerate() {
        match block {
            Of::Zeros => bytes.resize(bytes.len() + BLOCK_BYTES, 0),
            Of::Data(seed) => {
                let begin = index * 7 + usize::from(*seed);
                let cycle = (0..251).map(|at| u8::try_from((at * 31 + begin) % 251).unwrap() | 1);
                let end = bytes.len() + BLOCK_BYTES;
                bytes.extend(cycle.collect::<Vec<u8>>().repeat(BLOCK_BYTES / 251 + 1));
                bytes.truncate(end);
            }
        }
    }
    bytes
}

/// A QCOW2 of a disk of `blocks` blocks of zeros. <https://www.qemu.org/docs/master/interop/qcow2.html>
pub fn empty_qcow2(blocks: u64) -> Vec<u8> {
    const CLUSTER: usize = 1 << 16;
    let mut bytes = vec![0; 4 * CLUSTER];
    bytes[..8].copy_from_slice(b"QFI\xfb\0\0\0\x02");
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(20, &16_u32.to_be_bytes());
    put(24, &(blocks * BLOCK_BYTES as u64).to_be_bytes());
    // The first level is in the second cluster, with an empty entry for each 512 MiB; references are counted in the third and
    // fourth.
    let entries = u32::try_from(blocks.div_ceil(1024)).unwrap();
    put(36, &entries.to_be_bytes());
    put(40, &(CLUSTER as u64).to_be_bytes());
    put(48, &(2 * CLUSTER as u64).to_be_bytes());
    put(56, &1_u32.to_be_bytes());
    put(2 * CLUSTER, &(3 * CLUSTER as u64).to_be_bytes());
    for cluster in 0..4 {
        put(3 * CLUSTER + 2 * cluster, &1_u16.to_be_bytes());
    }
    bytes
}

/// A site with a disk image.
pub struct Importing {
    pub site: Site,
    folder: tempfile::TempDir,
    pub bytes: Vec<u8>,
}

impl Importing {
    pub fn of(bytes: Vec<u8>) -> Self {
        let site = Site::new();
        let store = || site.account.store();
        store()
            .buckets
            .regions
            .insert("images".into(), "us-east-2".into());
        let mut this = Self {
            folder: tempfile::tempdir().unwrap(),
            bytes: Vec::new(),
            site,
        };
        this.write(bytes);
        this
    }

    /// The disk image becomes another one.
    pub fn write(&mut self, bytes: Vec<u8>) {
        let path = self.path();
        std::fs::write(&path, &bytes).unwrap();
        *self.disks().file.lock().unwrap() = Some(path);
        self.bytes = bytes;
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("disk.raw")
    }

    pub fn disks(&self) -> &FakeDisks {
        &self.site.disks
    }

    /// A pipeline that imports it so, and makes an image with these members besides its name.
    pub fn pipeline(&self, import: &str, image: &str) -> String {
        self.named("image-${{ run.id }}", import, image, "")
    }

    /// The same with an instance that is provisioned.
    pub fn launching(&self, import: &str) -> String {
        let more = "    launch: { instance_type: m5.large }\n    connect: { user: ec2-user }\n    \
                    provision: [{ run: { inline: 'true' } }]\n";
        self.named("image-${{ run.id }}", import, "", more)
    }

    pub fn named(&self, name: &str, import: &str, image: &str, more: &str) -> String {
        format!(
            "name: p\naws: {{ region: us-east-2 }}\nstages:\n  base:\n    source: {{ import: {{ file: {}, format: raw, \
             arch: x86_64{import} }} }}\n{more}    image: {{ name: '{name}'{image} }}\n",
            self.path().display(),
        )
    }

    /// Runs a pipeline as run `number`, to its end.
    pub fn run(&self, number: u64, text: &str) -> Report {
        self.run_until(number, text, || false).expect("to its end")
    }

    /// The same, dropped where it stands once `is_over`.
    pub fn run_until(&self, number: u64, text: &str, is_over: impl Fn() -> bool) -> Option<Report> {
        let (_canceller, cancellation) = cancellation();
        let work = build::run::run(
            load(text),
            RunId::from_random(number),
            self.site.options(),
            self.site.ports_watched(None),
            cancellation,
        );
        self.site.clock.run_beside_threads(work, is_over)
    }

    /// The same, stopped by a person once `is_time`.
    pub fn stopped_when(&self, number: u64, text: &str, is_time: impl Fn() -> bool) -> Report {
        let (canceller, cancellation) = cancellation();
        let work = build::run::run(
            load(text),
            RunId::from_random(number),
            self.site.options(),
            self.site.ports_watched(None),
            cancellation,
        );
        let watch = || {
            if is_time() {
                canceller.cancel(Cancelled::Interrupted);
            }
            false
        };
        let report = self.site.clock.run_beside_threads(work, watch);
        report.expect("to its end")
    }

    /// The same in a process that is killed once record `record` of its journal is written. None if it ended before.
    pub fn killed_after(&self, number: u64, record: u64, text: &str) -> Option<()> {
        let watch: Arc<dyn JournalWatch> = Arc::new(KillAfter(record));
        let (_canceller, cancellation) = cancellation();
        let work = build::run::run(
            load(text),
            RunId::from_random(number),
            self.site.options(),
            self.site.ports_watched(Some(watch)),
            cancellation,
        );
        let run = || self.site.clock.run_beside_threads(work, || false);
        catch_unwind(AssertUnwindSafe(run)).err()?;
        let directory = RunDirectory::of(self.site.state.path(), &RunId::from_random(number));
        let state = JournalReader::read(&directory).unwrap();
        state.closed().is_none().then_some(())
    }

    /// Takes a run up again whose process was killed.
    pub fn resume(&self, number: u64, text: &str) -> Report {
        let (_canceller, cancellation) = cancellation();
        let work = build::run::resume(
            load(text),
            RunId::from_random(number),
            self.site.options(),
            self.site.ports_watched(None),
            cancellation,
        );
        let report = self.site.clock.run_beside_threads(work, || false);
        report.expect("to its end")
    }

    /// The same of a run that was killed after `record` records: nothing may fail.
    pub fn resume_to_the_end(&self, number: u64, record: u64, text: &str) -> Report {
        let report = self.resume(number, text);
        assert!(
            report.failures.is_empty(),
            "after record {record}: {:?} {}",
            report.failures,
            self.journal(number)
        );
        report
    }

    /// The text of a run's journal, for messages.
    pub fn journal(&self, number: u64) -> String {
        let directory = RunDirectory::of(self.site.state.path(), &RunId::from_random(number));
        std::fs::read_to_string(directory.path().join("journal.jsonl")).unwrap()
    }

    /// The only image that a run made.
    pub fn image(&self, report: &Report) -> Image {
        let [image] = report.images.as_slice() else {
            panic!("{:?} {:?}", report.images, report.failures);
        };
        self.site.account.store().images[&image.image_id].clone()
    }

    /// What is there but the source image that every site has.
    pub fn holdings(&self) -> Vec<String> {
        let mut holdings = self.site.account.holdings();
        holdings.retain(|id| id != "ami-1source");
        holdings
    }

    /// The image that a run made reads as the disk does, and nothing else is there.
    pub fn is_all_there_is(&self, report: &Report) -> String {
        assert!(report.failures.is_empty(), "{:?}", report.failures);
        assert!(report.left_behind.is_empty(), "{:?}", report.left_behind);
        let image = self.image(report);
        let [snapshot] = image.snapshots.as_slice() else {
            panic!("{image:?}");
        };
        self.reads_as_the_disk(snapshot.as_str());
        let expected = [image.image_id.to_string(), snapshot.to_string()];
        assert_eq!(self.holdings(), expected);
        snapshot.to_string()
    }

    pub fn reads_as_the_disk(&self, snapshot: &str) {
        let reads = self.site.account.store().reads(snapshot, self.bytes.len());
        let differs = reads.iter().zip(&self.bytes).position(|(a, b)| a != b);
        assert_eq!(differs, None, "where {snapshot} and the disk differ");
    }

    pub fn count(&self, call: &str) -> usize {
        let store = self.site.account.store();
        store.calls.iter().filter(|made| **made == call).count()
    }
}

/// Why the only cell that failed did, after which nothing was left behind.
pub fn only_failure(report: &Report) -> String {
    let [failure] = report.failures.as_slice() else {
        panic!("{:?}", report.failures);
    };
    assert!(report.left_behind.is_empty(), "{:?}", report.left_behind);
    assert_eq!(report.exit, ExitCode::Failed, "{}", failure.error);
    format!("{}: {}", failure.step, failure.error)
}
