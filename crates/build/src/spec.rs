//! A cell as it is to be built: the pipeline's stage with every run-time expression filled in, in the port's types.

use crate::names::CellName;
use cloud::{AccountId, AllocationId, EbsVolume, RegionName, SecurityGroupId, SubnetId, Tags};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// Everything that the steps of one cell need to know.
#[derive(Clone, Debug)]
pub struct CellSpec {
    /// The cell.
    pub cell: CellName,
    /// Where it is built.
    pub region: RegionName,
    /// How it is launched.
    pub launch: LaunchSpec,
    /// How one gets in.
    pub connect: ConnectSpec,
    /// What is done inside.
    pub provision: Vec<ProvisionerSpec>,
    /// What is made of it.
    pub image: ImageSpec,
    /// Tags of the instance, its volumes, the image and its snapshots.
    pub tags: Tags,
}

/// How a cell's instance is launched.
#[derive(Clone, Debug)]
pub struct LaunchSpec {
    /// Instance types, the preferred one first; at least one.
    pub machines: Vec<String>,
    /// Where it may go, the preferred place first; at least one.
    pub subnets: Vec<SubnetSpec>,
    /// How it is paid for.
    pub purchase: PurchaseSpec,
    /// How long the instance lives before it terminates itself.
    pub max_lifetime: Duration,
    /// Groups of the user's own; if there are none the run makes one.
    pub security_groups: Vec<SecurityGroupId>,
    /// The instance profile's name.
    pub instance_profile: Option<String>,
    /// Volumes that differ from the source image's.
    pub volumes: Vec<EbsVolume>,
    /// Where SSH may come from.
    pub ssh_from: SshFrom,
    /// The user's own user-data.
    pub user_data: Option<Vec<u8>>,
    /// Whether EBS gets bandwidth of its own.
    pub ebs_optimized: Option<bool>,
    /// Whether the instance gets a random public address.
    pub public_ip: bool,
    /// Tags of the instance and its volumes besides the cell's.
    pub tags: Tags,
}

/// Which subnet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubnetSpec {
    /// This one.
    Id(SubnetId),
    /// The default VPC's in this zone of the region; any zone if none is given.
    DefaultVpc {
        /// The zone's letter.
        zone: Option<String>,
    },
}

impl std::fmt::Display for SubnetSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::DefaultVpc { zone: None } => f.write_str("default_vpc: true"),
            Self::DefaultVpc { zone: Some(zone) } => write!(f, "default_vpc: true, zone: {zone}"),
        }
    }
}

/// How an instance is paid for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PurchaseSpec {
    /// At the fixed price.
    #[default]
    OnDemand,
    /// As a spot instance.
    Spot {
        /// The most to pay, in US dollars per hour; none for the on-demand price.
        max_price: Option<String>,
        /// What follows when there is no spot capacity.
        fall_back: FallBack,
    },
}

/// What follows when there is no spot capacity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FallBack {
    /// The same once more on demand.
    OnDemand,
    /// Failure.
    None,
}

/// Where SSH may come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SshFrom {
    /// This machine's address.
    Caller,
    /// Everywhere.
    Anywhere,
    /// These IPv4 ranges.
    Ranges(Vec<String>),
}

/// How one gets in.
#[derive(Clone, Debug)]
pub struct ConnectSpec {
    /// The user.
    pub user: String,
    /// The key.
    pub key: KeySpec,
    /// Which address of the instance is dialled.
    pub address: AddressSpec,
    /// Dialled instead of the instance's address.
    pub host: Option<String>,
    /// Dialled instead of the usual port.
    pub port: Option<u16>,
    /// How long connecting may take; none where the pipeline does not say.
    pub timeout: Option<Duration>,
    /// Whether commands get a terminal.
    pub pty: bool,
    /// Whether cloud-init is waited for.
    pub wait_cloud_init: WaitCloudInit,
    /// How the host proves who it is.
    pub host_key: HostKeySpec,
}

/// The key to log in with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySpec {
    /// Made for this cell.
    Generated(ssh::KeyAlgorithm),
    /// In this file.
    File(PathBuf),
    /// In the agent.
    Agent,
}

