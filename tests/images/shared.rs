//! Images that others get, here and in other regions.

use super::*;

#[test]
fn an_image_is_shared_with_its_snapshots_and_taken_back() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let image = golden(&ec2);
    let snapshot = snapshots_of(&own(&ec2, HOME)[0])[0].clone();
    let nobody = json!([]);
    images(&ec2, &["share", &image, "--with-account", OTHERS])
        .exits(0)
        .says("may be launched by 111122223333");
    assert_eq!(
        launch_permissions(&ec2, &image),
        json!([{ "UserId": OTHERS }])
    );
    assert_eq!(
        volume_permissions(&ec2, &snapshot),
        json!([{ "UserId": OTHERS }])
    );
    images(
        &ec2,
        &["share", &image, "--with-account", OTHERS, "--remove"],
    )
    .exits(0)
    .says("its owner only");
    assert_eq!(launch_permissions(&ec2, &image), nobody);
    assert_eq!(volume_permissions(&ec2, &snapshot), nobody);
    images(
        &ec2,
        &["share", &image, "--with-account", OTHERS, "--no-snapshots"],
    )
    .exits(0);
    assert_eq!(volume_permissions(&ec2, &snapshot), nobody);
    images(
        &ec2,
        &["share", &image, "--with-account", OTHERS, "--remove"],
    )
    .exits(0);
    // Organisations and their units: of the image only.
    let organization = [
        "--with-organization",
        ORGANIZATION,
        "--with-organizational-unit",
        UNIT,
    ];
    images(
        &ec2,
        &[&["share", image.as_str()], &organization[..]].concat(),
    )
    .exits(0);
    let given = launch_permissions(&ec2, &image).to_string();
    assert!(
        given.contains(ORGANIZATION) && given.contains(UNIT),
        "{given}"
    );
    assert_eq!(volume_permissions(&ec2, &snapshot), nobody);
    images(
        &ec2,
        &[&["share", image.as_str(), "--remove"], &organization[..]].concat(),
    )
    .exits(0);
    assert_eq!(launch_permissions(&ec2, &image), nobody);
    // Everyone: the snapshots only where that is said.
    images(&ec2, &["share", &image, "--public"])
        .exits(0)
        .says("everyone");
    assert_eq!(
        launch_permissions(&ec2, &image),
        json!([{ "Group": "all" }])
    );
    assert_eq!(volume_permissions(&ec2, &snapshot), nobody);
    images(&ec2, &["share", &image, "--public", "--snapshots"]).exits(0);
    assert_eq!(
        volume_permissions(&ec2, &snapshot),
        json!([{ "Group": "all" }])
    );
    images(&ec2, &["share", &image, "--public", "--remove"]).exits(0);
    assert_eq!(launch_permissions(&ec2, &image), nobody);
    assert_eq!(volume_permissions(&ec2, &snapshot), nobody);
    // Snapshots come first: if they cannot be shared, nobody sees the image.
    ec2.faults(json!({ "actions": [
        { "action": "ModifySnapshotAttribute", "code": "UnauthorizedOperation", "message": "no", "status": 403 }
    ] }));
    images(&ec2, &["share", &image, "--with-account", OTHERS])
        .exits(1)
        .says("ModifySnapshotAttribute");
    ec2.no_faults();
    assert_eq!(launch_permissions(&ec2, &image), nobody);
}

#[test]
fn an_image_is_deprecated_and_that_is_taken_back() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let image = golden(&ec2);
    let deprecated = || text(&own(&ec2, HOME)[0], "DeprecationTime");
    images(&ec2, &["deprecate", &image, "--after", "30d"]).exits(0);
    let after = deprecated();
    assert!(!after.is_empty());
    images(&ec2, &["deprecate", &image, "--at", "2099-03-01T12:30:00Z"])
        .exits(0)
        .says("2099-03-01T12:30:00Z");
    let at = deprecated();
    assert!(
        at.starts_with("2099-03-01T12:30:00") && after < at,
        "{after} {at}"
    );
    images(&ec2, &["deprecate", &image, "--never"]).exits(0);
    assert_eq!(deprecated(), "");
    // Taking back what was never set changes nothing.
    images(&ec2, &["deprecate", &image, "--never"]).exits(0);
    images(&ec2, &["deprecate", &image, "--at", "2020-01-01T00:00:00Z"])
        .exits(2)
        .says("has passed")
        .says("hint:");
    images(&ec2, &["deprecate", "ami-0123456789abcdef0", "--never"]).exits(1);
}

