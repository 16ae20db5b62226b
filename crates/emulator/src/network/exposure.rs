//! Which callers reach which public address.

use crate::account::Account;
use crate::account::lifecycle::InstanceState;
use crate::account::network::{Cidr, Peer};
use crate::account::region::Region;
use crate::ids::InstanceId;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Who can reach a public address, and what is behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposure {
    /// The instance; none for an Elastic IP that is bound to nothing.
    pub instance: Option<InstanceId>,
    /// Callers whose packets to the SSH port are let through.
    pub sources: Vec<Cidr>,
}

/// The port that security groups are asked about. The local EC2 lets nothing else through.
const SSH: u16 = 22;

/// All public addresses in use. With the firewall on, only Elastic IPs let anybody through in regions where there are some:
/// a build host's firewall knows the addresses that somebody has allocated for it, and elsewhere there is nothing to know.
pub fn exposures(account: &Account, firewall: bool) -> BTreeMap<Ipv4Addr, Exposure> {
    let mut all = BTreeMap::new();
    for region in account.regions.values() {
        for address in region.addresses.values() {
            let instance = address.association.as_ref().map(|a| a.instance.clone());
            let sources = instance
                .as_ref()
                .map(|id| sources(region, id))
                .unwrap_or_default();
            all.insert(address.public_ip, Exposure { instance, sources });
        }
        for instance in region.instances.values().filter(|i| i.holds_disk()) {
            if let Some(ip) = instance.interface.public_ip {
                let sources = if firewall && !region.addresses.is_empty() {
                    Vec::new()
                } else {
                    sources(region, &instance.id)
                };
                all.insert(
                    ip,
                    Exposure {
                        instance: Some(instance.id.clone()),
                        sources,
                    },
                );
            }
        }
    }
    all
}

/// Who may reach a running instance; nobody reaches another.
fn sources(region: &Region, id: &InstanceId) -> Vec<Cidr> {
    let Some(instance) = region
        .instances
        .get(id)
        .filter(|i| i.state == InstanceState::Running)
    else {
        return Vec::new();
    };
    let mut sources: Vec<Cidr> = region
        .ingress(instance)
        .filter(|t| t.includes_tcp(SSH))
        .filter_map(|t| match t.peer {
            Peer::Ipv4(cidr) => Some(cidr),
            // Guests cannot reach each other, and there is no IPv6.
            Peer::Ipv6(_) | Peer::Group(_) => None,
        })
        .collect();
    sources.sort();
    sources.dedup();
    sources
}