/// Which address of the instance is dialled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressSpec {
    /// Its random public one.
    Public,
    /// Its private one.
    Private,
    /// An Elastic IP.
    Elastic {
        /// Which.
        choice: AddressChoice,
        /// Who binds it.
        by: crate::journal::AddressBinder,
        /// How long binding may take.
        timeout: Duration,
        /// How long to wait for an address that something else holds.
        wait: Duration,
    },
}

/// Which Elastic IP a cell uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressChoice {
    /// This one.
    One(AllocationId),
    /// Whichever is free first of those that carry all of these tags.
    Pool(BTreeMap<String, String>),
}

/// Whether cloud-init is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitCloudInit {
    /// Where it is there and has run.
    Auto,
    /// It must be there and end well.
    Always,
    /// Not at all.
    Never,
}

/// How the host proves who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostKeySpec {
    /// By keys made for this cell and put in through user-data.
    Inject,
    /// By the fingerprints that its console shows.
    Console,
    /// By nothing, the first time.
    AcceptFirst,
    /// By this SHA-256 fingerprint.
    Fingerprint(String),
    /// By this file.
    KnownHosts(PathBuf),
}

/// One provisioner.
#[derive(Clone, Debug)]
pub struct ProvisionerSpec {
    /// What it is called in output and errors.
    pub name: String,
    /// What it requires of the guest.
    pub needs: Vec<String>,
    /// What it does.
    pub action: ActionSpec,
}

/// What a provisioner does.
#[derive(Clone, Debug)]
pub enum ActionSpec {
    /// Runs scripts one after another.
    Run(RunSpec),
    /// Uploads.
    Upload(UploadSpec),
}

/// Scripts to run.
#[derive(Clone)]
pub struct RunSpec {
    /// Their texts.
    pub scripts: Vec<crate::guest::Script>,
    /// The user to become.
    pub become_user: Option<String>,
    /// The program that runs the scripts; none leaves it to their first lines.
    pub interpreter: Option<String>,
    /// Whether the first failing command ends a script.
    pub errexit: bool,
    /// Environment; values may be secret.
    pub environment: Vec<(String, String)>,
    /// How long each script may take; none for as long as it takes.
    pub timeout: Option<Duration>,
    /// Exit codes that count as success.
    pub exit_codes: Vec<u32>,
}

impl std::fmt::Debug for RunSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The environment's values may be secret: only its names are shown.
        let names: Vec<&str> = self
            .environment
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        f.debug_struct("RunSpec")
            .field("scripts", &self.scripts.len())
            .field("environment", &names)
            .finish_non_exhaustive()
    }
}

/// What to upload, and where to.
#[derive(Clone)]
pub struct UploadSpec {
    /// What.
    pub content: UploadContent,
    /// The path in the guest; relative to the user's home.
    pub to: String,
    /// Permission bits; none keeps those of the file.
    pub mode: Option<u32>,
    /// The user that owns it; none for the one logged in as.
    pub become_user: Option<String>,
}

/// What to upload.
#[derive(Clone)]
pub enum UploadContent {
    /// A file.
    File(PathBuf),
    /// A folder's content.
    Directory(PathBuf),
    /// Bytes, which may be secret.
    Bytes(Vec<u8>),
}

impl std::fmt::Debug for UploadSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UploadSpec")
            .field("to", &self.to)
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}

/// What is made of the stopped instance.
#[derive(Clone, Debug)]
pub struct ImageSpec {
    /// Its name.
    pub name: String,
    /// Its description.
    pub description: String,
    /// Tags of image and snapshots besides the cell's.
    pub tags: Tags,
    /// Volumes that differ from the instance's.
    pub volumes: Vec<EbsVolume>,
    /// Accounts that may launch it.
    pub share_accounts: Vec<AccountId>,
    /// Whether they may also make volumes from its snapshots.
    pub share_snapshots: bool,
    /// How long EC2 may take to make it.
    pub wait: Duration,
    /// `qib:cache-key`, `qib:inputs` and the like.
    pub cache_tags: Tags,
}
