//! serde's view of a node: texts are interpolated as they are read.

use super::access::{Choice, Entries, Items, WithPlace};
use super::entries::{EntryParts, Keys};
use super::{Allows, Carried, DecodeError, FilePart, Scope, marker};
use crate::template::Segment;
use crate::vars::Derived;
use crate::yaml::{Key, Node, Scalar, Value};
use serde::de::{self, Deserializer, Visitor};

/// A node, and what is known where it stands.
#[derive(Clone, Copy)]
pub(crate) struct NodeDeserializer<'n> {
    pub(crate) node: &'n Node,
    pub(crate) scope: Scope<'n>,
    /// Which of a map's keys are to be seen.
    pub(super) keys: Keys,
}

/// A scalar's text after interpolation, and whether it may be read as a number or a boolean.
struct Text {
    text: String,
    plain: bool,
}

impl<'n> NodeDeserializer<'n> {
    pub(crate) const fn new(node: &'n Node, scope: Scope<'n>) -> Self {
        Self {
            node,
            scope,
            keys: Keys::All,
        }
    }

    pub(super) fn child(&self, node: &'n Node) -> Self {
        Self::new(node, self.scope)
    }

    fn empty(&self) -> DecodeError {
        DecodeError::at(self.node.span, "this key has no value")
            .hint("give it one, or leave the key out")
    }

