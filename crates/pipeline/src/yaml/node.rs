//! The tree of a YAML document.

use crate::Span;

/// A value of the document and its place.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) value: Value,
}

#[derive(Clone, Debug)]
pub(crate) enum Value {
    Scalar(Scalar),
    Sequence(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A mapping's key; keys are texts.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) text: String,
    pub(crate) span: Span,
}

/// A text, a number, a boolean or nothing: which of them, the reader decides.
#[derive(Clone, Debug)]
pub(crate) struct Scalar {
    /// The text after YAML's own escapes.
    pub(crate) text: String,
    /// Whether it stood there without quotes, so that it may be a number, a boolean or nothing.
    pub(crate) plain: bool,
    /// Where each `${{` in it stands in the file.
    pub(crate) openings: Vec<Span>,
}

impl Scalar {
    /// Whether it is YAML's null: nothing, `~` or `null`, without quotes.
    pub(crate) fn is_null(&self) -> bool {
        self.plain && matches!(self.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }
}

impl Node {
    /// The value of a key, if this is a map that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        match &self.value {
            Value::Map(entries) => entries
                .iter()
                .find(|(k, _)| k.text == key)
                .map(|(_, node)| node),
            _ => None,
        }
    }

    /// Says of every place in it which file it is in.
    pub(super) fn put_in_file(&mut self, file: u16) {
        self.span = self.span.in_file(file);
        match &mut self.value {
            Value::Scalar(scalar) => {
                for opening in &mut scalar.openings {
                    *opening = opening.in_file(file);
                }
            }
            Value::Sequence(items) => items.iter_mut().for_each(|item| item.put_in_file(file)),
            Value::Map(entries) => {
                for (key, node) in entries {
                    key.span = key.span.in_file(file);
                    node.put_in_file(file);
                }
            }
        }
    }

    /// How many nodes it has, itself included.
    pub(crate) fn size(&self) -> usize {
        match &self.value {
            Value::Scalar(_) => 1,
            Value::Sequence(items) => 1 + items.iter().map(Self::size).sum::<usize>(),
            Value::Map(entries) => {
                1 + entries
                    .iter()
                    .map(|(_, node)| 1 + node.size())
                    .sum::<usize>()
            }
        }
    }
}
