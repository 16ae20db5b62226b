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

/// Loads a pipeline with those variables, whose stage has those as its image's name.
fn with_vars(vars: &str, name: &str) -> String {
    format!(
        "name: demo\nvars:\n{vars}\nstages:\n  base:\n    source: {{ image_id: ami-0123456789abcdef0 }}\n    \
         launch: {{ instance_type: t3.micro }}\n    connect: {{ user: ec2-user }}\n    image: {{ name: \"{name}\" }}\n"
    )
}

#[test]
fn a_derived_variable_is_made_of_others_in_any_order() {
    let text = with_vars(
        "  a: { derive: \"${{ vars.b }}-${{ vars.z | minor }}\" }\n  b: { derive: \"${{ vars.z | major }}${{ git.branch }}\" }\n  \
         z: { default: 4.12.3 }",
        "name ${{ vars.a }}",
    );
    let mut setup = Setup {
        git: Some(pipeline::GitFacts {
            sha: "0".repeat(40),
            branch: Some("main".into()),
            dirty: false,
            user: None,
        }),
        ..Setup::default()
    };
    let value = |setup: &Setup, name: &str| {
        let loaded = setup
            .load(&text)
            .map_err(|error| error.to_string())
            .unwrap();
        let value = loaded.values.get(name).unwrap().clone();
        (value.secret.expose().to_owned(), value.origin)
    };
    assert_eq!(value(&setup, "a"), ("4main-4.12".into(), Origin::Derived));
    setup.vars = vec!["z=5.1.0"];
    assert_eq!(value(&setup, "a"), ("5main-5.1".into(), Origin::Derived));
    // What is given by hand goes before.
    setup.vars = vec!["b=mine"];
    assert_eq!(value(&setup, "a"), ("mine-4.12".into(), Origin::Derived));
    assert_eq!(value(&setup, "b"), ("mine".into(), Origin::CommandLine));
}

#[test]
fn what_is_derived_from_a_secret_is_one() {
    let text = with_vars(
        "  token: { env: TOKEN, secret: true }\n  header: { derive: \"Bearer ${{ vars.token }}\" }\n  \
         again: { derive: \"${{ vars.header | upper }}\" }",
        "x${{ run.id }}",
    );
    let mut setup = Setup {
        env: vec![("TOKEN", "hunter2")],
        ..Setup::default()
    };
    let loaded = setup
        .load(&text)
        .map_err(|error| error.to_string())
        .unwrap();
    let secrets: Vec<&str> = loaded
        .values
        .secrets()
        .map(|secret| secret.expose())
        .collect();
    assert_eq!(secrets, ["BEARER HUNTER2", "Bearer hunter2", "hunter2"]);
    insta::assert_snapshot!(setup.refuse(&text.replace("x$", "${{ vars.again }}$")));
    // So is what is given in its place.
    setup.vars_files = vec![("v.yaml", "header: Basic abc\n")];
    let loaded = setup
        .load(&text)
        .map_err(|error| error.to_string())
        .unwrap();
    assert!(loaded.values.get("header").unwrap().is_secret);
}

#[test]
fn a_pattern_holds_for_a_derived_value_too_and_shows_no_secret() {
    let text = with_vars(
        "  token: { default: hunter2, secret: true }\n  header: { derive: \"x ${{ vars.token }}\", pattern: '[0-9]+' }",
        "x${{ run.id }}",
    );
    insta::assert_snapshot!(Setup::default().refuse(&text));
}

const PROFILES: &str = "\
profiles:
  east: { vars: { x: from-east, region: us-east-1 } }
  west: { vars: { region: us-west-2 } }
";

fn profile_text() -> String {
    TEXT.replace("vars.x }}", "vars.x }}${{ vars.region }}")
        .replace(
            "vars:",
            "vars:\n  region: { default: nowhere, env: REGION }",
        )
        + PROFILES
}

#[test]
fn a_profile_goes_before_the_environment_and_a_later_one_before_an_earlier() {
    let value = |setup: &Setup, name: &str| {
        let loaded = setup
            .load(&profile_text())
            .map_err(|e| e.to_string())
            .unwrap();
        let value = loaded.values.get(name).unwrap().clone();
        (value.secret.expose().to_owned(), value.origin)
    };
    let mut setup = Setup {
        env: vec![("X", "from-env"), ("REGION", "from-env")],
        ..Setup::default()
    };
    assert_eq!(value(&setup, "x").0, "from-env");
    setup.profiles = vec!["east"];
    assert_eq!(
        value(&setup, "x"),
        ("from-east".into(), Origin::Profile("east".into()))
    );
    setup.profiles = vec!["east", "west"];
    assert_eq!(value(&setup, "x").0, "from-east");
    assert_eq!(
        value(&setup, "region"),
        ("us-west-2".into(), Origin::Profile("west".into()))
    );
    setup.profiles = vec!["west", "east"];
    assert_eq!(value(&setup, "region").0, "us-east-1");
    setup.vars_files = vec![("v.yaml", "x: from-file\n")];
    assert_eq!(value(&setup, "x").0, "from-file");
    setup.vars = vec!["x=from-hand"];
    assert_eq!(value(&setup, "x").0, "from-hand");
}

