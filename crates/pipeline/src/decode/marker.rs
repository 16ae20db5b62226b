//! Names by which a type tells the decoder what it wants besides the plain value.
//!
//! serde has no place for positions or unevaluated expressions in its data model. A newtype's name is the one thing
//! that a type hands to its deserializer before asking for data, so these names carry the request.

/// A sequence of the place (as JSON) and the value.
pub(crate) const LOCATED: &str = "$qib::located";
/// The outputs' list: what a cell has is known only when its image is there.
pub(crate) const OUTPUTS: &str = "$qib::outputs";
/// A template's parts as JSON; secrets are refused.
pub(crate) const TEMPLATE: &str = "$qib::template";
/// A template's parts as JSON; secrets are allowed.
pub(crate) const SECRET_TEMPLATE: &str = "$qib::secret_template";
/// A list of entries: step sets put in, entries whose `when` is false left out.
pub(crate) const ENTRIES: &str = "$qib::entries";
/// As a struct's name, with the keys that may stand beside an entry's kind: those keys, then the rest.
pub(crate) const ENTRY: &str = "$qib::entry";
/// In front of an error's text: the rest is a [`super::Refusal`] as JSON.
pub(crate) const REFUSAL: &str = "$qib::refusal ";
/// A value of any form; its texts come as their parts in JSON, secrets allowed.
pub(crate) const SECRET_TREE: &str = "$qib::secret_tree";
