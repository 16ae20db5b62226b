//! What an import leaves until it has come to an image: snapshots, objects in S3, import tasks.

use super::{looked_up, own};
use crate::journal::{Effect, EffectState, Outcome};
use crate::names::{RunId, tag};
use cloud::{
    Clock, CloudError, ErrorKind, ImageFilter, ImportState, ImportTask, ImportTaskId, ObjectPlace,
    Region, Snapshot, SnapshotId, SnapshotState, Tags,
};

/// The run's snapshot that StartSnapshot was asked for with this description, which no other has.
pub(crate) async fn own_started(
    region: &dyn Region,
    description: &str,
    run: &RunId,
) -> Result<Option<SnapshotId>, CloudError> {
    let found = region
        .snapshots(&own("description", description, run))
        .await?;
    // One that EBS has given up cannot be gone on with, and goes with the others.
    let pending_first = |snapshot: &Snapshot| match snapshot.state {
        SnapshotState::Pending => 0,
        SnapshotState::Completed => 1,
        SnapshotState::Failed(_) => 2,
    };
    let best = found.iter().min_by_key(|snapshot| pending_first(snapshot));
    Ok(best.map(|snapshot| snapshot.snapshot_id.clone()))
}

/// The run's import tasks. No filter of DescribeImportSnapshotTasks is documented, so it is asked for all: EC2 forgets them
/// after some days. <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeImportSnapshotTasks.html>
pub(crate) async fn own_tasks(
    region: &dyn Region,
    run: &RunId,
) -> Result<Vec<ImportTask>, CloudError> {
    let mut tasks = region.import_tasks(&[]).await?;
    tasks.retain(|task| task.tags.get(tag::RUN) == Some(run.as_str()));
    Ok(tasks)
}

/// The run's task that ImportSnapshot was asked for with this object, which no other has.
pub(crate) async fn own_task(
    region: &dyn Region,
    object: &ObjectPlace,
    run: &RunId,
) -> Result<Option<ImportTask>, CloudError> {
    let found = own_tasks(region, run).await?;
    Ok(found
        .into_iter()
        .filter(|task| task.object.as_ref() == Some(object))
        // Tasks of earlier attempts have ended.
        .min_by_key(|task| match task.state {
            ImportState::Active => 0,
            ImportState::Completed => 1,
            ImportState::Ended => 2,
        }))
}

/// Removes what StartSnapshot made. It is looked for first: what was made a moment ago may not show yet, and would be left.
pub(super) async fn remove_started(
    region: &dyn Region,
    clock: &dyn Clock,
    run: &RunId,
    description: &str,
    state: &EffectState,
) -> Result<(), CloudError> {
    let filters = match state.outcome() {
        Some(Outcome::Snapshot { id }) => own("snapshot-id", id.as_str(), run),
        _ => own("description", description, run),
    };
    for snapshot in looked_up(clock, || region.snapshots(&filters)).await? {
        delete_unused(region, run, &snapshot.snapshot_id).await?;
    }
    Ok(())
}

/// Removes an object, and whatever of it is still being uploaded.
pub(super) async fn remove_object(
    region: &dyn Region,
    bucket: &str,
    key: &str,
) -> Result<(), CloudError> {
    let objects = region.objects();
    let uploads = match objects.uploads(bucket, key).await {
        // Without its bucket there is nothing left.
        Err(error) if error.kind == ErrorKind::NotFound => return Ok(()),
        uploads => uploads?,
    };
    for (place, upload) in uploads.iter().filter(|(place, _)| place.key == key) {
        objects.abort_upload(place, upload).await?;
    }
    let place = ObjectPlace {
        bucket: bucket.to_owned(),
        key: key.to_owned(),
    };
    objects.delete(&place).await
}

/// Cancels a task, or removes the snapshot that it came to.
pub(super) async fn remove_task(
    region: &dyn Region,
    clock: &dyn Clock,
    run: &RunId,
    object: &ObjectPlace,
    state: &EffectState,
) -> Result<(), CloudError> {
    let wanted: Option<&ImportTaskId> = match state.outcome() {
        Some(Outcome::ImportTask { id }) => Some(id),
        _ => None,
    };
    let is_meant = |task: &ImportTask| match wanted {
        Some(id) => task.task_id == *id,
        None => task.object.as_ref() == Some(object),
    };
    let look = || async {
        let mut tasks = own_tasks(region, run).await?;
        tasks.retain(is_meant);
        Ok(tasks)
    };
    for task in looked_up(clock, look).await? {
        let ended = match task.state {
            ImportState::Active => {
                region.cancel_import(&task.task_id).await?;
                ended(region, &task.task_id).await?
            }
            ImportState::Completed | ImportState::Ended => Some(task),
        };
        // A task that was cancelled or failed may have made its snapshot all the same.
        if let Some(snapshot) = ended.and_then(|task| task.snapshot_id) {
            delete_imported(region, run, &snapshot).await?;
        }
    }
    Ok(())
}

