//! What `image` and `test` say about what becomes of an image: what is taken, and every bad form with its answer.

use crate::bad_input::{GOOD, setup};
use crate::memory::Setup;
use pipeline::cache_key::{StageInputs, cache_key, test_digest};
use pipeline::model::*;
use std::collections::BTreeSet;

const NAME: &str = "image: { name: \"demo-${{ run.id }}\" }";

fn files() -> Setup {
    let mut setup = setup();
    setup.files = setup
        .files
        .with("p/uefi.b64", "AAECAw==\n")
        .with("p/raw.bin", "\u{1}\u{2}");
    setup
}

/// The good pipeline with these lines below `image`.
fn with(lines: &str) -> String {
    let lines: String = lines
        .lines()
        .map(|line| format!("\n      {line}"))
        .collect();
    let text = GOOD.replace(NAME, &format!("image:\n      name: demo-one{lines}"));
    assert_ne!(text, GOOD);
    text
}

fn loaded(text: &str) -> Cell {
    let loaded = files().load(text).map_err(|error| error.to_string());
    loaded.unwrap().pipeline.stages[0].clone()
}

fn image(lines: &str) -> Image {
    loaded(&with(lines)).image.clone()
}

/// What the good pipeline with these lines below `image` is answered with.
fn refused(lines: &str) -> String {
    files().refuse(&with(lines))
}

#[test]
fn what_is_not_said_has_a_default() {
    let image = image("");
    assert_eq!(image.on_conflict.value, OnConflict::Fail);
    assert_eq!(image.kind.value, ImageKind::Ebs);
    assert_eq!(image.protect.value, Protection::Off);
    assert!(image.share.is_empty() && image.copy_to.is_empty() && image.parameters.is_empty());
    assert!(!image.is_registered());
    assert!(loaded(GOOD).test.is_none());
}

#[test]
fn a_conflict_is_a_word_or_its_terms() {
    let conflict = |text: &str| image(&format!("on_conflict: {text}")).on_conflict.value;
    assert_eq!(conflict("fail"), OnConflict::Fail);
    assert_eq!(conflict("skip"), OnConflict::Skip);
    assert_eq!(conflict("replace"), OnConflict::Replace { force: false });
    assert_eq!(
        conflict("{ replace: { force: true } }"),
        OnConflict::Replace { force: true }
    );
}

#[test]
fn a_copy_is_a_region_or_its_terms() {
    let image = image(
        "copy_to:\n  - us-west-2\n  - { region: eu-west-1, encrypted: true, kms_key_id: alias/images }",
    );
    let regions: Vec<&str> = image
        .copy_to
        .iter()
        .map(|copy| copy.region.as_str())
        .collect();
    assert_eq!(regions, ["us-west-2", "eu-west-1"]);
    assert_eq!(image.copy_to[0].encrypted, None);
    assert!(
        image.copy_to[1]
            .encrypted
            .as_ref()
            .is_some_and(|on| on.value)
    );
    assert_eq!(
        image.copy_to[1].kms_key_id.as_ref().unwrap().as_str(),
        "alias/images"
    );
}

#[test]
fn the_rest_is_read_as_it_is_written() {
    let image = image(
        "architecture: arm64\nboot_mode: uefi\ntpm: v2.0\nuefi_data: uefi.b64\nena: true\nsriov: true\nimds: v2\n\
         encrypted: true\nkms_key_id: alias/images\ndeprecate_after: 30d\nprotect: { cooldown: true }\n\
         share: { organizations: ['arn:aws:organizations::123456789012:organization/o-exampleorgid'], \
         organizational_units: ['arn:aws:organizations::123456789012:ou/o-exampleorgid/ou-examplerootid111-exampleouid111'] }\n\
         parameters: [{ name: /images/demo, overwrite: true, regions: build }, { name: \"/images/${{ run.id }}\" }]",
    );
    assert!(image.is_registered());
    assert_eq!(image.boot_mode.as_ref().unwrap().as_str(), "uefi");
    assert_eq!(image.tpm.as_ref().unwrap().as_str(), "v2.0");
    // Without the line's end, which is the editor's.
    assert_eq!(image.uefi_data.as_ref().unwrap().content, b"AAECAw==");
    assert!(image.ena.as_ref().unwrap().value && image.sriov.value && image.imds.is_some());
    assert_eq!(image.protect.value, Protection::WithCooldown);
    assert_eq!(image.share.organizations.len(), 1);
    assert_eq!(image.parameters[0].regions, ParameterRegions::Build);
    assert!(image.parameters[0].overwrite && !image.parameters[1].overwrite);
    assert_eq!(image.deprecate_after.unwrap().get().as_secs(), 30 * 86_400);
}

