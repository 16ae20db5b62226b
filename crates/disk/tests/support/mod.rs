//! Images that QEMU makes, and comparison with what it makes of them.
#![allow(
    dead_code,
    clippy::disallowed_methods,
    reason = "each test uses its part; QEMU is what the readers are compared with"
)]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use disk::blocks::{self, BLOCK, BlockContent, Reading};
use disk::digest::BlockDigest;
use disk::{BackingFile, Content, Disk, Format, OpenOptions, OpenedDisk};

/// Runs a program and gives its output; it must succeed.
pub fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn qemu_img(arguments: &[&str]) -> String {
    run("qemu-img", arguments)
}

pub fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// The same numbers for the same seed.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(2).wrapping_add(1))
    }

    pub fn next(&mut self) -> u64 {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// Bytes of which some compress well and some do not.
pub fn content(random: &mut Random, length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length + 64);
    while bytes.len() < length {
        match random.below(4) {
            0 => bytes.extend(std::iter::repeat_n(0, 300)),
            1 => bytes.extend(b"the same words again and again, ".repeat(20)),
            _ => (0..64).for_each(|_| bytes.extend(random.next().to_le_bytes())),
        }
    }
    bytes.truncate(length);
    bytes
}

/// A sparse file of `size` bytes with `pieces` pieces of data of up to `longest` bytes, at its beginning, its end and
/// anywhere.
pub fn scattered(path: &Path, size: u64, pieces: u64, longest: u64, seed: u64) {
    let mut random = Random::new(seed);
    let file = File::create(path).expect("a file");
    file.set_len(size).expect("a sparse file");
    for piece in 0..pieces {
        let length = (1 + random.below(longest)).min(size);
        let offset = match piece {
            0 => 0,
            1 => size - length,
            _ => random.below(size - length + 1),
        };
        let bytes = content(&mut random, usize::try_from(length).expect("small"));
        file.write_all_at(&bytes, offset).expect("written");
    }
    // A disk does not begin as a text does.
    file.write_all_at(&[0], 0).expect("written");
}

pub fn open(path: &Path) -> OpenedDisk {
    disk::open(path, &OpenOptions::default()).unwrap_or_else(|error| panic!("{error}"))
}

pub fn open_with_backing(path: &Path) -> OpenedDisk {
    let options = OpenOptions {
        backing_file: BackingFile::Allowed,
        ..OpenOptions::default()
    };
    disk::open(path, &options).unwrap_or_else(|error| panic!("{error}"))
}

pub fn open_raw(path: &Path) -> Arc<dyn Disk> {
    let options = OpenOptions {
        format: Some(Format::Raw),
        ..OpenOptions::default()
    };
    disk::open(path, &options).expect("a raw disk").disk
}

pub fn refusal(path: &Path) -> String {
    match disk::open(path, &OpenOptions::default()) {
        Ok(_) => panic!("{} was opened", path.display()),
        Err(error) => error.to_string(),
    }
}

/// The digests of all blocks, by index.
pub fn digests(disk: &Arc<dyn Disk>) -> Vec<BlockDigest> {
    let reading = Reading {
        threads: NonZeroUsize::new(2).expect("not 0"),
        queue: NonZeroUsize::new(4).expect("not 0"),
    };
    let wanted = blocks::all(disk.size()).expect("not too large");
    let mut blocks = blocks::read(Arc::clone(disk), wanted, reading);
    let count = blocks::block_count(disk.size()).expect("not too large");
    let mut digests = vec![None; usize::try_from(count).expect("small")];
    while let Some(block) = blocks.blocking_recv() {
        let block = block.unwrap_or_else(|error| panic!("{error}"));
        if let BlockContent::Data(bytes) = &block.content {
            assert_eq!(bytes.len(), BLOCK);
            assert_eq!(BlockDigest::of(bytes), block.digest);
        } else {
            assert_eq!(BlockDigest::of_zeros(), block.digest);
        }
        let place = &mut digests[usize::try_from(block.index.0).expect("small")];
        assert_eq!(place.replace(block.digest), None, "a block came twice");
    }
    digests
        .into_iter()
        .map(|each| each.expect("every block"))
        .collect()
}

/// A raw file as the operating system reads it: nothing of what is tested has a part in it.
pub struct Plain {
    file: File,
    pub size: u64,
    digests: Vec<BlockDigest>,
}

