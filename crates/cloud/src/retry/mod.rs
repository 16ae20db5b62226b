//! The one layer that repeats API calls.
//!
//! Nothing below it repeats a call (the SDK's own retries are off), and nothing above it repeats one for the errors that
//! it stands for: two layers that both retry multiply. It stands above the port, so it works the same over AWS, over a
//! fake and over a simulation, and its pauses are the [`Clock`](crate::Clock)'s.
//!
//! ```text
//!   build ──▶ Retrying (Account) ──▶ RetryingRegion ──▶ Account, Region of the adapter
//!                                        │
//!             ┌──── error ◀── one attempt, cut off at the deadline ◀──┐
//!             ▼                                                       │
//!          Ledger ── Budget::of(kind, nature) spent? ── no: pause ────┘
//!             │
//!             └── spent, or none: the error goes to the caller, with how often and how long it was tried
//! ```
//!
//! Whether a call may be repeated depends on what went wrong ([`ErrorKind`](crate::ErrorKind)) and on what a second call
//! would do ([`CallNature`]); the one table is [`Budget::of`]. Two things are left to callers, who know more:
//!
//! - a call that makes something and whose reply was lost: who keeps the journal looks before it is made again;
//! - something just made that a call does not find yet: [`until_visible`].

mod account;
mod attempts;
mod budget;
mod calls;
mod content;
mod iam;
mod jitter;
mod ledger;
mod nature;
mod region;
mod visibility;

pub use account::Retrying;
pub use budget::{Budget, OPERATION_TIME, Pauses};
pub use ledger::{Decision, GivenUp, Ledger};
pub use nature::CallNature;
pub use visibility::{VISIBLE_WITHIN, until_visible};
