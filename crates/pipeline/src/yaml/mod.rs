//! The one module that knows YAML: from bytes to a tree of nodes with their places.
//!
//! It reads the parser's events instead of deserializing, since a pipeline needs what deserializing drops: the spelling
//! of `4.10`, whether a scalar was quoted, and the place of every key.

mod compose;
pub mod edit;
mod node;

pub(crate) use compose::{MAX_NODES, compose};
pub(crate) use node::{Key, Node, Scalar, Value};
