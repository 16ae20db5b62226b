//! What `qib images ls` tells, and what is told when it is used wrongly.

use super::*;

#[test]
fn an_image_is_shown_with_all_that_is_known_about_it() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let image = golden(&ec2);
    images(
        &ec2,
        &["share", &image, "--with-account", OTHERS, "--public"],
    )
    .exits(0);
    images(&ec2, &["deprecate", &image, "--at", "2099-01-01T00:00:00Z"]).exits(0);
    aws(
        &ec2,
        HOME,
        &[
            "ec2",
            "enable-image-deregistration-protection",
            "--image-id",
            &image,
        ],
    );
    launch_template(&ec2, "web", &image);
    let instance = launch(&ec2, &image);
    let ended = images(&ec2, &["show", &image, "--json"]).exits(0);
    let page = ended.json();
    assert_eq!(page["image_id"], image.as_str(), "{ended}");
    assert_eq!(page["name"], "golden", "{ended}");
    assert_eq!(page["region"], HOME, "{ended}");
    assert_eq!(page["state"], "available", "{ended}");
    assert_eq!(page["stage"], "one", "{ended}");
    assert_eq!(page["architecture"], "x86_64", "{ended}");
    assert_eq!(page["virtualization"], "hvm", "{ended}");
    assert_eq!(page["root_device"], "/dev/sda1", "{ended}");
    assert_eq!(page["tags"]["Purpose"], "base", "{ended}");
    assert_eq!(page["protected"], true, "{ended}");
    assert_eq!(page["public"], true, "{ended}");
    assert_eq!(page["shared_with"], json!([OTHERS]), "{ended}");
    assert_eq!(page["deprecated"], "2099-01-01T00:00:00Z", "{ended}");
    assert!(page["last_launched"].is_string(), "{ended}");
    let uses = page["uses"].to_string();
    assert!(
        uses.contains(&instance) && uses.contains("web (lt-"),
        "{ended}"
    );
    let seen = own(&ec2, HOME);
    let snapshots = snapshots_of(&seen[0]);
    assert_eq!(page["snapshots"], json!(snapshots), "{ended}");
    assert_eq!(
        page["snapshot_states"][0]["snapshot_id"],
        snapshots[0].as_str(),
        "{ended}"
    );
    assert_eq!(page["snapshot_states"][0]["state"], "completed", "{ended}");
    // The same for people.
    let shown = images(&ec2, &["show", &image]).exits(0);
    for part in [
        image.as_str(),
        "golden",
        "Purpose = base",
        "everyone, 111122223333",
        "2099-01-01",
        snapshots[0].as_str(),
        instance.as_str(),
    ] {
        assert!(shown.stdout.contains(part), "{part:?}{shown}");
    }
    let listed = images(&ec2, &["ls", "--tag", "Purpose=base", "--json"]).exits(0);
    assert_eq!(row(&listed, &image)["name"], "golden");
    let none = images(&ec2, &["ls", "--tag", "Purpose=other", "--json"]).exits(0);
    assert_eq!(none.json(), json!([]), "{none}");
    images(&ec2, &["show", "ami-0123456789abcdef0"])
        .exits(1)
        .says("there is no image ami-0123456789abcdef0 of this account in us-east-2")
        .says("`qib images ls`");
    images(&ec2, &["show", &image, "--region", WEST])
        .exits(1)
        .says("in us-west-2");
}

#[test]
fn wrong_usage_is_told_before_anything_is_asked() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let id = "ami-0123456789abcdef0";
    for (args, says) in [
        (&["show"][..], "IMAGE"),
        (&["show", "golden"], "golden"),
        (&["rm"], "IMAGE"),
        (&["rm", "snap-1"], "snap-1"),
        (&["prune"], "--keep"),
        (&["prune", "--keep", "few"], "few"),
        (&["prune", "--older-than", "soon"], "soon"),
        (
            &["prune", "--keep", "1", "--except-tag", "=x"],
            "KEY or KEY=VALUE",
        ),
        (&["prune", "--keep", "1", "--tag", "Purpose"], "NAME=VALUE"),
        (&["share", id], "--public"),
        (&["share", id, "--with-account", "1234"], "1234"),
        (
            &["share", id, "--with-organization", "o-abc"],
            "arn:aws:organizations",
        ),
        (
            &["share", id, "--with-organizational-unit", ORGANIZATION],
            ":ou/o-",
        ),
        (
            &["share", id, "--with-account", OTHERS, "--snapshots"],
            "--public",
        ),
        (&["deprecate", id], "--never"),
        (&["deprecate", id, "--at", "tomorrow"], "tomorrow"),
        (&["deprecate", id, "--after", "1d", "--never"], "--never"),
        (&["copy", id], "--to"),
        (&["copy", "golden", "--to", WEST], "golden"),
        (&["copy", id, "--to", "Oregon"], "us-east-2"),
        (&["copy", id, "--to", WEST, "--name", "a:b"], "refuses"),
        (
            &["copy", id, "--to", WEST, "--kms-key", "alias/x"],
            "REGION=KEY",
        ),
        (
            &[
                "copy",
                id,
                "--to",
                WEST,
                "--kms-key",
                "us-west-2=arn:aws:kms:us-east-1:111122223333:key/1",
            ],
            "us-east-1",
        ),
        (
            &["copy", id, "--to", WEST, "--kms-key", "eu-west-1=alias/x"],
            "--to does not name",
        ),
        (
            &[
                "copy",
                id,
                "--to",
                WEST,
                EUROPE,
                "--kms-key",
                "eu-west-1=alias/x",
            ],
            "--encrypt",
        ),
        (&["copy", id, "--to", WEST, "--tag", "qib:run=x"], "qib:"),
        (&["copy", id, "--to", WEST, "--wait", "long"], "long"),
        (&["verify"], "MANIFEST"),
        (&["prnue"], "prune"),
    ] {
        images(&ec2, args).exits(2).says(says);
    }
    // Only these ask, and then make nothing.
    for (args, says) in [
        (&["copy", id, "--to", HOME][..], "--name"),
        (
            &["copy", id, "--to", "us-wset-2"],
            "there is no region us-wset-2",
        ),
        (&["copy", id, "--to", "af-south-1"], "not opted in"),
    ] {
        images(&ec2, args).exits(2).says(says).says("hint:");
    }
    images(&ec2, &["copy", id, "--to", WEST])
        .exits(1)
        .says("there is no image");
}
