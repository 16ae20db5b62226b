//! Running commands and passing their output on while they run.
//!
//! ```text
//!   NotStarted ──exec sent──▶ MayHaveStarted ──host confirms──▶ Started ──exit status──▶ CommandExit
//!       │                           │                              │
//!       └───────────────────────────┴── connection ends ───────────┴──▶ ConnectionLost { state }
//! ```

mod channel;
mod error;
mod sink;

pub(crate) use channel::{Execution, Input, SourceFailed};
pub use error::{CommandState, RunError};
pub use sink::{Collected, Discard, OutputSink, Stream};

use crate::connect::Connection;
use crate::lines::LineSplitter;
use std::fmt;

/// What a command reads from its standard input.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Stdin {
    /// Nothing: it is at its end from the start.
    ///
    /// A terminal has no end. A command with a [`PtySize`] that reads its input waits for ever, unless it is given
    /// `</dev/null` itself; [`crate::Script`] does so.
    #[default]
    None,
    /// These bytes.
    Bytes(Vec<u8>),
}

impl fmt::Debug for Stdin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stdin::None => f.write_str("None"),
            // The input is where secrets travel.
            Stdin::Bytes(bytes) => write!(f, "Bytes({} bytes)", bytes.len()),
        }
    }
}

/// The size of a terminal, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PtySize {
    /// Characters in a line.
    pub columns: u32,
    /// Lines.
    pub rows: u32,
}

impl Default for PtySize {
    /// 200 × 50: wide, since programs cut or wrap their messages at the edge, and these go to a log.
    fn default() -> PtySize {
        PtySize {
            columns: 200,
            rows: 50,
        }
    }
}

/// A command for the remote login shell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RemoteCommand {
    /// What the user's login shell runs. Everyone on the host can read it while it runs: no secrets here.
    pub command: String,
    /// What it reads.
    pub stdin: Stdin,
    /// Whether it has a terminal, and how large. With one, standard error arrives as standard output, since the
    /// terminal mixes them.
    pub pty: Option<PtySize>,
}

impl RemoteCommand {
    /// A command without input and terminal.
    pub fn new(command: impl Into<String>) -> RemoteCommand {
        RemoteCommand {
            command: command.into(),
            ..RemoteCommand::default()
        }
    }
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandExit {
    /// With this exit code. A shell reports a child that was killed by signal n as 128 + n.
    Code(u32),
    /// The login shell itself was ended by this signal: its name without `SIG`, such as `KILL`.
    Signal(String),
}

impl CommandExit {
    /// Whether this is exit code 0.
    pub fn is_success(&self) -> bool {
        *self == CommandExit::Code(0)
    }
}

impl fmt::Display for CommandExit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CommandExit::Code(code) => write!(f, "exit code {code}"),
            CommandExit::Signal(name) => write!(f, "signal {name}"),
        }
    }
}

impl Connection {
    /// Runs a command to its end and passes its output on, line by line, as it comes.
    ///
    /// A background process that the command leaves behind with its output still open does not hold this up for long:
    /// a few quiet seconds after the command's own end, it returns.
    ///
    /// Dropping the future asks the host to send the command SIGTERM and closes its channel, which takes its terminal
    /// away (SIGHUP) if it has one; it does not wait for the end. OpenSSH does not carry the signal out for root, so a
    /// command of root's without a terminal runs on.
    ///
    /// # Errors
    /// [`RunError::ConnectionLost`] says whether the command may have begun. It is never run again from here.
    pub async fn run(
        &self,
        command: &RemoteCommand,
        output: &mut dyn OutputSink,
    ) -> Result<CommandExit, RunError> {
        let input = match &command.stdin {
            Stdin::None => Input::None,
            Stdin::Bytes(bytes) => Input::Bytes(bytes.clone()),
        };
        let execution = Execution::start(self, &command.command, command.pty).await?;
        let mut stdout = LineSplitter::new();
        let mut stderr = LineSplitter::new();
        let result = execution
            .finish(input, &mut |stream, bytes| {
                let lines = match stream {
                    Stream::Stdout => &mut stdout,
                    Stream::Stderr => &mut stderr,
                };
                lines.push(bytes, |line| output.line(stream, line));
            })
            .await;
        // What came before a connection was lost is often the reason.
        stdout.finish(|line| output.line(Stream::Stdout, line));
        stderr.finish(|line| output.line(Stream::Stderr, line));
        result
    }
}
