//! One region of the account.

use super::image::{Image, Snapshot, Volume};
use super::instance::Instance;
use super::key_pair::KeyPair;
use super::network::{
    Address, Association, Cidr, Direction, GroupRule, Peer, SecurityGroup, Subnet, Traffic, Vpc,
};
use super::parameter::Parameter;
use super::spot::SpotRequest;
use super::tags::Tags;
use crate::ids::{
    AllocationId, GroupId, GroupRuleId, ImageId, InstanceId, KeyPairId, ReservationId, SnapshotId,
    SpotRequestId, SubnetId, VolumeId, VpcId,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// What the account holds in one region.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Region {
    /// Such as `us-east-2`.
    pub name: String,
    /// The default VPC.
    pub vpc: Vpc,
    /// Its subnets, one for each zone.
    pub subnets: BTreeMap<SubnetId, Subnet>,
    /// Security groups.
    pub groups: BTreeMap<GroupId, SecurityGroup>,
    /// Key pairs.
    pub key_pairs: BTreeMap<KeyPairId, KeyPair>,
    /// Elastic IPs.
    pub addresses: BTreeMap<AllocationId, Address>,
    /// Instances, terminated ones for a while too.
    pub instances: BTreeMap<InstanceId, Instance>,
    /// Volumes.
    pub volumes: BTreeMap<VolumeId, Volume>,
    /// Own snapshots.
    pub snapshots: BTreeMap<SnapshotId, Snapshot>,
    /// Own images.
    pub images: BTreeMap<ImageId, Image>,
    /// Spot requests, each for as long as its instance is remembered.
    #[serde(default)]
    pub spot_requests: BTreeMap<SpotRequestId, SpotRequest>,
    /// SSM parameters.
    pub parameters: BTreeMap<String, Parameter>,
    /// What each ClientToken was used for, by `Action token`.
    pub client_tokens: BTreeMap<String, TokenUse>,
}

/// A ClientToken that has been used, see
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/Run_Instance_Idempotency.html>.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TokenUse {
    /// The request's parameters, so that another request with the same token is noticed.
    pub fingerprint: String,
    /// What the request made.
    pub made: String,
    /// When.
    pub at: Timestamp,
}

/// The zones of every region, by letter.
pub const ZONES: [char; 3] = ['a', 'b', 'c'];

impl Region {
    /// A region as it is from the start: a default VPC with a subnet in each zone and the default group. The ids are
    /// the same for each local EC2, so that nothing need be written down before something is made.
    pub fn new(name: &str) -> Self {
        let vpc = Vpc {
            id: VpcId::derived(&["default-vpc", name]),
            cidr: Cidr {
                network: Ipv4Addr::new(172, 31, 0, 0),
                prefix: 16,
            },
            tags: Tags::default(),
        };
        let subnets = ZONES.iter().zip(0u8..).map(|(letter, n)| {
            let zone = format!("{name}{letter}");
            let cidr = Cidr {
                network: Ipv4Addr::new(172, 31, n * 16, 0),
                prefix: 20,
            };
            let id = SubnetId::derived(&["default-subnet", &zone]);
            (
                id.clone(),
                Subnet {
                    id,
                    vpc: vpc.id.clone(),
                    zone,
                    cidr,
                    map_public_ip: true,
                    tags: Tags::default(),
                },
            )
        });
        let subnets = subnets.collect();
        let group = default_group(name, &vpc.id);
        Self {
            name: name.to_owned(),
            vpc,
            subnets,
            groups: BTreeMap::from([(group.id.clone(), group)]),
            key_pairs: BTreeMap::new(),
            addresses: BTreeMap::new(),
            instances: BTreeMap::new(),
            volumes: BTreeMap::new(),
            snapshots: BTreeMap::new(),
            images: BTreeMap::new(),
            spot_requests: BTreeMap::new(),
            parameters: BTreeMap::new(),
            client_tokens: BTreeMap::new(),
        }
    }

