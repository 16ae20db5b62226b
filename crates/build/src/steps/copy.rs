//! A stage with nothing to do in an instance: its image is a copy of the source, made by CopyImage within the region.
//!
//! ```text
//!   copy image ─▶ complete ─▶ share
//! ```
//!
//! It is the cheapest way that gives an image of one's own, with one's own name, tags and snapshots: RegisterImage on the
//! source's snapshots would need permission to them, and the image would go with them when their owner deletes them; an
//! instance would cost minutes and money and change the file system. What may not be copied (another account's image
//! with a billing product code, an image whose snapshots are not shared) EC2 refuses, and says so.
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/CopyingAMIs.html>

use super::capture::image_available;
use super::context::CellContext;
use super::{BuiltImage, Ingredients, Progress, publish};
use crate::event::Step;
use crate::failure::{CellFailure, StepError};
use crate::journal::Effect;
use crate::names::tag;
use crate::spec::{Encryption, PublicationSpec};
use cloud::{CloudError, CopyRequest, Image, ImageFilter, ImageId, RegionName};
use sha2::{Digest, Sha256};

/// Copies the source: to a complete image. On failure the journal knows what is there.
pub async fn copy_cell(
    context: &CellContext,
    spec: &PublicationSpec,
    from: Ingredients<'_>,
    progress: &Progress,
) -> Result<BuiltImage, CellFailure> {
    let fail =
        |step: Step| move |error: StepError| CellFailure::new(spec.cell.clone(), step, error);
    context.begin(Step::CopyImage).await?;
    let request = request(context, spec, &spec.region, from.source);
    let copied = copy(context, spec, &request)
        .await
        .map_err(fail(Step::CopyImage))?;
    context.finish(Step::CopyImage);
    let image = publish::complete(context, spec, &copied, progress).await?;
    Ok(BuiltImage {
        image,
        skipped: Vec::new(),
    })
}

/// What CopyImage is asked for: the cell's image, made of `source`, which is in `source_region`.
fn request(
    context: &CellContext,
    spec: &PublicationSpec,
    source_region: &RegionName,
    source: &Image,
) -> CopyRequest {
    let tags = spec
        .tags
        .clone()
        .merged(&spec.image.tags)
        .merged(&context.own_tags());
    let mut request = CopyRequest {
        client_token: String::new(),
        source_region: source_region.clone(),
        source_image: source.image_id.clone(),
        name: spec.image.made_as().to_owned(),
        description: spec.image.description.clone(),
        encrypted: matches!(spec.image.encryption, Encryption::With(_)),
        kms_key_id: match &spec.image.encryption {
            Encryption::With(key) => key.clone(),
            Encryption::AsSource => None,
        },
        snapshot_tags: tags.clone(),
        image_tags: tags
            .merged(&spec.image.cache_tags)
            .with(tag::SOURCE_IMAGE, source.image_id.as_str()),
    };
    request.client_token = client_token(context, &request);
    request
}

/// Hash of run, cell, step and all parameters but the time: new whenever one of them changes, and the same for a process
/// that takes the run up again.
fn client_token(context: &CellContext, request: &CopyRequest) -> String {
    let mut steady = request.clone();
    for tags in [&mut steady.image_tags, &mut steady.snapshot_tags] {
        tags.0.remove(tag::EXPIRES);
        tags.0.remove(tag::LEASE);
    }
    let mut hash = Sha256::new();
    hash.update(format!(
        "{}\n{}\ncopy\n{steady:?}",
        context.run_id(),
        context.cell()
    ));
    hex::encode(hash.finalize())
}

/// Copies, and waits until the copy is available.
async fn copy(
    context: &CellContext,
    spec: &PublicationSpec,
    request: &CopyRequest,
) -> Result<Image, StepError> {
    let effect = Effect::CopyImage {
        region: spec.region.clone(),
        name: request.name.clone(),
        source_region: request.source_region.clone(),
        source_image: request.source_image.clone(),
        client_token: request.client_token.clone(),
    };
    // What an earlier process of the run copied otherwise than now is not the image, and may have its name.
    let others = context
        .standing(|earlier| matches!(earlier, Effect::CopyImage { .. }) && !effect.is(earlier));
    for number in others {
        context.effects().unmake(number).await?;
    }
    let made = context
        .effects()
        .make(
            context.cell(),
            effect,
            async || context.region().copy_image(request).await,
            async || find_own(context, &request.name).await,
        )
        .await?;
    context.note(format!(
        "image {} ({}), a copy of {}",
        made.value, request.name, request.source_image
    ));
    image_available(context, &made.value, &request.name, spec.image.wait).await
}

/// The run's own image of that name.
async fn find_own(context: &CellContext, name: &str) -> Result<Option<ImageId>, CloudError> {
    let filter = ImageFilter {
        owners: vec!["self".into()],
        filters: crate::undo::own("name", name, context.run_id()),
        ..ImageFilter::default()
    };
    let ours = context.region().images(&filter).await?.into_iter().next();
    Ok(ours.map(|image| image.image_id))
}
