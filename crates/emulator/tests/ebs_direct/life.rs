//! How long a snapshot waits, and what it survives.

use super::*;

#[tokio::test]
async fn a_new_snapshot_does_not_exist_yet() {
    let ec2 = LocalEc2::with(EmulatorConfig {
        delays: Delays::Ec2Like,
        ..EmulatorConfig::default()
    });
    let id = started(&ec2, &json!({ "VolumeSize": 1 }));
    let (status, code, reason) = put(&ec2, &id, 0, block(1)).error();
    assert_eq!((status, code.as_str()), (404, "ResourceNotFoundException"));
    assert_eq!(reason, "SNAPSHOT_NOT_FOUND");
    let known = |_: &Answer| put(&ec2, &id, 0, block(1)).0.status == 201;
    ec2.until("DescribeRegions", &[], known).await;
    let done = complete(&ec2, &id, &[("x-amz-changedblockscount", "1")]).ok(202);
    assert_eq!(done.json()["Status"], "pending");
    assert_eq!(described(&ec2, &id).text("status").unwrap(), "pending");
    refused(&put(&ec2, &id, 1, block(1)), "INVALID_SNAPSHOT_ID");
}

#[tokio::test]
async fn what_nobody_writes_to_fails() {
    let ec2 = LocalEc2::new();
    let (idle, busy) = (
        started(&ec2, &json!({ "VolumeSize": 1 })),
        started(&ec2, &json!({ "VolumeSize": 1 })),
    );
    put(&ec2, &idle, 0, block(1)).ok(201);
    std::fs::write(
        ec2.path().join("faults.json"),
        r#"{"snapshot_idle_timeout_ms":300}"#,
    )
    .unwrap();
    let failed = |_: &Answer| {
        put(&ec2, &busy, 0, block(1)).ok(201);
        described(&ec2, &idle).text("status").unwrap() == "error"
    };
    ec2.until("DescribeRegions", &[], failed).await;
    refused(&put(&ec2, &idle, 1, block(1)), "INVALID_SNAPSHOT_ID");
    refused(
        &complete(&ec2, &idle, &[("x-amz-changedblockscount", "1")]),
        "INVALID_SNAPSHOT_ID",
    );
    assert!(
        described(&ec2, &idle)
            .text("statusMessage")
            .unwrap()
            .contains("timeout")
    );
    complete(&ec2, &busy, &[("x-amz-changedblockscount", "1")]).ok(202);
    ec2.ec2("DeleteSnapshot", &[("SnapshotId", &idle)]).ok();
}

#[tokio::test]
async fn what_was_put_survives_the_local_ec2() {
    let ec2 = LocalEc2::new();
    let id = started(&ec2, &json!({ "VolumeSize": 64 }));
    // Far enough apart for the index to have holes.
    let put_at = [(0, 1), (1, 0), (70_000, 2), (131_071, 0)];
    for (index, byte) in put_at {
        put(&ec2, &id, index, block(byte)).ok(201);
    }
    put_as(
        &ec2,
        &id,
        "2",
        &[
            ("x-amz-checksum", &sum(&block(0))),
            ("x-amz-progress", "40"),
        ],
        block(0),
    )
    .ok(201);
    assert_eq!(described(&ec2, &id).text("progress").unwrap(), "40%");
    let (dir, guests) = (ec2.dir.clone(), ec2.guests.clone());
    let config = EmulatorConfig {
        delays: Delays::None,
        ..EmulatorConfig::default()
    };
    drop(ec2);
    let ec2 = LocalEc2::over(dir, guests, config);
    put(&ec2, &id, 1, block(3)).ok(201);
    let blocks = [block(1), block(3), block(0), block(2), block(0)];
    let linear = sum(&blocks.map(Sha256::digest).concat());
    let headers = [
        ("x-amz-changedblockscount", "5"),
        ("x-amz-checksum", linear.as_str()),
        ("x-amz-checksum-algorithm", "SHA256"),
        ("x-amz-checksum-aggregation-method", "LINEAR"),
    ];
    complete(&ec2, &id, &headers).ok(202);
    let list = get(&ec2, &format!("/snapshots/{id}/blocks")).ok(200).json();
    assert_eq!(indexes(&list, "Blocks"), [0, 1, 2, 70_000, 131_071]);
    assert!(read(&ec2, &id, 1).ok(200).0.body == block(3));
    assert!(read(&ec2, &id, 131_071).ok(200).0.body == block(0));
}

#[tokio::test]
async fn a_hundred_snapshots_may_be_pending() {
    let ec2 = LocalEc2::new();
    for _ in 0..100 {
        started(&ec2, &json!({ "VolumeSize": 1 }));
    }
    let (status, code, _) = start(&ec2, &json!({ "VolumeSize": 1 })).error();
    assert_eq!(
        (status, code.as_str()),
        (400, "ConcurrentLimitExceededException")
    );
}

#[tokio::test]
async fn a_guests_snapshot_has_no_blocks() {
    let ec2 = LocalEc2::new();
    let instance = ec2.running(&[]).await;
    let image = ec2
        .ec2(
            "CreateImage",
            &[("InstanceId", &instance), ("Name", "image")],
        )
        .ok();
    let image = image.text("imageId").unwrap();
    let available = |a: &Answer| a.text("imageState").as_deref() == Some("available");
    let image = ec2
        .until("DescribeImages", &[("ImageId.1", &image)], available)
        .await;
    let snapshot = image.text("snapshotId").unwrap();
    let reply = get(&ec2, &format!("/snapshots/{snapshot}/blocks"));
    refused(&reply, "INVALID_SNAPSHOT_ID");
    assert!(
        reply.json()["Message"]
            .as_str()
            .unwrap()
            .contains("a guest's files")
    );
    let child = json!({ "VolumeSize": 500, "ParentSnapshotId": snapshot });
    refused(&start(&ec2, &child), "INVALID_SNAPSHOT_ID");
}
