//! A guest's network namespace: loopback only, with the addresses that EC2's network would give.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use super::sys;

/// The instance metadata service's address, the same for every instance.
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html>
pub const IMDS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(IMDS_ADDRESS), 80);
const IMDS_ADDRESS: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);

/// Listeners inside the guest, to be served by the daemon outside: a socket keeps the namespace it was made in.
#[derive(Debug)]
pub struct Listeners {
    /// On [`IMDS`].
    pub imds: TcpListener,
    /// On the EC2 endpoint's address.
    pub endpoint: TcpListener,
}

/// Brings the network of this namespace up and listens where the guest expects services.
///
/// # Errors
/// If the namespace is not the caller's to change, or an address is taken.
pub fn set_up(
    private_ip: Ipv4Addr,
    ipv6: &[Ipv6Addr],
    endpoint: SocketAddr,
) -> io::Result<Listeners> {
    sys::set_up_loopback(&[IMDS_ADDRESS, private_ip])?;
    sys::add_ipv6_to_loopback(ipv6)?;
    Ok(Listeners {
        imds: TcpListener::bind(IMDS)?,
        endpoint: TcpListener::bind(endpoint)?,
    })
}