    pub(super) fn scalar(&self, expected: &dyn de::Expected) -> Result<&'n Scalar, DecodeError> {
        let found = match &self.node.value {
            Value::Scalar(scalar) if scalar.is_null() => return Err(self.empty()),
            Value::Scalar(scalar) => return Ok(scalar),
            Value::Sequence(_) => de::Unexpected::Seq,
            Value::Map(_) => de::Unexpected::Map,
        };
        Err(<DecodeError as de::Error>::invalid_type(found, expected).or_at(self.node.span))
    }

    fn text(&self, expected: &dyn de::Expected) -> Result<Text, DecodeError> {
        let scalar = self.scalar(expected)?;
        if scalar.text.is_empty() {
            return Err(DecodeError::at(self.node.span, "this text is empty")
                .hint("give it a value, or leave the key out"));
        }
        let segments = self.scope.segments(scalar, self.node.span, Allows::Known)?;
        let text = segments
            .iter()
            .map(|s| {
                if let Segment::Literal(text) = s {
                    text.as_str()
                } else {
                    ""
                }
            })
            .collect();
        // An expression must be quoted in YAML ({ begins a map), so quotes around one say nothing about its type.
        Ok(Text {
            text,
            plain: scalar.plain || !scalar.openings.is_empty(),
        })
    }

    /// The text that stands here, with what is known in it.
    pub(super) fn string(&self) -> Result<String, DecodeError> {
        self.text(&"a text").map(|text| text.text)
    }

    /// The text that stands here, and whether a secret is in it.
    pub(crate) fn derived(&self) -> Result<Derived, DecodeError> {
        /// A longer one is data; and variables that double each other would fill the memory.
        const MAX_DERIVED: usize = 1 << 16;
        let scalar = self.scalar(&"a text")?;
        let mut text = String::new();
        let mut is_secret = false;
        for segment in self
            .scope
            .segments(scalar, self.node.span, Allows::Secrets)?
        {
            match segment {
                Segment::Literal(literal) => text.push_str(&literal),
                Segment::Secret { value, .. } => {
                    text.push_str(value.expose());
                    is_secret = true;
                }
                // A text that does not allow them has none.
                Segment::RunTime(_) => {}
            }
        }
        if text.len() > MAX_DERIVED {
            let message = format!("this is more than {MAX_DERIVED} bytes with its values put in");
            return Err(DecodeError::at(self.node.span, message));
        }
        Ok(Derived { text, is_secret })
    }

    pub(super) fn carried(&self, allows: Allows) -> Result<String, DecodeError> {
        let scalar = self.scalar(&"a text")?;
        if scalar.text.is_empty() && allows != Allows::RunTimeAndSecrets {
            return Err(DecodeError::at(self.node.span, "this text is empty")
                .hint("give it a value, or leave the key out"));
        }
        let segments = self.scope.segments(scalar, self.node.span, allows)?;
        let carried = Carried {
            segments,
            span: self.node.span,
        };
        carried
            .pack()
            .map_err(|_| DecodeError::at(self.node.span, "this text cannot be kept"))
    }

    fn number<T: std::str::FromStr>(&self, expected: &dyn de::Expected) -> Result<T, DecodeError> {
        let Text { text, plain } = self.text(expected)?;
        match text.parse() {
            Ok(number) if plain => Ok(number),
            _ => Err(<DecodeError as de::Error>::invalid_type(
                de::Unexpected::Str(&text),
                expected,
            )
            .or_at(self.node.span)),
        }
    }

    fn bool(&self, expected: &dyn de::Expected) -> Result<bool, DecodeError> {
        let Text { text, plain } = self.text(expected)?;
        match text.as_str() {
            "true" if plain => Ok(true),
            "false" if plain => Ok(false),
            _ => {
                let error =
                    <DecodeError as de::Error>::invalid_type(de::Unexpected::Str(&text), expected);
                Err(error
                    .or_at(self.node.span)
                    .hint("the booleans are true and false, without quotes"))
            }
        }
    }

    fn map<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.node.value {
            Value::Map(entries) => {
                let entries = Entries {
                    parent: self,
                    rest: entries.iter(),
                    current: None,
                };
                visitor
                    .visit_map(entries)
                    .map_err(|error: DecodeError| error.or_at(self.node.span))
            }
            _ => Err(self.mismatch_of_map_as(&visitor)),
        }
    }

    /// What is wrong with a node that should be a map and is none.
    pub(super) fn mismatch_of_map(&self, expected: &str) -> DecodeError {
        self.mismatch_of_map_as(&expected)
    }

    fn mismatch_of_map_as(&self, expected: &dyn de::Expected) -> DecodeError {
        match &self.node.value {
            Value::Map(_) => self.mismatch(de::Unexpected::Map, expected),
            Value::Sequence(_) => self.mismatch(de::Unexpected::Seq, expected),
            Value::Scalar(scalar) if scalar.is_null() => self.empty(),
            Value::Scalar(scalar) => self.mismatch(de::Unexpected::Str(&scalar.text), expected),
        }
    }

    fn shown(&self, entries: &'n [(Key, Node)]) -> Vec<&'n (Key, Node)> {
        let seen = entries.iter().filter(|(key, _)| self.keys.shows(&key.text));
        seen.collect()
    }

    fn mismatch(&self, found: de::Unexpected<'_>, expected: &dyn de::Expected) -> DecodeError {
        <DecodeError as de::Error>::invalid_type(found, expected).or_at(self.node.span)
    }
}

macro_rules! numbers {
    ($($method:ident $visit:ident $kind:ty),*) => {$(
        fn $method<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, DecodeError> {
            visitor.$visit(self.number::<$kind>(&"a whole number")?).map_err(|error: DecodeError| error.or_at(self.node.span))
        }
    )*};
}

