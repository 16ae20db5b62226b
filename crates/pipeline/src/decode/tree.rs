//! A value of any form, as a whole: texts keep their expressions, and secrets may stand in them.

use super::{Allows, DecodeError, NodeDeserializer};
use crate::yaml::Value;
use serde::de::{Deserializer, Visitor};

impl<'n> NodeDeserializer<'n> {
    /// What stands here: a map, a list, `true` or `false`, a whole number, else a text's parts as JSON.
    pub(super) fn tree<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.node.value {
            Value::Map(_) => self.deserialize_map(visitor),
            Value::Sequence(_) => self.deserialize_seq(visitor),
            Value::Scalar(_) => {
                let scalar = self.scalar(&"a value")?;
                match (scalar.plain, scalar.text.as_str()) {
                    (true, "true") => visitor.visit_bool(true),
                    (true, "false") => visitor.visit_bool(false),
                    (true, text) if is_whole_number(text) => {
                        // A number beyond its type's bounds stays text.
                        match text.parse() {
                            Ok(number) => visitor.visit_i64(number),
                            Err(_) => {
                                visitor.visit_string(self.carried(Allows::RunTimeAndSecrets)?)
                            }
                        }
                    }
                    _ => visitor.visit_string(self.carried(Allows::RunTimeAndSecrets)?),
                }
            }
        }
        .map_err(|error: DecodeError| error.or_at(self.node.span))
    }
}

/// Whether nothing is lost when the text is read as a number: no leading zero, which an octal mode or an account has.
fn is_whole_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    digits == "0"
        || (!digits.starts_with('0')
            && digits.bytes().all(|b| b.is_ascii_digit())
            && !digits.is_empty())
}
