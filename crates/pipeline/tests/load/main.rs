//! Loading pipelines: what is taken, what is refused and in which words.

mod bad_input;
mod bounds;
mod cache;
mod design;
mod launch;
mod memory;
mod publish;
mod variables;
