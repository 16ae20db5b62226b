//! A disk image becomes an image: fetched, read, sent into a snapshot, registered.
//!
//! ```text
//!                         ┌─ via ebs ─▶ start snapshot ─▶ blocks ─▶ complete ──────────────┐
//!   fetch ─▶ open, look ──┤                                                                ├─▶ snapshot whole ─▶ register
//!                         └─ via s3 ──▶ object in parts ─▶ import task ─▶ tag ─▶ object gone┘
//! ```
//!
//! The name of the image is known to be free before anything is fetched, and bucket, parent and key are known to be usable. A
//! process that takes the run up again goes on where the journal says: no block that EBS has acknowledged is sent again, no part
//! that S3 has, a task is waited for, and so is an image that was registered.

mod ahead;
mod content;
mod ebs;
mod kept_digests;
mod object;
mod parent;
mod register;
mod s3;
mod task;
mod told;

use super::capture::image_available;
use super::context::CellContext;
use super::{BuiltImage, Progress, publish};
use crate::event::Step;
use crate::failure::{CellFailure, StepError};
use crate::journal::{Effect, EffectNumber, EffectState};
use crate::names::tag;
use crate::spec::{ImageSpec, PublicationSpec};
use cloud::{Image, Tags};
use content::Content;
pub use content::disk_options;
pub(crate) use content::look_into;
use pipeline::model::{Import, Via};

/// What is to be imported, and as what.
#[derive(Clone)]
pub struct ImportOrder<'a> {
    /// The disk image.
    pub import: &'a Import,
    /// What stands for it as a source: its id is its digest.
    pub source: &'a Image,
    /// What the image says of itself.
    pub image: &'a ImageSpec,
    /// The name it is registered under.
    pub name: String,
    /// Tags of the image.
    pub image_tags: Tags,
    /// Tags of its snapshot.
    pub snapshot_tags: Tags,
}

/// Imports the disk image that the cell's image is: to a complete image. On failure the journal knows what is there.
///
/// # Errors
/// If it cannot be had, read, sent or registered.
pub async fn import_cell(
    context: &CellContext,
    spec: &PublicationSpec,
    import: &Import,
    source: &Image,
    progress: &Progress,
) -> Result<BuiltImage, CellFailure> {
    let tags = spec
        .tags
        .clone()
        .merged(&spec.image.tags)
        .merged(&context.own_tags());
    let mut image_tags = tags
        .clone()
        .merged(&spec.image.cache_tags)
        .with(tag::SOURCE_IMAGE, source.image_id.as_str());
    if spec.image.transitional_name.is_some() {
        image_tags.set(tag::FINAL_NAME, spec.image.name.as_str());
    }
    let order = ImportOrder {
        import,
        source,
        image: &spec.image,
        name: spec.image.made_as().to_owned(),
        image_tags,
        snapshot_tags: tags,
    };
    let imported = imported(context, &order).await?;
    let image = publish::complete(context, spec, &imported, progress).await?;
    Ok(BuiltImage {
        image,
        skipped: Vec::new(),
    })
}

/// Imports the disk image that the cell's instance starts from, as an image that is there for as long as it takes.
///
/// # Errors
/// If it cannot be had, read, sent or registered.
pub async fn import_source(
    context: &CellContext,
    image: &ImageSpec,
    import: &Import,
    source: &Image,
) -> Result<Image, CellFailure> {
    let context = &context.of_import();
    // What the instance's image is to be does not hold for the one that it starts from, but for what decides whether it
    // starts at all.
    let image = &ImageSpec {
        properties: crate::spec::ImageProperties {
            architecture: None,
            imds_v2: false,
            ..image.properties.clone()
        },
        encryption: image.encryption.clone(),
        description: format!("{}, for a build of run {}", import.name(), context.run_id()),
        wait: image.wait,
        ..ImageSpec::default()
    };
    let tags = context.own_tags();
    let order = ImportOrder {
        import,
        source,
        image,
        name: format!(
            "qib-{}-{}",
            context.run_id(),
            content::short_hash(&format!("{}\n{}", context.cell(), source.image_id))
        ),
        image_tags: tags.clone(),
        snapshot_tags: tags,
    };
    imported(context, &order).await
}

