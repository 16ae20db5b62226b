//! Places in a YAML file.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A place in a file: where a key, a value or an expression starts, and how wide it is on that line.
///
/// Places are in order by file, then by line and column.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Span {
    /// Which file: 0 is the pipeline's own, the others are those it includes, in the order they were first named in.
    pub file: u16,
    /// Line, counted from 1.
    pub line: u32,
    /// Column in characters, counted from 1.
    pub column: u32,
    /// Width in characters on that line; at least 1.
    pub width: u32,
}

impl Span {
    /// The first character of the pipeline's file: for problems with the file as a whole.
    pub const START: Span = Span {
        file: 0,
        line: 1,
        column: 1,
        width: 1,
    };

    /// A place of one character in the pipeline's own file.
    pub const fn point(line: u32, column: u32) -> Self {
        Self {
            file: 0,
            line,
            column,
            width: 1,
        }
    }

    /// The same place in another file.
    pub(crate) const fn in_file(self, file: u16) -> Self {
        Self { file, ..self }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}
