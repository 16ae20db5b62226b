//! Loading pipelines: what is taken, what is refused and in which words.

mod ansible;
mod bad_input;
mod bad_launch;
mod bad_provision;
mod bounds;
mod cache;
mod design;
mod import;
mod include;
mod language;
mod launch;
mod matrix;
mod memory;
mod outputs;
mod provision;
mod publish;
mod sources;
mod variables;
