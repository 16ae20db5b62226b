//! Time as a port, so that waits can be tested without waiting.

use async_trait::async_trait;
use std::time::Duration;

/// A moment in time, in UTC.
pub type Timestamp = jiff::Timestamp;

/// The only way to know the time or to let it pass.
#[async_trait]
pub trait Clock: Send + Sync {
    /// The present moment.
    fn now(&self) -> Timestamp;

    /// Comes back after `duration`.
    async fn sleep(&self, duration: Duration);
}

/// `moment` plus `duration`, saturating at the end of time.
pub fn after(moment: Timestamp, duration: Duration) -> Timestamp {
    jiff::SignedDuration::try_from(duration)
        .ok()
        .and_then(|d| moment.checked_add(d).ok())
        .unwrap_or(Timestamp::MAX)
}

/// How long from `earlier` to `later`; zero if `later` is not later.
pub fn between(earlier: Timestamp, later: Timestamp) -> Duration {
    later
        .duration_since(earlier)
        .try_into()
        .unwrap_or(Duration::ZERO)
}
