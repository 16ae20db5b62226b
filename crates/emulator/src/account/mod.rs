//! The account: everything the local EC2 remembers, as plain data.
//!
//! Nothing here does anything to the world; guests, sockets and files follow what is written here.

pub mod bytes;
pub mod capacity;
pub mod iam;
pub mod image;
pub mod import_task;
pub mod instance;
pub mod instance_types;
pub mod key_pair;
pub mod kms;
pub mod launch_template;
pub mod lifecycle;
pub mod network;
pub mod organization;
pub mod parameter;
pub mod policy;
pub mod public_access;
pub mod quotas;
pub mod region;
pub mod regions;
pub mod spot;
mod tagged;
pub mod tags;

use crate::ids::{AllocationId, InstanceId, LayerId, SnapshotId};
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
    /// Roles and instance profiles, by account.
    #[serde(default = "iam::first")]
    pub iam: BTreeMap<String, iam::Iam>,
    /// What the account's user may do; everything if that was never said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_policy: Option<serde_json::Value>,
    /// Quotas that were set.
    #[serde(default)]
    pub quotas: quotas::Values,
    /// The regions that have been used: the account's own by their names, another account's by `<account>/<name>`.
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
            iam: iam::first(),
            user_policy: None,
            quotas: quotas::Values::new(),
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

    /// A region of the user's own account, made on its first use.
    pub fn region_mut(&mut self, name: &str) -> &mut Region {
        self.region_of(ACCOUNT_ID, name)
    }

    /// A region of any account, made on its first use.
    pub fn region_of(&mut self, owner: &str, name: &str) -> &mut Region {
        let key = match owner {
            ACCOUNT_ID => name.to_owned(),
            other => format!("{other}/{name}"),
        };
        self.regions
            .entry(key)
            .or_insert_with(|| Region::new(owner, name))
    }

    /// An account's role.
    pub fn role(&self, account: &str, name: &str) -> Option<&iam::Role> {
        self.iam.get(account)?.roles.get(name)
    }

    /// An account's instance profile.
    pub fn profile(&self, account: &str, name: &str) -> Option<&iam::InstanceProfile> {
        self.iam.get(account)?.profiles.get(name)
    }

    /// The regions of that name, one for each account that has used it.
    pub fn everywhere<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a Region> + use<'a> {
        let name = name.to_owned();
        self.regions.values().filter(move |r| r.name == name)
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

    /// The snapshots whose blocks a snapshot, an instance or an import task still needs.
    pub fn blocks_in_use(&self) -> BTreeSet<SnapshotId> {
        let snapshots = self.regions.values().flat_map(|r| r.snapshots.values());
        let instances = self.regions.values().flat_map(|r| r.instances.values());
        let disks = instances
            .filter(|i| i.holds_disk())
            .filter_map(|i| i.imported.as_ref())
            .flat_map(|disk| disk.blocks.iter());
        let tasks = self.regions.values().flat_map(|r| r.import_tasks.values());
        let coming = tasks.filter_map(|t| match &t.phase {
            import_task::ImportPhase::Active { target, .. } => Some(target),
            _ => None,
        });
        let snapshots = snapshots.flat_map(|s| s.blocks.iter());
        snapshots.chain(disks).chain(coming).cloned().collect()
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