    /// The VPC's default group, which cannot be deleted.
    pub fn default_group(&self) -> Option<&SecurityGroup> {
        self.groups
            .values()
            .find(|g| g.name == "default" && g.vpc == self.vpc.id)
    }

    /// The Elastic IP bound to an instance.
    pub fn elastic_ip(&self, instance: &InstanceId) -> Option<&Address> {
        self.addresses.values().find(|a| {
            a.association
                .as_ref()
                .is_some_and(|s| s.instance == *instance)
        })
    }

    /// Binds an Elastic IP to an instance, which loses any other address.
    pub fn bind(&mut self, allocation: &AllocationId, association: Association) {
        for address in self.addresses.values_mut() {
            address.let_go_of(&association.instance);
        }
        // The random public address goes back to Amazon's pool, in the middle of the request that binds.
        if let Some(instance) = self.instances.get_mut(&association.instance) {
            instance.interface.public_ip = None;
        }
        if let Some(address) = self.addresses.get_mut(allocation) {
            address.coming = None;
            address.association = Some(association);
        }
    }

    /// Lets bindings take effect that are due.
    pub fn bind_due(&mut self, now: Timestamp) {
        let due: Vec<_> = self
            .addresses
            .values()
            .filter_map(|a| {
                let coming = a.coming.as_ref().filter(|c| c.due <= now)?;
                Some((a.allocation.clone(), coming.association.clone()))
            })
            .collect();
        for (allocation, association) in due {
            self.bind(&allocation, association);
        }
    }

    /// An instance's public address: its Elastic IP, else its random one.
    pub fn public_ip(&self, instance: &Instance) -> Option<Ipv4Addr> {
        self.elastic_ip(&instance.id)
            .map(|a| a.public_ip)
            .or(instance.interface.public_ip)
    }

    /// A free address in a subnet. EC2 keeps the first four and the last of each subnet, see
    /// <https://docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html>.
    pub fn free_private_ip(&self, subnet: &Subnet) -> Option<Ipv4Addr> {
        let first = subnet.cidr.network.to_bits() + 4;
        let last = (subnet.cidr.network.to_bits() | !subnet.cidr.mask()).saturating_sub(1);
        (first..=last)
            .map(Ipv4Addr::from_bits)
            .find(|ip| !self.private_ip_taken(*ip))
    }

    /// Whether an instance that is not terminated has this address.
    pub fn private_ip_taken(&self, ip: Ipv4Addr) -> bool {
        self.instances
            .values()
            .any(|i| i.holds_disk() && i.interface.private_ip == ip)
    }

    /// The rules that let traffic into an instance.
    pub fn ingress<'a>(&'a self, instance: &'a Instance) -> impl Iterator<Item = &'a Traffic> {
        let groups = instance
            .interface
            .groups
            .iter()
            .filter_map(|id| self.groups.get(id));
        groups
            .flat_map(|g| &g.rules)
            .filter(|r| r.direction == Direction::Ingress)
            .map(|r| &r.traffic)
    }

    /// The instances of one RunInstances.
    pub fn reservation(&self, id: &ReservationId) -> Vec<&Instance> {
        let mut members: Vec<_> = self
            .instances
            .values()
            .filter(|i| i.reservation == *id)
            .collect();
        members.sort_by_key(|i| i.launch_index);
        members
    }

