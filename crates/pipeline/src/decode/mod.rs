//! From the tree of a YAML file to the typed pipeline.

mod carried;
pub(crate) mod marker;

pub(crate) use carried::Carried;
