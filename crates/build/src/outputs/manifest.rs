//! The manifest: what a run made, for later runs and for `qib images verify`.

use super::Row;
use crate::report::{Report, ReportedImage};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The format that is written. A reader refuses a later one.
pub const MANIFEST_FORMAT: u32 = 1;

/// What a run made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The format: [`MANIFEST_FORMAT`].
    pub format: u32,
    /// The run.
    pub run: String,
    /// The pipeline.
    pub pipeline: String,
    /// The account.
    pub account: String,
    /// One for each cell that has an image.
    pub builds: Vec<ManifestBuild>,
}

/// What one cell made or found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestBuild {
    /// `stage/cell`.
    pub name: String,
    /// The stage.
    pub stage: String,
    /// The cell within it.
    pub cell: String,
    /// The value of each axis of its matrix.
    pub matrix: BTreeMap<String, String>,
    /// The image's name.
    pub image_name: String,
    /// Whether it was found rather than built.
    pub cached: bool,
    /// The image it was built from.
    pub source_image: Option<String>,
    /// All images in one text, `REGION:ID` with commas between them, as Packer's manifest has it.
    pub artifact_id: String,
    /// The image in each region, the one it was built in first.
    pub images: Vec<ManifestImage>,
    /// The image's tags.
    pub tags: BTreeMap<String, String>,
    /// What the pipeline adds.
    pub custom_data: BTreeMap<String, String>,
}

/// An image in one region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestImage {
    /// Where.
    pub region: String,
    /// Its id.
    pub image_id: String,
    /// The snapshots behind it.
    pub snapshots: Vec<String>,
}

/// The manifest of a run. `data` gives what the pipeline adds for each image.
pub fn manifest<E>(
    report: &Report,
    pipeline: &str,
    account: &str,
    images: &[&ReportedImage],
    mut data: impl FnMut(&Row<'_>) -> Result<BTreeMap<String, String>, E>,
) -> Result<Manifest, E> {
    let mut builds = Vec::new();
    for image in images {
        let row = Row {
            image,
            region: &image.region,
            image_id: &image.image_id,
        };
        let mut places = vec![ManifestImage {
            region: image.region.clone(),
            image_id: image.image_id.clone(),
            snapshots: image.snapshots.clone(),
        }];
        places.extend(image.copies.iter().filter_map(|copy| {
            Some(ManifestImage {
                region: copy.region.clone(),
                image_id: copy.image_id.clone()?,
                snapshots: copy.snapshots.clone(),
            })
        }));
        let ids: Vec<String> = places
            .iter()
            .map(|place| format!("{}:{}", place.region, place.image_id))
            .collect();
        builds.push(ManifestBuild {
            name: format!("{}/{}", image.stage, image.cell),
            stage: image.stage.clone(),
            cell: image.cell.clone(),
            matrix: image.matrix.clone(),
            image_name: image.name.clone(),
            cached: image.cached,
            source_image: image.source_image.clone(),
            artifact_id: ids.join(","),
            images: places,
            tags: image.tags.clone(),
            custom_data: data(&row)?,
        });
    }
    Ok(Manifest {
        format: MANIFEST_FORMAT,
        run: report.run.to_string(),
        pipeline: pipeline.to_owned(),
        account: account.to_owned(),
        builds,
    })
}
