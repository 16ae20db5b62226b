//! Where a variable's value comes from.

use crate::memory::{Memory, Setup};
use pipeline::Origin;

const TEXT: &str = "\
name: demo
vars:
  x: { default: from-default, env: X, file: x.txt, rehearsal: from-rehearsal }
stages:
  base:
    source: { image_id: ami-0123456789abcdef0 }
    launch: { instance_type: t3.micro }
    connect: { user: ec2-user }
    image: { name: \"${{ vars.x }}\" }
";

fn value(setup: &Setup) -> (String, Origin) {
    let loaded = setup.load(TEXT).map_err(|error| error.to_string()).unwrap();
    let value = loaded.values.get("x").unwrap().clone();
    assert_eq!(
        loaded.pipeline.stages[0].image.name.as_literal(),
        Some(value.secret.expose())
    );
    (value.secret.expose().to_owned(), value.origin)
}

#[test]
fn each_source_goes_before_the_next() {
    let mut setup = Setup::default();
    assert_eq!(value(&setup), ("from-default".into(), Origin::Default));
    setup.local = true;
    assert_eq!(value(&setup), ("from-rehearsal".into(), Origin::Rehearsal));
    setup.files = Memory::default().with("p/x.txt", "from-file\n");
    assert_eq!(
        value(&setup),
        ("from-file".into(), Origin::File("p/x.txt".into()))
    );
    setup.env = vec![("X", "from-env")];
    assert_eq!(
        value(&setup),
        ("from-env".into(), Origin::Environment("X".into()))
    );
    setup.vars_files = vec![
        ("one.yaml", "x: from-one\n"),
        ("two.json", "{\"x\": \"from-two\"}"),
    ];
    assert_eq!(
        value(&setup),
        ("from-two".into(), Origin::VarsFile("two.json".into()))
    );
    setup.vars = vec!["x=from-first", "x=from-last"];
    assert_eq!(value(&setup), ("from-last".into(), Origin::CommandLine));
}

#[test]
fn an_empty_environment_variable_counts_as_none() {
    let setup = Setup {
        env: vec![("X", "")],
        ..Setup::default()
    };
    assert_eq!(value(&setup).1, Origin::Default);
}

#[test]
fn a_rehearsal_value_counts_in_a_rehearsal_only() {
    let text = TEXT.replace("default: from-default, ", "");
    assert!(
        Setup {
            local: true,
            ..Setup::default()
        }
        .load(&text)
        .is_ok()
    );
    insta::assert_snapshot!(Setup::default().refuse(&text));
}

#[test]
fn what_is_given_by_hand_must_be_declared_and_used() {
    insta::assert_snapshot!(
        Setup {
            vars: vec!["xx=1"],
            ..Setup::default()
        }
        .refuse(TEXT)
    );
    insta::assert_snapshot!(
        Setup {
            vars_files: vec![("v.yaml", "x: a\ny: b\n")],
            ..Setup::default()
        }
        .refuse(TEXT)
    );
    insta::assert_snapshot!(
        Setup {
            vars_files: vec![("v.yaml", "x:\n")],
            ..Setup::default()
        }
        .refuse(TEXT)
    );
    insta::assert_snapshot!(
        Setup {
            vars_files: vec![("v.yaml", "- x\n")],
            ..Setup::default()
        }
        .refuse(TEXT)
    );
    let unused = TEXT.replace("${{ vars.x }}", "fixed-name");
    insta::assert_snapshot!(
        Setup {
            vars: vec!["x=1"],
            ..Setup::default()
        }
        .refuse(&unused)
    );
    insta::assert_snapshot!(
        Setup {
            vars: vec!["x="],
            ..Setup::default()
        }
        .refuse(TEXT)
    );
}

#[test]
fn a_vars_file_with_a_secret_is_never_shown() {
    let error = Setup {
        vars_files: vec![("v.yaml", "y: hunter2\n")],
        ..Setup::default()
    }
    .refuse(TEXT);
    assert!(
        error.contains("v.yaml:1:1") && !error.contains("hunter2"),
        "{error}"
    );
}

#[test]
fn the_home_folder_and_the_pipelines_folder_are_where_paths_begin() {
    let text = TEXT.replace("file: x.txt", "file: ~/x.txt");
    let setup = Setup {
        files: Memory::default().with("/home/me/x.txt", "home\r\n"),
        ..Setup::default()
    };
    let loaded = setup
        .load(&text)
        .map_err(|error| error.to_string())
        .unwrap();
    assert_eq!(loaded.values.get("x").unwrap().secret.expose(), "home");
}
