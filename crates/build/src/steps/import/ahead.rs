//! What the account can say before the disk image is fetched and sent, which may take hours: whether the bucket, the parent
//! and the key are such that it can end well.

use super::ImportOrder;
use super::{parent, s3};
use crate::failure::{ImportError, StepError};
use crate::spec::{Encryption, ImageSpec};
use crate::steps::context::CellContext;
use cloud::SnapshotId;
use pipeline::model::Via;

/// Looks at what the import goes through.
pub(super) async fn look(context: &CellContext, order: &ImportOrder<'_>) -> Result<(), StepError> {
    match &order.import.via {
        Via::Ebs {
            parent: Some(parent),
            ..
        } => {
            let parent = SnapshotId::new(parent.as_str());
            parent::usable(context, &parent).await.map(drop)
        }
        Via::Ebs { parent: None, .. } => Ok(()),
        Via::S3 { bucket, .. } => s3::check_bucket(context, bucket.as_str()).await,
    }
}

/// What the image is to be, with the key as the service takes it. EBS direct takes an ARN alone, where all others also take
/// an id and an alias. <https://docs.aws.amazon.com/ebs/latest/APIReference/API_StartSnapshot.html>
pub(super) async fn image_with_key(
    context: &CellContext,
    order: &ImportOrder<'_>,
) -> Result<ImageSpec, StepError> {
    let mut image = order.image.clone();
    let named = match (&order.import.via, &mut image.encryption) {
        (Via::Ebs { .. }, Encryption::With(Some(key))) if !key.starts_with("arn:") => key,
        _ => return Ok(image),
    };
    let found = context.race(context.region().kms_key(named)).await??;
    let refuse = |why: &str| ImportError::Key {
        key: named.clone(),
        region: context.region().name().to_string(),
        why: why.to_owned(),
    };
    let key = found.ok_or_else(|| refuse("there is no such key"))?;
    if !key.enabled {
        return Err(refuse("it is disabled, or being deleted").into());
    }
    *named = key.arn;
    Ok(image)
}
