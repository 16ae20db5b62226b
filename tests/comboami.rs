//! `pipelines/comboami.yaml`: 32 images in eight regions.

use end_to_end::shipped::{self, Shipped, aws, described, ids, tag};
use end_to_end::{Config, LocalEc2};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fs;

const REGIONS: [&str; 8] = [
    "ap-northeast-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "eu-west-1",
    "sa-east-1",
    "us-east-1",
    "us-west-1",
    "us-west-2",
];

/// The cells of a region: what their names end in, with what an entry of the list says of them.
const MACHINES: [(&str, &str, &str); 4] = [
    ("1204-pv", "1204", "pv"),
    ("1204-hvm", "1204", "hvm"),
    ("1404-pv", "1404", "pv"),
    ("1404-hvm", "1404", "hvm"),
];

fn comboami(ec2: &LocalEc2) -> Shipped<'_> {
    Shipped {
        ec2,
        name: "comboami",
    }
}

/// `ami_ids.json` as the published one is written: regions in order, four spaces, keys in order.
fn ami_ids(ids: &BTreeMap<String, String>, regions: &[&str]) -> String {
    let mut grouped = Map::new();
    for region in regions {
        let entry = |(cell, os, virt): &(&str, &str, &str)| {
            json!({
                "Distributor ID": "Ubuntu",
                "Release": os,
                "id": ids[&format!("image/{region}-{cell}")],
                "virtualization type": virt,
            })
        };
        let entries = MACHINES.iter().map(entry).collect();
        grouped.insert((*region).to_owned(), Value::Array(entries));
    }
    let text = serde_json::to_string_pretty(&grouped).expect("it is plain data");
    let wider = text.lines().map(|line| {
        let indent = line.len() - line.trim_start().len();
        format!("{}{line}\n", " ".repeat(indent))
    });
    wider.collect()
}

#[track_caller]
fn written(ec2: &LocalEc2) -> String {
    fs::read_to_string(ec2.path("work/ami_ids.json")).expect("the list is written")
}

#[test]
fn thirty_two_images_and_one_list_of_them() {
    let ec2 = shipped::with_pipelines(Config::GUARDED);
    let pipeline = comboami(&ec2);
    pipeline.is_valid_and_plans(32, &[]);
    let plan = pipeline.qib(&["plan", "--local"], &[]).exits(0);
    assert!(plan.stdout.contains("32 images are to be built."), "{plan}");
    let built = pipeline.builds_once(32, &["--jobs", "8"]);
    let ids = ids(&built);
    assert_eq!(written(&ec2), ami_ids(&ids, &REGIONS), "{built}");
    for region in REGIONS {
        let held = ec2.holdings_in(region);
        held.assert_counts(&[("images", 4), ("snapshots", 4)], &built);
        for (cell, os, virt) in MACHINES {
            let id = &ids[&format!("image/{region}-{cell}")];
            let image = described(&ec2, region, id);
            let name = format!("DataStax Auto-Clustering AMI 2.6.3-{os}-{virt}");
            assert_eq!(image["Name"], json!(name), "{image:#}");
            let virtualization = if virt == "pv" { "paravirtual" } else { "hvm" };
            assert_eq!(image["VirtualizationType"], virtualization, "{image:#}");
            assert_eq!(image["Public"], true, "{image:#}");
            let snapshot = &image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"];
            let snapshot = snapshot.as_str().expect("it has a snapshot");
            let args = ["ec2", "describe-snapshots", "--snapshot-ids", snapshot];
            let snapshot = aws(&ec2, region, &args)["Snapshots"][0].clone();
            for tagged in [&image, &snapshot] {
                assert_eq!(tag(tagged, "Version"), Some("2.6.3"), "{tagged:#}");
                assert_eq!(tag(tagged, "Release"), Some(os), "{tagged:#}");
                assert_eq!(
                    tag(tagged, "Virtualization"),
                    Some(virtualization),
                    "{tagged:#}"
                );
                let cell = format!("{region}-{cell}");
                assert_eq!(tag(tagged, "qib:cell"), Some(cell.as_str()), "{tagged:#}");
            }
        }
    }
}

#[test]
fn one_region_is_built_without_the_others() {
    let ec2 = shipped::with_pipelines(Config::GUARDED);
    let built = comboami(&ec2).builds_once(4, &["--only", "us-east-1-*"]);
    assert_eq!(written(&ec2), ami_ids(&ids(&built), &["us-east-1"]));
    for region in REGIONS {
        let held = ec2.holdings_in(region);
        match region {
            "us-east-1" => held.assert_counts(&[("images", 4), ("snapshots", 4)], &built),
            _ => held.assert_none(&built),
        }
    }
}

#[test]
fn one_images_failure_leaves_thirty_one_and_a_re_run_builds_just_the_one() {
    let ec2 = shipped::with_pipelines(Config::GUARDED);
    ec2.faults(json!({ "actions": [
        { "action": "CreateImage", "region": "sa-east-1", "code": "InvalidParameterValue", "times": 1 },
    ] }));
    let failed = comboami(&ec2).run(&["--jobs", "8"]).exits(1);
    let finished = failed.finished();
    assert_eq!(finished["left_behind"], json!([]), "{failed}");
    assert_eq!(shipped::cached(&failed), [false; 31], "{failed}");
    let failures = finished["failures"].as_array().cloned().unwrap_or_default();
    assert_eq!(failures.len(), 1, "{failed}");
    let cell = format!("image/{}", failures[0]["cell"].as_str().unwrap_or_default());
    assert!(cell.starts_with("image/sa-east-1-"), "{failed}");
    let held = ec2.holdings_in("sa-east-1");
    held.assert_counts(&[("images", 3), ("snapshots", 3)], &failed);

    let again = comboami(&ec2).run(&["--jobs", "8"]).exits(0);
    let built: Vec<String> = shipped::images(&again)
        .iter()
        .filter(|image| image["cached"] == false)
        .map(|image| format!("image/{}", image["cell"].as_str().unwrap_or_default()))
        .collect();
    assert_eq!(built, std::slice::from_ref(&cell), "{again}");
    let (before, mut after) = (ids(&failed), ids(&again));
    assert_eq!(after.len(), 32, "{again}");
    assert_eq!(written(&ec2), ami_ids(&after, &REGIONS), "{again}");
    after.remove(&cell);
    assert_eq!(after, before, "{again}");
}
