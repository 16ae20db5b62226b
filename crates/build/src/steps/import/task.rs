//! One import task: begun, waited for, judged.
//! <https://docs.aws.amazon.com/vm-import/latest/userguide/vmimport-import-snapshot.html>

use super::ImportOrder;
use super::content::Content;
use super::object::Uploaded;
use super::told::Told;
use crate::event::Transfer;
use crate::failure::StepError;
use crate::journal::{Effect, EffectNumber};
use crate::names::tag;
use crate::spec::Encryption;
use crate::steps::context::CellContext;
use crate::undo::{own_task, own_tasks};
use cloud::{
    ErrorKind, ImportRequest, ImportState, ImportTask, ImportTaskId, SnapshotEncryption, SnapshotId,
};
use sha2::{Digest, Sha256};
use std::time::Duration;

/// How often a task is looked at: it takes minutes.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What an import task came to.
pub(super) enum Ended {
    /// A snapshot.
    Snapshot(SnapshotId),
    /// Nothing.
    Failed(ImportTask),
    /// It did not come to an end in time.
    Slow(Option<ImportTask>),
}

/// A task that was begun.
pub(super) struct Begun {
    pub number: EffectNumber,
    pub task: ImportTaskId,
}

/// Whether the same image may succeed at the next attempt. These are known to pass: the converter's timeouts and errors of
/// the service, and a validation that failed of an image that another attempt took.
pub(super) fn may_pass(message: &str) -> bool {
    const PASSING: &[&str] = &[
        "Disk validation failed",
        "ServerError",
        "Server Error",
        "internal error",
        "InternalError",
        "Timeout",
        "timed out",
        "Service Unavailable",
        "throttl",
    ];
    // These say what is wrong with the image, and it stays so.
    const FINAL: &[&str] = &[
        "Unsupported",
        "unsupported",
        "Access Denied",
        "AccessDenied",
    ];
    let has = |words: &[&str]| words.iter().any(|word| message.contains(word));
    has(PASSING) && !has(FINAL)
}

/// Begins a task on the object.
pub(super) async fn begin(
    context: &CellContext,
    order: &ImportOrder<'_>,
    content: &Content,
    object: &Uploaded,
    role: &str,
) -> Result<Begun, StepError> {
    let mut request = ImportRequest {
        client_token: String::new(),
        object: object.place.clone(),
        format: object.format.to_owned(),
        description: super::description(context, order, content),
        role: role.to_owned(),
        encryption: match &order.image.encryption {
            Encryption::AsSource => SnapshotEncryption::AsAccount,
            Encryption::With(key) => SnapshotEncryption::With(key.clone()),
        },
        tags: order.snapshot_tags.clone(),
    };
    request.client_token = client_token(context, &request);
    // The key has the attempt's number in it, so that each attempt has a task of its own.
    let effect = Effect::ImportSnapshot {
        region: context.region().name().clone(),
        client_token: request.client_token.clone(),
        bucket: object.place.bucket.clone(),
        key: object.place.key.clone(),
    };
    // A task that an earlier process began otherwise would make another snapshot of the same object.
    let others = context.standing(|earlier| {
        matches!(earlier, Effect::ImportSnapshot { key, .. } if *key == object.place.key)
            && *earlier != effect
    });
    for number in others {
        context.effects().unmake(number).await?;
    }
    let made = context
        .effects()
        .make(
            context.cell(),
            effect,
            async || context.region().import_snapshot(&request).await,
            async || {
                let task = own_task(context.region(), &object.place, context.run_id()).await?;
                Ok(task.map(|task| task.task_id))
            },
        )
        .await?;
    context.note(format!("import task {} of {}", made.value, object.place));
    Ok(Begun {
        number: made.number,
        task: made.value,
    })
}

/// Hash of run, cell, step and all parameters but the time: at most 64 characters.
fn client_token(context: &CellContext, request: &ImportRequest) -> String {
    let mut steady = request.clone();
    steady.tags.0.remove(tag::EXPIRES);
    steady.tags.0.remove(tag::LEASE);
    let mut hash = Sha256::new();
    hash.update(format!(
        "{}\n{}\nimport-snapshot\n{steady:?}",
        context.run_id(),
        context.cell()
    ));
    hex::encode(hash.finalize())
}

/// The snapshot that a task of an earlier process came to: by the journal, for EC2 forgets its tasks; else by the task.
pub(super) async fn snapshot_of(
    context: &CellContext,
    task: &ImportTaskId,
) -> Result<Option<SnapshotId>, StepError> {
    let known = context.race(context.region().import_tasks(&[])).await??;
    let known = known.into_iter().find(|one| one.task_id == *task);
    let snapshot = match known {
        Some(task) if task.state == ImportState::Completed => task.snapshot_id,
        Some(_) => None,
        None => {
            let state = context.effects().state();
            let mut tagged = state.effects().rev().filter_map(|(_, entry)| {
                let is_ours = entry.cell == *context.cell() && entry.state.outcome().is_some();
                match &entry.effect {
                    Effect::TagSnapshot { snapshot, .. } if is_ours => Some(snapshot.clone()),
                    _ => None,
                }
            });
            tagged.next()
        }
    };
    let Some(snapshot) = snapshot else {
        return Ok(None);
    };
    let filters = [("snapshot-id".to_owned(), vec![snapshot.to_string()])];
    let seen = context.race(context.region().snapshots(&filters)).await??;
    Ok((!seen.is_empty()).then_some(snapshot))
}

/// Waits until the task has ended, and tells what EC2 says of it.
pub(super) async fn ended(
    context: &CellContext,
    task: &ImportTaskId,
    timeout: Duration,
) -> Result<Ended, StepError> {
    let deadline = context.deadline(timeout);
    let told = Told::new(context);
    let mut said = String::new();
    let mut progress = None;
    loop {
        let looked = own_tasks(context.region(), context.run_id());
        let seen = match context.race(looked).await? {
            Ok(tasks) => tasks.into_iter().find(|one| one.task_id == *task),
            Err(error) if error.is_passing() || error.kind == ErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        if let Some(seen) = &seen {
            if said != seen.status_message && !seen.status_message.is_empty() {
                said.clone_from(&seen.status_message);
                context.note(format!("{task}: {}: {said}", seen.status));
            }
            if let Some(percent) = seen.progress_percent {
                progress = Some(percent);
                told.tell(Transfer::Import, percent.into(), Some(100));
            }
            match (&seen.state, &seen.snapshot_id) {
                (ImportState::Completed, Some(snapshot)) => {
                    return Ok(Ended::Snapshot(snapshot.clone()));
                }
                (ImportState::Ended, _) => {
                    // Of a task that has failed EC2 no longer says how far it had come.
                    return Ok(Ended::Failed(ImportTask {
                        progress_percent: seen.progress_percent.or(progress),
                        ..seen.clone()
                    }));
                }
                (ImportState::Completed, None) | (ImportState::Active, _) => {}
            }
        }
        if context.clock().now() >= deadline {
            return Ok(Ended::Slow(seen));
        }
        context.pause(LOOK_EVERY).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::may_pass;

    #[test]
    fn what_may_pass_is_told_from_what_stays() {
        for message in [
            "ClientError: Disk validation failed [Timeout]",
            "ServerError: an internal error has occurred during conversion",
            "Disk validation failed",
        ] {
            assert!(may_pass(message), "{message}");
        }
        for message in [
            "ClientError: Disk validation failed [Unsupported VMDK File]",
            "ClientError: Unsupported disk image format",
            "The given S3 object is not accessible: Access Denied",
            "",
        ] {
            assert!(!may_pass(message), "{message}");
        }
    }
}
