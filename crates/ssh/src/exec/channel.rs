//! One command in one channel: its input, its output, its end.

use super::{CommandExit, CommandState, PtySize, RunError, Stream};
use crate::connect::Connection;
use russh::client::Msg;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Pty, Sig};
use std::time::Duration;
use tokio::sync::mpsc;

/// How long a channel may stay quiet and open after its command has ended. OpenSSH keeps it open while any process,
/// such as a daemon that the command started, holds the command's output open: for ever, in the worst case.
const QUIET_AFTER_EXIT: Duration = Duration::from_secs(5);

/// SSH's number for standard error (RFC 4254, 5.2).
const STDERR: u32 = 1;

/// The source of a stream could not be read to its end; it says why itself.
#[derive(Debug)]
pub struct SourceFailed;

/// What goes to a command's standard input.
pub enum Input {
    None,
    Bytes(Vec<u8>),
    /// Blocks, as they become ready. The end of the channel is the end of the input; a failure stops the command.
    Blocks(mpsc::Receiver<Result<Vec<u8>, SourceFailed>>),
}

/// A command that has been started.
pub struct Execution<'a> {
    connection: &'a Connection,
    read: ChannelReadHalf,
    write: Open,
    state: CommandState,
    exit: Option<CommandExit>,
}

impl<'a> Execution<'a> {
    /// Opens a channel and starts `command` in it.
    pub async fn start(
        connection: &'a Connection,
        command: &str,
        pty: Option<PtySize>,
    ) -> Result<Execution<'a>, RunError> {
        let channel =
            connection
                .handle
                .channel_open_session()
                .await
                .map_err(|error| match error {
                    russh::Error::ChannelOpenFailure(reason) => RunError::Refused {
                        destination: connection.destination().clone(),
                        what: "open a channel",
                        detail: format!("{reason:?}"),
                    },
                    other => lost(connection, CommandState::NotStarted, &other.to_string()),
                })?;
        let (read, write) = channel.split();
        let mut execution = Execution {
            connection,
            read,
            write: Open(Some(write)),
            state: CommandState::NotStarted,
            exit: None,
        };
        if let Some(size) = pty {
            execution.request_pty(size).await?;
        }
        let sent = execution.write.half().exec(true, command).await;
        sent.map_err(|e| lost(connection, CommandState::NotStarted, &e.to_string()))?;
        execution.state = CommandState::MayHaveStarted;
        execution.confirmed("run a command").await?;
        execution.state = CommandState::Started;
        Ok(execution)
    }

    async fn request_pty(&mut self, size: PtySize) -> Result<(), RunError> {
        // No echo: there is nobody to read what is typed, and nothing is typed.
        let modes = [(Pty::ECHO, 0)];
        let sent = self
            .write
            .half()
            .request_pty(true, "xterm", size.columns, size.rows, 0, 0, &modes)
            .await;
        sent.map_err(|e| lost(self.connection, self.state, &e.to_string()))?;
        self.confirmed("give a terminal").await
    }

    /// Waits for the answer to a request. Output cannot come before it: the host answers before the command runs.
    async fn confirmed(&mut self, what: &'static str) -> Result<(), RunError> {
        loop {
            match self.read.wait().await {
                Some(ChannelMsg::Success) => return Ok(()),
                Some(ChannelMsg::Failure) => {
                    return Err(RunError::Refused {
                        destination: self.connection.destination().clone(),
                        what,
                        detail: String::new(),
                    });
                }
                Some(ChannelMsg::Close) | None => {
                    return Err(lost(self.connection, self.state, "the channel was closed"));
                }
                Some(_) => {}
            }
        }
    }

    /// Sends `input`, passes output to `on_output`, and waits for the end.
    pub async fn finish(
        mut self,
        input: Input,
        on_output: &mut (dyn FnMut(Stream, &[u8]) + Send),
    ) -> Result<CommandExit, RunError> {
        let Execution {
            connection,
            read,
            write,
            exit,
            ..
        } = &mut self;
        {
            let feeding = feed(write.half(), input);
            tokio::pin!(feeding);
            let mut fed = false;
            loop {
                // The command may end, or the connection break, without the input ever being taken.
                tokio::select! {
                    result = &mut feeding, if !fed => match result {
                        Ok(()) => fed = true,
                        Err(SourceFailed) => {
                            return Err(RunError::InputFailed { destination: connection.destination().clone() });
                        }
                    },
                    event = next(read, exit) => match event {
                        Event::Output(stream, bytes) => on_output(stream, bytes.as_ref()),
                        Event::End => break,
                    },
                }
            }
        }
        self.conclude().await
    }

    /// The next piece of output, for a command without input; [`None`] at its end.
    pub async fn next_output(&mut self) -> Option<(Stream, impl AsRef<[u8]> + use<>)> {
        match next(&mut self.read, &mut self.exit).await {
            Event::Output(stream, bytes) => Some((stream, bytes)),
            Event::End => None,
        }
    }

    /// Ends the command's input.
    pub async fn end_input(&self) {
        // If the connection is gone, reading says so.
        let _ = self.write.half().eof().await;
    }

    /// How the command ended, after [`Execution::next_output`] has returned [`None`].
    pub async fn conclude(mut self) -> Result<CommandExit, RunError> {
        let exit = self.exit.take();
        let result = conclude(self.connection, self.state, exit);
        if result.is_ok() {
            self.write.finished().await;
        }
        result
    }
}

