//! Finding the image that a stage starts from.

use crate::failure::{ImportError, SourceError, StepError};
use crate::host::DiskImages;
use crate::images::state_word;
use crate::names::tag;
use cloud::{Image, ImageFilter, ImageId, ImageState, Region, RegionName, Tags, Timestamp};
use pipeline::cache_key::SourceIdentity;
use pipeline::model::{self, Deprecated, Import, ImportOrigin, Pick, PipelineSource, Source};

/// The image that `source` means, for sources that are not stages. `now` decides what is deprecated.
///
/// Among several the newest is the one created last. Ids say nothing about age.
pub async fn find_source(
    region: &dyn Region,
    source: &Source,
    now: Timestamp,
    images: &dyn DiskImages,
) -> Result<Image, StepError> {
    match source {
        Source::ImageId { id, deprecated } => {
            by_id(region, id.as_str(), "", *deprecated, now).await
        }
        Source::Ssm {
            parameter,
            deprecated,
        } => {
            let id = parameter_value(region, parameter.as_str()).await?;
            let of = format!(" (of the parameter {parameter})");
            by_id(region, &id, &of, *deprecated, now).await
        }
        Source::Filter { filter, pick, .. } => {
            let deprecated = if filter.include_deprecated {
                Deprecated::Taken
            } else {
                Deprecated::Refused
            };
            let wanted = words(filter);
            let found = search(region, ec2_filter(filter), deprecated, now, &wanted).await?;
            let image = picked(region, found, *pick, &wanted)?;
            image.ok_or_else(|| StepError::NoImageMatches {
                region: region.name().to_string(),
                wanted,
            })
        }
        Source::Pipeline(wanted) => {
            let said = words_of_pipeline(wanted);
            let found = search(region, built_by(wanted), wanted.deprecated, now, &said).await?;
            let image = picked(region, found, Pick::Newest, &said)?;
            image.ok_or_else(|| {
                SourceError::NothingBuilt {
                    region: region.name().to_string(),
                    wanted: said,
                }
                .into()
            })
        }
        Source::Stage(name) => Err(StepError::NoImageMatches {
            region: region.name().to_string(),
            wanted: format!("stage {name}"),
        }),
        Source::Import(import) => imported(images, import).await,
    }
}

/// What stands for a disk image: an image that EC2 does not have yet. Its id is the digest of the disk image's file, which is
/// what the cache knows it by; what else is asked of a source is as the pipeline's language says.
pub(crate) async fn imported(images: &dyn DiskImages, import: &Import) -> Result<Image, StepError> {
    let identity = images.identify(import).await;
    let digest = identity.map_err(|error| match import.origin {
        ImportOrigin::File(_) => ImportError::File(error),
        ImportOrigin::Url(_) => ImportError::Image(error),
    })?;
    Ok(Image {
        image_id: ImageId::new(SourceIdentity::Import(digest).to_string()),
        name: import.name().to_owned(),
        description: String::new(),
        state: ImageState::Available,
        state_reason: None,
        created: None,
        owner: None,
        architecture: import
            .arch
            .as_ref()
            .map_or_else(String::new, |arch| arch.as_str().to_owned()),
        root_device: Some(import.root_device.value.as_str().to_owned()),
        snapshots: Vec::new(),
        tags: Tags::new(),
        deprecated: None,
        protected: false,
        public: false,
        boot_mode: None,
        virtualization: String::from("hvm"),
        volumes: Vec::new(),
    })
}

/// The image with this id, if it can be launched. `of` says where the id is from.
async fn by_id(
    region: &dyn Region,
    id: &str,
    of: &str,
    deprecated: Deprecated,
    now: Timestamp,
) -> Result<Image, StepError> {
    let filter = ImageFilter {
        image_ids: vec![id.into()],
        include_deprecated: true,
        ..ImageFilter::default()
    };
    let found = region.images(&filter).await?.into_iter().next();
    launchable(found, region.name(), id, of, deprecated, now)
}

/// `found`, the image `id` of `region`, if it is there and can be launched.
pub(super) fn launchable(
    found: Option<Image>,
    region: &RegionName,
    id: &str,
    of: &str,
    deprecated: Deprecated,
    now: Timestamp,
) -> Result<Image, StepError> {
    let image = found.ok_or_else(|| SourceError::NoImage {
        image: id.to_owned(),
        of: of.to_owned(),
        region: region.to_string(),
    })?;
    if image.state != ImageState::Available {
        return Err(StepError::SourceNotAvailable {
            image: image.image_id.to_string(),
            state: state_word(&image.state),
        });
    }
    match image.deprecated {
        Some(since) if deprecated == Deprecated::Refused && since <= now => {
            Err(SourceError::Deprecated {
                image: format!("{}{of}", image.image_id),
                name: image.name,
                since: since.to_string(),
            }
            .into())
        }
        _ => Ok(image),
    }
}

/// The image's id that an SSM parameter holds. The value itself is never shown: it may be anything, a secret too.
async fn parameter_value(region: &dyn Region, name: &str) -> Result<String, StepError> {
    let found = region.parameter(name).await?;
    let parameter = found.ok_or_else(|| SourceError::NoParameter {
        parameter: name.to_owned(),
        region: region.name().to_string(),
    })?;
    let value = parameter.value.trim();
    if model::ImageId::new(value).is_ok() {
        return Ok(value.to_owned());
    }
    let what = if value.starts_with('{') {
        "JSON"
    } else if value.is_empty() {
        "nothing"
    } else {
        "something else"
    };
    Err(SourceError::NotAnImage {
        parameter: name.to_owned(),
        region: region.name().to_string(),
        what,
    }
    .into())
}

