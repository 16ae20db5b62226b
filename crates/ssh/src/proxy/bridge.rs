//! One session, passed on in both directions.
//!
//! ```text
//!   client ──input──▶ queue, at most INPUT_QUEUE ──▶ guest        a full queue makes the client wait
//!   client ◀── queue, at most OUTPUT_QUEUE ◀──output── guest      a full queue makes the guest's connection wait,
//!                                                                  at most STALLED long; then the session is cut off
//!   client ──signals, window sizes────────────────▶ guest         past the queue
//! ```
//!
//! russh opens a channel's window again as soon as data arrives, so a side is slowed down only by not taking messages off
//! its connection, which holds up every other message of that connection as well, window adjustments included. With short
//! queues on both sides a `cat` of much data would stand still for ever: the client's connection waits for the guest to
//! take input, the guest for the client to take output, and neither is read. Output is therefore taken off the guest's
//! connection even while the client takes none, which keeps input moving; and as the guest's connection is everybody's,
//! a client that takes nothing at all does not hold it up for longer than `STALLED`.

use super::line::GuestChannel;
use russh::server::{Handle, Msg};
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// How much input waits for the guest, in bytes.
const INPUT_QUEUE: usize = 8 * 1024 * 1024;
/// How much output waits for the client, in bytes. More than a client ever leaves lying that is alive.
const OUTPUT_QUEUE: usize = 32 * 1024 * 1024;
/// How long a client whose queue is full may take nothing.
const STALLED: Duration = Duration::from_secs(60);

/// What waits in a queue, holding its place in it.
struct Queued<T> {
    item: T,
    _place: Option<OwnedSemaphorePermit>,
}

enum Input {
    Data(Vec<u8>),
    End,
}

enum Output {
    Data(Vec<u8>),
    Extended(u32, Vec<u8>),
    Exit(u32),
    Signal {
        name: Sig,
        core_dumped: bool,
        message: String,
        language: String,
    },
}

type GuestHalf = ChannelWriteHalf<russh::client::Msg>;
type LocalHalf = ChannelWriteHalf<Msg>;

/// Passes a session on until one of its sides ends it.
pub async fn run(local: Channel<Msg>, client: Handle, guest: GuestChannel) {
    let GuestChannel {
        channel,
        connection,
    } = guest;
    let (from_local, to_local) = local.split();
    let (from_guest, to_guest) = channel.split();
    tokio::select! {
        () = pass_input(from_local, &to_guest) => {}
        () = pass_output(from_guest, &to_local, &client) => {}
    }
    // Whichever side is there still is told; the other's end is why we are here.
    let _ = to_local.close().await;
    let _ = to_guest.close().await;
    drop(connection);
}

/// Ends when the client has closed its session.
async fn pass_input(mut from: ChannelReadHalf, to: &GuestHalf) {
    let room = Arc::new(Semaphore::new(INPUT_QUEUE));
    let (sender, mut queue) = mpsc::unbounded_channel::<Queued<Input>>();
    let write = async {
        while let Some(Queued { item, .. }) = queue.recv().await {
            let sent = match item {
                Input::Data(bytes) => to.data_bytes(bytes).await,
                Input::End => to.eof().await,
            };
            if sent.is_err() {
                break;
            }
        }
        // The guest takes no more; its own end is what `pass_output` waits for.
        std::future::pending::<()>().await;
    };
    let take = async {
        loop {
            match from.wait().await {
                Some(ChannelMsg::Data { data }) => {
                    let place = place(&room, data.len()).await;
                    // It fails if the guest takes no more: then nothing is to be kept.
                    let _ = sender.send(Queued {
                        item: Input::Data(data.to_vec()),
                        _place: place,
                    });
                }
                Some(ChannelMsg::Eof) => {
                    let _ = sender.send(Queued {
                        item: Input::End,
                        _place: None,
                    });
                }
                // A failure to send means that the guest is gone, which `pass_output` learns.
                Some(ChannelMsg::Signal { signal }) => {
                    let _ = to.signal(signal).await;
                }
                Some(ChannelMsg::WindowChange {
                    col_width,
                    row_height,
                    pix_width,
                    pix_height,
                }) => {
                    let _ = to
                        .window_change(col_width, row_height, pix_width, pix_height)
                        .await;
                }
                Some(ChannelMsg::Close) | None => return,
                Some(_) => {}
            }
        }
    };
    tokio::select! {
        () = take => {}
        () = write => {}
    }
}

