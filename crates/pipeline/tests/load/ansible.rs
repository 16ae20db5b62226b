//! Ansible: what is taken, what a requirements file is read for, and what decides the cache key.

use crate::bad_input::{GOOD, setup};
use crate::memory::Setup;
use pipeline::cache_key::{CacheKey, StageInputs, cache_key};
use pipeline::model::{ImageId, Provisioner};
use pipeline::template::RunFacts;
use std::collections::BTreeSet;

const FROM_HERE: &str = "- ansible: { playbook: plays/site.yaml, host_alias: web1, inventory_groups: [web], \
    host_vars: inv/host_vars, group_vars: inv/group_vars/, become: root, requirements: galaxy/requirements.yaml, \
    extra_vars: { token: \"${{ vars.token }}\", ports: [80, 443], on: true, version: 4.10, mode: 0644, \
    deep: { run: \"${{ run.id }}\" } }, extra_args: [--tags, base] }";
const INSIDE: &str = "- ansible_local: { playbook: plays/site.yaml, inventory_groups: [web], host_vars: inv/host_vars, \
    requirements: galaxy/requirements.yaml, extra_vars: { a: b }, staging: /var/tmp }";

fn files() -> Setup {
    let mut setup = setup();
    setup.files = setup
        .files
        .with("p/plays/site.yaml", "- hosts: all\n")
        .with("p/plays/roles/one/tasks/main.yaml", "[]\n")
        .with("p/inv/host_vars/web1.yaml", "a: 1\n")
        .with("p/inv/group_vars/web.yaml", "a: 1\n")
        .with(
            "p/galaxy/requirements.yaml",
            "collections:\n  - name: ./acme-tools-1.0.0.tar.gz\n    type: file\n  - community.general\n\
             roles:\n  - src: https://example.org/r.tar.gz\n  - src: roles/base.tgz\n",
        )
        .with("p/galaxy/acme-tools-1.0.0.tar.gz", "archive")
        .with("p/galaxy/roles/base.tgz", "archive");
    setup
}

fn with(entry: &str) -> String {
    GOOD.replace("- run: {", &format!("{entry}\n      - run: {{"))
}

fn key(setup: &Setup, text: &str) -> CacheKey {
    let loaded = setup.load(text).map_err(|error| error.to_string()).unwrap();
    let inputs = StageInputs::collect(&loaded.pipeline.stages[0], &setup.files).unwrap();
    let source = ImageId::new("ami-0123456789abcdef0").unwrap().into();
    cache_key(&inputs, &source, &BTreeSet::new())
}

#[test]
fn extra_vars_keep_their_kinds() {
    let loaded = files()
        .load(&with(FROM_HERE))
        .map_err(|error| error.to_string())
        .unwrap();
    let Provisioner::Ansible(ansible) = &loaded.pipeline.stages[0].provision[0].value else {
        panic!("no ansible");
    };
    let facts = RunFacts {
        run_id: Some("r-1".into()),
        ..RunFacts::default()
    };
    let rendered: serde_json::Map<String, serde_json::Value> = ansible
        .extra_vars
        .iter()
        .map(|(name, value)| (name.to_string(), value.render(&facts).unwrap()))
        .collect();
    let wanted = serde_json::json!({
        "token": "hunter2", "ports": [80, 443], "on": true, "version": "4.10", "mode": "0644", "deep": { "run": "r-1" },
    });
    assert_eq!(serde_json::Value::Object(rendered), wanted);
    assert!(!format!("{:?}", ansible.extra_vars).contains("hunter2"));
    assert_eq!(ansible.host_alias.as_str(), "web1");
}

#[test]
fn archives_beside_a_requirements_file_are_found() {
    for entry in [FROM_HERE, INSIDE] {
        let loaded = files()
            .load(&with(entry))
            .map_err(|error| error.to_string())
            .unwrap();
        let requirements = match &loaded.pipeline.stages[0].provision[0].value {
            Provisioner::Ansible(ansible) => ansible.requirements.clone(),
            Provisioner::AnsibleLocal(ansible) => ansible.requirements.clone(),
            other => panic!("{other:?}"),
        };
        let found: Vec<String> = requirements
            .unwrap()
            .archives
            .iter()
            .map(|archive| archive.written.clone())
            .collect();
        assert_eq!(found, ["roles/base.tgz", "./acme-tools-1.0.0.tar.gz"]);
    }
}