    /// The tags of a resource of any kind.
    pub fn tags_mut(&mut self, id: &str) -> Option<&mut Tags> {
        fn by<K: Ord, V>(
            map: &mut BTreeMap<K, V>,
            key: Option<K>,
            tags: fn(&mut V) -> &mut Tags,
        ) -> Option<&mut Tags> {
            map.get_mut(&key?).map(tags)
        }
        match id.rsplit_once('-')?.0 {
            "i" => by(&mut self.instances, InstanceId::parse(id).ok(), |i| {
                &mut i.tags
            }),
            "ami" => by(&mut self.images, ImageId::parse(id).ok(), |i| &mut i.tags),
            "snap" => by(&mut self.snapshots, SnapshotId::parse(id).ok(), |s| {
                &mut s.tags
            }),
            "vol" => by(&mut self.volumes, VolumeId::parse(id).ok(), |v| &mut v.tags),
            "sg" => by(&mut self.groups, GroupId::parse(id).ok(), |g| &mut g.tags),
            "subnet" => by(&mut self.subnets, SubnetId::parse(id).ok(), |s| &mut s.tags),
            "key" => by(&mut self.key_pairs, KeyPairId::parse(id).ok(), |k| {
                &mut k.tags
            }),
            "eipalloc" => by(&mut self.addresses, AllocationId::parse(id).ok(), |a| {
                &mut a.tags
            }),
            "sir" => by(
                &mut self.spot_requests,
                SpotRequestId::parse(id).ok(),
                |r| &mut r.tags,
            ),
            "vpc" => (self.vpc.id.as_str() == id).then_some(&mut self.vpc.tags),
            "eni" => self
                .instances
                .values_mut()
                .find(|i| i.interface.id.as_str() == id)
                .map(|i| &mut i.interface.tags),
            "sgr" => self
                .groups
                .values_mut()
                .flat_map(|g| &mut g.rules)
                .find(|r| r.id.as_str() == id)
                .map(|r| &mut r.tags),
            _ => None,
        }
    }

    /// Every resource with tags: its id, EC2's word for its kind, and the tags.
    pub fn all_tags(&self) -> Vec<(&str, &'static str, &Tags)> {
        let mut all: Vec<(&str, &'static str, &Tags)> =
            vec![(self.vpc.id.as_str(), "vpc", &self.vpc.tags)];
        all.extend(
            self.instances
                .values()
                .map(|i| (i.id.as_str(), "instance", &i.tags)),
        );
        all.extend(self.instances.values().map(|i| {
            (
                i.interface.id.as_str(),
                "network-interface",
                &i.interface.tags,
            )
        }));
        all.extend(
            self.images
                .values()
                .map(|i| (i.id.as_str(), "image", &i.tags)),
        );
        all.extend(
            self.snapshots
                .values()
                .map(|s| (s.id.as_str(), "snapshot", &s.tags)),
        );
        all.extend(
            self.volumes
                .values()
                .map(|v| (v.id.as_str(), "volume", &v.tags)),
        );
        all.extend(
            self.groups
                .values()
                .map(|g| (g.id.as_str(), "security-group", &g.tags)),
        );
        all.extend(
            self.groups
                .values()
                .flat_map(|g| &g.rules)
                .map(|r| (r.id.as_str(), "security-group-rule", &r.tags)),
        );
        all.extend(
            self.subnets
                .values()
                .map(|s| (s.id.as_str(), "subnet", &s.tags)),
        );
        all.extend(
            self.key_pairs
                .values()
                .map(|k| (k.id.as_str(), "key-pair", &k.tags)),
        );
        all.extend(
            self.addresses
                .values()
                .map(|a| (a.allocation.as_str(), "elastic-ip", &a.tags)),
        );
        all.extend(
            self.spot_requests
                .values()
                .map(|r| (r.id.as_str(), "spot-instances-request", &r.tags)),
        );
        all
    }
}

fn default_group(region: &str, vpc: &VpcId) -> SecurityGroup {
    let id = GroupId::derived(&["default-group", region]);
    let rule = |direction, peer, part: &str| GroupRule {
        id: GroupRuleId::derived(&["default-rule", region, part]),
        direction,
        traffic: Traffic {
            protocol: "-1".into(),
            from: None,
            to: None,
            peer,
        },
        description: None,
        tags: Tags::default(),
    };
    let everywhere = Peer::Ipv4(Cidr {
        network: Ipv4Addr::UNSPECIFIED,
        prefix: 0,
    });
    let rules = vec![
        rule(Direction::Ingress, Peer::Group(id.clone()), "in"),
        rule(Direction::Egress, everywhere, "out"),
    ];
    SecurityGroup {
        id,
        name: "default".into(),
        description: "default VPC security group".into(),
        vpc: vpc.clone(),
        created: Timestamp::UNIX_EPOCH,
        rules,
        tags: Tags::default(),
    }
}
