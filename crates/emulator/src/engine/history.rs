//! The account as it was, for reads that lag behind.
//!
//! EC2's reads may show an earlier state for a while after a change
//! (<https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html>). With a lag of *n* seconds every read shows
//! the account of *n* seconds ago: what was made since is not there, what was deleted still is, tags are the old ones.

use crate::account::Account;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The most states that are kept. A read that would need an older one shows the oldest there is.
const MOST_STATES: usize = 1_000;

/// What the account was before each of its last changes.
#[derive(Debug, Default)]
pub struct History {
    /// The oldest first.
    changes: Mutex<VecDeque<Change>>,
}

#[derive(Debug)]
struct Change {
    at: Instant,
    before: Arc<Account>,
}

impl History {
    /// Keeps what the account was before a change, for as long as `lag` lets reads show it. Call it for one change after
    /// the other.
    pub fn changed(&self, before: &Account, lag: Duration, at: Instant) {
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        while changes.front().is_some_and(|c| is_shown(c.at, lag, at)) {
            changes.pop_front();
        }
        if lag.is_zero() {
            return;
        }
        if changes.len() == MOST_STATES {
            changes.pop_front();
        }
        changes.push_back(Change {
            at,
            before: Arc::new(before.clone()),
        });
    }

    /// What a read shows that lags behind by `lag`; none if that is what the account is now.
    pub fn shown(&self, lag: Duration, now: Instant) -> Option<Account> {
        let changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        let first_hidden = changes.iter().find(|c| !is_shown(c.at, lag, now))?;
        let before = first_hidden.before.clone();
        drop(changes);
        Some(Account::clone(&before))
    }
}

fn is_shown(change: Instant, lag: Duration, now: Instant) -> bool {
    now.saturating_duration_since(change) >= lag
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// An account that can be told from others.
    fn numbered(base: &Account, n: u16) -> Account {
        Account {
            port: Some(n),
            ..base.clone()
        }
    }

    proptest! {
        #[test]
        fn a_read_shows_what_was_so_long_ago(
            gaps in proptest::collection::vec(0u64..50, 0..12), lag in 0u64..80, wait in 0u64..100,
        ) {
            let (base, history, start) = (Account::new(), History::default(), Instant::now());
            let lag = Duration::from_millis(lag);
            // The account is number n after its nth change.
            let (mut at, mut times) = (start, Vec::new());
            for (gap, n) in gaps.iter().zip(0u16..) {
                at += Duration::from_millis(*gap);
                history.changed(&numbered(&base, n), lag, at);
                times.push(at);
            }
            let now = at + Duration::from_millis(wait);
            let expected = times.iter().filter(|t| **t + lag <= now).count();
            let shown = history.shown(lag, now).map_or(times.len(), |a| usize::from(a.port.unwrap()));
            prop_assert_eq!(shown, expected);
        }
    }

    #[test]
    fn so_many_states_are_kept_and_no_more() {
        let (base, history, now) = (Account::new(), History::default(), Instant::now());
        let lag = Duration::from_secs(60);
        for n in 0..1_010u16 {
            history.changed(&numbered(&base, n), lag, now);
        }
        assert_eq!(history.changes.lock().unwrap().len(), MOST_STATES);
        assert_eq!(history.shown(lag, now).unwrap().port, Some(10));
    }
}
