//! The clock of a local EC2: the system's, or in a simulation one that stands still until everybody waits.

use jiff::Timestamp;
use tokio::time::Instant;

/// What time it is. All instances of one local EC2 share it; the delays that the local EC2 itself makes are tokio's
/// timers in either case.
#[derive(Clone, Copy, Debug)]
pub enum Clock {
    /// The system's clock.
    System,
    /// A moment, and how much of tokio's time has passed since. Where tokio's time is paused
    /// (<https://docs.rs/tokio/latest/tokio/time/fn.pause.html>), hours pass at once.
    Virtual {
        /// The time at `since`.
        base: Timestamp,
        /// When it was that time.
        since: Instant,
    },
}

impl Clock {
    /// A clock that shows `base` now and from here on follows tokio's time.
    pub fn following_tokio(base: Timestamp) -> Self {
        Self::Virtual {
            base,
            since: Instant::now(),
        }
    }

    /// The time.
    pub fn now(self) -> Timestamp {
        match self {
            Self::System => Timestamp::now(),
            // Saturates after some ten thousand years.
            Self::Virtual { base, since } => base.checked_add(since.elapsed()).unwrap_or(base),
        }
    }

    /// The same clock without dates, for measuring what has passed.
    pub fn instant(self) -> Instant {
        Instant::now()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn a_virtual_clock_starts_at_its_base_and_goes_on() {
        let base: Timestamp = "2030-01-01T00:00:00Z".parse().unwrap();
        let clock = Clock::following_tokio(base);
        let first = clock.now();
        assert!(first >= base && first.duration_since(base).as_secs() < 60);
        tokio::time::sleep(Duration::from_millis(2)).await;
        let passed = clock.now().duration_since(first);
        assert!(passed.as_millis() >= 2, "{passed:?}");
    }

    #[test]
    fn the_systems_clock_is_the_systems() {
        let before = Timestamp::now();
        let shown = Clock::System.now();
        assert!(before <= shown && shown <= Timestamp::now());
    }
}
