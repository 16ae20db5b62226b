//! The host through which an instance is reached.

use super::{Fingerprint, HostName, LocalFile, Located, UserName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU16;

/// An SSH host (a jump host) through which the instance is reached: qib logs in there and lets it open the connection to
/// the instance, whose own host key and login are checked as ever.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bastion {
    /// Its name or address.
    pub host: Located<HostName>,
    /// Its SSH port; without it 22.
    pub port: Option<NonZeroU16>,
    /// The user to log in as there.
    pub user: Located<UserName>,
    /// The key to log in with there.
    pub key: Located<BastionKey>,
    /// How its host key is verified. Nothing is accepted unseen unless `accept-first` is written here.
    pub host_key: Option<Located<BastionHostKey>>,
}

/// The key to log in to a bastion with. qib makes none: nobody would put it there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum BastionKey {
    /// A private key of your own: its file, relative to the pipeline's; `~/` is your home.
    #[serde(rename = "file")]
    File(LocalFile),
    /// A key that the SSH agent holds.
    #[serde(rename = "agent")]
    Agent,
}

/// How a bastion's host key is verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum BastionHostKey {
    /// Only a key with this fingerprint (`SHA256:…`) is accepted.
    #[serde(rename = "fingerprint")]
    Fingerprint(Fingerprint),
    /// Only a key that this OpenSSH known_hosts file has for the bastion is accepted.
    #[serde(rename = "known_hosts")]
    KnownHosts(LocalFile),
    /// Whatever it shows first is accepted: it does not protect against someone in between.
    #[serde(rename = "accept-first")]
    AcceptFirst,
}
