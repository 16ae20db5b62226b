//! How one gets into a cell's instance.

use cloud::AllocationId;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

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
    /// The EC2 key pair to launch with, if it is there already.
    pub key_pair: Option<String>,
    /// The host through which the instance is reached.
    pub bastion: Option<BastionSpec>,
    /// The proxy through which SSH leaves this machine.
    pub proxy: Option<ssh::SocksProxy>,
}

/// The host through which an instance is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BastionSpec {
    /// Its name or address.
    pub host: String,
    /// Its SSH port.
    pub port: u16,
    /// The user to log in as there.
    pub user: String,
    /// The key to log in with there.
    pub key: BastionKeySpec,
    /// How it proves who it is.
    pub host_key: BastionHostKeySpec,
}

/// The key to log in to a bastion with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BastionKeySpec {
    /// In this file.
    File(PathBuf),
    /// In the agent.
    Agent,
}

/// How a bastion proves who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BastionHostKeySpec {
    /// By this SHA-256 fingerprint.
    Fingerprint(String),
    /// By this file.
    KnownHosts(PathBuf),
    /// By nothing, the first time.
    AcceptFirst,
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
    /// Its IPv6 one.
    Ipv6,
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
