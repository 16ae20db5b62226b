//! The reference of every key, as Markdown.

use super::plain_schema;
use crate::template::FIXED_NAMES_WITH_TIME;
use serde_json::{Map, Value};
use std::fmt::Write;

/// The reference of every key: its type, its default, its meaning, and whether run-time expressions and secrets may
/// stand in it.
pub fn reference_markdown() -> String {
    let schema = plain_schema();
    let empty = Map::new();
    let definitions = schema
        .get("$defs")
        .and_then(Value::as_object)
        .unwrap_or(&empty);
    let mut page = Page {
        definitions,
        sections: Vec::new(),
    };
    page.object("the file", &schema);
    let mut text = String::from(
        "# Pipeline reference\n\nMade by `cargo xtask docs` from the types in `crates/pipeline/src/model`; do not edit.\n\n\
         `${{ vars.NAME }}` may stand in every value. *Run-time*: names that only a run knows may stand there too. \
         *Secret*: so may secret variables.\n\n| expression | known |\n|---|---|\n",
    );
    for (name, known) in FIXED_NAMES_WITH_TIME {
        let _ = writeln!(text, "| `${{{{ {name} }}}}` | {known} |");
    }
    text.push_str(
        "\nFilters: `lower`, `upper`, `replace('a', 'b')`, `major`, `minor`, `patch`, `map('NAME')`, `sha256`, \
         `clean_name`; `date('%Y-%m-%d-%H%M%S')` (UTC) for `run.time` and `source.created`; `default('x')` for `env()`, \
         `source.tags` and `matrix`. See [the language](guide/language.md). `$${{` stands for a literal `${{`.\n",
    );
    for section in page.sections {
        text.push_str(&section);
    }
    text
}

struct Page<'s> {
    definitions: &'s Map<String, Value>,
    sections: Vec<String>,
}

impl<'s> Page<'s> {
    fn resolve(&self, schema: &'s Value) -> &'s Value {
        let name = schema
            .get("$ref")
            .and_then(Value::as_str)
            .and_then(|path| path.strip_prefix("#/$defs/"));
        name.and_then(|name| self.definitions.get(name))
            .unwrap_or(schema)
    }

    /// One section for a map with known keys, then those for the maps inside it.
    fn object(&mut self, path: &str, schema: &'s Value) {
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
            return;
        };
        let required: Vec<&str> = schema
            .get("required")
            .and_then(Value::as_array)
            .map(|keys| keys.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        let mut text = format!("\n## {path}\n\n");
        if let Some(about) = schema.get("description").and_then(Value::as_str) {
            let _ = writeln!(text, "{}\n", paragraph(about));
        }
        text.push_str("| key | type | default | meaning |\n|---|---|---|---|\n");
        let mut inner = Vec::new();
        // What must be given stands first.
        let (must, may): (Vec<_>, Vec<_>) = properties
            .iter()
            .partition(|(key, _)| required.contains(&key.as_str()));
        for (key, value) in must.into_iter().chain(may) {
            let target = self.resolve(value);
            let about = value
                .get("description")
                .or_else(|| target.get("description"))
                .and_then(Value::as_str);
            let default = match value.get("default").or_else(|| target.get("default")) {
                _ if required.contains(&key.as_str()) => "required".to_owned(),
                Some(default) if !is_empty(default) => format!("`{}`", plain(default)),
                _ => "–".to_owned(),
            };
            let mut meaning = paragraph(about.unwrap_or_default());
            meaning.push_str(&self.words(target));
            if self.marked(target, "x-run-time") {
                meaning.push_str(" *Run-time.*");
            }
            if self.marked(target, "x-secret") {
                meaning.push_str(" *Secret.*");
            }
            let _ = writeln!(
                text,
                "| `{key}` | {} | {default} | {meaning} |",
                cell(&self.kind(target))
            );
            let path = if path == "the file" {
                key.clone()
            } else {
                format!("{path}.{key}")
            };
            // A step set's entries are those of `provision`, which have their sections already.
            if path != "step_sets" {
                self.inside(&path, target, &mut inner);
            }
        }
        self.sections.push(text);
        for (path, schema) in inner {
            self.object(&path, schema);
        }
    }

    /// The maps with known keys that a value can be or hold.
    fn inside(&self, path: &str, schema: &'s Value, found: &mut Vec<(String, &'s Value)>) {
        let schema = self.resolve(schema);
        match lone_key(schema) {
            // A map with the one key that says which choice it is has nothing more to tell than its value.
            Some((key, value)) => self.inside(&format!("{path}.{key}"), value, found),
            None if schema.get("properties").is_some() => found.push((path.to_owned(), schema)),
            None => {}
        }
        if let Some(items) = schema.get("items") {
            self.inside(&format!("{path}[]"), items, found);
        }
        if let Some(values) = map_values(schema) {
            self.inside(&format!("{path}.NAME"), values, found);
        }
        for choice in choices(schema) {
            self.inside(path, choice, found);
        }
    }

