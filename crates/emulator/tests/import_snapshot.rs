//! Disk images in S3 become snapshots, with the program `qemu-img` as the judge of what they are.
// A test is an edge.
#![allow(clippy::disallowed_methods, clippy::print_stderr)]

mod support;

use emulator::blocks::{BLOCK_SIZE, BlockStore};
use emulator::config::{Delays, EmulatorConfig};
use emulator::ids::SnapshotId;
use serde_json::json;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use support::s3::S3;
use support::{Answer, LocalEc2};

const MIB: usize = 1 << 20;

/// A disk with data at its start, in its middle and at its end, and zeros between.
fn disk(length: usize) -> Vec<u8> {
    let mut data = vec![0; length];
    for at in [0, length / 2, length.saturating_sub(700)] {
        let end = (at + 700).min(length);
        for (n, byte) in data[at..end].iter_mut().enumerate() {
            *byte = (n % 251) as u8 + 1;
        }
    }
    data
}

/// A file that `qemu-img` makes of a disk; none if it is not there.
fn made(dir: &Path, disk: &[u8], format: &str, options: &str) -> Option<Vec<u8>> {
    let (raw, file) = (dir.join("disk.raw"), dir.join(format!("disk.{format}")));
    std::fs::write(&raw, disk).unwrap();
    let mut command = Command::new("qemu-img");
    command.args(["convert", "-f", "raw", "-O", format]);
    if !options.is_empty() {
        command.args(["-o", options]);
    }
    match command.arg(&raw).arg(&file).status() {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("SKIPPED: qemu-img is not installed");
            None
        }
        done => {
            assert!(done.unwrap().success());
            Some(std::fs::read(&file).unwrap())
        }
    }
}

struct Import {
    s3: S3,
}

impl Import {
    async fn new() -> Self {
        Self::with(Delays::None).await
    }

    async fn with(delays: Delays) -> Self {
        let s3 = S3::over(LocalEc2::with(EmulatorConfig {
            delays,
            ..EmulatorConfig::default()
        }))
        .await;
        s3.bucket("images").await;
        Self { s3 }
    }

    fn ec2(&self) -> &LocalEc2 {
        &self.s3.served.ec2
    }

    async fn put(&self, key: &str, data: &[u8]) {
        self.s3
            .send("PUT", &format!("/images/{key}"), &[], data)
            .await
            .ok();
    }

    fn begin(&self, key: &str, format: &str, more: &[(&str, &str)]) -> Answer {
        let mut parameters = vec![
            ("DiskContainer.Format", format),
            ("DiskContainer.UserBucket.S3Bucket", "images"),
            ("DiskContainer.UserBucket.S3Key", key),
        ];
        parameters.extend(more);
        self.ec2().ec2("ImportSnapshot", &parameters)
    }

    /// Waits until a task is in a state.
    async fn is(&self, task: &str, state: &str) -> Answer {
        let is = |a: &Answer| a.text("snapshotTaskDetail/status").as_deref() == Some(state);
        self.ec2()
            .until(
                "DescribeImportSnapshotTasks",
                &[("ImportTaskId.1", task)],
                is,
            )
            .await
    }

    /// Imports, and says how it ended.
    async fn ended(&self, key: &str, format: &str) -> Result<String, String> {
        let begun = self.begin(key, format, &[]).ok();
        let task = begun.text("importTaskId").unwrap();
        let over = |a: &Answer| {
            let status = a.text("snapshotTaskDetail/status").unwrap();
            status == "completed" || status == "deleted"
        };
        let ids = [("ImportTaskId.1", task.as_str())];
        let ended = self
            .ec2()
            .until("DescribeImportSnapshotTasks", &ids, over)
            .await;
        match ended.text("snapshotId") {
            Some(snapshot) => Ok(snapshot),
            None => Err(ended.text("statusMessage").unwrap()),
        }
    }

