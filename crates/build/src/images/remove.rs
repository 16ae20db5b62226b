//! Removing images with their snapshots.

use cloud::{Clock, CloudError, ErrorKind, Image, ImageFilter, Region, SnapshotId};
use futures::future::join_all;
use std::collections::BTreeSet;
use std::time::Duration;

/// What became of an image that was to be removed.
#[derive(Clone, Debug)]
pub struct RemovedImage {
    /// The image.
    pub image: Image,
    /// What became of it.
    pub outcome: Removed,
}

/// What became of an image.
#[derive(Clone, Debug)]
pub enum Removed {
    /// It and its snapshots are gone. Those that another image uses stay.
    Gone {
        /// The snapshots that are gone with it.
        snapshots: Vec<SnapshotId>,
        /// The snapshots that another image uses.
        still_used: Vec<SnapshotId>,
    },
    /// It is there still.
    Resisted(CloudError),
    /// It is gone, but snapshots of it are not: each with the reason.
    SnapshotsLeft(Vec<(SnapshotId, CloudError)>),
}

impl Removed {
    /// Whether nothing is left that should be gone.
    pub fn is_complete(&self) -> bool {
        matches!(self, Self::Gone { .. })
    }
}

/// Deregisters each image, then deletes those of its snapshots that no other image of the account uses.
///
/// # Errors
/// If the account cannot be asked which images use which snapshots; nothing has been removed then.
pub async fn remove(
    region: &dyn Region,
    clock: &dyn Clock,
    images: Vec<Image>,
) -> Result<Vec<RemovedImage>, CloudError> {
    let own = ImageFilter {
        owners: vec![String::from("self")],
        ..ImageFilter::default()
    };
    let going: BTreeSet<_> = images.iter().map(|image| image.image_id.clone()).collect();
    let mut used: BTreeSet<SnapshotId> = BTreeSet::new();
    for image in region.images(&own).await? {
        if !going.contains(&image.image_id) {
            used.extend(image.snapshots);
        }
    }
    let mut removed = Vec::new();
    // A few at once: EC2 allows few changes a second.
    for some in images.chunks(4) {
        removed.extend(join_all(some.iter().map(|image| one(region, clock, image, &used))).await);
    }
    Ok(images
        .into_iter()
        .zip(removed)
        .map(|(image, outcome)| RemovedImage { image, outcome })
        .collect())
}

async fn one(
    region: &dyn Region,
    clock: &dyn Clock,
    image: &Image,
    used: &BTreeSet<SnapshotId>,
) -> Removed {
    if let Err(error) = region.deregister_image(&image.image_id).await {
        return Removed::Resisted(error);
    }
    let mut snapshots = Vec::new();
    let mut still_used = Vec::new();
    let mut left = Vec::new();
    for snapshot in &image.snapshots {
        if used.contains(snapshot) {
            still_used.push(snapshot.clone());
            continue;
        }
        match delete(region, clock, snapshot).await {
            Ok(()) => snapshots.push(snapshot.clone()),
            Err(error) => left.push((snapshot.clone(), error)),
        }
    }
    if left.is_empty() {
        Removed::Gone {
            snapshots,
            still_used,
        }
    } else {
        Removed::SnapshotsLeft(left)
    }
}

/// How long EC2 may go on saying that a snapshot is in use, and how long between two looks.
const FREE_WITHIN: Duration = Duration::from_secs(60);
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(2);

/// EC2 says for a while after DeregisterImage that the snapshot is in use.
async fn delete(
    region: &dyn Region,
    clock: &dyn Clock,
    snapshot: &SnapshotId,
) -> Result<(), CloudError> {
    let deadline = cloud::wait::deadline(clock, FREE_WITHIN);
    loop {
        match region.delete_snapshot(snapshot).await {
            Err(error) if error.kind == ErrorKind::Dependency && clock.now() < deadline => {
                clock.sleep(LOOK_AGAIN_AFTER).await;
            }
            done => return done,
        }
    }
}
