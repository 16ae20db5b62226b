//! How a task goes, fails, gets stuck and outlives the local EC2.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_task_says_how_far_it_is_and_its_tags_stay_its_own() {
    let import = Import::with(Delays::Short).await;
    let data = disk(3 * MIB);
    import.put("disk.raw", &data).await;
    let more = [
        ("Description", "mine"),
        ("DiskContainer.Description", "root"),
        ("ClientToken", "t1"),
        ("Encrypted", "true"),
        ("TagSpecification.1.ResourceType", "import-snapshot-task"),
        ("TagSpecification.1.Tag.1.Key", "qib:run"),
        ("TagSpecification.1.Tag.1.Value", "r1"),
    ];
    let begun = import.begin("disk.raw", "RAW", &more).ok();
    let task = begun.text("importTaskId").unwrap();
    assert!(task.starts_with("import-snap-"));
    assert_eq!(begun.text("status").as_deref(), Some("active"));
    assert_eq!(begun.text("statusMessage").as_deref(), Some("pending"));
    assert_eq!(begun.text("progress").as_deref(), Some("3"));
    assert_eq!(begun.text("s3Key").as_deref(), Some("disk.raw"));
    let again = import.begin("disk.raw", "RAW", &more).ok();
    assert_eq!(
        again.text("importTaskId").as_ref(),
        Some(&task),
        "the same request makes one task"
    );
    let other = import.begin("disk.raw", "VHD", &more);
    assert_eq!(other.code(), "IdempotentParameterMismatch");
    let converting =
        |a: &Answer| a.text("statusMessage").as_deref() == Some("downloading/converting");
    let ids = [("ImportTaskId.1", task.as_str())];
    let shown = import
        .ec2()
        .until("DescribeImportSnapshotTasks", &ids, converting)
        .await;
    let percent: u8 = shown.text("progress").unwrap().parse().unwrap();
    assert!((10..100).contains(&percent), "{percent}");
    assert_eq!(
        shown.text("diskImageSize"),
        Some(format!("{}.0", data.len()))
    );
    assert_eq!(shown.text("snapshotId"), None);
    let done = import.is(&task, "completed").await;
    assert_eq!(done.text("progress"), None);
    assert_eq!(done.text("tagSet/item/key").as_deref(), Some("qib:run"));
    let snapshot = done.text("snapshotId").unwrap();
    let there = |a: &Answer| a.status == 200;
    let parameters = [("SnapshotId.1", snapshot.as_str())];
    let shown = import
        .ec2()
        .until("DescribeSnapshots", &parameters, there)
        .await;
    let description = format!("Created by AWS-VMImport service for {task}");
    assert_eq!(shown.text("description"), Some(description));
    assert_eq!(shown.text("status").as_deref(), Some("completed"));
    assert_eq!(shown.text("volumeSize").as_deref(), Some("1"));
    assert_eq!(shown.text("encrypted").as_deref(), Some("true"));
    assert_eq!(
        shown.texts("tagSet/item").len(),
        0,
        "the tags are the task's alone"
    );
    let named = [
        ("Filters.1.Name", "tag:qib:run"),
        ("Filters.1.Value.1", "r1"),
    ];
    let found = import.ec2().ec2("DescribeImportSnapshotTasks", &named).ok();
    assert_eq!(found.texts("importTaskId"), std::slice::from_ref(&task));
    let done = import
        .ec2()
        .ec2("CancelImportTask", &[("ImportTaskId", &task)]);
    assert_eq!(done.code(), "IncorrectState");
    let tags = import
        .ec2()
        .ec2(
            "DescribeTags",
            &[
                ("Filter.1.Name", "resource-type"),
                ("Filter.1.Value.1", "import-snapshot-task"),
            ],
        )
        .ok();
    assert_eq!(tags.text("resourceId"), Some(task));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_goes_while_it_is_imported_fails_the_task() {
    let import = Import::with(Delays::Short).await;
    import.put("disk.raw", &disk(MIB)).await;
    let task = import
        .begin("disk.raw", "RAW", &[])
        .ok()
        .text("importTaskId")
        .unwrap();
    import.s3.ask("DELETE", "/images/disk.raw").await.ok();
    let ended = import.is(&task, "deleted").await;
    let words = "ClientError: Disk validation failed [We do not have access to the given resource. Reason 404 Not Found]";
    assert_eq!(ended.text("statusMessage").as_deref(), Some(words));
    let snapshots = import
        .ec2()
        .ec2("DescribeSnapshots", &[("Owner.1", "self")])
        .ok();
    assert!(snapshots.texts("snapshotId").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_fail_or_are_stuck_as_often_as_asked() {
    let import = Import::new().await;
    import.put("disk.raw", &disk(MIB)).await;
    import.s3.served.faults(r#"{"import_tasks":[{"message":"ClientError: Disk validation failed [Timeout]","at_percent":35,"after":1,"times":2},{"stuck_at_percent":47,"after":1,"times":1}]}"#).await;
    import.ended("disk.raw", "RAW").await.unwrap();
    for _ in 0..2 {
        let refused = import.ended("disk.raw", "RAW").await.unwrap_err();
        assert_eq!(refused, "ClientError: Disk validation failed [Timeout]");
    }
    let stuck = import
        .begin("disk.raw", "RAW", &[])
        .ok()
        .text("importTaskId")
        .unwrap();
    // A later one overtakes it.
    import.ended("disk.raw", "RAW").await.unwrap();
    let shown = import.is(&stuck, "active").await;
    assert_eq!(shown.text("progress").as_deref(), Some("47"));
    import
        .ec2()
        .ec2("CancelImportTask", &[("ImportTaskId", &stuck)])
        .ok();
    import.is(&stuck, "deleted").await;
    let wrong = r#"{"import_tasks":[{"message":"x","stuck_at_percent":1}]}"#;
    let saw = import
        .s3
        .served
        .control("PUT", &import.s3.key.secret, wrong)
        .await;
    assert_eq!(saw.status(), 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_corrupted_on_its_way_into_the_bucket_is_no_image_any_more() {
    let import = Import::new().await;
    let dir = tempfile::tempdir().unwrap();
    let Some(file) = made(dir.path(), &disk(4 * MIB), "vhdx", "") else {
        return;
    };
    import
        .s3
        .served
        .faults(r#"{"corrupt_uploads":[{"at_byte":0,"times":1}]}"#)
        .await;
    import.put("disk", &file).await;
    let refused = import.ended("disk", "VHDX").await.unwrap_err();
    assert_eq!(
        refused,
        "ClientError: Disk validation failed [Unsupported VHDX File]"
    );
    import.put("disk", &file).await;
    import.ended("disk", "VHDX").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_goes_on_after_a_restart() {
    let import = Import::with(Delays::Short).await;
    let data = disk(2 * MIB);
    import.put("disk.raw", &data).await;
    let task = import
        .begin("disk.raw", "RAW", &[])
        .ok()
        .text("importTaskId")
        .unwrap();
    // The folder as a killed process leaves it, in the middle of the task.
    let copy = Arc::new(tempfile::tempdir().unwrap());
    let from = format!("{}/.", import.ec2().path().display());
    let copied = Command::new("cp")
        .args(["-a", &from])
        .arg(copy.path())
        .status();
    assert!(copied.unwrap().success());
    let config = EmulatorConfig::default();
    let again = LocalEc2::over(copy, Arc::default(), config);
    again.engine.resume();
    let again = Import {
        s3: S3::over(again).await,
    };
    let done = again.is(&task, "completed").await;
    let snapshot = done.text("snapshotId").unwrap();
    assert!(again.content(&snapshot, data.len()).0 == data);
    let first = import
        .is(&task, "completed")
        .await
        .text("snapshotId")
        .unwrap();
    assert_ne!(first, snapshot, "each attempt has a snapshot of its own");
    let known = again.ec2().account();
    let snapshots = &known.regions["us-east-2"].snapshots;
    assert_eq!(snapshots.len(), 1);
}
