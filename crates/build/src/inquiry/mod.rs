//! Whether an account lets a pipeline be built: everything that a run would find out later, asked before it, and nothing is
//! made.
//!
//! ```text
//!   plan ─▶ regions open? ─▶ cells, names ─▶ where instances may go
//!    │
//!    ├─▶ permissions: the least policy's actions, each by the first that can tell
//!    │        reading calls ─▶ made
//!    │        other calls   ─▶ DryRun ─▶ allowed, or denied on what is there ──▶ told
//!    │                            └ unknown, or denied on what nothing is ─▶ IAM's simulator ─▶ told, or cannot be told
//!    ├─▶ imports through S3: the bucket in the region, the role there
//!    ├─▶ quotas: how much may be used, is used, and is needed at once
//!    ├─▶ keys: there, enabled, a grant for EBS
//!    ├─▶ public sharing: not blocked
//!    └─▶ credentials: how long they last
//! ```

mod access;
mod check;
mod credentials;
mod dry_runs;
mod imports;
mod keys;
mod permission;
mod places;
mod quota;
mod reads;
mod simulation;

pub use check::{Answer, Check, Kind, Quantity};

use crate::failure::StepError;
use crate::options::RunOptions;
use crate::plan::{Plan, look};
use crate::ports::Ports;
use pipeline::model::Pipeline;

/// What was found.
#[derive(Clone, Debug)]
pub struct Inquiry {
    /// What a run would do.
    pub plan: Plan,
    /// What was asked, and what the account says.
    pub checks: Vec<Check>,
}

impl Inquiry {
    /// What keeps the pipeline from being built.
    pub fn denied(&self) -> impl Iterator<Item = &Check> {
        self.checks
            .iter()
            .filter(|check| check.answer == Answer::Denied)
    }
}

/// Asks whether `pipeline` can be built.
///
/// # Errors
/// If the cells cannot be chosen so, or the account cannot be asked at all.
pub async fn inquire(
    pipeline: &Pipeline,
    options: &RunOptions,
    ports: &Ports,
) -> Result<Inquiry, StepError> {
    let sight = look(pipeline, options, ports).await?;
    let mut checks = vec![credentials::check(&sight, ports).await];
    checks.extend(places::checks(&sight, options, ports).await);
    checks.extend(imports::checks(&sight, ports).await);
    checks.extend(permission::checks(&sight, ports).await);
    checks.extend(quota::checks(&sight, options, ports).await);
    let keys = keys::checks(&sight, ports, &checks).await;
    checks.extend(keys);
    Ok(Inquiry {
        plan: sight.plan,
        checks,
    })
}
