//! Setting values in a YAML file that a person keeps: everything but the values asked for stays as it is, byte for byte.
//!
//! ```text
//! text ──▶ outline (values with their byte ranges) ──▶ path ──▶ range ──▶ text with the range replaced
//!                                                                             │
//!                      the same values everywhere else, or nothing ◀── outline ┘
//! ```

use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle, Span as Range, StrInput};
use std::collections::BTreeMap;
use std::fmt;
use std::ops;

/// Nothing that a person keeps by hand is larger.
const MAX_BYTES: usize = 16 << 20;
/// Maps and lists inside each other.
const MAX_DEPTH: usize = 128;

/// Where a value stands: keys and places in lists, such as `bastion.machine_image.id`, `nodes[0].image` or
/// `"a.key.with.dots".id`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ValuePath(Vec<PathPart>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum PathPart {
    Key(String),
    /// Counted from 0.
    Place(usize),
}

impl ValuePath {
    /// Reads a path.
    ///
    /// # Errors
    /// In words, when it is not written like one.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            if let Some(inner) = rest.strip_prefix('[') {
                let (number, after) = inner
                    .split_once(']')
                    .ok_or_else(|| format!("the path `{text}` has a `[` without `]`"))?;
                let place = number
                    .parse()
                    .map_err(|_| format!("`[{number}]` in the path `{text}` is no place in a list; places count from 0"))?;
                parts.push(PathPart::Place(place));
                rest = after;
            } else if let Some(inner) = rest.strip_prefix('"') {
                let (key, after) = inner.split_once('"').ok_or_else(|| {
                    format!("the path `{text}` has a quote without its other one")
                })?;
                parts.push(PathPart::Key(key.to_owned()));
                rest = after;
            } else {
                let end = rest.find(['.', '[', '"']).unwrap_or(rest.len());
                let (key, after) = rest.split_at(end);
                if key.is_empty() {
                    return Err(format!("the path `{text}` has an empty key"));
                }
                parts.push(PathPart::Key(key.to_owned()));
                rest = after;
            }
            rest = match rest.strip_prefix('.') {
                Some("") => return Err(format!("the path `{text}` ends in a dot")),
                Some(after) => after,
                None if rest.is_empty() || rest.starts_with('[') => rest,
                None => return Err(format!("the path `{text}` lacks a dot before `{rest}`")),
            };
        }
        if parts.is_empty() {
            return Err(String::from(
                "a path is written like bastion.machine_image.id",
            ));
        }
        Ok(Self(parts))
    }
}

impl fmt::Display for ValuePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_parts(f, &self.0)
    }
}

fn write_parts(f: &mut impl fmt::Write, parts: &[PathPart]) -> fmt::Result {
    for (number, part) in parts.iter().enumerate() {
        match part {
            PathPart::Place(place) => write!(f, "[{place}]")?,
            PathPart::Key(key) => {
                if number > 0 {
                    f.write_char('.')?;
                }
                if key.contains(['.', '[', '"']) {
                    write!(f, "\"{key}\"")?;
                } else {
                    f.write_str(key)?;
                }
            }
        }
    }
    Ok(())
}

/// Why a value could not be set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The file is not YAML.
    #[error("line {line}, column {column}: {message}")]
    NotYaml {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// What is wrong.
        message: String,
    },
    /// There is no such value.
    #[error("there is no `{path}` in it: {why}")]
    NotThere {
        /// The path.
        path: String,
        /// How far it leads.
        why: String,
    },
    /// What stands there cannot be set.
    #[error("`{path}` (line {line}) cannot be set: {why}")]
    NotSettable {
        /// The path.
        path: String,
        /// Where it stands.
        line: usize,
        /// Why.
        why: String,
    },
    /// The text with the value set would not read back as it should.
    #[error("setting `{path}` would change more of the file than that value")]
    ChangesMore {
        /// The path.
        path: String,
    },
}

