//! `image`.

use super::volumes::{left_out, volumes};
use super::{rendered, rendered_tags};
use crate::failure::StepError;
use crate::spec::ImageSpec;
use cloud::Tags;
use pipeline::model;
use pipeline::template::RunFacts;

pub(super) fn image(image: &model::Image, facts: &RunFacts) -> Result<ImageSpec, StepError> {
    let description = image
        .description
        .as_ref()
        .map(|text| rendered(text, "image.description", facts))
        .transpose()?;
    let name = rendered(&image.name, "image.name", facts)?;
    pipeline::check_image_name(&name).map_err(|error| StepError::Template {
        field: String::from("image.name"),
        reason: error.to_string(),
    })?;
    Ok(ImageSpec {
        name,
        description: description.unwrap_or_default(),
        tags: rendered_tags(&image.tags, "image.tags", facts)?,
        volumes: volumes(&image.volumes),
        left_out_devices: left_out(&image.volumes),
        share_accounts: image
            .share
            .accounts
            .iter()
            .map(|id| id.as_str().into())
            .collect(),
        share_snapshots: image.share.snapshots,
        wait: image.wait.get(),
        cache_tags: Tags::new(),
    })
}
