//! Entries: the items of lists such as `provision`. Each is a map with one key that says what it is, and keys beside it.
//!
//! A list of entries is a field with `#[serde(deserialize_with = "entries")]`. In it step sets (`- use: NAME`) are put in
//! their place and an entry whose `when` is false is left out, so that a loaded pipeline has only what applies.

use super::Located;
use crate::decode::marker;
use crate::template::Condition;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

/// Reads a list of entries.
pub(crate) fn entries<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct List<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for List<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
            let mut items = Vec::new();
            while let Some(item) = seq.next_element()? {
                items.push(item);
            }
            Ok(items)
        }
    }

    deserializer.deserialize_newtype_struct(marker::ENTRIES, List(PhantomData))
}

/// Reads one entry: what stands beside its kind (a struct that has exactly the keys `beside`), and its kind (an enum with
/// a variant per kind). `beside` must list `when`.
pub(crate) fn entry<'de, D, S, K>(
    deserializer: D,
    beside: &'static [&'static str],
) -> Result<(S, Located<K>), D::Error>
where
    D: Deserializer<'de>,
    S: Deserialize<'de>,
    K: Deserialize<'de>,
{
    struct Parts<S, K>(PhantomData<(S, K)>);

    impl<'de, S: Deserialize<'de>, K: Deserialize<'de>> Visitor<'de> for Parts<S, K> {
        type Value = (S, Located<K>);

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an entry")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let missing = || de::Error::custom("an entry comes from a pipeline file only");
            let beside = seq.next_element()?.ok_or_else(missing)?;
            let kind = seq.next_element()?.ok_or_else(missing)?;
            Ok((beside, kind))
        }
    }

    deserializer.deserialize_struct(marker::ENTRY, beside, Parts(PhantomData))
}

/// The schema of an entry: exactly one of the keys of the enum `K`, or `use`, and beside it those of the struct `S`.
pub(crate) fn entry_schema<S: JsonSchema, K: JsonSchema>(
    about: &str,
    generator: &mut SchemaGenerator,
) -> Schema {
    let mut properties = Map::new();
    let mut kinds = Vec::new();
    let kind = K::json_schema(generator).to_value();
    let choices = ["oneOf", "anyOf"]
        .iter()
        .find_map(|key| kind.get(*key)?.as_array().cloned())
        .unwrap_or_else(|| vec![kind]);
    for choice in choices {
        for (name, value) in choice
            .get("properties")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            let mut value = value.clone();
            if let (Some(about), Value::Object(value)) = (choice.get("description"), &mut value) {
                value.insert("description".into(), about.clone());
            }
            properties.insert(name.clone(), value);
            kinds.push(json!({ "required": [name] }));
        }
    }
    properties.insert(
        "use".into(),
        json!({ "type": "string", "description": "The entries of this step set, in this place; only `when` can stand beside it." }),
    );
    kinds.push(json!({ "required": ["use"] }));
    let beside = S::json_schema(generator).to_value();
    if let Some(beside) = beside.get("properties").and_then(Value::as_object) {
        properties.extend(beside.clone());
    }
    json_schema!({
        "type": "object", "description": about, "additionalProperties": false, "properties": properties, "oneOf": kinds,
    })
}

impl JsonSchema for Condition {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Condition".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "boolean"] })
    }
}
