//! The cache key: what changes it, what does not, and what a plan says about it.

use crate::bad_input::{GOOD, setup};
use crate::memory::{Memory, Setup};
use pipeline::cache_key::{CacheKey, InputSummary, SourceIdentity, StageInputs, cache_key};
use pipeline::model::ImageId;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

fn image(id: &str) -> SourceIdentity {
    ImageId::new(id).unwrap().into()
}

fn source() -> SourceIdentity {
    image("ami-0123456789abcdef0")
}

fn inputs(setup: &Setup, text: &str) -> StageInputs {
    let loaded = setup.load(text).map_err(|error| error.to_string()).unwrap();
    StageInputs::collect(&loaded.pipeline.stages[0], &setup.files).unwrap()
}

fn key(setup: &Setup, text: &str) -> CacheKey {
    cache_key(&inputs(setup, text), &source(), &BTreeSet::new())
}

fn good() -> CacheKey {
    key(&setup(), GOOD)
}

#[test]
fn what_does_not_decide_the_content_does_not_change_the_key() {
    for (from, to) in [
        ("t3.micro", "m5.large"),
        (
            "instance_type: t3.micro",
            "instance_types: [m5.large, t3.micro]\n      subnets: [subnet-0a, { default_vpc: true, zone: b }]\n      \
             spot: { max_price: '0.12' }\n      max_lifetime: 2h",
        ),
        (
            "instance_type: t3.micro",
            "instance_type: t3.micro\n      vpc: vpc-0a\n      subnet: { filter: { zone: c }, pick: first }\n      \
             security_groups: [{ filter: { name: a } }]\n      ipv6: true\n      capacity_reservation: none\n      \
             placement: { tenancy: dedicated }\n      credits: standard\n      metadata: { hop_limit: 2 }\n      \
             on_shutdown: stop",
        ),
        (
            "user: ec2-user",
            "user: ec2-user, pty: true, timeout: 1h, key: ecdsa-p256",
        ),
        ("demo-${{ run.id }}", "other-${{ run.id }}"),
        (
            "image: {",
            "tags: { A: b }\n    cache: false\n    image: { description: x, wait: 1h, ",
        ),
        ("name: demo", "# a comment\nname: renamed"),
        (
            "{ script: scripts/a.sh,",
            "{ name: called, timeout: 1h, needs: [internet], script: scripts/a.sh,",
        ),
        (
            "script: scripts/a.sh, env: { TOKEN: \"${{ vars.token }}\" }",
            "env: { TOKEN: '${{vars.token}}' }, script: scripts/a.sh",
        ),
        (
            "connect:",
            "outputs_are_elsewhere_so_only_blank_lines_here: 1\n    connect:",
        ),
    ] {
        let text = GOOD
            .replace(from, to)
            .replace("outputs_are_elsewhere_so_only_blank_lines_here: 1", "");
        assert_ne!(text, GOOD, "{from}");
        assert_eq!(key(&setup(), &text), good(), "{from} → {to}");
    }
    let other_secret = Setup {
        env: vec![("TOKEN", "another")],
        ..setup()
    };
    assert_eq!(key(&other_secret, GOOD), good());
}

