//! How long credentials last against how long a run may take.

use crate::clock::{Timestamp, after, between};
use std::fmt;
use std::time::Duration;

/// Credentials that end before a run must have ended. Shown to people at the start of the run: it may still go well,
/// because it is quicker than its timeouts or because the credentials can be renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shortfall {
    /// When the credentials end.
    pub ends: Timestamp,
    /// How long they still last.
    pub left: Duration,
    /// How long the run may take by its own timeouts.
    pub needed: Duration,
}

impl Shortfall {
    /// What there is to warn of, if credentials that end at `expiry` have to last `needed` from `now`. None if they last,
    /// or do not end.
    pub fn of(expiry: Option<Timestamp>, now: Timestamp, needed: Duration) -> Option<Self> {
        let ends = expiry?;
        (ends < after(now, needed)).then(|| Self {
            ends,
            left: between(now, ends),
            needed,
        })
    }
}

impl fmt::Display for Shortfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the credentials end at {} (in {}), but the timeouts of this run allow it {}. Credentials of a login, a role or \
             a credential process are renewed by themselves as long as their source gives new ones; session keys in the \
             environment are not: if they end during the run, it fails and cannot remove what it made",
            self.ends.strftime("%Y-%m-%dT%H:%M:%SZ"),
            Minutes(self.left),
            Minutes(self.needed)
        )
    }
}

/// A time in hours and minutes, as far as that is worth knowing.
struct Minutes(Duration);

impl fmt::Display for Minutes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minutes = self.0.as_secs() / 60;
        match (minutes / 60, minutes % 60) {
            (0, minutes) => write!(f, "{minutes} min"),
            (hours, 0) => write!(f, "{hours} h"),
            (hours, minutes) => write!(f, "{hours} h {minutes} min"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn at(moment: &str) -> Timestamp {
        moment.parse().unwrap()
    }

    #[test]
    fn credentials_that_last_or_never_end_are_no_matter() {
        let now = at("2026-03-01T10:00:00Z");
        assert_eq!(Shortfall::of(None, now, HOUR), None);
        let exactly = Some(at("2026-03-01T11:00:00Z"));
        assert_eq!(Shortfall::of(exactly, now, HOUR), None);
    }

    #[test]
    fn a_shortfall_says_when_and_by_how_much() {
        let now = at("2026-03-01T10:00:00Z");
        let ends = Some(at("2026-03-01T10:40:30Z"));
        let shortfall = Shortfall::of(ends, now, HOUR * 2 + Duration::from_secs(600)).unwrap();
        let said = shortfall.to_string();
        assert!(
            said.starts_with(
                "the credentials end at 2026-03-01T10:40:30Z (in 40 min), but the timeouts of this run allow it 2 h 10 min."
            ),
            "{said}"
        );
    }

    #[test]
    fn credentials_that_have_ended_have_nothing_left() {
        let now = at("2026-03-01T10:00:00Z");
        let ended = Some(at("2026-03-01T09:00:00Z"));
        let shortfall = Shortfall::of(ended, now, HOUR).unwrap();
        assert_eq!(shortfall.left, Duration::ZERO);
        assert!(shortfall.to_string().contains("(in 0 min)"));
    }
}
