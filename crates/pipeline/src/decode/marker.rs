//! Names by which a type tells the decoder what it wants besides the plain value.
//!
//! serde has no place for positions or unevaluated expressions in its data model. A newtype's name is the one thing
//! that a type hands to its deserializer before asking for data, so these names carry the request.

/// A sequence of the place (as JSON) and the value.
pub(crate) const LOCATED: &str = "$qib::located";
/// The stages' map: inside each value `stage.name` is known.
pub(crate) const STAGES: &str = "$qib::stages";
/// A template's parts as JSON; secrets are refused.
pub(crate) const TEMPLATE: &str = "$qib::template";
/// A template's parts as JSON; secrets are allowed.
pub(crate) const SECRET_TEMPLATE: &str = "$qib::secret_template";
/// A value of any form; its texts come as their parts in JSON, secrets allowed.
pub(crate) const SECRET_TREE: &str = "$qib::secret_tree";
