//! The connection to the guest that sessions go over.
//!
//! ```text
//!   open ──a session asks──▶ the same connection
//!     │ the connection ends (reboot, keepalive)
//!     ▼
//!   ended ──the next session asks──▶ opened anew, host key and login checked as the first time ──▶ open
//!                                                     └─ fails: this session is refused, the next tries again
//! ```

use crate::connect::{ConnectError, ConnectOptions, Connection};
use russh::Channel;
use russh::client::Msg;
use std::sync::{Arc, PoisonError};
use tokio::sync::Mutex;

/// The connection to the guest, opened anew when it has ended.
#[derive(Debug)]
pub struct Line {
    options: ConnectOptions,
    current: Mutex<Arc<Connection>>,
    trouble: std::sync::Mutex<Option<String>>,
}

/// A channel of the guest's, and the connection that it belongs to.
pub struct GuestChannel {
    pub channel: Channel<Msg>,
    /// Alive as long as the channel.
    pub connection: Arc<Connection>,
}

impl Line {
    pub fn new(connection: Arc<Connection>, options: ConnectOptions) -> Line {
        Line {
            options,
            current: Mutex::new(connection),
            trouble: std::sync::Mutex::default(),
        }
    }

    /// Opens a session channel at the guest; none if it cannot be, for the reason that [`Line::last_trouble`] tells.
    pub async fn open_session(&self) -> Option<GuestChannel> {
        // The connection may end while the channel is asked for: then there is one more try, on a new connection.
        for _ in 0..2 {
            let connection = match self.connection().await {
                Ok(connection) => connection,
                Err(error) => {
                    self.note(error.to_string());
                    return None;
                }
            };
            match connection.handle.channel_open_session().await {
                Ok(channel) => {
                    return Some(GuestChannel {
                        channel,
                        connection,
                    });
                }
                Err(russh::Error::ChannelOpenFailure(reason)) => {
                    self.note(format!(
                        "{} refused to open a channel: {reason:?}",
                        connection.destination()
                    ));
                    return None;
                }
                Err(error) => {
                    self.note(format!(
                        "the connection to {} was lost: {error}",
                        connection.destination()
                    ));
                    // A connection that fails so is dead, whether it knows already or not.
                    connection.close().await;
                }
            }
        }
        None
    }

    async fn connection(&self) -> Result<Arc<Connection>, ConnectError> {
        let mut current = self.current.lock().await;
        if current.is_closed() {
            tracing::debug!(destination = %self.options.destination, "connecting to the guest again");
            *current = Arc::new(Connection::open(&self.options).await?);
        }
        Ok(Arc::clone(&current))
    }

    fn note(&self, why: String) {
        tracing::debug!(%why, "a session was not passed on");
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
    }

    /// Why the last session that was not passed on was not.
    pub fn last_trouble(&self) -> Option<String> {
        self.trouble
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
