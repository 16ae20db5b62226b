//! Disk images: what is read to be imported, and what is written by an export.
//!
//! ```text
//!   path ── open ──▶ probe ──▶ reader of a format ──▶ Disk ──▶ blocks::read ──▶ Block { index, content, digest }
//!                      │                               ├─────▶ partition::layout ──▶ how it boots, on what
//!                      └─ not a disk image: says what  └─────▶ survey ──▶ how much of it is data
//! ```
//!
//! An image comes from whoever made it. So a reader trusts nothing in it: every size and offset is checked before it is
//! used, memory does not depend on what a header says, every lookup takes a bounded number of steps, and no file is opened
//! but the one that was asked for and plain files beside it that the format needs.
//!
//! The crate reads and writes files, and starts threads; it has no clock, prints nothing and knows nothing of EBS but the
//! size of a block and how its digests are made.

pub mod blocks;
mod content;
pub mod digest;
mod error;
mod format;
mod formats;
mod open;
mod packed;
pub mod partition;
pub mod probe;
pub mod sink;
mod source;
mod tables;

pub use content::{Content, Disk, Extent, Survey, survey};
pub use error::{OpenError, ReadError};
pub use format::{Format, UnknownFormat};
pub use open::{BackingFile, Files, OpenOptions, OpenedDisk, open, open_bytes};
pub use source::ReadAt;