/// Whether a run of qib has made the image and is not through with it: it may still fail its test, and go.
fn is_unfinished(image: &Image) -> bool {
    image.tags.get(tag::RUN).is_some() && image.tags.get(tag::COMPLETE).is_none()
}

/// Everything available that fits, but for what is deprecated unless that is taken, too.
///
/// # Errors
/// If nothing fits but what is deprecated.
async fn search(
    region: &dyn Region,
    filter: ImageFilter,
    deprecated: Deprecated,
    now: Timestamp,
    wanted: &str,
) -> Result<Vec<Image>, StepError> {
    let filter = ImageFilter {
        include_deprecated: deprecated == Deprecated::Taken,
        ..filter
    };
    let is_deprecated = |image: &Image| image.deprecated.is_some_and(|since| since <= now);
    // EC2 leaves out other accounts' deprecated images, and shows one's own.
    let mut found = region.images(&filter).await?;
    found.retain(|image| !is_unfinished(image));
    if deprecated == Deprecated::Taken {
        return Ok(found);
    }
    let all = found.len();
    found.retain(|image| !is_deprecated(image));
    if !found.is_empty() {
        return Ok(found);
    }
    // Whether there would be something is worth a second look.
    let count = if all > 0 {
        all
    } else {
        let with = ImageFilter {
            include_deprecated: true,
            ..filter
        };
        region.images(&with).await?.len()
    };
    if count == 0 {
        return Ok(found);
    }
    Err(SourceError::OnlyDeprecated {
        region: region.name().to_string(),
        count,
        wanted: wanted.to_owned(),
    }
    .into())
}

fn picked(
    region: &dyn Region,
    mut images: Vec<Image>,
    pick: Pick,
    wanted: &str,
) -> Result<Option<Image>, StepError> {
    images.sort_by(|a, b| {
        b.created
            .cmp(&a.created)
            .then_with(|| b.image_id.cmp(&a.image_id))
    });
    if pick == Pick::Only && images.len() > 1 {
        return Err(StepError::SeveralImagesMatch {
            region: region.name().to_string(),
            wanted: wanted.to_owned(),
            count: images.len(),
        });
    }
    Ok(images.into_iter().next())
}

fn equals(name: &str, value: &str) -> (String, Vec<String>) {
    (name.to_owned(), vec![value.to_owned()])
}

fn ec2_filter(filter: &model::ImageFilter) -> ImageFilter {
    let mut filters = vec![
        equals("architecture", filter.arch.as_str()),
        equals("virtualization-type", filter.virtualization.as_str()),
        equals("root-device-type", filter.root_device.as_str()),
        equals("state", "available"),
    ];
    let texts = [
        ("name", &filter.name),
        ("description", &filter.description),
        ("product-code", &filter.product_code),
    ];
    filters.extend(
        texts
            .iter()
            .filter_map(|(name, value)| Some(equals(name, value.as_deref()?))),
    );
    filters.extend(
        filter
            .tags
            .iter()
            .map(|(key, value)| equals(&format!("tag:{key}"), value)),
    );
    ImageFilter {
        owners: filter.owners.iter().map(ToString::to_string).collect(),
        filters,
        ..ImageFilter::default()
    }
}

/// What finds the complete images of a pipeline: the tags that qib gives them.
fn built_by(wanted: &PipelineSource) -> ImageFilter {
    let mut filters = vec![
        equals(&format!("tag:{}", tag::PIPELINE), wanted.pipeline.as_str()),
        equals(&format!("tag:{}", tag::COMPLETE), "true"),
        equals("state", "available"),
    ];
    filters.extend(
        wanted
            .stage
            .iter()
            .map(|stage| equals(&format!("tag:{}", tag::STAGE), stage.as_str())),
    );
    filters.extend(
        wanted
            .tags
            .iter()
            .map(|(key, value)| equals(&format!("tag:{key}"), value)),
    );
    let owners: Vec<String> = wanted.owners.iter().map(ToString::to_string).collect();
    ImageFilter {
        owners: if owners.is_empty() {
            vec![String::from("self")]
        } else {
            owners
        },
        filters,
        ..ImageFilter::default()
    }
}

fn words_of_pipeline(wanted: &PipelineSource) -> String {
    let mut text = format!("pipeline {}", wanted.pipeline);
    if let Some(stage) = &wanted.stage {
        text.push_str(&format!(", stage {stage}"));
    }
    for (key, value) in &wanted.tags {
        text.push_str(&format!(", tag {key}={value}"));
    }
    let owners: Vec<String> = wanted.owners.iter().map(ToString::to_string).collect();
    if !owners.is_empty() {
        text.push_str(&format!(", owner {}", owners.join(" or ")));
    }
    text
}

/// What a filter asks for, in words; of other sources nothing.
pub(crate) fn wanted_words(source: &Source) -> String {
    match source {
        Source::Filter { filter, .. } => words(filter),
        Source::ImageId { .. }
        | Source::Ssm { .. }
        | Source::Pipeline(_)
        | Source::Stage(_)
        | Source::Import(_) => String::new(),
    }
}

fn words(filter: &model::ImageFilter) -> String {
    let owners: Vec<String> = filter.owners.iter().map(ToString::to_string).collect();
    let mut text = format!("owner {}", owners.join(" or "));
    let texts = [
        ("name", &filter.name),
        ("description", &filter.description),
        ("product code", &filter.product_code),
    ];
    for (what, value) in texts {
        if let Some(value) = value {
            text.push_str(&format!(", {what} `{value}`"));
        }
    }
    text.push_str(&format!(", {}", filter.arch.as_str()));
    for (key, value) in &filter.tags {
        text.push_str(&format!(", tag {key}={value}"));
    }
    text
}
