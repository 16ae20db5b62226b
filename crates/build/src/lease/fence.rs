//! How long a lease is one's own, by one's own clock. Pure.

use super::liveness::DEAD_AFTER;
use cloud::Timestamp;
use cloud::clock::after;
use std::fmt;
use std::time::Duration;

/// A holder counts itself out this much earlier than others do: what it has just begun is then over, and clocks that do
/// not run alike do no harm.
const MARGIN: Duration = Duration::from_secs(10);

/// Until when a lease is one's own.
///
/// The service counts a ticket's age from the moment of a write, which lies between the moment the write was begun and
/// the moment its answer came, both by one's own clock. So nobody takes the ticket for dead earlier than two minutes
/// after its last write was *begun*; and a write whose answer came before that moment was in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    until: Timestamp,
    version: i64,
}

/// The lease is no longer one's own: another may hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// It was not renewed in time.
    NotRenewed {
        /// When it ceased to be one's own.
        since: Timestamp,
    },
    /// Somebody deleted its parameter, and the renewal made it anew.
    Deleted,
    /// It has been given back.
    GivenBack,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRenewed { since } => write!(f, "it could not be renewed in time, by {since}"),
            Self::Deleted => f.write_str("somebody deleted its parameter"),
            Self::GivenBack => f.write_str("it has been given back"),
        }
    }
}

impl Fence {
    /// A ticket whose creation was begun at `begun`.
    pub fn new(begun: Timestamp) -> Self {
        Self {
            until: valid_from(begun),
            // SSM counts a parameter's versions from 1.
            version: 1,
        }
    }

    /// Whether the lease is one's own at `now`.
    pub fn check(&self, now: Timestamp) -> Result<(), Lost> {
        if now < self.until {
            Ok(())
        } else {
            Err(Lost::NotRenewed { since: self.until })
        }
    }

    /// Takes in a renewal that was begun at `begun` and whose answer, `version`, was there at `now`. One that came too
    /// late is none: others may have seen the ticket dead before it arrived.
    pub fn renewed(&mut self, begun: Timestamp, now: Timestamp, version: i64) -> Result<(), Lost> {
        self.check(now)?;
        if version <= self.version {
            return Err(Lost::Deleted);
        }
        self.version = version;
        self.until = valid_from(begun);
        Ok(())
    }
}

fn valid_from(begun: Timestamp) -> Timestamp {
    after(begun, DEAD_AFTER - MARGIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn it_counts_from_the_moment_a_write_was_begun() {
        let mut fence = Fence::new(at(0));
        assert_eq!(fence.check(at(109)), Ok(()));
        assert_eq!(fence.renewed(at(30), at(100), 2), Ok(()));
        assert_eq!(fence.check(at(139)), Ok(()));
        let lost = Lost::NotRenewed { since: at(140) };
        assert_eq!(fence.check(at(140)), Err(lost));
    }

    #[test]
    fn a_renewal_that_comes_too_late_is_none() {
        let mut fence = Fence::new(at(0));
        let lost = Lost::NotRenewed { since: at(110) };
        assert_eq!(fence.renewed(at(30), at(110), 2), Err(lost));
        assert_eq!(fence.check(at(115)), Err(lost));
    }

    #[test]
    fn a_renewal_that_made_the_ticket_anew_is_none() {
        let mut fence = Fence::new(at(0));
        fence.renewed(at(1), at(2), 2).unwrap();
        assert_eq!(fence.renewed(at(3), at(4), 1), Err(Lost::Deleted));
    }
}
