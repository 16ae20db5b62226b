//! Snapshots are started, written and completed, as strictly as EBS does it.

use super::*;

#[tokio::test]
async fn what_is_put_is_read_and_what_is_not_put_is_in_no_list() {
    let ec2 = LocalEc2::new();
    let body =
        json!({ "VolumeSize": 1, "Description": "d", "Tags": [{ "Key": "k", "Value": "v" }] });
    let answer = start(&ec2, &body).ok(201).json();
    assert_eq!(answer["BlockSize"], BLOCK_SIZE);
    assert_eq!(
        (&answer["Status"], &answer["VolumeSize"], &answer["OwnerId"]),
        (&"pending".into(), &1.into(), &"123456789012".into())
    );
    assert_eq!(answer["Tags"], json!([{ "Key": "k", "Value": "v" }]));
    let id = answer["SnapshotId"].as_str().unwrap();
    let shown = described(&ec2, id);
    assert_eq!(shown.text("status").unwrap(), "pending");
    assert_eq!(shown.text("volumeSize").unwrap(), "1");
    let accepted = put(&ec2, id, 5, block(7)).ok(201);
    assert_eq!(accepted.header("x-amz-Checksum").unwrap(), sum(&block(7)));
    assert_eq!(
        accepted.header("x-amz-Checksum-Algorithm").unwrap(),
        "SHA256"
    );
    put(&ec2, id, 0, block(0)).ok(201);
    put(&ec2, id, 2047, block(9)).ok(201);
    // The last one counts.
    put(&ec2, id, 5, block(8)).ok(201);
    refused(
        &get(&ec2, &format!("/snapshots/{id}/blocks")),
        "INVALID_SNAPSHOT_ID",
    );
    let digests = [block(0), block(8), block(9)].map(Sha256::digest).concat();
    let linear = sum(&digests);
    let headers = [
        ("x-amz-changedblockscount", "3"),
        ("x-amz-checksum", linear.as_str()),
        ("x-amz-checksum-algorithm", "SHA256"),
        ("x-amz-checksum-aggregation-method", "LINEAR"),
    ];
    let done = complete(&ec2, id, &headers).ok(202).json();
    assert_eq!(done["Status"], "completed", "there are no delays here");
    assert_eq!(described(&ec2, id).text("status").unwrap(), "completed");
    let list = get(&ec2, &format!("/snapshots/{id}/blocks")).ok(200).json();
    assert_eq!(indexes(&list, "Blocks"), [0, 5, 2047]);
    assert_eq!(
        (&list["BlockSize"], &list["VolumeSize"]),
        (&BLOCK_SIZE.into(), &1.into())
    );
    assert!(list.get("NextToken").is_none());
    let week = list["ExpiryTime"].as_f64().unwrap() - jiff::Timestamp::now().as_second() as f64;
    assert!((week - 7.0 * 86_400.0).abs() < 60.0);
    for (index, byte) in [(0, 0), (5, 8), (2047, 9)] {
        let got = read(&ec2, id, index).ok(200);
        assert!(got.0.body == block(byte));
        assert_eq!(got.header("x-amz-Checksum").unwrap(), sum(&block(byte)));
        assert_eq!(got.header("x-amz-Data-Length").unwrap(), "524288");
    }
    // One block's token is not another's, and none is none.
    let token = escaped(list["Blocks"][0]["BlockToken"].as_str().unwrap());
    let other = get(
        &ec2,
        &format!("/snapshots/{id}/blocks/5?blockToken={token}"),
    );
    refused(&other, "INVALID_BLOCK_TOKEN");
    refused(
        &get(&ec2, &format!("/snapshots/{id}/blocks/5")),
        "INVALID_PARAMETER_VALUE",
    );
    let log = log::read(ec2.path()).unwrap();
    let seen: Vec<_> = log.iter().map(|r| (r.index, r.zero)).collect();
    assert_eq!(seen, [(5, false), (0, true), (2047, false), (5, false)]);
    assert!(log.iter().all(|r| r.snapshot.as_str() == id));
}

