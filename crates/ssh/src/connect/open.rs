//! Opening a connection, attempt by attempt.

use super::authenticate::authenticate;
use super::handler::{Client, Observed, SessionError};
use super::stall::StallGuard;
use super::{ConnectError, ConnectOptions, Connection, KEEPALIVES_UNANSWERED, Phase, algorithms};
use crate::dial::{DialError, Dialled};
use crate::host_key::Check;
use russh::AlgorithmKind;
use russh::client::{Config, Handle};
use russh::keys::Algorithm;
use std::sync::Arc;
use tokio::time::Instant;

/// How much the host may send in one channel before it must wait for us, in bytes. At 80 ms this allows 50 MB/s.
const WINDOW: u32 = 4 * 1024 * 1024;

/// Largest packet that the host may send, in bytes: what OpenSSH sends at most anyway.
const PACKET: u32 = 32 * 1024;

pub async fn open(options: &ConnectOptions) -> Result<Connection, ConnectError> {
    let destination = &options.destination;
    let deadline = Instant::now() + options.handshake_timeout;
    let check = options
        .host_key
        .prepare(&destination.host, destination.port)
        .map_err(|detail| ConnectError::HostKeyUnknown {
            destination: destination.clone(),
            detail,
        })?;
    let mut refusal = None;
    for host_keys in check.attempts() {
        let error = match attempt(options, &check, host_keys, deadline).await {
            Ok(connection) => return Ok(connection),
            Err(error) => error,
        };
        match &error {
            // With a bare fingerprint another of the host's keys may be the one that is meant. A key that was seen and
            // is wrong is worth more to the reader than a kind of key that the host lacks.
            ConnectError::HostKeyMismatch { .. } => refusal = Some(error),
            ConnectError::NoCommonAlgorithm { kind, .. } if kind == HOST_KEY => {
                refusal.get_or_insert(error);
            }
            _ => return Err(error),
        }
    }
    Err(refusal.unwrap_or_else(|| ConnectError::HostKeyUnknown {
        destination: destination.clone(),
        detail: "no kind of host key is acceptable".into(),
    }))
}

async fn attempt(
    options: &ConnectOptions,
    check: &Check,
    host_keys: Vec<Algorithm>,
    deadline: Instant,
) -> Result<Connection, ConnectError> {
    let destination = &options.destination;
    let late = |phase| ConnectError::Timeout {
        destination: destination.clone(),
        phase,
        within: options.handshake_timeout,
    };

    let Dialled { stream, carrier } = match options.dial.reach(destination, deadline).await {
        Ok(dialled) => dialled,
        Err(DialError::Late) => return Err(late(Phase::Connect)),
        Err(source) => {
            return Err(ConnectError::Unreachable {
                destination: destination.clone(),
                source,
            });
        }
    };
    let stream = StallGuard::new(stream, options.keepalive * (KEEPALIVES_UNANSWERED + 1));

    let observed = Observed::default();
    let client = Client::new(check.clone(), observed.clone());
    let shaking = russh::client::connect_stream(config(options, host_keys), stream, client);
    let mut handle: Handle<Client> = tokio::time::timeout_at(deadline, shaking)
        .await
        .map_err(|_| late(Phase::Handshake))?
        .map_err(|error| handshake_error(options, check, error))?;

    let login_key =
        tokio::time::timeout_at(deadline, authenticate(&mut handle, options, &observed))
            .await
            .map_err(|_| late(Phase::Authenticate))??;

    let host_key_fingerprint =
        observed
            .host_key_fingerprint()
            .ok_or_else(|| ConnectError::Protocol {
                destination: destination.clone(),
                phase: Phase::Handshake,
                detail: "the host showed no key".into(),
            })?;
    tracing::debug!(%destination, host_key = %host_key_fingerprint, "SSH connection open");
    Ok(Connection {
        handle,
        observed,
        destination: destination.clone(),
        host_key_fingerprint,
        login_key,
        _carrier: carrier,
    })
}

fn config(options: &ConnectOptions, host_keys: Vec<Algorithm>) -> Arc<Config> {
    Arc::new(Config {
        window_size: WINDOW,
        maximum_packet_size: PACKET,
        preferred: algorithms::preferred(host_keys),
        keepalive_interval: Some(options.keepalive),
        keepalive_max: KEEPALIVES_UNANSWERED as usize,
        inactivity_timeout: None,
        nodelay: true,
        ..Config::default()
    })
}

const HOST_KEY: &str = "host key algorithm";

fn handshake_error(options: &ConnectOptions, check: &Check, error: SessionError) -> ConnectError {
    let destination = options.destination.clone();
    let protocol = |detail: String| ConnectError::Protocol {
        destination: options.destination.clone(),
        phase: Phase::Handshake,
        detail,
    };
    match error {
        SessionError::HostKey { found } => ConnectError::HostKeyMismatch {
            expected: check.expected(),
            found_fingerprint: found,
            destination,
        },
        SessionError::Russh(russh::Error::NoCommonAlgo { kind, ours, theirs }) => {
            ConnectError::NoCommonAlgorithm {
                destination,
                kind: match kind {
                    AlgorithmKind::Kex => "key exchange",
                    AlgorithmKind::Key => HOST_KEY,
                    AlgorithmKind::Cipher => "cipher",
                    AlgorithmKind::Compression => "compression",
                    AlgorithmKind::Mac => "message authentication",
                }
                .into(),
                ours: ours.join(", "),
                theirs: theirs.join(", "),
            }
        }
        SessionError::Russh(russh::Error::Version) => ConnectError::NotSsh {
            destination,
            detail: "its first line is no SSH version".into(),
        },
        SessionError::Russh(russh::Error::Disconnect | russh::Error::HUP) => {
            protocol("the host closed the connection".into())
        }
        SessionError::Russh(other) => protocol(other.to_string()),
    }
}
