//! What is known about an image besides what DescribeImages says.

use cloud::*;
use futures::future::{try_join, try_join_all};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Something that still names an image.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind", content = "id")]
pub enum ImageUse {
    /// An instance that is not terminated.
    Instance(String),
    /// A launch template's version that is its default or its latest: `name (lt-…) version 3`.
    LaunchTemplate(String),
}

impl std::fmt::Display for ImageUse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Instance(id) => write!(f, "instance {id}"),
            Self::LaunchTemplate(template) => write!(f, "launch template {template}"),
        }
    }
}

/// An image and who may and does use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageFacts {
    /// The image.
    pub image: Image,
    /// Who may launch it besides its owner.
    pub permissions: Permissions,
    /// When an instance was last launched from it, as far as EC2 has reported.
    pub last_launched: Option<Timestamp>,
    /// What names it.
    pub uses: BTreeSet<ImageUse>,
}

/// The account's own image of that id; none if there is none in the region.
///
/// # Errors
/// If the account cannot be asked.
pub async fn find(region: &dyn Region, id: &ImageId) -> Result<Option<Image>, CloudError> {
    let filter = ImageFilter {
        image_ids: vec![id.clone()],
        owners: vec![String::from("self")],
        ..ImageFilter::default()
    };
    let images = region.images(&filter).await?;
    Ok(images
        .into_iter()
        .find(|image| image.state != ImageState::Gone))
}

/// What names images of the region: instances, and the default and latest versions of launch templates.
///
/// # Errors
/// If the account cannot be asked.
pub async fn uses(
    region: &dyn Region,
) -> Result<BTreeMap<ImageId, BTreeSet<ImageUse>>, CloudError> {
    let mut uses: BTreeMap<ImageId, BTreeSet<ImageUse>> = BTreeMap::new();
    for instance in region.instances(&InstanceFilter::default()).await? {
        if let Some(image) = instance.image_id
            && !instance.state.is_ending()
        {
            let instance = ImageUse::Instance(instance.instance_id.to_string());
            uses.entry(image).or_default().insert(instance);
        }
    }
    for template in region.launch_template_images().await? {
        let said = format!(
            "{} ({}) version {}",
            template.template_name, template.template_id, template.version
        );
        let template_use = ImageUse::LaunchTemplate(said);
        uses.entry(template.image_id)
            .or_default()
            .insert(template_use);
    }
    Ok(uses)
}

/// The facts about each of `images`, in their order.
///
/// # Errors
/// If the account cannot be asked about one of them.
pub async fn facts_of(
    region: &dyn Region,
    images: Vec<Image>,
) -> Result<Vec<ImageFacts>, CloudError> {
    let details = async {
        // EC2 answers about one image at a time; a few at once stay within its rate.
        let mut known = Vec::new();
        for some in images.chunks(8) {
            let asked = some.iter().map(|image| {
                let id = &image.image_id;
                try_join(region.image_permissions(id), region.image_last_launched(id))
            });
            known.extend(try_join_all(asked).await?);
        }
        Ok(known)
    };
    let (details, uses) = try_join(details, uses(region)).await?;
    Ok(images
        .into_iter()
        .zip(details)
        .map(|(image, (permissions, last_launched))| ImageFacts {
            uses: uses.get(&image.image_id).cloned().unwrap_or_default(),
            image,
            permissions,
            last_launched,
        })
        .collect())
}
