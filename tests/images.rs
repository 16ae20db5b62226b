//! `qib images`: what becomes of images after the build, as the AWS CLI sees it.
#![allow(
    clippy::disallowed_methods,
    reason = "an edge: tests run programs and wait for them"
)]

use end_to_end::{Config, Ended, LocalEc2, OneStage};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const HOME: &str = "us-east-2";
const WEST: &str = "us-west-2";
const EUROPE: &str = "eu-west-1";
const OTHERS: &str = "111122223333";
const ORGANIZATION: &str = "arn:aws:organizations::111122223333:organization/o-abcdefghij";
const UNIT: &str = "arn:aws:organizations::111122223333:ou/o-abcdefghij/ou-abcd-12345678";

/// The AWS CLI in a region, to its end. Its output is JSON.
#[track_caller]
fn aws(ec2: &LocalEc2, region: &str, args: &[&str]) -> Value {
    let all = [&["--region", region][..], args].concat();
    let ended = ec2.aws(&all).exits(0);
    if ended.stdout.trim().is_empty() {
        return Value::Null;
    }
    ended.json()
}

/// Builds one image, `golden`, and returns its id.
#[track_caller]
fn golden(ec2: &LocalEc2) -> String {
    let stage = OneStage {
        image: "{ name: golden, tags: { Purpose: base } }",
        ..OneStage::default()
    };
    let built = ec2.run(&ec2.pipeline(stage.text())).exits(0);
    text(&built.image("one"), "image_id")
}

/// `qib images … --local`.
#[track_caller]
fn images(ec2: &LocalEc2, args: &[&str]) -> Ended {
    ec2.qib([&["images"], args, &["--local"]].concat())
}

