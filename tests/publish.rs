//! What becomes of an image, as the AWS CLI sees it in every region: tags, permissions, copies, parameters; tested before
//! anybody else may use it, and in the place of the image that had its name.

use end_to_end::{Config, Ended, LocalEc2, OneStage};
use serde_json::{Value, json};

const HOME: &str = "us-east-2";
const REGIONS: [&str; 3] = ["us-east-2", "us-west-2", "eu-west-1"];
const OTHERS: &str = "111122223333";

/// The AWS CLI in a region, to its end. Its output is JSON.
#[track_caller]
fn aws(ec2: &LocalEc2, region: &str, args: &[&str]) -> Value {
    let all = [&["--region", region][..], args].concat();
    ec2.aws(&all).exits(0).json()
}

/// The account's own images of that name in a region.
#[track_caller]
fn named(ec2: &LocalEc2, region: &str, name: &str) -> Vec<Value> {
    let filter = format!("Name=name,Values={name}");
    let args = [
        "ec2",
        "describe-images",
        "--owners",
        "self",
        "--filters",
        &filter,
        "--query",
        "Images[]",
    ];
    let images = aws(ec2, region, &args);
    images.as_array().cloned().unwrap_or_default()
}

/// The only image of that name in a region.
#[track_caller]
fn only(ec2: &LocalEc2, region: &str, name: &str) -> Value {
    let images = named(ec2, region, name);
    assert_eq!(images.len(), 1, "{region}: {images:?}");
    images[0].clone()
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

fn tag(tagged: &Value, key: &str) -> Option<String> {
    let tags = tagged["Tags"].as_array()?;
    let tag = tags.iter().find(|tag| tag["Key"] == key)?;
    tag["Value"].as_str().map(str::to_owned)
}

#[track_caller]
fn snapshots(image: &Value) -> Vec<String> {
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
fn parameter(ec2: &LocalEc2, region: &str, name: &str) -> Value {
    let args = [
        "ssm",
        "get-parameters",
        "--names",
        name,
        "--query",
        "Parameters",
    ];
    let found = aws(ec2, region, &args);
    found
        .as_array()
        .and_then(|all| all.first().cloned())
        .unwrap_or(Value::Null)
}

const GUEST: &str = r#"[{ run: { name: install, inline: "echo built > marker" } }]"#;

const TEST: &str = "    test:
      provision:
        - run: { name: check, inline: \"grep -q built marker\" }
      timeout: 5m";

const ALL: &str = "{ name: golden, tags: { Purpose: base }, copy_to: [us-west-2, eu-west-1], imds: v2, \
    share: { accounts: ['111122223333'] }, deprecate_after: 30d, protect: true, \
    parameters: [{ name: /images/golden }, { name: /images/at-home, regions: build }] }";

#[test]
fn everything_that_was_asked_for_is_on_every_resource_of_every_region() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let stage = OneStage {
        provision: GUEST,
        image: ALL,
        more: TEST,
        ..OneStage::default()
    };
    let file = ec2.pipeline(stage.text());
    let built = ec2.run(&file).exits(0);
    let run = built.run_id();
    let home = text(&only(&ec2, HOME, "golden"), "ImageId");
    for region in REGIONS {
        let image = only(&ec2, region, "golden");
        let id = text(&image, "ImageId");
        for (key, value) in [
            ("Purpose", "base"),
            ("qib:run", run.as_str()),
            ("qib:stage", "one"),
            ("qib:complete", "true"),
        ] {
            assert_eq!(
                tag(&image, key).as_deref(),
                Some(value),
                "{region} {key}{built}"
            );
        }
        assert!(tag(&image, "qib:tested").is_some(), "{region}: {image}");
        let copy_of = (region != HOME).then(|| home.clone());
        assert_eq!(tag(&image, "qib:copy-of"), copy_of, "{region}");
        assert_eq!(image["ImdsSupport"], "v2.0", "{region}: {image}");
        assert!(image["DeprecationTime"].is_string(), "{region}: {image}");
        assert!(
            text(&image, "DeregistrationProtection").starts_with("enabled"),
            "{region}: {image}"
        );
        let launch = aws(
            &ec2,
            region,
            &[
                "ec2",
                "describe-image-attribute",
                "--image-id",
                &id,
                "--attribute",
                "launchPermission",
                "--query",
                "LaunchPermissions",
            ],
        );
        assert_eq!(launch, json!([{ "UserId": OTHERS }]), "{region}");
        for snapshot in snapshots(&image) {
            let described = aws(
                &ec2,
                region,
                &[
                    "ec2",
                    "describe-snapshots",
                    "--snapshot-ids",
                    &snapshot,
                    "--query",
                    "Snapshots[0]",
                ],
            );
            for (key, value) in [("Purpose", "base"), ("qib:run", run.as_str())] {
                assert_eq!(
                    tag(&described, key).as_deref(),
                    Some(value),
                    "{region} {key}"
                );
            }
            let create = aws(
                &ec2,
                region,
                &[
                    "ec2",
                    "describe-snapshot-attribute",
                    "--snapshot-id",
                    &snapshot,
                    "--attribute",
                    "createVolumePermission",
                    "--query",
                    "CreateVolumePermissions",
                ],
            );
            assert_eq!(create, json!([{ "UserId": OTHERS }]), "{region}");
        }
        let held = parameter(&ec2, region, "/images/golden");
        assert_eq!(held["Value"], id.as_str(), "{region}");
        assert_eq!(held["DataType"], "aws:ec2:image", "{region}");
    }
    assert_eq!(
        parameter(&ec2, HOME, "/images/at-home")["Value"],
        home.as_str()
    );
    assert_eq!(parameter(&ec2, "us-west-2", "/images/at-home"), Value::Null);
    the_report_names_the_copies(&ec2, &built);
    // Nothing else is left, in any region, and a second run changes nothing.
    for region in REGIONS {
        let query = "Reservations[].Instances[?State.Name!='terminated'][].InstanceId";
        let running = aws(
            &ec2,
            region,
            &["ec2", "describe-instances", "--query", query],
        );
        assert_eq!(running, json!([]), "{region}{built}");
    }
    let again = ec2.run(&file).exits(0);
    assert_eq!(again.image("one")["cached"], true, "{again}");
    assert!(again.events_of("provisioner-started").is_empty(), "{again}");
    for region in REGIONS {
        only(&ec2, region, "golden");
    }
}

#[track_caller]
fn the_report_names_the_copies(ec2: &LocalEc2, built: &Ended) {
    let image = built.image("one");
    let copies = image["copies"].as_array().cloned().unwrap_or_default();
    assert_eq!(copies.len(), 2, "{built}");
    for copy in copies {
        let region = text(&copy, "region");
        let there = text(&only(ec2, &region, "golden"), "ImageId");
        assert_eq!(copy["image_id"], there.as_str(), "{built}");
        assert_eq!(copy["error"], Value::Null, "{built}");
    }
}

#[test]
fn an_image_that_fails_its_test_is_gone_and_was_never_shared() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let stage = OneStage {
        image: ALL,
        // Nothing has written the marker.
        more: TEST,
        ..OneStage::default()
    };
    let ended = ec2.run(&ec2.pipeline(stage.text())).failed_in("test");
    assert!(ended.stderr.contains("failed its test"), "{ended}");
    for region in REGIONS {
        assert_eq!(
            named(&ec2, region, "golden"),
            Vec::<Value>::new(),
            "{ended}"
        );
        assert_eq!(
            parameter(&ec2, region, "/images/golden"),
            Value::Null,
            "{ended}"
        );
    }
    ec2.holdings().assert_counts(&[], &ended);
}

#[test]
fn the_test_takes_the_elastic_ip_that_the_build_gave_back() {
    let ec2 = LocalEc2::new(Config::USUAL);
    let stage = OneStage {
        launch: end_to_end::one_stage::WITH_PROFILE,
        connect: end_to_end::one_stage::THROUGH_ELASTIC_IP,
        provision: GUEST,
        image: "{ name: golden }",
        more: TEST,
        ..OneStage::default()
    };
    let built = ec2.run(&ec2.pipeline(stage.text())).exits(0);
    let bindings = built
        .events_of("step-finished")
        .iter()
        .filter(|event| event["step"] == "bind-address")
        .count();
    assert_eq!(bindings, 2, "once for the build, once for the test{built}");
}

#[test]
fn an_image_takes_the_name_of_the_one_before_it_in_every_region() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let image = "{ name: golden, on_conflict: replace, copy_to: [us-west-2], protect: true, \
        parameters: [{ name: /images/golden }] }";
    let stage = |provision| OneStage {
        provision,
        image,
        ..OneStage::default()
    };
    let first = ec2.run(&ec2.pipeline(stage(GUEST).text())).exits(0);
    let regions = [HOME, "us-west-2"];
    let before = regions.map(|region| only(&ec2, region, "golden"));
    let other = r#"[{ run: { name: install, inline: "echo rebuilt > marker" } }]"#;
    let file = ec2.pipeline(stage(other).text());
    let second = ec2.run(&file).exits(0);
    for (region, before) in regions.into_iter().zip(&before) {
        let after = only(&ec2, region, "golden");
        assert_ne!(
            after["ImageId"], before["ImageId"],
            "{region}{first}{second}"
        );
        assert_eq!(
            tag(&after, "qib:replaces").as_deref(),
            before["ImageId"].as_str(),
            "{region}"
        );
        assert_eq!(
            parameter(&ec2, region, "/images/golden")["Value"],
            after["ImageId"],
            "{region}"
        );
        // One image, and its own snapshots: neither the old one's nor those of transit.
        let all = aws(
            &ec2,
            region,
            &[
                "ec2",
                "describe-images",
                "--owners",
                "self",
                "--query",
                "Images[].Name",
            ],
        );
        assert_eq!(all, json!(["golden"]), "{region}{second}");
        let there = aws(
            &ec2,
            region,
            &[
                "ec2",
                "describe-snapshots",
                "--owner-ids",
                "self",
                "--query",
                "Snapshots[].SnapshotId",
            ],
        );
        assert_eq!(there, json!(snapshots(&after)), "{region}{second}");
    }
    let third = ec2.run(&file).exits(0);
    assert_eq!(third.image("one")["cached"], true, "{third}");
}

