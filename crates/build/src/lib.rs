//! Runs a plan: steps, journal, undo, cache, leases, scheduling. Talks to ports only: the account through `cloud`, the
//! guest through [`guest`], time through [`cloud::Clock`]. It never prints; it tells an [`event::Observer`].
//!
//! ```text
//!   plan ──▶ run ──▶ steps (one file per step of a cell) ──▶ journal ──▶ cloud port
//!                      │                                        │
//!                      └──▶ guest port (SSH)                    └──▶ undo, in reverse, from the journal alone
//! ```

pub mod ansible;
pub mod cancel;
pub mod dial;
pub mod effects;
pub mod estimate;
pub mod event;
pub mod export;
pub mod failure;
pub mod glob;
pub mod guest;
pub mod host;
pub mod images;
pub mod inquiry;
pub mod journal;
pub mod lease;
pub mod lifetime;
pub mod mask;
pub mod names;
pub mod options;
pub mod outputs;
pub mod pause;
pub mod permissions;
pub mod plan;
pub mod ports;
pub mod precheck;
pub mod publication;
pub mod report;
pub mod resumption;
pub mod run;
pub mod runs;
pub mod selection;
pub mod spec;
pub mod ssh_access;
pub mod steps;
pub mod sweep;
pub mod timing;
pub mod transfer;
pub mod undo;
pub mod user_data;
pub mod way_in;

pub use steps::disk_options;
