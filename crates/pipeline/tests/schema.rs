//! The reference and the editors' schema come from the types.

use pipeline::schema::{json_schema, reference_markdown};

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
