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
use crate::journal::{Effect, EffectNumber, EffectState, Outcome};
use crate::steps::context::CellContext;
use cloud::{ErrorKind, ObjectPlace, SnapshotId};
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
    let earlier = settle(context, order, content, &way).await;
    if let Some(snapshot) = earlier.map_err(fail(Step::Upload))? {
        return Ok(snapshot);
    }
    let mut attempt = 1;
    loop {
        context.begin(Step::Upload).await?;
        let uploaded = upload(context, order, content, &way)
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

/// Puts the disk image into the bucket, under a key that nothing has had before.
async fn upload(
    context: &CellContext,
    order: &ImportOrder<'_>,
    content: &Content,
    way: &Way<'_>,
) -> Result<Uploaded, StepError> {
    loop {
        let place = next_place(context, order, content, way)?;
        if let Some(uploaded) =
            object::upload(context, order, content, place, way.upload_as).await?
        {
            return Ok(uploaded);
        }
    }
}

/// Where the next object goes, or the one that stands.
fn next_place(
    context: &CellContext,
    order: &ImportOrder<'_>,
    content: &Content,
    way: &Way<'_>,
) -> Result<ObjectPlace, ImportError> {
    let state = context.effects().state();
    let gone = state.effects().filter(|(_, entry)| {
        entry.cell == *context.cell()
            && matches!(entry.effect, Effect::UploadObject { .. })
            && entry.state == EffectState::Undone
    });
    let number = u32::try_from(gone.count()).unwrap_or(u32::MAX);
    object::place(
        context,
        order,
        content,
        way.bucket,
        way.upload_as,
        number.saturating_add(1),
    )
}

/// Sorts out what earlier processes of the run have left: gives the snapshot, if there is one already, and removes what is
/// not to be gone on with.
///
/// | object | task | |
/// |---|---|---|
/// | as now | none, or its own | it is gone on with |
/// | as now | undone | the attempt had been given up: the object goes |
/// | other content, bucket or form | any | both go |
/// | gone, of the same content | came to a snapshot | this is it |
/// | gone | any other | the task goes |
async fn settle(
    context: &CellContext,
    order: &ImportOrder<'_>,
    content: &Content,
    way: &Way<'_>,
) -> Result<Option<SnapshotId>, StepError> {
    let state = context.effects().state();
    let wanted = next_place(context, order, content, way)?;
    let hash = object::content_hash(order, content);
    let of_cell = || {
        let effects = state.effects().rev();
        effects.filter(|(_, entry)| entry.cell == *context.cell())
    };
    let is_given_up = |key: &str| {
        let mut tasks = of_cell().filter(|(_, entry)| {
            matches!(&entry.effect, Effect::ImportSnapshot { key: of, .. } if of == key)
        });
        tasks
            .next()
            .is_some_and(|(_, entry)| entry.state == EffectState::Undone)
    };
    let mut going_on: Option<&str> = None;
    let mut over: Vec<EffectNumber> = Vec::new();
    let mut same_content: Vec<&str> = Vec::new();
    for (number, entry) in of_cell() {
        let Effect::UploadObject {
            bucket,
            key,
            content,
            ..
        } = &entry.effect
        else {
            continue;
        };
        if !entry.state.may_stand() {
            if *content == hash {
                same_content.push(key);
            }
        } else if *bucket == wanted.bucket && *key == wanted.key && !is_given_up(key) {
            going_on = Some(key);
        } else {
            over.push(number);
        }
    }
    let mut snapshot = None;
    for (number, entry) in of_cell().filter(|(_, entry)| entry.state.may_stand()) {
        let Effect::ImportSnapshot { key, .. } = &entry.effect else {
            continue;
        };
        if going_on == Some(key.as_str()) {
            continue;
        }
        let made = match entry.state.outcome() {
            Some(Outcome::ImportTask { id })
                if snapshot.is_none() && same_content.contains(&key.as_str()) =>
            {
                task::snapshot_of(context, id).await?
            }
            _ => None,
        };
        match made {
            Some(made) => snapshot = Some(made),
            None => context.effects().unmake(number).await?,
        }
    }
    for number in over {
        context.effects().unmake(number).await?;
    }
    if let Some(snapshot) = &snapshot {
        context.note(format!("goes on: {snapshot} had been imported"));
        tag(context, order, snapshot).await?;
    }
    Ok(snapshot)
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
            let progress = task
                .progress_percent
                .map_or_else(String::new, |percent| format!(" ({percent} % were done)"));
            let error = ImportError::Task {
                task: begun.task.to_string(),
                object,
                status: task.status,
                message: format!("{}{progress}", after(&message)),
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
pub(super) async fn check_bucket(context: &CellContext, bucket: &str) -> Result<(), StepError> {
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
