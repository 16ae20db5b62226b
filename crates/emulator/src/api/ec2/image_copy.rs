//! Copying images, between regions and within one.

use super::Action;
use super::client_token::ClientToken;
use super::image_creation::{answer, check_new, image_name};
use super::images::usable;
use super::params::Scope;
use super::snapshot_copy::{Copied, Encryption, check_room, copy, source_region};
use super::snapshots::{self, description};
use super::tag_specs::TagSpecs;
use super::xml::Xml;
use crate::account::image::{Disk, Image, Permission, Progress, Protection, Snapshot, SourceImage};
use crate::account::tags::Tags;
use crate::api::Cx;
use crate::api::error::ApiError;
use crate::catalogue::Copying;
use crate::ids::{ImageId, SnapshotId};

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CopyImage.html>
pub(crate) struct CopyImage {
    source: ImageId,
    source_region: String,
    name: String,
    description: String,
    encryption: Encryption,
    copy_tags: bool,
    tags: TagSpecs,
    token: Option<ClientToken>,
}

impl Action for CopyImage {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        Ok(Self {
            source: ImageId::parse(p.required("SourceImageId")?)?,
            source_region: source_region(p)?,
            name: image_name(p)?,
            description: description(p)?,
            encryption: Encryption::parse(p)?,
            copy_tags: p.flag("CopyImageTags")?.unwrap_or(false),
            tags: TagSpecs::parse(p, &["image", "snapshot"])?,
            token: ClientToken::parse(p)?,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        if let Some(token) = &self.token
            && let Some(made) = token.made_before(cx, "CopyImage")?
        {
            return Ok(answer(&ImageId::parse(&made)?));
        }
        let now = cx.now;
        let source = usable(cx, &self.source_region, &self.source)?;
        if source.state(now) != "available" {
            let message = format!(
                "Image {} is in the state '{}' and cannot be copied",
                self.source,
                source.state(now)
            );
            return Err(ApiError::new("InvalidAMIID.Unavailable", message));
        }
        let originals = self.originals(cx, &source)?;
        check_new(cx, &self.name)?;
        check_room(cx, originals.iter().flatten().count())?;
        let mut image = self.image(cx, &source)?;
        for (mapping, original) in image.mappings.iter_mut().zip(&originals) {
            let Some(original) = original else {
                continue;
            };
            let copied = Copied {
                description: format!(
                    "Copied for DestinationAmi {} from SourceAmi {} for SourceSnapshot {}.",
                    image.id, source.id, original.id
                ),
                encryption: &self.encryption,
                tags: self.tags.of("snapshot"),
            };
            let copy = copy(cx, original, copied);
            if let Progress::Halting {
                failure: Some(_), ..
            } = &copy.progress
            {
                image.progress = copy.progress.clone();
            }
            mapping.ebs.snapshot = Some(copy.id.clone());
            mapping.ebs.encrypted = copy.encrypted;
            mapping.ebs.kms_key = copy.kms_key.clone();
            cx.region().snapshots.insert(copy.id.clone(), copy);
        }
        let x = answer(&image.id);
        if let Some(token) = self.token {
            token.remember(cx, "CopyImage", image.id.as_str());
        }
        cx.region().images.insert(image.id.clone(), image);
        Ok(x)
    }
}

impl CopyImage {
    /// The snapshots to copy, one for each of the image's devices that has one.
    ///
    /// # Errors
    /// `InvalidRequest` for what is not shared, see
    /// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/CopyingAMIs.html>.
    fn originals(&self, cx: &Cx<'_>, source: &Image) -> Result<Vec<Option<Snapshot>>, ApiError> {
        let refused = |message: &str| Err(ApiError::new("InvalidRequest", message));
        let no_permission = "You do not have permission to access the storage of this ami";
        let mut originals = Vec::new();
        for mapping in &source.mappings {
            let Some(id) = &mapping.ebs.snapshot else {
                originals.push(None);
                continue;
            };
            let original = match cx.snapshot_in(&self.source_region, id) {
                Some(snapshot) if snapshots::may_use(cx, &self.source_region, &snapshot) => {
                    snapshot
                }
                Some(_) => return refused(no_permission),
                None => match cx.catalogue.copying(source) {
                    Copying::Allowed => public_snapshot(source, mapping.ebs.size_gib, id),
                    Copying::StorageNotShared => return refused(no_permission),
                    Copying::Marketplace => {
                        return refused(
                            "Images from AWS Marketplace cannot be copied to another AWS account",
                        );
                    }
                },
            };
            originals.push(Some(original));
        }
        Ok(originals)
    }

    /// The copy, with its devices still the source's.
    fn image(&self, cx: &Cx<'_>, source: &Image) -> Result<Image, ApiError> {
        // "The following tags are not copied: … user-defined tags that are attached by other Amazon Web Services accounts."
        let mut tags = match self.copy_tags && source.owner == cx.owner() {
            true => source.tags.clone(),
            false => Tags::default(),
        };
        tags.set_all(&self.tags.of("image").pairs())?;
        Ok(Image {
            id: ImageId::random(),
            name: self.name.clone(),
            description: self.description.clone(),
            owner: cx.owner().to_owned(),
            owner_alias: None,
            created: cx.now,
            progress: cx.copying(&tags).image,
            // "We don't copy launch permissions."
            launch_permission: Permission::default(),
            source_image: Some(SourceImage {
                id: source.id.clone(),
                region: self.source_region.clone(),
            }),
            source_instance: None,
            deprecated: None,
            protection: Protection::Off,
            last_launched: None,
            tags,
            ..source.clone()
        })
    }
}

/// A public image's snapshot is its publisher's: there is nothing of it in any account here, and it is the host's system.
fn public_snapshot(image: &Image, size_gib: u32, id: &SnapshotId) -> Snapshot {
    Snapshot {
        id: id.clone(),
        owner: image.owner.clone(),
        volume: String::new(),
        size_gib,
        description: String::new(),
        started: image.created,
        progress: Progress::Done {
            complete: image.created,
        },
        encrypted: false,
        kms_key: None,
        create_volume_permission: Permission::default(),
        layers: Vec::new(),
        blocks: Vec::new(),
        disk: Some(Disk {
            default_user: image.default_user.clone(),
            agent: image.agent,
        }),
        tags: Tags::default(),
    }
}
