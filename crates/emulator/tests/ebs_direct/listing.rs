//! Which blocks there are, and which differ.

use super::*;

#[tokio::test]
async fn a_child_has_its_parents_blocks_and_the_difference_is_listed() {
    let ec2 = LocalEc2::new();
    let parent = written(&ec2, &json!({ "VolumeSize": 1 }), &[(0, 1), (1, 2)]);
    let child = |body: Value| json_with(&body, "ParentSnapshotId", &parent);
    for (body, reason) in [
        (
            json!({ "VolumeSize": 1, "Encrypted": true }),
            "INVALID_PARAMETER_VALUE",
        ),
        (
            json!({ "VolumeSize": 1, "Encrypted": false }),
            "INVALID_PARAMETER_VALUE",
        ),
    ] {
        refused(&start(&ec2, &child(body)), reason);
    }
    let big = written(&ec2, &json!({ "VolumeSize": 2 }), &[]);
    let small = json!({ "VolumeSize": 1, "ParentSnapshotId": big });
    refused(&start(&ec2, &small), "INVALID_VOLUME_SIZE");
    let pending = started(&ec2, &json!({ "VolumeSize": 1 }));
    let early = json!({ "VolumeSize": 1, "ParentSnapshotId": pending });
    refused(&start(&ec2, &early), "INVALID_SNAPSHOT_ID");
    let changed = written(
        &ec2,
        &child(json!({ "VolumeSize": 2 })),
        &[(1, 3), (4000, 4)],
    );
    let list = get(&ec2, &format!("/snapshots/{changed}/blocks"))
        .ok(200)
        .json();
    assert_eq!(indexes(&list, "Blocks"), [0, 1, 4000]);
    for (index, byte) in [(0, 1), (1, 3), (4000, 4)] {
        assert!(read(&ec2, &changed, index).ok(200).0.body == block(byte));
    }
    let path = |first: &str, second: &str| {
        format!("/snapshots/{second}/changedblocks?firstSnapshotId={first}")
    };
    let list = get(&ec2, &path(&parent, &changed)).ok(200).json();
    assert_eq!(indexes(&list, "ChangedBlocks"), [1, 4000]);
    assert!(list["ChangedBlocks"][0]["FirstBlockToken"].is_string());
    assert!(list["ChangedBlocks"][1].get("FirstBlockToken").is_none());
    let token = escaped(
        list["ChangedBlocks"][0]["FirstBlockToken"]
            .as_str()
            .unwrap(),
    );
    let before = get(
        &ec2,
        &format!("/snapshots/{parent}/blocks/1?blockToken={token}"),
    );
    assert!(before.ok(200).0.body == block(2));
    refused(&get(&ec2, &path(&big, &changed)), "UNRELATED_SNAPSHOTS");
    refused(
        &get(&ec2, &format!("/snapshots/{changed}/changedblocks")),
        "INVALID_SNAPSHOT_ID",
    );
    // The parent's own blocks stay for as long as a child has them.
    ec2.ec2(
        "DeleteSnapshot",
        &[("SnapshotId.1", &parent), ("SnapshotId", &parent)],
    );
    ec2.ec2("DeleteSnapshot", &[("SnapshotId", &parent)]).ok();
    assert!(read(&ec2, &changed, 0).ok(200).0.body == block(1));
    let copy = [
        ("SourceSnapshotId", changed.as_str()),
        ("SourceRegion", "us-east-2"),
    ];
    let copy = ec2
        .in_region("us-west-2")
        .ec2("CopySnapshot", &copy)
        .ok()
        .text("snapshotId")
        .unwrap();
    ec2.ec2("DeleteSnapshot", &[("SnapshotId", &changed)]).ok();
    let west = ec2.in_region("us-west-2");
    assert!(read(&west, &copy, 1).ok(200).0.body == block(3));
    west.ec2("DeleteSnapshot", &[("SnapshotId", &copy)]).ok();
    // What nothing needs is removed. The two that are left are `big` and `pending`.
    let folders = || {
        std::fs::read_dir(ec2.path().join("blocks"))
            .unwrap()
            .count()
    };
    ec2.until("DescribeSnapshots", &[], |_| folders() == 2)
        .await;
}

fn json_with(body: &Value, name: &str, value: &str) -> Value {
    let mut body = body.clone();
    body[name] = value.into();
    body
}

#[tokio::test]
async fn lists_come_in_pages() {
    let ec2 = LocalEc2::new();
    let blocks: Vec<(u32, u8)> = (0..250).map(|n| (n * 3, 0)).collect();
    let id = written(&ec2, &json!({ "VolumeSize": 1 }), &blocks);
    let mut seen = Vec::new();
    let mut path = format!("/snapshots/{id}/blocks?maxResults=100");
    let mut pages = 0;
    loop {
        let list = get(&ec2, &path).ok(200).json();
        seen.extend(indexes(&list, "Blocks"));
        pages += 1;
        let Some(token) = list["NextToken"].as_str() else {
            break;
        };
        // A starting index beside a token is ignored.
        let token = escaped(token);
        path =
            format!("/snapshots/{id}/blocks?maxResults=100&pageToken={token}&startingBlockIndex=0");
        if pages == 1 {
            path = format!("/snapshots/{id}/blocks?maxResults=100&pageToken={token}");
        }
    }
    assert_eq!(pages, 3);
    assert_eq!(seen, (0..250).map(|n| n * 3).collect::<Vec<u64>>());
    let few = get(&ec2, &format!("/snapshots/{id}/blocks?maxResults=5"))
        .ok(200)
        .json();
    assert_eq!(indexes(&few, "Blocks").len(), 100);
    let later = get(
        &ec2,
        &format!("/snapshots/{id}/blocks?startingBlockIndex=100"),
    )
    .ok(200)
    .json();
    assert_eq!(indexes(&later, "Blocks")[0], 102);
    refused(
        &get(&ec2, &format!("/snapshots/{id}/blocks?maxResults=10001")),
        "INVALID_PARAMETER_VALUE",
    );
    refused(
        &get(&ec2, &format!("/snapshots/{id}/blocks?pageToken=AAAA")),
        "INVALID_PAGE_TOKEN",
    );
    refused(
        &get(&ec2, &format!("/snapshots/{id}/blocks?page=1")),
        "INVALID_PARAMETER_VALUE",
    );
}