/// A place in a queue for so many bytes; larger pieces than the queue take all of it.
async fn place(room: &Arc<Semaphore>, bytes: usize) -> Option<OwnedSemaphorePermit> {
    let wanted = u32::try_from(bytes.min(INPUT_QUEUE)).unwrap_or(u32::MAX);
    // Never closed, so never an error.
    Arc::clone(room).acquire_many_owned(wanted).await.ok()
}

/// Ends when the guest has ended the session and the client has been sent everything, or takes nothing any more.
async fn pass_output(mut from: ChannelReadHalf, to: &LocalHalf, client: &Handle) {
    let room = Arc::new(Semaphore::new(OUTPUT_QUEUE));
    let (sender, mut queue) = mpsc::unbounded_channel::<Queued<Output>>();
    let take = async move {
        loop {
            let (item, bytes) = match from.wait().await {
                Some(ChannelMsg::Data { data }) => (Output::Data(data.to_vec()), data.len()),
                Some(ChannelMsg::ExtendedData { data, ext }) => {
                    (Output::Extended(ext, data.to_vec()), data.len())
                }
                Some(ChannelMsg::ExitStatus { exit_status }) => (Output::Exit(exit_status), 0),
                Some(ChannelMsg::ExitSignal {
                    signal_name,
                    core_dumped,
                    error_message,
                    lang_tag,
                }) => (
                    Output::Signal {
                        name: signal_name,
                        core_dumped,
                        message: error_message,
                        language: lang_tag,
                    },
                    0,
                ),
                Some(ChannelMsg::Close) | None => return Taken::All,
                Some(_) => continue,
            };
            let Ok(place) = tokio::time::timeout(STALLED, place(&room, bytes)).await else {
                return Taken::Stalled;
            };
            let queued = Queued {
                item,
                _place: place,
            };
            if sender.send(queued).is_err() {
                return Taken::All;
            }
        }
    };
    let write = async {
        while let Some(Queued { item, .. }) = queue.recv().await {
            if !send(to, client, item).await {
                return;
            }
        }
        // The end of output is told last, just before the channel is closed. A client that has sent the end of its input
        // closes the channel when it hears of the end of output, and russh then answers at once: the exit status, which a
        // server may send after the end of output, would be lost.
        let _ = to.eof().await;
    };
    tokio::pin!(write);
    tokio::select! {
        () = &mut write => {}
        taken = take => match taken {
            // `take` is gone, and its end of the queue with it: `write` ends when it is empty.
            Taken::All => write.await,
            Taken::Stalled => {
                tracing::warn!("a client of the SSH proxy took no output for {} s; its session is cut off", STALLED.as_secs());
            }
        },
    }
}

enum Taken {
    All,
    Stalled,
}

/// Whether the client is there still.
async fn send(to: &LocalHalf, client: &Handle, item: Output) -> bool {
    match item {
        Output::Data(bytes) => to.data_bytes(bytes).await.is_ok(),
        Output::Extended(kind, bytes) => to.extended_data_bytes(kind, bytes).await.is_ok(),
        Output::Exit(code) => to.exit_status(code).await.is_ok(),
        Output::Signal {
            name,
            core_dumped,
            message,
            language,
        } => client
            .exit_signal_request(to.id(), name, core_dumped, message, language)
            .await
            .is_ok(),
    }
}
