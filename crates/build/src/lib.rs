//! Runs a plan: steps, journal, undo, cache, leases, scheduling. Talks to ports only: the account through `cloud`, the
//! guest through [`guest`], time through [`cloud::Clock`]. It never prints; it tells an [`event::Observer`].
//!
//! ```text
//!   plan ──▶ run ──▶ steps (one file per step of a cell) ──▶ journal ──▶ cloud port
//!                      │                                        │
//!                      └──▶ guest port (SSH)                    └──▶ undo, in reverse, from the journal alone
//! ```

pub mod cancel;
pub mod event;
pub mod journal;
pub mod lease;
pub mod mask;
pub mod names;
pub mod report;
pub mod undo;
