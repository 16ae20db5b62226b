//! What entries come to when they are loaded: choices of cells, keys beside and inside, files that are still to be made,
//! and what of them is in the cache key.

use crate::bad_input::{GOOD, setup};
use crate::memory::Setup;
use pipeline::Loaded;
use pipeline::cache_key::{CacheKey, StageInputs, cache_key};
use pipeline::model::{ImageId, Place, Presence, Provisioner};
use std::collections::BTreeSet;
use std::time::Duration;

fn load(setup: &Setup, text: &str) -> Loaded {
    setup
        .load(text)
        .unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn with(entry: &str) -> String {
    GOOD.replace("- upload:", &format!("{entry}\n      - upload:"))
}

fn key_of(setup: &Setup, text: &str, skipped: &[usize]) -> CacheKey {
    let loaded = load(setup, text);
    let inputs = StageInputs::collect(&loaded.pipeline.stages[0], &setup.files).unwrap();
    let source = ImageId::new("ami-0123456789abcdef0").unwrap().into();
    cache_key(&inputs, &source, &skipped.iter().copied().collect())
}

fn key(text: &str) -> CacheKey {
    key_of(&setup(), text, &[])
}

/// The keys that images made before there were these entries carry.
#[test]
fn the_keys_of_older_images_stay() {
    assert_eq!(
        key(GOOD).as_str(),
        "ff8bfba72acf29f6965646bf6bea615696ba563c75d0a85aab7192f931081680"
    );
    assert_eq!(
        key_of(&setup(), GOOD, &[1]).as_str(),
        "02148c1be35634b14f4722e2226eb95b6080c319138f017eceaa4d312fbcd5de"
    );
}

#[test]
fn what_only_looks_waits_or_fetches_leaves_the_key_alone() {
    for entry in [
        "- download: { from: x, to: y }",
        "- wait_for: { port: 80 }",
        "- wait_for: { command: 'true' }",
        "- pause: { for: 5s }",
        "- breakpoint: {}",
    ] {
        let text = with(entry);
        assert_eq!(key(&text), key(GOOD), "{entry}");
        // Nor does it when something after it is skipped: its place is not counted.
        let skipped = key_of(&setup(), &text, &[2]);
        assert_eq!(skipped, key_of(&setup(), GOOD, &[1]), "{entry}");
    }
    for (from, to) in [
        (
            "- upload:",
            "- retry: 3\n        timeout: 1h\n        pause_before: 5s\n        name: x\n        needs: [rhel]\n        upload:",
        ),
        (
            "    image:",
            "    on_error: [{ run: { inline: x } }]\n    image:",
        ),
        ("stages:", "preflight: [{ run: { inline: x } }]\nstages:"),
    ] {
        assert_eq!(key(&GOOD.replacen(from, to, 1)), key(GOOD), "{to}");
    }
}

#[test]
fn what_may_change_the_image_changes_the_key() {
    let mut seen = BTreeSet::from([key(GOOD)]);
    for entry in [
        "- reboot: {}",
        "- reboot: { command: systemctl kexec }",
        "- run: { inline: x }",
        "- run: { inline: x, local: true }",
        "- run: { inline: x, reboots: true }",
    ] {
        assert!(seen.insert(key(&with(entry))), "{entry}");
    }
}

const MATRIX: &str = "    matrix: { axes: { os: ['1204', '1404'], virt: [pv, hvm] }, name: \"${{ matrix.os }}-${{ matrix.virt }}\" }
    source:";

#[test]
fn an_entry_is_in_the_cells_that_it_is_for_and_in_no_others() {
    let text = with(
        "- run: { name: grub, inline: x }\n        only: ['*-hvm']\n        except: ['1204-*']\n      \
         - run: { name: old, script: scripts/a.sh }\n        only: [1204-pv]",
    )
    .replacen("    source:", MATRIX, 1)
    .replace("demo-${{ run.id }}", "demo-${{ cell }}-${{ run.id }}");
    let loaded = load(&setup(), &text);
    let cells: Vec<(String, Vec<String>)> = loaded
        .pipeline
        .stages
        .iter()
        .map(|cell| {
            let labels = cell.provision.iter().map(|entry| entry.label()).collect();
            (cell.name.clone().unwrap(), labels)
        })
        .collect();
    let of = |name: &str| {
        let (_, labels) = cells.iter().find(|(cell, _)| cell == name).unwrap();
        labels.join(", ")
    };
    assert_eq!(of("1204-pv"), "run scripts/a.sh, old, upload files/");
    assert_eq!(of("1204-hvm"), "run scripts/a.sh, upload files/");
    assert_eq!(of("1404-pv"), "run scripts/a.sh, upload files/");
    assert_eq!(of("1404-hvm"), "run scripts/a.sh, grub, upload files/");
    // What is not in a cell is not in its key.
    let keys: BTreeSet<CacheKey> = loaded
        .pipeline
        .stages
        .iter()
        .map(|cell| {
            let inputs = StageInputs::collect(cell, &setup().files).unwrap();
            let source = ImageId::new("ami-0123456789abcdef0").unwrap().into();
            cache_key(&inputs, &source, &BTreeSet::new())
        })
        .collect();
    assert_eq!(keys.len(), 3);

    let refused = setup().refuse(&text.replace("[1204-pv]", "[1604-*]"));
    insta::assert_snapshot!(refused);
}

#[test]
fn keys_beside_an_entry_and_inside_of_it_come_to_the_same() {
    let inside = load(
        &setup(),
        &with("- run: { name: a, needs: [rhel], inline: x }"),
    );
    let beside = load(
        &setup(),
        &with(
            "- run: { inline: x }\n        name: a\n        needs: [rhel]\n        retry: { times: 2, delay: 5s }\n        timeout: 1h",
        ),
    );
    let (inside, beside) = (
        &inside.pipeline.stages[0].provision[1],
        &beside.pipeline.stages[0].provision[1],
    );
    assert_eq!(inside.label(), beside.label());
    assert_eq!(inside.needs, beside.needs);
    let retry = beside.retry.unwrap();
    assert_eq!(
        (retry.times.get(), retry.delay.get()),
        (2, Duration::from_secs(5))
    );
    assert_eq!(beside.timeout.unwrap().get(), Duration::from_secs(3600));
    let local = load(&setup(), &with("- run: { inline: x, local: true }"));
    let Provisioner::Run(run) = &local.pipeline.stages[0].provision[1].value else {
        panic!("no run");
    };
    assert_eq!(run.place, Place::BuildHost);
}

#[test]
fn timeouts_add_up_over_scripts_and_attempts() {
    let minutes = |entry: &str| {
        let loaded = load(&setup(), &with(entry));
        loaded.pipeline.stages[0].provision[1]
            .longest()
            .as_secs_f64()
            / 60.0
    };
    assert_eq!(minutes("- run: { inline: x }"), 0.0);
    assert_eq!(
        minutes("- run: { scripts: [scripts/a.sh, scripts/a.sh], timeout: 10m }"),
        20.0
    );
    assert_eq!(
        minutes("- run: { inline: x, timeout: 10m }\n        retry: { times: 2, delay: 1m }"),
        32.0
    );
    assert_eq!(
        minutes(
            "- run: { inline: x, timeout: 10m }\n        retry: { times: 2, delay: 1m }\n        timeout: 15m"
        ),
        15.0
    );
    assert_eq!(
        minutes("- run: { inline: x }\n        timeout: 15m\n        pause_before: 1m"),
        16.0
    );
    assert_eq!(
        minutes("- run: { inline: x, reboots: true, timeout: 5m }"),
        10.0
    );
    assert_eq!(minutes("- reboot: {}"), 10.0);
    assert_eq!(minutes("- wait_for: { port: 80, timeout: 1h }"), 60.0);
    assert_eq!(minutes("- pause: { for: 3m }"), 3.0);
}

const MADE: &str = "preflight:
  - run: { inline: make, creates: [made.sh, set.yaml, folder/] }
stages:";

#[test]
fn what_preflight_makes_need_not_be_there_and_nothing_else_is_excused() {
    let text = with(
        "- run: { script: made.sh }\n      - upload: { from: set.yaml, to: x, template: true }\n      \
         - upload: { from: folder/deep/, to: y/ }",
    )
    .replacen("stages:", MADE, 1);
    let loaded = load(&setup(), &text);
    let cell = &loaded.pipeline.stages[0];
    let missing: Vec<&str> = cell
        .files(false)
        .into_iter()
        .filter(|file| file.presence == Presence::ToBeMade)
        .map(|file| file.written.as_str())
        .collect();
    assert_eq!(missing, ["made.sh", "set.yaml", "folder/deep/"]);
    // Two files that are not there are told apart, and one that is there counts by its content.
    let keys = BTreeSet::from([
        key(&text),
        key(&text.replace("script: made.sh", "script: folder/other.sh")),
        key_of(&there("1"), &text, &[]),
        key_of(&there("2"), &text, &[]),
    ]);
    assert_eq!(keys.len(), 4);
    assert_eq!(
        load(&there("1"), &text).pipeline.stages[0]
            .files(false)
            .len(),
        5
    );
    let refused = setup().refuse(&text.replace("script: made.sh", "script: other.sh"));
    assert!(refused.contains("\"other.sh\" does not exist"), "{refused}");
    // Without its slash the folder is a file, and covers nothing.
    let refused = setup().refuse(&text.replace("folder/]", "folder]"));
    assert!(
        refused.contains("\"folder/deep/\" does not exist"),
        "{refused}"
    );
}

fn there(content: &str) -> Setup {
    let mut setup = setup();
    setup.files = setup
        .files
        .with("p/made.sh", content)
        .with("p/set.yaml", "a: 1\n")
        .with("p/folder/deep/x", "x");
    setup
}

#[test]
fn in_a_rehearsal_a_skipped_entry_needs_no_files() {
    let text =
        with("- upload: { from: set.yaml, to: x, needs: [internet] }").replacen("stages:", MADE, 1);
    let loaded = load(&setup(), &text);
    let names = |rehearsal: bool| -> Vec<String> {
        let files = loaded.pipeline.stages[0].files(rehearsal).into_iter();
        files.map(|file| file.written.value.clone()).collect()
    };
    assert_eq!(names(false), ["scripts/a.sh", "set.yaml", "files/"]);
    assert_eq!(names(true), ["scripts/a.sh", "files/"]);
}

#[test]
fn every_file_of_a_stage_may_be_made_by_preflight_and_is_named_while_it_is_not_there() {
    let text = with("- ansible: { playbook: made/site.yaml, group_vars: made/vars/ }\n        needs: [internet]")
        .replacen("stages:", "preflight: [{ run: { inline: make, creates: [made/] } }]\nstages:", 1)
        .replace("{ user: ec2-user }", "{ user: ec2-user, key: { file: made/key }, host_key: { known_hosts: made/hosts } }")
        .replace("instance_type: t3.micro", "instance_type: t3.micro\n      user_data: made/user-data");
    let loaded = load(&setup(), &text);
    let named = |rehearsal: bool| -> Vec<String> {
        let files = loaded.pipeline.stages[0].files(rehearsal).into_iter();
        let absent = files.filter(|file| file.presence == Presence::ToBeMade);
        absent.map(|file| file.written.value.clone()).collect()
    };
    let of_launch = ["made/user-data", "made/key", "made/hosts"];
    assert_eq!(named(true), of_launch);
    assert_eq!(
        named(false),
        [&of_launch[..], &["made/site.yaml", "made/vars/"]].concat()
    );
    // A key can be made, though of nothing that counts: a rehearsal skips the entry.
    key_of(&setup(), &text, &[1]);
    // What stands outside of the stages is not excused.
    let outputs = "outputs:\n  - update: out.yaml\n    from: made/out.yaml\n    set: { a.b: x }\n";
    let refused = setup().refuse(&format!("{text}{outputs}"));
    assert!(refused.contains("made/out.yaml"), "{refused}");
}
