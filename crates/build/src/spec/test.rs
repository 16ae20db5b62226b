//! How a cell's image is tested.

use super::{ConnectSpec, LaunchSpec, ProvisionerSpec};
use std::time::Duration;

/// How a cell's image is tested.
#[derive(Clone, Debug)]
pub struct TestSpec {
    /// How the instance is launched from it.
    pub launch: LaunchSpec,
    /// How one gets in.
    pub connect: ConnectSpec,
    /// What scripts know the build by.
    pub build_name: String,
    /// The checks.
    pub checks: Vec<ProvisionerSpec>,
    /// How long the checks may take together.
    pub timeout: Duration,
    /// The digest of the checks: an image that carries it as `qib:tested` has passed them.
    pub digest: String,
}
