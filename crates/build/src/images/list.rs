//! `qib images ls`: the images that qib made, found by tag alone.

use super::state_word;
use crate::names::tag;
use cloud::{CloudError, Image, ImageFilter, Region};
use serde::Serialize;
use std::collections::BTreeMap;

/// Which images to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageQuery {
    /// Only this stage's.
    pub stage: Option<String>,
    /// Only those with all of these tags.
    pub tags: Vec<(String, String)>,
}

/// One image, as a flat object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImageRow {
    /// Its id.
    pub image_id: String,
    /// Its name.
    pub name: String,
    /// Where it is.
    pub region: String,
    /// `available`, `pending`, `failed` …
    pub state: String,
    /// When it was created, RFC 3339.
    pub created: Option<String>,
    /// The stage that it is of.
    pub stage: String,
    /// The pipeline.
    pub pipeline: String,
    /// The run that made it.
    pub run: String,
    /// The hash of all that decides its content.
    pub cache_key: String,
    /// What it was built from.
    pub source_image: String,
    /// The snapshots behind it.
    pub snapshots: Vec<String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// The images that fit, newest first.
pub async fn list(region: &dyn Region, query: &ImageQuery) -> Result<Vec<ImageRow>, CloudError> {
    let mut filters = vec![("tag-key".to_owned(), vec![tag::STAGE.to_owned()])];
    if let Some(stage) = &query.stage {
        filters.push((format!("tag:{}", tag::STAGE), vec![stage.clone()]));
    }
    filters.extend(
        query
            .tags
            .iter()
            .map(|(key, value)| (format!("tag:{key}"), vec![value.clone()])),
    );
    let filter = ImageFilter {
        owners: vec!["self".into()],
        filters,
        ..ImageFilter::default()
    };
    let mut images = region.images(&filter).await?;
    // EC2's filters take `*` and `?`; a stage's name is meant as it is.
    images.retain(|image| {
        query.stage.is_none() || image.tags.get(tag::STAGE) == query.stage.as_deref()
    });
    images.sort_by(|a, b| {
        b.created
            .cmp(&a.created)
            .then_with(|| a.image_id.cmp(&b.image_id))
    });
    Ok(images.iter().map(|image| row(region, image)).collect())
}

/// An image as a flat object.
pub fn row(region: &dyn Region, image: &Image) -> ImageRow {
    let tagged = |key: &str| image.tags.get(key).unwrap_or_default().to_owned();
    ImageRow {
        image_id: image.image_id.to_string(),
        name: image.name.clone(),
        region: region.name().to_string(),
        state: state_word(&image.state),
        created: image.created.map(|at| at.to_string()),
        stage: tagged(tag::STAGE),
        pipeline: tagged(tag::PIPELINE),
        run: tagged(tag::RUN),
        cache_key: tagged(tag::CACHE_KEY),
        source_image: tagged(tag::SOURCE_IMAGE),
        snapshots: image.snapshots.iter().map(ToString::to_string).collect(),
        tags: image.tags.0.clone(),
    }
}
