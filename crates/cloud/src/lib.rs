//! The port: what qib needs of EC2, SSM and STS, in qib's own types.
//!
//! Nothing in here talks to a network. [`Account`] and [`Region`] are implemented by the `aws` crate with the SDK and
//! by in-memory fakes in tests. The waiters in [`wait`] are built on the port alone, and so is the one layer that repeats
//! calls, [`retry`].
//!
//! ```text
//!   build ──▶ Account ──▶ Region (one per AWS region)
//!                │           ├─ describe …  (reads, safe to repeat)
//!                │           ├─ create …    (tagged in the same call)
//!                │           ├─ delete …    (already gone counts as done)
//!                │           ├─ blocks      (a snapshot's content: EBS direct)
//!                │           └─ objects     (S3)
//!                └─ caller_identity
//! ```

pub mod address;
pub mod blocks;
pub mod clock;
pub mod credentials;
pub mod error;
pub mod identity;
pub mod ids;
pub mod image;
pub mod import_task;
pub mod inquiry;
pub mod instance;
pub mod key_pair;
pub mod network;
pub mod objects;
pub mod parameter;
pub mod port;
pub mod retry;
pub mod tags;
pub mod wait;

pub use address::{Address, AddressBinding, AddressFilter};
pub use blocks::{
    BLOCK_BYTES, BlockContent, BlockPage, BlockWrite, ListedBlock, Sha256Digest, SnapshotBlocks,
    SnapshotEncryption, StartRequest, StartedSnapshot, Written,
};
pub use clock::{Clock, Timestamp};
pub use error::{CloudError, ErrorKind};
pub use identity::{Iam, InstanceProfile, Role, Simulated};
pub use ids::*;
pub use image::{
    Capture, CopyRequest, DeregistrationProtection, Grant, Image, ImageFilter, ImageRequest,
    ImageState, LaunchTemplateImage, Permissions, PublicSharing, RegisterRequest, Snapshot,
    SnapshotState, SnapshotsRequest, Volume, VolumeSnapshot,
};
pub use import_task::{ImportRequest, ImportState, ImportTask};
pub use inquiry::{DryRun, KmsKey, Quota, Verdict};
pub use instance::{
    CapacityReservation, EbsVolume, EnhancedNetworking, GuestShutdown, Hosting, Instance,
    InstanceFilter, InstanceState, InstanceTypeDescription, LaunchRequest, MetadataOptions,
    Offering, Placement, Purchase, VolumeType,
};
pub use key_pair::KeyPairDescription;
pub use network::{IngressRule, OptIn, RegionDescription, SecurityGroup, Subnet, Vpc};
pub use objects::{ObjectFacts, ObjectPlace, Objects, PartWrite, UploadId, UploadedPart};
pub use parameter::{Depth, Parameter, ParameterKind, ParameterWrite};
pub use port::{Account, CallerIdentity, Region};
pub use tags::{TagSpecification, Tags};