#[test]
fn a_test_has_checks_and_what_differs_from_the_stage() {
    let text = GOOD.replace(
        NAME,
        &format!(
            "{NAME}\n    test:\n      launch: {{ instance_type: m5.large, instance_profile: tester }}\n      \
             connect: {{ user: admin }}\n      provision: [{{ run: {{ script: scripts/a.sh }} }}]\n      timeout: 5m"
        ),
    );
    let cell = loaded(&text);
    let test = cell.test.as_ref().unwrap();
    assert_eq!(test.launch.instance_types[0].as_str(), "m5.large");
    assert_eq!(test.connect.as_ref().unwrap().user.as_str(), "admin");
    assert_eq!(test.timeout.get().as_secs(), 300);
    let Provisioner::Run(run) = &test.provision[0].value else {
        panic!("not a run")
    };
    let Commands::Scripts(scripts) = &run.commands else {
        panic!("not a script")
    };
    assert_eq!(scripts[0].content, b"echo a\n", "the script was not read");
    // A bare test is that the image boots and lets the user in.
    assert!(
        loaded(&GOOD.replace(NAME, &format!("{NAME}\n    test: {{}}")))
            .test
            .is_some()
    );
}

#[test]
fn what_an_image_says_of_itself_decides_its_content_and_what_becomes_of_it_does_not() {
    let setup = files();
    let key = |text: &str| {
        let loaded = setup.load(text).map_err(|error| error.to_string()).unwrap();
        let inputs = StageInputs::collect(&loaded.pipeline.stages[0], &setup.files).unwrap();
        let source = ImageId::new("ami-0123456789abcdef0").unwrap().into();
        cache_key(&inputs, &source, &BTreeSet::new())
    };
    let bare = key(&with(""));
    let mut seen = BTreeSet::from([bare.clone()]);
    for lines in [
        "architecture: x86_64",
        "boot_mode: uefi",
        "boot_mode: uefi-preferred",
        "boot_mode: uefi\ntpm: v2.0",
        "boot_mode: uefi\nuefi_data: uefi.b64",
        "ena: true",
        "ena: false",
        "sriov: true",
        "imds: v2",
        "encrypted: true",
        "encrypted: true\nkms_key_id: alias/images",
    ] {
        assert!(
            seen.insert(key(&with(lines))),
            "{lines} does not change the key"
        );
    }
    for lines in [
        "on_conflict: replace",
        "copy_to: [us-west-2]",
        "share: { public: true }",
        "deprecate_after: 30d",
        "protect: true",
        "parameters: [{ name: /images/demo }]",
    ] {
        assert_eq!(key(&with(lines)), bare, "{lines} changes the key");
    }
    let tested = with("").replace("    image:", "    test: { timeout: 1m }\n    image:");
    assert_eq!(key(&tested), bare);
}

#[test]
fn a_test_is_another_when_its_checks_are() {
    let mut setup = files();
    let digest = |setup: &Setup, checks: &str, skipped: &[usize]| {
        let text = GOOD.replace(
            NAME,
            &format!("{NAME}\n    test: {{ provision: [{checks}] }}"),
        );
        let loaded = setup
            .load(&text)
            .map_err(|error| error.to_string())
            .unwrap();
        let test = loaded.pipeline.stages[0].test.clone().unwrap();
        test_digest(&test, &setup.files, &skipped.iter().copied().collect()).unwrap()
    };
    let one = "{ run: { script: scripts/a.sh } }";
    let first = digest(&setup, one, &[]);
    assert_eq!(digest(&setup, one, &[]), first);
    assert_eq!(
        digest(
            &setup,
            "{ run: { script: scripts/a.sh, name: called } }",
            &[]
        ),
        first
    );
    assert_ne!(digest(&setup, one, &[0]), first);
    assert_ne!(digest(&setup, &format!("{one}, {one}"), &[]), first);
    assert_ne!(
        digest(
            &setup,
            "{ run: { script: scripts/a.sh, become: root } }",
            &[]
        ),
        first
    );
    setup.files = setup.files.with("p/scripts/a.sh", "echo b\n");
    assert_ne!(digest(&setup, one, &[]), first);
}