    fn marked(&self, schema: &'s Value, mark: &str) -> bool {
        let schema = self.resolve(schema);
        schema.get(mark).is_some()
            || schema
                .get("items")
                .is_some_and(|items| self.marked(items, mark))
            || map_values(schema).is_some_and(|values| self.marked(values, mark))
    }

    /// A value's type in words.
    fn kind(&self, schema: &'s Value) -> String {
        let schema = self.resolve(schema);
        if let Some(word) = schema.get("const") {
            return format!("`{}`", plain(word));
        }
        if let Some(words) = schema.get("enum").and_then(Value::as_array) {
            return words
                .iter()
                .map(|word| format!("`{}`", plain(word)))
                .collect::<Vec<_>>()
                .join(" or ");
        }
        // An entry's choices say which of its own keys must be there.
        let choices = choices(schema);
        if !choices.is_empty() && schema.get("properties").is_none() {
            let mut kinds: Vec<String> = Vec::new();
            for choice in choices {
                let kind = self.kind(choice);
                if !kinds.contains(&kind) {
                    kinds.push(kind);
                }
            }
            return kinds.join(" or ");
        }
        match schema.get("type") {
            Some(Value::Array(_)) => "text".to_owned(),
            Some(kind) => match kind.as_str() {
                Some("array") => {
                    format!(
                        "list of {}",
                        schema
                            .get("items")
                            .map_or_else(|| "anything".into(), |items| self.kind(items))
                    )
                }
                Some("object") => self.map_kind(schema),
                Some("integer") => "number".to_owned(),
                Some("string")
                    if schema
                        .get("format")
                        .is_some_and(|format| format == "duration") =>
                {
                    "duration".to_owned()
                }
                Some("string") => "text".to_owned(),
                Some(other) => other.to_owned(),
                None => "text".to_owned(),
            },
            None => "anything".to_owned(),
        }
    }

    fn map_kind(&self, schema: &'s Value) -> String {
        match (
            schema.get("properties").and_then(Value::as_object),
            map_values(schema),
        ) {
            (Some(properties), _) => {
                let keys: Vec<&str> = properties.keys().take(4).map(String::as_str).collect();
                let more = if properties.len() > 4 { ", …" } else { "" };
                format!("`{{ {}{more} }}`", keys.join(", "))
            }
            (None, Some(values)) => format!("map of {}", self.kind(values)),
            _ => "map".to_owned(),
        }
    }

    /// What each of a value's words means.
    fn words(&self, schema: &'s Value) -> String {
        let schema = self.resolve(schema);
        if let Some(items) = schema.get("items") {
            return self.words(items);
        }
        let mut text = String::new();
        for choice in choices(schema) {
            let choice = self.resolve(choice);
            let word = choice
                .get("const")
                .map(plain)
                .or_else(|| lone_key(choice).map(|(key, _)| key.to_owned()));
            if let (Some(word), Some(about)) =
                (word, choice.get("description").and_then(Value::as_str))
            {
                let _ = write!(text, " `{word}`: {}", paragraph(about));
            }
        }
        text
    }
}

/// The key of a map that has exactly one, required, and no meaning of its own: one of an enum's choices.
fn lone_key(schema: &Value) -> Option<(&str, &Value)> {
    let (key, value) = schema
        .get("properties")?
        .as_object()
        .filter(|keys| keys.len() == 1)?
        .iter()
        .next()?;
    let choice = schema
        .get("required")?
        .as_array()?
        .iter()
        .any(|required| required == key);
    // Only a map inside a choice carries its value's words as its description, and the value none.
    (choice && schema.get("description").is_some() && value.get("description").is_none())
        .then_some((key, value))
}

/// The values of a map with free keys.
fn map_values(schema: &Value) -> Option<&Value> {
    let patterns = schema.get("patternProperties").and_then(Value::as_object);
    patterns
        .and_then(|patterns| patterns.values().next())
        .or_else(|| {
            schema
                .get("additionalProperties")
                .filter(|values| values.is_object())
        })
}

fn choices(schema: &Value) -> Vec<&Value> {
    ["anyOf", "oneOf"]
        .iter()
        .filter_map(|key| schema.get(*key)?.as_array())
        .flatten()
        .collect()
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn paragraph(text: &str) -> String {
    cell(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// A pipe would end the table's cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
