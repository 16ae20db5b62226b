//! `outputs`: what is taken and what is refused.

use crate::bad_input::{GOOD, setup};
use pipeline::model::{OutputContent, OutputKind};
use pipeline::template::{ImageFacts, RunFacts};
use std::collections::BTreeMap;

fn with(outputs: &str) -> String {
    format!("{GOOD}outputs:\n{outputs}\n")
}

#[test]
fn every_format_is_taken_with_its_keys() {
    let outputs = r#"
  - { write: a.json }
  - { write: manifest.json, format: manifest, data: { KEY: "${{ image.name }}" } }
  - { write: "${{ region }}.properties", format: properties }
  - { write: b.env, format: dotenv, stage: base, key: "${{ stage.name }}", value: "${{ image.id }}" }
  - { write: out, format: github }
  - { write: ids.json, format: grouped, group_by: "${{ region }}", entry: { id: "${{ image.id }}", t: "${{ image.tags['a b'] }}" } }
  - { write: junit.xml, format: junit }
  - { update: kept.yaml, from: scripts/a.sh, set: { "a.b[0].\"c.d\"": "${{ image.id }}" } }"#;
    let loaded = setup()
        .load(&with(outputs))
        .map_err(|e| e.to_string())
        .unwrap();
    assert_eq!(loaded.pipeline.outputs.len(), 8);
    let OutputKind::Write {
        content: OutputContent::Grouped { entry, .. },
        ..
    } = &loaded.pipeline.outputs[5].value.kind
    else {
        panic!("it is grouped");
    };
    let facts = RunFacts {
        image: Some(ImageFacts {
            id: "ami-1".into(),
            tags: BTreeMap::from([("a b".into(), "x".into())]),
            ..ImageFacts::default()
        }),
        ..RunFacts::default()
    };
    assert_eq!(entry["id"].render(&facts).unwrap(), "ami-1");
    assert_eq!(entry["t"].render(&facts).unwrap(), "x");
}

#[test]
fn wrong_forms_are_refused() {
    for (name, output) in [
        ("neither_write_nor_update", "  - { format: json }"),
        (
            "both_write_and_update",
            "  - { write: a, update: b, set: { a: b } }",
        ),
        ("unknown_format", "  - { write: a, format: xml }"),
        (
            "format_with_update",
            "  - { update: a, format: json, set: { a: b } }",
        ),
        ("update_without_set", "  - { update: a }"),
        ("set_with_write", "  - { write: a, set: { a: b } }"),
        ("a_path_that_is_none", "  - { update: a, set: { a..b: c } }"),
        (
            "grouped_without_entry",
            "  - { write: a, format: grouped, group_by: x }",
        ),
        (
            "grouped_without_group",
            "  - { write: a, format: grouped, entry: { a: b } }",
        ),
        ("entry_with_json", "  - { write: a, entry: { a: b } }"),
        (
            "key_without_value",
            "  - { write: a, format: dotenv, key: a }",
        ),
        (
            "key_with_manifest",
            "  - { write: a, format: manifest, key: a, value: b }",
        ),
        (
            "data_with_properties",
            "  - { write: a, format: properties, data: { a: b } }",
        ),
        (
            "unknown_stage",
            "  - { write: a, format: manifest, stage: bas }",
        ),
        ("stage_with_json", "  - { write: a, stage: base }"),
        (
            "image_in_a_name_of_the_whole_run",
            "  - { write: \"${{ image.id }}.json\" }",
        ),
        (
            "matrix_that_no_stage_has",
            "  - { write: \"${{ matrix.os }}\", format: manifest }",
        ),
        ("a_file_without_a_name", "  - { write: \"\" }"),
        ("a_folder", "  - { write: out/ }"),
        (
            "one_file_twice",
            "  - { write: a }\n  - { write: a, format: junit }",
        ),
        (
            "a_key_that_no_shell_takes",
            "  - { write: a, format: dotenv, key: a-b, value: x }",
        ),
        (
            "a_key_that_github_reads_otherwise",
            "  - { write: a, format: github, key: a=b, value: x }",
        ),
        (
            "from_that_is_missing",
            "  - { update: a, from: nowhere.yaml, set: { a: b } }",
        ),
        (
            "secret_in_an_output",
            "  - { write: a, format: manifest, data: { a: \"${{ vars.token }}\" } }",
        ),
    ] {
        insta::assert_snapshot!(name, setup().refuse(&with(output)));
    }
}

#[test]
fn what_is_appended_may_be_one_file_many_times() {
    let outputs =
        "  - { write: a, format: github }\n  - { write: a, format: github, key: a-b, value: x }";
    setup()
        .load(&with(outputs))
        .map_err(|e| e.to_string())
        .unwrap();
}

#[test]
fn an_image_s_name_stands_in_outputs_only() {
    let text = GOOD.replacen("demo-${{ run.id }}", "demo-${{ image.id }}", 1);
    insta::assert_snapshot!(setup().refuse(&text));
}
