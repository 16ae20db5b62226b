//! Finding the image that a stage starts from.

use crate::failure::StepError;
use crate::images::state_word;
use cloud::{Image, ImageFilter, ImageState, Region};
use pipeline::model::{Pick, Source};

/// The image that `source` means, for sources that are not stages.
///
/// Among several the newest is the one created last. Ids say nothing about age.
pub async fn find_source(region: &dyn Region, source: &Source) -> Result<Image, StepError> {
    let (filter, pick, wanted) = match source {
        Source::ImageId(id) => {
            let filter = ImageFilter {
                image_ids: vec![id.as_str().into()],
                ..ImageFilter::default()
            };
            (filter, Pick::Only, format!("image_id {id}"))
        }
        Source::Filter { filter, pick } => (ec2_filter(filter), *pick, words(filter)),
        Source::Stage(name) => {
            return Err(StepError::NoImageMatches {
                region: region.name().to_string(),
                wanted: format!("stage {name}"),
            });
        }
    };
    let mut images = region.images(&filter).await?;
    images.sort_by(|a, b| {
        b.created
            .cmp(&a.created)
            .then_with(|| b.image_id.cmp(&a.image_id))
    });
    if pick == Pick::Only && images.len() > 1 {
        return Err(StepError::SeveralImagesMatch {
            region: region.name().to_string(),
            wanted,
            count: images.len(),
        });
    }
    let image = images
        .into_iter()
        .next()
        .ok_or_else(|| StepError::NoImageMatches {
            region: region.name().to_string(),
            wanted,
        })?;
    if image.state != ImageState::Available {
        return Err(StepError::SourceNotAvailable {
            image: image.image_id.to_string(),
            state: state_word(&image.state),
        });
    }
    Ok(image)
}

fn ec2_filter(filter: &pipeline::model::ImageFilter) -> ImageFilter {
    let mut filters = vec![
        ("name".to_owned(), vec![filter.name.clone()]),
        (
            "architecture".to_owned(),
            vec![filter.arch.as_str().to_owned()],
        ),
        (
            "virtualization-type".to_owned(),
            vec![filter.virtualization.as_str().to_owned()],
        ),
        (
            "root-device-type".to_owned(),
            vec![filter.root_device.as_str().to_owned()],
        ),
        ("state".to_owned(), vec!["available".to_owned()]),
    ];
    filters.extend(
        filter
            .tags
            .iter()
            .map(|(key, value)| (format!("tag:{key}"), vec![value.clone()])),
    );
    ImageFilter {
        include_deprecated: false,
        image_ids: Vec::new(),
        owners: filter.owners.iter().map(ToString::to_string).collect(),
        filters,
    }
}

fn words(filter: &pipeline::model::ImageFilter) -> String {
    let owners: Vec<String> = filter.owners.iter().map(ToString::to_string).collect();
    let mut text = format!(
        "owner {}, name `{}`, {}",
        owners.join(" or "),
        filter.name,
        filter.arch.as_str()
    );
    for (key, value) in &filter.tags {
        text.push_str(&format!(", tag {key}={value}"));
    }
    text
}