/// Copies an image to another name in its region, with these tags: an image more, without a build.
#[track_caller]
fn another(ec2: &LocalEc2, image: &str, name: &str, tags: &[&str]) -> String {
    let mut args = vec!["copy", image, "--to", HOME, "--name", name, "--json"];
    for tag in tags {
        args.extend(["--tag", tag]);
    }
    let copied = images(ec2, &args).exits(0).json();
    text(&copied[0], "image_id")
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

fn tag(tagged: &Value, key: &str) -> Option<String> {
    let tags = tagged["Tags"].as_array()?;
    let tag = tags.iter().find(|tag| tag["Key"] == key)?;
    tag["Value"].as_str().map(str::to_owned)
}

/// The account's own images in a region.
#[track_caller]
fn own(ec2: &LocalEc2, region: &str) -> Vec<Value> {
    let args = [
        "ec2",
        "describe-images",
        "--owners",
        "self",
        "--query",
        "Images[]",
    ];
    aws(ec2, region, &args)
        .as_array()
        .cloned()
        .unwrap_or_default()
}

/// The ids of the account's own images in a region, sorted.
#[track_caller]
fn own_ids(ec2: &LocalEc2, region: &str) -> Vec<String> {
    let mut ids: Vec<String> = own(ec2, region)
        .iter()
        .map(|image| text(image, "ImageId"))
        .collect();
    ids.sort();
    ids
}

/// The account's own snapshots in a region.
#[track_caller]
fn own_snapshots(ec2: &LocalEc2, region: &str) -> Vec<Value> {
    let args = [
        "ec2",
        "describe-snapshots",
        "--owner-ids",
        "self",
        "--query",
        "Snapshots[]",
    ];
    aws(ec2, region, &args)
        .as_array()
        .cloned()
        .unwrap_or_default()
}

#[track_caller]
fn snapshots_of(image: &Value) -> Vec<String> {
    let mappings = image["BlockDeviceMappings"].as_array().cloned();
    let ids: Vec<String> = mappings
        .unwrap_or_default()
        .iter()
        .filter_map(|mapping| mapping["Ebs"]["SnapshotId"].as_str().map(str::to_owned))
        .collect();
    assert!(!ids.is_empty(), "{image}");
    ids
}

#[track_caller]
fn launch_permissions(ec2: &LocalEc2, image: &str) -> Value {
    let args = [
        "ec2",
        "describe-image-attribute",
        "--image-id",
        image,
        "--attribute",
        "launchPermission",
        "--query",
        "LaunchPermissions",
    ];
    aws(ec2, HOME, &args)
}

#[track_caller]
fn volume_permissions(ec2: &LocalEc2, snapshot: &str) -> Value {
    let args = [
        "ec2",
        "describe-snapshot-attribute",
        "--snapshot-id",
        snapshot,
        "--attribute",
        "createVolumePermission",
        "--query",
        "CreateVolumePermissions",
    ];
    aws(ec2, HOME, &args)
}

/// Makes a launch template that starts instances from an image.
#[track_caller]
fn launch_template(ec2: &LocalEc2, name: &str, image: &str) {
    let data = json!({ "ImageId": image, "InstanceType": "m5.xlarge" }).to_string();
    let args = [
        "ec2",
        "create-launch-template",
        "--launch-template-name",
        name,
        "--launch-template-data",
        &data,
    ];
    aws(ec2, HOME, &args);
}

/// Launches an instance by hand.
#[track_caller]
fn launch(ec2: &LocalEc2, image: &str) -> String {
    let args = [
        "ec2",
        "run-instances",
        "--image-id",
        image,
        "--instance-type",
        "m5.xlarge",
        "--query",
        "Instances[0]",
    ];
    text(&aws(ec2, HOME, &args), "InstanceId")
}

#[track_caller]
fn terminate(ec2: &LocalEc2, instance: &str) {
    aws(
        ec2,
        HOME,
        &["ec2", "terminate-instances", "--instance-ids", instance],
    );
    aws(
        ec2,
        HOME,
        &[
            "ec2",
            "wait",
            "instance-terminated",
            "--instance-ids",
            instance,
        ],
    );
}

/// The row of an image in a command's JSON.
#[track_caller]
fn row(ended: &Ended, image: &str) -> Value {
    let rows = ended.json();
    let rows = rows.as_array().cloned().unwrap_or_default();
    let found = rows.into_iter().find(|row| row["image_id"] == image);
    found.unwrap_or_else(|| panic!("no row of {image}{ended}"))
}

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

#[test]
fn prune_keeps_the_newest_of_each_set_and_everything_that_is_excluded() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let first = golden(&ec2);
    let role = |name: &str, role: &str, more: &[&str]| {
        let role = format!("Role={role}");
        another(&ec2, &first, name, &[&[role.as_str()], more].concat())
    };
    let web = [role("web-1", "web", &[]), role("web-2", "web", &[])];
    let tagged = role("web-3", "web", &["Keep=until it's Friday"]);
    let shared = role("web-4", "web", &[]);
    let public = role("web-5", "web", &[]);
    let template = role("web-6", "web", &[]);
    let running = role("web-7", "web", &[]);
    let protected = role("web-8", "web", &[]);
    let newest_web = role("web-9", "web", &[]);
    let db = [role("db-1", "db", &[]), role("db-2", "db", &[])];
    images(&ec2, &["share", &shared, "--with-account", OTHERS]).exits(0);
    images(&ec2, &["share", &public, "--public"]).exits(0);
    launch_template(&ec2, "web", &template);
    let instance = launch(&ec2, &running);
    aws(
        &ec2,
        HOME,
        &[
            "ec2",
            "enable-image-deregistration-protection",
            "--image-id",
            &protected,
        ],
    );
    let rule = [
        "prune",
        "--keep",
        "1",
        "--stage",
        "one",
        "--per",
        "Role",
        "--except-tag",
        "Keep=until it's Friday",
    ];
    let before = own_ids(&ec2, HOME);
    assert_eq!(before.len(), 12);
    let plan = images(&ec2, &[&rule[..], &["--json"]].concat()).exits(0);
    let fate = |ended: &Ended, image: &str| text(&row(ended, image), "fate");
    for image in [&web[0], &web[1], &db[0]] {
        assert_eq!(fate(&plan, image), "goes", "{image}{plan}");
    }
    for (image, why) in [
        (&tagged, "Keep=until it's Friday"),
        (&shared, "shared"),
        (&public, "public"),
        (&template, "launch template web"),
        (&running, instance.as_str()),
        (&protected, "protected"),
        (&newest_web, "newest of its set"),
        (&db[1], "newest of its set"),
        (&first, "newest of its set"),
    ] {
        let row = row(&plan, image);
        assert_eq!(row["fate"], "stays", "{why}{plan}");
        assert!(text(&row, "reason").contains(why), "{why}{plan}");
    }
    assert_eq!(own_ids(&ec2, HOME), before, "a plan removes nothing");
    // The command that the plan ends with does what was shown: it is given to a shell as it stands.
    let said = images(&ec2, &rule).exits(0);
    let again = said.stderr.rsplit("to do it: ").next().unwrap_or_default();
    ec2.shell(again)
        .exits(0)
        .says("3 images removed, 9 images stay");
    let gone = [&web[0], &web[1], &db[0]];
    let mut left: Vec<String> = before.clone();
    left.retain(|id| !gone.contains(&id));
    assert_eq!(own_ids(&ec2, HOME), left);
    // Their snapshots are gone with them: each image has one.
    assert_eq!(own_snapshots(&ec2, HOME).len(), left.len());
    // What is shared or public goes when that is said.
    let more = [&rule[..], &["--shared", "--public", "--yes", "--json"]].concat();
    let ended = images(&ec2, &more).exits(0);
    assert_eq!(fate(&ended, &shared), "removed", "{ended}");
    assert_eq!(fate(&ended, &public), "removed", "{ended}");
    assert_eq!(fate(&ended, &template), "stays", "{ended}");
    let nothing = images(&ec2, &[&rule[..], &["--yes"]].concat()).exits(0);
    assert!(nothing.stderr.contains("0 images removed"), "{nothing}");
}

