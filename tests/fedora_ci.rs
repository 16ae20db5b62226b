//! `pipelines/fedora-ci.yaml`: a base and a cache on top of it, for two architectures.

use end_to_end::shipped::{self, Shipped, described, ids, tag};
use end_to_end::{Config, LocalEc2};
use serde_json::{Value, json};
use std::fs;

const REGION: &str = "us-east-1";

fn fedora(ec2: &LocalEc2) -> Shipped<'_> {
    Shipped {
        ec2,
        name: "fedora-ci",
    }
}

#[test]
fn each_architectures_cache_is_on_its_own_base() {
    let ec2 = shipped::with_pipelines(Config::GUARDED);
    let planned = fedora(&ec2).is_valid_and_plans(4, &[]);
    let built = fedora(&ec2).builds_once(4, &[]);
    let ids = ids(&built);
    for arch in ["x86_64", "arm64"] {
        let base = &ids[&format!("base/{arch}")];
        let cache = &ids[&format!("cache/{arch}")];
        let source = planned
            .iter()
            .find(|row| row["stage"] == "base" && row["cell"] == *arch)
            .map(|row| &row["source_image"]);
        for (stage, id, source) in [
            ("base", base, source.and_then(Value::as_str)),
            ("cache", cache, Some(base.as_str())),
        ] {
            let image = described(&ec2, REGION, id);
            assert_eq!(image["Architecture"], arch, "{image:#}");
            assert_eq!(tag(&image, "src"), source, "{image:#}");
            assert_eq!(tag(&image, "stage"), Some(stage), "{image:#}");
            assert_eq!(tag(&image, "automation"), Some("true"), "{image:#}");
            assert_eq!(tag(&image, "release"), Some("fedora-42"), "{image:#}");
            assert!(image["DeprecationTime"].is_string(), "{image:#}");
            let size = if stage == "base" { 20 } else { 200 };
            let ebs = &image["BlockDeviceMappings"][0]["Ebs"];
            assert_eq!(ebs["VolumeSize"], size, "{image:#}");
        }
    }
    ec2.holdings_in(REGION)
        .assert_counts(&[("images", 4), ("snapshots", 4)], &built);
    let manifest = fs::read_to_string(ec2.path("work/manifest.json")).expect("it is written");
    let manifest: Value = serde_json::from_str(&manifest).expect("it is JSON");
    let builds = manifest["builds"].as_array().expect("it lists builds");
    assert_eq!(builds.len(), 4, "{manifest:#}");
    for build in builds {
        assert_eq!(build["custom_data"], json!({ "RELEASE": "42" }));
    }
    let verified = ec2.qib(["images", "verify", "--local", "manifest.json"]);
    verified.exits(0);
}

#[test]
fn a_cache_that_fails_its_test_takes_no_place() {
    let ec2 = shipped::with_pipelines(Config::GUARDED);
    let folders = ec2.path("work/pipelines/scripts/fedora-ci/folders.sh");
    fs::write(folders, "#!/bin/sh\nexit 0\n").expect("the copy is ours");
    let failed = fedora(&ec2).run(&[]).exits(1);
    let failures = &failed.finished()["failures"];
    let steps: Vec<&Value> = failures
        .as_array()
        .into_iter()
        .flatten()
        .map(|failure| &failure["step"])
        .collect();
    assert_eq!(steps, ["test", "test"], "{failed}");
    let failed = failed.says("folders are there");
    ec2.holdings_in(REGION)
        .assert_counts(&[("images", 2), ("snapshots", 2)], &failed);
}
