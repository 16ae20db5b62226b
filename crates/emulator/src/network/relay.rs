//! A caller joined with a guest's SSH server, until either goes away or a fault breaks the connection.
//!
//! ```text
//!            either side ends
//!   joined ───────────────────► closed
//!     │ so many bytes, or so long
//!     ├── close ──► FIN to the caller; what it still sends is ignored
//!     ├── reset ──► RST to the caller
//!     └── hang ───► open, neither read nor written, until the guest ends
//! ```

use crate::guest::GuestExit;
use crate::instance_faults::{BreakKind, SshBreak};
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::watch;

/// Carries bytes both ways.
pub(super) async fn relay(
    mut caller: TcpStream,
    mut server: UnixStream,
    breaks: Option<SshBreak>,
    mut exited: watch::Receiver<Option<GuestExit>>,
) {
    let Some(breaks) = breaks else {
        // Either side may go away at any time; that is the end of the connection and no error of ours.
        let _ = tokio::io::copy_bidirectional(&mut caller, &mut server).await;
        return;
    };
    if carry(&mut caller, &mut server, &breaks).await == End::OfItself {
        return;
    }
    match breaks.how {
        BreakKind::Close => {
            drop(server);
            // Without reading on, the kernel would make a reset of it as soon as the caller sends more.
            if caller.shutdown().await.is_ok() {
                let mut ignored = [0; 4096];
                while matches!(caller.read(&mut ignored).await, Ok(n) if n > 0) {}
            }
        }
        BreakKind::Reset => {
            let _ = caller.set_zero_linger();
        }
        BreakKind::Hang => {
            // An error means that nobody runs the guest any more, which is its end too.
            let _ = exited.wait_for(Option::is_some).await;
        }
    }
}

/// How carrying ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// A side went away.
    OfItself,
    /// The fault's time has come.
    Broken,
}

async fn carry(caller: &mut TcpStream, server: &mut UnixStream, breaks: &SshBreak) -> End {
    let left = AtomicU64::new(breaks.after_bytes.unwrap_or(u64::MAX));
    let (from_caller, to_caller) = caller.split();
    let (from_server, to_server) = server.split();
    let both = async {
        let there = pump(from_caller, to_server, &left);
        let back = pump(from_server, to_caller, &left);
        match tokio::try_join!(there, back) {
            Ok(((), ())) => End::OfItself,
            Err(end) => end,
        }
    };
    let time = async {
        match breaks.after {
            Some(after) => tokio::time::sleep(after).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        end = both => end,
        () = time => End::Broken,
    }
}

/// Carries one way until that side ends. `left` is how many bytes may still pass, either way.
async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    left: &AtomicU64,
) -> Result<(), End> {
    let mut buffer = [0; 8192];
    loop {
        let length = from.read(&mut buffer).await.map_err(|_| End::OfItself)?;
        if length == 0 {
            return to.shutdown().await.map_err(|_| End::OfItself);
        }
        let asked = u64::try_from(length).unwrap_or(u64::MAX);
        let take = |left: u64| Some(left.saturating_sub(asked));
        let before = left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .unwrap_or_default();
        let granted = usize::try_from(before.min(asked)).unwrap_or(length);
        to.write_all(buffer.get(..granted).unwrap_or_default())
            .await
            .map_err(|_| End::OfItself)?;
        if before <= asked {
            return Err(End::Broken);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    fn breaks(text: &str) -> Option<SshBreak> {
        Some(serde_json::from_str(text).unwrap())
    }

    /// A caller, the server's own end, and the task between them.
    async fn joined(
        breaks: Option<SshBreak>,
    ) -> (
        TcpStream,
        UnixStream,
        watch::Sender<Option<GuestExit>>,
        tokio::task::JoinHandle<()>,
    ) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let caller = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (inner, _) = listener.accept().await.unwrap();
        let (ours, theirs) = UnixStream::pair().unwrap();
        let exit = watch::Sender::new(None);
        let task = tokio::spawn(relay(inner, ours, breaks, exit.subscribe()));
        (caller, theirs, exit, task)
    }

    #[tokio::test]
    async fn exactly_so_many_bytes_pass_then_it_is_closed() {
        let (mut caller, mut server, _exit, _task) =
            joined(breaks(r#"{"how":"close","after_bytes":20000}"#)).await;
        server.write_all(&[7; 15_000]).await.unwrap();
        let mut got = vec![0; 15_000];
        caller.read_exact(&mut got).await.unwrap();
        caller.write_all(&[8; 3_000]).await.unwrap();
        let mut up = vec![0; 3_000];
        server.read_exact(&mut up).await.unwrap();
        server.write_all(&[9; 15_000]).await.unwrap();
        let mut rest = Vec::new();
        caller.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, [9; 2_000]);
        // An error where the server's own bytes were left unread: its end too.
        let at_the_server = server.read(&mut up).await;
        assert_eq!(at_the_server.unwrap_or_default(), 0, "the server's end");
    }

    #[tokio::test]
    async fn a_reset_is_one() {
        let (mut caller, _server, _exit, _task) =
            joined(breaks(r#"{"how":"reset","after_ms":20}"#)).await;
        let error = caller.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn a_hang_keeps_the_connection_open_until_the_guest_ends() {
        let (mut caller, mut server, exit, task) =
            joined(breaks(r#"{"how":"hang","after_bytes":2}"#)).await;
        server.write_all(b"abc").await.unwrap();
        let mut got = [0; 2];
        caller.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"ab");
        let short = std::time::Duration::from_millis(200);
        let silent = tokio::time::timeout(short, caller.read_u8()).await;
        assert!(silent.is_err(), "neither data nor an end: {silent:?}");
        exit.send_replace(Some(GuestExit::Stopped));
        task.await.unwrap();
        assert!(caller.read_u8().await.is_err());
    }

    #[tokio::test]
    async fn whichever_is_first_and_nothing_before() {
        let (mut caller, mut server, _exit, task) = joined(breaks(
            r#"{"how":"close","after_bytes":1000,"after_ms":60000}"#,
        ))
        .await;
        server.write_all(&[1; 999]).await.unwrap();
        let mut got = vec![0; 999];
        caller.read_exact(&mut got).await.unwrap();
        drop(server);
        assert_eq!(caller.read(&mut got).await.unwrap(), 0);
        drop(caller);
        task.await.unwrap();
    }
}
