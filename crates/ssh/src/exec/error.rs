//! Why it is not known how a command ended, or why it could not begin.

use crate::connect::Destination;
use std::fmt;

/// How far a command had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandState {
    /// It was not sent.
    NotStarted,
    /// It was sent; the host has not confirmed it.
    MayHaveStarted,
    /// The host confirmed that it started it.
    Started,
}

impl fmt::Display for CommandState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CommandState::NotStarted => "before the command was started",
            CommandState::MayHaveStarted => {
                "while the command was being started: it may or may not have run"
            }
            CommandState::Started => {
                "while the command was running: it may still be running, or have finished"
            }
        })
    }
}

/// Why it is not known how a command ended, or why it could not begin.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The connection ended.
    #[error("the connection to {destination} was lost {state} ({reason})")]
    ConnectionLost {
        /// Where the connection led.
        destination: Destination,
        /// Whether the command was started.
        state: CommandState,
        /// What ended the connection, as far as it is known.
        reason: String,
    },
    /// The host would not do it. The command was not started.
    #[error("{destination} refused to {what}{}", if detail.is_empty() { String::new() } else { format!(": {detail}") })]
    Refused {
        /// Where.
        destination: Destination,
        /// What it refused: to open a channel, to give a terminal, to run a command.
        what: &'static str,
        /// Its reason, if it gave one.
        detail: String,
    },
    /// The host closed the channel without saying how the command ended, while the connection stayed.
    #[error(
        "{destination} did not say how the command ended; it was started, and its effects are unknown"
    )]
    NoExitStatus {
        /// Where.
        destination: Destination,
    },
    /// A script's files could not be put in place. The script was not started.
    #[error("the script could not be put in place on {destination}: {detail}")]
    NotStaged {
        /// Where.
        destination: Destination,
        /// What went wrong.
        detail: String,
    },
    /// What was to be sent could not be read.
    #[error("what was to be sent to {destination} could not be read in full")]
    InputFailed {
        /// Where it was to go.
        destination: Destination,
    },
}

impl RunError {
    /// Whether the command certainly did not run, so that running it again cannot run it twice.
    pub fn certainly_not_started(&self) -> bool {
        match self {
            RunError::ConnectionLost { state, .. } => *state == CommandState::NotStarted,
            RunError::Refused { .. } | RunError::NotStaged { .. } => true,
            RunError::NoExitStatus { .. } | RunError::InputFailed { .. } => false,
        }
    }
}
