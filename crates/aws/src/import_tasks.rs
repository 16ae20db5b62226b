//! ImportSnapshot, DescribeImportSnapshotTasks, CancelImportTask.

use crate::answer::{BadAnswer, required};
use crate::classify::failed;
use crate::{filters, tagging};
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{self, ResourceType, SnapshotDiskContainer, UserBucket};
use cloud::port::Result;
use cloud::{
    ErrorKind, ImportRequest, ImportState, ImportTask, ImportTaskId, ObjectPlace,
    SnapshotEncryption, SnapshotId,
};

pub(crate) async fn import(ec2: &Client, request: &ImportRequest) -> Result<ImportTaskId> {
    const CALL: &str = "ImportSnapshot";
    let (encrypted, key) = match &request.encryption {
        SnapshotEncryption::AsAccount => (None, None),
        SnapshotEncryption::With(key) => (Some(true), key.clone()),
    };
    let disk = SnapshotDiskContainer::builder()
        .description(&request.description)
        .format(&request.format)
        .user_bucket(
            UserBucket::builder()
                .s3_bucket(&request.object.bucket)
                .s3_key(&request.object.key)
                .build(),
        )
        .build();
    let answer = ec2
        .import_snapshot()
        .client_token(&request.client_token)
        .description(&request.description)
        .disk_container(disk)
        .role_name(&request.role)
        .set_encrypted(encrypted)
        .set_kms_key_id(key)
        .set_tag_specifications(tagging::specifications([(
            ResourceType::ImportSnapshotTask,
            request.tags.clone(),
        )]))
        .send()
        .await
        .map_err(|error| failed(CALL)(error).about(&request.object))?;
    required(answer.import_task_id(), "importTaskId")
        .map(ImportTaskId::from)
        .map_err(|bad| BadAnswer::to(CALL)(bad).about(&request.object))
}

pub(crate) async fn describe(
    ec2: &Client,
    given: &[(String, Vec<String>)],
) -> Result<Vec<ImportTask>> {
    const CALL: &str = "DescribeImportSnapshotTasks";
    let mut pages = ec2
        .describe_import_snapshot_tasks()
        .set_filters(filters::filters(given))
        .into_paginator()
        .items()
        .send();
    let mut tasks = Vec::new();
    while let Some(answered) = pages.try_next().await.map_err(failed(CALL))? {
        tasks.push(task(&answered).map_err(BadAnswer::to(CALL))?);
    }
    Ok(tasks)
}

fn task(answered: &types::ImportSnapshotTask) -> std::result::Result<ImportTask, BadAnswer> {
    let detail = required(answered.snapshot_task_detail(), "snapshotTaskDetail")?;
    let status = required(detail.status(), "status")?;
    let object = detail.user_bucket().and_then(|at| {
        Some(ObjectPlace {
            bucket: at.s3_bucket()?.to_owned(),
            key: at.s3_key()?.to_owned(),
        })
    });
    Ok(ImportTask {
        task_id: ImportTaskId::from(required(answered.import_task_id(), "importTaskId")?),
        state: match status {
            "active" | "pending" => ImportState::Active,
            "completed" => ImportState::Completed,
            _ => ImportState::Ended,
        },
        status: status.to_owned(),
        status_message: detail.status_message().unwrap_or_default().to_owned(),
        // EC2 writes a number, and nothing at all at the end: it is shown, never decided upon.
        progress_percent: detail
            .progress()
            .and_then(|progress| progress.trim_end_matches('%').parse().ok()),
        snapshot_id: detail
            .snapshot_id()
            .filter(|id| !id.is_empty())
            .map(SnapshotId::from),
        object,
        tags: tagging::tags(answered.tags()),
    })
}

pub(crate) async fn cancel(ec2: &Client, task: &ImportTaskId) -> Result<()> {
    let cancelled = ec2
        .cancel_import_task()
        .import_task_id(task.as_str())
        .send()
        .await
        .map_err(failed("CancelImportTask"));
    match cancelled {
        Ok(_) => Ok(()),
        // It is no longer active: there is nothing to cancel.
        Err(error) if matches!(error.kind, ErrorKind::NotFound | ErrorKind::WrongState) => Ok(()),
        Err(error) if error.code == "InvalidConversionTaskId.Malformed" => Ok(()),
        Err(error) => Err(error.about(task)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_ec2::types::{ImportSnapshotTask, SnapshotTaskDetail};

    #[test]
    fn a_task_says_how_far_it_is_and_what_went_wrong() {
        let detail = SnapshotTaskDetail::builder()
            .status("deleted")
            .status_message("ClientError: Disk validation failed [Unsupported VMDK File]")
            .progress("27")
            .build();
        let answered = ImportSnapshotTask::builder()
            .import_task_id("import-snap-1")
            .snapshot_task_detail(detail)
            .build();
        let read = task(&answered).unwrap();
        assert_eq!(read.state, ImportState::Ended);
        assert_eq!(read.progress_percent, Some(27));
        assert!(read.status_message.contains("Disk validation failed"));
        assert_eq!(read.snapshot_id, None);
    }
}
