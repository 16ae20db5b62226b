//! From the tree of a YAML file to the typed pipeline.
//!
//! The model's types read themselves through serde. [`NodeDeserializer`] interpolates each text as it is read, and
//! gives every error the place of the key or value it is about.

mod access;
mod carried;
mod error;
pub(crate) mod marker;
mod node;
mod scope;
mod tree;

pub(crate) use carried::Carried;
pub(crate) use error::DecodeError;
pub(crate) use node::NodeDeserializer;
pub(crate) use scope::{Allows, Scope};
