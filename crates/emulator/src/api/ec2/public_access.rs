//! Whether images and snapshots may be shared with everybody.

use super::Action;
use super::params::Scope;
use super::xml::Xml;
use crate::account::public_access::{PublicImages, PublicSnapshots};
use crate::api::Cx;
use crate::api::error::ApiError;

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_GetImageBlockPublicAccessState.html>
pub(crate) struct GetImageBlockPublicAccessState;

impl Action for GetImageBlockPublicAccessState {
    fn parse(_: &Scope<'_>) -> Result<Self, ApiError> {
        Ok(Self)
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let mut x = images(cx);
        x.put("managedBy", "account");
        Ok(x)
    }
}

fn images(cx: &mut Cx<'_>) -> Xml {
    let mut x = Xml::new();
    x.put(
        "imageBlockPublicAccessState",
        cx.region().public_images.name(),
    );
    x
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_EnableImageBlockPublicAccess.html>
pub(crate) struct EnableImageBlockPublicAccess;

impl Action for EnableImageBlockPublicAccess {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        p.word("ImageBlockPublicAccessState", &["block-new-sharing"])?
            .ok_or_else(|| ApiError::missing("ImageBlockPublicAccessState"))?;
        Ok(Self)
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        cx.region().public_images = PublicImages::BlockNewSharing;
        Ok(images(cx))
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DisableImageBlockPublicAccess.html>
pub(crate) struct DisableImageBlockPublicAccess;

impl Action for DisableImageBlockPublicAccess {
    fn parse(_: &Scope<'_>) -> Result<Self, ApiError> {
        Ok(Self)
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        cx.region().public_images = PublicImages::Unblocked;
        Ok(images(cx))
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_GetSnapshotBlockPublicAccessState.html>
pub(crate) struct GetSnapshotBlockPublicAccessState;

impl Action for GetSnapshotBlockPublicAccessState {
    fn parse(_: &Scope<'_>) -> Result<Self, ApiError> {
        Ok(Self)
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let mut x = snapshots(cx);
        x.put("managedBy", "account");
        Ok(x)
    }
}

fn snapshots(cx: &mut Cx<'_>) -> Xml {
    let mut x = Xml::new();
    x.put("state", cx.region().public_snapshots.name());
    x
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_EnableSnapshotBlockPublicAccess.html>
pub(crate) struct EnableSnapshotBlockPublicAccess {
    state: PublicSnapshots,
}

impl Action for EnableSnapshotBlockPublicAccess {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        // "unblocked is not a valid value for EnableSnapshotBlockPublicAccess."
        let state = match p.word("State", &["block-all-sharing", "block-new-sharing"])? {
            Some("block-all-sharing") => PublicSnapshots::BlockAllSharing,
            Some(_) => PublicSnapshots::BlockNewSharing,
            None => return Err(ApiError::missing("State")),
        };
        Ok(Self { state })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        cx.region().public_snapshots = self.state;
        Ok(snapshots(cx))
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DisableSnapshotBlockPublicAccess.html>
pub(crate) struct DisableSnapshotBlockPublicAccess;

impl Action for DisableSnapshotBlockPublicAccess {
    fn parse(_: &Scope<'_>) -> Result<Self, ApiError> {
        Ok(Self)
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        cx.region().public_snapshots = PublicSnapshots::Unblocked;
        Ok(snapshots(cx))
    }
}
