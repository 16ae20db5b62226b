//! The pipelines that come with qib load in a rehearsal, without any argument, and editors find nothing wrong with them.

mod support;

use pipeline::model::{ImportChecksum, ImportOrigin};
use pipeline::schema::json_schema;
use pipeline::{Disk, GitFacts, LoadOptions, load};
use std::path::Path;
use support::json::violations;

#[test]
fn every_shipped_pipeline_loads_in_a_rehearsal() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pipelines");
    let mut loaded = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let options = LoadOptions {
            local: true,
            vars: Vec::new(),
            vars_files: Vec::new(),
            env: &|_| None,
            home: None,
            // They are in a checkout.
            git: &|| {
                Some(GitFacts {
                    sha: "0123456789abcdef0123456789abcdef01234567".into(),
                    branch: Some("main".into()),
                    dirty: false,
                    user: None,
                })
            },
            ..LoadOptions::default()
        };
        if let Err(error) = load(&path, &std::fs::read(&path).unwrap(), &options, &Disk) {
            panic!("{error}");
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let found = violations(&json_schema(), &text);
        assert!(found.is_empty(), "{}: {found:#?}", path.display());
        loaded += 1;
    }
    assert!(loaded >= 2, "{} holds no pipelines", folder.display());
}

#[test]
fn fedoras_images_are_where_fedora_has_them() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pipelines/fedora-import.yaml");
    let bytes = std::fs::read(&path).unwrap();
    let loaded = load(&path, &bytes, &LoadOptions::default(), &Disk);
    let loaded = loaded.map_err(|error| error.to_string()).unwrap();
    let releases = "https://download.fedoraproject.org/pub/fedora/linux/releases/43/Cloud";
    let found: Vec<String> = loaded
        .pipeline
        .stages
        .iter()
        .flat_map(|cell| {
            let import = cell.import().unwrap();
            let Some(ImportChecksum::Listed(list)) = &import.checksum else {
                panic!("{import:?}");
            };
            assert_eq!(list.name, None);
            assert!(cell.is_import());
            [&import.origin, &list.origin].map(|origin| match origin {
                ImportOrigin::Url(url) => url.to_string(),
                ImportOrigin::File(file) => panic!("{file:?}"),
            })
        })
        .collect();
    let wanted = ["x86_64", "aarch64"].map(|machine| {
        [
            format!("{releases}/{machine}/images/Fedora-Cloud-Base-Generic-43-1.6.{machine}.qcow2"),
            format!("{releases}/{machine}/images/Fedora-Cloud-43-1.6-{machine}-CHECKSUM"),
        ]
    });
    assert_eq!(found, wanted.concat());
}
