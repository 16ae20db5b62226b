//! Whether a run lives, in words.

use super::Verdict;
use crate::journal::JournalLock;
use crate::lease::{AliveBecause, Liveness, Signs, liveness};
use crate::lifetime;
use cloud::Timestamp;

/// What is known of a run from outside.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) signs: Signs,
    /// Why the leases of a region in which it has something cannot be read; then only `qib:expires` tells.
    pub(super) unreadable: Option<String>,
}

impl Known {
    /// Why nothing of the run may be touched; or else, why it may.
    pub(super) fn verdict(&self, now: Timestamp) -> Verdict {
        let known_here = match self.signs.journal {
            JournalLock::Free => "its journal, on this machine, is held by no process",
            _ => "it has no lease",
        };
        let reason = match liveness(&self.signs, now) {
            Liveness::Alive(because) => {
                return Verdict::Keep {
                    reason: self.why_alive(because),
                };
            }
            Liveness::Dead => match self.signs.journal {
                JournalLock::Free => format!("the run is dead: {known_here}"),
                _ => {
                    let age = self.signs.lease.into_iter().chain(self.signs.ticket).min();
                    let minutes = age.unwrap_or_default().as_secs() / 60;
                    format!("the run is dead: it renewed its lease {minutes} min ago")
                }
            },
            Liveness::Ended => format!("the run is over: {known_here}"),
        };
        Verdict::Remove { reason }
    }

    fn why_alive(&self, because: AliveBecause) -> String {
        let until = |until: Option<Timestamp>| {
            until.map_or_else(
                || String::from("for good, as it has no qib:expires"),
                |until| format!("until {}", lifetime::tag_value(until)),
            )
        };
        match (because, &self.unreadable) {
            (AliveBecause::JournalLocked, _) => {
                String::from("the run lives: a process of this machine holds its journal")
            }
            (AliveBecause::Renewed(age), _) => {
                format!(
                    "the run lives: it renewed its lease {} s ago",
                    age.as_secs()
                )
            }
            (AliveBecause::WithoutLease(end), None) => format!(
                "the run may not use SSM, and so has no lease: it counts as alive {}",
                until(end)
            ),
            (AliveBecause::WithoutLease(end), Some(why)) => format!(
                "leases cannot be read, so the run counts as alive {}: {why}",
                until(end)
            ),
        }
    }
}
