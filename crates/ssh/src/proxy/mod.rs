//! An SSH server on this machine's loopback that passes sessions on over a connection that is open already.
//!
//! Programs that can do nothing but call `ssh` (Ansible) reach a guest through it without knowing the guest's address, key
//! or login: host-key checking, bastions and reconnecting stay where they are, in [`crate::Connection`].
//!
//! ```text
//!   ssh, sftp, scp ──▶ 127.0.0.1:PORT ──▶ Proxy ──session channels──▶ Connection ──▶ guest
//!                        │ only the key that was made for this proxy logs in
//!                        │ the host key was made for this proxy, too: its client checks it
//!                        └ no forwarding of any kind, no agent, no X11
//! ```
//!
//! Each session of a client's is a session of the guest's: its command, shell or subsystem, terminal, environment, input,
//! output, signals and exit status pass through as they are. When the connection to the guest has ended (a reboot), the
//! next session opens it anew, with the same checks. A session that was running then ends without an exit status, which
//! `ssh` reports as exit code 255: nothing runs twice.

mod bridge;
mod error;
mod line;
mod session;

pub use error::ProxyError;

use crate::connect::{ConnectOptions, Connection, algorithms};
use crate::keys::{KeyAlgorithm, KeyPair};
use line::Line;
use russh::keys::Algorithm;
use russh::server::Config;
use russh::{MethodKind, MethodSet};
use session::{Client, Permitted};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// How long a client may take to say that it speaks SSH.
const BANNER_WITHIN: Duration = Duration::from_secs(30);
/// Largest packet that a client may send, in bytes: what OpenSSH sends at most anyway.
const PACKET: u32 = 32 * 1024;

/// A running proxy. Dropping it ends it and all sessions in it; the connection to the guest stays.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    user: String,
    login_key: KeyPair,
    host_key: KeyPair,
    line: Arc<Line>,
    /// Dropped, it tells everything that belongs to the proxy to end.
    _running: watch::Sender<()>,
}

impl Proxy {
    /// Starts a proxy for `connection`, which was opened with `options`, on a free port of 127.0.0.1.
    ///
    /// Its keys are ECDSA P-256, which OpenSSH also takes on a machine in FIPS mode.
    ///
    /// # Errors
    /// [`ProxyError`] if there is no port to be had.
    pub async fn start(
        connection: Arc<Connection>,
        options: ConnectOptions,
    ) -> Result<Proxy, ProxyError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .map_err(ProxyError)?;
        let port = listener.local_addr().map_err(ProxyError)?.port();
        let login_key = KeyPair::generate(KeyAlgorithm::EcdsaP256);
        let host_key = KeyPair::generate(KeyAlgorithm::EcdsaP256);
        let user = options.user.clone();
        let line = Arc::new(Line::new(connection, options));
        let permitted = Arc::new(Permitted {
            user: user.clone(),
            key: login_key.private().public_key().clone(),
        });
        let (running, ended) = watch::channel(());
        tokio::spawn(accept(
            listener,
            Arc::new(config(&host_key)),
            permitted,
            Arc::clone(&line),
            ended,
        ));
        Ok(Proxy {
            port,
            user,
            login_key,
            host_key,
            line,
            _running: running,
        })
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The only user that may log in: the one that qib is logged in as at the guest.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The only key that may log in.
    pub fn login_key(&self) -> &KeyPair {
        &self.login_key
    }

    /// The proxy's own public key, as a line of `known_hosts` for `127.0.0.1` and its port.
    pub fn known_hosts_line(&self) -> String {
        format!(
            "[127.0.0.1]:{} {}",
            self.port,
            self.host_key.public_openssh()
        )
    }

    /// Why a session could not be passed on, if one could not: the last reason. The client itself only hears that opening
    /// a channel failed.
    pub fn last_trouble(&self) -> Option<String> {
        self.line.last_trouble()
    }
}

fn config(host_key: &KeyPair) -> Config {
    Config {
        methods: MethodSet::from(&[MethodKind::PublicKey][..]),
        keys: vec![russh::keys::PrivateKey::clone(&host_key.private())],
        // Nobody guesses a key of 256 bits, and who is refused is on this machine.
        auth_rejection_time: Duration::from_millis(50),
        auth_rejection_time_initial: Some(Duration::ZERO),
        inactivity_timeout: None,
        maximum_packet_size: PACKET,
        preferred: algorithms::preferred_by_server(vec![Algorithm::Ecdsa {
            curve: russh::keys::EcdsaCurve::NistP256,
        }]),
        nodelay: true,
        ..Config::default()
    }
}

/// Serves clients until the proxy is dropped.
async fn accept(
    listener: TcpListener,
    config: Arc<Config>,
    permitted: Arc<Permitted>,
    line: Arc<Line>,
    mut ended: watch::Receiver<()>,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = ended.changed() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                let client = Client::new(Arc::clone(&permitted), Arc::clone(&line));
                tokio::spawn(serve(stream, Arc::clone(&config), client, ended.clone()));
            }
            Err(error) => {
                // Out of file descriptors, most likely: the client sees a connection that is not answered.
                tracing::warn!(%error, "the SSH proxy could not take a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn serve(
    stream: TcpStream,
    config: Arc<Config>,
    client: Client,
    mut ended: watch::Receiver<()>,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a client of the SSH proxy is gone already");
        return;
    }
    let greeting = russh::server::run_stream(config, stream, client);
    let session = match tokio::time::timeout(BANNER_WITHIN, greeting).await {
        Ok(Ok(session)) => session,
        Ok(Err(error)) => {
            tracing::debug!(%error, "a client of the SSH proxy does not speak SSH");
            return;
        }
        Err(_) => {
            tracing::debug!("a client of the SSH proxy said nothing");
            return;
        }
    };
    let handle = session.handle();
    tokio::select! {
        result = session => {
            if let Err(error) = result {
                tracing::debug!(%error, "a connection to the SSH proxy ended");
            }
        }
        _ = ended.changed() => {
            let goodbye = handle.disconnect(russh::Disconnect::ByApplication, "done".into(), "en".into());
            if let Err(error) = goodbye.await {
                tracing::debug!(%error, "a client of the SSH proxy had gone before it was told to");
            }
        }
    }
}
