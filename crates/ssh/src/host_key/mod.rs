//! Whether the host is the one that is meant. Decided before any authentication, on the first connection already.

mod known_hosts;

use known_hosts::Known;
use russh::keys::ssh_key;
use russh::keys::{Algorithm, EcdsaCurve, HashAlg, PublicKey};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

/// A host's public key.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicHostKey(PublicKey);

impl PublicHostKey {
    /// SHA-256 fingerprint, as `ssh-keygen -l` prints it: `SHA256:…`.
    pub fn fingerprint(&self) -> String {
        self.0.fingerprint(HashAlg::Sha256).to_string()
    }

    /// The key's kind, by its SSH name, such as `ssh-ed25519`.
    pub fn algorithm(&self) -> String {
        self.0.algorithm().to_string()
    }

    pub(crate) fn new(key: PublicKey) -> PublicHostKey {
        PublicHostKey(key)
    }

    fn same_key(&self, other: &PublicKey) -> bool {
        // The comment is no part of the key.
        self.0.key_data() == other.key_data()
    }
}

impl FromStr for PublicHostKey {
    type Err = ssh_key::Error;

    /// Reads `ssh-ed25519 AAAA… comment`.
    fn from_str(line: &str) -> Result<PublicHostKey, ssh_key::Error> {
        PublicKey::from_openssh(line.trim()).map(PublicHostKey)
    }
}

impl fmt::Debug for PublicHostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.algorithm(), self.fingerprint())
    }
}

/// The key that an accept-first rule has seen. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct FirstSeenKey(Arc<Mutex<Option<PublicHostKey>>>);

/// How a host proves that it is the one that is meant.
#[derive(Clone, Debug)]
pub enum HostKeyRule {
    /// It has one of these keys.
    Pinned(Vec<PublicHostKey>),
    /// It has a key with this fingerprint, `SHA256:…`, whatever its kind.
    Fingerprint(String),
    /// A file in the format of `~/.ssh/known_hosts` lists its key.
    KnownHosts {
        /// The file.
        file: PathBuf,
    },
    /// The first key that it shows is taken, and asked for again on each later connection with this rule or a clone of
    /// it. Whoever answers first is believed.
    AcceptFirst(FirstSeenKey),
}

impl HostKeyRule {
    /// A new [`HostKeyRule::AcceptFirst`] that has seen nothing yet.
    pub fn accept_first() -> HostKeyRule {
        HostKeyRule::AcceptFirst(FirstSeenKey::default())
    }

    /// The rule, ready for one destination.
    pub(crate) fn prepare(&self, host: &str, port: u16) -> Result<Check, String> {
        Ok(match self {
            HostKeyRule::Pinned(keys) => Check::OneOf {
                keys: keys.clone(),
                revoked: Vec::new(),
            },
            HostKeyRule::Fingerprint(text) => {
                let wanted = text
                    .parse::<ssh_key::Fingerprint>()
                    .map_err(|_| format!("`{text}` is not a key fingerprint; it looks like SHA256:… (`ssh-keygen -lf KEY.pub`)"))?;
                Check::Fingerprint(wanted)
            }
            HostKeyRule::KnownHosts { file } => {
                let text = std::fs::read_to_string(file).map_err(|e| {
                    format!("cannot read the known hosts file {}: {e}", file.display())
                })?;
                let Known { keys, revoked } = known_hosts::look_up(&text, host, port);
                if keys.is_empty() {
                    return Err(format!(
                        "{} has no key for {}; add one that you have checked (`ssh-keyscan -p {port} {host}`)",
                        file.display(),
                        known_hosts::name_of(host, port),
                    ));
                }
                Check::OneOf { keys, revoked }
            }
            HostKeyRule::AcceptFirst(seen) => Check::First(seen.clone()),
        })
    }
}

/// What a key is compared with.
#[derive(Clone, Debug)]
pub(crate) enum Check {
    OneOf {
        keys: Vec<PublicHostKey>,
        revoked: Vec<PublicHostKey>,
    },
    Fingerprint(ssh_key::Fingerprint),
    First(FirstSeenKey),
}

impl Check {
    /// Whether `found` is a key that the host may have.
    pub fn accepts(&self, found: &PublicKey) -> bool {
        match self {
            Check::OneOf { keys, revoked } => {
                keys.iter().any(|k| k.same_key(found)) && !revoked.iter().any(|k| k.same_key(found))
            }
            Check::Fingerprint(wanted) => found.fingerprint(wanted.algorithm()) == *wanted,
            Check::First(seen) => {
                // A poisoned lock still holds a whole key or none.
                let mut seen = seen.0.lock().unwrap_or_else(PoisonError::into_inner);
                match &*seen {
                    Some(first) => first.same_key(found),
                    None => {
                        *seen = Some(PublicHostKey::new(found.clone()));
                        true
                    }
                }
            }
        }
    }

    /// What was expected, for the person who must decide whether this is an attack.
    pub fn expected(&self) -> String {
        match self {
            Check::OneOf { keys, .. } => keys
                .iter()
                .map(|k| format!("{k:?}"))
                .collect::<Vec<_>>()
                .join(" or "),
            Check::Fingerprint(wanted) => wanted.to_string(),
            Check::First(seen) => match &*seen.0.lock().unwrap_or_else(PoisonError::into_inner) {
                Some(first) => format!("{first:?}, as on the first connection"),
                None => "any".into(),
            },
        }
    }

    /// The kinds of host key to ask for, in turn: each inner list is one attempt. The server shows one key only, of the
    /// first kind in the list that it has, so the kinds that can be checked come first. A bare fingerprint does not
    /// say its kind, so each is asked for by itself until one fits.
    pub fn attempts(&self) -> Vec<Vec<Algorithm>> {
        let preferred: Vec<Algorithm> = match self {
            Check::OneOf { keys, .. } => keys.iter().map(|k| k.0.algorithm()).collect(),
            Check::First(seen) => {
                let seen = seen.0.lock().unwrap_or_else(PoisonError::into_inner);
                seen.iter().map(|k| k.0.algorithm()).collect()
            }
            Check::Fingerprint(_) => {
                return all_algorithms().into_iter().map(|a| vec![a]).collect();
            }
        };
        let mut order: Vec<Algorithm> = Vec::new();
        for algorithm in preferred
            .into_iter()
            .filter(|a| all_algorithms().contains(a))
            .chain(all_algorithms())
        {
            if !order.contains(&algorithm) {
                order.push(algorithm);
            }
        }
        vec![order]
    }
}

/// The kinds of host key that can be verified, best first. RSA is not among them (see [`crate::KeyAlgorithm`]).
fn all_algorithms() -> Vec<Algorithm> {
    vec![
        Algorithm::Ed25519,
        Algorithm::Ecdsa {
            curve: EcdsaCurve::NistP256,
        },
        Algorithm::Ecdsa {
            curve: EcdsaCurve::NistP384,
        },
        Algorithm::Ecdsa {
            curve: EcdsaCurve::NistP521,
        },
    ]
}

#[cfg(test)]
mod tests;