async fn imported(context: &CellContext, order: &ImportOrder<'_>) -> Result<Image, CellFailure> {
    let fail =
        |step: Step| move |error: StepError| CellFailure::new(context.cell().clone(), step, error);
    let recipe = register::recipe(order);
    if let Some(image) = register::registered(context, &recipe) {
        context.begin(Step::Register).await?;
        context.note(format!("goes on: image {image} had been registered"));
        let image = image_available(context, &image, &order.name, order.image.wait)
            .await
            .map_err(fail(Step::Register))?;
        context.finish(Step::Register);
        return Ok(image);
    }
    context.begin(Step::Fetch).await?;
    start_over_if_other(context, &recipe)
        .await
        .map_err(fail(Step::Fetch))?;
    let image = ahead::image_with_key(context, order)
        .await
        .map_err(fail(Step::Fetch))?;
    let order = &ImportOrder {
        image: &image,
        ..order.clone()
    };
    // What an earlier process has begun had been looked at before.
    if context.standing(is_of_import).is_empty() {
        ahead::look(context, order)
            .await
            .map_err(fail(Step::Fetch))?;
    }
    let content = content::fetch(context, order)
        .await
        .map_err(fail(Step::Fetch))?;
    register::check_size(order, &content)
        .map_err(StepError::from)
        .map_err(fail(Step::Fetch))?;
    context.finish(Step::Fetch);
    let snapshot = match &order.import.via {
        Via::Ebs { holes, parent } => {
            context.begin(Step::Upload).await?;
            let snapshot = ebs::snapshot(context, order, &content, *holes, parent.as_ref())
                .await
                .map_err(fail(Step::Upload))?;
            context.finish(Step::Upload);
            snapshot
        }
        Via::S3 { .. } => s3::snapshot(context, order, &content).await?,
    };
    context.begin(Step::Register).await?;
    let image = register::register(context, order, &content, &snapshot, &recipe)
        .await
        .map_err(fail(Step::Register))?;
    context.finish(Step::Register);
    Ok(image)
}

fn is_of_import(effect: &Effect) -> bool {
    matches!(
        effect,
        Effect::RegisterSnapshot { .. }
            | Effect::StartSnapshot { .. }
            | Effect::ImportSnapshot { .. }
            | Effect::UploadObject { .. }
    )
}

/// Removes what an earlier process of the run has registered of another disk, or otherwise than it is wanted now, with what
/// it stands on: no snapshot goes before its image.
async fn start_over_if_other(context: &CellContext, wanted: &str) -> Result<(), StepError> {
    let others = context.standing(
        |effect| matches!(effect, Effect::RegisterSnapshot { recipe, .. } if recipe != wanted),
    );
    if others.is_empty() {
        return Ok(());
    }
    context.note(
        "what an earlier process of this run had begun is thrown away: the image that it registered is another than \
         is wanted now",
    );
    for number in context.standing(is_of_import) {
        context.effects().unmake(number).await?;
    }
    let state = context.effects().state();
    let is_complete = |number: &EffectNumber| {
        let entry = state.effect(*number);
        entry.is_some_and(|entry| matches!(entry.state, EffectState::Delivered(_)))
    };
    match others.iter().any(is_complete) {
        true => Err(StepError::CannotGoOn {
            why: String::from(
                "the image that it registered is complete, and is another than is wanted now: begin a run of its own",
            ),
        }),
        false => Ok(()),
    }
}

/// The description that a snapshot of the cell is found by: no other snapshot has it.
fn description(context: &CellContext, order: &ImportOrder<'_>, content: &Content) -> String {
    format!(
        "{} for {} of run {} ({})",
        order.import.name(),
        context.cell(),
        context.run_id(),
        content::short_hash(&content.identity)
    )
}
