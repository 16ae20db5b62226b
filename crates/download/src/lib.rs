//! Disk images from the network or from a file, verified, unpacked, and kept in a cache by what they contain.
//!
//! ```text
//!   Fetch ──▶ identify ──▶ Digest                  from the literal or the checksum file (signed, if so asked)
//!     │                       │
//!     │                       ▼
//!     └────▶ fetch ──▶ entry of the cache? ── yes ──────────────────────────────────────▶ Fetched
//!                         │ no                                                               ▲
//!                         ▼                                                                  │
//!                      lock ─▶ download (resumed) ─▶ digest compared ─▶ unpacked ─▶ entry ───┘
//! ```
//!
//! Nothing is used before its digest has been compared: neither unpacked nor looked at by a reader of formats.
//! A local file that is not compressed is used where it lies.
//!
//! Dropping the future of [`fetch()`] cancels it. What had arrived stays in the cache and the next call asks the server only
//! for the rest; the same is true when the process is killed.
#![allow(
    clippy::disallowed_methods,
    reason = "this crate is an edge: it times its own transfers, and runs gpgv"
)]

mod address;
mod armour;
mod blocking;
mod cache;
mod checksums;
mod content;
mod digest;
mod error;
mod fetch;
mod http;
mod listed;
mod local;
mod lock;
mod pace;
mod part;
mod prune;
mod settings;
mod signature;
mod space;
mod sparse;
mod transfer;
mod unpack;

pub use address::{Address, AddressError};
pub use cache::Check;
pub use content::Compression;
pub use digest::{Algorithm, Digest, DigestError};
pub use error::{Blame, FetchError};
pub use fetch::{Checksum, Fetch, Fetched, Origin, fetch, identify};
pub use lock::Lease;
pub use prune::{Keep, Pruned, Removed, prune};
pub use settings::{Phase, Progress, Proxies, Settings, Silent};
pub use space::{Disk, Statvfs};
