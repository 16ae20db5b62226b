//! Copying snapshots, between regions and within one.

use super::Action;
use super::block_devices;
use super::params::Scope;
use super::snapshots::{description, usable_in};
use super::tag_specs::{TagSpecs, write_tags};
use super::xml::Xml;
use crate::account::image::{Permission, Progress, Snapshot};
use crate::account::quotas::Quota;
use crate::account::regions;
use crate::account::tags::Tags;
use crate::api::Cx;
use crate::api::error::ApiError;
use crate::ids::SnapshotId;

/// How a copy is to be encrypted.
#[derive(Clone, Debug)]
pub(crate) struct Encryption {
    /// Whether it is; what is encrypted before stays so.
    encrypted: bool,
    key: Option<String>,
}

impl Encryption {
    /// Reads `Encrypted` and `KmsKeyId`.
    ///
    /// # Errors
    /// "If you specify a KMS key, you must also set the encrypted state to true."
    pub(crate) fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        let encrypted = p.flag("Encrypted")?.unwrap_or(false);
        let key = p.text("KmsKeyId").map(str::to_owned);
        if key.is_some() && !encrypted {
            return Err(ApiError::new(
                "InvalidParameterDependency",
                "The parameter KmsKeyId requires the parameter Encrypted to be set.",
            ));
        }
        Ok(Self { encrypted, key })
    }

    /// Whether it is to be encrypted.
    pub(crate) fn is_wanted(&self) -> bool {
        self.encrypted
    }

    /// The key that is named.
    pub(crate) fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CopySnapshot.html>
pub(crate) struct CopySnapshot {
    source: SnapshotId,
    source_region: String,
    description: String,
    encryption: Encryption,
    tags: TagSpecs,
}

impl Action for CopySnapshot {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        // Clients send these two for encrypted snapshots; they repeat what the request's own signature says.
        p.text("PresignedUrl");
        p.text("DestinationRegion");
        Ok(Self {
            source: SnapshotId::parse(p.required("SourceSnapshotId")?)?,
            source_region: source_region(p)?,
            description: description(p)?,
            encryption: Encryption::parse(p)?,
            tags: TagSpecs::parse(p, &["snapshot"])?,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let source = usable_in(cx, &self.source_region, &self.source)?;
        check_room(cx, 1)?;
        let copied = Copied {
            description: self.description,
            encryption: &self.encryption,
            tags: self.tags.of("snapshot"),
        };
        let copy = copy(cx, &source, copied);
        let mut x = Xml::new();
        x.put("snapshotId", &copy.id);
        write_tags(&mut x, &copy.tags);
        cx.region().snapshots.insert(copy.id.clone(), copy);
        Ok(x)
    }
}

/// Reads `SourceRegion`.
pub(crate) fn source_region(p: &Scope<'_>) -> Result<String, ApiError> {
    let region = p.required("SourceRegion")?;
    if !regions::is_enabled(region) {
        return Err(ApiError::invalid_value(
            "SourceRegion",
            region,
            "Invalid region.",
        ));
    }
    Ok(region.to_owned())
}

/// The volume that copies say they are of: "Snapshots created by the CopySnapshot action have an arbitrary volume ID."
pub(crate) const OF_A_COPY: &str = "vol-ffffffff";

/// Whether so many more copies can be under way.
///
/// # Errors
/// `ResourceLimitExceeded`: "for example, you might have too many snapshot copies in progress"
/// (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html>).
pub(crate) fn check_room(cx: &mut Cx<'_>, more: usize) -> Result<(), ApiError> {
    let (now, most) = (cx.now, cx.quotas().count(Quota::SnapshotCopies));
    let snapshots = cx.region().snapshots.values();
    // What was written by blocks is of no volume either, and no copy.
    let copies = snapshots.filter(|s| s.volume == OF_A_COPY && s.blocks.first() != Some(&s.id));
    let under_way = copies.filter(|s| s.state(now) == "pending");
    match under_way.count() + more > most {
        true => Err(ApiError::new(
            "ResourceLimitExceeded",
            format!(
                "Too many snapshot copies in progress. The limit is {most} for this destination region."
            ),
        )),
        false => Ok(()),
    }
}

/// What of a copy differs from its source.
pub(crate) struct Copied<'a> {
    pub(crate) description: String,
    pub(crate) encryption: &'a Encryption,
    pub(crate) tags: Tags,
}

/// A copy of a snapshot in the request's region, sharing its layers. It fails if its key cannot be used: "Amazon Web Services
/// authenticates the KMS key asynchronously. Therefore, if you specify a key that is not valid, the action can appear to
/// complete, but eventually fails."
pub(crate) fn copy(cx: &mut Cx<'_>, source: &Snapshot, copied: Copied<'_>) -> Snapshot {
    let Copied {
        description,
        encryption,
        tags,
    } = copied;
    let encrypted = encryption.encrypted || source.encrypted;
    let mut progress = cx.copying(&tags).snapshot;
    let mut kms_key = None;
    if encrypted {
        match block_devices::key(cx, encryption.key.as_deref()) {
            Ok(arn) => kms_key = Some(arn),
            Err(_) => {
                progress = Progress::Halting {
                    at: progress.due().unwrap_or(cx.now),
                    percent: 0,
                    failure: Some("Given key ID is not accessible".to_owned()),
                }
            }
        }
    }
    Snapshot {
        id: SnapshotId::random(),
        owner: cx.owner().to_owned(),
        volume: OF_A_COPY.to_owned(),
        size_gib: source.size_gib,
        description,
        started: cx.now,
        progress,
        encrypted,
        kms_key,
        create_volume_permission: Permission::default(),
        layers: source.layers.clone(),
        blocks: source.blocks.clone(),
        disk: source.disk.clone(),
        tags,
    }
}
