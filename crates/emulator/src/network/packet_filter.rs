//! A packet filter on a listening socket, in classic BPF.
//!
//! `SO_ATTACH_FILTER` lets any process filter its own sockets, see socket(7). On a listening TCP socket the filter sees each
//! first packet before TCP does; one that it drops is never answered. Connections keep the filter they were accepted with.
#![allow(unsafe_code)] // setsockopt with a pointer to the program; rustix has no call for it.

use crate::account::network::Cidr;
use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// Lets only packets from `sources` reach the socket.
///
/// # Errors
/// If the kernel refuses the filter: it is too long (some 1,300 ranges), or filters are not allowed here.
pub fn attach(socket: &impl AsFd, sources: &[Cidr]) -> io::Result<()> {
    let program = program(sources);
    let length =
        u16::try_from(program.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let filter = libc::sock_fprog {
        len: length,
        filter: program.as_ptr().cast_mut(),
    };
    let size = libc::socklen_t::try_from(size_of::<libc::sock_fprog>())
        .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    // SAFETY: `filter` and the program it points to live until after the call, and the kernel copies both.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            std::ptr::from_ref(&filter).cast(),
            size,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// The IPv4 header's source address, seen from a packet's network header (`SKF_NET_OFF` in linux/filter.h).
const SOURCE: u32 = 0xfff0_0000 + 12;
/// Let the whole packet through.
const PASS: u32 = u32::MAX;
/// Drop it.
const DROP: u32 = 0;

/// For each range: load the source, mask it, compare it. Whatever matches none is dropped.
fn program(sources: &[Cidr]) -> Vec<libc::sock_filter> {
    let load = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    let and = (libc::BPF_ALU | libc::BPF_AND | libc::BPF_K) as u16;
    let equal = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    let ret = (libc::BPF_RET | libc::BPF_K) as u16;
    let op = |code, k| libc::sock_filter {
        code,
        jt: 0,
        jf: 0,
        k,
    };
    let mut program = Vec::with_capacity(sources.len() * 4 + 1);
    for source in sources {
        program.push(op(load, SOURCE));
        program.push(op(and, source.mask()));
        program.push(libc::sock_filter {
            code: equal,
            jt: 0,
            jf: 1,
            k: source.network.to_bits() & source.mask(),
        });
        program.push(op(ret, PASS));
    }
    program.push(op(ret, DROP));
    program
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
    use std::time::Duration;

    fn cidrs(texts: &[&str]) -> Vec<Cidr> {
        texts.iter().map(|t| t.parse().unwrap()).collect()
    }

    /// Whether a datagram from each address gets through the filter. UDP, so that the answer needs no waiting: what the
    /// filter dropped never shows up before the datagram that is let through at the end.
    fn passing(sources: &[&str], from: &[Ipv4Addr]) -> Vec<Ipv4Addr> {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut allowed = cidrs(sources);
        allowed.extend(cidrs(&["127.99.99.99/32"]));
        attach(&server, &allowed).unwrap();
        server
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        let last = Ipv4Addr::new(127, 99, 99, 99);
        for ip in from.iter().copied().chain([last]) {
            let client = UdpSocket::bind((ip, 0)).unwrap();
            client.send_to(b"?", server.local_addr().unwrap()).unwrap();
        }
        let mut passed = Vec::new();
        loop {
            let (_, SocketAddr::V4(peer)) = server.recv_from(&mut [0; 1]).unwrap() else {
                unreachable!()
            };
            if *peer.ip() == last {
                return passed;
            }
            passed.push(*peer.ip());
        }
    }

    #[test]
    fn only_the_sources_get_through() {
        let (a, b, c) = (
            Ipv4Addr::new(127, 0, 0, 1),
            Ipv4Addr::new(127, 0, 0, 9),
            Ipv4Addr::new(127, 5, 0, 1),
        );
        assert_eq!(passing(&["127.0.0.9/32"], &[a, b, c]), [b]);
        assert_eq!(passing(&["127.0.0.0/16"], &[a, b, c]), [a, b]);
        assert_eq!(passing(&["0.0.0.0/0"], &[a, b, c]), [a, b, c]);
        assert_eq!(passing(&["10.0.0.0/8", "127.5.0.0/24"], &[a, b, c]), [c]);
        assert!(passing(&[], &[a, b, c]).is_empty());
    }

    #[test]
    fn a_filter_takes_the_place_of_the_one_before() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        attach(&listener, &[]).unwrap();
        attach(&listener, &cidrs(&["127.0.0.1/32"])).unwrap();
        std::net::TcpStream::connect_timeout(
            &listener.local_addr().unwrap(),
            Duration::from_secs(10),
        )
        .unwrap();
    }
}
