//! The network as the account remembers it: VPC, subnets, security groups, Elastic IPs.

use super::tags::Tags;
use crate::ids::{AllocationId, AssociationId, GroupId, GroupRuleId, InstanceId, SubnetId, VpcId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A range of IPv4 addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cidr {
    /// The first address.
    pub network: Ipv4Addr,
    /// How many leading bits are fixed, 0 to 32.
    pub prefix: u8,
}

/// A text that is no IPv4 range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an IPv4 range such as 203.0.113.7/32")]
pub struct NotACidr;

impl Cidr {
    /// The bits that are fixed.
    pub fn mask(self) -> u32 {
        u32::MAX
            .checked_shl(32 - u32::from(self.prefix))
            .unwrap_or(0)
    }

    /// Whether all of `other` lies in it.
    pub fn covers(self, other: Self) -> bool {
        self.prefix <= other.prefix && self.contains(other.network)
    }

    /// Whether the two have an address in common.
    pub fn overlaps(self, other: Self) -> bool {
        self.covers(other) || other.covers(self)
    }

    /// Whether `address` lies in it.
    pub fn contains(self, address: Ipv4Addr) -> bool {
        address.to_bits() & self.mask() == self.network.to_bits() & self.mask()
    }
}

impl FromStr for Cidr {
    type Err = NotACidr;

    /// Reads `a.b.c.d/n`. Bits after the prefix are cleared, as EC2 does.
    fn from_str(text: &str) -> Result<Self, NotACidr> {
        let (network, prefix) = text.split_once('/').ok_or(NotACidr)?;
        let network: Ipv4Addr = network.parse().map_err(|_| NotACidr)?;
        let prefix: u8 = prefix.parse().map_err(|_| NotACidr)?;
        if prefix > 32 {
            return Err(NotACidr);
        }
        let whole = Self { network, prefix };
        Ok(Self {
            network: Ipv4Addr::from_bits(network.to_bits() & whole.mask()),
            prefix,
        })
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix)
    }
}

impl Serialize for Cidr {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cidr {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

fn yes() -> bool {
    true
}

/// A range of IPv6 addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ipv6Cidr {
    /// The first address.
    pub network: Ipv6Addr,
    /// How many leading bits are fixed, 0 to 128.
    pub prefix: u8,
}

/// A text that is no IPv6 range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an IPv6 range such as fd00:ec2::/56")]
pub struct NotAnIpv6Cidr;

impl Ipv6Cidr {
    fn mask(prefix: u8) -> u128 {
        u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0)
    }

    /// Whether `address` lies in it.
    pub fn contains(self, address: Ipv6Addr) -> bool {
        let mask = Self::mask(self.prefix);
        address.to_bits() & mask == self.network.to_bits() & mask
    }

    /// Whether all of `other` lies in it.
    pub fn covers(self, other: Self) -> bool {
        self.prefix <= other.prefix && self.contains(other.network)
    }
}

impl FromStr for Ipv6Cidr {
    type Err = NotAnIpv6Cidr;

    fn from_str(text: &str) -> Result<Self, NotAnIpv6Cidr> {
        let (network, prefix) = text.split_once('/').ok_or(NotAnIpv6Cidr)?;
        let network: Ipv6Addr = network.parse().map_err(|_| NotAnIpv6Cidr)?;
        let prefix: u8 = prefix.parse().map_err(|_| NotAnIpv6Cidr)?;
        if prefix > 128 {
            return Err(NotAnIpv6Cidr);
        }
        let network = Ipv6Addr::from_bits(network.to_bits() & Self::mask(prefix));
        Ok(Self { network, prefix })
    }
}

impl fmt::Display for Ipv6Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix)
    }
}

impl Serialize for Ipv6Cidr {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Ipv6Cidr {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// A VPC.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Vpc {
    /// Its id.
    pub id: VpcId,
    /// Its range.
    pub cidr: Cidr,
    /// Its range of IPv6 addresses, a /56.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<Ipv6Cidr>,
    /// Its tags.
    pub tags: Tags,
}

/// A subnet.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Subnet {
    /// Its id.
    pub id: SubnetId,
    /// Its VPC.
    pub vpc: VpcId,
    /// Its zone, such as `us-east-2c`.
    pub zone: String,
    /// Its range.
    pub cidr: Cidr,
    /// Whether it is its zone's default subnet.
    #[serde(default = "yes")]
    pub default_for_zone: bool,
    /// Whether an instance launched in it gets a public address unless it says otherwise.
    pub map_public_ip: bool,
    /// Its range of IPv6 addresses, a /64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<Ipv6Cidr>,
    /// Whether an instance launched in it gets an IPv6 address unless it says otherwise.
    #[serde(default)]
    pub assign_ipv6: bool,
    /// Its tags.
    pub tags: Tags,
}

