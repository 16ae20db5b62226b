//! As much of JSON Schema as the pipeline's schema uses, written by the specification (draft 2020-12).

use regex::Regex;
use serde_json::Value;

/// Keywords that say nothing about what is valid.
const NOTES: [&str; 8] = [
    "$schema",
    "$defs",
    "title",
    "description",
    "default",
    "format",
    "x-run-time",
    "x-secret",
];

/// Where a YAML text does not fit the schema.
pub fn violations(schema: &Value, yaml: &str) -> Vec<String> {
    let value: Value = serde_saphyr::from_str(yaml).expect("YAML");
    let mut found = Vec::new();
    check(schema, schema, &value, "", &mut found);
    found
}

fn check(root: &Value, schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    let Value::Object(keywords) = schema else {
        if schema == &Value::Bool(false) {
            found.push(format!("{at}: nothing may stand here"));
        }
        return;
    };
    let fits = |schema: &Value| {
        let mut inner = Vec::new();
        check(root, schema, value, at, &mut inner);
        inner
    };
    let mut here = Vec::new();
    for (keyword, rule) in keywords {
        let list = || rule.as_array().expect("a list");
        match keyword.as_str() {
            "$ref" => {
                let path = rule.as_str().and_then(|path| path.strip_prefix('#'));
                let target = root.pointer(path.expect("a local reference"));
                for inner in fits(target.expect("what it refers to")) {
                    here.push(inner);
                }
            }
            "type" => {
                let kinds: Vec<&Value> = rule
                    .as_array()
                    .map_or(vec![rule], |all| all.iter().collect());
                if !kinds
                    .iter()
                    .any(|kind| is(value, kind.as_str().expect("a word")))
                {
                    here.push(format!("{value} is no {rule}"));
                }
            }
            "const" if rule != value => here.push(format!("{value} is not {rule}")),
            "enum" if !list().contains(value) => here.push(format!("{value} is none of {rule}")),
            "oneOf" | "anyOf" => {
                let results: Vec<Vec<String>> = list().iter().map(fits).collect();
                let good = results.iter().filter(|result| result.is_empty()).count();
                if good == 0 || (keyword == "oneOf" && good > 1) {
                    here.push(format!("{value} fits {good} of {keyword}: {results:?}"));
                }
            }
            "required" => {
                for key in list() {
                    if value.is_object() && value.get(key.as_str().expect("a key")).is_none() {
                        here.push(format!("{key} is missing"));
                    }
                }
            }
            "dependentSchemas" => {
                for (key, rule) in rule.as_object().expect("a map") {
                    if value.get(key).is_some() {
                        here.extend(fits(rule));
                    }
                }
            }
            "pattern" => {
                // What only ECMAScript's expressions can say (look-ahead) is left to editors.
                if let (Some(text), Ok(pattern)) = (
                    value.as_str(),
                    Regex::new(rule.as_str().expect("a pattern")),
                ) && !pattern.is_match(text)
                {
                    here.push(format!("{text:?} does not match {rule}"));
                }
            }
            "minLength" | "minItems" | "minProperties" | "minimum" => {
                if size(keyword, value).is_some_and(|size| size < rule.as_f64().expect("a number"))
                {
                    here.push(format!("{value} is below {keyword} {rule}"));
                }
            }
            "maxLength" | "maxItems" | "maxProperties" | "maximum" => {
                if size(keyword, value).is_some_and(|size| size > rule.as_f64().expect("a number"))
                {
                    here.push(format!("{value} is above {keyword} {rule}"));
                }
            }
            "items" => {
                for (n, item) in value.as_array().into_iter().flatten().enumerate() {
                    check(root, rule, item, &format!("{at}[{n}]"), found);
                }
            }
            "propertyNames" => {
                for key in value.as_object().into_iter().flat_map(|map| map.keys()) {
                    check(
                        root,
                        rule,
                        &Value::String(key.clone()),
                        &format!("{at}.{key}"),
                        found,
                    );
                }
            }
            "properties" | "patternProperties" | "additionalProperties" => {}
            note if NOTES.contains(&note) => {}
            "const" | "enum" | "uniqueItems" => {}
            unknown => panic!("the schema uses `{unknown}`, which this test does not know"),
        }
    }
    found.extend(here.into_iter().map(|what| format!("{at}: {what}")));
    if let Value::Object(map) = value {
        let of = |keyword: &str| keywords.get(keyword).and_then(Value::as_object);
        for (key, value) in map {
            let at = format!("{at}.{key}");
            let named = of("properties").and_then(|named| named.get(key));
            let patterns = of("patternProperties").into_iter().flatten();
            let by_pattern = patterns
                .filter(|(pattern, _)| Regex::new(pattern).map_or(true, |p| p.is_match(key)))
                .map(|(_, schema)| schema);
            let own: Vec<&Value> = named.into_iter().chain(by_pattern).collect();
            match (own.as_slice(), keywords.get("additionalProperties")) {
                ([], Some(other)) => check(root, other, value, &at, found),
                (own, _) => {
                    for schema in own {
                        check(root, schema, value, &at, found);
                    }
                }
            }
        }
    }
}

fn is(value: &Value, kind: &str) -> bool {
    match kind {
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        other => panic!("the schema has a type {other}"),
    }
}

/// What a bound is about, if it is about such a value.
fn size(keyword: &str, value: &Value) -> Option<f64> {
    Some(match (keyword, value) {
        ("minLength" | "maxLength", Value::String(text)) => text.chars().count() as f64,
        ("minItems" | "maxItems", Value::Array(items)) => items.len() as f64,
        ("minProperties" | "maxProperties", Value::Object(map)) => map.len() as f64,
        ("minimum" | "maximum", Value::Number(number)) => number.as_f64()?,
        _ => return None,
    })
}