#[test]
fn a_requirements_files_faults_are_told() {
    let mut setup = files();
    setup
        .files
        .0
        .remove(std::path::Path::new("p/galaxy/roles/base.tgz"));
    insta::assert_snapshot!(setup.refuse(&with(INSIDE)));
    let mut setup = files();
    setup.files = setup
        .files
        .with("p/galaxy/requirements.yaml", "collections: [\n");
    insta::assert_snapshot!(setup.refuse(&with(FROM_HERE)));
    let mut setup = files();
    setup.files = setup
        .files
        .with("p/galaxy/requirements.yaml", "- src: ../one.tar.gz\n")
        .with("p/galaxy/../one.tar.gz", "archive");
    insta::assert_snapshot!(setup.refuse(&with(INSIDE)));
    assert!(
        setup.load(&with(FROM_HERE)).is_ok(),
        "here it is where it says"
    );
}

#[test]
fn a_playbook_may_be_a_variable() {
    let text = with(INSIDE)
        .replace(
            "playbook: plays/site.yaml",
            "playbook: \"plays/${{ vars.play }}.yaml\"",
        )
        .replace("size: {", "play: { default: site }\n  size: {");
    let setup = files();
    let loaded = setup
        .load(&text)
        .map_err(|error| error.to_string())
        .unwrap();
    let Provisioner::AnsibleLocal(ansible) = &loaded.pipeline.stages[0].provision[0].value else {
        panic!("no ansible_local");
    };
    assert_eq!(
        ansible.playbook.path(),
        std::path::Path::new("p/plays/site.yaml")
    );
    let setup = Setup {
        vars: vec!["play=other"],
        ..setup
    };
    assert!(setup.refuse(&text).contains("plays/other.yaml"));
}

#[test]
fn what_a_playbook_can_use_decides_the_key() {
    for entry in [FROM_HERE, INSIDE] {
        let text = with(entry);
        let good = key(&files(), &text);
        let mut seen = BTreeSet::from([good.clone(), key(&files(), GOOD)]);
        let mut add =
            |key: CacheKey, what: &str| assert!(seen.insert(key), "{what} does not change the key");
        for path in [
            "p/plays/site.yaml",
            "p/plays/roles/one/tasks/main.yaml",
            "p/plays/roles/two/tasks/main.yaml",
            "p/inv/host_vars/web1.yaml",
            "p/galaxy/acme-tools-1.0.0.tar.gz",
            "p/galaxy/roles/base.tgz",
        ] {
            let mut setup = files();
            setup.files = setup.files.with(path, "other");
            add(key(&setup, &text), path);
        }
        for (from, to) in [
            ("inventory_groups: [web]", "inventory_groups: [db]"),
            ("extra_vars: { ", "extra_vars: { more: x, "),
            (", extra_vars", ", become: builder, extra_vars"),
            (", extra_vars", ", extra_args: [--check], extra_vars"),
            (", extra_vars", ", galaxy_args: [--offline], extra_vars"),
        ] {
            let changed = text
                .replacen(from, to, 1)
                .replace("become: root, ", "")
                .replace(", extra_args: [--tags, base]", "");
            add(key(&files(), &changed), to);
        }
        let other_secret = Setup {
            env: vec![("TOKEN", "another")],
            ..files()
        };
        assert_eq!(
            key(&other_secret, &text),
            good,
            "a secret's value is not in the key"
        );
    }
    let mut setup = files();
    setup.files = setup
        .files
        .with("p/plays/.git/HEAD", "x")
        .with("p/plays/__pycache__/a.pyc", "x");
    assert_eq!(
        key(&setup, &with(FROM_HERE)),
        key(&files(), &with(FROM_HERE))
    );
}
