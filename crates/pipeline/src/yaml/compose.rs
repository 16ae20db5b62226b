//! From YAML's events to the tree.
//!
//! Bounded in time and memory: an alias is expanded by copying, and what it would add is counted before it is copied.

use super::{Key, Node, Scalar, Value};
use crate::Span;
use crate::problem::Fault;
use serde_saphyr::granit_parser::{Event, Marker, Parser, ScalarStyle, Span as Range};
use std::collections::HashMap;

/// A pipeline of this size is data, not something that a person wrote.
const MAX_BYTES: usize = 1 << 20;
/// Nodes of the tree after aliases are expanded.
pub(crate) const MAX_NODES: usize = 100_000;
/// Maps and lists inside each other.
const MAX_DEPTH: usize = 64;

/// Reads one YAML document; `file` is the index that its places carry.
///
/// # Errors
/// Not UTF-8, not YAML, no document or several, a duplicate key, a key that is no text, a tag, too much of anything.
pub(crate) fn compose(bytes: &[u8], file: u16) -> Result<(Node, &str), Fault> {
    match compose_document(bytes) {
        Ok((mut node, text)) => {
            node.put_in_file(file);
            Ok((node, text))
        }
        Err(fault) => Err(Fault {
            span: fault.span.in_file(file),
            ..fault
        }),
    }
}

fn compose_document(bytes: &[u8]) -> Result<(Node, &str), Fault> {
    if bytes.len() > MAX_BYTES {
        let message = format!(
            "the file has {} bytes; the most is {MAX_BYTES}",
            bytes.len()
        );
        return Err(Fault::new(Span::START, message));
    }
    let text = std::str::from_utf8(bytes).map_err(|why| not_utf8(bytes, why.valid_up_to()))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut composer = Composer {
        text,
        parser: Parser::new_from_str(text),
        anchors: HashMap::new(),
        nodes: 0,
    };
    let mut document = None;
    while let Some((event, range)) = composer.next()? {
        match event {
            Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(..)
            | Event::DocumentEnd => {}
            event if document.is_none() => document = Some(composer.node(event, range, 0)?),
            _ => {
                return Err(Fault::new(
                    start(&range),
                    "the file holds several documents; a pipeline is one",
                ));
            }
        }
    }
    match document {
        Some(node) if !matches!(&node.value, Value::Scalar(scalar) if scalar.is_null()) => {
            Ok((node, text))
        }
        _ => Err(Fault::new(Span::START, "the file is empty")
            .hint("a pipeline begins with `name:` and `stages:`")),
    }
}

fn not_utf8(bytes: &[u8], valid: usize) -> Fault {
    let before = bytes.get(..valid).unwrap_or_default();
    let line = before.iter().filter(|b| **b == b'\n').count() as u32 + 1;
    let start = before
        .iter()
        .rposition(|b| *b == b'\n')
        .map_or(0, |at| at + 1);
    let column = String::from_utf8_lossy(before.get(start..).unwrap_or_default())
        .chars()
        .count() as u32
        + 1;
    let byte = bytes.get(valid).copied().unwrap_or_default();
    Fault::new(
        Span::point(line, column),
        format!("the file is not UTF-8: byte 0x{byte:02x} at offset {valid}"),
    )
    .hint("save it as UTF-8; `iconv -f ISO-8859-1 -t UTF-8` converts a Latin-1 file")
}

fn point(marker: &Marker) -> Span {
    Span::point(marker.line() as u32, marker.col() as u32 + 1)
}

fn start(range: &Range) -> Span {
    point(&range.start)
}

/// The place of a range, as wide as its part of the first line.
fn place(range: &Range) -> Span {
    let width = if range.start.line() == range.end.line() {
        range.end.col().saturating_sub(range.start.col())
    } else {
        1
    };
    Span {
        width: width.max(1) as u32,
        ..start(range)
    }
}

struct Composer<'t> {
    text: &'t str,
    parser: Parser<'t, serde_saphyr::granit_parser::StrInput<'t>>,
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
}

impl<'t> Composer<'t> {
    fn next(&mut self) -> Result<Option<(Event<'t>, Range)>, Fault> {
        self.parser.next_event().transpose().map_err(|why| {
            Fault::new(
                point(why.marker()),
                format!("the file is not valid YAML: {}", why.info()),
            )
        })
    }

    fn expect(&mut self) -> Result<(Event<'t>, Range), Fault> {
        self.next()?
            .ok_or_else(|| Fault::new(Span::START, "the file ends in the middle of a value"))
    }

