//! Sharing and deprecating images that are there.

use cloud::{CloudError, ErrorKind, Grant, Image, ImageId, Permissions, Region, Timestamp};

/// Gives or takes the right to use an image, and `of_snapshots` that to make volumes from its snapshots. When it is given,
/// snapshots come first, so that nobody sees an image that cannot be copied yet; when it is taken, the image does.
///
/// Snapshots cannot be shared with organisations: of `of_snapshots` only accounts and everyone count.
///
/// # Errors
/// If EC2 refuses one of the calls; those before it hold, and the same call again does the rest.
pub async fn share(
    region: &dyn Region,
    image: &Image,
    grant: Grant,
    permissions: &Permissions,
    of_snapshots: &Permissions,
) -> Result<(), CloudError> {
    let of_snapshots = Permissions {
        public: of_snapshots.public,
        accounts: of_snapshots.accounts.clone(),
        ..Permissions::default()
    };
    let change_snapshots = async || {
        if !of_snapshots.is_empty() {
            for snapshot in &image.snapshots {
                region
                    .change_snapshot_permissions(snapshot, grant, &of_snapshots)
                    .await?;
            }
        }
        Ok::<(), CloudError>(())
    };
    match grant {
        Grant::Add => {
            change_snapshots().await?;
            region
                .change_image_permissions(&image.image_id, grant, permissions)
                .await
        }
        Grant::Remove => {
            region
                .change_image_permissions(&image.image_id, grant, permissions)
                .await?;
            change_snapshots().await
        }
    }
}

/// When an image is to be deprecated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deprecation {
    /// At this time, which EC2 rounds to the minute.
    At(Timestamp),
    /// Never.
    Never,
}

/// Deprecates an image, or takes its deprecation back.
///
/// # Errors
/// If EC2 refuses, as it does for a time in the past.
pub async fn deprecate(
    region: &dyn Region,
    image: &ImageId,
    deprecation: Deprecation,
) -> Result<(), CloudError> {
    let at = match deprecation {
        Deprecation::At(at) => Some(at),
        Deprecation::Never => None,
    };
    match region.set_image_deprecation(image, at).await {
        // Taking back what was never set.
        Err(error) if at.is_none() && error.kind == ErrorKind::NotFound => Ok(()),
        done => done,
    }
}
