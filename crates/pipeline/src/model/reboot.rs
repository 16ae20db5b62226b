//! Restarting the instance's operating system.

use super::{Located, TimeSpan};
use schemars::JsonSchema;
use serde::Deserialize;

/// Restarts the instance's operating system, and waits until it has booted anew and answers with the same host key. The
/// instance stays, and so does its address.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reboot {
    /// How long it may take until the instance answers again.
    #[serde(default = "ten_minutes")]
    pub timeout: TimeSpan,
    /// What restarts it, run as root through sudo. Without it the first of `systemctl reboot`, `shutdown -r now` and
    /// `reboot` that works.
    pub command: Option<Located<String>>,
}

impl Reboot {
    /// How long a boot may take where the pipeline does not say.
    pub const TIMEOUT: TimeSpan = TimeSpan::from_secs(600);
}

pub(crate) const fn ten_minutes() -> TimeSpan {
    Reboot::TIMEOUT
}
