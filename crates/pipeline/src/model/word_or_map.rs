//! Values that are written as one word, or as a map that says more.

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use std::fmt;

/// Reads `T` from a word or from a map of the form `M`.
pub(super) struct WordOrMap<T, M> {
    /// What may stand here, for messages.
    pub(super) expected: &'static str,
    /// Makes the value of a word; errs with a sentence.
    pub(super) word: fn(&str) -> Result<T, String>,
    /// Makes the value of a map; errs with a sentence.
    pub(super) map: fn(M) -> Result<T, String>,
}

impl<T, M> WordOrMap<T, M> {
    pub(super) fn read<'de, D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error>
    where
        M: Deserialize<'de>,
    {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T, M: Deserialize<'de>> Visitor<'de> for WordOrMap<T, M> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        (self.word)(text).map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        let map = M::deserialize(de::value::MapAccessDeserializer::new(map))?;
        (self.map)(map).map_err(de::Error::custom)
    }
}