impl Plain {
    fn open(path: &Path) -> Arc<Self> {
        static SEEN: Mutex<BTreeMap<PathBuf, (SystemTime, Arc<Plain>)>> =
            Mutex::new(BTreeMap::new());
        let file = File::open(path).expect("a raw file");
        let metadata = file.metadata().expect("a raw file");
        let (size, modified) = (metadata.len(), metadata.modified().expect("a time"));
        if let Some((then, plain)) = SEEN.lock().expect("whole").get(path)
            && *then == modified
        {
            return Arc::clone(plain);
        }
        let zeros = vec![0; BLOCK];
        let mut block = vec![0; BLOCK];
        let digests = (0..size.div_ceil(BLOCK as u64))
            .map(|index| {
                let offset = index * BLOCK as u64;
                let length = usize::try_from((size - offset).min(BLOCK as u64)).expect("small");
                file.read_exact_at(&mut block[..length], offset)
                    .expect("readable");
                block[length..].fill(0);
                if block == zeros {
                    BlockDigest::of_zeros()
                } else {
                    BlockDigest::of(&block)
                }
            })
            .collect();
        let plain = Arc::new(Self {
            file,
            size,
            digests,
        });
        let kept = (modified, Arc::clone(&plain));
        SEEN.lock().expect("whole").insert(path.to_owned(), kept);
        plain
    }

    fn bytes(&self, offset: u64, length: u64) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(length).expect("small")];
        self.file
            .read_exact_at(&mut bytes, offset)
            .expect("readable");
        bytes
    }

    fn is_zero(&self, offset: u64, end: u64) -> bool {
        let mut at = offset;
        while at < end {
            let next = (at / BLOCK as u64 + 1) * BLOCK as u64;
            let block = usize::try_from(at / BLOCK as u64).expect("small");
            if self.digests[block] != BlockDigest::of_zeros()
                && self
                    .bytes(at, next.min(end) - at)
                    .iter()
                    .any(|&byte| byte != 0)
            {
                return false;
            }
            at = next;
        }
        true
    }
}

/// Demands that `disk` has the content of the raw file, however it is read, and that no extent hides data.
pub fn assert_same(disk: &Arc<dyn Disk>, raw: &Path, what: &str) {
    let expected = Plain::open(raw);
    assert_eq!(disk.size(), expected.size, "the size of {what}");
    let found = digests(disk);
    for (index, (found, wanted)) in found.iter().zip(&expected.digests).enumerate() {
        assert_eq!(found, wanted, "block {index} of {what}");
    }
    let mut offset = 0;
    while offset < disk.size() {
        let extent = disk.extent_at(offset).expect("within");
        assert!(
            extent.length > 0 && extent.length <= disk.size() - offset,
            "{what}"
        );
        let end = offset + extent.length;
        assert!(
            extent.content == Content::Data || expected.is_zero(offset, end),
            "{what} says that there are zeros from {offset} to {end}"
        );
        offset = end;
    }
    let mut random = Random::new(disk.size());
    for _ in 0..200.min(disk.size()) {
        let offset = random.below(disk.size());
        let length = 1 + random.below((disk.size() - offset).min(200_000));
        let mut found = vec![1; usize::try_from(length).expect("small")];
        disk.read_at(&mut found, offset).expect("readable");
        assert!(
            found == expected.bytes(offset, length),
            "{length} bytes at {offset} of {what}"
        );
    }
    assert!(
        disk.read_at(&mut [0], disk.size()).is_err(),
        "behind the end"
    );
}

/// Makes an image of a raw file.
pub fn converted(raw: &Path, format: &str, options: &[&str]) -> PathBuf {
    let name = format!(
        "{}-{}.{format}",
        raw.file_stem()
            .and_then(|stem| stem.to_str())
            .expect("a name"),
        options.concat().replace(['=', ',', ' '], "_")
    );
    let path = raw.with_file_name(name);
    let mut arguments = vec!["convert", "-f", "raw", "-O", format];
    arguments.extend(options);
    arguments.extend([text(raw), text(&path)]);
    qemu_img(&arguments);
    path
}

/// What QEMU reads from an image.
pub fn as_qemu_reads(image: &Path) -> PathBuf {
    let raw = image.with_extension("judged");
    let format = image.extension().and_then(|format| format.to_str());
    let format = format.expect("a name that ends with QEMU's name of the format");
    qemu_img(&[
        "convert",
        "-f",
        format,
        "-O",
        "raw",
        text(image),
        text(&raw),
    ]);
    raw
}

pub fn write(path: &Path, bytes: &[u8]) {
    File::create(path)
        .and_then(|mut file| file.write_all(bytes))
        .expect("written");
}

/// Changes bytes of a file.
pub fn patch(path: &Path, offset: u64, bytes: &[u8]) {
    let file = File::options().write(true).open(path).expect("a file");
    file.write_all_at(bytes, offset).expect("written");
}

pub fn copy(from: &Path, name: &str) -> PathBuf {
    let to = from.with_file_name(name);
    std::fs::copy(from, &to).expect("copied");
    to
}
