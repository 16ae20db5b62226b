//! `pipelines/okd.yaml`: two images that share their steps, and a configuration file in which only two values change.

use end_to_end::shipped::{self, Shipped, described, ids, tag};
use end_to_end::{Config, LocalEc2};
use std::fs;

const REGION: &str = "eu-central-1";

/// Somebody's configuration: anchors, comments, quotes and indentation of every kind.
const CONFIGURATION: &str = "\
%YAML 1.2\n---\n\
# ours\t\n\
'bastion' :   # the way in\r\n\
\x20     machine_image: &shared { user: centos,   \"id\": !!str \"ami-0old\" , zone: a }   # flow\n\
cluster: !local\n\
\x20machine_image:\n\
\x20        # not id: ami-1\n\
\x20        id: &cluster   ami-0older   # trailing\n\
\x20        also: *shared\n\
\n\n\
list:\n- id: ami-0other\n-   - deep\n...\n";

fn okd(ec2: &LocalEc2) -> Shipped<'_> {
    Shipped { ec2, name: "okd" }
}

#[test]
fn two_images_and_only_their_ids_in_the_configuration() {
    let ec2 = shipped::with_pipelines(Config::GUARDED);
    ec2.write("work/okd-configuration.yaml", CONFIGURATION);
    let rows = okd(&ec2).is_valid_and_plans(2, &[]);
    let sources: Vec<_> = rows.iter().map(|row| &row["source_image"]).collect();
    assert_eq!(sources[0], sources[1], "{rows:?}");
    let read = || fs::read_to_string(ec2.path("work/okd-configuration.yaml")).expect("it is there");
    assert_eq!(read(), CONFIGURATION, "a plan writes nothing");
    let built = okd(&ec2).builds_once(2, &[]);
    let ids_built = ids(&built);
    let (bastion, cluster) = (
        &ids_built["bastion/eu-central-1"],
        &ids_built["okd/eu-central-1"],
    );
    let expected = CONFIGURATION
        .replace("ami-0older", cluster)
        .replace("ami-0old", bastion);
    assert_eq!(read(), expected, "{built}");
    for (id, stage) in [(bastion, "bastion"), (cluster, "okd")] {
        let image = described(&ec2, REGION, id);
        assert_eq!(image["Name"], format!("{stage}-machine-image-311-01"));
        let name = format!("okd {stage} 3.11");
        assert_eq!(tag(&image, "Name"), Some(name.as_str()), "{image:#}");
    }

    // The name is fixed: a changed recipe takes it over from the image of before, which goes.
    ec2.write("work/pipelines/files/okd/bastion.sh", "#!/bin/sh\nexit 0\n");
    let changed = okd(&ec2).run(&[]).exits(0);
    let ids_changed = ids(&changed);
    assert_ne!(&ids_changed["bastion/eu-central-1"], bastion, "{changed}");
    assert_eq!(&ids_changed["okd/eu-central-1"], cluster, "{changed}");
    let held = ec2.holdings_in(REGION);
    held.assert_counts(&[("images", 2), ("snapshots", 2)], &changed);
    let expected = CONFIGURATION
        .replace("ami-0older", cluster)
        .replace("ami-0old", &ids_changed["bastion/eu-central-1"]);
    assert_eq!(read(), expected, "{changed}");
}

#[test]
fn without_a_configuration_the_example_is_the_beginning() {
    let ec2 = shipped::with_pipelines(Config::GUARDED);
    let built = okd(&ec2).builds_once(2, &[]);
    let ids = ids(&built);
    let example = fs::read_to_string(ec2.path("work/pipelines/files/okd/configuration.yaml"));
    let expected = example
        .expect("the example")
        .replacen("ami-00000000", &ids["bastion/eu-central-1"], 1)
        .replacen("ami-00000000", &ids["okd/eu-central-1"], 1);
    let written = fs::read_to_string(ec2.path("work/okd-configuration.yaml"));
    assert_eq!(written.expect("it is written"), expected, "{built}");
}
