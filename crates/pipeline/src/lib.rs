//! A pipeline file, read and checked.
//!
//! Pure: no network, no clock, no environment, no output.

mod decode;
pub mod model;
mod span;
mod suggest;
pub mod template;

pub use span::Span;
