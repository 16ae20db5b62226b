//! The image is whole: it is marked as complete, and only then shared.

use super::capture::Captured;
use super::context::CellContext;
use crate::failure::StepError;
use crate::journal::Effect;
use crate::names::tag;
use crate::spec::ImageSpec;
use cloud::{Grant, Image, Permissions, Tags};

/// Marks the image as complete. From here on it is part of the result: other runs may find and use it.
pub(super) async fn complete(context: &CellContext, captured: &Captured) -> Result<(), StepError> {
    let id = &captured.image.image_id;
    let effect = Effect::MarkComplete {
        region: context.region().name().clone(),
        image: id.clone(),
    };
    let resources = [id.to_string()];
    let tags = Tags::new().with(tag::COMPLETE, "true");
    context
        .effects()
        .set(context.cell(), effect, async || {
            context
                .until_visible(|| context.region().create_tags(&resources, &tags))
                .await
        })
        .await?;
    context.effects().deliver(captured.effect)?;
    Ok(())
}

/// Lets the accounts launch the image and, unless asked otherwise, make volumes from its snapshots, which they need in
/// order to copy it. Snapshots first, so that nobody sees an image that cannot be copied yet.
pub(super) async fn share(
    context: &CellContext,
    image: &Image,
    spec: &ImageSpec,
) -> Result<(), StepError> {
    let id = &image.image_id;
    let accounts = &spec.share_accounts;
    let effect = Effect::ShareImage {
        region: context.region().name().clone(),
        image: id.clone(),
        accounts: accounts.iter().map(ToString::to_string).collect(),
    };
    let permissions = Permissions {
        accounts: accounts.iter().cloned().collect(),
        ..Permissions::default()
    };
    let call = async || {
        if spec.share_snapshots {
            for snapshot in &image.snapshots {
                context
                    .region()
                    .change_snapshot_permissions(snapshot, Grant::Add, &permissions)
                    .await?;
            }
        }
        context
            .region()
            .change_image_permissions(id, Grant::Add, &permissions)
            .await
    };
    let made = context.effects().set(context.cell(), effect, call).await;
    match made {
        Ok(_) => {
            let names: Vec<&str> = accounts.iter().map(cloud::AccountId::as_str).collect();
            context.note(format!("{id} is shared with {}", names.join(", ")));
            Ok(())
        }
        Err(StepError::Cloud(error)) => Err(StepError::NotShared {
            image: id.to_string(),
            reason: error.to_string(),
        }),
        Err(error) => Err(error),
    }
}
