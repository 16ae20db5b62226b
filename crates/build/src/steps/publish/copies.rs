//! CopyImage: to other regions, and within one from a name of transit to the wanted one.

use super::super::capture::image_available;
use super::super::context::CellContext;
use super::site::{Ours, Shared, Site};
use crate::failure::StepError;
use crate::journal::Effect;
use crate::names::tag;
use crate::publication::Under;
use crate::spec::{Encryption, ImageSpec};
use cloud::*;
use sha2::{Digest, Sha256};
use std::time::Duration;

/// How often a copy that EC2 has no room for is asked for again.
const AGAIN_EVERY: Duration = Duration::from_secs(30);
/// EC2 allows 128 characters.
const MAX_NAME: usize = 128;

/// The name under which an image is made while another has its name.
pub(in crate::steps) fn transitional_name(context: &CellContext, name: &str) -> String {
    let suffix = format!("--{}", context.run_id());
    let room = MAX_NAME - suffix.len();
    let head: String = name.chars().take(room).collect();
    format!("{head}{suffix}")
}

/// Copies the build's image to this region.
pub(super) async fn copy(
    site: &mut Site,
    under: Under,
    shared: &Shared<'_>,
) -> Result<(), StepError> {
    let context = site.context.clone();
    let encryption = site
        .copy
        .as_ref()
        .map(|copy| copy.encryption.clone())
        .unwrap_or_default();
    let name = match under {
        Under::Name => shared.name.clone(),
        Under::Transit => transitional_name(&context, &shared.name),
    };
    let home = shared.spec.region.clone();
    let id = make(
        &context,
        &shared.home,
        home,
        name,
        under,
        encryption,
        shared,
    )
    .await?;
    let ours = Ours { id, image: None };
    match under {
        Under::Name => site.named = Some(ours),
        Under::Transit => site.transit = Some(ours),
    }
    Ok(())
}

/// Copies the image of transit to its name, which is free now.
pub(super) async fn take_name(site: &mut Site, shared: &Shared<'_>) -> Result<(), StepError> {
    let context = site.context.clone();
    let id = site.ours(Under::Transit)?.id.clone();
    let transit = match site.ours(Under::Transit)?.image.clone() {
        Some(image) => image,
        None => available(&context, &id, &shared.spec.image).await?,
    };
    // Encrypted or not, a copy within a region is as its source is.
    let (region, name) = (context.region().name().clone(), shared.name.clone());
    let encryption = kept(&context, &transit).await?;
    let id = make(
        &context,
        &transit,
        region,
        name,
        Under::Name,
        encryption,
        shared,
    )
    .await?;
    site.named = Some(Ours { id, image: None });
    Ok(())
}

/// The encryption that an image has, for a copy within its region: without a key EC2 would take the account's own. Images
/// do not say their keys, their snapshots do.
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_EbsBlockDevice.html>
async fn kept(context: &CellContext, image: &Image) -> Result<Encryption, StepError> {
    let mut encrypted = image.volumes.iter();
    let Some(volume) = encrypted.find(|volume| volume.encrypted == Some(true)) else {
        return Ok(Encryption::AsSource);
    };
    if volume.kms_key_id.is_some() {
        return Ok(Encryption::With(volume.kms_key_id.clone()));
    }
    let ids: Vec<String> = image.snapshots.iter().map(ToString::to_string).collect();
    if ids.is_empty() {
        return Ok(Encryption::With(None));
    }
    let filters = [(String::from("snapshot-id"), ids)];
    let snapshots = context.region().snapshots(&filters).await?;
    let key = snapshots.into_iter().find_map(|one| one.kms_key_id);
    Ok(Encryption::With(key))
}

async fn make(
    context: &CellContext,
    source: &Image,
    source_region: RegionName,
    name: String,
    under: Under,
    encryption: Encryption,
    shared: &Shared<'_>,
) -> Result<ImageId, StepError> {
    let (encrypted, kms_key_id) = match encryption {
        Encryption::AsSource => (false, None),
        Encryption::With(key) => (true, key),
    };
    let mut request = CopyRequest {
        client_token: String::new(),
        source_region,
        source_image: source.image_id.clone(),
        name,
        description: source.description.clone(),
        encrypted,
        kms_key_id,
        image_tags: image_tags(context, source, under, shared),
        snapshot_tags: shared
            .spec
            .tags
            .clone()
            .merged(&shared.spec.image.tags)
            .merged(&context.own_tags())
            .with(tag::COPY_OF, shared.origin.as_str()),
    };
    request.client_token = client_token(context, &request);
    let deadline = context.deadline(shared.spec.image.wait);
    let mut said = false;
    loop {
        match begin(context, &request).await {
            Ok(id) => {
                context.note(format!(
                    "image {id} ({}) in {} is a copy of {} in {}",
                    request.name,
                    context.region().name(),
                    request.source_image,
                    request.source_region
                ));
                return Ok(id);
            }
            // Others copy to that region as well: EC2 lets so many at once, and who waits gets a turn.
            Err(StepError::Cloud(error))
                if error.kind == ErrorKind::Quota && context.clock().now() < deadline =>
            {
                if !said {
                    context.note(format!(
                        "as many copies to {} as EC2 allows are under way; waiting for a turn",
                        context.region().name()
                    ));
                    said = true;
                }
                context.pause(AGAIN_EVERY).await?;
            }
            Err(error) => return Err(error),
        }
    }
}

