//! Loading pipelines: what is taken, what is refused and in which words.

mod bad_input;
mod bad_launch;
mod bounds;
mod cache;
mod design;
mod launch;
mod matrix;
mod memory;
mod outputs;
mod sources;
mod variables;
