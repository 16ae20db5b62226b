//! The journal: the append-only record of a run. Intent before each effect, result after it.
//!
//! ```text
//!                     ┌──────────▶ NotDone            (EC2 said no: nothing to undo)
//!                     │
//!   Intent ──▶ InFlight ─────────▶ Unknown ──┐        (no answer: it may have happened; what is looked up and found
//!                     │                      │         becomes Done, what is not there NotDone)
//!                     └──────────▶ Done ─────┼──▶ Undone      removed again
//!                                  │  ▲      │
//!                                  │  └─ UndoFailed (stays outstanding, undo may be tried again)
//!                                  ├──▶ Kept         stays for a person (`--keep-on-failure`)
//!                                  └──▶ Delivered    part of the result
//! ```
//!
//! The record on disk is the state: [`JournalState::apply`] is the only way from records to what is known, it is pure,
//! and it refuses what cannot have happened. Undo is data: an [`Effect`] with its [`Outcome`] says how to remove what
//! was made.

mod directory;
mod effect;
mod error;
mod file;
mod reader;
mod record;
mod state;
mod watch;

pub use directory::{JournalLock, RunDirectory};
pub use effect::{AddressBinder, Effect, Outcome, ParameterBefore, ParameterVersion, Recorded};
pub use error::JournalError;
pub use file::{Journal, Opening};
pub use reader::JournalReader;
pub use record::{EffectNumber, Invocation, Record, RunStatus};
pub use state::{EffectEntry, EffectState, IllegalRecord, JournalState, Opened};
pub use watch::JournalWatch;
