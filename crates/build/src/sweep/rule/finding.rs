//! What a sweep finds: what it is, whose it is, what is to become of it.

use crate::names::{CellName, RunId, tag};
use cloud::*;

/// What a sweep can remove. Ordered as it is removed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Thing {
    /// The binding of an Elastic IP. The address itself is never released: it is not qib's.
    AddressBinding {
        /// The binding.
        association: AssociationId,
        /// The address.
        allocation: AllocationId,
    },
    /// An instance.
    Instance(InstanceId),
    /// An import task that is active.
    ImportTask(ImportTaskId),
    /// An upload to S3 that is under way.
    Upload {
        /// Where to.
        place: String,
        /// The bucket.
        bucket: String,
        /// The key.
        key: String,
        /// The upload.
        upload: String,
    },
    /// An object in S3.
    Object {
        /// Where it is.
        place: String,
        /// The bucket.
        bucket: String,
        /// The key.
        key: String,
    },
    /// An image that is not complete.
    Image(ImageId),
    /// A snapshot.
    Snapshot(SnapshotId),
    /// A snapshot that an import task came to and that has no tag yet.
    ImportedSnapshot {
        /// The snapshot.
        id: SnapshotId,
        /// The run whose task it was.
        run: RunId,
    },
    /// A volume.
    Volume(VolumeId),
    /// A key pair.
    KeyPair(KeyPairId),
    /// A security group.
    SecurityGroup(SecurityGroupId),
    /// A temporary instance profile, by its name, with the role in it taken out.
    InstanceProfile(String),
    /// A temporary role, by its name, with its policy.
    Role(String),
    /// A place in the queue for something.
    Ticket(String),
    /// What a run renews to show that it lives.
    RunLease(String),
    /// This machine's record of the run: what it says may still be there is looked up, and it is closed.
    Journal(RunId),
}

impl Thing {
    /// Its kind, as in JSON and in `LeftResource`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::AddressBinding { .. } => "address-binding",
            Self::Instance(_) => "instance",
            Self::ImportTask(_) => "import-task",
            Self::Upload { .. } => "upload",
            Self::Object { .. } => "object",
            Self::Image(_) => "image",
            Self::Snapshot(_) | Self::ImportedSnapshot { .. } => "snapshot",
            Self::Volume(_) => "volume",
            Self::KeyPair(_) => "key-pair",
            Self::SecurityGroup(_) => "security-group",
            Self::InstanceProfile(_) => "instance-profile",
            Self::Role(_) => "role",
            Self::Ticket(_) | Self::RunLease(_) => "lease",
            Self::Journal(_) => "journal",
        }
    }

    /// Its id, or the name that takes the place of one.
    pub fn id(&self) -> &str {
        match self {
            Self::AddressBinding { association, .. } => association.as_str(),
            Self::Instance(id) => id.as_str(),
            Self::ImportTask(id) => id.as_str(),
            Self::Upload { place, .. } | Self::Object { place, .. } => place,
            Self::Image(id) => id.as_str(),
            Self::Snapshot(id) | Self::ImportedSnapshot { id, .. } => id.as_str(),
            Self::Volume(id) => id.as_str(),
            Self::KeyPair(id) => id.as_str(),
            Self::SecurityGroup(id) => id.as_str(),
            Self::InstanceProfile(name) | Self::Role(name) => name,
            Self::Ticket(name) | Self::RunLease(name) => name,
            Self::Journal(run) => run.as_str(),
        }
    }
}

/// Whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The run that made it.
    pub run: RunId,
    /// Its pipeline; empty if nothing says so.
    pub pipeline: String,
    /// Its cell; none if it belongs to the run as a whole.
    pub cell: Option<CellName>,
}

/// Something of a run's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where it is.
    pub region: RegionName,
    /// What it is.
    pub thing: Thing,
    /// Its name, if it has one besides its id.
    pub name: String,
    /// Whose it is.
    pub origin: Origin,
    /// When it was made, if that is known.
    pub created: Option<Timestamp>,
}

/// What is to become of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes.
    Remove {
        /// Why.
        reason: String,
    },
    /// It stays.
    Keep {
        /// Why.
        reason: String,
    },
}

/// Something of a run's, and what is to become of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// What it is.
    pub finding: Finding,
    /// What is to become of it.
    pub verdict: Verdict,
    /// What it is to those who look.
    pub standing: Standing,
}

/// What something is to those who look at an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Something that a run needs for a while.
    Aid,
    /// A complete image, or a snapshot of one: what runs are for.
    Result,
    /// An image that is to take the place of another, and whose run did not live to give it the name; and one that has the
    /// name already, but is not all that it is to be. A snapshot of one.
    Unnamed,
    /// Kept for a person, with its cell.
    Kept,
}

/// Whose a thing is by its tags; none if it is not qib's.
pub(super) fn origin(tags: &Tags) -> Option<Origin> {
    let run = RunId::parse(tags.get(tag::RUN)?)?;
    let cell = match (tags.get(tag::STAGE), tags.get(tag::CELL)) {
        (Some(stage), Some(cell)) => Some(CellName {
            stage: stage.to_owned(),
            cell: cell.to_owned(),
        }),
        _ => None,
    };
    Some(Origin {
        run,
        pipeline: tags.get(tag::PIPELINE).unwrap_or_default().to_owned(),
        cell,
    })
}
