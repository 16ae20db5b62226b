//! Where a stage starts, from the pipeline's text to the calls; and stages that only copy their source.

mod fake;

use build::names::tag;
use build::report::ExitCode;
use cloud::{Clock, Image, ImageState, Tags, Timestamp};
use fake::account::{Fault, Written};
use fake::pipelines::{Site, image};

fn from(source: &str) -> String {
    format!(
        "name: p\naws: {{ region: us-east-2 }}\nstages:\n  base:\n    source: {source}\n    \
         launch: {{ instance_type: m5.large }}\n    connect: {{ user: ec2-user }}\n    \
         image: {{ name: 'image-${{{{ run.id }}}}' }}\n"
    )
}

/// What the stage is launched from.
fn started_from(site: &Site, source: &str) -> String {
    let report = site.run(1, &from(source));
    assert_eq!(report.exit, ExitCode::Done, "{:?}", report.failures);
    site.account.store().launches[0].image_id.to_string()
}

fn add(site: &Site, image: Image) {
    site.account
        .store()
        .images
        .insert(image.image_id.to_string(), image);
}

/// A moment before or after the present.
fn at(site: &Site, days: i64) -> Option<Timestamp> {
    let now = site.clock.now().as_second();
    Some(Timestamp::from_second(now + days * 86_400).unwrap())
}

fn parameter(site: &Site, name: &str, value: &str) {
    let written = Written {
        kind: cloud::ParameterKind::Text,
        value: value.into(),
        version: 1,
        at: None,
    };
    site.account.store().parameters.insert(name.into(), written);
}

#[test]
fn a_filter_is_sent_in_ec2s_words() {
    let site = Site::new();
    let told = site.refusal(&from(
        "{ filter: { owners: [self, '111122223333', amazon], name: 'base-*', description: 'A ?', product_code: abc, \
         arch: arm64, tags: { Layer: base }, include_deprecated: true }, pick: newest }",
    ));
    assert!(
        told.contains(
            "owner self or 111122223333 or amazon, name `base-*`, description `A ?`, product code `abc`, arm64, tag Layer=base"
        ),
        "{told}"
    );
    let store = site.account.store();
    let [asked] = store.searches.as_slice() else {
        panic!("{:?}", store.searches);
    };
    assert_eq!(asked.owners, ["self", "111122223333", "amazon"]);
    assert!(asked.include_deprecated && asked.image_ids.is_empty());
    let mut filters: Vec<(&str, &str)> = asked
        .filters
        .iter()
        .map(|(name, values)| (name.as_str(), values[0].as_str()))
        .collect();
    filters.sort_unstable();
    assert_eq!(
        filters,
        [
            ("architecture", "arm64"),
            ("description", "A ?"),
            ("name", "base-*"),
            ("product-code", "abc"),
            ("root-device-type", "ebs"),
            ("state", "available"),
            ("tag:Layer", "base"),
            ("virtualization-type", "hvm"),
        ]
    );
}

#[test]
fn only_what_is_said_is_asked_for() {
    let site = Site::new();
    add(
        &site,
        Image {
            tags: Tags::new().with("Layer", "base"),
            ..image("ami-2")
        },
    );
    assert_eq!(
        started_from(
            &site,
            "{ filter: { owners: [self], tags: { Layer: base } } }"
        ),
        "ami-2"
    );
    let store = site.account.store();
    let asked = &store.searches[0];
    let names: Vec<&str> = asked
        .filters
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "architecture",
            "virtualization-type",
            "root-device-type",
            "state",
            "tag:Layer"
        ]
    );
    assert!(!asked.include_deprecated);
}

#[test]
fn deprecated_images_are_passed_over_and_named_when_there_is_nothing_else() {
    let site = Site::new();
    let old = |id: &str, days: i64, owner: &str| Image {
        name: "base-1".into(),
        deprecated: at(&site, days),
        created: at(&site, -900 + days),
        owner: Some(owner.into()),
        ..image(id)
    };
    // The newest is deprecated, and the one that will be some day is not yet.
    add(&site, old("ami-3", 30, "123456789012"));
    add(
        &site,
        Image {
            created: at(&site, -1),
            ..old("ami-4", -1, "123456789012")
        },
    );
    let filter = "{ filter: { owners: [self], name: base-1 } }";
    assert_eq!(started_from(&site, filter), "ami-3");
    for owner in ["123456789012", "999988887777"] {
        let site = Site::new();
        add(&site, old("ami-4", -1, owner));
        let told = site.refusal(&from(filter));
        assert!(
            told.contains("only deprecated images in us-east-2 match the source, 1 of them: owner self, name `base-1`")
                && told.contains("include_deprecated: true"),
            "{told}"
        );
        let taken = "{ filter: { owners: [self], name: base-1, include_deprecated: true } }";
        assert_eq!(started_from(&site, taken), "ami-4");
    }
    let told = Site::new().refusal(&from(filter));
    assert!(
        told.contains(
            "no image in us-east-2 matches the source: owner self, name `base-1`, x86_64"
        ),
        "{told}"
    );
}

