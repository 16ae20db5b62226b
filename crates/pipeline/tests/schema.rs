//! The reference and the editors' schema come from the types.

mod support;

use pipeline::schema::{json_schema, reference_markdown};
use support::json::violations;

#[test]
fn the_reference_is_complete() {
    insta::assert_snapshot!(reference_markdown());
}

#[test]
fn the_schema_allows_expressions_where_a_form_is_asked_for() {
    let schema = json_schema();
    let volume = &schema["$defs"]["Volume"]["properties"];
    let size = volume["size_gib"]["anyOf"].as_array().unwrap();
    assert_eq!(size[0]["type"], "integer");
    assert_eq!(size[1]["pattern"], "\\$\\{\\{");
    assert_eq!(schema["$defs"]["Stage"]["additionalProperties"], false);
    assert_eq!(
        schema["$defs"]["Image"]["properties"]["name"]["x-run-time"],
        true
    );
}

/// A pipeline that uses the language's keys, and one slip in each.
const LANGUAGE: &str = "\
name: demo
include: [common.yaml]
vars: { v: { default: 4.10 }, w: { derive: \"${{ vars.v | minor }}\" } }
maps: { short: { paravirtual: pv, 8: 80 } }
profiles: { east: { vars: { v: 5 } } }
step_sets: { common: [{ run: { inline: x }, when: false }, { use: other }] }
stages:
  base:
    matrix: { axes: { os: [el9, 10], big: [true] }, include: [{ os: el9, ami: ami-01 }], exclude: [{ os: 10 }], name: x }
    when: matrix.os == 'el9'
    region: us-east-1
    source: { stage: other, cell: a }
    launch: { instance_type: t3.micro }
    connect: { user: me }
    provision: [{ use: common, when: true }, { upload: { from: a, to: b }, when: vars.v == '5' }]
    image: { name: abc }
";

#[test]
fn editors_know_the_languages_keys_and_their_wrong_forms() {
    let schema = json_schema();
    let right = violations(&schema, LANGUAGE);
    assert!(right.is_empty(), "{right:#?}");
    for (from, to) in [
        ("include: [common.yaml]", "include: common.yaml"),
        ("derive: \"${{ vars.v | minor }}\"", "derived: x"),
        ("paravirtual: pv", "paravirtual: [pv]"),
        ("east: { vars", "east: { var"),
        ("v: 5", "v: [5]"),
        (
            "common: [{ run: { inline: x }, when: false }, { use: other }]",
            "common: { run: { inline: x } }",
        ),
        ("when: false }", "whn: false }"),
        ("{ use: other }", "{ use: other, run: { inline: x } }"),
        ("{ use: other }", "{ when: true }"),
        ("axes: {", "axis: {"),
        ("[el9, 10]", "el9"),
        ("[el9, 10]", "[]"),
        ("include: [{ os: el9, ami", "include: [{ 'o s': el9, ami"),
        ("exclude: [{ os: 10 }]", "exclude: { os: 10 }"),
        ("cell: a", "cell: 'a b'"),
        ("when: matrix.os == 'el9'", "when: [a]"),
    ] {
        let text = LANGUAGE.replacen(from, to, 1);
        assert_ne!(text, LANGUAGE, "{from}");
        assert!(!violations(&schema, &text).is_empty(), "{to} is taken");
    }
}
