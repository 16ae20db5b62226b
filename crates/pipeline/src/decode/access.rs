//! What a node holds, piece by piece: a list's items, a map's entries, an enum's choice.

use super::{DecodeError, NodeDeserializer, marker};
use crate::Span;
use crate::yaml::{Key, Node, Value};
use serde::de::value::StringDeserializer;
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};
use std::marker::PhantomData;

pub(super) struct Items<'n> {
    pub(super) parent: NodeDeserializer<'n>,
    pub(super) rest: std::vec::IntoIter<&'n Node>,
}

impl<'n> SeqAccess<'n> for Items<'n> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'n>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, DecodeError> {
        self.rest
            .next()
            .map(|node| {
                seed.deserialize(self.parent.child(node))
                    .map_err(|e| e.or_at(node.span))
            })
            .transpose()
    }
}

pub(super) struct Entries<'n> {
    pub(super) parent: NodeDeserializer<'n>,
    pub(super) rest: std::slice::Iter<'n, (Key, Node)>,
    pub(super) current: Option<&'n (Key, Node)>,
}

/// Reads a key by itself.
pub(super) fn key<'n, T: Deserialize<'n>>(key: &'n Key) -> Result<T, DecodeError> {
    in_key(key, PhantomData)
}

fn in_key<'n, T: DeserializeSeed<'n>>(key: &'n Key, seed: T) -> Result<T::Value, DecodeError> {
    if key.text.contains("${{") {
        return Err(DecodeError::at(key.span, "a key cannot hold an expression"));
    }
    seed.deserialize(KeyDeserializer { key })
        .map_err(|error: DecodeError| error.or_at(key.span))
}

impl<'n> MapAccess<'n> for Entries<'n> {
    type Error = DecodeError;

    fn next_key_seed<K: DeserializeSeed<'n>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, DecodeError> {
        let keys = self.parent.keys;
        self.current = self.rest.find(|(key, _)| keys.shows(&key.text));
        let Some((key, _)) = self.current else {
            return Ok(None);
        };
        in_key(key, seed).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'n>>(
        &mut self,
        seed: V,
    ) -> Result<V::Value, DecodeError> {
        let Some((key, node)) = self.current.take() else {
            return Err(DecodeError::at(
                self.parent.node.span,
                "a value was asked for before its key",
            ));
        };
        let child = self.parent.child(node);
        // Of a key without a value, the key is what there is to point at.
        let at = if matches!(&node.value, Value::Scalar(scalar) if scalar.is_null()) {
            key.span
        } else {
            node.span
        };
        if at == key.span {
            let message = format!("the key `{}` has no value", key.text);
            return Err(DecodeError::at(at, message).hint("give it one, or leave the key out"));
        }
        seed.deserialize(child)
            .map_err(|error: DecodeError| error.or_at(at))
    }
}

/// A key: a text with a place, without interpolation.
struct KeyDeserializer<'n> {
    key: &'n Key,
}

impl<'n> Deserializer<'n> for KeyDeserializer<'n> {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_str(&self.key.text)
    }

    fn deserialize_newtype_struct<V: Visitor<'n>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        match name {
            marker::LOCATED => visitor.visit_seq(WithPlace {
                span: Some(self.key.span),
                value: Some(self),
            }),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    serde::forward_to_deserialize_any! {
        <W: Visitor<'n>>
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct seq
        tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// What [`crate::model::Located`] reads: the place, then the value.
pub(super) struct WithPlace<D> {
    pub(super) span: Option<Span>,
    pub(super) value: Option<D>,
}

impl<'n, D: Deserializer<'n, Error = DecodeError>> SeqAccess<'n> for WithPlace<D> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'n>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, DecodeError> {
        if let Some(span) = self.span.take() {
            let text = serde_json::to_string(&span)
                .map_err(|_| DecodeError::at(span, "a place cannot be kept"))?;
            let text: StringDeserializer<DecodeError> = text.into_deserializer();
            return seed.deserialize(text).map(Some);
        }
        self.value
            .take()
            .map(|value| seed.deserialize(value))
            .transpose()
    }
}

/// One of an enum's variants: a lone word, or a map with one key.
pub(super) struct Choice<'n> {
    pub(super) word: String,
    pub(super) span: Span,
    pub(super) content: Option<NodeDeserializer<'n>>,
}

impl<'n> EnumAccess<'n> for Choice<'n> {
    type Error = DecodeError;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'n>>(
        self,
        seed: V,
    ) -> Result<(V::Value, Self), DecodeError> {
        let word: StringDeserializer<DecodeError> = self.word.clone().into_deserializer();
        let variant = seed
            .deserialize(word)
            .map_err(|error: DecodeError| error.or_at(self.span))?;
        Ok((variant, self))
    }
}

impl<'n> VariantAccess<'n> for Choice<'n> {
    type Error = DecodeError;

    fn unit_variant(self) -> Result<(), DecodeError> {
        match self.content {
            None => Ok(()),
            Some(_) => Err(DecodeError::at(
                self.span,
                format!("`{}` stands alone, without a value", self.word),
            )),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'n>>(
        self,
        seed: T,
    ) -> Result<T::Value, DecodeError> {
        match self.content {
            Some(content) if matches!(&content.node.value, Value::Scalar(scalar) if scalar.is_null()) => {
                Err(DecodeError::at(
                    self.span,
                    format!("the key `{}` has no value", self.word),
                ))
            }
            Some(content) => seed
                .deserialize(content)
                .map_err(|error: DecodeError| error.or_at(content.node.span)),
            None => Err(DecodeError::at(
                self.span,
                format!("`{0}` needs a value: `{{ {0}: … }}`", self.word),
            )),
        }
    }

    fn tuple_variant<V: Visitor<'n>>(self, _: usize, _: V) -> Result<V::Value, DecodeError> {
        Err(DecodeError::at(
            self.span,
            format!("`{}` cannot be a list", self.word),
        ))
    }

    fn struct_variant<V: Visitor<'n>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        match self.content {
            Some(content) => content.deserialize_struct("", fields, visitor),
            None => Err(DecodeError::at(
                self.span,
                format!("`{}` needs a value", self.word),
            )),
        }
    }
}
