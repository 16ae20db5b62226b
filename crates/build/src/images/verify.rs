//! Whether an account holds what a manifest says. Comparing is pure; only the look asks the account.

use crate::names::tag;
use crate::outputs::{MANIFEST_FORMAT, Manifest};
use cloud::{Account, Image, ImageFilter, ImageState, RegionName};
use futures::future::join_all;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Why a manifest cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestProblem {
    /// It is no manifest.
    #[error("it is no manifest of qib: {0}")]
    Unreadable(String),
    /// It is of a later version.
    #[error("it has format {0}, and this qib reads {MANIFEST_FORMAT}")]
    LaterFormat(u32),
}

/// One image of the manifest, or one that the manifest lacks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VerifiedImage {
    /// `stage/cell`.
    pub name: String,
    /// Where.
    pub region: String,
    /// Its id.
    pub image_id: String,
    /// What it came to.
    #[serde(flatten)]
    pub verdict: Verified,
}

/// What an image came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum Verified {
    /// It is as the manifest says.
    Correct,
    /// It is there, and differs.
    Incorrect {
        /// In what.
        differences: Vec<Difference>,
    },
    /// It is not there.
    Missing,
    /// It is of the manifest's run, and the manifest does not have it.
    Unexpected,
    /// Its region could not be asked.
    Unreachable {
        /// Why.
        reason: String,
    },
}

/// In what an image differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What: `name`, `state`, `snapshots`, `tag KEY`.
    pub what: String,
    /// What the manifest says; none if it says nothing.
    pub wanted: Option<String>,
    /// What there is; none if there is nothing.
    pub found: Option<String>,
}

/// Reads a manifest.
///
/// # Errors
/// When it is none, or of a later format.
pub fn read_manifest(bytes: &[u8]) -> Result<Manifest, ManifestProblem> {
    #[derive(serde::Deserialize)]
    struct Format {
        format: u32,
    }
    let unreadable = |error: serde_json::Error| ManifestProblem::Unreadable(error.to_string());
    let Format { format } = serde_json::from_slice(bytes).map_err(unreadable)?;
    if format > MANIFEST_FORMAT {
        return Err(ManifestProblem::LaterFormat(format));
    }
    serde_json::from_slice(bytes).map_err(unreadable)
}

/// Compares a manifest with the account, region by region.
pub async fn verify(account: &dyn Account, manifest: &Manifest) -> Vec<VerifiedImage> {
    let mut regions: BTreeSet<&str> = BTreeSet::new();
    for build in &manifest.builds {
        regions.extend(build.images.iter().map(|image| image.region.as_str()));
    }
    let looks = regions.iter().map(|name| async move {
        let region = account.region(&RegionName::new(*name));
        let wanted: Vec<cloud::ImageId> = manifest
            .builds
            .iter()
            .flat_map(|build| &build.images)
            .filter(|image| image.region == **name)
            .map(|image| image.image_id.as_str().into())
            .collect();
        let by_id = ImageFilter {
            image_ids: wanted,
            owners: vec![String::from("self")],
            ..ImageFilter::default()
        };
        let by_run = ImageFilter {
            owners: vec![String::from("self")],
            filters: vec![(format!("tag:{}", tag::RUN), vec![manifest.run.clone()])],
            ..ImageFilter::default()
        };
        let found = async {
            let mut found = region.images(&by_id).await?;
            found.extend(region.images(&by_run).await?);
            Ok::<_, cloud::CloudError>(found)
        };
        let found = found.await.map_err(|error| error.to_string());
        ((*name).to_owned(), found)
    });
    let found: BTreeMap<String, Result<Vec<Image>, String>> =
        join_all(looks).await.into_iter().collect();
    compare(manifest, &found)
}