/// `text` with each value set. What is not asked for keeps its bytes: comments, anchors, indentation, line ends. Aliases of
/// a value that is set follow it, which is what its author wrote them for.
///
/// # Errors
/// When the text is not YAML, a value is not there or is no single value, or YAML cannot hold the new one.
pub fn set_values(text: &str, values: &BTreeMap<ValuePath, String>) -> Result<String, EditError> {
    let outline = Outline::read(text)?;
    let mut edits: Vec<(ops::Range<usize>, String)> = Vec::new();
    for (path, value) in values {
        edits.push(outline.edit(text, path, value)?);
    }
    edits.sort_by_key(|(range, _)| range.start);
    let mut edited = String::with_capacity(text.len() + 64);
    let mut at = 0;
    for (range, replacement) in &edits {
        edited.push_str(text.get(at..range.start).unwrap_or_default());
        edited.push_str(replacement);
        at = range.end;
    }
    edited.push_str(text.get(at..).unwrap_or_default());

    // Quoting has many corners: what was written is read again, and must be what was meant.
    let first = || {
        values
            .keys()
            .next()
            .map(ToString::to_string)
            .unwrap_or_default()
    };
    let changed = |path: String| EditError::ChangesMore { path };
    let again = Outline::read(&edited).map_err(|_| changed(first()))?;
    let mut wanted = outline;
    for (path, value) in values {
        wanted.set(path, value);
    }
    if wanted.meaning() == again.meaning() {
        Ok(edited)
    } else {
        Err(changed(first()))
    }
}

/// The documents of a file with their places.
#[derive(Clone, Debug)]
struct Outline {
    documents: Vec<Item>,
}

#[derive(Clone, Debug)]
struct Item {
    line: usize,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    Scalar {
        bytes: ops::Range<usize>,
        style: ScalarStyle,
        text: String,
    },
    Alias(usize, ops::Range<usize>),
    List(Vec<Item>),
    Map(Vec<Entry>),
}

#[derive(Clone, Debug)]
struct Entry {
    /// None for a key that is no text.
    key: Option<String>,
    key_end: usize,
    value: Item,
}

struct Reader<'t> {
    parser: Parser<'t, StrInput<'t>>,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Result<(Event<'t>, Range), EditError> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(why)) => Err(EditError::NotYaml {
                line: why.marker().line(),
                column: why.marker().col() + 1,
                message: why.info().to_owned(),
            }),
            None => Err(EditError::NotYaml {
                line: 0,
                column: 0,
                message: String::from("the file ends in the middle of a value"),
            }),
        }
    }

    fn item(&mut self, event: Event<'t>, range: &Range, depth: usize) -> Result<Item, EditError> {
        let line = range.start.line();
        let broken = |message: &str| EditError::NotYaml {
            line,
            column: range.start.col() + 1,
            message: message.to_owned(),
        };
        if depth > MAX_DEPTH {
            return Err(broken("values are nested too deep"));
        }
        let bytes = || {
            range
                .byte_range()
                .ok_or_else(|| broken("its place is not known"))
        };
        let content = match event {
            Event::Alias(id) => Content::Alias(id, bytes()?),
            Event::Scalar(text, style, ..) => Content::Scalar {
                bytes: bytes()?,
                style,
                text: text.into_owned(),
            },
            Event::SequenceStart(..) => {
                let mut items = Vec::new();
                loop {
                    let (event, range) = self.next()?;
                    if event == Event::SequenceEnd {
                        break;
                    }
                    items.push(self.item(event, &range, depth + 1)?);
                }
                Content::List(items)
            }
            Event::MappingStart(..) => {
                let mut entries = Vec::new();
                loop {
                    let (event, range) = self.next()?;
                    if event == Event::MappingEnd {
                        break;
                    }
                    let key_end = range.byte_range().map_or(0, |bytes| bytes.end);
                    let key = match self.item(event, &range, depth + 1)?.content {
                        Content::Scalar { text, .. } => Some(text),
                        _ => None,
                    };
                    let (event, range) = self.next()?;
                    let value = self.item(event, &range, depth + 1)?;
                    entries.push(Entry {
                        key,
                        key_end,
                        value,
                    });
                }
                Content::Map(entries)
            }
            _ => return Err(broken("this is no value")),
        };
        Ok(Item { line, content })
    }
}