#[test]
fn a_copy_has_its_image_s_tags_everywhere_and_is_made_once() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let image = golden(&ec2);
    let key = text(
        &aws(
            &ec2,
            EUROPE,
            &["kms", "create-key", "--query", "KeyMetadata"],
        ),
        "Arn",
    );
    aws(
        &ec2,
        EUROPE,
        &[
            "kms",
            "create-alias",
            "--alias-name",
            "alias/images",
            "--target-key-id",
            &key,
        ],
    );
    let west = [
        "copy",
        &image,
        "--to",
        WEST,
        EUROPE,
        "--encrypt",
        "--kms-key",
        "eu-west-1=alias/images",
        "--tag",
        "Team=images",
        "--json",
    ];
    let copied = images(&ec2, &west).exits(0);
    for region in [WEST, EUROPE] {
        let seen = own(&ec2, region);
        assert_eq!(seen.len(), 1, "{region}{copied}");
        let there = &seen[0];
        assert_eq!(there["State"], "available", "{region}{copied}");
        assert_eq!(there["Name"], "golden", "{region}{copied}");
        let row = row(&copied, &text(there, "ImageId"));
        assert_eq!(row["status"], "copied", "{copied}");
        assert_eq!(row["region"], region, "{copied}");
        assert_eq!(row["source_image"], image.as_str(), "{copied}");
        assert_eq!(row["snapshots"], json!(snapshots_of(there)), "{copied}");
        for (key, value) in [
            ("Purpose", "base"),
            ("Team", "images"),
            ("qib:stage", "one"),
            ("qib:complete", "true"),
            ("qib:copy-of", image.as_str()),
        ] {
            assert_eq!(
                tag(there, key).as_deref(),
                Some(value),
                "{region} {key}{copied}"
            );
        }
        let snapshots = own_snapshots(&ec2, region);
        assert_eq!(snapshots.len(), snapshots_of(there).len());
        for snapshot in snapshots {
            for (key, value) in [
                ("Purpose", "base"),
                ("Team", "images"),
                ("qib:copy-of", image.as_str()),
            ] {
                assert_eq!(
                    tag(&snapshot, key).as_deref(),
                    Some(value),
                    "{region} {key}{copied}"
                );
            }
            assert_eq!(snapshot["Encrypted"], true, "{region}: {snapshot}");
            let with = text(&snapshot, "KmsKeyId");
            assert_eq!(with == key, region == EUROPE, "{region}: {with}");
        }
    }
    // Again, and in one region more: nothing is copied twice.
    let more = [
        "copy",
        &image,
        "--to",
        WEST,
        EUROPE,
        "ap-southeast-2",
        "--encrypt",
        "--json",
    ];
    let again = images(&ec2, &more).exits(0);
    for (region, status) in [
        (WEST, "found"),
        (EUROPE, "found"),
        ("ap-southeast-2", "copied"),
    ] {
        let seen = own(&ec2, region);
        assert_eq!(seen.len(), 1, "{region}{again}");
        assert_eq!(
            row(&again, &text(&seen[0], "ImageId"))["status"],
            status,
            "{again}"
        );
    }
    // The pipeline that copies there too takes them for its own.
    let stage = OneStage {
        image: "{ name: golden, tags: { Purpose: base }, copy_to: [us-west-2] }",
        ..OneStage::default()
    };
    let built = ec2.run(&ec2.pipeline(stage.text())).exits(0);
    assert_eq!(built.image("one")["cached"], true, "{built}");
    assert_eq!(own(&ec2, WEST).len(), 1, "{built}");
    // Sweep leaves copies alone.
    ec2.qib(["sweep", "--local", "--yes", "--region", WEST])
        .exits(0);
    assert_eq!(own(&ec2, WEST).len(), 1);
}

#[test]
fn a_region_that_fails_leaves_the_others_and_the_same_command_goes_on() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let image = golden(&ec2);
    ec2.faults(json!({ "actions": [
        { "action": "CopyImage", "region": WEST, "code": "UnauthorizedOperation", "message": "no", "status": 403 },
        // The reply is lost: the call is made again with its token.
        { "action": "CopyImage", "region": EUROPE, "kind": "drop-after", "times": 1 }
    ] }));
    let order = ["copy", &image, "--to", WEST, EUROPE];
    let ended = images(&ec2, &order).exits(1).says("1 copied, 1 failed.");
    assert!(ended.stdout.contains("CopyImage"), "{ended}");
    assert_eq!(own(&ec2, WEST), Vec::<Value>::new());
    assert_eq!(own(&ec2, EUROPE).len(), 1, "{ended}");
    ec2.no_faults();
    images(&ec2, &order).exits(0).says("1 copied, 1 found.");
    assert_eq!(own(&ec2, WEST).len(), 1);
    assert_eq!(own(&ec2, EUROPE).len(), 1);
    // Another image has the name.
    let other = another(&ec2, &image, "other", &[]);
    aws(
        &ec2,
        WEST,
        &[
            "ec2",
            "copy-image",
            "--source-region",
            HOME,
            "--source-image-id",
            &image,
            "--name",
            "other",
        ],
    );
    images(&ec2, &["copy", &other, "--to", WEST])
        .exits(1)
        .says("1 failed.");
    assert_eq!(own(&ec2, WEST).len(), 2);
    // A copy that comes to nothing is removed, with its snapshots.
    ec2.faults(json!({ "image_fails_at_percent": 50 }));
    let ended = images(&ec2, &["copy", &image, "--to", "ap-southeast-2", "--json"]).exits(1);
    assert_eq!(ended.json()[0]["image_id"], Value::Null, "{ended}");
    ec2.no_faults();
    assert_eq!(own(&ec2, "ap-southeast-2"), Vec::<Value>::new());
    assert_eq!(own_snapshots(&ec2, "ap-southeast-2"), Vec::<Value>::new());
}
