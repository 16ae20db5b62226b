//! Waiting for a time, or for a person.

use super::TimeSpan;
use crate::template::Template;
use schemars::JsonSchema;
use serde::Deserialize;

/// Waits for a time. The way into the instance is told meanwhile.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pause {
    /// How long.
    #[serde(rename = "for")]
    pub length: TimeSpan,
}

/// Waits until a person at the terminal presses Enter. The way into the instance is told meanwhile.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Breakpoint {
    /// What to tell the person.
    pub message: Option<Template>,
    /// Whether it is a failure that nobody is there to ask: without a terminal a breakpoint is passed, with a warning.
    #[serde(default)]
    pub required: bool,
}
