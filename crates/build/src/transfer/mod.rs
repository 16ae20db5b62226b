//! A disk's content on its way into a snapshot, or out of one: the loops that move many blocks at once.
//!
//! ```text
//!   disk::blocks ──▶ upload ──▶ SnapshotBlocks::put  ──▶ acknowledged (a file of the run's)
//!   (read, hashed)     ▲
//!                      └── pace: how many at once, from how the calls end
//!
//!   SnapshotBlocks::list, get ──▶ download ──▶ disk::sink
//! ```
//!
//! Two calls of the port are not repeated by it, put and get of one block: here is where they are. What they end with
//! tells how many may be under way at once, and that must not be hidden by a layer in between.

pub mod acknowledged;
pub mod download;
pub mod pace;
pub mod patience;
pub mod progress;
pub mod upload;

pub use acknowledged::{Acknowledged, AcknowledgedError};
pub use download::download;
pub use progress::{Transferred, Watch};
pub use upload::{Holes, Upload, UploadError, upload};