#[test]
fn a_name_that_is_taken_elsewhere_is_told_before_anything_is_launched() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let image = "{ name: golden, copy_to: [us-west-2] }";
    let stage = OneStage {
        image,
        ..OneStage::default()
    };
    ec2.run(&ec2.pipeline(stage.text())).exits(0);
    let other = OneStage {
        name: "another",
        provision: GUEST,
        ..stage
    };
    let ended = ec2.run(&ec2.pipeline(other.text())).failed_in("resolve");
    assert!(
        ended.stderr.contains("in us-east-2 by ami-")
            && ended.stderr.contains("in us-west-2 by ami-"),
        "{ended}"
    );
    assert!(
        ended
            .events_of("step-started")
            .iter()
            .all(|e| e["step"] != "launch")
    );
    let skipping = OneStage {
        image: "{ name: golden, on_conflict: skip }",
        ..other
    };
    let ended = ec2.run(&ec2.pipeline(skipping.text())).exits(0);
    assert_eq!(
        ended.image("one")["image_id"],
        only(&ec2, HOME, "golden")["ImageId"]
    );
    let replacing = OneStage {
        image: "{ name: golden, on_conflict: replace }",
        ..other
    };
    ec2.run(&ec2.pipeline(replacing.text()))
        .failed_in("resolve")
        .says("this stage did not make it");
}