#[test]
fn what_decides_the_content_changes_the_key() {
    let mut seen = BTreeSet::from([good()]);
    let mut add =
        |key: CacheKey, what: &str| assert!(seen.insert(key), "{what} does not change the key");
    for (from, to) in [
        ("default: '8'", "default: '9'"),
        (
            "{ script: scripts/a.sh,",
            "{ become: root, script: scripts/a.sh,",
        ),
        (
            "{ script: scripts/a.sh,",
            "{ errexit: false, script: scripts/a.sh,",
        ),
        (
            "{ script: scripts/a.sh,",
            "{ interpreter: /bin/bash, script: scripts/a.sh,",
        ),
        ("{ TOKEN:", "{ OTHER:"),
        ("to: files/", "to: elsewhere/"),
        (
            "instance_type: t3.micro",
            "instance_type: t3.micro\n      instance_profile: builder",
        ),
        (
            "instance_type: t3.micro",
            "instance_type: t3.micro\n      instance_profile: { policy: { Version: 2012-10-17, Statement: { Effect: Allow, Action: 'a:B', Resource: '*' } } }",
        ),
        (
            "instance_type: t3.micro",
            "instance_type: t3.micro\n      instance_profile: { policy: { Version: 2012-10-17, Statement: { Effect: Deny, Action: 'a:B', Resource: '*' } } }",
        ),
        (
            "instance_type: t3.micro",
            "instance_type: t3.micro\n      user_data: { content: '#!/bin/sh' }",
        ),
        (
            "instance_type: t3.micro",
            "instance_type: t3.micro\n      user_data: { content: '#!/bin/bash ${{ run.id }}' }",
        ),
        (
            "{ device: /dev/sda1,",
            "{ device: /dev/sda1, snapshot_id: snap-0a,",
        ),
        (
            "{ device: /dev/sda1,",
            "{ device: /dev/sda1, snapshot_id: snap-0b,",
        ),
        (
            "volumes: [{",
            "volumes: [{ device: /dev/sdb, no_device: true }, {",
        ),
        ("volumes: [{", "volumes: [{ device: /dev/sdb }, {"),
    ] {
        let text = GOOD.replace(from, to);
        assert_ne!(text, GOOD, "{from}");
        add(key(&setup(), &text), to);
    }
    let with = |files: fn(Memory) -> Memory| {
        let mut setup = setup();
        setup.files = files(setup.files);
        key(&setup, GOOD)
    };
    add(
        with(|files| files.with("p/scripts/a.sh", "echo b\n")),
        "a script's byte",
    );
    add(
        with(|files| files.with("p/files/one", "2")),
        "a file's byte",
    );
    add(
        with(|files| files.mode("p/files/one", 0o755)),
        "a file's mode",
    );
    add(with(|files| files.with("p/files/three", "")), "a new file");
    add(
        with(|files| {
            files
                .with("p/files/one/x", "")
                .with("p/files/deep/one", "1")
        }),
        "a folder",
    );
    let other = image("ami-0fedcba9876543210");
    add(
        cache_key(&inputs(&setup(), GOOD), &other, &BTreeSet::new()),
        "the source",
    );
    add(
        cache_key(&inputs(&setup(), GOOD), &source(), &BTreeSet::from([0])),
        "what a rehearsal skips",
    );
    add(
        cache_key(&inputs(&setup(), GOOD), &source(), &BTreeSet::from([1])),
        "what else a rehearsal skips",
    );
}

#[test]
fn the_key_is_the_same_on_every_machine_and_day() {
    // Changing this value means that no image made before is found again: raise `cache_key::VERSION` with it.
    insta::assert_snapshot!(good());
}

#[test]
fn links_in_a_folder_enter_by_their_target_and_a_circle_of_them_is_no_trap() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("files")).unwrap();
    std::fs::create_dir(folder.path().join("scripts")).unwrap();
    std::fs::write(folder.path().join("scripts/a.sh"), "echo a\n").unwrap();
    let link = folder.path().join("files/link");
    let path = folder.path().join("pipeline.yaml");
    let digest = || {
        let options = pipeline::LoadOptions {
            local: false,
            vars: Vec::new(),
            vars_files: Vec::new(),
            env: &|_| Some("hunter2".to_owned()),
            home: None,
            ..pipeline::LoadOptions::default()
        };
        let loaded = pipeline::load(&path, GOOD.as_bytes(), &options, &pipeline::Disk).unwrap();
        let inputs = StageInputs::collect(&loaded.pipeline.stages[0], &pipeline::Disk).unwrap();
        cache_key(&inputs, &source(), &BTreeSet::new())
    };
    std::os::unix::fs::symlink("..", &link).unwrap();
    let circle = digest();
    std::fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink("../scripts", &link).unwrap();
    assert_ne!(circle, digest());
}