    /// What a snapshot consists of, `length` bytes, and how many of its blocks are there and are zeros.
    fn content(&self, snapshot: &str, length: usize) -> (Vec<u8>, usize, usize) {
        let store = BlockStore::open(self.ec2().path()).unwrap();
        let set = store.get(&SnapshotId::parse(snapshot).unwrap()).unwrap();
        let (mut content, mut zeros) = (Vec::new(), 0);
        let count = length.div_ceil(BLOCK_SIZE);
        for index in 0..u32::try_from(count).unwrap() {
            let block = set.block(index).unwrap().expect("every block is there");
            zeros += usize::from(block.zero);
            let mut bytes = vec![0; BLOCK_SIZE];
            if !block.zero {
                set.read(index, 0, &mut bytes).unwrap();
            }
            content.extend(bytes);
        }
        assert_eq!(set.count(), count as u64, "and none besides");
        assert!(content[length..].iter().all(|b| *b == 0));
        content.truncate(length);
        (content, count, zeros)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_raw_image_is_taken_as_it_is() {
    let import = Import::new().await;
    for length in [512, MIB + 1, 40 * MIB] {
        let data = disk(length);
        import.put("disk.raw", &data).await;
        let snapshot = import.ended("disk.raw", "raw").await.unwrap();
        let (content, blocks, zeros) = import.content(&snapshot, length);
        assert!(content == data, "{length}");
        assert!(zeros + 3 >= blocks && zeros < blocks, "{zeros} of {blocks}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_formats_are_converted() {
    let import = Import::new().await;
    let dir = tempfile::tempdir().unwrap();
    let data = disk(40 * MIB);
    for (format, options, word) in [
        ("vmdk", "subformat=streamOptimized", "vmdk"),
        ("vpc", "subformat=dynamic,force_size=on", "VHD"),
        ("vpc", "subformat=fixed,force_size=on", "VHD"),
        ("vhdx", "subformat=dynamic", "VHDX"),
    ] {
        let Some(file) = made(dir.path(), &data, format, options) else {
            return;
        };
        import.put("disk", &file).await;
        let snapshot = import.ended("disk", word).await.unwrap();
        assert!(
            import.content(&snapshot, data.len()).0 == data,
            "{format} {options}"
        );
    }
    let left = import
        .ec2()
        .path()
        .join("s3/incoming")
        .read_dir()
        .unwrap()
        .count();
    assert_eq!(left, 0, "what was made on the way is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_such_image_fails_in_ec2s_words() {
    let import = Import::new().await;
    let dir = tempfile::tempdir().unwrap();
    let data = disk(4 * MIB);
    import.put("disk.raw", &data).await;
    import.put("empty", b"").await;
    for (key, format, words) in [
        (
            "disk.raw",
            "VMDK",
            "ClientError: Disk validation failed [Unsupported VMDK File]",
        ),
        (
            "disk.raw",
            "VHD",
            "ClientError: Disk validation failed [Unsupported VHD File]",
        ),
        (
            "disk.raw",
            "VHDX",
            "ClientError: Disk validation failed [Unsupported VHDX File]",
        ),
        (
            "disk.raw",
            "ova",
            "ClientError: Disk validation failed [Unsupported specified file format]",
        ),
        (
            "empty",
            "RAW",
            "ClientError: Disk validation failed [Invalid disk size]",
        ),
    ] {
        assert_eq!(import.ended(key, format).await.unwrap_err(), words);
    }
    // Flat and sparse ones, which could name other files, are none that EC2 takes.
    for subformat in ["monolithicFlat", "monolithicSparse"] {
        let Some(file) = made(dir.path(), &data, "vmdk", &format!("subformat={subformat}")) else {
            return;
        };
        import.put("disk", &file).await;
        let refused = import.ended("disk", "VMDK").await.unwrap_err();
        assert!(
            refused.ends_with("[Unsupported VMDK File]"),
            "{subformat}: {refused}"
        );
    }
    let Some(mut file) = made(dir.path(), &data, "vhdx", "") else {
        return;
    };
    // Past the file's own name: its region tables.
    file[192 * 1024..320 * 1024].fill(0xaa);
    import.put("disk", &file).await;
    let refused = import.ended("disk", "VHDX").await.unwrap_err();
    assert!(
        refused.starts_with("ClientError: Disk validation failed [Invalid VHDX File"),
        "{refused}"
    );
    assert!(!refused.contains("s3/incoming"), "{refused}");
}

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
async fn an_image_is_registered_from_what_was_imported_and_its_blocks_go_with_the_snapshot() {
    let import = Import::new().await;
    import.put("disk.raw", &disk(MIB)).await;
    let snapshot = import.ended("disk.raw", "RAW").await.unwrap();
    let registered = import
        .ec2()
        .ec2(
            "RegisterImage",
            &[
                ("Name", "imported"),
                ("Architecture", "arm64"),
                ("BootMode", "uefi"),
                ("VirtualizationType", "hvm"),
                ("RootDeviceName", "/dev/sda1"),
                ("BlockDeviceMapping.1.DeviceName", "/dev/sda1"),
                ("BlockDeviceMapping.1.Ebs.SnapshotId", &snapshot),
            ],
        )
        .ok();
    let image = registered.text("imageId").unwrap();
    let deleted = import
        .ec2()
        .ec2("DeleteSnapshot", &[("SnapshotId", &snapshot)]);
    assert_eq!(deleted.code(), "InvalidSnapshot.InUse");
    import
        .ec2()
        .ec2("DeregisterImage", &[("ImageId", &image)])
        .ok();
    import
        .ec2()
        .ec2("DeleteSnapshot", &[("SnapshotId", &snapshot)])
        .ok();
    // What it consisted of goes with it.
    let dir = import.ec2().path().join("blocks").join(&snapshot);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while dir.exists() {
        assert!(std::time::Instant::now() < deadline);
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_role_must_be_there_trust_the_service_and_read_the_object() {
    let import = Import::new().await;
    import.put("disk.raw", &disk(MIB)).await;
    let trust = |who: &str, id: &str| {
        json!({ "Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": { "Service": who }, "Action": "sts:AssumeRole",
            "Condition": { "StringEquals": { "sts:Externalid": id } } }] })
        .to_string()
    };
    let reads = |what: &str| {
        json!({ "Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Action": ["s3:GetBucketLocation", "s3:GetObject", "s3:ListBucket"],
            "Resource": ["arn:aws:s3:::images", what] }] })
        .to_string()
    };
    let role = |name: &str, trust: &str, policy: &str| {
        let parameters = [("RoleName", name), ("AssumeRolePolicyDocument", trust)];
        import.ec2().iam("CreateRole", &parameters).ok();
        let parameters = [
            ("RoleName", name),
            ("PolicyName", "p"),
            ("PolicyDocument", policy),
        ];
        import.ec2().iam("PutRolePolicy", &parameters).ok();
    };
    let all = reads("arn:aws:s3:::images/*");
    role("good", &trust("vmie.amazonaws.com", "vmimport"), &all);
    role("of-ec2", &trust("ec2.amazonaws.com", "vmimport"), &all);
    role("other-id", &trust("vmie.amazonaws.com", "other"), &all);
    let elsewhere = reads("arn:aws:s3:::images/other/*");
    role(
        "elsewhere",
        &trust("vmie.amazonaws.com", "vmimport"),
        &elsewhere,
    );
    for name in ["missing", "of-ec2", "other-id", "elsewhere", "packer"] {
        let refused = import.begin("disk.raw", "RAW", &[("RoleName", name)]);
        assert_eq!(refused.code(), "InvalidParameter");
        let words = format!(
            "The service role {name} provided does not exist or does not have sufficient permissions"
        );
        assert_eq!(refused.text("Message"), Some(words));
    }
    import
        .begin("disk.raw", "RAW", &[("RoleName", "good")])
        .ok();
    import.begin("disk.raw", "RAW", &[]).ok();
    // The one that is there from the start can be taken away.
    for (action, parameters) in [
        (
            "DeleteRolePolicy",
            vec![("RoleName", "vmimport"), ("PolicyName", "policy")],
        ),
        ("DeleteRole", vec![("RoleName", "vmimport")]),
    ] {
        import.ec2().iam(action, &parameters).ok();
    }
    assert_eq!(
        import.begin("disk.raw", "RAW", &[]).code(),
        "InvalidParameter"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_imported_is_refused_when_it_is_asked_for() {
    let import = Import::with(Delays::Ec2Like).await;
    import.put("disk.raw", &disk(MIB)).await;
    let refused = |parameters: &[(&str, &str)]| import.ec2().ec2("ImportSnapshot", parameters);
    let url = |url| [("DiskContainer.Format", "RAW"), ("DiskContainer.Url", url)];
    assert_eq!(
        refused(&[("DiskContainer.Format", "RAW")]).code(),
        "MissingParameter"
    );
    for wrong in [
        "https://images.s3.amazonaws.com/disk.raw",
        "s3://images",
        "s3://images/none",
        "s3://nowhere/disk.raw",
    ] {
        assert_eq!(refused(&url(wrong)).code(), "InvalidParameter", "{wrong}");
    }
    assert_eq!(
        import.begin("disk.raw", "qcow2", &[]).code(),
        "InvalidParameter"
    );
    assert_eq!(
        import
            .begin(
                "disk.raw",
                "RAW",
                &[("DiskContainer.Url", "s3://images/disk.raw")]
            )
            .code(),
        "InvalidParameterCombination"
    );
    let snapshot_tags = [
        ("TagSpecification.1.ResourceType", "snapshot"),
        ("TagSpecification.1.Tag.1.Key", "a"),
    ];
    assert_eq!(
        import.begin("disk.raw", "RAW", &snapshot_tags).code(),
        "InvalidParameterValue"
    );
    assert_eq!(
        import
            .begin("disk.raw", "RAW", &[("KmsKeyId", "alias/x")])
            .code(),
        "InvalidParameterDependency"
    );
    assert_eq!(
        import
            .begin(
                "disk.raw",
                "RAW",
                &[("Encrypted", "true"), ("KmsKeyId", "alias/x")]
            )
            .code(),
        "InvalidParameter"
    );
    assert_eq!(
        import
            .begin("disk.raw", "RAW", &[("DryRun", "true")])
            .code(),
        "DryRunOperation"
    );
    let other = import.ec2().in_region("eu-west-1");
    let far = other.ec2("ImportSnapshot", &url("s3://images/disk.raw"));
    assert_eq!(
        far.text("Message").as_deref(),
        Some(
            "The given S3 object is not local to the region. The object must be located in eu-west-1."
        )
    );
    let mut tasks = Vec::new();
    for _ in 0..20 {
        let begun = refused(&url("s3://images/disk.raw")).ok();
        assert_eq!(begun.text("url").as_deref(), Some("s3://images/disk.raw"));
        tasks.push(begun.text("importTaskId").unwrap());
    }
    assert_eq!(
        import.begin("disk.raw", "RAW", &[]).code(),
        "ResourceLimitExceeded"
    );
    let cancelled = import
        .ec2()
        .ec2(
            "CancelImportTask",
            &[("ImportTaskId", &tasks[0]), ("CancelReason", "enough")],
        )
        .ok();
    assert_eq!(cancelled.text("previousState").as_deref(), Some("active"));
    assert_eq!(cancelled.text("state").as_deref(), Some("deleting"));
    let shown = import.is(&tasks[0], "deleting").await;
    assert!(shown.text("statusMessage").unwrap().contains("enough"));
    import.begin("disk.raw", "RAW", &[]).ok();
    for (id, code) in [
        ("import-snap-0123456789abcdef0", "InvalidConversionTaskId"),
        ("import-ami-1", "InvalidConversionTaskId.Malformed"),
    ] {
        let unknown = import
            .ec2()
            .ec2("CancelImportTask", &[("ImportTaskId", id)]);
        assert_eq!(unknown.code(), code);
        let unknown = import
            .ec2()
            .ec2("DescribeImportSnapshotTasks", &[("ImportTaskId.1", id)]);
        assert_eq!(unknown.code(), code);
    }
    let page = import
        .ec2()
        .ec2("DescribeImportSnapshotTasks", &[("MaxResults", "7")])
        .ok();
    assert_eq!(page.texts("importTaskId").len(), 7);
    let token = page.text("nextToken").unwrap();
    let rest = import
        .ec2()
        .ec2("DescribeImportSnapshotTasks", &[("NextToken", &token)])
        .ok();
    assert_eq!(rest.texts("importTaskId").len(), 14);
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
