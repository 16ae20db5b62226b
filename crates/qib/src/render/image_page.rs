//! One image with all that is known about it.

use super::age::age;
use super::table::rows;
use build::images::{ImageFacts, ImageRow, ImageUse, row};
use cloud::{Region, Snapshot, SnapshotState, Timestamp};
use serde::Serialize;

/// One image with all that is known about it.
#[derive(Clone, Debug, Serialize)]
pub struct ImagePage {
    /// What `qib images ls` shows.
    #[serde(flatten)]
    pub image: ImageRow,
    /// Its description.
    pub description: String,
    /// Its architecture.
    pub architecture: String,
    /// How it boots, if it says so.
    pub boot_mode: Option<String>,
    /// How it is virtualised.
    pub virtualization: String,
    /// Its root device.
    pub root_device: Option<String>,
    /// Whether it refuses to be deregistered.
    pub protected: bool,
    /// When it is deprecated, RFC 3339.
    pub deprecated: Option<String>,
    /// When an instance was last launched from it, as far as EC2 has reported, RFC 3339.
    pub last_launched: Option<String>,
    /// Whether everyone may launch it.
    pub public: bool,
    /// The accounts, organisations and organisational units that may.
    pub shared_with: Vec<String>,
    /// What uses it.
    pub uses: Vec<ImageUse>,
    /// Its snapshots: id, size and state.
    pub snapshot_states: Vec<SnapshotRow>,
}

/// A snapshot.
#[derive(Clone, Debug, Serialize)]
pub struct SnapshotRow {
    /// Its id.
    pub snapshot_id: String,
    /// The size of its volume in GiB.
    pub volume_gib: u32,
    /// `pending`, `completed` or what is wrong.
    pub state: String,
    /// How much is done, 0 to 100.
    pub progress_percent: u8,
}

impl ImagePage {
    /// The page about an image.
    pub fn new(region: &dyn Region, facts: &ImageFacts, snapshots: &[Snapshot]) -> Self {
        let image = &facts.image;
        let permissions = &facts.permissions;
        let mut shared_with: Vec<String> = permissions
            .accounts
            .iter()
            .map(ToString::to_string)
            .collect();
        shared_with.extend(permissions.organizations.iter().cloned());
        shared_with.extend(permissions.organizational_units.iter().cloned());
        Self {
            image: row(region, image),
            description: image.description.clone(),
            architecture: image.architecture.clone(),
            boot_mode: image.boot_mode.clone(),
            virtualization: image.virtualization.clone(),
            root_device: image.root_device.clone(),
            protected: image.protected,
            deprecated: image.deprecated.map(|at| at.to_string()),
            last_launched: facts.last_launched.map(|at| at.to_string()),
            public: permissions.public,
            shared_with,
            uses: facts.uses.iter().cloned().collect(),
            snapshot_states: snapshots
                .iter()
                .map(|snapshot| SnapshotRow {
                    snapshot_id: snapshot.snapshot_id.to_string(),
                    volume_gib: snapshot.volume_gib,
                    state: match &snapshot.state {
                        SnapshotState::Pending => String::from("pending"),
                        SnapshotState::Completed => String::from("completed"),
                        SnapshotState::Failed(why) => why.clone(),
                    },
                    progress_percent: snapshot.progress_percent,
                })
                .collect(),
        }
    }
}

/// The page for people.
pub fn image_page(page: &ImagePage, now: Timestamp) -> String {
    let image = &page.image;
    let mut lines = Vec::new();
    let mut line = |name: &str, value: String| {
        if !value.is_empty() {
            lines.push([name.to_owned(), value]);
        }
    };
    line("image", image.image_id.clone());
    line("name", image.name.clone());
    line("description", page.description.clone());
    line("region", image.region.clone());
    line("state", image.state.clone());
    line(
        "created",
        format!(
            "{} ({} ago)",
            image.created.as_deref().unwrap_or("?"),
            age(image.created.as_deref(), now)
        ),
    );
    let boot = page
        .boot_mode
        .as_deref()
        .map(|mode| format!(", {mode}"))
        .unwrap_or_default();
    line(
        "machine",
        format!("{}, {}{boot}", page.architecture, page.virtualization),
    );
    line("source", image.source_image.clone());
    line(
        "deprecated",
        page.deprecated
            .clone()
            .unwrap_or_else(|| String::from("never")),
    );
    line(
        "protected",
        String::from(if page.protected { "yes" } else { "no" }),
    );
    line(
        "last launched",
        page.last_launched
            .clone()
            .unwrap_or_else(|| String::from("never, as far as EC2 says")),
    );
    let mut whom = page.shared_with.clone();
    if page.public {
        whom.insert(0, String::from("everyone"));
    }
    line(
        "shared with",
        if whom.is_empty() {
            String::from("nobody")
        } else {
            whom.join(", ")
        },
    );
    for using in &page.uses {
        line("used by", using.to_string());
    }
    for snapshot in &page.snapshot_states {
        line(
            "snapshot",
            format!(
                "{}  {} GiB  {} {} %",
                snapshot.snapshot_id,
                snapshot.volume_gib,
                snapshot.state,
                snapshot.progress_percent
            ),
        );
    }
    for (key, value) in &image.tags {
        line("tag", format!("{key} = {value}"));
    }
    rows(lines)
}
