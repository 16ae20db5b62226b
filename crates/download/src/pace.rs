//! How often a server is asked again, and after which pause.

use crate::settings::Settings;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use rand::RngExt;
use std::time::Duration;

/// A download must come at least so much further than ever before for the count of attempts to start anew: so a server
/// that cuts every answer short cannot keep a fetch busy for ever.
const FURTHER: u64 = 1 << 20;

/// Counts failures in a row, and says how long to pause.
#[derive(Debug)]
pub(crate) struct Pace {
    attempts: u32,
    first: Duration,
    longest: Duration,
    failures: u32,
    furthest: u64,
}

/// Why there is no further attempt.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum GiveUp {
    /// So many attempts failed in a row.
    Attempts(u32),
    /// The server wants to be left alone for so long.
    Asked(Duration),
}

impl Pace {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            attempts: settings.attempts.get(),
            first: settings.first_pause,
            longest: settings.longest_pause,
            failures: 0,
            furthest: 0,
        }
    }

    /// Is told how many bytes there are now.
    pub(crate) fn reached(&mut self, bytes: u64) {
        if bytes >= self.furthest.saturating_add(FURTHER) {
            self.furthest = bytes;
            self.failures = 0;
        }
    }

    /// After a failure: the pause before the next attempt. `asked` is what the server wants (Retry-After).
    pub(crate) fn after_failure(&mut self, asked: Option<Duration>) -> Result<Duration, GiveUp> {
        self.failures += 1;
        if self.failures >= self.attempts {
            return Err(GiveUp::Attempts(self.failures));
        }
        if let Some(asked) = asked {
            if asked > self.longest {
                return Err(GiveUp::Asked(asked));
            }
            return Ok(asked.max(self.first));
        }
        let doubled = self.first.saturating_mul(1 << (self.failures - 1).min(16));
        // Between half of it and all of it, so that those who failed together do not come back together.
        let part = rand::rng().random_range(0.5..=1.0);
        Ok(doubled.min(self.longest).mul_f64(part))
    }
}

/// Reads Retry-After: seconds, or a date (RFC 9110, section 10.2.3).
pub(crate) fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let then = rfc2822::parse(value).ok()?.timestamp();
    Some(Duration::try_from(then.duration_since(now)).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU32;

    fn pace(attempts: u32) -> Pace {
        let mut settings = Settings::in_cache("");
        settings.attempts = NonZeroU32::new(attempts).expect("not 0");
        settings.longest_pause = Duration::from_secs(6);
        Pace::new(&settings)
    }

    #[test]
    fn pauses_grow_to_their_bound_and_end() {
        let mut pace = pace(6);
        let mut bounds = vec![];
        for longest in [1, 2, 4, 6, 6] {
            let pause = pace.after_failure(None).expect("one more");
            let longest = Duration::from_secs(longest);
            assert!(pause <= longest && pause >= longest / 2, "{pause:?}");
            bounds.push(pause);
        }
        assert_eq!(pace.after_failure(None), Err(GiveUp::Attempts(6)));
    }

    #[test]
    fn only_coming_further_than_ever_starts_anew() {
        let mut pace = pace(2);
        assert!(pace.after_failure(None).is_ok());
        pace.reached(FURTHER - 1);
        assert!(pace.after_failure(None).is_err());
        pace.reached(FURTHER);
        assert!(pace.after_failure(None).is_ok());
        // The server began anew and came as far as before.
        pace.reached(FURTHER);
        assert!(pace.after_failure(None).is_err());
    }

    #[test]
    fn a_server_may_ask_for_a_pause_but_not_for_any() {
        let mut pace = pace(9);
        assert_eq!(
            pace.after_failure(Some(Duration::from_secs(5))),
            Ok(Duration::from_secs(5))
        );
        assert_eq!(
            pace.after_failure(Some(Duration::ZERO)),
            Ok(Duration::from_secs(1))
        );
        let long = Duration::from_secs(7);
        assert_eq!(pace.after_failure(Some(long)), Err(GiveUp::Asked(long)));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now: Timestamp = "2015-10-21T07:27:00Z".parse().expect("a time");
        let read = |text| retry_after(text, now);
        assert_eq!(read("120"), Some(Duration::from_secs(120)));
        assert_eq!(
            read("Wed, 21 Oct 2015 07:28:00 GMT"),
            Some(Duration::from_secs(60))
        );
        assert_eq!(read("Wed, 21 Oct 2015 07:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(read("soon"), None);
    }
}
