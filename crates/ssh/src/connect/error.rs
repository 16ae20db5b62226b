//! Why there is no connection.

use super::Destination;
use crate::dial::DialError;
use std::fmt;
use std::path::PathBuf;

/// How far opening a connection had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The TCP connection.
    Connect,
    /// Banner, key exchange and host key.
    Handshake,
    /// Proving who one is.
    Authenticate,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Phase::Connect => "connecting",
            Phase::Handshake => "the SSH handshake",
            Phase::Authenticate => "authenticating",
        })
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nothing answers at the address, or the name has none.
    #[error("cannot reach {destination}: {source}")]
    Unreachable {
        /// Where.
        destination: Destination,
        /// What the system says, or what stands in the way.
        source: DialError,
    },
    /// It took too long.
    #[error("{destination} did not finish {phase} within {:.1} s", within.as_secs_f64())]
    Timeout {
        /// Where.
        destination: Destination,
        /// What was going on.
        phase: Phase,
        /// How long it could have taken.
        within: std::time::Duration,
    },
    /// Something answers, but it does not speak SSH.
    #[error("{destination} does not speak SSH: {detail}")]
    NotSsh {
        /// Where.
        destination: Destination,
        /// What it said instead.
        detail: String,
    },
    /// The host's key is not the expected one. Nothing was sent to it.
    #[error(
        "HOST KEY MISMATCH: {destination} shows {found_fingerprint}, expected {expected}. Another machine may be \
         answering in its place. Not connected; no credentials were sent. If the machine was made anew, give its new \
         key; if not, find out who answers."
    )]
    HostKeyMismatch {
        /// The keys that would have been accepted.
        expected: String,
        /// Kind and SHA-256 fingerprint of what was shown.
        found_fingerprint: String,
        /// Where.
        destination: Destination,
    },
    /// There is nothing to compare the host's key with.
    #[error("the host key of {destination} cannot be checked, so there is no connection: {detail}")]
    HostKeyUnknown {
        /// Where.
        destination: Destination,
        /// What is missing, and what to do.
        detail: String,
    },
    /// The two sides have no algorithm of one kind in common.
    #[error(
        "{destination} and this client have no {kind} in common; the host offers {theirs}, this client {ours}"
    )]
    NoCommonAlgorithm {
        /// Where.
        destination: Destination,
        /// Which kind: key exchange, host key, cipher …
        kind: String,
        /// What this client offers.
        ours: String,
        /// What the host offers.
        theirs: String,
    },
    /// The host does not let the user in with this identity.
    #[error(
        "{destination} refused {user} with {identity_description}{}",
        server_said.as_deref().map(|s| format!("; it said: {s}")).unwrap_or_default()
    )]
    AuthenticationRefused {
        /// The user.
        user: String,
        /// Where.
        destination: Destination,
        /// Which key or agent was offered.
        identity_description: String,
        /// The host's banner or reason, if it gave one.
        server_said: Option<String>,
    },
    /// The agent cannot be used.
    #[error("cannot use the SSH agent at {}: {detail}", socket.display())]
    Agent {
        /// Its socket.
        socket: PathBuf,
        /// What went wrong, and what to do.
        detail: String,
    },
    /// The connection broke or the host broke the protocol.
    #[error("the connection to {destination} failed during {phase}: {detail}")]
    Protocol {
        /// Where.
        destination: Destination,
        /// What was going on.
        phase: Phase,
        /// What happened.
        detail: String,
    },
}

impl ConnectError {
    /// Whether trying again cannot help: the host's key is wrong or unknown, no algorithm is shared, the local agent is
    /// not usable, or a bastion or proxy on the way refuses. A refusal is not final: cloud-init may not have written the key yet.
    pub fn is_final(&self) -> bool {
        match self {
            ConnectError::HostKeyMismatch { .. }
            | ConnectError::HostKeyUnknown { .. }
            | ConnectError::NoCommonAlgorithm { .. }
            | ConnectError::Agent { .. } => true,
            ConnectError::Unreachable { source, .. } => source.is_final(),
            ConnectError::Timeout { .. }
            | ConnectError::NotSsh { .. }
            | ConnectError::AuthenticationRefused { .. }
            | ConnectError::Protocol { .. } => false,
        }
    }
}
