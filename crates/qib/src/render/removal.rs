//! Images that are to be removed, or were.

use super::json::document;
use super::table::rows;
use build::images::{Fate, Removed, RemovedImage};
use cloud::{CloudError, Image, Region};
use serde::Serialize;
use std::io::{self, Write};

/// One image, as a flat object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RemovalRow {
    /// Its id.
    pub image_id: String,
    /// Its name.
    pub name: String,
    /// Where it is.
    pub region: String,
    /// When it was created, RFC 3339.
    pub created: Option<String>,
    /// `goes`, `stays`, `removed` or `resisted`.
    pub fate: &'static str,
    /// Why.
    pub reason: String,
    /// The snapshots that go with it; of one that was removed, those that are there still.
    pub snapshots: Vec<String>,
}

impl RemovalRow {
    /// What is to become of an image.
    pub fn planned(region: &dyn Region, image: &Image, fate: &Fate) -> Self {
        let (fate, reason) = match fate {
            Fate::Goes(why) => ("goes", why),
            Fate::Stays(why) => ("stays", why),
        };
        Self {
            image_id: image.image_id.to_string(),
            name: image.name.clone(),
            region: region.name().to_string(),
            created: image.created.map(|at| at.to_string()),
            fate,
            reason: reason.clone(),
            snapshots: image.snapshots.iter().map(ToString::to_string).collect(),
        }
    }

    /// Puts what became of images into their rows.
    pub fn settle(rows: &mut [Self], removed: &[RemovedImage]) {
        for one in removed {
            let id = one.image.image_id.as_str();
            let Some(row) = rows.iter_mut().find(|row| row.image_id == id) else {
                continue;
            };
            match &one.outcome {
                Removed::Gone { still_used, .. } => {
                    row.fate = "removed";
                    row.snapshots = still_used.iter().map(ToString::to_string).collect();
                    if let Some(snapshot) = still_used.first() {
                        row.reason =
                            format!("{}; another image uses {snapshot}, which stays", row.reason);
                    }
                }
                Removed::Resisted(error) => {
                    row.fate = "resisted";
                    row.reason = error.to_string();
                }
                Removed::SnapshotsLeft(left) => {
                    row.fate = "resisted";
                    row.snapshots = left.iter().map(|(id, _)| id.to_string()).collect();
                    let reasons = left.iter().map(|(_, error)| error.to_string());
                    row.reason = format!(
                        "the image is gone, but {}",
                        reasons.collect::<Vec<_>>().join("; ")
                    );
                }
            }
        }
    }

    /// Says that what was to go is there still, because removing could not even begin.
    pub fn keep_all(rows: &mut [Self], error: &CloudError) {
        for row in rows.iter_mut().filter(|row| row.fate == "goes") {
            row.fate = "resisted";
            row.reason = error.to_string();
        }
    }

    /// Whether nothing is there that should be gone.
    pub fn is_as_wanted(&self) -> bool {
        self.fate != "resisted"
    }

    /// Whether it stays.
    pub fn stays(&self) -> bool {
        self.fate == "stays"
    }
}

/// The rows, for people or as JSON.
///
/// # Errors
/// As writing has them.
pub fn removal_text(out: &mut dyn Write, images: &[RemovalRow], json: bool) -> io::Result<()> {
    if json {
        return document(out, &images);
    }
    if images.is_empty() {
        return Ok(());
    }
    let lines = images.iter().map(|row| {
        [
            row.fate.to_owned(),
            row.image_id.clone(),
            row.region.clone(),
            row.created
                .as_deref()
                .and_then(|at| at.get(..10))
                .unwrap_or("?")
                .to_owned(),
            row.name.clone(),
            row.reason.clone(),
        ]
    });
    writeln!(out, "{}", rows(lines))
}

/// How many there are, and what to do next. `again` removes what was shown.
pub fn resistance(
    images: &[RemovalRow],
    acted: bool,
    again: &str,
    endpoint: Option<&str>,
) -> String {
    let count = |fate: &str| images.iter().filter(|row| row.fate == fate).count();
    let things = |count: usize| match count {
        1 => String::from("1 image"),
        count => format!("{count} images"),
    };
    let (goes, stays) = (count("goes"), count("stays"));
    if !acted {
        return match goes {
            0 => format!("Nothing is to be removed; {} stay.", things(stays)),
            goes => format!(
                "{} to be removed with their snapshots, {} stay. Nothing is removed yet; to do it: {again}",
                things(goes),
                things(stays)
            ),
        };
    }
    let mut text = format!(
        "{} removed, {} stay.",
        things(count("removed")),
        things(stays)
    );
    let endpoint = endpoint
        .map(|url| format!(" --endpoint-url {url}"))
        .unwrap_or_default();
    for row in images.iter().filter(|row| row.fate == "resisted") {
        text.push_str(&format!("\nleft behind: {}: {}", row.image_id, row.reason));
        let region = &row.region;
        let command = |what: &str| format!("\n  aws{endpoint} --region {region} ec2 {what}");
        if !row.reason.starts_with("the image is gone") {
            text.push_str(&command(&format!(
                "deregister-image --image-id {}",
                row.image_id
            )));
        }
        for snapshot in &row.snapshots {
            text.push_str(&command(&format!(
                "delete-snapshot --snapshot-id {snapshot}"
            )));
        }
    }
    text
}
