//! How to reach the instance.

use super::{
    Address, Bastion, Fingerprint, HostName, KeyPairName, LocalFile, Located, Proxy, TimeSpan,
    UserName,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroU16;

/// How to reach the instance, over SSH.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Connect {
    /// The user to log in as, for example `ec2-user`.
    pub user: Located<UserName>,
    /// The key to log in with.
    #[serde(default)]
    pub key: Located<LoginKey>,
    /// Which of the instance's addresses to use.
    #[serde(default)]
    pub address: Located<Address>,
    /// The host to dial when that is not the instance's own address: the near end of a tunnel, a NAT.
    pub host: Option<Located<HostName>>,
    /// The port to dial. Without it 22, or the local EC2's own SSH port under `--local`.
    pub port: Option<NonZeroU16>,
    /// How long to try, from the moment the instance runs until the login works. Without it 5 minutes, or 30 with
    /// `--debug`.
    pub timeout: Option<TimeSpan>,
    /// Whether commands run in a terminal, as sudo's `requiretty` asks for.
    #[serde(default)]
    pub pty: bool,
    /// Whether to wait until cloud-init is done before provisioning.
    #[serde(default)]
    pub wait_cloud_init: WaitCloudInit,
    /// How the host's key is verified on the first connection.
    #[serde(default)]
    pub host_key: Located<HostKey>,
    /// An EC2 key pair that is there already, by its name: the instance is launched with it instead of one that qib
    /// imports. `key` must then be `{ file: … }` or `agent`, and hold its private key.
    pub key_pair: Option<Located<KeyPairName>>,
    /// An SSH host through which the instance is reached.
    pub bastion: Option<Located<Bastion>>,
    /// A SOCKS5 proxy through which SSH leaves this machine: `socks5://[USER@]HOST:PORT`, or `{ url, password }`. With a
    /// bastion, the bastion is reached through it.
    pub proxy: Option<Located<Proxy>>,
}

impl Connect {
    /// Whether the instance sees SSH come from somewhere else than this machine.
    pub fn comes_from_elsewhere(&self) -> Option<&'static str> {
        match (&self.bastion, &self.proxy) {
            (Some(_), _) => Some("bastion"),
            (None, Some(_)) => Some("proxy"),
            (None, None) => None,
        }
    }
}

/// The key to log in with.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum LoginKey {
    /// An ed25519 key made for this run, imported as an EC2 key pair.
    #[default]
    #[serde(rename = "ed25519")]
    Ed25519,
    /// An ECDSA P-256 key made for this run, put in by cloud-config: for hosts in FIPS mode.
    #[serde(rename = "ecdsa-p256")]
    EcdsaP256,
    /// A private key of your own: its file, relative to the pipeline's; `~/` is your home.
    #[serde(rename = "file")]
    File(LocalFile),
    /// A key that the SSH agent holds.
    #[serde(rename = "agent")]
    Agent,
}

/// How the host's key is verified on the first connection.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum HostKey {
    /// Host keys made for this run are put in through user-data, and only they are accepted. Needs cloud-init.
    #[default]
    #[serde(rename = "inject")]
    Inject,
    /// The fingerprints that the instance prints on its console are accepted.
    #[serde(rename = "console")]
    Console,
    /// Whatever the host shows first is accepted: it does not protect against someone in between.
    #[serde(rename = "accept-first")]
    AcceptFirst,
    /// Only a key with this fingerprint (`SHA256:…`) is accepted.
    #[serde(rename = "fingerprint")]
    Fingerprint(Fingerprint),
    /// Only a key that this OpenSSH known_hosts file has for the host is accepted.
    #[serde(rename = "known_hosts")]
    KnownHosts(LocalFile),
}

/// Whether to wait for cloud-init. The wait is bounded by `connect.timeout`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum WaitCloudInit {
    /// Wait where cloud-init is there, enabled and has run.
    #[default]
    Auto,
    /// Wait, and fail where it is not there or has failed.
    Always,
    /// Do not wait.
    Never,
}

impl<'de> Deserialize<'de> for WaitCloudInit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WaitVisitor;

        impl Visitor<'_> for WaitVisitor {
            type Value = WaitCloudInit;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("auto, true or false")
            }

            fn visit_bool<E>(self, wait: bool) -> Result<WaitCloudInit, E> {
                Ok(if wait {
                    WaitCloudInit::Always
                } else {
                    WaitCloudInit::Never
                })
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<WaitCloudInit, E> {
                match text {
                    "auto" => Ok(WaitCloudInit::Auto),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }
        }

        deserializer.deserialize_any(WaitVisitor)
    }
}

impl JsonSchema for WaitCloudInit {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "WaitCloudInit".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "default": "auto", "enum": ["auto", true, false] })
    }
}