#[test]
fn several_images_are_one_too_many_for_only() {
    let site = Site::new();
    add(&site, image("ami-2"));
    let told = site.refusal(&from(
        "{ filter: { owners: [self], name: 'name of *' }, pick: only }",
    ));
    assert!(told.contains("2 images in us-east-2 match"), "{told}");
}

#[test]
fn an_image_by_id_is_there_and_available_and_not_deprecated() {
    let site = Site::new();
    let told = site.refusal(&from("{ image_id: ami-9 }"));
    assert!(
        told.contains("ami-9 is not in us-east-2, or these credentials may not see it"),
        "{told}"
    );
    let site = Site::new();
    add(
        &site,
        Image {
            state: ImageState::Failed,
            ..image("ami-2")
        },
    );
    let told = site.refusal(&from("{ image_id: ami-2 }"));
    assert!(told.contains("ami-2 is failed, not available"), "{told}");
    let site = Site::new();
    add(
        &site,
        Image {
            deprecated: at(&site, -1),
            owner: Some("999988887777".into()),
            ..image("ami-2")
        },
    );
    let told = site.refusal(&from("{ image_id: ami-2 }"));
    assert!(
        told.contains("ami-2 (name of ami-2) is deprecated since 20")
            && told.contains("include_deprecated: true"),
        "{told}"
    );
    assert_eq!(
        started_from(&site, "{ image_id: ami-2, include_deprecated: true }"),
        "ami-2"
    );
}

#[test]
fn a_parameter_holds_the_images_id() {
    let site = Site::new();
    parameter(&site, "/images/base", "ami-1source\n");
    assert_eq!(started_from(&site, "{ ssm: /images/base }"), "ami-1source");
}

#[test]
fn a_parameter_that_holds_no_image_is_told_without_its_value() {
    for (value, told) in [
        (None, "there is no SSM parameter /images/base in us-east-2"),
        (
            Some("{\"image_id\":\"ami-1source\"}"),
            "holds JSON, not the id of an image",
        ),
        (
            Some("s3cret"),
            "holds something else, not the id of an image",
        ),
        (
            Some("ami-9"),
            "ami-9 (of the parameter /images/base) is not in us-east-2",
        ),
    ] {
        let site = Site::new();
        if let Some(value) = value {
            parameter(&site, "/images/base", value);
        }
        let refusal = site.refusal(&from("{ ssm: /images/base }"));
        assert!(refusal.contains(told), "{refusal}");
        assert!(!refusal.contains("s3cret"), "{refusal}");
    }
}

#[test]
fn another_pipelines_newest_complete_image_is_found_by_its_tags() {
    let site = Site::new();
    let built = |id: &str, stage: &str, days: i64| Image {
        created: at(&site, days),
        tags: Tags::new()
            .with(tag::PIPELINE, "layers")
            .with(tag::STAGE, stage)
            .with(tag::COMPLETE, "true")
            .with("Os", "el8"),
        ..image(id)
    };
    add(&site, built("ami-2", "base", -9));
    add(&site, built("ami-3", "base", -3));
    add(&site, built("ami-4", "apps", -1));
    let mut unfinished = built("ami-5", "base", 0);
    unfinished.tags.0.remove(tag::COMPLETE);
    add(&site, unfinished);
    let mut other = built("ami-6", "base", 0);
    other.tags.set("Os", "el9");
    add(&site, other);
    let source = "{ pipeline: layers, stage: base, tags: { Os: el8 } }";
    assert_eq!(started_from(&site, source), "ami-3");
    let asked = site.account.store().searches[0].clone();
    assert_eq!(asked.owners, ["self"]);
    assert!(
        asked
            .filters
            .contains(&("state".into(), vec!["available".into()]))
    );
    let told = Site::new().refusal(&from(
        "{ pipeline: layers, stage: base, owners: ['111122223333'] }",
    ));
    assert!(
        told.contains("no complete image in us-east-2 is of the source: pipeline layers, stage base, owner 111122223333"),
        "{told}"
    );
}

/// A stage that only copies.
const COPY: &str = "\
name: p
aws: { region: us-east-2 }
stages:
  base:
    source: { image_id: ami-1source }
    image:
      name: 'copy-of-${{ source.name }}'
      description: a copy
      tags: { Layer: base }
      share: { accounts: ['111122223333'] }
    tags: { Team: images }
  app:
    source: { stage: base }
    launch: { instance_type: m5.large }
    connect: { user: ec2-user }
    image: { name: app }
";