impl<'n> Deserializer<'n> for NodeDeserializer<'n> {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.node.value {
            Value::Map(_) => self.map(visitor),
            Value::Sequence(_) => self.deserialize_seq(visitor),
            Value::Scalar(_) => {
                let Text { text, plain } = self.text(&visitor)?;
                match text.as_str() {
                    "true" if plain => visitor.visit_bool(true),
                    "false" if plain => visitor.visit_bool(false),
                    _ => visitor.visit_str(&text),
                }
                .map_err(|error: DecodeError| error.or_at(self.node.span))
            }
        }
    }

    fn deserialize_bool<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_bool(self.bool(&"true or false")?)
    }

    numbers!(
        deserialize_i8 visit_i8 i8, deserialize_i16 visit_i16 i16, deserialize_i32 visit_i32 i32,
        deserialize_i64 visit_i64 i64, deserialize_u8 visit_u8 u8, deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32, deserialize_u64 visit_u64 u64
    );

    fn deserialize_str<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let text = self.text(&"a text")?.text;
        visitor
            .visit_string(text)
            .map_err(|error: DecodeError| error.or_at(self.node.span))
    }

    fn deserialize_string<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'n>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        match name {
            marker::OUTPUTS => {
                let mut outputs = self;
                outputs.scope.part = FilePart::Outputs;
                outputs.deserialize_seq(visitor)
            }
            marker::ENTRIES => return self.entries(visitor),
            marker::SECRET_TREE => self.tree(visitor),
            marker::TEMPLATE => visitor.visit_string(self.carried(Allows::RunTime)?),
            marker::SECRET_TEMPLATE => {
                visitor.visit_string(self.carried(Allows::RunTimeAndSecrets)?)
            }
            marker::LOCATED => visitor.visit_seq(WithPlace {
                span: Some(self.node.span),
                value: Some(self),
            }),
            _ => visitor.visit_newtype_struct(self),
        }
        .map_err(|error: DecodeError| error.or_at(self.node.span))
    }

    fn deserialize_seq<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.node.value {
            Value::Sequence(items) => {
                let items = Items {
                    parent: self,
                    rest: items.iter().collect::<Vec<_>>().into_iter(),
                };
                visitor
                    .visit_seq(items)
                    .map_err(|error: DecodeError| error.or_at(self.node.span))
            }
            Value::Map(_) => Err(self.mismatch(de::Unexpected::Map, &"a list")),
            Value::Scalar(scalar) if scalar.is_null() => Err(self.empty()),
            Value::Scalar(scalar) => {
                Err(self.mismatch(de::Unexpected::Str(&scalar.text), &"a list"))
            }
        }
    }

    fn deserialize_map<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.map(visitor)
    }

    fn deserialize_struct<V: Visitor<'n>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        match &self.node.value {
            Value::Map(_) if name == marker::ENTRY => visitor.visit_seq(EntryParts {
                entry: self,
                beside: fields,
                given: 0,
            }),
            _ if name == marker::ENTRY => {
                Err(self.mismatch_of_map("an entry: a map whose key says what it is"))
            }
            Value::Sequence(_) => Err(self.mismatch(de::Unexpected::Seq, &"a map")),
            Value::Scalar(scalar) if !scalar.is_null() => {
                Err(self.mismatch(de::Unexpected::Str(&scalar.text), &"a map"))
            }
            _ => self.map(visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'n>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        let words = || variants.join(", ");
        let choice = match &self.node.value {
            Value::Map(entries) => match self.shown(entries).as_slice() {
                [(key, node)]
                    if matches!(self.keys, Keys::All) || variants.contains(&key.text.as_str()) =>
                {
                    Choice {
                        word: key.text.clone(),
                        span: key.span,
                        content: Some(self.child(node)),
                    }
                }
                kinds if matches!(self.keys, Keys::Without(_)) => {
                    return Err(self.no_single_kind(kinds, variants));
                }
                _ => {
                    let message = format!(
                        "expected one word, or a map with one key, out of: {}",
                        words()
                    );
                    return Err(DecodeError::at(self.node.span, message));
                }
            },
            Value::Sequence(_) => {
                let message = format!("expected one of {}, found a list", words());
                return Err(DecodeError::at(self.node.span, message));
            }
            Value::Scalar(_) => Choice {
                word: self.text(&"a word")?.text,
                span: self.node.span,
                content: None,
            },
        };
        visitor
            .visit_enum(choice)
            .map_err(|error: DecodeError| error.or_at(self.node.span))
    }

    fn deserialize_ignored_any<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        <W: Visitor<'n>>
        i128 u128 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct identifier
    }
}
