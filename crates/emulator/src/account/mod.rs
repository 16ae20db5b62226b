//! The account: everything the local EC2 remembers, as plain data.
//!
//! Nothing here does anything to the world; guests, sockets and files follow what is written here.

pub mod bytes;
pub mod iam;
pub mod image;
pub mod instance;
pub mod instance_types;
pub mod key_pair;
pub mod lifecycle;
pub mod network;
pub mod parameter;
pub mod region;
pub mod spot;
pub mod tags;

use crate::ids::{AllocationId, InstanceId, LayerId};
use instance::Instance;
use region::Region;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

/// The format of the state file. A state file of another version is refused, never guessed at.
pub const SCHEMA: u32 = 1;

/// The account's number: a placeholder, as in AWS's own examples.
pub const ACCOUNT_ID: &str = "123456789012";

/// The region that is used where nothing names one.
pub const DEFAULT_REGION: &str = "us-east-2";

/// Regions of the partition `aws` that are enabled by default, see
/// <https://docs.aws.amazon.com/global-infrastructure/latest/regions/aws-regions.html>.
pub const REGIONS: [&str; 17] = [
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ca-central-1",
    "eu-central-1",
    "eu-north-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
];

/// The account's own long-term key.
#[derive(Clone, Serialize, Deserialize)]
pub struct AccessKey {
    /// `AKIA…`.
    pub id: String,
    /// Its secret.
    pub secret: String,
    /// What session credentials of instance profiles and metadata tokens are derived from.
    pub session_secret: String,
}

impl std::fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessKey")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// Everything the local EC2 remembers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Account {
    /// [`SCHEMA`] when written.
    pub schema: u32,
    /// Its own key.
    pub key: AccessKey,
    /// The port that the API was last served on.
    pub port: Option<u16>,
    /// The port that guests' SSH servers were last reached on.
    pub ssh_port: Option<u16>,
    /// The regions that have been used.
    pub regions: BTreeMap<String, Region>,
}

impl Account {
    /// A new account as it is from the start: default networks and one Elastic IP.
    pub fn new() -> Self {
        let mut account = Self {
            schema: SCHEMA,
            key: AccessKey::generate(),
            port: None,
            ssh_port: None,
            regions: BTreeMap::new(),
        };
        let public_ip = account.free_public_ip();
        let tags = tags::Tags::of(&[("Name", "ocp-content-ami-builder")]);
        let address = network::Address {
            allocation: AllocationId::first(),
            public_ip,
            association: None,
            coming: None,
            tags,
        };
        account
            .region_mut(DEFAULT_REGION)
            .addresses
            .insert(address.allocation.clone(), address);
        account
    }

    /// A region, made on its first use.
    pub fn region_mut(&mut self, name: &str) -> &mut Region {
        self.regions
            .entry(name.to_owned())
            .or_insert_with(|| Region::new(name))
    }

    /// An instance, in whichever region it is.
    pub fn find_instance(&self, id: &InstanceId) -> Option<(&Region, &Instance)> {
        self.regions
            .values()
            .find_map(|r| r.instances.get(id).map(|i| (r, i)))
    }

    /// An instance, in whichever region it is.
    pub fn find_instance_mut(&mut self, id: &InstanceId) -> Option<&mut Instance> {
        self.regions
            .values_mut()
            .find_map(|r| r.instances.get_mut(id))
    }

    /// Whether any instance is not terminated. The daemon is not idle then.
    pub fn has_live_instances(&self) -> bool {
        self.regions
            .values()
            .flat_map(|r| r.instances.values())
            .any(Instance::holds_disk)
    }

    /// The layers that a snapshot or an instance still needs.
    pub fn layers_in_use(&self) -> BTreeSet<LayerId> {
        let snapshots = self
            .regions
            .values()
            .flat_map(|r| r.snapshots.values())
            .flat_map(|s| s.layers.iter());
        let instances = self
            .regions
            .values()
            .flat_map(|r| r.instances.values())
            .filter(|i| i.holds_disk())
            .flat_map(|i| i.layers.iter());
        snapshots.chain(instances).cloned().collect()
    }

    /// A public address that nobody in this account has: 127.x.y.z, never in 127.0.0.0/16, where the host's own services are.
    pub fn free_public_ip(&self) -> Ipv4Addr {
        let taken: BTreeSet<Ipv4Addr> = self.public_ips().collect();
        loop {
            let [x, y, z]: [u8; 3] = rand::random();
            let address = Ipv4Addr::new(127, x, y, z);
            if x != 0 && !matches!(z, 0 | 255) && !taken.contains(&address) {
                return address;
            }
        }
    }

    /// All public addresses in use.
    pub fn public_ips(&self) -> impl Iterator<Item = Ipv4Addr> {
        self.regions.values().flat_map(|r| {
            let random = r.instances.values().filter_map(|i| i.interface.public_ip);
            random.chain(r.addresses.values().map(|a| a.public_ip))
        })
    }
}

impl Default for Account {
    fn default() -> Self {
        Self::new()
    }
}

impl AccessKey {
    /// A new key. The id looks like AWS's so that tools take it, the secret is 40 characters as AWS's is.
    pub fn generate() -> Self {
        const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        let id: [u8; 16] = rand::random();
        let id: String = id
            .iter()
            .map(|b| char::from(LETTERS[usize::from(b % 32)]))
            .collect();
        let secret: [u8; 20] = rand::random();
        let session: [u8; 32] = rand::random();
        Self {
            id: format!("AKIA{id}"),
            secret: hex::encode(secret),
            session_secret: hex::encode(session),
        }
    }
}