#[test]
fn a_parameter_of_somebody_elses_is_not_overwritten() {
    let ec2 = LocalEc2::new(Config::QUICK);
    ec2.qib(["local", "up"]).exits(0);
    let put = [
        "ssm",
        "put-parameter",
        "--name",
        "/images/golden",
        "--type",
        "String",
        "--value",
    ];
    aws(&ec2, HOME, &[&put[..], &["precious"]].concat());
    let image = "{ name: golden, parameters: [{ name: /images/golden }] }";
    let stage = OneStage {
        image,
        ..OneStage::default()
    };
    let ended = ec2.run(&ec2.pipeline(stage.text())).failed_in("resolve");
    let ended = ended.says("overwrite: true").never_says("precious");
    assert_eq!(named(&ec2, HOME, "golden"), Vec::<Value>::new(), "{ended}");
    assert_eq!(parameter(&ec2, HOME, "/images/golden")["Value"], "precious");
}

#[test]
fn properties_that_create_image_cannot_give_are_on_the_image() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let stage = OneStage {
        image: "{ name: golden, boot_mode: uefi, tpm: v2.0, imds: v2, tags: { Purpose: base } }",
        ..OneStage::default()
    };
    let built = ec2.run(&ec2.pipeline(stage.text())).exits(0);
    let image = only(&ec2, HOME, "golden");
    assert_eq!(image["BootMode"], "uefi", "{image}");
    assert_eq!(image["TpmSupport"], "v2.0", "{image}");
    assert_eq!(image["ImdsSupport"], "v2.0", "{image}");
    assert_eq!(image["EnaSupport"], true, "{image}");
    assert_eq!(tag(&image, "Purpose").as_deref(), Some("base"));
    let snapshot = &snapshots(&image)[0];
    let args = [
        "ec2",
        "describe-snapshots",
        "--snapshot-ids",
        snapshot,
        "--query",
        "Snapshots[0]",
    ];
    let snapshot = aws(&ec2, HOME, &args);
    assert_eq!(
        tag(&snapshot, "Purpose").as_deref(),
        Some("base"),
        "{snapshot}"
    );
    ec2.holdings()
        .assert_counts(&[("images", 1), ("snapshots", 1)], &built);
}

#[test]
fn what_cannot_be_done_is_told_before_anything_is_created() {
    let ec2 = LocalEc2::new(Config::QUICK);
    for (image, says) in [
        ("{ name: golden, kind: s3_bundle }", "S3-backed images"),
        (
            "{ name: golden, encrypted: true, share: { accounts: ['111122223333'] } }",
            "default key for EBS",
        ),
        (
            "{ name: golden, copy_to: [us-east-2] }",
            "is where the image is built",
        ),
        (
            "{ name: golden, parameters: [{ name: golden }] }",
            "a path such as",
        ),
    ] {
        let stage = OneStage {
            image,
            ..OneStage::default()
        };
        ec2.run(&ec2.pipeline(stage.text())).exits(2).says(says);
    }
}
