//! Lists of entries: step sets put in their place, and entries whose `when` is false left out.
//!
//! An entry is a map with one key that says what it is (`run`, `upload`) and keys beside it (`when`).

use super::access::Items;
use super::step_sets::unknown_set;
use super::{DecodeError, NodeDeserializer, mentions};
use crate::Span;
use crate::suggest::closest;
use crate::template::parse_condition;
use crate::yaml::{Key, Node, Value};
use serde::de::{self, DeserializeSeed, SeqAccess, Visitor};

/// Which of a map's keys a deserializer sees.
#[derive(Clone, Copy)]
pub(crate) enum Keys {
    /// All.
    All,
    /// These: what stands beside an entry's kind.
    Only(&'static [&'static str]),
    /// All but these: an entry's kind.
    Without(&'static [&'static str]),
}

impl Keys {
    pub(super) fn shows(self, key: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(keys) => keys.contains(&key),
            Self::Without(keys) => !keys.contains(&key),
        }
    }

    const fn hidden(self) -> &'static [&'static str] {
        match self {
            Self::Without(keys) => keys,
            Self::All | Self::Only(_) => &[],
        }
    }
}

impl<'n> NodeDeserializer<'n> {
    /// The entries of a list as they apply here.
    pub(super) fn entries<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let Value::Sequence(items) = &self.node.value else {
            return Err(self.no_list());
        };
        let mut found = Vec::new();
        self.collect(items, &mut Vec::new(), &mut found)?;
        visitor.visit_seq(Items {
            parent: self,
            rest: found.into_iter(),
        })
    }

    fn collect(
        &self,
        items: &'n [Node],
        way: &mut Vec<String>,
        found: &mut Vec<&'n Node>,
    ) -> Result<(), DecodeError> {
        for item in items {
            self.scope.around.make_room(item)?;
            if let Some(when) = item.get("when")
                && !self.child(when).condition()?
            {
                self.use_variables(item);
                continue;
            }
            let Some(used) = item.get("use") else {
                found.push(item);
                continue;
            };
            if let Value::Map(keys) = &item.value
                && let Some((key, _)) = keys
                    .iter()
                    .find(|(key, _)| !matches!(key.text.as_str(), "use" | "when"))
            {
                let message = format!("`{}` cannot stand beside `use`", key.text);
                return Err(DecodeError::at(key.span, message)
                    .hint("only `when` can; what goes for one entry stands in the step set"));
            }
            let name = self.child(used).string()?;
            let Some(set) = self.scope.around.step_sets.get(name.as_str()) else {
                return Err(unknown_set(&name, self.scope.around.step_sets, used.span).into());
            };
            if way.contains(&name) {
                way.push(name);
                let message = format!("step sets use each other in a circle: {}", way.join(" → "));
                return Err(DecodeError::at(used.span, message));
            }
            let Value::Sequence(steps) = &set.value else {
                return Err(self.child(set).no_list());
            };
            way.push(name);
            self.collect(steps, way, found)?;
            way.pop();
        }
        Ok(())
    }

    /// Whether the condition written here holds.
    pub(super) fn condition(&self) -> Result<bool, DecodeError> {
        let scalar = self.scalar(&"a condition")?;
        let here = self.node.span;
        let condition = parse_condition(&scalar.text).map_err(|why| {
            // The text stands in the file as it is when it is as wide there, with or without its quotes.
            let (wide, long) = (here.width as usize, scalar.text.chars().count());
            let quotes = usize::from(!scalar.plain);
            let at = if wide == long + 2 * quotes && why.offset <= long {
                Span {
                    column: here.column + (quotes + why.offset) as u32,
                    width: 1,
                    ..here
                }
            } else {
                here
            };
            DecodeError::at(at, why.message)
                .hint("a condition looks like this: matrix.os == 'el9' && vars.size != '8'")
        })?;
        Ok(self.scope.holds(&condition, here)?)
    }

    /// Counts the variables that a part of the file names as used: it is left out by a condition, not by a slip.
    pub(super) fn use_variables(&self, node: &Node) {
        let mut used = self.scope.around.used.borrow_mut();
        mentions(node, &mut |name| {
            used.insert(name.to_owned());
        });
    }

    /// The keys of an entry's map that say what it is, when it is not exactly one.
    pub(super) fn no_single_kind(
        &self,
        kinds: &[&'n (Key, Node)],
        variants: &'static [&'static str],
    ) -> DecodeError {
        let beside = self.keys.hidden();
        let unknown = kinds
            .iter()
            .find(|(key, _)| !variants.contains(&key.text.as_str()));
        if let Some((key, _)) = unknown {
            let near = closest(&key.text, variants.iter().chain(beside).copied());
            return DecodeError::at(key.span, format!("unknown key `{}`", key.text)).hint(
                match near {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!(
                        "an entry is one of {}, and beside it may stand {}",
                        variants.join(", "),
                        beside.join(", ")
                    ),
                },
            );
        }
        match kinds {
            [_, (second, _), ..] => DecodeError::at(
                second.span,
                format!("an entry is one thing; this one is also `{}`", second.text),
            )
            .hint("begin another entry with `- `"),
            _ => DecodeError::at(
                self.node.span,
                format!(
                    "this entry says nothing: it is one of {}",
                    variants.join(", ")
                ),
            ),
        }
    }

    fn no_list(&self) -> DecodeError {
        match self.scalar(&"a list") {
            Ok(scalar) => <DecodeError as de::Error>::invalid_type(
                de::Unexpected::Str(&scalar.text),
                &"a list",
            )
            .or_at(self.node.span),
            Err(why) => why,
        }
    }
}

/// An entry for [`crate::model::ProvisionerEntry`] and its like: what stands beside its kind, then the kind.
pub(super) struct EntryParts<'n> {
    pub(super) entry: NodeDeserializer<'n>,
    pub(super) beside: &'static [&'static str],
    pub(super) given: usize,
}

impl<'n> SeqAccess<'n> for EntryParts<'n> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'n>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, DecodeError> {
        let keys = match self.given {
            0 => Keys::Only(self.beside),
            1 => Keys::Without(self.beside),
            _ => return Ok(None),
        };
        self.given += 1;
        seed.deserialize(NodeDeserializer { keys, ..self.entry })
            .map(Some)
            .map_err(|why| why.or_at(self.entry.node.span))
    }
}