/// Asks again until what is asked for has come: ages grow by themselves.
#[track_caller]
fn until(ec2: &LocalEc2, args: &[&str], fits: impl Fn(&Ended) -> bool) -> Ended {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let ended = images(ec2, args).exits(0);
        if fits(&ended) {
            return ended;
        }
        assert!(Instant::now() < deadline, "it never came{ended}");
    }
}

#[test]
fn prune_by_age_and_by_the_last_launch() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let image = golden(&ec2);
    let never = another(&ec2, &image, "never-launched", &[]);
    let fate = |ended: &Ended, image: &str| text(&row(ended, image), "fate");
    let plan = images(&ec2, &["prune", "--older-than", "30d", "--json"]).exits(0);
    assert_eq!(fate(&plan, &image), "stays", "{plan}");
    assert!(
        text(&row(&plan, &image), "reason").contains("younger than 30d"),
        "{plan}"
    );
    let plan = images(&ec2, &["prune", "--not-launched-for", "30d", "--json"]).exits(0);
    assert!(
        text(&row(&plan, &never), "reason").contains("created within"),
        "{plan}"
    );
    // Both are old enough after two seconds, and then one is launched.
    let old = ["prune", "--not-launched-for", "2s", "--json"];
    until(&ec2, &old, |ended| {
        fate(ended, &image) == "goes" && fate(ended, &never) == "goes"
    });
    let instance = launch(&ec2, &image);
    terminate(&ec2, &instance);
    let recently = images(
        &ec2,
        &[
            "prune",
            "--not-launched-for",
            "10m",
            "--older-than",
            "2s",
            "--json",
        ],
    )
    .exits(0);
    assert!(
        text(&row(&recently, &image), "reason").contains("launched within 10m"),
        "{recently}"
    );
    // All conditions must hold.
    let both = ["prune", "--older-than", "2s", "--keep", "2", "--json"];
    let kept = images(&ec2, &both).exits(0);
    assert_eq!(fate(&kept, &image), "stays", "{kept}");
    until(&ec2, &old, |ended| fate(ended, &image) == "goes");
    let removed = images(&ec2, &["prune", "--not-launched-for", "2s", "--yes"]).exits(0);
    assert!(removed.stderr.contains("2 images removed"), "{removed}");
    assert_eq!(own(&ec2, HOME), Vec::<Value>::new());
    assert_eq!(own_snapshots(&ec2, HOME), Vec::<Value>::new());
}

#[test]
fn prune_looks_at_every_region_before_it_removes_anything() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let image = golden(&ec2);
    images(&ec2, &["copy", &image, "--to", WEST]).exits(0);
    ec2.faults(json!({ "actions": [
        { "action": "DescribeImages", "region": WEST, "code": "UnauthorizedOperation", "message": "no", "status": 403 }
    ] }));
    let rule = [
        "prune", "--keep", "0", "--region", HOME, "--region", WEST, "--yes",
    ];
    images(&ec2, &rule).exits(1).says("DescribeImages");
    ec2.no_faults();
    assert_eq!(own(&ec2, HOME).len(), 1, "nothing is removed");
    images(&ec2, &rule).exits(0).says("2 images removed");
    for region in [HOME, WEST] {
        assert_eq!(own(&ec2, region), Vec::<Value>::new());
        assert_eq!(own_snapshots(&ec2, region), Vec::<Value>::new());
    }
}

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

