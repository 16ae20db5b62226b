//! From a destination to a connection that commands can be run over.
//!
//! ```text
//!   Connect ──TCP──▶ Handshake ──banner, key exchange──▶ host key checked ──▶ Authenticate ──▶ open ──▶ closed
//!      │                 │                                      │                  │            │
//!      ▼                 ▼                                      ▼                  ▼            ▼
//!   Unreachable       NotSsh                            HostKeyMismatch   AuthenticationRefused  ConnectionLost
//!   Timeout           NoCommonAlgorithm                                   Agent                  (RunError)
//!                     Timeout, Protocol
//! ```

pub(crate) mod algorithms;
mod authenticate;
mod banner;
mod error;
mod handler;
mod open;
mod stall;

pub use authenticate::agent_public_keys;
pub use banner::probe_banner;
pub use error::{ConnectError, Phase};

use crate::dial::Dial;
use crate::host_key::HostKeyRule;
use crate::keys::KeyPair;
use handler::{Client, Observed};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Where to connect to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Destination {
    /// Name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// How the one who connects proves who he is.
#[derive(Clone, Debug)]
pub enum Identity {
    /// With this key.
    Key(Arc<KeyPair>),
    /// With the keys of an agent, one after the other. Certificates in the agent are not used.
    Agent {
        /// The agent's socket, as `SSH_AUTH_SOCK` names it.
        socket: PathBuf,
    },
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Identity::Key(key) => write!(f, "the {} key {}", key.algorithm(), key.fingerprint()),
            Identity::Agent { socket } => {
                write!(f, "the keys of the agent at {}", socket.display())
            }
        }
    }
}

/// All that is needed to connect.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// Where to.
    pub destination: Destination,
    /// By which way.
    pub dial: Dial,
    /// The user to log in as.
    pub user: String,
    /// How to prove who one is.
    pub identity: Identity,
    /// How the host proves who it is.
    pub host_key: HostKeyRule,
    /// How long opening may take in all: TCP, key exchange and authentication.
    pub handshake_timeout: Duration,
    /// How long a silent connection may stay silent before the host is asked whether it is there. After
    /// [`KEEPALIVES_UNANSWERED`] questions without an answer the connection counts as lost.
    pub keepalive: Duration,
}

/// How many keepalive questions may go unanswered.
pub const KEEPALIVES_UNANSWERED: u32 = 3;

/// An open connection. Dropping it closes it; [`Connection::close`] also says goodbye.
///
/// Commands may run at the same time, each in a channel of its own. OpenSSH allows ten (`MaxSessions`).
pub struct Connection {
    pub(crate) handle: russh::client::Handle<Client>,
    pub(crate) observed: Observed,
    destination: Destination,
    host_key_fingerprint: String,
    login_key: Option<String>,
    /// The connection to the bastion that carries this one.
    _carrier: Option<Arc<Connection>>,
}

impl Connection {
    /// Connects, checks the host's key and authenticates, in this order: nothing secret and no user name is sent to a
    /// host whose key is not the expected one.
    ///
    /// # Errors
    /// See [`ConnectError`]; [`ConnectError::is_final`] tells whether trying again can help.
    pub async fn open(options: &ConnectOptions) -> Result<Connection, ConnectError> {
        open::open(options).await
    }

    /// SHA-256 fingerprint of the key that the host has shown: `SHA256:…`.
    pub fn host_key_fingerprint(&self) -> &str {
        &self.host_key_fingerprint
    }

    /// The public key that was logged in with, as a line of `authorized_keys`.
    pub fn login_key(&self) -> Option<&str> {
        self.login_key.as_deref()
    }

    /// Where this connection leads.
    pub fn destination(&self) -> &Destination {
        &self.destination
    }

    /// Whether the connection has ended. A peer that has vanished without a word is noticed by keepalives only.
    pub fn is_closed(&self) -> bool {
        self.handle.is_closed()
    }

    /// Ends the connection. Commands that still run in it are reported as lost.
    pub async fn close(&self) {
        let goodbye = self
            .handle
            .disconnect(russh::Disconnect::ByApplication, "done", "en")
            .await;
        if let Err(error) = goodbye {
            tracing::debug!(destination = %self.destination, %error, "the connection had ended before it was closed");
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("destination", &self.destination)
            .field("host_key", &self.host_key_fingerprint)
            .field("closed", &self.is_closed())
            .finish()
    }
}
