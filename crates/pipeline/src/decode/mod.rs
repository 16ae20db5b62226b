//! From the tree of a YAML file to the typed pipeline.
//!
//! The model's types read themselves through serde. [`NodeDeserializer`] interpolates each text as it is read, and
//! gives every error the place of the key or value it is about.

mod access;
mod carried;
mod cells;
mod combinations;
mod entries;
mod error;
mod host;
pub(crate) mod marker;
mod mentions;
mod node;
mod scope;
mod step_sets;
mod tree;

pub(crate) use carried::Carried;
pub(crate) use cells::cells;
pub(crate) use error::{DecodeError, Refusal};
pub use host::GitFacts;
pub(crate) use host::Host;
pub(crate) use mentions::mentions;
pub(crate) use node::NodeDeserializer;
pub(crate) use scope::{
    Allows, Expressions, FilePart, MapTables, MatrixScope, ROOM, Scope, StepSetNodes, Surroundings,
};
pub(crate) use step_sets::{check_step_sets, step_sets};
