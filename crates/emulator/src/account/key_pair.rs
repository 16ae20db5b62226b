//! Key pairs as the account remembers them.

use super::tags::Tags;
use crate::ids::KeyPairId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A key pair. EC2 keeps the public half only.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KeyPair {
    /// Its id.
    pub id: KeyPairId,
    /// Its name, unique in the region.
    pub name: String,
    /// What kind of key.
    pub kind: KeyKind,
    /// EC2's fingerprint of it.
    pub fingerprint: String,
    /// The public key in OpenSSH's form.
    pub public_key: String,
    /// When it was made.
    pub created: Timestamp,
    /// Its tags.
    pub tags: Tags,
}

/// The kinds of key that EC2 takes, see
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-key-pairs.html>.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyKind {
    /// RSA of 1024, 2048 or 4096 bits.
    Rsa,
    /// Ed25519.
    Ed25519,
}

impl KeyKind {
    /// EC2's word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rsa => "rsa",
            Self::Ed25519 => "ed25519",
        }
    }
}
