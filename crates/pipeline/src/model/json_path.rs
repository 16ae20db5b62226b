//! Places in a JSON document.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;
use std::borrow::Cow;
use std::fmt;

/// A place, or several, in a JSON document. Two notations:
///
/// - a JSON pointer (RFC 6901): `/nodes/0/version`; empty pointers are not allowed;
/// - names joined by dots, with list items in brackets: `nodes[0].version`; `[*]` stands for any item, and a name with
///   dots or brackets in it stands in brackets and quotes: `labels["app.kubernetes.io/name"]`.
#[derive(Clone, PartialEq, Eq)]
pub struct JsonPath {
    written: String,
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// An object's member.
    Name(String),
    /// A list's item.
    Item(usize),
    /// Any item of a list.
    Any,
    /// A pointer's token: a member of an object, an item of a list.
    Token(String),
}

impl JsonPath {
    /// Reads either notation.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let steps = match text.strip_prefix('/') {
            Some(pointer) => pointer.split('/').map(token).collect::<Result<_, _>>(),
            None => names(text),
        };
        let steps = steps.map_err(|why| {
            format!("{text:?} is not a place such as nodes[*].version or /nodes/0/version: {why}")
        })?;
        Ok(Self {
            written: text.to_owned(),
            steps,
        })
    }

    /// The values at that place: none if the document has no such place, several if `[*]` is in it.
    pub fn select<'v>(&self, document: &'v Value) -> Vec<&'v Value> {
        let mut found = vec![document];
        for step in &self.steps {
            found = found
                .into_iter()
                .flat_map(|value| match step {
                    Step::Name(name) => value.get(name.as_str()).into_iter().collect(),
                    Step::Item(index) => value
                        .as_array()
                        .and_then(|items| items.get(*index))
                        .into_iter()
                        .collect(),
                    Step::Any => value
                        .as_array()
                        .map_or_else(Vec::new, |items| items.iter().collect()),
                    Step::Token(token) => of_token(value, token).into_iter().collect::<Vec<_>>(),
                })
                .collect();
        }
        found
    }
}

/// A pointer's token with its escapes replaced (RFC 6901, section 4).
fn token(escaped: &str) -> Result<Step, String> {
    let mut text = String::new();
    let mut chars = escaped.chars();
    while let Some(c) = chars.next() {
        match (c, c == '~') {
            (_, true) => match chars.next() {
                Some('0') => text.push('~'),
                Some('1') => text.push('/'),
                _ => return Err(String::from("after `~` comes 0 or 1 in a pointer")),
            },
            (c, false) => text.push(c),
        }
    }
    Ok(Step::Token(text))
}

fn of_token<'v>(value: &'v Value, token: &str) -> Option<&'v Value> {
    match value {
        Value::Object(members) => members.get(token),
        // "01" and "+1" are no indices (RFC 6901, section 4).
        Value::Array(items) => {
            let plain = token == "0"
                || (!token.starts_with('0') && token.bytes().all(|b| b.is_ascii_digit()));
            plain
                .then(|| token.parse().ok())
                .flatten()
                .and_then(|index: usize| items.get(index))
        }
        _ => None,
    }
}

fn names(text: &str) -> Result<Vec<Step>, String> {
    let mut steps = Vec::new();
    let mut rest = text;
    // At the start a name or a bracket may stand; after a dot a name must.
    let mut name_due = true;
    while !rest.is_empty() || name_due {
        if let Some(inside) = rest.strip_prefix('[') {
            let (step, after) = bracket(inside)?;
            steps.push(step);
            rest = after;
        } else if name_due {
            let end = rest.find(['.', '[', ']']).unwrap_or(rest.len());
            let (name, after) = rest.split_at(end);
            if name.is_empty() {
                return Err(String::from("a name is missing"));
            }
            steps.push(Step::Name(name.to_owned()));
            rest = after;
        } else {
            return Err(format!("what is {rest:?}?"));
        }
        name_due = false;
        if let Some(after) = rest.strip_prefix('.') {
            if after.starts_with('[') {
                return Err(String::from("no dot stands before a bracket"));
            }
            rest = after;
            name_due = true;
        }
    }
    Ok(steps)
}

/// What a bracket holds, and what comes after it.
fn bracket(inside: &str) -> Result<(Step, &str), String> {
    if let Some(quoted) = inside.strip_prefix('"') {
        let (name, after) = quoted
            .split_once("\"]")
            .ok_or_else(|| String::from("a quoted name ends in \"]"))?;
        return Ok((Step::Name(name.to_owned()), after));
    }
    let (index, after) = inside
        .split_once(']')
        .ok_or_else(|| String::from("a bracket is not closed"))?;
    match index {
        "*" => Ok((Step::Any, after)),
        _ => match index.parse() {
            Ok(index) => Ok((Step::Item(index), after)),
            Err(_) => Err(format!("{index:?} is neither a number nor *")),
        },
    }
}

impl fmt::Display for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl fmt::Debug for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.written, f)
    }
}

impl<'de> Deserialize<'de> for JsonPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

impl JsonSchema for JsonPath {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "JsonPath".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn found(path: &str, document: &Value) -> Vec<Value> {
        let path = JsonPath::parse(path).unwrap();
        path.select(document).into_iter().cloned().collect()
    }

    #[test]
    fn both_notations_find_the_same() {
        let graph = json!({ "nodes": [{ "version": "4.12.3" }, { "version": "4.12.4" }], "a.b": { "c/d": 1 } });
        for (path, values) in [
            ("nodes[*].version", json!(["4.12.3", "4.12.4"])),
            ("nodes[1].version", json!(["4.12.4"])),
            ("/nodes/1/version", json!(["4.12.4"])),
            ("[\"a.b\"][\"c/d\"]", json!([1])),
            ("/a.b/c~1d", json!([1])),
            ("nodes[2].version", json!([])),
            ("/nodes/01/version", json!([])),
            ("/nodes/+1/version", json!([])),
            ("nodes.version", json!([])),
            ("other", json!([])),
        ] {
            assert_eq!(json!(found(path, &graph)), values, "{path}");
        }
        assert_eq!(
            json!(found("[*][0]", &json!([[1], [], [2]]))),
            json!([1, 2])
        );
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for path in [
            "", ".", "a.", "a..b", "a[", "a[x]", "a[-1]", "a]b", "a.[0]", "a[\"b]", "a[0]b",
            "/a~2", "/a~",
        ] {
            assert!(JsonPath::parse(path).is_err(), "{path:?}");
        }
    }

    proptest! {
        /// serde_json has pointers of its own.
        #[test]
        fn pointers_mean_what_serde_json_means(pointer in "(/[ab01~]{0,2}){1,4}") {
            let document = json!({ "a": { "b": [1, [2, { "a": 3, "": 4 }]], "0": 5 }, "b": [[6]], "": { "": 7 } });
            if let Ok(path) = JsonPath::parse(&pointer) {
                let wanted: Vec<&Value> = document.pointer(&pointer).into_iter().collect();
                prop_assert_eq!(path.select(&document), wanted);
            }
        }

        #[test]
        fn any_text_is_read_or_refused(path in "\\PC{0,20}") {
            let _ = JsonPath::parse(&path);
        }
    }
}