macro_rules! answers {
    ($($name:ident: $lines:expr;)*) => {$(
        #[test]
        fn $name() {
            insta::with_settings!({ description => $lines, omit_expression => true }, {
                insta::assert_snapshot!(refused($lines));
            });
        }
    )*};
}

answers! {
    conflict_word: "on_conflict: overwrite";
    conflict_terms: "on_conflict: { replace: { forced: true } }";
    conflict_bare_map: "on_conflict: { skip: true }";
    kind_s3_bundle: "kind: s3_bundle";
    kind_word: "kind: instance-store";
    architecture_word: "architecture: amd64";
    boot_mode_word: "boot_mode: bios";
    tpm_word: "boot_mode: uefi\ntpm: '2.0'";
    tpm_without_uefi: "tpm: v2.0";
    tpm_with_uefi_preferred: "boot_mode: uefi-preferred\ntpm: v2.0";
    uefi_data_without_uefi: "uefi_data: uefi.b64";
    uefi_data_that_is_none: "boot_mode: uefi\nuefi_data: raw.bin";
    uefi_data_missing: "boot_mode: uefi\nuefi_data: other.b64";
    legacy_bios_on_arm: "architecture: arm64\nboot_mode: legacy-bios";
    ena_word: "ena: 'on'";
    imds_word: "imds: v1";
    key_without_encryption: "kms_key_id: alias/images";
    copy_of_encrypted_says_it_is_not: "encrypted: true\ncopy_to: [{ region: us-west-2, encrypted: false }]";
    copy_region: "copy_to: [us-west]";
    copy_unknown_key: "copy_to: [{ region: us-west-2, name: other }]";
    copy_without_region: "copy_to: [{ encrypted: true }]";
    copy_twice: "copy_to: [us-west-2, { region: us-west-2, encrypted: true }]";
    copy_key_without_encryption: "copy_to: [{ region: us-west-2, encrypted: false, kms_key_id: alias/images }]";
    copy_key_of_another_region: "copy_to: [{ region: us-west-2, encrypted: true, kms_key_id: 'arn:aws:kms:us-east-1:123456789012:key/a-b' }]";
    share_organization: "share: { organizations: [o-exampleorgid] }";
    share_unit: "share: { organizational_units: ['arn:aws:organizations::123456789012:organization/o-exampleorgid'] }";
    share_account_twice: "share: { accounts: ['123456789012', '123456789012'] }";
    share_public_word: "share: { public: all }";
    share_snapshots_with_nobody: "share: { snapshots: true }";
    share_snapshots_with_organizations: "share: { organizations: ['arn:aws:organizations::123456789012:organization/o-exampleorgid'], snapshots: true }";
    share_with_the_default_key: "encrypted: true\nshare: { accounts: ['123456789012'] }";
    share_with_the_default_key_by_name: "encrypted: true\nkms_key_id: alias/aws/ebs\nshare: { accounts: ['123456789012'] }";
    share_encrypted_with_everyone: "encrypted: true\nkms_key_id: alias/images\nshare: { public: true }";
    share_a_copy_with_the_default_key: "copy_to: [us-east-1, { region: us-west-2, encrypted: true }]\nshare: { accounts: ['123456789012'] }";
    share_the_copy_of_an_encrypted_image: "encrypted: true\nkms_key_id: alias/images\ncopy_to: [us-west-2]\nshare: { accounts: ['123456789012'] }";
    deprecate_after_word: "deprecate_after: never";
    protect_word: "protect: always";
    protect_terms: "protect: { cooldown: 24h }";
    replace_with_cooldown: "on_conflict: replace\nprotect: { cooldown: true }";
    parameter_without_slash: "parameters: [{ name: images/demo }]";
    parameter_with_an_empty_part: "parameters: [{ name: /images//demo }]";
    parameter_character: "parameters: [{ name: '/images/demo 1' }]";
    parameter_reserved: "parameters: [{ name: /aws/service/demo }]";
    parameter_of_qib: "parameters: [{ name: /qib/leases/demo }]";
    parameter_too_deep: "parameters: [{ name: /a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p }]";
    parameter_regions: "parameters: [{ name: /images/demo, regions: us-east-1 }]";
    parameter_without_name: "parameters: [{ overwrite: true }]";
    parameter_twice: "parameters: [{ name: /images/demo }, { name: /images/demo, regions: build }]";
}

