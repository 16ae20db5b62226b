//! What russh asks and tells while a connection lives.

use crate::host_key::Check;
use russh::client::{DisconnectReason, Session};
use russh::keys::{HashAlg, PublicKeyOrCertificate};
use std::sync::{Arc, Mutex, PoisonError};

/// Why the session ended, or could not begin.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The host showed a key that it must not have.
    #[error("the host key {found} is not the expected one")]
    HostKey { found: String },
    #[error(transparent)]
    Russh(#[from] russh::Error),
}

/// What is learnt on the way, shared between russh's task and the connection.
#[derive(Clone, Debug, Default)]
pub struct Observed(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    host_key_fingerprint: Option<String>,
    auth_banner: Option<String>,
    reason: Option<String>,
}

impl Observed {
    fn with<T>(&self, act: impl FnOnce(&mut Seen) -> T) -> T {
        // The fields are whole whatever happened to a thread that held the lock.
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn host_key_fingerprint(&self) -> Option<String> {
        self.with(|seen| seen.host_key_fingerprint.clone())
    }

    pub fn auth_banner(&self) -> Option<String> {
        self.with(|seen| seen.auth_banner.clone())
    }

    /// Why the connection ended, if it has.
    pub fn reason(&self) -> Option<String> {
        self.with(|seen| seen.reason.clone())
    }
}

/// The client's side of one connection.
#[derive(Debug)]
pub struct Client {
    check: Check,
    observed: Observed,
}

impl Client {
    pub fn new(check: Check, observed: Observed) -> Client {
        Client { check, observed }
    }
}

impl russh::client::Handler for Client {
    type Error = SessionError;

    async fn check_server_key(
        &mut self,
        shown: &PublicKeyOrCertificate,
    ) -> Result<bool, SessionError> {
        let key = match shown {
            PublicKeyOrCertificate::PublicKey { key, .. } => key,
            // No certificate algorithm is offered, so a host that sends one breaks the protocol.
            PublicKeyOrCertificate::Certificate(_) => {
                return Err(SessionError::HostKey {
                    found: "a certificate that was not asked for".into(),
                });
            }
        };
        let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
        if !self.check.accepts(key) {
            return Err(SessionError::HostKey {
                found: format!("{} {fingerprint}", key.algorithm()),
            });
        }
        self.observed
            .with(|seen| seen.host_key_fingerprint = Some(fingerprint));
        Ok(true)
    }

    async fn auth_banner(&mut self, banner: &str, _: &mut Session) -> Result<(), SessionError> {
        self.observed
            .with(|seen| seen.auth_banner = Some(banner.trim().to_owned()));
        Ok(())
    }

    async fn disconnected(
        &mut self,
        reason: DisconnectReason<SessionError>,
    ) -> Result<(), SessionError> {
        let words = match &reason {
            DisconnectReason::ReceivedDisconnect(info) => {
                format!("the host ended it: {}", info.message)
            }
            DisconnectReason::Error(SessionError::Russh(error)) => match error {
                russh::Error::Disconnect | russh::Error::HUP => "the host closed it".into(),
                russh::Error::KeepaliveTimeout => "the host no longer answers (keepalive)".into(),
                russh::Error::IO(error) => error.to_string(),
                other => other.to_string(),
            },
            DisconnectReason::Error(other) => other.to_string(),
        };
        tracing::debug!(reason = %words, "SSH connection ended");
        self.observed.with(|seen| {
            if seen.reason.is_none() {
                seen.reason = Some(words);
            }
        });
        Ok(())
    }
}