impl Outline {
    fn read(text: &str) -> Result<Self, EditError> {
        if text.len() > MAX_BYTES {
            return Err(EditError::NotYaml {
                line: 1,
                column: 1,
                message: format!("the file has {} bytes; the most is {MAX_BYTES}", text.len()),
            });
        }
        let mut reader = Reader {
            parser: Parser::new_from_str(text),
        };
        let mut documents = Vec::new();
        loop {
            let (event, range) = reader.next()?;
            match event {
                Event::StreamEnd => break,
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                event => documents.push(reader.item(event, &range, 0)?),
            }
        }
        Ok(Self { documents })
    }

    /// What is to be replaced by what.
    fn edit(
        &self,
        text: &str,
        path: &ValuePath,
        value: &str,
    ) -> Result<(ops::Range<usize>, String), EditError> {
        let mut found = Vec::new();
        let mut why = String::from("the file holds no document");
        for document in &self.documents {
            match document.find(&path.0) {
                Ok(target) => found.push(target),
                Err(reason) => why = reason,
            }
        }
        let target = match found.as_slice() {
            [] => {
                return Err(EditError::NotThere {
                    path: path.to_string(),
                    why,
                });
            }
            [only] => only,
            _ => {
                return Err(EditError::NotThere {
                    path: path.to_string(),
                    why: String::from(
                        "several documents of the file have it, so that it is not clear which is meant",
                    ),
                });
            }
        };
        let refuse = |why: String| EditError::NotSettable {
            path: path.to_string(),
            line: target.item.line,
            why,
        };
        match &target.item.content {
            Content::Map(_) => Err(refuse(String::from("it is a map, not a single value"))),
            Content::List(_) => Err(refuse(String::from("it is a list, not a single value"))),
            // Only this use of the alias: what it names stays.
            Content::Alias(_, bytes) => Ok((bytes.clone(), plain_or_quoted(value))),
            Content::Scalar {
                style: ScalarStyle::Literal | ScalarStyle::Folded,
                ..
            } => Err(refuse(String::from("it is a block of several lines"))),
            Content::Scalar { bytes, style, .. } => {
                if bytes.is_empty() {
                    let (at, space) = gap_after_key(text, target.key_end, bytes.start);
                    return Ok((at..at, format!("{space}{}", plain_or_quoted(value))));
                }
                let replacement = match style {
                    ScalarStyle::SingleQuoted => single_quoted(value),
                    ScalarStyle::DoubleQuoted => double_quoted(value),
                    _ => plain_or_quoted(value),
                };
                Ok((bytes.clone(), replacement))
            }
        }
    }

    /// Puts `value` where `path` leads.
    fn set(&mut self, path: &ValuePath, value: &str) {
        for document in &mut self.documents {
            if document.find(&path.0).is_ok()
                && let Some(item) = document.find_mut(&path.0)
            {
                item.content = Content::Scalar {
                    bytes: 0..0,
                    style: ScalarStyle::DoubleQuoted,
                    text: value.to_owned(),
                };
            }
        }
    }

    /// What the file says, without how it is written.
    fn meaning(&self) -> Vec<String> {
        let mut said = Vec::new();
        for document in &self.documents {
            said.push(String::from("---"));
            document.say(&mut said);
        }
        said
    }
}

/// A value and the key it belongs to.
struct Target<'i> {
    item: &'i Item,
    key_end: Option<usize>,
}