/// Builds `golden` with a copy and returns the path of its manifest.
#[track_caller]
fn with_manifest(ec2: &LocalEc2) -> std::path::PathBuf {
    let stage = OneStage {
        image: "{ name: golden, tags: { Purpose: base }, copy_to: [us-west-2, eu-west-1] }",
        top: "outputs: [{ write: manifest.json, format: manifest }]",
        ..OneStage::default()
    };
    ec2.run(&ec2.pipeline(stage.text())).exits(0);
    ec2.path("work/manifest.json")
}

#[test]
fn a_manifest_is_compared_with_the_account() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let path = with_manifest(&ec2);
    let verify = ["verify", "manifest.json", "--json"];
    let status = |ended: &Ended, image: &str| text(&row(ended, image), "status");
    let image_in = |region: &str| text(&own(&ec2, region)[0], "ImageId");
    let (home, west, europe) = (image_in(HOME), image_in(WEST), image_in(EUROPE));
    let good = images(&ec2, &verify)
        .exits(0)
        .says("3 correct, 0 incorrect");
    for image in [&home, &west, &europe] {
        assert_eq!(status(&good, image), "correct", "{good}");
    }
    // A tag is changed, a copy is gone, one is there that the manifest lacks.
    aws(
        &ec2,
        HOME,
        &[
            "ec2",
            "create-tags",
            "--resources",
            &home,
            "--tags",
            "Key=Purpose,Value=other",
        ],
    );
    aws(
        &ec2,
        WEST,
        &["ec2", "deregister-image", "--image-id", &west],
    );
    let extra = another(&ec2, &home, "golden-2", &[]);
    let bad = images(&ec2, &verify).exits(1);
    assert_eq!(status(&bad, &home), "incorrect", "{bad}");
    assert_eq!(
        row(&bad, &home)["differences"],
        json!([{ "what": "tag Purpose", "wanted": "base", "found": "other" }]),
        "{bad}"
    );
    assert_eq!(status(&bad, &west), "missing", "{bad}");
    assert_eq!(status(&bad, &extra), "unexpected", "{bad}");
    assert_eq!(status(&bad, &europe), "correct", "{bad}");
    // A region that cannot be asked.
    ec2.faults(json!({ "actions": [
        { "action": "DescribeImages", "region": EUROPE, "code": "UnauthorizedOperation", "message": "no", "status": 403 }
    ] }));
    let unreachable = images(&ec2, &["verify", "manifest.json"])
        .exits(1)
        .says("0 correct, 1 incorrect, 1 missing, 1 unexpected, 1 unreachable.");
    assert!(
        unreachable.stdout.contains("UnauthorizedOperation"),
        "{unreachable}"
    );
    ec2.no_faults();
    // The manifest itself was tampered with.
    let read = std::fs::read_to_string(&path).expect("the manifest");
    let tampered = |from: &str, to: &str| {
        let changed = read.replace(from, to);
        assert_ne!(changed, read, "{from}");
        ec2.write("work/tampered.json", changed);
        images(&ec2, &["verify", "tampered.json", "--json"])
    };
    let gone = "ami-0123456789abcdef0";
    let ended = tampered(&europe, gone).exits(1);
    assert_eq!(status(&ended, gone), "missing", "{ended}");
    // The copy is of the run, and stands nowhere any more.
    assert_eq!(status(&ended, &europe), "unexpected", "{ended}");
    let manifest: Value = serde_json::from_str(&read).expect("JSON");
    let account = text(&manifest, "account");
    tampered(&format!("\"{account}\""), "\"999999999999\"")
        .exits(2)
        .says("999999999999");
    tampered("\"format\": 1", "\"format\": 7")
        .exits(2)
        .says("format 7");
    ec2.write("work/tampered.json", &read[..read.len() / 2]);
    images(&ec2, &["verify", "tampered.json"])
        .exits(2)
        .says("no manifest of qib")
        .says("format: manifest");
    images(&ec2, &["verify", "nowhere.json"])
        .exits(2)
        .says("nowhere.json");
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
