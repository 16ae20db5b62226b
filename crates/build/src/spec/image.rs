//! What is made of a cell's stopped instance.

use cloud::{AccountId, EbsVolume, Tags};
use std::time::Duration;

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
    /// Devices of the instance that the image leaves out.
    pub left_out_devices: Vec<String>,
    /// Accounts that may launch it.
    pub share_accounts: Vec<AccountId>,
    /// Whether they may also make volumes from its snapshots.
    pub share_snapshots: bool,
    /// How long EC2 may take to make it.
    pub wait: Duration,
    /// `qib:cache-key`, `qib:inputs` and the like.
    pub cache_tags: Tags,
}
