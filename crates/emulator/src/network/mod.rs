//! Public addresses: 127.x.y.z, each filtered as its instance's security groups and the firewall say.
//!
//! Every public address in use has a listening socket on the SSH port. A packet filter on the socket drops what is not
//! let through before TCP sees it, so that a caller without a rule waits in vain, exactly as before a security group.

mod exposure;
mod packet_filter;

pub use exposure::{Exposure, exposures};

use crate::account::Account;
use crate::faults::Faults;
use crate::ids::InstanceId;
use crate::runtime::Guest;
use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The public side of all instances.
pub struct PublicNetwork {
    ssh_port: u16,
    firewall: bool,
    addresses: Mutex<BTreeMap<Ipv4Addr, Address>>,
}

/// Finds the guest that an address leads to.
type Lookup = Arc<dyn Guest>;

struct Address {
    socket: std::os::fd::OwnedFd,
    exposure: Exposure,
    guest: watch::Sender<Option<Lookup>>,
    accepting: JoinHandle<()>,
}

impl Drop for Address {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl PublicNetwork {
    /// No addresses yet.
    pub fn new(ssh_port: u16, firewall: bool) -> Self {
        Self {
            ssh_port,
            firewall,
            addresses: Mutex::default(),
        }
    }

    /// Brings listeners and filters into line with the account.
    pub fn follow(
        &self,
        account: &Account,
        faults: &Faults,
        guest: impl Fn(&InstanceId) -> Option<Arc<dyn Guest>>,
    ) {
        let mut wanted = exposures(account, self.firewall);
        if faults.ssh_never_up {
            wanted.values_mut().for_each(|e| e.sources.clear());
        }
        let mut addresses = self
            .addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        addresses.retain(|ip, _| wanted.contains_key(ip));
        for (ip, exposure) in wanted {
            let guest = exposure.instance.as_ref().and_then(&guest);
            match addresses.get_mut(&ip) {
                Some(address) => address.change(exposure, guest),
                None => {
                    match Address::open(SocketAddrV4::new(ip, self.ssh_port), exposure, guest) {
                        Ok(address) => {
                            addresses.insert(ip, address);
                        }
                        Err(e) => tracing::error!(
                            "public address {ip} is not reachable: cannot listen on port {}: {e}",
                            self.ssh_port
                        ),
                    }
                }
            }
        }
    }
}

impl Address {
    fn open(at: SocketAddrV4, exposure: Exposure, guest: Option<Lookup>) -> io::Result<Self> {
        let listener = listen(at, &exposure)?;
        let socket = std::os::fd::OwnedFd::from(listener.try_clone()?);
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let (guest, current) = watch::channel(guest);
        let accepting = tokio::spawn(accept(listener, current));
        Ok(Self {
            socket,
            exposure,
            guest,
            accepting,
        })
    }

    fn change(&mut self, exposure: Exposure, guest: Option<Lookup>) {
        if exposure.sources != self.exposure.sources
            && let Err(e) = packet_filter::attach(&self.socket, &exposure.sources)
        {
            tracing::error!("cannot change a public address's filter: {e}");
        }
        self.exposure = exposure;
        self.guest.send_replace(guest);
    }
}

/// Listens with the filter in place before the first packet can come.
fn listen(at: SocketAddrV4, exposure: &Exposure) -> io::Result<TcpListener> {
    use rustix::net::{
        AddressFamily, SocketFlags, SocketType, bind, ipproto, listen, socket_with, sockopt,
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(
        AddressFamily::INET,
        SocketType::STREAM,
        flags,
        Some(ipproto::TCP),
    )?;
    // Connections of an instance that had the address before may still be closing.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    packet_filter::attach(&socket, &exposure.sources)?;
    bind(&socket, &at)?;
    listen(&socket, 128)?;
    Ok(TcpListener::from(socket))
}

/// Finds out which port guests' SSH servers can be reached on: 22 where this process may listen there on a public
/// address, else the first of `others` that is free.
///
/// # Errors
/// If none can be had.
pub fn choose_ssh_port(others: impl IntoIterator<Item = u16>) -> io::Result<u16> {
    let probe = Ipv4Addr::new(127, 255, 255, 253);
    let nobody = Exposure {
        instance: None,
        sources: Vec::new(),
    };
    let mut last = None;
    for port in std::iter::once(22).chain(others) {
        match listen(SocketAddrV4::new(probe, port), &nobody) {
            Ok(_) => return Ok(port),
            Err(e) => last = Some(e),
        }
    }
    Err(last.unwrap_or_else(|| io::Error::from(io::ErrorKind::AddrInUse)))
}

async fn accept(listener: tokio::net::TcpListener, guest: watch::Receiver<Option<Lookup>>) {
    loop {
        match listener.accept().await {
            Ok((caller, _)) => {
                let guest = guest.borrow().clone();
                tokio::spawn(connect(caller, guest));
            }
            Err(e) => {
                tracing::warn!("cannot accept a connection to a guest: {e}");
                // Out of descriptors: nothing tells when there are some again.
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
}

/// Joins a caller with the guest's SSH server. Where no server listens yet the connection is reset, as by a booting system.
async fn connect(mut caller: TcpStream, guest: Option<Lookup>) {
    let server = match guest {
        Some(guest) => guest.connect_ssh().await,
        None => Err(io::Error::from(io::ErrorKind::ConnectionRefused)),
    };
    match server {
        Ok(mut server) => {
            let _ = caller.set_nodelay(true);
            // Either side may go away at any time; that is the end of the connection and no error of ours.
            let _ = tokio::io::copy_bidirectional(&mut caller, &mut server).await;
        }
        Err(_) => {
            let _ = caller.set_zero_linger();
        }
    }
}