#[tokio::test]
async fn a_put_that_is_not_what_it_says_is_refused_and_leaves_nothing() {
    let ec2 = LocalEc2::new();
    let id = started(&ec2, &json!({ "VolumeSize": 1 }));
    let right = sum(&block(1));
    let with = |name, value| {
        put_as(
            &ec2,
            &id,
            "0",
            &[("x-amz-checksum", &right), (name, value)],
            block(1),
        )
    };
    refused(
        &put_as(
            &ec2,
            &id,
            "0",
            &[("x-amz-checksum", &sum(&block(2)))],
            block(1),
        ),
        "INVALID_BLOCK",
    );
    refused(
        &put_as(&ec2, &id, "0", &[("x-amz-checksum", "x")], block(1)),
        "INVALID_BLOCK",
    );
    // Zeros are looked at as closely as data.
    refused(
        &put_as(&ec2, &id, "0", &[("x-amz-checksum", &right)], block(0)),
        "INVALID_BLOCK",
    );
    refused(
        &put_as(
            &ec2,
            &id,
            "0",
            &[("x-amz-checksum", &sum(&block(0)))],
            block(1),
        ),
        "INVALID_BLOCK",
    );
    for data in [
        vec![1; 512],
        vec![0; 512],
        vec![1; BLOCK_SIZE + 1],
        Vec::new(),
    ] {
        refused(&put(&ec2, &id, 0, data), "INVALID_PARAMETER_VALUE");
    }
    refused(&with("x-amz-data-length", "512"), "INVALID_PARAMETER_VALUE");
    refused(&with("x-amz-data-length", ""), "INVALID_PARAMETER_VALUE");
    refused(
        &with("x-amz-checksum-algorithm", "MD5"),
        "INVALID_PARAMETER_VALUE",
    );
    refused(
        &with("x-amz-checksum-algorithm", ""),
        "INVALID_PARAMETER_VALUE",
    );
    refused(&with("x-amz-progress", "101"), "INVALID_PARAMETER_VALUE");
    refused(&put(&ec2, &id, 2048, block(1)), "INVALID_BLOCK");
    let odd = put_as(&ec2, &id, "-1", &[("x-amz-checksum", &right)], block(1));
    refused(&odd, "INVALID_BLOCK");
    let odd = put_as(&ec2, &id, "one", &[("x-amz-checksum", &right)], block(1));
    refused(&odd, "INVALID_PARAMETER_VALUE");
    let (status, code, reason) = put(&ec2, "snap-0123456789abcdef0", 0, block(1)).error();
    assert_eq!((status, code.as_str()), (404, "ResourceNotFoundException"));
    assert_eq!(reason, "SNAPSHOT_NOT_FOUND");
    assert_eq!(log::read(ec2.path()).unwrap(), []);
    complete(&ec2, &id, &[("x-amz-changedblockscount", "0")]).ok(202);
}

#[tokio::test]
async fn a_completion_that_is_not_what_was_put_is_refused_and_may_be_tried_again() {
    let ec2 = LocalEc2::new();
    let id = started(&ec2, &json!({ "VolumeSize": 1 }));
    put(&ec2, &id, 3, block(1)).ok(201);
    put(&ec2, &id, 3, block(1)).ok(201);
    let count = |n| [("x-amz-changedblockscount", n)];
    for n in ["2", "0", "-1", "one"] {
        refused(&complete(&ec2, &id, &count(n)), "INVALID_PARAMETER_VALUE");
    }
    refused(&complete(&ec2, &id, &[]), "INVALID_PARAMETER_VALUE");
    let right = sum(&Sha256::digest(block(1)));
    let wrong = sum(&block(1));
    for (checksum, algorithm, method) in [
        (wrong.as_str(), "SHA256", "LINEAR"),
        (right.as_str(), "SHA256", ""),
        (right.as_str(), "", "LINEAR"),
        ("", "SHA256", "LINEAR"),
        (right.as_str(), "SHA1", "LINEAR"),
        (right.as_str(), "SHA256", "TREE"),
    ] {
        let mut headers = vec![
            ("x-amz-changedblockscount", "1"),
            ("x-amz-checksum", checksum),
            ("x-amz-checksum-algorithm", algorithm),
            ("x-amz-checksum-aggregation-method", method),
        ];
        headers.retain(|(_, v)| !v.is_empty());
        refused(&complete(&ec2, &id, &headers), "INVALID_PARAMETER_VALUE");
    }
    // It takes blocks still.
    put(&ec2, &id, 4, block(2)).ok(201);
    complete(&ec2, &id, &count("2")).ok(202);
    refused(&put(&ec2, &id, 5, block(2)), "INVALID_SNAPSHOT_ID");
    refused(&complete(&ec2, &id, &count("2")), "INVALID_SNAPSHOT_ID");
}

