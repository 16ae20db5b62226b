//! Does an SSH server answer? Asked while an instance boots, before its key is worth trying.

use super::{ConnectError, Destination, Phase};
use crate::dial::{Dial, DialError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};

/// Most that is read while waiting for the banner, in bytes. RFC 4253, 4.2 allows other lines before it.
const MOST_READ: u64 = 16 * 1024;

/// Connects and reads the host's version line, such as `SSH-2.0-OpenSSH_9.2p1`, without sending anything.
///
/// # Errors
/// [`ConnectError::Unreachable`], [`ConnectError::Timeout`], [`ConnectError::NotSsh`]; only a bastion or a proxy that
/// refuses is final.
pub async fn probe_banner(
    destination: &Destination,
    dial: &Dial,
    timeout: Duration,
) -> Result<String, ConnectError> {
    let late = |phase| ConnectError::Timeout {
        destination: destination.clone(),
        phase,
        within: timeout,
    };
    let deadline = tokio::time::Instant::now() + timeout;
    let dialled = match dial.reach(destination, deadline).await {
        Ok(dialled) => dialled,
        Err(DialError::Late) => return Err(late(Phase::Connect)),
        Err(source) => {
            return Err(ConnectError::Unreachable {
                destination: destination.clone(),
                source,
            });
        }
    };
    tokio::time::timeout_at(deadline, read_banner(dialled.stream))
        .await
        .map_err(|_| late(Phase::Handshake))?
        .map_err(|detail| ConnectError::NotSsh {
            destination: destination.clone(),
            detail,
        })
}

async fn read_banner(stream: impl AsyncRead + Unpin) -> Result<String, String> {
    let mut reader = BufReader::new(stream).take(MOST_READ);
    let mut line = Vec::new();
    let mut last = String::new();
    loop {
        line.clear();
        match reader.read_until(b'\n', &mut line).await {
            Ok(0) if last.is_empty() => {
                return Err("it closed the connection without a word".into());
            }
            Ok(0) => return Err(format!("it said {last:?} and no SSH version")),
            Ok(_) => {}
            Err(error) => return Err(format!("reading its version failed: {error}")),
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end();
        if text.starts_with("SSH-2.0-") || text.starts_with("SSH-1.99-") {
            return Ok(text.to_owned());
        }
        last = text.chars().take(200).collect();
    }
}
