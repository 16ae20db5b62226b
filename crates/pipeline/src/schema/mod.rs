//! The pipeline's format for editors and readers, made from the model's types.

mod reference;

pub use reference::reference_markdown;

use crate::model::Pipeline;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

/// The JSON Schema (draft 2020-12) of a pipeline file, for editors.
///
/// Wherever a value has a form, a text with `${{ … }}` is allowed besides, since variables are put in before the form
/// is checked. `x-run-time` marks texts that may use run-time expressions, `x-secret` those that may hold secrets.
pub fn json_schema() -> Value {
    let mut schema = plain_schema();
    if let Value::Object(root) = &mut schema {
        root.insert("title".into(), "A qib pipeline".into());
        allow_expressions_below(root);
    }
    schema
}

/// The schema as the types give it.
fn plain_schema() -> Value {
    // A key that is left out is not null: null is refused everywhere, so options are not nullable.
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = generator.into_root_schema_for::<Pipeline>().to_value();
    remove_null(&mut schema);
    schema
}

fn remove_null(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(remove_null),
        Value::Object(object) => {
            if let Some(Value::Array(kinds)) = object.get_mut("type") {
                kinds.retain(|kind| kind != "null");
                if let [only] = kinds.as_slice() {
                    let only = only.clone();
                    object.insert("type".into(), only);
                }
            }
            if let Some(Value::Array(choices)) = object.get_mut("enum") {
                choices.retain(|choice| !choice.is_null());
            }
            if object.get("default").is_some_and(Value::is_null) {
                object.remove("default");
            }
            if let Some(Value::Array(choices)) = object.get_mut("anyOf") {
                choices.retain(|choice| choice.get("type").is_none_or(|kind| kind != "null"));
                if let [only] = choices.as_slice() {
                    let only = only.clone();
                    object.remove("anyOf");
                    if let Value::Object(only) = only {
                        for (key, value) in only {
                            object.entry(key).or_insert(value);
                        }
                    }
                }
            }
            object.values_mut().for_each(remove_null);
        }
        _ => {}
    }
}

fn allow_expressions_below(object: &mut Map<String, Value>) {
    for (key, value) in object.iter_mut() {
        match (key.as_str(), value) {
            ("properties" | "patternProperties" | "$defs", Value::Object(named)) => {
                named.values_mut().for_each(allow_expressions)
            }
            ("items" | "additionalProperties", value) => allow_expressions(value),
            ("anyOf" | "oneOf", Value::Array(choices)) => choices.iter_mut().for_each(|choice| {
                if let Value::Object(choice) = choice {
                    allow_expressions_below(choice);
                }
            }),
            _ => {}
        }
    }
}

fn allow_expressions(schema: &mut Value) {
    let Value::Object(object) = schema else {
        return;
    };
    allow_expressions_below(object);
    if has_form(object) {
        let mut outer = Map::new();
        for key in ["description", "default"] {
            if let Some(value) = object.remove(key) {
                outer.insert(key.into(), value);
            }
        }
        let inner = std::mem::take(object);
        outer.insert(
            "anyOf".into(),
            json!([inner, { "type": "string", "pattern": "\\$\\{\\{" }]),
        );
        *object = outer;
    }
}

/// Whether a schema takes some scalars and not others.
fn has_form(object: &Map<String, Value>) -> bool {
    let scalar = |kind: &Value| matches!(kind.as_str(), Some("integer" | "number" | "boolean"));
    let kinds = match object.get("type") {
        Some(Value::Array(kinds)) => kinds.iter().any(scalar),
        Some(kind) => scalar(kind),
        None => false,
    };
    let word =
        |choice: &Value| choice.get("const").is_some() || choice.as_object().is_some_and(has_form);
    let words = ["anyOf", "oneOf"]
        .iter()
        .filter_map(|key| object.get(*key))
        .filter_map(Value::as_array);
    kinds
        || object.contains_key("enum")
        || (object.contains_key("pattern") && object.get("type").is_some())
        || words.flatten().any(word)
}
