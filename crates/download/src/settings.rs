//! How a fetch goes about it, and whom it tells how far it is.

use crate::cache::Check;
use crate::space::{Disk, Statvfs};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What is set once for all fetches of a process.
#[derive(Clone)]
pub struct Settings {
    /// The folder of the cache. It is made when it is not there.
    pub cache: PathBuf,
    /// How many times in a row a server is asked before it is given up; an attempt that brings the download at least
    /// 1 MiB further than any before starts the count anew.
    pub attempts: NonZeroU32,
    /// The pause after the first failure; it doubles with each further one.
    pub first_pause: Duration,
    /// The longest pause. A server that asks for a longer one (Retry-After) is given up.
    pub longest_pause: Duration,
    /// How long making a connection may take.
    pub connect_timeout: Duration,
    /// How long a server may be silent: before its answer, and between two pieces of a body.
    pub stall_timeout: Duration,
    /// How long a whole fetch may take, waiting for other processes included. None: as long as it takes.
    pub overall_timeout: Option<Duration>,
    /// How proxies are found.
    pub proxies: Proxies,
    /// How many bytes of the cache's disk stay free whatever is fetched.
    pub keep_free: u64,
    /// The largest file that is taken, as published and as unpacked, in bytes.
    pub largest: u64,
    /// How much memory a decompressor may take, in bytes. For zstd the window is bounded by the power of two below it.
    pub memory: u64,
    /// How an entry of the cache is checked before it is used.
    pub check: Check,
    /// The program that verifies signatures.
    pub gpgv: PathBuf,
    /// Who says how much room there is on a disk.
    pub disk: Arc<dyn Disk>,
}

impl Settings {
    /// What suits a cloud image over the internet, with the cache in this folder.
    #[must_use]
    pub fn in_cache(cache: impl Into<PathBuf>) -> Self {
        Self {
            cache: cache.into(),
            attempts: NonZeroU32::new(6).expect("6 is not 0"),
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(30),
            stall_timeout: Duration::from_secs(60),
            overall_timeout: None,
            proxies: Proxies::Environment,
            keep_free: 256 << 20,
            largest: 16 << 40,
            memory: 192 << 20,
            check: Check::Quick,
            gpgv: PathBuf::from("gpgv"),
            disk: Arc::new(Statvfs),
        }
    }
}

/// How proxies are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proxies {
    /// From `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, in either case.
    Environment,
    /// None is used.
    Direct,
}

/// What a fetch is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// It gets the checksum file and its signature.
    Checksum,
    /// It gets the file. Bytes are those on disk, from earlier attempts too.
    Download,
    /// It reads a file again to compute its digest.
    Verify,
    /// It unpacks. Bytes are those of the packed file, whose number is known.
    Unpack,
}

/// Is told how far a fetch is. Called from several threads, and often: an implementation must be quick.
pub trait Progress: Send + Sync {
    /// So many bytes of a phase are done, of so many, if that is known.
    fn advance(&self, phase: Phase, done: u64, total: Option<u64>);

    /// Something that a person may want to know: a retry, a restart, that another process is waited for. One line,
    /// without secrets.
    fn note(&self, text: &str);
}

/// Tells nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn advance(&self, _: Phase, _: u64, _: Option<u64>) {}
    fn note(&self, _: &str) {}
}
