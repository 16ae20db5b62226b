//! Public addresses: 127.x.y.z, each filtered as its instance's security groups and the firewall say.
//!
//! Every public address in use has a listening socket on the SSH port. A caller that no rule lets in gets no answer and waits
//! in vain, exactly as before a security group.

mod door;
mod exposure;
mod packet_filter;

pub use door::Barrier;
pub use exposure::{Exposure, exposures};

use crate::account::Account;
use crate::account::network::Cidr;
use crate::faults::Faults;
use crate::ids::InstanceId;
use crate::runtime::Guest;
use door::Door;
use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The public side of all instances.
pub struct PublicNetwork {
    ssh_port: u16,
    firewall: bool,
    doors: Doors,
    addresses: Mutex<BTreeMap<Ipv4Addr, Address>>,
}

/// How public addresses are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doors {
    /// Each has a listening socket, and this keeps callers out.
    Open(Barrier),
    /// Not at all: nobody calls. [`exposures`] still tells who would reach what.
    None,
}

struct Address {
    door: Door,
    behind: watch::Sender<Behind>,
    accepting: JoinHandle<()>,
}

/// What is behind a public address, as its accepting task needs to know it.
#[derive(Clone)]
struct Behind {
    accepts: bool,
    sources: Vec<Cidr>,
    guest: Option<Arc<dyn Guest>>,
}

impl Drop for Address {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl PublicNetwork {
    /// No addresses yet.
    pub fn new(ssh_port: u16, firewall: bool, doors: Doors) -> Self {
        Self {
            ssh_port,
            firewall,
            doors,
            addresses: Mutex::default(),
        }
    }

    /// Brings listeners into line with the account.
    pub fn follow(
        &self,
        account: &Account,
        faults: &Faults,
        guest: impl Fn(&InstanceId) -> Option<Arc<dyn Guest>>,
    ) {
        let Doors::Open(barrier) = self.doors else {
            return;
        };
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
            let changed = match addresses.get_mut(&ip) {
                Some(address) => address.change(exposure.sources, guest),
                None => Address::open(
                    SocketAddrV4::new(ip, self.ssh_port),
                    barrier,
                    exposure.sources,
                    guest,
                )
                .map(|address| {
                    addresses.insert(ip, address);
                }),
            };
            if let Err(e) = changed {
                tracing::error!(
                    "public address {ip} cannot be served on port {}: {e}",
                    self.ssh_port
                );
            }
        }
    }
}

impl Address {
    fn open(
        at: SocketAddrV4,
        barrier: Barrier,
        sources: Vec<Cidr>,
        guest: Option<Arc<dyn Guest>>,
    ) -> io::Result<Self> {
        let door = Door::open(at, barrier, &sources)?;
        let listener = TcpListener::from_std(door.listener()?)?;
        let (behind, current) = watch::channel(Behind {
            accepts: door.accepts(),
            sources,
            guest,
        });
        let accepting = tokio::spawn(accept(listener, current));
        Ok(Self {
            door,
            behind,
            accepting,
        })
    }

    fn change(&mut self, sources: Vec<Cidr>, guest: Option<Arc<dyn Guest>>) -> io::Result<()> {
        if sources != self.behind.borrow().sources {
            self.door.admit(&sources)?;
        }
        self.behind.send_replace(Behind {
            accepts: self.door.accepts(),
            sources,
            guest,
        });
        Ok(())
    }
}

/// Finds out which port guests' SSH servers can be reached on: 22 where this process may listen there on a public
/// address, else the first of `others` that is free.
///
/// # Errors
/// If none can be had.
pub fn choose_ssh_port(others: impl IntoIterator<Item = u16>) -> io::Result<u16> {
    let probe = Ipv4Addr::new(127, 255, 255, 253);
    let mut last = None;
    for port in std::iter::once(22).chain(others) {
        match std::net::TcpListener::bind(SocketAddrV4::new(probe, port)) {
            Ok(_) => return Ok(port),
            Err(e) => last = Some(e),
        }
    }
    Err(last.unwrap_or_else(|| io::Error::from(io::ErrorKind::AddrInUse)))
}

/// Accepts connections while the door is open, until the address is gone.
async fn accept(listener: TcpListener, mut current: watch::Receiver<Behind>) {
    loop {
        if !current.borrow_and_update().accepts {
            match current.changed().await {
                Ok(()) => continue,
                Err(_) => return,
            }
        }
        let accepted = tokio::select! {
            changed = current.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((caller, from)) => {
                let behind = current.borrow().clone();
                tokio::spawn(connect(caller, from, behind));
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
async fn connect(mut caller: TcpStream, from: SocketAddr, behind: Behind) {
    let admitted =
        matches!(from, SocketAddr::V4(v4) if behind.sources.iter().any(|s| s.contains(*v4.ip())));
    if !admitted {
        // A caller that no rule lets in hears nothing for as long as it waits.
        let mut ignored = [0; 1024];
        while matches!(caller.read(&mut ignored).await, Ok(n) if n > 0) {}
        return;
    }
    let server = match behind.guest {
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
