//! A snapshot's content, block by block: the EBS direct APIs.
//! <https://docs.aws.amazon.com/ebs/latest/userguide/ebs-accessing-snapshot.html>

use crate::port::Result;
use crate::{SnapshotId, Tags};
use async_trait::async_trait;
use bytes::Bytes;

/// The size of every block, in bytes. StartSnapshot and ListSnapshotBlocks say it again, and whoever calls them compares.
pub const BLOCK_BYTES: usize = 524_288;

/// What StartSnapshot is to make. <https://docs.aws.amazon.com/ebs/latest/APIReference/API_StartSnapshot.html>
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartRequest {
    /// The same token with the same parameters starts nothing twice: at most 255 ASCII characters.
    pub client_token: String,
    /// The size of volumes made of it, in GiB.
    pub volume_gib: u32,
    /// What the snapshot says of itself.
    pub description: String,
    /// The snapshot whose blocks it has where none of its own are written. Not together with `encryption`.
    pub parent: Option<SnapshotId>,
    /// Whether it is encrypted, and with which key.
    pub encryption: SnapshotEncryption,
    /// How many minutes may pass without a block before EBS gives the snapshot up: 10 to 4320.
    pub idle_minutes: u32,
    /// Its tags, given in the same call.
    pub tags: Tags,
}

/// How a new snapshot is encrypted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SnapshotEncryption {
    /// As the account's default for EBS says, and as the parent is.
    #[default]
    AsAccount,
    /// With this KMS key; none for the account's own key for EBS.
    With(Option<String>),
}

/// A snapshot that blocks can be written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartedSnapshot {
    /// Its id.
    pub snapshot_id: SnapshotId,
    /// The size of its blocks, in bytes.
    pub block_bytes: usize,
    /// The ARN of the key that it is encrypted with; none if it is not.
    pub kms_key_id: Option<String>,
}

/// SHA-256 of something.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sha256Digest(pub [u8; 32]);

impl std::fmt::Debug for Sha256Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A block that is to be written.
#[derive(Clone, Debug)]
pub struct BlockWrite {
    /// Which one, counted from 0.
    pub index: u32,
    /// All of its [`BLOCK_BYTES`].
    pub content: Bytes,
    /// Of the content.
    pub digest: Sha256Digest,
}

/// What CompleteSnapshot is told, so that EBS can find that something is missing.
/// <https://docs.aws.amazon.com/ebs/latest/APIReference/API_CompleteSnapshot.html>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// How many blocks were written.
    pub blocks: u32,
    /// SHA-256 over the digests of the written blocks in the order of their indexes (`LINEAR`).
    pub digest: Sha256Digest,
}

/// A block of a snapshot, and the token that it is read with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedBlock {
    /// Which one.
    pub index: u32,
    /// Good for some days. <https://docs.aws.amazon.com/ebs/latest/APIReference/API_ListSnapshotBlocks.html>
    pub token: String,
}

/// Some of a snapshot's blocks, in the order of their indexes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockPage {
    /// The blocks. A block that is in no page was never written.
    pub blocks: Vec<ListedBlock>,
    /// The size of the volume, in GiB.
    pub volume_gib: u32,
    /// The size of the blocks, in bytes.
    pub block_bytes: usize,
    /// Where the next page begins; none if there is none.
    pub next: Option<String>,
}

/// A block's content.
#[derive(Clone, Debug)]
pub struct BlockContent {
    /// The bytes.
    pub content: Bytes,
    /// What EBS says is their SHA-256.
    pub digest: Sha256Digest,
}

/// The snapshots of a region, block by block.
#[async_trait]
pub trait SnapshotBlocks: Send + Sync {
    /// StartSnapshot.
    async fn start(&self, request: &StartRequest) -> Result<StartedSnapshot>;
    /// PutSnapshotBlock, once: whoever writes many of them decides what is repeated, and how many go at once.
    async fn put(&self, snapshot: &SnapshotId, block: &BlockWrite) -> Result<()>;
    /// CompleteSnapshot. The snapshot is whole some time afterwards.
    async fn complete(&self, snapshot: &SnapshotId, written: Written) -> Result<()>;
    /// ListSnapshotBlocks: one page, from where the page before says.
    async fn list(&self, snapshot: &SnapshotId, from: Option<&str>) -> Result<BlockPage>;
    /// GetSnapshotBlock, once.
    async fn get(&self, snapshot: &SnapshotId, block: &ListedBlock) -> Result<BlockContent>;
}
