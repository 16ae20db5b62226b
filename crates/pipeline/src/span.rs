//! Places in a YAML file.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A place in a file: where a key, a value or an expression starts, and how wide it is on that line.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Span {
    /// Line, counted from 1.
    pub line: u32,
    /// Column in characters, counted from 1.
    pub column: u32,
    /// Width in characters on that line; at least 1.
    pub width: u32,
}

impl Span {
    /// The first character of a file: for problems with the file as a whole.
    pub const START: Span = Span {
        line: 1,
        column: 1,
        width: 1,
    };

    /// A place of one character.
    pub const fn point(line: u32, column: u32) -> Self {
        Self {
            line,
            column,
            width: 1,
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}