fn compare(
    manifest: &Manifest,
    found: &BTreeMap<String, Result<Vec<Image>, String>>,
) -> Vec<VerifiedImage> {
    let mut verified = Vec::new();
    let mut known: BTreeSet<&str> = BTreeSet::new();
    for build in &manifest.builds {
        for wanted in &build.images {
            known.insert(&wanted.image_id);
            let verdict = match found.get(&wanted.region) {
                None => Verified::Missing,
                Some(Err(reason)) => Verified::Unreachable {
                    reason: reason.clone(),
                },
                Some(Ok(images)) => {
                    let image = images
                        .iter()
                        .find(|image| image.image_id.as_str() == wanted.image_id)
                        .filter(|image| image.state != ImageState::Gone);
                    match image {
                        None => Verified::Missing,
                        Some(image) => {
                            let name = build
                                .images
                                .first()
                                .filter(|first| first.region == wanted.region)
                                .map(|_| build.image_name.as_str());
                            judged(differences(image, name, &wanted.snapshots, &build.tags))
                        }
                    }
                }
            };
            verified.push(VerifiedImage {
                name: build.name.clone(),
                region: wanted.region.clone(),
                image_id: wanted.image_id.clone(),
                verdict,
            });
        }
    }
    for (region, images) in found {
        let Ok(images) = images else { continue };
        let mut told = BTreeSet::new();
        for image in images {
            let is_of_run = image.tags.get(tag::RUN) == Some(manifest.run.as_str());
            let is_there = image.state != ImageState::Gone;
            let id = image.image_id.as_str();
            if is_of_run && is_there && !known.contains(id) && told.insert(id) {
                let tagged = |key| image.tags.get(key).unwrap_or_default();
                verified.push(VerifiedImage {
                    name: format!("{}/{}", tagged(tag::STAGE), tagged(tag::CELL)),
                    region: region.clone(),
                    image_id: id.to_owned(),
                    verdict: Verified::Unexpected,
                });
            }
        }
    }
    verified
}

fn judged(differences: Vec<Difference>) -> Verified {
    if differences.is_empty() {
        Verified::Correct
    } else {
        Verified::Incorrect { differences }
    }
}

