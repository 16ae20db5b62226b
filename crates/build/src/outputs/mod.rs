//! What a run's outputs hold: one pure function per format, from rows to bytes. Writing them is [`crate::run`]'s.
//!
//! A row is an image in one region: an image with two copies is three rows.

mod environment;
mod grouped;
mod junit;
mod manifest;
mod properties;

pub use environment::{dotenv, github};
pub use grouped::grouped;
pub use junit::junit;
pub use manifest::{MANIFEST_FORMAT, Manifest, ManifestBuild, ManifestImage, manifest};
pub use properties::properties;

use crate::report::ReportedImage;

/// An image in one region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row<'r> {
    /// The image as it was built, or found.
    pub image: &'r ReportedImage,
    /// Where this one of it is.
    pub region: &'r str,
    /// Its id there.
    pub image_id: &'r str,
}

/// The rows of a run's images: each image, then its copies that could be made.
pub fn rows(images: &[ReportedImage]) -> Vec<Row<'_>> {
    let mut rows = Vec::new();
    for image in images {
        rows.push(Row {
            image,
            region: &image.region,
            image_id: &image.image_id,
        });
        for copy in &image.copies {
            if let Some(image_id) = &copy.image_id {
                rows.push(Row {
                    image,
                    region: &copy.region,
                    image_id,
                });
            }
        }
    }
    rows
}

/// A name and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The name.
    pub key: String,
    /// The value.
    pub value: String,
}

/// The pairs of rows for which the pipeline names none: the image's id by its stage; where a stage has several rows, by
/// stage and cell; where a cell has several, by region too. `join` puts the parts together.
pub fn pairs_by_name(rows: &[Row<'_>], join: fn(&[&str]) -> String) -> Vec<Pair> {
    let count = |same: &dyn Fn(&Row<'_>) -> bool| rows.iter().filter(|row| same(row)).count();
    let mut pairs = Vec::new();
    for row in rows {
        let (stage, cell) = (&row.image.stage, &row.image.cell);
        let of_stage = count(&|other| other.image.stage == *stage);
        let of_cell = count(&|other| other.image.stage == *stage && other.image.cell == *cell);
        let key = if of_stage == 1 {
            join(&[stage])
        } else if of_cell == 1 {
            join(&[stage, cell])
        } else {
            join(&[stage, cell, row.region])
        };
        pairs.push(Pair {
            key,
            value: row.image_id.to_owned(),
        });
    }
    pairs
}

#[cfg(test)]
pub(crate) mod samples {
    use crate::report::{ReportedCopy, ReportedImage};
    use std::collections::BTreeMap;

    /// An image of `stage` with a matrix of a region and an operating system.
    pub(crate) fn image(stage: &str, region: &str, os: &str, id: &str) -> ReportedImage {
        ReportedImage {
            stage: stage.to_owned(),
            cell: format!("{region}-{os}"),
            region: region.to_owned(),
            image_id: id.to_owned(),
            name: format!("{stage} {os}"),
            cached: false,
            skipped: Vec::new(),
            matrix: BTreeMap::from([
                ("region".to_owned(), region.to_owned()),
                ("os".to_owned(), os.to_owned()),
            ]),
            source_image: Some("ami-source".to_owned()),
            snapshots: vec![format!("snap-{id}")],
            tags: BTreeMap::from([("Purpose".to_owned(), "test".to_owned())]),
            copies: Vec::new(),
        }
    }

    pub(crate) fn copied(
        mut image: ReportedImage,
        region: &str,
        id: Option<&str>,
    ) -> ReportedImage {
        image.copies.push(ReportedCopy {
            region: region.to_owned(),
            image_id: id.map(str::to_owned),
            snapshots: Vec::new(),
            error: None,
        });
        image
    }
}

#[cfg(test)]
mod tests {
    use super::samples::{copied, image};
    use super::*;

    fn keys(images: &[ReportedImage]) -> Vec<String> {
        let join = |parts: &[&str]| parts.join(".");
        let pairs = pairs_by_name(&rows(images), join);
        pairs.into_iter().map(|pair| pair.key).collect()
    }

    #[test]
    fn names_are_as_long_as_they_must_be() {
        let base = image("base", "us-east-1", "7", "ami-1");
        assert_eq!(keys(std::slice::from_ref(&base)), ["base"]);
        let other = image("base", "us-east-1", "8", "ami-2");
        let server = image("server", "us-east-1", "7", "ami-3");
        assert_eq!(
            keys(&[base.clone(), other, server]),
            ["base.us-east-1-7", "base.us-east-1-8", "server"]
        );
        let copied = copied(copied(base, "eu-west-1", Some("ami-4")), "sa-east-1", None);
        assert_eq!(
            keys(&[copied]),
            ["base.us-east-1-7.us-east-1", "base.us-east-1-7.eu-west-1"]
        );
    }
}