#[tokio::test]
async fn a_start_is_checked_and_done_once_for_a_token() {
    let ec2 = LocalEc2::new();
    for (body, reason) in [
        (json!({}), "INVALID_PARAMETER_VALUE"),
        (json!({ "VolumeSize": 0 }), "INVALID_VOLUME_SIZE"),
        (json!({ "VolumeSize": 65_537 }), "INVALID_VOLUME_SIZE"),
        (
            json!({ "VolumeSize": 1, "Timeout": 9 }),
            "INVALID_PARAMETER_VALUE",
        ),
        (
            json!({ "VolumeSize": 1, "Timeout": 4321 }),
            "INVALID_PARAMETER_VALUE",
        ),
        (
            json!({ "VolumeSize": 1, "Size": 1 }),
            "INVALID_PARAMETER_VALUE",
        ),
        (
            json!({ "VolumeSize": 1, "ClientToken": "a b" }),
            "INVALID_PARAMETER_VALUE",
        ),
        (
            json!({ "VolumeSize": 1, "Description": "d".repeat(256) }),
            "INVALID_PARAMETER_VALUE",
        ),
        (
            json!({ "VolumeSize": 1, "Tags": [{ "Key": "aws:k", "Value": "" }] }),
            "INVALID_TAG",
        ),
        (
            json!({ "VolumeSize": 1, "Tags": [{ "Key": "k".repeat(128), "Value": "" }] }),
            "INVALID_TAG",
        ),
        (
            json!({ "VolumeSize": 1, "Tags": [{ "Key": "k" }, { "Key": "k" }] }),
            "INVALID_TAG",
        ),
        (
            json!({ "VolumeSize": 1, "KmsKeyArn": "arn:aws:kms:us-east-2:123456789012:key/1" }),
            "INVALID_PARAMETER_VALUE",
        ),
        (
            json!({ "VolumeSize": 1, "Encrypted": true, "KmsKeyArn": "alias/x" }),
            "INVALID_CUSTOMER_KEY",
        ),
        (
            json!({ "VolumeSize": 1, "Encrypted": true, "KmsKeyArn": "arn:aws:kms:us-east-2:123456789012:key/1" }),
            "INVALID_CUSTOMER_KEY",
        ),
        (
            json!({ "VolumeSize": 1, "ParentSnapshotId": "snap-x" }),
            "INVALID_SNAPSHOT_ID",
        ),
    ] {
        let reply = start(&ec2, &body);
        assert_eq!(reply.error().2, reason, "{body}");
        refused(&reply, reason);
    }
    let once = json!({ "VolumeSize": 1, "ClientToken": "once" });
    let first = start(&ec2, &once).ok(201).json();
    assert_eq!(start(&ec2, &once).ok(201).json(), first);
    let other = json!({ "VolumeSize": 2, "ClientToken": "once" });
    let (status, code, _) = start(&ec2, &other).error();
    assert_eq!((status, code.as_str()), (409, "ConflictException"));
    assert_eq!(
        ec2.ec2("DescribeSnapshots", &[("Owner.1", "self")])
            .texts("snapshotId")
            .len(),
        1
    );
    let encrypted = start(&ec2, &json!({ "VolumeSize": 1, "Encrypted": true }))
        .ok(201)
        .json();
    assert!(
        encrypted["KmsKeyArn"]
            .as_str()
            .unwrap()
            .starts_with("arn:aws:kms:")
    );
    let shown = described(&ec2, encrypted["SnapshotId"].as_str().unwrap());
    assert_eq!(shown.text("encrypted").unwrap(), "true");
}
