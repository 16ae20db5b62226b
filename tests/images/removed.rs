//! Images that are removed one by one.

use super::*;

#[test]
fn an_image_goes_with_its_snapshots_and_only_if_nothing_uses_it() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let image = golden(&ec2);
    let snapshots = own_snapshots(&ec2, HOME);
    assert!(!snapshots.is_empty());
    // Shown first, and nothing is removed.
    let plan = images(&ec2, &["rm", &image])
        .exits(0)
        .says("Nothing is removed yet");
    assert!(plan.stdout.contains("goes"), "{plan}");
    assert_eq!(own_ids(&ec2, HOME), [image.as_str()]);
    let instance = launch(&ec2, &image);
    let used = images(&ec2, &["rm", &image, "--yes", "--json"]).exits(3);
    assert_eq!(row(&used, &image)["fate"], "stays", "{used}");
    assert!(
        text(&row(&used, &image), "reason").contains(&instance),
        "{used}"
    );
    assert_eq!(own_ids(&ec2, HOME), [image.as_str()]);
    terminate(&ec2, &instance);
    let protect = "enable-image-deregistration-protection";
    aws(&ec2, HOME, &["ec2", protect, "--image-id", &image]);
    let protected = images(&ec2, &["rm", &image, "--yes", "--json"]).exits(3);
    assert!(
        text(&row(&protected, &image), "reason").contains("protected"),
        "{protected}"
    );
    let unprotect = "disable-image-deregistration-protection";
    aws(&ec2, HOME, &["ec2", unprotect, "--image-id", &image]);
    launch_template(&ec2, "web", &image);
    images(&ec2, &["rm", &image, "--yes"]).exits(3);
    // What is said goes as it is said.
    let plan = images(&ec2, &["rm", &image, "--used"]).exits(0);
    let again = plan.stderr.rsplit("to do it: ").next().unwrap_or_default();
    ec2.shell(again).exits(0).says("1 image removed");
    assert_eq!(own(&ec2, HOME), Vec::<Value>::new());
    assert_eq!(own_snapshots(&ec2, HOME), Vec::<Value>::new());
    images(&ec2, &["rm", &image, "--yes"])
        .exits(1)
        .says("there is no image");
}

#[test]
fn a_snapshot_that_another_image_uses_stays() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let image = golden(&ec2);
    let snapshot = snapshots_of(&own(&ec2, HOME)[0])[0].clone();
    let mapping = json!([{ "DeviceName": "/dev/sda1", "Ebs": { "SnapshotId": snapshot } }]);
    let registered = aws(
        &ec2,
        HOME,
        &[
            "ec2",
            "register-image",
            "--name",
            "by-hand",
            "--root-device-name",
            "/dev/sda1",
            "--architecture",
            "x86_64",
            "--virtualization-type",
            "hvm",
            "--block-device-mappings",
            &mapping.to_string(),
        ],
    );
    let ended = images(&ec2, &["rm", &image, "--yes", "--json"]).exits(0);
    let row = row(&ended, &image);
    assert_eq!(row["fate"], "removed", "{ended}");
    assert_eq!(row["snapshots"], json!([snapshot]), "{ended}");
    assert_eq!(own_ids(&ec2, HOME), [text(&registered, "ImageId")]);
    assert_eq!(own_snapshots(&ec2, HOME).len(), 1);
}

#[test]
fn what_resists_is_named_with_the_command_that_removes_it() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let image = golden(&ec2);
    ec2.faults(json!({ "actions": [
        { "action": "DeleteSnapshot", "code": "UnauthorizedOperation", "message": "no", "status": 403 }
    ] }));
    let ended = images(&ec2, &["rm", &image, "--yes"])
        .exits(3)
        .says("left behind");
    ec2.no_faults();
    let command = ended
        .stderr
        .lines()
        .find(|line| line.contains("delete-snapshot"))
        .unwrap_or_else(|| panic!("no command{ended}"));
    ec2.shell(command).exits(0);
    assert_eq!(own_snapshots(&ec2, HOME), Vec::<Value>::new());
}