async fn begin(context: &CellContext, request: &CopyRequest) -> Result<ImageId, StepError> {
    let effect = Effect::CopyImage {
        region: context.region().name().clone(),
        name: request.name.clone(),
        source_region: request.source_region.clone(),
        source_image: request.source_image.clone(),
        client_token: request.client_token.clone(),
    };
    let made = context
        .effects()
        .make(
            context.cell(),
            effect,
            async || match context.region().copy_image(request).await {
                // Of a lost reply, with another token: the time in a tag has gone on since.
                Err(error) if error.kind == ErrorKind::Duplicate => {
                    find(context, &request.name).await?.ok_or(error)
                }
                result => result,
            },
            async || find(context, &request.name).await,
        )
        .await?;
    Ok(made.value)
}

/// The run's own image of that name.
async fn find(context: &CellContext, name: &str) -> Result<Option<ImageId>, CloudError> {
    let filter = ImageFilter {
        owners: vec!["self".into()],
        filters: crate::undo::own("name", name, context.run_id()),
        ..ImageFilter::default()
    };
    let ours = context.region().images(&filter).await?.into_iter().next();
    Ok(ours.map(|image| image.image_id))
}

/// What the source carries, and whose the copy is.
fn image_tags(context: &CellContext, source: &Image, under: Under, shared: &Shared<'_>) -> Tags {
    let carried: Tags = source
        .tags
        .iter()
        .filter(|(key, _)| {
            // Nobody may set tags of AWS's own, and what is not so of the copy is not said of it.
            !key.starts_with("aws:")
                && ![tag::COMPLETE, tag::FINAL_NAME, tag::KEPT].contains(key)
                && (*key != tag::REPLACES || source_is_here(context, source, shared))
        })
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    let mut tags = carried
        .merged(&context.own_tags())
        .with(tag::COPY_OF, shared.origin.as_str());
    if under == Under::Transit {
        tags.set(tag::FINAL_NAME, shared.name.as_str());
    } else if source.tags.get(tag::FINAL_NAME).is_some()
        && source.tags.get(tag::REPLACES).is_none()
        && source_is_here(context, source, shared)
    {
        // What had the name went by itself: it takes the place of its image of transit alone.
        tags.set(tag::REPLACES, source.image_id.as_str());
    }
    tags
}

/// Whether the copy is made within a region: then it replaces what its source was to replace.
fn source_is_here(context: &CellContext, source: &Image, shared: &Shared<'_>) -> bool {
    let home = *context.region().name() == shared.spec.region;
    home || source.image_id != shared.home.image_id
}

/// Hash of run, cell, step and all parameters.
fn client_token(context: &CellContext, request: &CopyRequest) -> String {
    let mut hash = Sha256::new();
    hash.update(format!(
        "{}\n{}\ncopy\n{}\n{request:?}",
        context.run_id(),
        context.cell(),
        context.region().name()
    ));
    hex::encode(hash.finalize())
}

/// Waits until our image is available.
pub(super) async fn wait(
    site: &mut Site,
    under: Under,
    shared: &Shared<'_>,
) -> Result<(), StepError> {
    let id = site.ours(under)?.id.clone();
    let image = match available(&site.context, &id, &shared.spec.image).await {
        Ok(image) => image,
        Err(error) => {
            // One of ours that came to nothing is not reported as the region's image.
            match under {
                Under::Name => site.named = None,
                Under::Transit => site.transit = None,
            }
            return Err(error);
        }
    };
    let ours = Some(Ours {
        id,
        image: Some(image),
    });
    match under {
        Under::Name => site.named = ours,
        Under::Transit => site.transit = ours,
    }
    Ok(())
}

async fn available(
    context: &CellContext,
    id: &ImageId,
    spec: &ImageSpec,
) -> Result<Image, StepError> {
    image_available(context, id, &spec.name, spec.wait).await
}
