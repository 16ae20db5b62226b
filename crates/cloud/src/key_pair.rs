//! Key pairs in EC2.

use crate::{KeyPairId, Tags};

/// A key pair as EC2 knows it: never its private half.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPairDescription {
    /// Its id.
    pub key_pair_id: KeyPairId,
    /// Its name, unique in the region.
    pub name: String,
    /// Its tags.
    pub tags: Tags,
}
