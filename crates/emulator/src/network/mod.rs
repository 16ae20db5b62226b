//! Public addresses: 127.x.y.z, each filtered as its instance's security groups and the firewall say.
//!
//! Every public address in use has a listening socket on the SSH port. A caller that no rule lets in gets no answer and waits
//! in vain, exactly as before a security group.

mod door;
mod exposure;
mod packet_filter;
mod relay;

pub use door::Barrier;
pub use exposure::{Exposure, exposures};

use crate::account::Account;
use crate::account::network::Cidr;
use crate::account::tags::Tags;
use crate::faults::{FaultFile, Faults};
use crate::ids::InstanceId;
use crate::instance_faults::{ConnectionFaults, SshFaults, Subject};
use crate::runtime::Guest;
use door::Door;
use std::collections::{BTreeMap, HashMap};
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
    connections: Arc<Connections>,
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

/// Counts each instance's connections, for faults that are for the first so many.
struct Connections {
    faults: Arc<FaultFile>,
    /// With the faults under which they were counted: under other faults the count begins anew.
    made: Mutex<HashMap<InstanceId, (SshFaults, u32)>>,
}

impl Connections {
    /// Counts a connection; gives what is to go wrong with it.
    fn count(&self, to: &Occupant) -> ConnectionFaults {
        let ssh = self.faults.now().unwrap_or_default().instances.of(to).ssh;
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if ssh == SshFaults::default() {
            made.remove(&to.id);
            return ConnectionFaults::default();
        }
        let (under, count) = made.entry(to.id.clone()).or_insert((ssh, 0));
        if *under != ssh {
            (*under, *count) = (ssh, 0);
        }
        let nth = *count;
        *count = nth.saturating_add(1);
        ssh.of_connection(nth)
    }
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
    inside: Inside,
}

/// What the account has at a public address.
#[derive(Clone)]
struct Inside {
    sources: Vec<Cidr>,
    guest: Option<Arc<dyn Guest>>,
    occupant: Option<Occupant>,
}

/// The instance at an address, as far as faults ask about it.
#[derive(Clone)]
struct Occupant {
    id: InstanceId,
    tags: Tags,
}

impl<'a> From<&'a Occupant> for Subject<'a> {
    fn from(occupant: &'a Occupant) -> Self {
        Self {
            instance: Some(&occupant.id),
            tags: &occupant.tags,
        }
    }
}

impl Drop for Address {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl PublicNetwork {
    /// No addresses yet.
    pub fn new(ssh_port: u16, firewall: bool, doors: Doors, faults: Arc<FaultFile>) -> Self {
        Self {
            ssh_port,
            firewall,
            doors,
            connections: Arc::new(Connections {
                faults,
                made: Mutex::default(),
            }),
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
        let wanted = exposures(account, self.firewall);
        let mut addresses = self
            .addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        addresses.retain(|ip, _| wanted.contains_key(ip));
        for (ip, exposure) in wanted {
            let occupant = exposure.instance.as_ref().and_then(|id| {
                let (_, instance) = account.find_instance(id)?;
                Some(Occupant {
                    id: id.clone(),
                    tags: instance.tags.clone(),
                })
            });
            let guest = exposure.instance.as_ref().and_then(&guest);
            let never_up = occupant
                .as_ref()
                .is_some_and(|o| faults.instances.of(o).ssh.never_up);
            let unplugged = guest.as_ref().is_some_and(|g| !g.has_network());
            let sources = match never_up || unplugged {
                true => Vec::new(),
                false => exposure.sources,
            };
            let inside = Inside {
                sources,
                guest,
                occupant,
            };
            let changed = match addresses.get_mut(&ip) {
                Some(address) => address.change(inside),
                None => Address::open(
                    SocketAddrV4::new(ip, self.ssh_port),
                    barrier,
                    inside,
                    self.connections.clone(),
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
        inside: Inside,
        connections: Arc<Connections>,
    ) -> io::Result<Self> {
        let door = Door::open(at, barrier, &inside.sources)?;
        let listener = TcpListener::from_std(door.listener()?)?;
        let (behind, current) = watch::channel(Behind {
            accepts: door.accepts(),
            inside,
        });
        let accepting = tokio::spawn(accept(listener, current, connections));
        Ok(Self {
            door,
            behind,
            accepting,
        })
    }

    fn change(&mut self, inside: Inside) -> io::Result<()> {
        if inside.sources != self.behind.borrow().inside.sources {
            self.door.admit(&inside.sources)?;
        }
        self.behind.send_replace(Behind {
            accepts: self.door.accepts(),
            inside,
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
async fn accept(
    listener: TcpListener,
    mut current: watch::Receiver<Behind>,
    connections: Arc<Connections>,
) {
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
                let inside = current.borrow().inside.clone();
                tokio::spawn(connect(caller, from, inside, connections.clone()));
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
async fn connect(
    mut caller: TcpStream,
    from: SocketAddr,
    inside: Inside,
    connections: Arc<Connections>,
) {
    let admitted =
        matches!(from, SocketAddr::V4(v4) if inside.sources.iter().any(|s| s.contains(*v4.ip())));
    if !admitted {
        // A caller that no rule lets in hears nothing for as long as it waits.
        let mut ignored = [0; 1024];
        while matches!(caller.read(&mut ignored).await, Ok(n) if n > 0) {}
        return;
    }
    let Some(guest) = inside.guest else {
        let _ = caller.set_zero_linger();
        return;
    };
    let faults = inside
        .occupant
        .map(|o| connections.count(&o))
        .unwrap_or_default();
    if faults.refused {
        let _ = caller.set_zero_linger();
        return;
    }
    if !faults.banner_delay.is_zero() {
        tokio::time::sleep(faults.banner_delay).await;
    }
    match guest.connect_ssh().await {
        Ok(server) => {
            let _ = caller.set_nodelay(true);
            relay::relay(caller, server, faults.breaks, guest.exited()).await;
        }
        Err(_) => {
            let _ = caller.set_zero_linger();
        }
    }
}
