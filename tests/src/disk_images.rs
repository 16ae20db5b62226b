//! Disk images of the tests' own, made and compared by QEMU's programs, which know nothing of qib.

use crate::{Ended, Running};
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How large EBS's blocks are, in bytes.
pub const BLOCK: u64 = 524_288;
/// A GiB, in bytes.
pub const GIB: u64 = 1 << 30;

/// Runs a program that comes with the system, to a good end.
#[track_caller]
pub fn program<S: AsRef<OsStr>>(name: &str, args: impl IntoIterator<Item = S>) -> Ended {
    let mut command = Command::new(name);
    // Debian has what makes file systems where only root looks.
    let path = std::env::var("PATH").unwrap_or_default();
    command
        .env("PATH", format!("{path}:/usr/sbin:/sbin"))
        .args(args);
    Running::start(command).end().exits(0)
}

/// A format that images are made in.
#[derive(Clone, Copy, Debug)]
pub struct Format {
    /// What the test calls it.
    pub name: &'static str,
    /// What QEMU calls it.
    pub qemu: &'static str,
    /// What else `qemu-img convert` is told.
    pub options: &'static [&'static str],
}

impl Format {
    const fn new(name: &'static str, qemu: &'static str, options: &'static [&'static str]) -> Self {
        Self {
            name,
            qemu,
            options,
        }
    }
}

/// All that is read.
pub const FORMATS: [Format; 13] = [
    RAW,
    QCOW2,
    Format::new("qcow2-v2", "qcow2", &["-o", "compat=0.10"]),
    Format::new("qcow2-small-clusters", "qcow2", &["-o", "cluster_size=4k"]),
    Format::new(
        "qcow2-zlib",
        "qcow2",
        &["-c", "-o", "compression_type=zlib"],
    ),
    Format::new(
        "qcow2-zstd",
        "qcow2",
        &["-c", "-o", "compression_type=zstd"],
    ),
    STREAM_OPTIMISED,
    Format::new("vmdk-flat", "vmdk", &["-o", "subformat=monolithicFlat"]),
    Format::new("vhd-fixed", "vpc", &["-o", "subformat=fixed,force_size=on"]),
    VHD,
    VHDX,
    Format::new("vhdx-fixed", "vhdx", &["-o", "subformat=fixed"]),
    Format::new("vhdx-large-blocks", "vhdx", &["-o", "block_size=16M"]),
];

/// The disk's bytes.
pub const RAW: Format = Format::new("raw", "raw", &[]);
/// QEMU's own, as it makes it without being asked for anything.
pub const QCOW2: Format = Format::new("qcow2", "qcow2", &[]);
/// VMware's, as it is exported.
pub const STREAM_OPTIMISED: Format =
    Format::new("vmdk-stream", "vmdk", &["-o", "subformat=streamOptimized"]);
/// Virtual PC's, that grows.
pub const VHD: Format = Format::new("vhd", "vpc", &["-o", "subformat=dynamic,force_size=on"]);
/// Hyper-V's, that grows.
pub const VHDX: Format = Format::new("vhdx", "vhdx", &["-o", "subformat=dynamic,block_size=1M"]);

/// A generator whose numbers are the same each time: xorshift64*.
#[derive(Clone, Copy, Debug)]
pub struct Numbers(u64);

impl Numbers {
    /// One whose numbers depend on the text.
    pub fn of(text: &str) -> Self {
        let seed = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self(seed | 1)
    }

    /// The next one below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) % end.max(1)
    }

    /// So many bytes, none of which is zero.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.below(255) as u8 + 1).collect()
    }
}

/// A raw disk of `size` bytes that the test writes, sparse where nothing is.
pub struct RawDisk {
    path: PathBuf,
    file: File,
    size: u64,
}

impl RawDisk {
    /// One in which there is nothing yet.
    #[track_caller]
    pub fn new(path: PathBuf, size: u64) -> Self {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)
                .unwrap_or_else(|error| panic!("{}: {error}", parent.display()));
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        file.set_len(size)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self { path, file, size }
    }

    /// Writes.
    #[track_caller]
    pub fn write(&self, at: u64, bytes: &[u8]) {
        assert!(at + bytes.len() as u64 <= self.size, "outside of the disk");
        self.file
            .write_all_at(bytes, at)
            .unwrap_or_else(|error| panic!("{}: {error}", self.path.display()));
    }

    /// Writes a few bytes at its first and at its last byte, and about `every` bytes in between, at no round places.
    #[track_caller]
    pub fn scatter(&self, every: u64, numbers: &mut Numbers) {
        let mut at = 0;
        loop {
            let length = (1 + numbers.below(5000)).min(self.size - at);
            self.write(at, &numbers.bytes(length as usize));
            let next = at + length + numbers.below(every * 2);
            if next >= self.size {
                break;
            }
            at = next;
        }
        self.write(self.size - 1, &numbers.bytes(1));
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The indexes of EBS's blocks in which something else than zeros is.
    #[track_caller]
    pub fn written_blocks(&self) -> Vec<u64> {
        let mut block = vec![0; BLOCK as usize];
        (0..self.size.div_ceil(BLOCK))
            .filter(|index| {
                let length = BLOCK.min(self.size - index * BLOCK) as usize;
                let block = &mut block[..length];
                self.file
                    .read_exact_at(block, index * BLOCK)
                    .unwrap_or_else(|error| panic!("{}: {error}", self.path.display()));
                block.iter().any(|byte| *byte != 0)
            })
            .collect()
    }

    /// The same disk in another format.
    #[track_caller]
    pub fn convert(&self, to: &Path, format: Format) {
        let (from, to) = (text(&self.path), text(to));
        let mut args = vec!["convert", "-f", "raw", "-O", format.qemu];
        args.extend(format.options);
        args.extend([from.as_str(), to.as_str()]);
        program("qemu-img", args);
    }

    /// Fails unless `file` of `format` is a disk of whole GiB that begins with this one and has zeros after it.
    #[track_caller]
    pub fn assert_is_in(&self, file: &Path, format: &str) {
        // The disk's own file is padded while they are compared: a copy of a large one would not be sparse.
        self.set_size(self.size.div_ceil(GIB) * GIB);
        let (own, other) = (text(&self.path), text(file));
        program(
            "qemu-img",
            ["compare", "-f", "raw", "-F", format, &own, &other],
        );
        self.set_size(self.size);
    }

    #[track_caller]
    fn set_size(&self, size: u64) {
        self.file
            .set_len(size)
            .unwrap_or_else(|error| panic!("{}: {error}", self.path.display()));
    }
}

/// A path as text.
#[track_caller]
pub fn text(path: &Path) -> String {
    path.to_str().expect("a path in UTF-8").to_owned()
}