    fn count(&mut self, nodes: usize, at: Span) -> Result<(), Fault> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes <= MAX_NODES {
            return Ok(());
        }
        Err(Fault::new(
            at,
            format!("the file has more than {MAX_NODES} values when its aliases are expanded"),
        )
        .hint("aliases (`*name`) that repeat aliases multiply: write out what is needed"))
    }

    fn node(&mut self, event: Event<'t>, range: Range, depth: usize) -> Result<Node, Fault> {
        if depth > MAX_DEPTH {
            return Err(Fault::new(
                start(&range),
                format!("values are nested more than {MAX_DEPTH} deep"),
            ));
        }
        let (tag, anchor) = match &event {
            Event::Scalar(_, _, anchor, tag)
            | Event::SequenceStart(_, anchor, tag)
            | Event::MappingStart(_, anchor, tag) => (tag.is_some(), *anchor),
            _ => (false, 0),
        };
        if tag {
            return Err(
                Fault::new(start(&range), "YAML tags (`!name`) have no meaning here")
                    .hint("leave it out"),
            );
        }
        let before = self.nodes;
        let node = match event {
            Event::Alias(id) => return self.alias(id, &range),
            Event::Scalar(text, style, ..) => {
                self.count(1, start(&range))?;
                Node {
                    span: place(&range),
                    value: Value::Scalar(self.scalar(text.into_owned(), style, &range)),
                }
            }
            Event::SequenceStart(..) => {
                self.count(1, start(&range))?;
                let mut items = Vec::new();
                loop {
                    let (event, range) = self.expect()?;
                    if event == Event::SequenceEnd {
                        break;
                    }
                    items.push(self.node(event, range, depth + 1)?);
                }
                Node {
                    span: start(&range),
                    value: Value::Sequence(items),
                }
            }
            Event::MappingStart(..) => {
                self.count(1, start(&range))?;
                Node {
                    span: start(&range),
                    value: Value::Map(self.map(depth)?),
                }
            }
            _ => return Err(Fault::new(start(&range), "the file is not valid YAML here")),
        };
        if anchor != 0 {
            self.anchors
                .insert(anchor, (node.clone(), self.nodes - before));
            // The copy is held as well.
            self.count(node.size(), start(&range))?;
        }
        Ok(node)
    }

    fn alias(&mut self, id: usize, range: &Range) -> Result<Node, Fault> {
        let Some(size) = self.anchors.get(&id).map(|(_, size)| *size) else {
            return Err(Fault::new(
                place(range),
                "this alias stands inside the very value that it names",
            ));
        };
        self.count(size, place(range))?;
        self.anchors
            .get(&id)
            .map(|(node, _)| node.clone())
            .ok_or_else(|| Fault::new(place(range), "this alias names nothing"))
    }

    fn map(&mut self, depth: usize) -> Result<Vec<(Key, Node)>, Fault> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        let mut places: HashMap<String, Span> = HashMap::new();
        let mut merged: Vec<(Key, Node)> = Vec::new();
        loop {
            let (event, range) = self.expect()?;
            let key = match event {
                Event::MappingEnd => break,
                Event::Scalar(text, style, _, None) => Key {
                    text: text.into_owned(),
                    span: Span {
                        width: width_of(style, &range),
                        ..start(&range)
                    },
                },
                _ => return Err(Fault::new(start(&range), "a key must be a plain text")),
            };
            self.count(1, key.span)?;
            let (event, range) = self.expect()?;
            let node = self.node(event, range, depth + 1)?;
            if let Some(first) = places.get(&key.text) {
                return Err(Fault::new(
                    key.span,
                    format!("the key `{}` stands here twice", key.text),
                )
                .hint(format!(
                    "it first stands in line {}; keep one of them",
                    first.line
                )));
            }
            places.insert(key.text.clone(), key.span);
            if key.text == "<<" {
                merge(&mut merged, node)?;
            } else {
                entries.push((key, node));
            }
        }
        // A key written here goes before a merged one; of two merged ones the first wins (yaml.org, "Merge Key").
        for (key, node) in merged {
            if !places.contains_key(&key.text) {
                places.insert(key.text.clone(), key.span);
                entries.push((key, node));
            }
        }
        Ok(entries)
    }

    fn scalar(&self, text: String, style: ScalarStyle, range: &Range) -> Scalar {
        let openings = if text.contains("${{") {
            openings(self.text, range)
        } else {
            Vec::new()
        };
        Scalar {
            text,
            plain: style == ScalarStyle::Plain,
            openings,
        }
    }
}

fn width_of(style: ScalarStyle, range: &Range) -> u32 {
    match style {
        ScalarStyle::Literal | ScalarStyle::Folded => 1,
        _ => place(range).width,
    }
}

fn merge(into: &mut Vec<(Key, Node)>, node: Node) -> Result<(), Fault> {
    match node.value {
        Value::Map(entries) => into.extend(entries),
        Value::Sequence(items) if items.iter().all(|item| matches!(item.value, Value::Map(_))) => {
            for item in items {
                merge(into, item)?;
            }
        }
        _ => {
            return Err(Fault::new(
                node.span,
                "`<<` merges a map, or a list of maps",
            ));
        }
    }
    Ok(())
}

/// Where each `${{` in a range of the file stands. YAML's escapes can neither make nor hide one that a person would
/// write, so they come in the same order as in the scalar's text.
fn openings(text: &str, range: &Range) -> Vec<Span> {
    let Some(raw) = range.slice(text) else {
        return Vec::new();
    };
    let (mut line, mut column) = (range.start.line() as u32, range.start.col() as u32 + 1);
    let mut found = Vec::new();
    for (at, c) in raw.char_indices() {
        if raw.get(at..).is_some_and(|rest| rest.starts_with("${{")) {
            found.push(Span {
                file: 0,
                line,
                column,
                width: 3,
            });
        }
        if c == '\n' {
            line += 1;
            column = 1;
        } else {
            column += 1;
        }
    }
    found
}