/// A copy may have a name of its own; only the name in the region of the build is compared.
fn differences(
    image: &Image,
    name: Option<&str>,
    snapshots: &[String],
    tags: &BTreeMap<String, String>,
) -> Vec<Difference> {
    let mut differences = Vec::new();
    let mut compare = |what: String, wanted: Option<String>, found: Option<String>| {
        if wanted != found {
            differences.push(Difference {
                what,
                wanted,
                found,
            });
        }
    };
    if let Some(name) = name {
        compare(
            String::from("name"),
            Some(name.to_owned()),
            Some(image.name.clone()),
        );
    }
    compare(
        String::from("state"),
        Some(String::from("available")),
        Some(super::state_word(&image.state)),
    );
    if !snapshots.is_empty() {
        let joined = |mut ids: Vec<String>| {
            ids.sort();
            Some(ids.join(", "))
        };
        let found = image.snapshots.iter().map(ToString::to_string).collect();
        compare(
            String::from("snapshots"),
            joined(snapshots.to_vec()),
            joined(found),
        );
    }
    // Tags that were added since are the business of whoever added them.
    for (key, value) in tags {
        // When the thing may be taken for abandoned: each copy has a time of its own.
        if key == tag::EXPIRES {
            continue;
        }
        let found = image.tags.get(key).map(str::to_owned);
        compare(format!("tag {key}"), Some(value.clone()), found);
    }
    differences
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outputs::{ManifestBuild, ManifestImage};
    use cloud::Tags;

    fn image(id: &str, name: &str, tags: &[(&str, &str)]) -> Image {
        Image {
            image_id: id.into(),
            name: name.to_owned(),
            description: String::new(),
            state: ImageState::Available,
            state_reason: None,
            created: None,
            owner: None,
            architecture: String::from("x86_64"),
            root_device: None,
            snapshots: vec![format!("snap-{id}").as_str().into()],
            tags: tags
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect::<Tags>(),
            deprecated: None,
            protected: false,
            public: false,
            boot_mode: None,
            virtualization: String::from("hvm"),
            volumes: Vec::new(),
        }
    }

    fn manifest() -> Manifest {
        let place = |region: &str, id: &str| ManifestImage {
            region: region.to_owned(),
            image_id: id.to_owned(),
            snapshots: vec![format!("snap-{id}")],
        };
        Manifest {
            format: MANIFEST_FORMAT,
            run: String::from("r-1"),
            pipeline: String::from("p"),
            account: String::from("123456789012"),
            builds: vec![ManifestBuild {
                name: String::from("base/a"),
                stage: String::from("base"),
                cell: String::from("a"),
                matrix: BTreeMap::new(),
                image_name: String::from("base-1"),
                cached: false,
                source_image: None,
                artifact_id: String::new(),
                images: vec![place("us-east-1", "ami-1"), place("eu-west-1", "ami-2")],
                tags: BTreeMap::from([(String::from("Purpose"), String::from("base"))]),
                custom_data: BTreeMap::new(),
            }],
        }
    }

    fn statuses(found: BTreeMap<String, Result<Vec<Image>, String>>) -> Vec<(String, String)> {
        compare(&manifest(), &found)
            .into_iter()
            .map(|one| {
                let status = serde_json::to_value(&one.verdict).unwrap();
                (one.image_id, status["status"].as_str().unwrap().to_owned())
            })
            .collect()
    }

    #[test]
    fn each_of_the_five_is_told() {
        let good = image("ami-1", "base-1", &[("Purpose", "base"), ("more", "since")]);
        let renamed = image("ami-2", "another name", &[("Purpose", "changed")]);
        let extra = image("ami-3", "base-x", &[(tag::RUN, "r-1")]);
        let found = BTreeMap::from([
            (
                String::from("us-east-1"),
                Ok(vec![good, extra.clone(), extra]),
            ),
            (String::from("eu-west-1"), Ok(vec![renamed])),
        ]);
        let told = |id: &str, status: &str| (id.to_owned(), status.to_owned());
        assert_eq!(
            statuses(found),
            [
                told("ami-1", "correct"),
                told("ami-2", "incorrect"),
                told("ami-3", "unexpected")
            ]
        );
        let found = BTreeMap::from([
            (String::from("us-east-1"), Ok(Vec::new())),
            (String::from("eu-west-1"), Err(String::from("denied"))),
        ]);
        assert_eq!(
            statuses(found),
            [told("ami-1", "missing"), told("ami-2", "unreachable")]
        );
    }

    #[test]
    fn a_difference_says_what_was_wanted_and_what_there_is() {
        let mut found = image("ami-1", "renamed", &[]);
        found.snapshots = vec!["snap-other".into()];
        let tags = BTreeMap::from([
            (String::from("Purpose"), String::from("base")),
            (
                tag::EXPIRES.to_owned(),
                String::from("2026-11-21T12:00:00Z"),
            ),
        ]);
        let told = differences(&found, Some("base-1"), &[String::from("snap-ami-1")], &tags);
        let told: Vec<_> = told
            .iter()
            .map(|d| (d.what.as_str(), d.wanted.as_deref(), d.found.as_deref()))
            .collect();
        assert_eq!(
            told,
            [
                ("name", Some("base-1"), Some("renamed")),
                ("snapshots", Some("snap-ami-1"), Some("snap-other")),
                ("tag Purpose", Some("base"), None),
            ]
        );
    }

    #[test]
    fn what_is_no_manifest_is_refused() {
        assert!(matches!(
            read_manifest(b"{\"images\":[]}"),
            Err(ManifestProblem::Unreadable(_))
        ));
        assert_eq!(
            read_manifest(b"{\"format\":2,\"new\":1}"),
            Err(ManifestProblem::LaterFormat(2))
        );
        let written = serde_json::to_vec(&manifest()).unwrap();
        assert_eq!(read_manifest(&written), Ok(manifest()));
    }
}
