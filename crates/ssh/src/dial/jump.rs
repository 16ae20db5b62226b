//! Through another SSH host.

use super::DialError;
use crate::connect::{ConnectError, ConnectOptions, Connection, Destination};
use russh::client::Msg;
use russh::{ChannelOpenFailure, ChannelStream};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// A bastion, and the connection to it. Clones share the connection: it is opened when it is first needed, used again for
/// each attempt to reach a host that boots, and opened anew when it has ended.
#[derive(Clone)]
pub struct Jump {
    options: Arc<ConnectOptions>,
    kept: Arc<Mutex<Option<Arc<Connection>>>>,
}

impl Jump {
    /// A bastion that is reached as `options` say; its host key is checked by their rule. Their `handshake_timeout` bounds
    /// an opening besides the deadline of whoever needs it.
    pub fn through(options: ConnectOptions) -> Jump {
        Jump {
            options: Arc::new(options),
            kept: Arc::default(),
        }
    }

    /// Where the bastion is.
    pub fn destination(&self) -> &Destination {
        &self.options.destination
    }

    /// A stream to `destination`, and the connection that carries it.
    pub(super) async fn reach(
        &self,
        destination: &Destination,
        deadline: Instant,
    ) -> Result<(ChannelStream<Msg>, Arc<Connection>), DialError> {
        let bastion = self.connection(deadline).await?;
        // The originator's address is for the bastion's log; a client without one sends this (RFC 4254, 7.2).
        let opening = bastion.handle.channel_open_direct_tcpip(
            destination.host.clone(),
            u32::from(destination.port),
            "127.0.0.1",
            0,
        );
        let beyond = |detail: String, is_final| DialError::BeyondBastion {
            bastion: self.destination().clone(),
            detail,
            is_final,
        };
        match tokio::time::timeout_at(deadline, opening).await {
            Ok(Ok(channel)) => Ok((channel.into_stream(), bastion)),
            Ok(Err(russh::Error::ChannelOpenFailure(reason))) => Err(match reason {
                ChannelOpenFailure::AdministrativelyProhibited => beyond(
                    "it forbids to forward connections (AllowTcpForwarding and PermitOpen in its sshd_config)"
                        .into(),
                    true,
                ),
                other => beyond(format!("{other:?}"), false),
            }),
            Ok(Err(error)) => {
                self.forget(&bastion).await;
                Err(beyond(format!("its connection was lost ({error})"), false))
            }
            Err(_) => {
                // The bastion still tries; without its connection, nobody is left to get a stream that nobody wants.
                self.forget(&bastion).await;
                Err(beyond("it had no answer from there in time".into(), false))
            }
        }
    }

    async fn connection(&self, deadline: Instant) -> Result<Arc<Connection>, DialError> {
        let mut kept = self.kept.lock().await;
        if let Some(connection) = kept.as_ref().filter(|connection| !connection.is_closed()) {
            return Ok(Arc::clone(connection));
        }
        let mut options = ConnectOptions::clone(&self.options);
        let left = deadline.saturating_duration_since(Instant::now());
        options.handshake_timeout = options.handshake_timeout.min(left);
        let connection = open(&options).await.map_err(|source| DialError::Bastion {
            bastion: self.destination().clone(),
            source: Box::new(source),
        })?;
        let connection = Arc::new(connection);
        *kept = Some(Arc::clone(&connection));
        Ok(connection)
    }

    async fn forget(&self, lost: &Arc<Connection>) {
        let mut kept = self.kept.lock().await;
        if kept.as_ref().is_some_and(|now| Arc::ptr_eq(now, lost)) {
            *kept = None;
        }
    }
}

/// A bastion may itself be reached through something, so opening comes back to itself: in a box, whose size is known.
fn open(
    options: &ConnectOptions,
) -> Pin<Box<dyn Future<Output = Result<Connection, ConnectError>> + Send + '_>> {
    Box::pin(Connection::open(options))
}

impl fmt::Debug for Jump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jump")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