/// A security group.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SecurityGroup {
    /// Its id.
    pub id: GroupId,
    /// Its name, unique in its VPC.
    pub name: String,
    /// Its description.
    pub description: String,
    /// Its VPC.
    pub vpc: VpcId,
    /// When it was made.
    pub created: Timestamp,
    /// What is let in and out.
    pub rules: Vec<GroupRule>,
    /// Its tags.
    pub tags: Tags,
}

/// Which way a rule lets traffic through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// Into the instance.
    Ingress,
    /// Out of it.
    Egress,
}

/// A rule of a security group.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GroupRule {
    /// Its id.
    pub id: GroupRuleId,
    /// Which way.
    pub direction: Direction,
    /// What traffic.
    pub traffic: Traffic,
    /// Its description.
    pub description: Option<String>,
    /// Its tags.
    pub tags: Tags,
}

/// The traffic that a rule is about; two rules with the same traffic are duplicates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// `tcp`, `udp`, `icmp`, `icmpv6`, a protocol number, or `-1` for all.
    pub protocol: String,
    /// First port, or ICMP type.
    pub from: Option<i32>,
    /// Last port, or ICMP code.
    pub to: Option<i32>,
    /// The other side.
    pub peer: Peer,
}

/// The other side of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Peer {
    /// An IPv4 range.
    Ipv4(Cidr),
    /// An IPv6 range, as given. Nobody reaches a guest over IPv6 here, so it lets nobody in.
    Ipv6(String),
    /// Instances of a group.
    Group(GroupId),
}

impl Traffic {
    /// Whether it includes TCP to `port`.
    pub fn includes_tcp(&self, port: u16) -> bool {
        match self.protocol.as_str() {
            "-1" => true,
            "tcp" => {
                let port = i32::from(port);
                self.from.unwrap_or(0) <= port && port <= self.to.unwrap_or(65_535)
            }
            _ => false,
        }
    }
}

/// An Elastic IP.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Address {
    /// Its allocation.
    pub allocation: AllocationId,
    /// The address.
    pub public_ip: Ipv4Addr,
    /// What it is bound to.
    pub association: Option<Association>,
    /// A binding that has been answered and has no effect yet. The address counts as taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coming: Option<ComingAssociation>,
    /// Its tags.
    pub tags: Tags,
}

/// An Elastic IP's binding that takes effect later.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ComingAssociation {
    /// What it will be.
    pub association: Association,
    /// From when on.
    pub due: Timestamp,
}

impl Address {
    /// The binding, in effect or coming.
    pub fn bound(&self) -> Option<&Association> {
        let coming = self.coming.as_ref().map(|c| &c.association);
        self.association.as_ref().or(coming)
    }

    /// Lets go of `instance`, whether the binding is in effect or coming.
    pub fn let_go_of(&mut self, instance: &InstanceId) {
        self.association.take_if(|a| a.instance == *instance);
        self.coming.take_if(|c| c.association.instance == *instance);
    }
}

/// An Elastic IP's binding.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Association {
    /// Its id.
    pub id: AssociationId,
    /// The instance.
    pub instance: InstanceId,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn cidr_reads_and_clears_host_bits() {
        let c: Cidr = "10.1.2.3/8".parse().unwrap();
        assert_eq!(c.to_string(), "10.0.0.0/8");
        for bad in [
            "",
            "10.0.0.0",
            "10.0.0.0/33",
            "10.0.0/8",
            "x/8",
            "10.0.0.0/-1",
        ] {
            assert!(bad.parse::<Cidr>().is_err(), "{bad}");
        }
    }

    #[test]
    fn all_traffic_includes_ssh_and_udp_does_not() {
        let peer = Peer::Ipv4("0.0.0.0/0".parse().unwrap());
        let t = |protocol: &str, from, to| Traffic {
            protocol: protocol.into(),
            from,
            to,
            peer: peer.clone(),
        };
        assert!(t("-1", None, None).includes_tcp(22));
        assert!(t("tcp", Some(20), Some(22)).includes_tcp(22));
        assert!(!t("tcp", Some(23), Some(80)).includes_tcp(22));
        assert!(!t("udp", Some(22), Some(22)).includes_tcp(22));
    }

    proptest! {
        #[test]
        fn a_range_contains_exactly_what_shares_its_prefix(a: u32, b: u32, prefix in 0u8..=32) {
            let c: Cidr = format!("{}/{prefix}", Ipv4Addr::from_bits(a)).parse().unwrap();
            let same = prefix == 0 || a >> (32 - u32::from(prefix)) == b >> (32 - u32::from(prefix));
            prop_assert_eq!(c.contains(Ipv4Addr::from_bits(b)), same);
            prop_assert_eq!(c.to_string().parse::<Cidr>(), Ok(c));
        }
    }
}
