//! Variables that are handed to Ansible.

use super::{AnsibleName, Located};
use crate::decode::marker;
use crate::template::{RenderError, RunFacts, SecretTemplate};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// Variables by name.
pub type ExtraVars = BTreeMap<Located<AnsibleName>, ExtraValue>;

/// A variable's value: a text, which may hold run-time expressions and secrets, a whole number, true or false, a list or a
/// map of such.
///
/// What looks like a number but may lose something as one stays text: `4.10`, `0644`.
#[derive(Clone, Debug)]
pub enum ExtraValue {
    /// A text.
    Text(SecretTemplate),
    /// A whole number.
    Number(i64),
    /// True or false.
    Flag(bool),
    /// A list.
    List(Vec<ExtraValue>),
    /// A map.
    Map(BTreeMap<String, ExtraValue>),
}

impl ExtraValue {
    /// The value as JSON, with everything in it that is known. It may hold secrets.
    ///
    /// # Errors
    /// When it uses a fact that is not known yet.
    pub fn render(&self, facts: &RunFacts) -> Result<serde_json::Value, RenderError> {
        Ok(match self {
            Self::Text(text) => text.render(facts)?.expose().into(),
            Self::Number(number) => (*number).into(),
            Self::Flag(flag) => (*flag).into(),
            Self::List(items) => items
                .iter()
                .map(|item| item.render(facts))
                .collect::<Result<Vec<_>, _>>()?
                .into(),
            Self::Map(entries) => serde_json::Value::Object(
                entries
                    .iter()
                    .map(|(key, value)| Ok((key.clone(), value.render(facts)?)))
                    .collect::<Result<_, RenderError>>()?,
            ),
        })
    }

    /// A form in which equal values are equal and different ones differ, without the values of secrets.
    pub(crate) fn canonical(&self) -> String {
        match self {
            Self::Text(text) => serde_json::Value::from(text.canonical()).to_string(),
            Self::Number(number) => number.to_string(),
            Self::Flag(flag) => flag.to_string(),
            Self::List(items) => {
                let items: Vec<_> = items.iter().map(Self::canonical).collect();
                format!("[{}]", items.join(","))
            }
            Self::Map(entries) => {
                let entries: Vec<_> = entries
                    .iter()
                    .map(|(key, value)| {
                        let key = serde_json::Value::from(key.as_str());
                        format!("{key}:{}", value.canonical())
                    })
                    .collect();
                format!("{{{}}}", entries.join(","))
            }
        }
    }
}

impl<'de> Deserialize<'de> for ExtraValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ValueVisitor;

        impl<'de> Visitor<'de> for ValueVisitor {
            type Value = ExtraValue;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_bool<E: de::Error>(self, flag: bool) -> Result<ExtraValue, E> {
                Ok(ExtraValue::Flag(flag))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<ExtraValue, E> {
                Ok(ExtraValue::Number(number))
            }

            fn visit_str<E: de::Error>(self, carried: &str) -> Result<ExtraValue, E> {
                SecretTemplate::unpack(carried)
                    .map(ExtraValue::Text)
                    .map_err(E::custom)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<ExtraValue, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(ExtraValue::List(items))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ExtraValue, A::Error> {
                let mut entries = BTreeMap::new();
                while let Some((key, value)) = map.next_entry::<String, ExtraValue>()? {
                    entries.insert(key, value);
                }
                Ok(ExtraValue::Map(entries))
            }
        }

        deserializer.deserialize_newtype_struct(marker::SECRET_TREE, ValueVisitor)
    }
}

impl JsonSchema for ExtraValue {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "ExtraValue".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "integer", "number", "boolean", "array", "object"],
            "x-run-time": true,
            "x-secret": true,
        })
    }
}
