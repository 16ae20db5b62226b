//! Disk images that become AMIs: what `source.import` may say, what it means, and what is refused.

use crate::bad_input::{GOOD, setup};
use crate::memory::{Memory, Setup};
use pipeline::LoadError;
use pipeline::cache_key::{CacheKey, InputSummary, SourceIdentity, StageInputs, cache_key};
use pipeline::model::{
    Architecture, BackingFile, Cell, Checksum, Holes, Import, ImportChecksum, ImportFormat,
    ImportOrigin, Presence, UploadAs, Via,
};
use pipeline::schema::json_schema;
use pipeline::template::RunFacts;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

#[path = "../support/json.rs"]
mod json;

/// 64 digits.
const DIGITS: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// A stage that imports and does no more.
const ALONE: &str = "\
name: demo
vars: { v: { default: '43' } }
stages:
  base:
    source:
      import:
        url: https://images.example/f/disk-43.qcow2
        checksum: sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
    image: { name: \"demo-${{ run.id }}\" }
";

fn files() -> Setup {
    let files = setup().files;
    Setup {
        files: files
            .with("p/disk.raw", "disk")
            .with("p/SHA256SUMS", "")
            .with("p/keys/fedora.asc", "")
            .with("p/uefi.b64", "QU1aTg=="),
        ..setup()
    }
}

fn loaded(text: &str) -> Cell {
    let loaded = files().load(text).map_err(|error| error.to_string());
    loaded.unwrap().pipeline.stages[0].clone()
}

fn import(keys: &str) -> Import {
    loaded(&with(keys)).import().expect("an import").clone()
}

/// The pipeline with these keys under `import`.
fn with(keys: &str) -> String {
    format!(
        "name: demo\nvars: {{ v: {{ default: '43' }} }}\nstages:\n  base:\n    source: {{ import: {{ {keys} }} }}\n    image: {{ name: \"demo-${{{{ run.id }}}}\" }}\n"
    )
}

const FILE: &str = "file: disk.raw";

#[test]
fn what_is_left_out_has_its_default() {
    let import = import(FILE);
    let ImportOrigin::File(file) = &import.origin else {
        panic!("{import:?}");
    };
    assert_eq!(file.path(), Path::new("p/disk.raw"));
    assert_eq!(file.presence, Presence::There);
    assert_eq!(
        (&import.checksum, &import.format, &import.arch),
        (&None, &None, &None)
    );
    assert_eq!(import.root_device.as_str(), "/dev/sda1");
    assert_eq!(import.backing_file, BackingFile::Refused);
    assert_eq!(
        import.via,
        Via::Ebs {
            holes: Holes::Send,
            parent: None
        }
    );
    let import = self::import("file: disk.raw, via: s3, bucket: my-images");
    let Via::S3 {
        bucket,
        role,
        upload_as,
        timeout,
        attempts,
    } = &import.via
    else {
        panic!("{import:?}");
    };
    assert_eq!((bucket.as_str(), role.as_str()), ("my-images", "vmimport"));
    assert_eq!((*upload_as, attempts.get()), (UploadAs::Raw, 3));
    assert_eq!(timeout.get(), Duration::from_secs(1_800));
}

#[test]
fn every_key_is_read() {
    let import = import(&format!(
        "url: 'https://images.example/x/disk-${{{{ vars.v }}}}.vmdk.xz', checksum: sha512:{DIGITS}{DIGITS}, format: vmdk, \
         arch: arm64, root_device: /dev/xvda, backing_file: refused, via: ebs, holes: skip, parent: snap-0a"
    ));
    let ImportOrigin::Url(url) = &import.origin else {
        panic!("{import:?}");
    };
    assert_eq!(url.as_str(), "https://images.example/x/disk-43.vmdk.xz");
    let Some(ImportChecksum::Digest(digest)) = &import.checksum else {
        panic!("{import:?}");
    };
    assert_eq!(digest.to_string(), format!("sha512:{DIGITS}{DIGITS}"));
    assert_eq!(import.format.as_ref().unwrap().value, ImportFormat::Vmdk);
    assert_eq!(import.arch.as_ref().unwrap().value, Architecture::Arm64);
    assert_eq!(import.root_device.as_str(), "/dev/xvda");
    let Via::Ebs { holes, parent } = &import.via else {
        panic!("{import:?}");
    };
    assert_eq!(*holes, Holes::Skip);
    assert_eq!(parent.as_ref().unwrap().as_str(), "snap-0a");

    let import = self::import(
        "file: disk.raw, format: raw, via: s3, bucket: b-1, role: importer, upload_as: original, timeout: 1h, attempts: 1",
    );
    let Via::S3 {
        role,
        upload_as,
        timeout,
        attempts,
        ..
    } = &import.via
    else {
        panic!("{import:?}");
    };
    assert_eq!(
        (role.as_str(), *upload_as),
        ("importer", UploadAs::Original)
    );
    assert_eq!(
        (timeout.get(), attempts.get()),
        (Duration::from_secs(3_600), 1)
    );
    let import = self::import("file: disk.raw, format: qcow2, backing_file: allowed");
    assert_eq!(import.backing_file, BackingFile::Allowed);
}

#[test]
fn a_checksum_file_says_what_the_image_is_called_in_it() {
    let listed = |keys: &str| match import(keys).checksum {
        Some(ImportChecksum::Listed(list)) => list,
        other => panic!("{other:?}"),
    };
    let list = listed(
        "url: 'https://images.example/f/disk-43.qcow2?token=x', checksum: { url: http://images.example/SUMS }",
    );
    assert_eq!(list.name, None);
    assert_eq!(list.signed_by, None);
    let list = listed(
        "file: disk.raw, checksum: { file: SHA256SUMS, name: './images/disk (1).raw', signed_by: keys/fedora.asc }",
    );
    assert_eq!(list.name.as_deref(), Some("./images/disk (1).raw"));
    let paths = [
        list.origin.file().unwrap(),
        list.signed_by.as_ref().unwrap(),
    ];
    assert_eq!(
        paths.map(|file| file.path().to_owned()),
        [Path::new("p/SHA256SUMS"), Path::new("p/keys/fedora.asc")]
    );
}

#[test]
fn a_name_is_that_of_the_file_without_what_says_its_form() {
    for (url, name) in [
        (
            "Fedora-Cloud-43-1.6.x86_64.qcow2",
            "Fedora-Cloud-43-1.6.x86_64",
        ),
        ("ubuntu-24.04.img", "ubuntu-24.04"),
        ("disk.raw.xz", "disk"),
        ("DISK.VHDX.GZ", "DISK"),
        ("ubuntu-24.04", "ubuntu-24.04"),
        (".raw", ".raw"),
    ] {
        let keys = format!("url: 'https://images.example/{url}', checksum: sha256:{DIGITS}");
        assert_eq!(import(&keys).name(), name);
    }
    assert_eq!(import(FILE).name(), "disk");
}

#[test]
fn both_architectures_are_a_matrix_with_their_checksums_in_a_map() {
    let text = format!(
        "\
name: demo
vars: {{ release: {{ default: '43' }} }}
maps:
  sums: {{ x86_64: 'sha256:{DIGITS}', arm64: 'sha256:{}' }}
  fedora_arch: {{ x86_64: x86_64, arm64: aarch64 }}
stages:
  base:
    matrix:
      axes: {{ arch: [x86_64, arm64] }}
      include: [{{ arch: x86_64, boot: uefi-preferred }}, {{ arch: arm64, boot: uefi }}]
    source:
      import:
        url: \"https://images.example/${{{{ vars.release }}}}/disk.${{{{ matrix.arch | map('fedora_arch') }}}}.qcow2\"
        checksum: \"${{{{ matrix.arch | map('sums') }}}}\"
        arch: \"${{{{ matrix.arch }}}}\"
    image: {{ name: \"demo-${{{{ cell }}}}-${{{{ run.id }}}}\", boot_mode: \"${{{{ matrix.boot }}}}\" }}
",
        DIGITS.replace('0', "f")
    );
    let loaded = files()
        .load(&text)
        .map_err(|error| error.to_string())
        .unwrap();
    let cells: Vec<(String, String, String)> = loaded
        .pipeline
        .stages
        .iter()
        .map(|cell| {
            let import = cell.import().unwrap();
            let ImportOrigin::Url(url) = &import.origin else {
                panic!("{import:?}");
            };
            let arch = import.arch.as_ref().unwrap().as_str().to_owned();
            let Some(ImportChecksum::Digest(digest)) = &import.checksum else {
                panic!("{import:?}");
            };
            (url.to_string(), digest.hex(), arch)
        })
        .collect();
    assert_eq!(
        cells,
        [
            (
                "https://images.example/43/disk.x86_64.qcow2".into(),
                DIGITS.into(),
                "x86_64".into()
            ),
            (
                "https://images.example/43/disk.aarch64.qcow2".into(),
                DIGITS.replace('0', "f"),
                "arm64".into()
            ),
        ]
    );
    // A fault that both cells have is told once, one that a cell has with that cell's name.
    let bad = text.replace("boot: uefi }", "boot: legacy-bios }");
    insta::assert_snapshot!(files().refuse(&bad));
    insta::assert_snapshot!(files().refuse(&text.replace("https://images", "ftp://images")));
}

#[test]
fn without_a_launch_the_image_is_registered_with_launch_it_is_built_on() {
    let alone = loaded(&with(FILE));
    assert!(alone.is_import() && !alone.is_copy());
    let built = loaded(&GOOD.replace(
        "{ image_id: ami-0123456789abcdef0 }",
        "{ import: { file: disk.raw } }",
    ));
    assert!(!built.is_import() && !built.is_copy() && built.import().is_some());
    let copied = loaded(&with(FILE).replace(
        "import: { file: disk.raw }",
        "image_id: ami-0123456789abcdef0",
    ));
    assert!(!copied.is_import() && copied.is_copy() && copied.import().is_none());
}

#[test]
fn an_image_that_is_registered_may_say_all_that_registering_takes() {
    for keys in [
        "boot_mode: uefi, tpm: v2.0, uefi_data: uefi.b64",
        "ena: false, sriov: true, imds: v2",
        "encrypted: true, kms_key_id: alias/images",
        "volumes: [{ device: /dev/sda1, size_gib: 10, type: gp3, iops: 4000, throughput: 200 }, { device: /dev/sdb, size_gib: 1 }]",
        "volumes: [{ device: sda1, type: gp2 }, { device: /dev/sdc, snapshot_id: snap-0a }]",
        "copy_to: [eu-west-1], deprecate_after: 30d, share: { accounts: ['123456789012'] }",
    ] {
        let text = with(FILE).replace("run.id }}\"", &format!("run.id }}}}\", {keys}"));
        if let Err(error) = files().load(&text) {
            panic!("{keys}: {error}");
        }
    }
}

#[test]
fn the_file_is_found_not_read() {
    /// A disk on which images cannot be read.
    struct Unreadable(Memory);
    impl pipeline::Files for Unreadable {
        fn read(&self, path: &Path) -> std::io::Result<Vec<u8>> {
            panic!("{} is read", path.display());
        }
        fn kind(&self, path: &Path) -> std::io::Result<pipeline::FileKind> {
            self.0.kind(path)
        }
        fn entries(
            &self,
            folder: &Path,
        ) -> std::io::Result<Vec<(std::ffi::OsString, pipeline::FileKind)>> {
            self.0.entries(folder)
        }
        fn digest(&self, path: &Path) -> std::io::Result<[u8; 32]> {
            panic!("{} is hashed", path.display());
        }
    }
    let keys = "file: disk.raw, checksum: { file: SHA256SUMS, signed_by: keys/fedora.asc }";
    let files = Unreadable(files().files);
    let loaded = pipeline::load(
        Path::new("p/pipeline.yaml"),
        with(keys).as_bytes(),
        &pipeline::LoadOptions::default(),
        &files,
    )
    .unwrap();
    let cell = &loaded.pipeline.stages[0];
    StageInputs::collect(cell, &files).unwrap();
    let named: Vec<&str> = cell
        .files(true)
        .iter()
        .map(|file| file.written.as_str())
        .collect();
    assert_eq!(named, ["disk.raw", "SHA256SUMS", "keys/fedora.asc"]);
}

#[test]
fn an_image_may_be_made_by_preflight() {
    let text = with("file: made/disk.raw").replace(
        "stages:",
        "preflight: [{ run: { inline: make-image, creates: [made/disk.raw] } }]\nstages:",
    );
    let cell = loaded(&text);
    let file = cell.import().unwrap().origin.file().unwrap();
    assert_eq!(file.presence, Presence::ToBeMade);
}

#[test]
fn of_an_import_two_facts_are_known() {
    let text = with(FILE).replace(
        "demo-${{ run.id }}",
        "${{ source.name }}-${{ source.id | replace(':', '-') }}",
    );
    let cell = loaded(&text);
    let facts = RunFacts {
        source_id: Some("sha256:0f".into()),
        source_name: Some(cell.import().unwrap().name().into()),
        ..RunFacts::default()
    };
    assert_eq!(cell.image.name.render(&facts).unwrap(), "disk-sha256-0f");
}

// What is refused.

fn refused(keys: &str) -> String {
    files().refuse(&with(keys))
}

macro_rules! import_answers {
    ($($name:ident: $keys:expr;)*) => {$(
        #[test]
        fn $name() {
            insta::with_settings!({ description => $keys, omit_expression => true }, {
                insta::assert_snapshot!(refused($keys));
            });
        }
    )*};
}

const SUM: &str =
    "checksum: sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const URL: &str = "url: https://images.example/disk.qcow2, checksum: sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

import_answers! {
    nothing_to_import: "format: raw";
    url_and_file: "url: https://images.example/disk.qcow2, file: disk.raw";
    url_without_checksum: "url: https://images.example/disk.qcow2";
    url_of_another_scheme: &format!("url: 's3://bucket/disk.raw', {SUM}");
    url_with_a_password: &format!("url: 'https://me:hunter2@images.example/disk.raw', {SUM}");
    url_with_a_space: &format!("url: 'https://images.example/my disk.raw', {SUM}");
    url_with_a_fragment: &format!("url: 'https://images.example/disk.raw#x', {SUM}");
    url_without_a_host: &format!("url: 'https:///disk.raw', {SUM}");
    url_without_a_file: &format!("url: https://images.example/disks/, {SUM}");
    url_of_a_run: &format!("url: \"https://images.example/${{{{ run.id }}}}.raw\", {SUM}");
    url_is_a_map: "url: { path: x }";
    file_is_missing: "file: disk.qcow2";
    file_is_a_folder: "file: keys";
    file_is_empty_text: "file: ''";
    checksum_too_short: "file: disk.raw, checksum: sha256:0123";
    checksum_too_long: "file: disk.raw, checksum: sha512:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    checksum_of_md5: "file: disk.raw, checksum: md5:d41d8cd98f00b204e9800998ecf8427e";
    checksum_without_algorithm: "file: disk.raw, checksum: 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    checksum_no_digits: "file: disk.raw, checksum: sha256:xyz";
    checksum_is_a_list: "file: disk.raw, checksum: [a]";
    checksum_file_nowhere: "file: disk.raw, checksum: { name: disk.raw }";
    checksum_file_twice: "file: disk.raw, checksum: { url: https://images.example/SUMS, file: SHA256SUMS }";
    checksum_file_url: "file: disk.raw, checksum: { url: images.example/SUMS }";
    checksum_file_is_missing: "file: disk.raw, checksum: { file: SUMS }";
    checksum_file_unknown_key: "file: disk.raw, checksum: { file: SHA256SUMS, signature: SHA256SUMS.asc }";
    checksum_name_of_two_lines: "file: disk.raw, checksum: { file: SHA256SUMS, name: \"a\\nb\" }";
    key_is_missing: "file: disk.raw, checksum: { file: SHA256SUMS, signed_by: keys/debian.asc }";
    format_word: "file: disk.raw, format: qcow";
    arch_word: "file: disk.raw, arch: aarch64";
    root_device_word: "file: disk.raw, root_device: disk0";
    backing_file_word: "file: disk.raw, backing_file: true";
    backing_file_of_a_download: &format!("{URL}, backing_file: allowed");
    backing_file_of_raw: "file: disk.raw, format: raw, backing_file: allowed";
    via_word: "file: disk.raw, via: s4";
    holes_word: "file: disk.raw, holes: zero";
    parent_word: "file: disk.raw, parent: vol-0a";
    bucket_via_ebs: "file: disk.raw, bucket: images";
    role_via_ebs: "file: disk.raw, via: ebs, role: vmimport";
    upload_as_via_ebs: "file: disk.raw, upload_as: raw";
    timeout_via_ebs: "file: disk.raw, timeout: 30m";
    attempts_via_ebs: "file: disk.raw, attempts: 3";
    holes_via_s3: "file: disk.raw, via: s3, bucket: images, holes: send";
    parent_via_s3: "file: disk.raw, via: s3, bucket: images, parent: snap-0a";
    bucket_missing: "file: disk.raw, via: s3";
    bucket_name: "file: disk.raw, via: s3, bucket: My_Images";
    bucket_as_a_url: "file: disk.raw, via: s3, bucket: 's3://images'";
    role_arn: "file: disk.raw, via: s3, bucket: images, role: 'arn:aws:iam::123456789012:role/vmimport'";
    upload_as_word: "file: disk.raw, via: s3, bucket: images, upload_as: vhdx";
    upload_of_a_qcow2: "file: disk.raw, format: qcow2, via: s3, bucket: images, upload_as: original";
    upload_with_a_backing_file: "file: disk.raw, backing_file: allowed, via: s3, bucket: images, upload_as: original";
    timeout_word: "file: disk.raw, via: s3, bucket: images, timeout: 30";
    no_attempts: "file: disk.raw, via: s3, bucket: images, attempts: 0";
    too_many_attempts: "file: disk.raw, via: s3, bucket: images, attempts: 11";
    unknown_key: "file: disk.raw, root: /dev/sda1";
    beside_another_source: "file: disk.raw }, image_id: ami-0a, pick: newest, tags: { A: b";
    beside_include_deprecated: "file: disk.raw }, include_deprecated: true, tags: { A: b";
}

/// The answer to keys of the image, or of the stage, beside an import.
fn beside(import: &str, image: &str, stage: &str) -> String {
    let text = with(import)
        .replace("run.id }}\"", &format!("run.id }}}}\"{image}"))
        .replace("    image:", &format!("{stage}    image:"));
    files().refuse(&text)
}

macro_rules! beside_answers {
    ($($name:ident: $import:expr, $image:expr, $stage:expr;)*) => {$(
        #[test]
        fn $name() {
            insta::assert_snapshot!(beside($import, $image, $stage));
        }
    )*};
}

beside_answers! {
    architecture_of_the_image: FILE, ", architecture: arm64", "";
    bios_on_arm64: "file: disk.raw, arch: arm64", ", boot_mode: legacy-bios", "";
    tpm_without_uefi: FILE, ", tpm: v2.0", "";
    parent_and_encryption: "file: disk.raw, parent: snap-0a", ", encrypted: true", "";
    volume_encrypted: FILE, ", volumes: [{ device: /dev/sda1, encrypted: true }]", "";
    root_of_another_snapshot: FILE, ", volumes: [{ device: sda1, snapshot_id: snap-0a }]", "";
    root_on_a_disk_that_cannot_boot: FILE, ", volumes: [{ device: /dev/sda1, size_gib: 200, type: st1 }]", "";
    root_left_out: FILE, ", volumes: [{ device: /dev/sda1, no_device: true }]", "";
    device_left_out: FILE, ", volumes: [{ device: /dev/sdb, no_device: true }]", "";
    volume_without_size: "file: disk.raw, root_device: /dev/xvda", ", volumes: [{ device: /dev/sda1, type: gp3 }]", "";
    tested: FILE, "", "    test: { provision: [{ run: { inline: x } }] }\n";
    tested_without_checks: FILE, "", "    test: {}\n";
    after_an_error: FILE, "", "    on_error: [{ run: { inline: x } }]\n";
    provisioned: FILE, "", "    provision: [{ run: { inline: x } }]\n";
    connected: FILE, "", "    connect: { user: me }\n";
    launched_only: FILE, "", "    launch: { instance_type: t3.micro }\n";
    created: FILE, ", description: \"of ${{ source.created }}\"", "";
    tagged: FILE, "", "    tags: { A: \"${{ source.tags.A | default('x') }}\" }\n";
}

#[test]
fn the_owner_of_a_disk_image_is_not_known_in_a_script_and_in_an_uploaded_template() {
    let text = GOOD.replace(
        "{ image_id: ami-0123456789abcdef0 }",
        "{ import: { file: disk.raw } }",
    );
    let owner = text.replace(
        "script: scripts/a.sh",
        "inline: \"echo ${{ source.owner }}\"",
    );
    insta::assert_snapshot!(files().refuse(&owner));
    let upload = text.replace(
        "{ from: files/, to: files/ }",
        "{ from: disk.tmpl, to: x, template: true }",
    );
    let mut with = files();
    with.files = with.files.with("p/disk.tmpl", "a\n${{ source.owner }}\n");
    insta::assert_snapshot!(with.refuse(&upload));
    // With an AMI for its source the same is known.
    let of_image = |text: &str| -> Result<(), LoadError> {
        let text = text.replace("{ import: { file: disk.raw } }", "{ image_id: ami-0a }");
        with.load(&text).map(|_| ())
    };
    assert!(of_image(&owner).is_ok() && of_image(&upload).is_ok());
}

#[test]
fn a_secret_may_not_stand_in_a_url() {
    let text = with(&format!(
        "url: \"https://images.example/${{{{ vars.token }}}}\", {SUM}"
    ))
    .replace("vars: {", "vars: { token: { env: TOKEN, secret: true },");
    insta::assert_snapshot!(files().refuse(&text));
}

// The cache key.

fn digest(text: &str) -> SourceIdentity {
    SourceIdentity::Import(Checksum::parse(text).unwrap())
}

fn sum() -> SourceIdentity {
    digest(&format!("sha256:{DIGITS}"))
}

fn inputs(text: &str) -> StageInputs {
    StageInputs::collect(&loaded(text), &files().files).unwrap()
}

fn key(text: &str) -> CacheKey {
    cache_key(&inputs(text), &sum(), &BTreeSet::new())
}

#[test]
fn where_a_disk_image_is_from_and_how_it_gets_to_ec2_is_not_in_the_key() {
    let first = key(&with(FILE));
    for keys in [
        URL,
        "file: SHA256SUMS",
        "file: disk.raw, checksum: { file: SHA256SUMS, name: x, signed_by: keys/fedora.asc }",
        &format!("file: disk.raw, checksum: sha512:{DIGITS}{DIGITS}"),
        "file: disk.raw, root_device: /dev/sda1, backing_file: refused, via: ebs, holes: send",
        "file: disk.raw, parent: snap-0a",
        "file: disk.raw, via: s3, bucket: images",
        "file: disk.raw, via: s3, bucket: others, role: importer, upload_as: original, timeout: 1h, attempts: 5",
    ] {
        assert_eq!(key(&with(keys)), first, "{keys}");
    }
}

#[test]
fn what_a_disk_image_is_taken_for_and_what_is_registered_is_in_the_key() {
    let mut seen = BTreeSet::from([key(&with(FILE))]);
    let mut add =
        |key: CacheKey, what: &str| assert!(seen.insert(key), "{what} does not change the key");
    for keys in [
        "file: disk.raw, format: raw",
        "file: disk.raw, format: qcow2",
        "file: disk.raw, arch: x86_64",
        "file: disk.raw, arch: arm64",
        "file: disk.raw, root_device: /dev/xvda",
        "file: disk.raw, backing_file: allowed",
        "file: disk.raw, holes: skip",
    ] {
        add(key(&with(keys)), keys);
    }
    for keys in [
        "boot_mode: uefi",
        "boot_mode: uefi, tpm: v2.0",
        "boot_mode: uefi, uefi_data: uefi.b64",
        "ena: false",
        "sriov: true",
        "imds: v2",
        "encrypted: true",
        "encrypted: true, kms_key_id: alias/a",
        "volumes: [{ device: /dev/sda1, size_gib: 10 }]",
        "volumes: [{ device: /dev/sda1, type: gp3 }]",
    ] {
        let text = with(FILE).replace("run.id }}\"", &format!("run.id }}}}\", {keys}"));
        add(key(&text), keys);
    }
    let other = digest(&format!("sha256:{}", DIGITS.replace('0', "1")));
    let inputs = inputs(&with(FILE));
    add(cache_key(&inputs, &other, &BTreeSet::new()), "the file");
    let longer = digest(&format!("sha512:{DIGITS}{DIGITS}"));
    add(
        cache_key(&inputs, &longer, &BTreeSet::new()),
        "the digest's algorithm",
    );
    add(
        key(&GOOD.replace(
            "{ image_id: ami-0123456789abcdef0 }",
            "{ import: { file: disk.raw } }",
        )),
        "a build on it",
    );
}

proptest! {
    #[test]
    fn no_way_of_saying_where_a_disk_image_is_changes_its_key(
        origin in prop::sample::select(vec!["file: disk.raw", "file: SHA256SUMS", "url: 'https://a.example/x'"]),
        checksum in prop::sample::select(vec!["{ file: SHA256SUMS, name: x }", "{ url: 'http://b.example/S' }"]),
        via in prop_oneof![
            Just("via: ebs".to_owned()),
            "snap-[0-9a-f]{8}".prop_map(|id| format!("parent: {id}")),
            ("[a-z]{3,20}", "[A-Za-z]{1,20}", 1u32..=10, 1u32..600).prop_map(|(bucket, role, attempts, minutes)| format!(
                "via: s3, bucket: bucket-{bucket}, role: role-{role}, attempts: {attempts}, timeout: {minutes}m"
            )),
        ],
        holes_are_said in any::<bool>(),
    ) {
        let holes = if holes_are_said && !via.contains("s3") { ", holes: send" } else { "" };
        let keys = format!("{origin}, checksum: {checksum}, {via}{holes}");
        prop_assert_eq!(key(&with(&keys)), key(&with(FILE)), "{}", keys);
    }

    #[test]
    fn one_bit_of_a_disk_images_digest_changes_the_key(bytes in any::<[u8; 32]>(), bit in 0usize..256) {
        let inputs = inputs(&with(FILE));
        let key = |bytes| cache_key(&inputs, &SourceIdentity::Import(Checksum::Sha256(bytes)), &BTreeSet::new());
        let mut other = bytes;
        other[bit / 8] ^= 1 << (bit % 8);
        prop_assert_ne!(key(bytes), key(other));
        let text = Checksum::Sha256(bytes).to_string();
        prop_assert_eq!(Checksum::parse(&text).unwrap(), Checksum::Sha256(bytes));
    }
}

#[test]
fn the_key_of_an_import_is_the_same_on_every_machine_and_day() {
    assert_eq!(sum().to_string(), format!("import:sha256:{DIGITS}"));
    // Changing this value means that no image made before is found again: raise `cache_key::VERSION` with it.
    insta::assert_snapshot!(key(ALONE));
}

#[test]
fn a_plan_can_say_what_changed_of_an_import() {
    let old = InputSummary::new(&inputs(ALONE), &sum());
    let tags: BTreeMap<String, String> = old.tags().into_iter().collect();
    assert!(
        tags.values()
            .flat_map(|value| value.chars())
            .all(|c| c.is_ascii_alphanumeric() || " =.-".contains(c)),
        "{tags:?}"
    );
    let read = InputSummary::from_tags(|key| tags.get(key).map(String::as_str));
    assert_eq!(read.unwrap().unwrap(), old);
    let changes =
        |text: &str, source: &SourceIdentity| InputSummary::changes(&old, &inputs(text), source);
    assert!(changes(ALONE, &sum()).is_empty());
    let skipped = ALONE.replace("checksum:", "holes: skip\n        checksum:");
    assert_eq!(changes(&skipped, &sum()), ["import"]);
    let imds = ALONE.replace("run.id }}\"", "run.id }}\", imds: v2");
    assert_eq!(changes(&imds, &sum()), ["image properties"]);
    let other = digest(&format!("sha256:f{}", &DIGITS[1..]));
    assert_eq!(
        changes(ALONE, &other),
        ["source image: import-sha256-f123456789abcdef instead of import-sha256-0123456789abcdef"]
    );
}

// What editors are told.

#[test]
fn editors_take_what_loads_and_refuse_most_of_what_does_not() {
    let schema = json_schema();
    let good = [
        FILE,
        URL,
        "file: disk.raw, checksum: { file: SHA256SUMS, name: x, signed_by: keys/fedora.asc }",
        "url: https://images.example/disk.raw, checksum: { url: http://127.0.0.1:80/S }, format: raw, arch: arm64, root_device: /dev/xvda",
        "file: disk.raw, via: s3, bucket: images, role: importer, upload_as: original, timeout: 1h, attempts: 5",
        "file: disk.raw, backing_file: allowed, via: ebs, holes: skip, parent: snap-0a",
    ];
    for keys in good {
        let text = with(keys);
        assert!(files().load(&text).is_ok(), "{keys}");
        let found = json::violations(&schema, &text);
        assert!(found.is_empty(), "{keys}: {found:#?}");
    }
    // An expression may stand wherever a form is asked for.
    let later = "file: \"${{ vars.v }}\", via: \"${{ vars.v }}\", bucket: \"${{ vars.v }}\", arch: \"${{ vars.v }}\", \
                 checksum: \"${{ vars.v }}\", format: \"${{ vars.v }}\", attempts: \"${{ vars.v }}\", backing_file: \"${{ vars.v }}\"";
    let found = json::violations(&schema, &with(later));
    assert!(found.is_empty(), "{found:#?}");
    for keys in [
        "format: raw",
        "url: https://images.example/disk.qcow2, file: disk.raw",
        &format!("{URL}, file: disk.raw"),
        "url: https://images.example/disk.qcow2",
        &format!("url: 's3://bucket/disk.raw', {SUM}"),
        &format!("url: 'https://me@images.example/disk.raw', {SUM}"),
        &format!("url: 'https://images.example/my disk.raw', {SUM}"),
        "file: disk.raw, checksum: sha256:0123",
        "file: disk.raw, checksum: md5:d41d8cd98f00b204e9800998ecf8427e",
        "file: disk.raw, checksum: { name: disk.raw }",
        "file: disk.raw, checksum: { url: https://images.example/SUMS, file: SHA256SUMS }",
        "file: disk.raw, checksum: { file: SHA256SUMS, signature: x }",
        "file: disk.raw, format: qcow",
        "file: disk.raw, arch: aarch64",
        "file: disk.raw, root_device: disk0",
        "file: disk.raw, backing_file: true",
        &format!("{URL}, backing_file: allowed"),
        "file: disk.raw, via: s4",
        "file: disk.raw, holes: zero",
        "file: disk.raw, parent: vol-0a",
        "file: disk.raw, bucket: images",
        "file: disk.raw, via: ebs, bucket: images",
        "file: disk.raw, role: vmimport",
        "file: disk.raw, upload_as: raw",
        "file: disk.raw, timeout: 30m",
        "file: disk.raw, attempts: 3",
        "file: disk.raw, via: s3, bucket: images, holes: send",
        "file: disk.raw, via: s3, bucket: images, parent: snap-0a",
        "file: disk.raw, via: s3",
        "file: disk.raw, via: s3, bucket: My_Images",
        "file: disk.raw, via: s3, bucket: images, role: 'arn:aws:iam::123456789012:role/vmimport'",
        "file: disk.raw, via: s3, bucket: images, upload_as: vhdx",
        "file: disk.raw, via: s3, bucket: images, attempts: 0",
        "file: disk.raw, via: s3, bucket: images, attempts: 11",
        "file: disk.raw, root: /dev/sda1",
    ] {
        let text = with(keys);
        assert!(files().load(&text).is_err(), "{keys}");
        assert!(
            !json::violations(&schema, &text).is_empty(),
            "{keys} is taken"
        );
    }
}
