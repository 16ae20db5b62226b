//! What decides an image's content, and the key that follows from it.
//!
//! | in the key | not in the key |
//! |---|---|
//! | the source image's id | how it was found (filter, stage) |
//! | of a disk that is imported its digest, what it is taken for (format, architecture, backing file), its root device, and whether holes are sent | where it is, what it is checked against, by which way it gets to EC2 |
//! | volumes of launch and image, the instance profile's name or policy, the user's own user-data | instance type, hosting, network, lifetimes, addresses |
//! | each `run`, with what it runs, as whom, where and how; `reboot`; content and mode of each uploaded file | `name`, `timeout`, `needs`, `retry`, `pause_before` |
//! | | `download`, `wait_for`, `pause`, `breakpoint`: they change nothing in the image; `on_error`, `preflight` (but the files that it makes, as they are used) |
//! | the entries that are for the cell | `only` and `except` themselves |
//! | everything in a playbook's folder, variables by host and group, requirements with their archives | where Ansible is installed |
//! | the image's architecture, boot mode, TPM, UEFI data, networking, IMDS and encryption | conflicts, copies, deprecation, protection, parameters, the test |
//! | text of environment variables | values of secret variables (their expression instead) |
//! | what a rehearsal skipped | connection, names, descriptions, tags, sharing, outputs |
//!
//! Run-time expressions enter as they are written: an image does not go stale because a run's id differs.

mod ansible;
mod inputs;
mod summary;

pub(crate) use inputs::folder_digest;
pub use inputs::{Digest, Input, InputName, StageInputs, test_digest};
pub use summary::{InputSummary, SummaryError};

use crate::model::{Checksum, ImageId};
use sha2::Digest as _;
use std::collections::BTreeSet;
use std::fmt;

/// The version of the key's making. A change of what enters a key, or how, raises it; no older image is then found.
pub const VERSION: u32 = 1;

/// The hash of all that decides an image's content, as 64 hexadecimal digits: the tag `qib:cache-key`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CacheKey(String);

impl CacheKey {
    /// The key as the tag has it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a stage starts from, as its key has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SourceIdentity {
    /// This image.
    Image(ImageId),
    /// The disk image whose file has this digest.
    Import(Checksum),
}

impl SourceIdentity {
    /// The identity in few of the characters that every AWS service allows in a tag.
    fn short(&self) -> String {
        match self {
            Self::Image(id) => id.to_string(),
            Self::Import(digest) => {
                let first: String = digest.hex().chars().take(16).collect();
                format!("import-{}-{first}", digest.algorithm())
            }
        }
    }
}

impl fmt::Display for SourceIdentity {
    /// `ami-…`, or `import:sha256:…`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Image(id) => id.fmt(f),
            Self::Import(digest) => write!(f, "import:{digest}"),
        }
    }
}

impl From<ImageId> for SourceIdentity {
    fn from(id: ImageId) -> Self {
        Self::Image(id)
    }
}

/// The key of a stage's image, made from these inputs on this source. `skipped` are the positions under `provision`
/// (from 0) of what a rehearsal leaves out; on AWS it is empty.
pub fn cache_key(
    inputs: &StageInputs,
    source: &SourceIdentity,
    skipped: &BTreeSet<usize>,
) -> CacheKey {
    let mut hash = sha2::Sha256::new();
    let mut field = |text: &[u8]| {
        // The length before the text: no two lists of fields run together to the same bytes.
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    };
    field(b"qib cache key");
    field(&VERSION.to_be_bytes());
    field(source.to_string().as_bytes());
    for input in inputs.iter() {
        // A provisioner's name is only what people call it; its place is its place in the list.
        field(input.name.kind().as_bytes());
        field(&input.digest.0);
    }
    // Of an entry that is no input nothing is in the key, not even that others come after it.
    let provisioners = inputs.iter().filter_map(|input| match &input.name {
        InputName::Provisioner { position, .. } => Some(position),
        InputName::Volumes
        | InputName::InstanceProfile
        | InputName::UserData
        | InputName::Image
        | InputName::Import => None,
    });
    for (place, position) in provisioners.enumerate() {
        if skipped.contains(position) {
            field(b"skipped");
            field(&(place as u64).to_be_bytes());
        }
    }
    CacheKey(hex::encode(hash.finalize()))
}