#[test]
fn a_stage_with_nothing_to_do_copies_its_source_and_launches_nothing_for_it() {
    let site = Site::new();
    let report = site.run(1, COPY);
    assert_eq!(report.exit, ExitCode::Done, "{:?}", report.failures);
    let store = site.account.store();
    let [copy] = store.copies.as_slice() else {
        panic!("{:?}", store.copies);
    };
    assert_eq!(copy.name, "copy-of-name of ami-1source");
    assert_eq!(copy.description, "a copy");
    assert_eq!(
        (copy.source_region.as_str(), copy.source_image.as_str()),
        ("us-east-2", "ami-1source")
    );
    assert!(copy.client_token.len() <= 64 && copy.client_token.is_ascii());
    for tags in [&copy.image_tags, &copy.snapshot_tags] {
        assert_eq!(tags.get("Layer"), Some("base"));
        assert_eq!(tags.get("Team"), Some("images"));
        assert_eq!(tags.get(tag::STAGE), Some("base"));
        assert!(tags.get(tag::RUN).is_some());
    }
    assert_eq!(copy.image_tags.get(tag::SOURCE_IMAGE), Some("ami-1source"));
    // Only the stage that has a launch is launched, from the copy.
    let copied = report
        .images
        .iter()
        .find(|image| image.stage == "base")
        .unwrap();
    assert_eq!(store.launches.len(), 1);
    assert_eq!(store.launches[0].image_id.as_str(), copied.image_id);
    let image = &store.images[&copied.image_id];
    assert_eq!(image.tags.get(tag::COMPLETE), Some("true"));
    assert!(
        store
            .shared
            .contains(&format!("{} 111122223333", copied.image_id))
    );
}

#[test]
fn a_copy_is_found_again_in_the_cache() {
    let site = Site::new();
    assert_eq!(site.run(1, COPY).exit, ExitCode::Done);
    let report = site.run(2, COPY);
    assert_eq!(report.exit, ExitCode::Done, "{:?}", report.failures);
    assert!(
        report.images.iter().all(|image| image.cached),
        "{:?}",
        report.images
    );
    assert_eq!(site.account.store().copies.len(), 1);
    let plan = site.plan(COPY).unwrap();
    assert_eq!(plan.rows[0].action, "reuse");
    assert_eq!(plan.rows[0].image_name, "copy-of-name of ami-1source");
    assert!(plan.rows[0].instance_types.is_empty());
}

#[test]
fn a_copy_that_fails_leaves_nothing_and_a_lost_reply_copies_once() {
    let site = Site::new();
    site.account.store().image_fails = true;
    let report = site.run(1, COPY);
    assert_eq!(report.exit, ExitCode::Failed);
    assert!(
        report.failures[0]
            .error
            .contains("failed while copying the source image"),
        "{:?}",
        report.failures
    );
    assert_eq!(site.account.holdings(), ["ami-1source"]);

    let site = Site::new();
    site.account
        .store()
        .faults
        .push(("CopyImage", Fault::LostReply));
    let report = site.run(1, COPY);
    assert_eq!(report.exit, ExitCode::Done, "{:?}", report.failures);
    let store = site.account.store();
    let copies = store
        .images
        .values()
        .filter(|image| image.name.starts_with("copy-of-"));
    assert_eq!(copies.count(), 1);
}

#[test]
fn a_name_that_is_taken_is_told_before_the_copy() {
    let site = Site::new();
    add(
        &site,
        Image {
            name: "copy-of-name of ami-1source".into(),
            ..image("ami-2")
        },
    );
    let told = site.refusal(COPY);
    assert!(told.contains("is taken in us-east-2 by ami-2"), "{told}");
}

/// Killed after any record, and taken up again, as it was or with another name or description for the image.
#[test]
fn a_crash_at_any_moment_costs_no_copy() {
    let (only_copy, _) = COPY.split_once("  app:").unwrap();
    let renamed = only_copy.replace("copy-of-", "another-copy-of-");
    let described = only_copy.replace("a copy", "another copy");
    for again in [only_copy, &renamed, &described] {
        let mut killed = 0;
        for record in 1.. {
            let site = Site::new();
            if site.killed_after(1, record, only_copy).is_none() {
                break;
            }
            killed += 1;
            let report = site.resume(1, again);
            assert_eq!(
                report.exit,
                ExitCode::Done,
                "after record {record}: {:?}",
                report.failures
            );
            let holdings = site.account.holdings();
            // The source, the copy and its snapshot.
            assert_eq!(holdings.len(), 3, "after record {record}: {holdings:?}");
            if record < 6 {
                // Before CopyImage was called the image is the one of now.
                let store = site.account.store();
                let image = &store.images[&report.images[0].image_id];
                assert_eq!(image.description == "a copy", again != described);
                assert_eq!(image.name.starts_with("another"), again == renamed);
            }
        }
        assert!(killed > 8, "{killed} moments");
    }
}
