//! Copying images, between regions and within one.

use super::Action;
use super::client_token::ClientToken;
use super::image_creation::{answer, check_unused, image_name};
use super::images::not_found;
use super::params::Scope;
use super::snapshots::{self, description, source_region};
use super::tag_specs::TagSpecs;
use super::xml::Xml;
use crate::account::ACCOUNT_ID;
use crate::account::image::{Permission, Progress, Snapshot, SourceImage};
use crate::api::Cx;
use crate::api::error::ApiError;
use crate::ids::{ImageId, SnapshotId};

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CopyImage.html>
pub(crate) struct CopyImage {
    source: ImageId,
    source_region: String,
    name: String,
    description: String,
    encrypted: bool,
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
            encrypted: p.flag("Encrypted")?.unwrap_or(false),
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
        let own = cx
            .account
            .region_mut(&self.source_region)
            .images
            .get(&self.source)
            .cloned();
        let source = own
            .or_else(|| cx.catalogue.find(&self.source_region, &self.source))
            .ok_or_else(|| not_found(&self.source))?;
        if source.state(now) != "available" {
            let message = format!(
                "Image {} is in the state '{}' and cannot be copied",
                self.source,
                source.state(now)
            );
            return Err(ApiError::new("InvalidAMIID.Unavailable", message));
        }
        check_unused(cx.region(), &self.name)?;
        let mut image = source.clone();
        image.id = ImageId::random();
        image.name = self.name;
        image.description = self.description;
        image.owner = ACCOUNT_ID.to_owned();
        image.owner_alias = None;
        image.created = now;
        // "Launch permissions and user-defined tags are not copied" unless CopyImageTags is given.
        image.launch_permission = Permission::default();
        image.source_image = Some(SourceImage {
            id: source.id.clone(),
            region: self.source_region.clone(),
        });
        image.source_instance = None;
        image.deprecated = None;
        image.tags = self.tags.of("image");
        if self.copy_tags {
            let mut tags = source.tags.clone();
            tags.set_all(
                &image
                    .tags
                    .iter()
                    .map(|(k, v)| (k.to_owned(), v.to_owned()))
                    .collect::<Vec<_>>(),
            )?;
            image.tags = tags;
        }
        image.progress = cx.making(&image.tags).image;
        for mapping in &mut image.mappings {
            let Some(id) = &mapping.ebs.snapshot else {
                continue;
            };
            let encrypted = self.encrypted || mapping.ebs.encrypted;
            let known = cx
                .account
                .region_mut(&self.source_region)
                .snapshots
                .get(id)
                .cloned();
            let size_gib = mapping.ebs.size_gib;
            // A public image's snapshot is its publisher's: there is nothing of it in this account, and it is empty.
            let original = known.unwrap_or_else(|| public_snapshot(id, size_gib, now));
            let description = format!(
                "Copied for DestinationAmi {} from SourceAmi {} for SourceSnapshot {id}.",
                image.id, source.id
            );
            let copy = snapshots::copy(
                cx,
                &original,
                description,
                encrypted,
                self.tags.of("snapshot"),
            );
            mapping.ebs.snapshot = Some(copy.id.clone());
            mapping.ebs.encrypted = encrypted;
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

fn public_snapshot(id: &SnapshotId, size_gib: u32, now: jiff::Timestamp) -> Snapshot {
    Snapshot {
        id: id.clone(),
        owner: String::new(),
        volume: "vol-ffffffff".to_owned(),
        size_gib,
        description: String::new(),
        started: now,
        progress: Progress::Done { complete: now },
        encrypted: false,
        create_volume_permission: Permission::default(),
        layers: Vec::new(),
        tags: Default::default(),
    }
}