#[test]
fn a_plan_can_say_what_changed() {
    let old = InputSummary::new(&inputs(&setup(), GOOD), &source());
    let changes =
        |setup: &Setup, text: &str| InputSummary::changes(&old, &inputs(setup, text), &source());
    assert!(changes(&setup(), GOOD).is_empty());
    let mut edited = setup();
    edited.files = edited.files.with("p/scripts/a.sh", "echo b\n");
    assert_eq!(changes(&edited, GOOD), ["provision[0] run scripts/a.sh"]);
    let inserted = GOOD.replace(
        "provision:\n",
        "provision:\n      - run: { name: first, inline: ls }\n",
    );
    assert_eq!(changes(&setup(), &inserted), ["provision[0] first (new)"]);
    let removed = GOOD.replace("      - upload: { from: files/, to: files/ }\n", "");
    assert_eq!(
        changes(&setup(), &removed),
        ["1 provisioner(s) removed before provision[1]"]
    );
    assert_eq!(
        changes(&setup(), &GOOD.replace("default: '8'", "default: '9'")),
        ["volumes"]
    );
    let other = image("ami-0fedcba9876543210");
    assert_eq!(
        InputSummary::changes(&old, &inputs(&setup(), GOOD), &other),
        ["source image: ami-0fedcba9876543210 instead of ami-0123456789abcdef0"]
    );
}

#[test]
fn a_summary_survives_its_tags_however_many_provisioners_there_are() {
    for n in [0, 1, 20, 60] {
        let steps: String = (0..n)
            .map(|n| format!("      - run: {{ inline: echo {n} }}\n"))
            .collect();
        let text = GOOD.replace("provision:\n", &format!("provision:\n{steps}"));
        let summary = InputSummary::new(&inputs(&setup(), &text), &source());
        let tags: BTreeMap<String, String> = summary.tags().into_iter().collect();
        assert!(tags.values().all(|value| value.len() <= 256));
        assert!(
            tags.values()
                .flat_map(|v| v.chars())
                .all(|c| c.is_ascii_alphanumeric() || " =.-".contains(c))
        );
        let read = InputSummary::from_tags(|key| tags.get(key).map(String::as_str))
            .unwrap()
            .unwrap();
        assert_eq!(read, summary);
    }
    assert!(InputSummary::from_tags(|_| None).is_none());
    assert!(
        InputSummary::from_tags(|key| (key == "qib:inputs").then_some("v9 what"))
            .unwrap()
            .is_err()
    );
}

proptest! {
    #[test]
    fn one_byte_of_a_script_changes_the_key(script in prop::collection::vec(any::<u8>(), 1..64), at in any::<prop::sample::Index>()) {
        let mut setup = setup();
        let path = std::path::PathBuf::from("p/scripts/a.sh");
        setup.files.0.insert(path.clone(), (script.clone(), 0o644));
        let before = key(&setup, GOOD);
        prop_assert_eq!(&key(&setup, GOOD), &before);
        let mut changed = script;
        let at = at.index(changed.len());
        changed[at] ^= 1;
        setup.files.0.insert(path, (changed, 0o644));
        prop_assert_ne!(key(&setup, GOOD), before);
    }

    #[test]
    fn a_summary_is_never_read_with_a_panic(tag in "\\PC{0,40}", list in "v1 s=[a-z0-9-]{0,9} v=[0-9a-f.]{0,9} i= u= p=[0-9a-f.]{0,30}") {
        for text in [tag, list] {
            let read = InputSummary::from_tags(|key| (key == "qib:inputs").then_some(text.as_str())).unwrap();
            if let Ok(old) = read {
                InputSummary::changes(&old, &inputs(&setup(), GOOD), &source());
            }
        }
    }
}