/// Cancels a task, and looks that it has ended.
pub(crate) async fn cancel_task(
    region: &dyn Region,
    task: &ImportTaskId,
) -> Result<(), CloudError> {
    region.cancel_import(task).await?;
    ended(region, task).await.map(|_| ())
}

/// The task, once it has ended; none if EC2 has forgotten it. Errs as long as it is active: it could still make a snapshot.
async fn ended(region: &dyn Region, task: &ImportTaskId) -> Result<Option<ImportTask>, CloudError> {
    let tasks = region.import_tasks(&[]).await?;
    match tasks.into_iter().find(|one| one.task_id == *task) {
        Some(one) if one.state == ImportState::Active => Err(CloudError {
            operation: "CancelImportTask",
            resource: Some(task.to_string()),
            // It is looked at again until it has ended.
            kind: ErrorKind::WrongState,
            code: String::new(),
            message: String::from("EC2 took the call, but the task is still active"),
            request_id: None,
        }),
        seen => Ok(seen),
    }
}

/// Deletes the snapshot of a task. It carries no tag: without the run's, who may only remove what runs have made could not
/// delete it, and if it stays nobody would find it.
async fn delete_imported(
    region: &dyn Region,
    run: &RunId,
    snapshot: &SnapshotId,
) -> Result<(), CloudError> {
    let tags = Tags::new().with(tag::RUN, run.as_str());
    match region.create_tags(&[snapshot.to_string()], &tags).await {
        Err(error) if error.kind == ErrorKind::NotFound => return Ok(()),
        tagged => tagged?,
    }
    delete_unused(region, run, snapshot).await
}

/// Deletes a snapshot, unless a complete image of the run stands on it.
async fn delete_unused(
    region: &dyn Region,
    run: &RunId,
    snapshot: &SnapshotId,
) -> Result<(), CloudError> {
    let complete = ImageFilter {
        owners: vec!["self".into()],
        filters: own("tag-key", tag::COMPLETE, run),
        ..ImageFilter::default()
    };
    let used =
        region.images(&complete).await?.iter().any(|image| {
            image.tags.get(tag::COMPLETE).is_some() && image.snapshots.contains(snapshot)
        });
    if used {
        return Ok(());
    }
    region.delete_snapshot(snapshot).await
}

/// How a person removes it: kind, id, and a command of the AWS CLI.
pub(super) fn left(
    effect: &Effect,
    outcome: Option<&Outcome>,
) -> Option<(&'static str, String, String)> {
    Some(match (effect, outcome) {
        (Effect::StartSnapshot { .. }, Some(Outcome::Snapshot { id })) => (
            "snapshot",
            id.to_string(),
            format!("ec2 delete-snapshot --snapshot-id {id}"),
        ),
        (Effect::StartSnapshot { description, .. }, _) => (
            "snapshot",
            description.clone(),
            format!(
                "ec2 describe-snapshots --owner-ids self --filters 'Name=description,Values={description}'"
            ),
        ),
        (Effect::UploadObject { bucket, key, .. }, outcome) => (
            "object",
            format!("s3://{bucket}/{key}"),
            match outcome {
                Some(Outcome::Upload { id }) => format!(
                    "s3api abort-multipart-upload --bucket {bucket} --key {key} --upload-id '{id}'; aws s3 rm s3://{bucket}/{key}"
                ),
                _ => format!("s3 rm s3://{bucket}/{key}"),
            },
        ),
        (Effect::ImportSnapshot { .. }, Some(Outcome::ImportTask { id })) => (
            "import-task",
            id.to_string(),
            format!("ec2 cancel-import-task --import-task-id {id}"),
        ),
        (Effect::ImportSnapshot { bucket, key, .. }, _) => (
            "import-task",
            format!("of s3://{bucket}/{key}"),
            String::from("ec2 describe-import-snapshot-tasks"),
        ),
        _ => return None,
    })
}
