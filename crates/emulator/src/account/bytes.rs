//! Bytes as base64 in the state file.

use base64::prelude::{BASE64_STANDARD, Engine};
use serde::{Deserialize, Deserializer, Serializer};

/// Writes bytes as base64.
///
/// # Errors
/// The serializer's own.
pub fn serialize<S: Serializer>(bytes: &[u8], s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(&BASE64_STANDARD.encode(bytes))
}

/// Reads bytes from base64.
///
/// # Errors
/// If the text is no base64.
pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<u8>, D::Error> {
    BASE64_STANDARD
        .decode(String::deserialize(d)?)
        .map_err(serde::de::Error::custom)
}
