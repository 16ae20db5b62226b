//! Frozen and upper layers.
