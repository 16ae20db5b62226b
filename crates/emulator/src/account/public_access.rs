//! Whether an account lets its images and snapshots be shared with everybody, region by region.
//!
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/block-public-access-to-amis.html>,
//! <https://docs.aws.amazon.com/ebs/latest/userguide/block-public-access-snapshots.html>. An account of AWS's that has no
//! public image begins with `block-new-sharing` for images; those here begin without, so that a rehearsal can share.

use serde::{Deserialize, Serialize};

/// Whether images may be shared with everybody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PublicImages {
    /// They may.
    #[default]
    Unblocked,
    /// Those that are not shared so yet may not.
    BlockNewSharing,
}

impl PublicImages {
    /// EC2's word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unblocked => "unblocked",
            Self::BlockNewSharing => "block-new-sharing",
        }
    }
}

/// Whether snapshots may be shared with everybody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PublicSnapshots {
    /// They may.
    #[default]
    Unblocked,
    /// Those that are not shared so yet may not.
    BlockNewSharing,
    /// None may, and those that are shared so are treated as private.
    BlockAllSharing,
}

impl PublicSnapshots {
    /// EC2's word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unblocked => "unblocked",
            Self::BlockNewSharing => "block-new-sharing",
            Self::BlockAllSharing => "block-all-sharing",
        }
    }
}
