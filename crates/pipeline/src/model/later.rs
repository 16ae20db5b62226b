//! Values that are read once more is known.

use super::Located;
use crate::Span;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{Deserialize, Deserializer, IgnoredAny};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

/// A value of type `T` in the file that loading reads by itself, before or after what it stands in: a condition that
/// decides whether its entry is read at all, a matrix that decides how often its stage is. Here only its place is kept.
pub struct Later<T> {
    /// Where it stands.
    pub span: Span,
    kind: PhantomData<fn() -> T>,
}

impl<T> Clone for Later<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Later<T> {}

impl<T> fmt::Debug for Later<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl<T> PartialEq for Later<T> {
    fn eq(&self, other: &Self) -> bool {
        self.span == other.span
    }
}

impl<T> Eq for Later<T> {}

impl<'de, T> Deserialize<'de> for Later<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self {
            span: Located::<IgnoredAny>::deserialize(deserializer)?.span,
            kind: PhantomData,
        })
    }
}

impl<T: JsonSchema> JsonSchema for Later<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }
    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}