macro_rules! other_answers {
    ($($name:ident: $from:expr => $to:expr;)*) => {$(
        #[test]
        fn $name() {
            let text = GOOD.replacen($from, $to, 1);
            assert_ne!(text, GOOD);
            insta::with_settings!({ description => $to, omit_expression => true }, {
                insta::assert_snapshot!(files().refuse(&text));
            });
        }
    )*};
}

other_answers! {
    copy_to_where_it_is_built: NAME => "region: us-east-2\n    image: { name: demo, copy_to: [us-east-2] }";
    key_of_another_region_than_the_builds: NAME => "region: us-east-2\n    image: { name: demo, encrypted: true, kms_key_id: 'arn:aws:kms:us-east-1:123456789012:key/a-b' }";
    test_unknown_key: NAME => "image: { name: demo }\n    test: { run: true }";
    test_two_ways_to_say_the_type: NAME => "image: { name: demo }\n    test: { launch: { instance_type: t3.micro, instance_types: [t3.micro] } }";
    test_launch_key_of_the_stage: NAME => "image: { name: demo }\n    test: { launch: { subnet: subnet-0a } }";
    test_missing_script: NAME => "image: { name: demo }\n    test: { provision: [{ run: { script: scripts/b.sh } }] }";
    test_empty_check: NAME => "image: { name: demo }\n    test: { provision: [{ run: { inline: ' ' } }] }";
    test_connect_without_user: NAME => "image: { name: demo }\n    test: { connect: { pty: true } }";
    test_bind_without_profile: NAME => "image: { name: demo }\n    test: { connect: { user: me, address: { elastic_ip: eipalloc-0a } } }";
    test_timeout: NAME => "image: { name: demo }\n    test: { timeout: 0s }";
}

/// With something else in `launch` as well.
fn refused_with(launch: (&str, &str), lines: &str) -> String {
    let text = with(lines).replacen(launch.0, launch.1, 1);
    files().refuse(&text)
}

#[test]
fn cells_of_a_matrix_do_not_write_into_one_parameter() {
    let text = with("parameters: [{ name: /images/demo }]").replace(
        "    source:",
        "    matrix: { axes: { os: [a, b, c] } }\n    source:",
    );
    insta::assert_snapshot!(files().refuse(&text));
    let apart = text.replace("/images/demo", "\"/images/${{ matrix.os }}\"");
    files()
        .load(&apart)
        .map_err(|error| error.to_string())
        .unwrap();
}

#[test]
fn a_stage_that_only_copies_has_no_instance_to_say_things_of() {
    let copy = |lines: &str| {
        let text = "name: demo\nstages:\n  base:\n    source: { image_id: ami-0a }\n    image: { name: demo";
        files().refuse(&format!("{text}{lines}\n"))
    };
    insta::assert_snapshot!(copy(", boot_mode: uefi }"));
    insta::assert_snapshot!(copy(" }\n    test: {}"));
}

#[test]
fn an_encrypted_image_has_no_volume_that_is_not() {
    let volume = (
        "\"${{ vars.size }}\"",
        "\"${{ vars.size }}\", encrypted: false",
    );
    insta::assert_snapshot!(refused_with(volume, "encrypted: true"));
}

#[test]
fn a_volume_with_the_default_key_is_not_shared() {
    let volume = (
        "\"${{ vars.size }}\"",
        "\"${{ vars.size }}\", encrypted: true",
    );
    insta::assert_snapshot!(refused_with(
        volume,
        "share: { accounts: ['123456789012'] }"
    ));
}

#[test]
fn a_spot_instance_cannot_be_stopped_for_it() {
    let spot = (
        "instance_type: t3.micro",
        "instance_type: t3.micro\n      spot: true",
    );
    insta::assert_snapshot!(refused_with(spot, "ena: false"));
    insta::assert_snapshot!(refused_with(spot, "boot_mode: uefi"));
}
