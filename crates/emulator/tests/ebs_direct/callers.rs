//! Who may, and what goes wrong when it is asked to.

use super::*;

#[tokio::test]
async fn an_unsigned_block_is_taken_and_other_unsigned_bodies_are_not() {
    let ec2 = LocalEc2::new();
    let id = started(&ec2, &json!({ "VolumeSize": 1 }));
    let unsigned = ("x-amz-content-sha256", "UNSIGNED-PAYLOAD");
    let good = sum(&block(1));
    put_as(
        &ec2,
        &id,
        "1",
        &[("x-amz-checksum", &good), unsigned],
        block(1),
    )
    .ok(201);
    let signed_body = hex::encode(Sha256::digest(block(1)));
    let signed_header = ("x-amz-content-sha256", signed_body.as_str());
    put_as(
        &ec2,
        &id,
        "2",
        &[("x-amz-checksum", &good), signed_header],
        block(1),
    )
    .ok(201);
    // Signed for other bytes than those that come.
    let other = sum(&block(2));
    let bad = put_as(
        &ec2,
        &id,
        "3",
        &[("x-amz-checksum", &other), signed_header],
        block(2),
    );
    assert_eq!(bad.error().1, "InvalidSignatureException");
    let body = json!({ "VolumeSize": 1 }).to_string().into_bytes();
    let bad = send(&ec2, "POST", "/snapshots", &[unsigned], body);
    assert_eq!(bad.error().1, "InvalidSignatureException");
    // A changed header of a signed put.
    let path = format!("/snapshots/{id}/blocks/4");
    let headers = [
        ("x-amz-data-length", "524288"),
        ("x-amz-checksum-algorithm", "SHA256"),
        ("x-amz-checksum", &good),
        unsigned,
    ];
    let mut request = signed(&ec2, "PUT", &path, &headers, block(1));
    request.path = format!("/snapshots/{id}/blocks/5");
    let bad = Reply(ec2.engine.handle(&request));
    assert_eq!(bad.error().1, "InvalidSignatureException");
    assert_eq!(log::read(ec2.path()).unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_hold_for_blocks() {
    let served = support::wire::Served::new(LocalEc2::new()).await;
    let ec2 = &served.ec2;
    let id = started(ec2, &json!({ "VolumeSize": 1 }));
    let policy = async |actions: &[&str], resource: &str| {
        let statement = json!({ "Effect": "Allow", "Action": actions, "Resource": resource });
        let policy = json!({ "Version": "2012-10-17", "Statement": [statement] }).to_string();
        let secret = &served.ec2.key.secret;
        let saw = served.control_at("/_local/policy", "PUT", secret, &policy);
        assert_eq!(saw.await.status(), 204);
    };
    let denied = |reply: Reply| {
        let (status, code, _) = reply.error();
        assert_eq!((status, code.as_str()), (403, "AccessDeniedException"));
    };
    let snapshot = |id: &str| format!("arn:aws:ec2:us-east-2::snapshot/{id}");
    policy(&["ebs:PutSnapshotBlock"], &snapshot(&id)).await;
    put(ec2, &id, 0, block(1)).ok(201);
    denied(complete(ec2, &id, &[("x-amz-changedblockscount", "1")]));
    denied(start(ec2, &json!({ "VolumeSize": 1 })));
    policy(
        &["ebs:PutSnapshotBlock"],
        &snapshot("snap-0123456789abcdef0"),
    )
    .await;
    denied(put(ec2, &id, 0, block(1)));
    policy(&["ebs:StartSnapshot"], "*").await;
    start(ec2, &json!({ "VolumeSize": 1 })).ok(201);
    let tagged = json!({ "VolumeSize": 1, "Tags": [{ "Key": "k", "Value": "v" }] });
    denied(start(ec2, &tagged));
    policy(&["ebs:StartSnapshot", "ec2:CreateTags"], "*").await;
    start(ec2, &tagged).ok(201);
}

#[tokio::test]
async fn faults_and_quotas_hold_for_blocks() {
    let ec2 = LocalEc2::new();
    let id = started(&ec2, &json!({ "VolumeSize": 1 }));
    let set =
        |faults: Value| std::fs::write(ec2.path().join("faults.json"), faults.to_string()).unwrap();
    set(json!({ "actions": [
        { "action": "PutSnapshotBlock", "kind": "drop-before", "times": 1 },
        { "action": "PutSnapshotBlock", "kind": "drop-after", "times": 1 },
        { "action": "PutSnapshotBlock", "kind": "throttle", "times": 1 },
        { "action": "PutSnapshotBlock", "code": "InternalServerException", "message": "m", "status": 500, "times": 1 },
    ]}));
    assert_eq!(put(&ec2, &id, 0, block(1)).0.delivery, Delivery::Dropped);
    assert_eq!(log::read(ec2.path()).unwrap().len(), 0);
    assert_eq!(put(&ec2, &id, 1, block(1)).0.delivery, Delivery::Dropped);
    assert_eq!(log::read(ec2.path()).unwrap().len(), 1, "a lost reply");
    let (status, code, reason) = put(&ec2, &id, 2, block(1)).error();
    assert_eq!(
        (status, code.as_str(), reason.as_str()),
        (400, "RequestThrottledException", "ACCOUNT_THROTTLED")
    );
    assert_eq!(put(&ec2, &id, 2, block(1)).error().0, 500);
    set(json!({ "latency_ms": { "PutSnapshotBlock": 50 } }));
    let late = put(&ec2, &id, 2, block(1)).ok(201);
    assert_eq!(late.0.delivery, Delivery::Late(Duration::from_millis(50)));
    set(json!({ "throttle": { "PutSnapshotBlock": { "burst": 2, "rate": 0 } } }));
    put(&ec2, &id, 3, block(1)).ok(201);
    put(&ec2, &id, 4, block(1)).ok(201);
    assert_eq!(
        put(&ec2, &id, 5, block(1)).error().1,
        "RequestThrottledException"
    );
    complete(&ec2, &id, &[("x-amz-changedblockscount", "4")]).ok(202);
    // What was refused or went wrong is in the log of requests, and what went well is not.
    let requests = emulator::engine::request_log::read(ec2.path()).unwrap();
    let puts: Vec<_> = requests
        .iter()
        .filter(|r| r.action == "PutSnapshotBlock")
        .collect();
    assert_eq!(puts.len(), 5);
    set(json!({ "latency_ms": { "PutSnapshotBlocks": 50 } }));
    assert!(
        ec2.engine
            .handle(&signed(
                &ec2,
                "GET",
                "/snapshots/snap-1/blocks",
                &[],
                Vec::new()
            ))
            .status
            == 500
    );
}

#[tokio::test]
async fn another_account_reads_what_is_shared_with_it() {
    let ec2 = LocalEc2::new();
    let id = written(&ec2, &json!({ "VolumeSize": 1 }), &[(0, 1)]);
    let other = ec2.in_account("111122223333");
    let path = format!("/snapshots/{id}/blocks");
    assert_eq!(get(&other, &path).error().1, "ResourceNotFoundException");
    let share = [
        ("SnapshotId", id.as_str()),
        ("Attribute", "createVolumePermission"),
        ("OperationType", "add"),
        ("UserId.1", "111122223333"),
    ];
    ec2.ec2("ModifySnapshotAttribute", &share).ok();
    assert!(read(&other, &id, 0).ok(200).0.body == block(1));
    // A token is the caller's own.
    let token = get(&ec2, &path).ok(200).json()["Blocks"][0]["BlockToken"]
        .as_str()
        .unwrap()
        .to_owned();
    let stolen = get(&other, &format!("{path}/0?blockToken={}", escaped(&token)));
    refused(&stolen, "INVALID_BLOCK_TOKEN");
    let pending = started(&ec2, &json!({ "VolumeSize": 1 }));
    assert_eq!(
        put(&other, &pending, 0, block(1)).error().1,
        "ResourceNotFoundException"
    );
}