#[test]
fn a_secret_in_a_profile_is_not_shown() {
    let text = with_vars(
        "  token: { env: TOKEN, secret: true, pattern: '[0-9]+' }",
        "x${{ run.id }}",
    ) + "profiles: { p: { vars: { token: hunter2 } } }\n";
    let setup = Setup {
        profiles: vec!["p"],
        ..Setup::default()
    };
    let error = setup.refuse(&text);
    assert!(!error.contains("hunter2"), "{error}");
    let wrong = setup.refuse(&text.replace("hunter2", "[hunter2]"));
    assert!(!wrong.contains("hunter2\n"), "{wrong}");
}

macro_rules! answers {
    ($($name:ident: $setup:expr, $text:expr;)*) => {$(
        #[test]
        fn $name() {
            insta::with_settings!({ omit_expression => true }, {
                insta::assert_snapshot!($setup.refuse(&$text));
            });
        }
    )*};
}

fn using(profiles: &[&'static str]) -> Setup {
    Setup {
        profiles: profiles.to_vec(),
        ..Setup::default()
    }
}

answers! {
    derive_and_default: Setup::default(), with_vars("  a: { default: x, derive: \"${{ vars.b }}\" }\n  b: { default: y }", "x${{ vars.a }}");
    derive_in_a_circle: Setup::default(), with_vars("  a: { derive: \"${{ vars.b }}\" }\n  b: { derive: \"${{ vars.c }}\" }\n  c: { derive: \"${{ vars.b }}!\" }", "x${{ vars.a }}");
    derive_from_itself: Setup::default(), with_vars("  a: { derive: \"${{ vars.a }}\" }", "x${{ vars.a }}");
    derive_undeclared: Setup::default(), with_vars("  a: { derive: \"${{ vars.size }}\" }\n  sizes: { default: x }", "x${{ vars.a }}");
    derive_of_what_has_no_value: Setup::default(), with_vars("  a: { derive: \"${{ vars.b }}\" }\n  b: { env: B }", "x${{ vars.a }}");
    derive_of_a_run_time_name: Setup::default(), with_vars("  a: { derive: \"x-${{ run.id }}\" }", "x${{ vars.a }}");
    derive_of_a_matrix: Setup::default(), with_vars("  a: { derive: \"x-${{ matrix.os }}\" }", "x${{ vars.a }}");
    derive_of_the_name: Setup::default(), with_vars("  a: { derive: \"x-${{ pipeline.name }}\" }", "x${{ vars.a }}");
    derive_a_list: Setup::default(), with_vars("  a: { derive: [x] }", "x${{ vars.a }}");
    derive_nothing: Setup::default(), with_vars("  a: { derive: '' }", "x${{ vars.a }}");
    derive_no_version: Setup::default(), with_vars("  a: { derive: \"${{ vars.b | minor }}\" }\n  b: { default: latest }", "x${{ vars.a }}");
    use_of_an_unknown_profile: using(&["eest"]), profile_text();
    use_of_a_far_profile: using(&["production"]), profile_text();
    use_without_profiles: using(&["east"]), TEXT;
    profile_with_an_undeclared_variable: Setup::default(), profile_text().replace("{ region: us-west-2 }", "{ regoin: us-west-2 }");
    profile_with_an_unknown_key: Setup::default(), profile_text().replace("west: { vars:", "west: { var:");
    profile_with_an_expression: Setup::default(), profile_text().replace("us-west-2", "\"${{ vars.x }}\"");
    profile_with_a_list: Setup::default(), profile_text().replace("us-west-2", "[us-west-2]");
    profile_with_an_empty_value: Setup::default(), profile_text().replace("us-west-2", "''");
    profiles_are_a_list: Setup::default(), TEXT.to_owned() + "profiles: [east]\n";
    profile_name: Setup::default(), TEXT.to_owned() + "profiles: { 'a b': { vars: { x: y } } }\n";
}
