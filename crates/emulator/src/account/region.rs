//! One region of the account.

use super::ACCOUNT_ID;
use super::capacity::{CapacityReservation, DedicatedHost, PlacementGroup};
use super::image::{Image, Snapshot, Volume};
use super::import_task::ImportTask;
use super::instance::Instance;
use super::key_pair::KeyPair;
use super::kms::Keys;
use super::launch_template::LaunchTemplate;
use super::network::{
    Address, Association, Cidr, Direction, GroupRule, Peer, SecurityGroup, Subnet, Traffic, Vpc,
};
use super::parameter::{Parameter, PendingParameter};
use super::public_access::{PublicImages, PublicSnapshots};
use super::spot::SpotRequest;
use super::tags::Tags;
use crate::ids::{
    AllocationId, CapacityReservationId, GroupId, GroupRuleId, HostId, ImageId, ImportTaskId,
    InstanceId, KeyPairId, LaunchTemplateId, ReservationId, SnapshotId, SpotRequestId, SubnetId,
    VolumeId, VpcId,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

/// What the account holds in one region.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Region {
    /// The account whose it is.
    #[serde(default = "users_own")]
    pub owner: String,
    /// Such as `us-east-2`.
    pub name: String,
    /// The default VPC, unless it has been deleted.
    pub vpc: Option<Vpc>,
    /// All others.
    #[serde(default)]
    pub vpcs: BTreeMap<VpcId, Vpc>,
    /// Subnets of all VPCs.
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
    /// Tasks that import snapshots.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub import_tasks: BTreeMap<ImportTaskId, ImportTask>,
    /// Own images.
    pub images: BTreeMap<ImageId, Image>,
    /// Capacity reservations.
    #[serde(default)]
    pub reservations: BTreeMap<CapacityReservationId, CapacityReservation>,
    /// Dedicated hosts.
    #[serde(default)]
    pub hosts: BTreeMap<HostId, DedicatedHost>,
    /// Placement groups, by name.
    #[serde(default)]
    pub placement_groups: BTreeMap<String, PlacementGroup>,
    /// Launch templates.
    #[serde(default)]
    pub launch_templates: BTreeMap<LaunchTemplateId, LaunchTemplate>,
    /// Whether images may be shared with everybody.
    #[serde(default)]
    pub public_images: PublicImages,
    /// Whether snapshots may be shared with everybody.
    #[serde(default)]
    pub public_snapshots: PublicSnapshots,
    /// Keys of KMS.
    #[serde(default)]
    pub keys: Keys,
    /// Spot requests, each for as long as its instance is remembered.
    #[serde(default)]
    pub spot_requests: BTreeMap<SpotRequestId, SpotRequest>,
    /// SSM parameters.
    pub parameters: BTreeMap<String, Parameter>,
    /// Values of parameters that are being checked, in the order of their coming.
    #[serde(default)]
    pub pending_parameters: Vec<PendingParameter>,
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
    pub fn new(owner: &str, name: &str) -> Self {
        // Another account's ids are others.
        let own = |place: &str| match owner {
            ACCOUNT_ID => place.to_owned(),
            other => format!("{place}/{other}"),
        };
        let vpc = Vpc {
            id: VpcId::derived(&["default-vpc", &own(name)]),
            cidr: Cidr {
                network: Ipv4Addr::new(172, 31, 0, 0),
                prefix: 16,
            },
            ipv6: None,
            tags: Tags::default(),
        };
        let subnets = ZONES.iter().zip(0u8..).map(|(letter, n)| {
            let zone = format!("{name}{letter}");
            let cidr = Cidr {
                network: Ipv4Addr::new(172, 31, n * 16, 0),
                prefix: 20,
            };
            let id = SubnetId::derived(&["default-subnet", &own(&zone)]);
            (
                id.clone(),
                Subnet {
                    id,
                    vpc: vpc.id.clone(),
                    zone,
                    cidr,
                    default_for_zone: true,
                    map_public_ip: true,
                    ipv6: None,
                    assign_ipv6: false,
                    tags: Tags::default(),
                },
            )
        });
        let subnets = subnets.collect();
        let group = first_default_group(&own(name), &vpc.id);
        Self {
            owner: owner.to_owned(),
            name: name.to_owned(),
            vpc: Some(vpc),
            vpcs: BTreeMap::new(),
            subnets,
            groups: BTreeMap::from([(group.id.clone(), group)]),
            key_pairs: BTreeMap::new(),
            addresses: BTreeMap::new(),
            instances: BTreeMap::new(),
            volumes: BTreeMap::new(),
            snapshots: BTreeMap::new(),
            import_tasks: BTreeMap::new(),
            images: BTreeMap::new(),
            reservations: BTreeMap::new(),
            hosts: BTreeMap::new(),
            placement_groups: BTreeMap::new(),
            launch_templates: BTreeMap::new(),
            keys: Keys::default(),
            public_images: PublicImages::default(),
            public_snapshots: PublicSnapshots::default(),
            spot_requests: BTreeMap::new(),
            parameters: BTreeMap::new(),
            pending_parameters: Vec::new(),
            client_tokens: BTreeMap::new(),
        }
    }

    /// All VPCs, the default one first.
    pub fn all_vpcs(&self) -> impl Iterator<Item = &Vpc> {
        self.vpc.iter().chain(self.vpcs.values())
    }

    /// A VPC.
    pub fn find_vpc(&self, id: &VpcId) -> Option<&Vpc> {
        self.all_vpcs().find(|v| v.id == *id)
    }

    /// A VPC, to be changed.
    pub fn find_vpc_mut(&mut self, id: &VpcId) -> Option<&mut Vpc> {
        self.vpc
            .iter_mut()
            .chain(self.vpcs.values_mut())
            .find(|v| v.id == *id)
    }

    /// Whether a VPC is the default one.
    pub fn is_default(&self, vpc: &VpcId) -> bool {
        self.vpc.as_ref().is_some_and(|v| v.id == *vpc)
    }

    /// A VPC's default group, which cannot be deleted.
    pub fn default_group(&self, vpc: &VpcId) -> Option<&SecurityGroup> {
        self.groups
            .values()
            .find(|g| g.name == "default" && g.vpc == *vpc)
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
            .find(|ip| !self.private_ip_taken(&subnet.vpc, *ip))
    }

    /// Whether an instance of a VPC that is not terminated has this address.
    pub fn private_ip_taken(&self, vpc: &VpcId, ip: Ipv4Addr) -> bool {
        self.instances
            .values()
            .any(|i| i.holds_disk() && i.interface.vpc == *vpc && i.interface.private_ip == ip)
    }

    /// Whether an instance that is not terminated has this IPv6 address.
    pub fn ipv6_taken(&self, ip: Ipv6Addr) -> bool {
        let mut live = self.instances.values().filter(|i| i.holds_disk());
        live.any(|i| i.interface.ipv6.contains(&ip))
    }

    /// How many addresses of a subnet are free: all but the five that EC2 keeps and those in use.
    pub fn free_addresses(&self, subnet: &Subnet) -> usize {
        let used = self
            .instances
            .values()
            .filter(|i| i.holds_disk() && i.interface.subnet == subnet.id)
            .count();
        (1usize << (32 - u32::from(subnet.cidr.prefix))).saturating_sub(5 + used)
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
}

/// The default group of a region's first default VPC. Its ids are the same for each local EC2.
fn first_default_group(region: &str, vpc: &VpcId) -> SecurityGroup {
    default_group(
        GroupId::derived(&["default-group", region]),
        vpc,
        Timestamp::UNIX_EPOCH,
        |part| GroupRuleId::derived(&["default-rule", region, part]),
    )
}

/// The default group of a new VPC.
pub fn default_group_of(vpc: &VpcId, now: Timestamp) -> SecurityGroup {
    default_group(GroupId::random(), vpc, now, |_| GroupRuleId::random())
}

/// "Allows all inbound traffic from … the same security group and all outbound traffic"
/// (<https://docs.aws.amazon.com/vpc/latest/userguide/default-security-group.html>).
fn default_group(
    id: GroupId,
    vpc: &VpcId,
    created: Timestamp,
    rule_id: impl Fn(&str) -> GroupRuleId,
) -> SecurityGroup {
    let rule = |direction, peer, part: &str| GroupRule {
        id: rule_id(part),
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
        created,
        rules,
        tags: Tags::default(),
    }
}

fn users_own() -> String {
    ACCOUNT_ID.to_owned()
}
