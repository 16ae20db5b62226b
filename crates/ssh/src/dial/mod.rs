//! The way to a host: straight, through a SOCKS5 proxy, or through another SSH host (a bastion).
//!
//! ```text
//!   Direct   this machine ─TCP─▶ host
//!   Socks    this machine ─TCP─▶ proxy ─ CONNECT ─▶ host
//!   Jump     this machine ─(its own way: direct or SOCKS)─▶ bastion, an SSH connection with host key and login checked
//!                                                              └─ direct-tcpip channel ─▶ host
//! ```
//!
//! What comes out is a stream of bytes on which the connection to the host itself is made; a bastion or proxy sees only what
//! is encrypted for the host. Keepalives run on both connections, so either one's death is noticed.

mod error;
mod jump;
mod socks;

pub use error::DialError;
pub use jump::Jump;
pub use socks::{SocksLogin, SocksProxy};

use crate::connect::{Connection, Destination};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// How a host is reached.
#[derive(Clone, Debug, Default)]
pub enum Dial {
    /// By TCP from this machine.
    #[default]
    Direct,
    /// Through a SOCKS5 proxy.
    Socks(SocksProxy),
    /// Through another SSH host.
    Jump(Jump),
}

/// A stream of bytes to a host.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A way that has been gone.
pub(crate) struct Dialled {
    pub stream: Box<dyn Stream>,
    /// The bastion's connection, which must live as long as the stream.
    pub carrier: Option<Arc<Connection>>,
}

impl Dial {
    /// Reaches `destination` before `deadline`.
    pub(crate) async fn reach(
        &self,
        destination: &Destination,
        deadline: Instant,
    ) -> Result<Dialled, DialError> {
        let straight = |stream: TcpStream| Dialled {
            stream: Box::new(stream),
            carrier: None,
        };
        match self {
            Dial::Direct => tcp(destination, deadline).await.map(straight),
            Dial::Socks(proxy) => proxy.reach(destination, deadline).await.map(straight),
            Dial::Jump(jump) => {
                let (stream, carrier) = jump.reach(destination, deadline).await?;
                Ok(Dialled {
                    stream: Box::new(stream),
                    carrier: Some(carrier),
                })
            }
        }
    }
}

/// A TCP connection that sends each small packet at once.
async fn tcp(destination: &Destination, deadline: Instant) -> Result<TcpStream, DialError> {
    let connecting = TcpStream::connect((destination.host.as_str(), destination.port));
    let stream = tokio::time::timeout_at(deadline, connecting)
        .await
        .map_err(|_| DialError::Late)?
        .map_err(DialError::Tcp)?;
    // Commands are small packets that wait for an answer: Nagle's algorithm would hold each back for a round trip.
    stream.set_nodelay(true).map_err(DialError::Tcp)?;
    Ok(stream)
}