impl Item {
    fn find(&self, path: &[PathPart]) -> Result<Target<'_>, String> {
        let mut at = Target {
            item: self,
            key_end: None,
        };
        for (depth, part) in path.iter().enumerate() {
            let mut here = String::new();
            let _ = write_parts(&mut here, path.get(..depth).unwrap_or_default());
            let place = if here.is_empty() {
                String::from("the file's top")
            } else {
                format!("`{here}`")
            };
            at = match (&at.item.content, part) {
                (Content::Map(entries), PathPart::Key(key)) => {
                    let mut fitting = entries
                        .iter()
                        .filter(|entry| entry.key.as_ref() == Some(key));
                    let entry = fitting.next().ok_or_else(|| {
                        format!(
                            "{place} (line {}) has no key `{key}` of its own",
                            at.item.line
                        )
                    })?;
                    if fitting.next().is_some() {
                        return Err(format!("{place} has the key `{key}` twice"));
                    }
                    Target {
                        item: &entry.value,
                        key_end: Some(entry.key_end),
                    }
                }
                (Content::List(items), PathPart::Place(number)) => {
                    let item = items.get(*number).ok_or_else(|| {
                        format!(
                            "{place} (line {}) has {} entries",
                            at.item.line,
                            items.len()
                        )
                    })?;
                    Target {
                        item,
                        key_end: None,
                    }
                }
                (Content::Alias(..), _) => {
                    return Err(format!(
                        "{place} (line {}) is an alias; set the value where its anchor stands",
                        at.item.line
                    ));
                }
                (Content::List(_), PathPart::Key(_)) => {
                    return Err(format!(
                        "{place} (line {}) is a list; its entries are written [0], [1] …",
                        at.item.line
                    ));
                }
                (_, PathPart::Place(_)) => {
                    return Err(format!("{place} (line {}) is no list", at.item.line));
                }
                (_, PathPart::Key(_)) => {
                    return Err(format!("{place} (line {}) is no map", at.item.line));
                }
            };
        }
        Ok(at)
    }

    fn find_mut(&mut self, path: &[PathPart]) -> Option<&mut Item> {
        let mut at = self;
        for part in path {
            at = match (&mut at.content, part) {
                (Content::Map(entries), PathPart::Key(key)) => entries
                    .iter_mut()
                    .find(|entry| entry.key.as_ref() == Some(key))
                    .map(|entry| &mut entry.value)?,
                (Content::List(items), PathPart::Place(number)) => items.get_mut(*number)?,
                _ => return None,
            };
        }
        Some(at)
    }

    fn say(&self, said: &mut Vec<String>) {
        match &self.content {
            Content::Scalar { text, .. } => said.push(format!("={text}")),
            Content::Alias(id, _) => said.push(format!("*{id}")),
            Content::List(items) => {
                said.push(format!("[{}", items.len()));
                items.iter().for_each(|item| item.say(said));
            }
            Content::Map(entries) => {
                said.push(format!("{{{}", entries.len()));
                for entry in entries {
                    said.push(format!("{:?}:", entry.key));
                    entry.value.say(said);
                }
            }
        }
    }
}

/// Where the value of a key that has none begins: right after the key's colon, so that a comment stays behind it.
fn gap_after_key(text: &str, key_end: Option<usize>, otherwise: usize) -> (usize, &'static str) {
    let after_key = key_end.and_then(|end| {
        let rest = text.get(end..)?;
        let colon = rest.find(':')?;
        let only_space = rest.get(..colon)?.trim().is_empty();
        only_space.then_some(end + colon + 1)
    });
    match after_key {
        Some(at) => (at, " "),
        None => {
            let spaced = text
                .get(..otherwise)
                .is_none_or(|before| before.ends_with([' ', '\n', '[', '{']));
            (otherwise, if spaced { "" } else { " " })
        }
    }
}

/// Without quotes where that reads back as the same text and no reader takes it for something else.
fn plain_or_quoted(value: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    let is_word = value.starts_with(|c: char| c.is_ascii_alphabetic()) && value.chars().all(safe);
    // YAML 1.1 readers take these for booleans or nothing.
    let reserved = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    if is_word && !reserved.contains(&value.to_ascii_lowercase().as_str()) {
        value.to_owned()
    } else {
        double_quoted(value)
    }
}

fn single_quoted(value: &str) -> String {
    if value.chars().any(char::is_control) {
        return double_quoted(value);
    }
    format!("'{}'", value.replace('\'', "''"))
}

fn double_quoted(value: &str) -> String {
    let mut quoted = String::from("\"");
    for c in value.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                quoted.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
