//! The guest's SSH server: russh's server side inside process 1, so that nothing in the guest can kill it.
//!
//! It does what cloud images' sshd does for a builder: public keys only, exec, shell, terminals, sftp where the host has
//! `sftp-server`. No forwarding of any kind is offered.

mod authorized_keys;
mod connection;
mod host_keys;
mod session;
mod terminal;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use russh::MethodSet;
use russh::server::Config;
use tokio::sync::watch;

pub use host_keys::{HOST_KEY_FOLDER, generate_missing, load as load_host_keys};

use super::init::Guest;
use connection::Connection;

/// Serves SSH on streams that the daemon hands in.
#[derive(Debug)]
pub struct SshServer {
    guest: Arc<Guest>,
    config: Arc<Config>,
    /// How many sessions still have bytes to deliver.
    sessions: Arc<watch::Sender<usize>>,
}

impl SshServer {
    /// Reads the host keys from `/etc/ssh`.
    ///
    /// # Errors
    /// If there is none that can be used.
    pub fn open(guest: Arc<Guest>) -> io::Result<SshServer> {
        let mut keys = Vec::new();
        for key in load_host_keys()? {
            match key.private {
                Ok(private) => keys.push(private),
                Err(error) => guest
                    .console
                    .line(&format!("sshd: {}: {error}", key.path.display())),
            }
        }
        if keys.is_empty() {
            return Err(io::Error::other(format!(
                "no usable host key in {HOST_KEY_FOLDER}"
            )));
        }
        let config = Config {
            methods: MethodSet::from(&[russh::MethodKind::PublicKey][..]),
            keys,
            auth_rejection_time: Duration::from_millis(50),
            auth_rejection_time_initial: Some(Duration::ZERO),
            inactivity_timeout: None,
            nodelay: true,
            ..Config::default()
        };
        Ok(SshServer {
            guest,
            config: Arc::new(config),
            sessions: Arc::new(watch::Sender::new(0)),
        })
    }

    /// Serves one connection in the background. `peer` is what `SSH_CONNECTION` says.
    pub fn serve(&self, stream: OwnedFd, peer: String) {
        let handler = Connection::new(Arc::clone(&self.guest), Arc::clone(&self.sessions), peer);
        let (config, guest) = (Arc::clone(&self.config), Arc::clone(&self.guest));
        tokio::spawn(async move {
            let served = async {
                let stream = std::os::unix::net::UnixStream::from(stream);
                stream.set_nonblocking(true)?;
                let stream = tokio::net::UnixStream::from_std(stream)?;
                russh::server::run_stream(config, stream, handler)
                    .await?
                    .await
            };
            match served.await {
                Ok(()) | Err(russh::Error::Disconnect | russh::Error::HUP) => {}
                Err(russh::Error::IO(error)) if is_disconnect(&error) => {}
                Err(error) => guest
                    .console
                    .line(&format!("sshd: a connection ended: {error}")),
            }
        });
    }

    /// Waits until no session has anything to deliver.
    pub async fn drained(&self) {
        // Cannot fail: the sender lives as long as `self`.
        let _ = self
            .sessions
            .subscribe()
            .wait_for(|sessions| *sessions == 0)
            .await;
    }
}

/// Port scans and clients that were killed are no news.
fn is_disconnect(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(
        error.kind(),
        BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof
    )
}
