//! Into a snapshot by an object in S3 and ImportSnapshot. Never ImportImage: it refuses arm64.
//!
//! ```text
//!       ┌───────────────────────── another attempt: another object, another task ─────────────┐
//!       ▼                                                                                     │
//!   upload ─▶ task ── snapshot ─▶ tag it ─▶ object gone                                       │
//!               ├── failed with what may pass, or stuck ─▶ task and object gone ── attempts left
//!               └── failed for good ─▶ task and object gone ─▶ failure
//! ```

use super::ImportOrder;
use super::content::Content;
use super::object::{self, Uploaded};
use super::task::{self, Ended};
use crate::event::Step;
use crate::failure::{CellFailure, ImportError, StepError};
use crate::journal::Effect;
use crate::steps::context::CellContext;
use cloud::{ErrorKind, SnapshotId};
use pipeline::model::{UploadAs, Via};
use std::time::Duration;

/// How it is to be done.
struct Way<'a> {
    bucket: &'a str,
    role: &'a str,
    upload_as: UploadAs,
    timeout: Duration,
    attempts: u32,
}

/// Makes the snapshot.
pub(super) async fn snapshot(
    context: &CellContext,
    order: &ImportOrder<'_>,
    content: &Content,
) -> Result<SnapshotId, CellFailure> {
    let fail =
        |step: Step| move |error: StepError| CellFailure::new(context.cell().clone(), step, error);
    let Via::S3 {
        bucket,
        role,
        upload_as,
        timeout,
        attempts,
    } = &order.import.via
    else {
        let why = String::from("it is not imported via S3");
        return Err(fail(Step::Import)(StepError::CannotGoOn { why }));
    };
    let way = Way {
        bucket: bucket.as_str(),
        role: role.as_str(),
        upload_as: *upload_as,
        timeout: timeout.get(),
        attempts: attempts.get(),
    };
    check_bucket(context, way.bucket)
        .await
        .map_err(fail(Step::Upload))?;
    let mut attempt = attempts_before(context, way.bucket) + 1;
    loop {
        context.begin(Step::Upload).await?;
        let uploaded = object::upload(context, order, content, way.bucket, way.upload_as, attempt)
            .await
            .map_err(fail(Step::Upload))?;
        context.finish(Step::Upload);
        context.begin(Step::Import).await?;
        let imported = import(context, order, content, &uploaded, &way, attempt).await;
        match imported.map_err(fail(Step::Import))? {
            Some(snapshot) => {
                context.finish(Step::Import);
                return Ok(snapshot);
            }
            None => attempt += 1,
        }
    }
}

/// How many attempts earlier processes of the run have given up.
fn attempts_before(context: &CellContext, bucket: &str) -> u32 {
    let state = context.effects().state();
    let given_up = state.effects().filter(|(_, entry)| {
        entry.cell == *context.cell()
            && matches!(&entry.effect, Effect::UploadObject { bucket: at, .. } if at == bucket)
            && !entry.state.may_stand()
    });
    u32::try_from(given_up.count()).unwrap_or(u32::MAX)
}

/// One attempt: a snapshot, or none and the next may come to one.
async fn import(
    context: &CellContext,
    order: &ImportOrder<'_>,
    content: &Content,
    uploaded: &Uploaded,
    way: &Way<'_>,
    attempt: u32,
) -> Result<Option<SnapshotId>, StepError> {
    let begun = task::begin(context, order, content, uploaded, way.role).await?;
    let object = uploaded.place.to_string();
    let after = |message: &str| match message {
        "" => String::new(),
        message => format!(": {message}"),
    };
    let (error, message) = match task::ended(context, &begun.task, way.timeout).await? {
        Ended::Snapshot(snapshot) => {
            tag(context, order, &snapshot).await?;
            context.effects().unmake(uploaded.number).await?;
            return Ok(Some(snapshot));
        }
        Ended::Failed(task) => {
            let message = task.status_message.clone();
            let error = ImportError::Task {
                task: begun.task.to_string(),
                object,
                status: task.status,
                message: after(&message),
                attempts: attempt,
                allowed: way.attempts,
            };
            (error, message)
        }
        Ended::Slow(task) => {
            let percent = task.as_ref().and_then(|task| task.progress_percent);
            let message = task.map(|task| task.status_message).unwrap_or_default();
            let error = ImportError::TaskSlow {
                task: begun.task.to_string(),
                object,
                percent: percent.map_or(String::from("not known to be"), |percent| {
                    format!("{percent} %")
                }),
                message: after(&message),
                waited: way.timeout,
                attempts: attempt,
                allowed: way.attempts,
            };
            (error, String::from("Timeout"))
        }
    };
    // The next attempt has everything anew: what S3 gave the converter may not have been what was sent.
    context.effects().unmake(begun.number).await?;
    context.effects().unmake(uploaded.number).await?;
    if attempt < way.attempts && task::may_pass(&message) {
        context.warn(format!("{error}; it is tried again"));
        return Ok(None);
    }
    Err(error.into())
}

/// ImportSnapshot tags the task alone.
async fn tag(
    context: &CellContext,
    order: &ImportOrder<'_>,
    snapshot: &SnapshotId,
) -> Result<(), StepError> {
    let effect = Effect::TagSnapshot {
        region: context.region().name().clone(),
        snapshot: snapshot.clone(),
    };
    let resources = [snapshot.to_string()];
    context
        .effects()
        .set(context.cell(), effect, async || {
            let tagged = || {
                context
                    .region()
                    .create_tags(&resources, &order.snapshot_tags)
            };
            context.until_visible(tagged).await
        })
        .await?;
    Ok(())
}

/// EC2 reads from a bucket of its own region; found out before gigabytes are sent.
async fn check_bucket(context: &CellContext, bucket: &str) -> Result<(), StepError> {
    let region = context.region().name();
    let found = context
        .race(context.region().objects().bucket_region(bucket))
        .await?;
    match found {
        Ok(Some(found)) if found != region.as_str() => Err(ImportError::BucketRegion {
            bucket: bucket.to_owned(),
            found,
            region: region.to_string(),
        }
        .into()),
        Ok(_) => Ok(()),
        // Whoever may put objects need not be allowed to ask.
        Err(error) if error.kind == ErrorKind::AccessDenied => {
            context.warn(format!("the region of the bucket is not known: {error}"));
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}
