//! Whether a stage's own timeouts fit into its instance's life. Pure.

use crate::spec::{ActionSpec, AddressSpec, CellSpec};
use crate::steps::CONNECT_WITHIN;
use pipeline::model::TimeSpan;
use std::fmt;
use std::time::Duration;

/// A stage that may still be at work when its instance terminates itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shortage {
    /// How long the instance lives.
    pub max_lifetime: Duration,
    /// What binding the address and connecting may take.
    pub connect: Duration,
    /// What provisioners that have a timeout may take, one after the other.
    pub provision: Duration,
    /// What making the image may take.
    pub image: Duration,
}

impl Shortage {
    /// What all of it may take.
    fn needed(&self) -> Duration {
        [self.connect, self.provision, self.image]
            .into_iter()
            .fold(Duration::ZERO, Duration::saturating_add)
    }
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let span = |duration: Duration| TimeSpan::from_secs(duration.as_secs());
        write!(
            f,
            "the instance terminates itself after {} (launch.max_lifetime), and the stage's own timeouts add up to {}: \
             connecting {}, provisioning {}, the image {}; raise launch.max_lifetime or lower them",
            span(self.max_lifetime),
            span(self.needed()),
            span(self.connect),
            span(self.provision),
            span(self.image),
        )
    }
}

/// What is short in the life of `spec`'s instance; none if its timeouts fit. A provisioner without a timeout counts as
/// nothing: how long it takes is not known.
pub fn shortage(spec: &CellSpec) -> Option<Shortage> {
    let bind = match &spec.connect.address {
        AddressSpec::Elastic { timeout, .. } => *timeout,
        AddressSpec::Public | AddressSpec::Private => Duration::ZERO,
    };
    let connect = spec.connect.timeout.unwrap_or(CONNECT_WITHIN);
    let provision = spec.provision.iter().map(|step| match &step.action {
        // The timeout is for each script.
        ActionSpec::Run(run) => {
            let scripts = u32::try_from(run.scripts.len()).unwrap_or(u32::MAX);
            run.timeout
                .map_or(Duration::ZERO, |timeout| timeout.saturating_mul(scripts))
        }
        ActionSpec::Upload(_) => Duration::ZERO,
    });
    let shortage = Shortage {
        max_lifetime: spec.launch.max_lifetime,
        connect: connect.saturating_add(bind),
        provision: provision.fold(Duration::ZERO, Duration::saturating_add),
        image: spec.image.wait,
    };
    (shortage.needed() > shortage.max_lifetime).then_some(shortage)
}
