//! What goes wrong with which call.

use std::fmt;
use std::time::Duration;

/// What goes wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// Refused because of the account's request rate.
    Throttle,
    /// A server error; nothing has happened.
    ServerError,
    /// The connection breaks before the request arrives.
    LostRequest,
    /// It is carried out, and the connection breaks before the answer.
    LostReply,
    /// It arrives nowhere, and nobody says so.
    SilentRequest,
    /// It is carried out, and no answer ever comes.
    SilentReply,
    /// It is answered by a part of EC2 that has not heard of this process's latest change.
    Stale,
}

impl FaultKind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Throttle,
        Self::ServerError,
        Self::LostRequest,
        Self::LostReply,
        Self::SilentRequest,
        Self::SilentReply,
        Self::Stale,
    ];

    /// How often in a row, where the matrix of calls asks for one kind.
    pub fn repetitions(self) -> u32 {
        match self {
            Self::Throttle | Self::ServerError => 3,
            _ => 1,
        }
    }
}

/// Calls of one action that go wrong, counted over all attempts of one process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Such as `RunInstances`.
    pub action: String,
    /// The first attempt that it hits, from 1.
    pub from: u32,
    /// How many attempts in a row.
    pub times: u32,
    /// What goes wrong.
    pub kind: FaultKind,
}

impl Fault {
    /// Whether attempt `number` of `action` is hit.
    pub fn hits(&self, action: &str, number: u32) -> bool {
        self.action == action && (self.from..self.from + self.times).contains(&number)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}#{} {:?}x{}",
            self.action, self.from, self.kind, self.times
        )
    }
}

/// When a process ends without another instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// Never.
    Never,
    /// Before journal record `number` is written, counted from 1.
    BeforeRecord(u64),
    /// After journal record `number` is written.
    AfterRecord(u64),
    /// Before call `number` leaves, counted from 1 over all actions.
    BeforeCall(u32),
    /// After call `number` was carried out, before its answer.
    AfterCall(u32),
    /// At a moment, wherever it stands.
    At(Duration),
}