enum Event<B> {
    Output(Stream, B),
    End,
}

async fn next(
    read: &mut ChannelReadHalf,
    exit: &mut Option<CommandExit>,
) -> Event<impl AsRef<[u8]> + use<>> {
    loop {
        let message = if exit.is_some() {
            match tokio::time::timeout(QUIET_AFTER_EXIT, read.wait()).await {
                Ok(message) => message,
                Err(_) => {
                    tracing::debug!(
                        "something that the command left running holds its output open; not waiting for it"
                    );
                    return Event::End;
                }
            }
        } else {
            read.wait().await
        };
        match message {
            Some(ChannelMsg::Data { data }) => return Event::Output(Stream::Stdout, data),
            Some(ChannelMsg::ExtendedData { data, ext: STDERR }) => {
                return Event::Output(Stream::Stderr, data);
            }
            Some(ChannelMsg::ExitStatus { exit_status }) => {
                *exit = Some(CommandExit::Code(exit_status))
            }
            Some(ChannelMsg::ExitSignal { signal_name, .. }) => {
                *exit = Some(CommandExit::Signal(signal_text(&signal_name)));
            }
            Some(ChannelMsg::Close) | None => return Event::End,
            Some(_) => {}
        }
    }
}

async fn feed(write: &ChannelWriteHalf<Msg>, input: Input) -> Result<(), SourceFailed> {
    // A failure to send means that the connection or the channel is gone. Whoever reads the output learns of that, with
    // the reason, so it is left to him.
    match input {
        Input::None => {}
        Input::Bytes(bytes) => {
            if write.data_bytes(bytes).await.is_err() {
                return Ok(());
            }
        }
        Input::Blocks(mut blocks) => {
            while let Some(block) = blocks.recv().await {
                if write.data_bytes(block?).await.is_err() {
                    return Ok(());
                }
            }
        }
    }
    let _ = write.eof().await;
    Ok(())
}

fn conclude(
    connection: &Connection,
    state: CommandState,
    exit: Option<CommandExit>,
) -> Result<CommandExit, RunError> {
    match exit {
        Some(exit) => Ok(exit),
        None if connection.is_closed() => Err(lost(connection, state, "the host closed it")),
        None => Err(RunError::NoExitStatus {
            destination: connection.destination().clone(),
        }),
    }
}

fn lost(connection: &Connection, state: CommandState, otherwise: &str) -> RunError {
    RunError::ConnectionLost {
        destination: connection.destination().clone(),
        state,
        reason: connection
            .observed
            .reason()
            .unwrap_or_else(|| otherwise.to_owned()),
    }
}

fn signal_text(signal: &Sig) -> String {
    match signal {
        Sig::Custom(name) => name.clone(),
        // The variants are named as RFC 4254, 6.10 names the signals.
        known => format!("{known:?}"),
    }
}

/// The sending half of a channel. Dropped before the command has ended, it asks the host to stop the command.
struct Open(Option<ChannelWriteHalf<Msg>>);

impl Open {
    #[allow(
        clippy::expect_used,
        reason = "the half is taken only by `finished` and by drop, which end this value's use"
    )]
    fn half(&self) -> &ChannelWriteHalf<Msg> {
        self.0.as_ref().expect("the channel is open")
    }

    /// The command has ended: nothing is left to stop.
    async fn finished(&mut self) {
        if let Some(half) = self.0.take() {
            // It fails if the host has closed the whole connection meanwhile, which is as good.
            let _ = half.close().await;
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let Some(half) = self.0.take() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        runtime.spawn(async move {
            // Both fail if the connection is gone; then there is nobody to tell.
            let _ = half.signal(Sig::TERM).await;
            let _ = half.close().await;
        });
    }
}
