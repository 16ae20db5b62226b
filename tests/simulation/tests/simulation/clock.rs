//! One clock for the engine, the SDK and the local EC2: tokio's paused time. It moves only when everybody waits.

use async_trait::async_trait;
use cloud::{Clock, Timestamp};
use std::time::Duration;

/// The moment at which every simulation begins.
pub const BEGINNING: &str = "2030-01-07T08:00:00Z";

/// The simulation's clock, for the engine and the SDK.
#[derive(Clone, Copy, Debug)]
pub struct Simulated(pub emulator::clock::Clock);

impl Simulated {
    /// It is [`BEGINNING`] now.
    pub fn begin() -> Self {
        Self(emulator::clock::Clock::following_tokio(
            BEGINNING.parse().unwrap(),
        ))
    }
}

#[async_trait]
impl Clock for Simulated {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}
