//! A public address's listening socket, and how callers are kept out of it.
//!
//! ```text
//!               sources of the loopback range?
//!          ┌────── some ──────┐        ┌────── none ──────┐
//!          ▼                  │        ▼                  │
//!       open ◄────────────────┼───── shut ◄───────────────┘
//!     accepts                 │   a caller's first packet is dropped
//! ```
//!
//! Where the kernel lets this process filter its sockets a packet filter drops exactly the callers that no rule lets in, and
//! the door is always open. Elsewhere (unprivileged processes on some kernels) a shut door is a socket whose queue of
//! connections is full: Linux drops a first packet then, see `tcp_abort_on_overflow` in tcp(7). That keeps out everybody or
//! nobody, so an open door looks at each caller after accepting, and leaves one that no rule lets in without an answer.

use super::packet_filter;
use crate::account::network::Cidr;
use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, socket_with, sockopt};
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::time::Duration;

/// How callers are kept out on this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Barrier {
    /// By a packet filter.
    Filter,
    /// By a full queue.
    FullQueue,
}

/// A public address's listening socket.
#[derive(Debug)]
pub(super) struct Door {
    socket: TcpListener,
    at: SocketAddrV4,
    barrier: Barrier,
    /// Fills the queue of a shut door.
    plug: Option<TcpStream>,
}

/// How many connections may wait to be accepted at an open door.
const QUEUE: i32 = 128;

impl Barrier {
    /// What this host allows.
    pub fn of_this_host() -> Self {
        let allowed = tcp_socket().and_then(|socket| packet_filter::attach(&socket, &[]));
        if allowed.is_ok() {
            Self::Filter
        } else {
            Self::FullQueue
        }
    }

    /// Whether a door for these sources accepts connections.
    fn accepts(self, sources: &[Cidr]) -> bool {
        match self {
            Self::Filter => true,
            Self::FullQueue => sources.iter().any(|s| reaches_loopback(*s)),
        }
    }
}

/// Whether a range shares an address with 127.0.0.0/8, from where all callers come.
fn reaches_loopback(source: Cidr) -> bool {
    let loopback = Cidr {
        network: Ipv4Addr::new(127, 0, 0, 0),
        prefix: 8,
    };
    loopback.contains(source.network) || source.contains(loopback.network)
}

fn tcp_socket() -> io::Result<std::os::fd::OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(socket_with(
        AddressFamily::INET,
        SocketType::STREAM,
        flags,
        Some(ipproto::TCP),
    )?)
}

impl Door {
    /// Listens, with the barrier in place before the first packet can come.
    pub(super) fn open(at: SocketAddrV4, barrier: Barrier, sources: &[Cidr]) -> io::Result<Self> {
        let socket = tcp_socket()?;
        // Connections of an instance that had the address before may still be closing.
        sockopt::set_socket_reuseaddr(&socket, true)?;
        if barrier == Barrier::Filter {
            packet_filter::attach(&socket, sources)?;
        }
        rustix::net::bind(&socket, &at)?;
        let mut door = Self {
            socket: TcpListener::from(socket),
            at,
            barrier,
            plug: None,
        };
        match barrier.accepts(sources) {
            true => rustix::net::listen(&door.socket, QUEUE)?,
            false => door.shut()?,
        }
        Ok(door)
    }

    /// The socket, for accepting. Accept only while [`accepts`](Self::accepts).
    pub(super) fn listener(&self) -> io::Result<TcpListener> {
        self.socket.try_clone()
    }

    /// Whether connections are to be accepted.
    pub(super) fn accepts(&self) -> bool {
        self.plug.is_none()
    }

    /// Lets in other callers than before.
    pub(super) fn admit(&mut self, sources: &[Cidr]) -> io::Result<()> {
        match (self.barrier, self.barrier.accepts(sources), self.accepts()) {
            (Barrier::Filter, _, _) => packet_filter::attach(&self.socket, sources),
            (Barrier::FullQueue, false, true) => self.shut(),
            (Barrier::FullQueue, true, false) => {
                self.plug = None;
                self.drain();
                Ok(rustix::net::listen(&self.socket, QUEUE)?)
            }
            (Barrier::FullQueue, _, _) => Ok(()),
        }
    }

    /// Makes the queue as short as Linux lets it be, which is one connection, and fills it.
    fn shut(&mut self) -> io::Result<()> {
        rustix::net::listen(&self.socket, 0)?;
        self.drain();
        // If a caller was faster, its connection fills the queue and this one is not made; both are as good.
        match TcpStream::connect_timeout(&self.at.into(), Duration::from_millis(200)) {
            Ok(plug) => self.plug = Some(plug),
            Err(e) if e.kind() == io::ErrorKind::TimedOut => self.plug = Some(self.unconnected()?),
            Err(e) => return Err(e),
        }
        Ok(())
    }

    /// Something to hold while somebody else's connection fills the queue.
    fn unconnected(&self) -> io::Result<TcpStream> {
        Ok(TcpStream::from(tcp_socket()?))
    }

    /// Ends the connections that wait to be accepted.
    fn drain(&self) {
        while self.socket.accept().is_ok() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(texts: &[&str]) -> Vec<Cidr> {
        texts.iter().map(|t| t.parse().unwrap()).collect()
    }

    /// Whether a caller gets through.
    fn reached(door: &Door, limit: Duration) -> bool {
        let at = door.listener().unwrap().local_addr().unwrap();
        TcpStream::connect_timeout(&at, limit).is_ok()
    }

    fn opens_and_shuts(barrier: Barrier, address: Ipv4Addr) {
        let port = TcpListener::bind((address, 0))
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let mut door = Door::open(SocketAddrV4::new(address, port), barrier, &[]).unwrap();
        let (short, long) = (Duration::from_millis(300), Duration::from_secs(20));
        for _ in 0..3 {
            assert!(!reached(&door, short), "{barrier:?}: shut");
            door.admit(&sources(&["127.0.0.0/8"])).unwrap();
            assert!(door.accepts());
            assert!(reached(&door, long), "{barrier:?}: open");
            assert!(reached(&door, long), "{barrier:?}: open for more than one");
            door.admit(&sources(&["10.0.0.0/8"])).unwrap();
        }
        assert!(!reached(&door, short), "{barrier:?}: shut again");
    }

    #[test]
    fn a_full_queue_keeps_everybody_out_and_lets_everybody_in_again() {
        opens_and_shuts(Barrier::FullQueue, Ipv4Addr::new(127, 3, 1, 1));
    }

    #[test]
    fn a_filter_does_the_same_where_the_host_allows_one() {
        if Barrier::of_this_host() == Barrier::Filter {
            opens_and_shuts(Barrier::Filter, Ipv4Addr::new(127, 3, 1, 2));
        }
    }

    #[test]
    fn ranges_that_share_an_address_with_the_loopback_range() {
        for (text, shares) in [
            ("0.0.0.0/0", true),
            ("127.0.0.1/32", true),
            ("127.0.0.0/8", true),
            ("64.0.0.0/2", true),
            ("128.0.0.0/1", false),
            ("10.0.0.0/8", false),
        ] {
            assert_eq!(reaches_loopback(text.parse().unwrap()), shares, "{text}");
        }
    }
}
