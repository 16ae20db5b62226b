//! The machine's clock.

use async_trait::async_trait;
use cloud::{Clock, Timestamp};
use std::time::Duration;

/// The system's time, and tokio's timer.
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}
