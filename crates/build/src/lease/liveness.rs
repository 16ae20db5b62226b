//! Whether a run is alive. Pure.
//!
//! ```text
//!   journal on this host   locked ─────────────────────────────────▶ Alive   whatever the leases say
//!                          not locked ─▶ no process is there ──────┐
//!                          none ─┬─ a lease under 2 minutes old ───┼▶ Alive
//!                                ├─ qib:lease=none, not expired ───┼▶ Alive   nothing better is known
//!                                └─ else ──────────────────────────┤
//!                                                                  ├─ a lease is there ──▶ Dead
//!                                                                  └─ none ──────────────▶ Ended
//! ```
//!
//! A run writes its lease before it makes anything and deletes it last. So what belongs to a run without a lease was
//! left by one that ended, or was swept; unless the run was not permitted to use SSM, which its tags say.

use super::record::{LeaseRecord, Leased};
use crate::journal::JournalLock;
use crate::names::{RunId, tag};
use cloud::{Tags, Timestamp};
use std::time::Duration;

/// A lease that has not been renewed for this long counts for nothing, by the service's clock.
pub const DEAD_AFTER: Duration = Duration::from_secs(120);

/// What is known of a run from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signs {
    /// Its journal on this host.
    pub journal: JournalLock,
    /// The age of its own lease; none if it has none.
    pub lease: Option<Duration>,
    /// The age of the youngest of its tickets; none if it has none.
    pub ticket: Option<Duration>,
    /// What its resources say, if it may not use SSM.
    pub without_lease: WithoutLease,
}

/// Whether a run may be alive though it has no lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WithoutLease {
    /// No: it has one while it lives.
    No,
    /// Its resources carry `qib:lease=none`: it may be alive until this moment. None if they do not say until when.
    Until(Option<Timestamp>),
}

impl Signs {
    /// What the journal on this host and the leases of the region say of `run`.
    pub fn of(run: &RunId, journal: JournalLock, leases: &[LeaseRecord]) -> Self {
        let youngest = |own: bool| {
            leases
                .iter()
                .filter(|lease| lease.run == *run && (lease.what == Leased::Run) == own)
                .map(|lease| lease.age)
                .min()
        };
        Self {
            journal,
            lease: youngest(true),
            ticket: youngest(false),
            without_lease: WithoutLease::No,
        }
    }

    /// Takes in what the tags of one of the run's resources say.
    pub fn see_tags(&mut self, tags: &Tags) {
        if tags.get(tag::LEASE) != Some(tag::LEASE_NONE) {
            return;
        }
        let expires = tags.get(tag::EXPIRES).and_then(|text| text.parse().ok());
        self.without_lease = match (self.without_lease, expires) {
            (WithoutLease::No, expires) => WithoutLease::Until(expires),
            // The latest counts; and a resource that does not say until when, most of all.
            (WithoutLease::Until(Some(before)), Some(expires)) => {
                WithoutLease::Until(Some(before.max(expires)))
            }
            (WithoutLease::Until(_), _) => WithoutLease::Until(None),
        };
    }
}

/// Whether a run is alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// It is, or may be: nothing of it is touched.
    Alive(AliveBecause),
    /// It died: no process of it is there, and it left its leases behind.
    Dead,
    /// No process of it is there, and it holds no lease: it ended, or a sweep has begun to clear up after it. What is
    /// there of it was left behind.
    Ended,
}

/// Why a run is taken for alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AliveBecause {
    /// A process on this host has its journal locked.
    JournalLocked,
    /// It has renewed a lease this long ago.
    Renewed(Duration),
    /// It may not use SSM, so that only `qib:expires` tells; none if its resources lack that too.
    WithoutLease(Option<Timestamp>),
}

impl Liveness {
    /// Whether nothing of the run may be touched.
    pub fn is_alive(self) -> bool {
        matches!(self, Self::Alive(_))
    }
}

/// Whether the run with these signs is alive. `now` is only compared with `qib:expires`.
pub fn liveness(signs: &Signs, now: Timestamp) -> Liveness {
    match signs.journal {
        JournalLock::Held => return Liveness::Alive(AliveBecause::JournalLocked),
        // This host knows better than any lease.
        JournalLock::Free => return gone(signs),
        JournalLock::Absent => {}
    }
    let youngest = signs.lease.into_iter().chain(signs.ticket).min();
    if let Some(age) = youngest.filter(|age| *age < DEAD_AFTER) {
        return Liveness::Alive(AliveBecause::Renewed(age));
    }
    if let WithoutLease::Until(until) = signs.without_lease
        && until.is_none_or(|until| now < until)
    {
        return Liveness::Alive(AliveBecause::WithoutLease(until));
    }
    gone(signs)
}

fn gone(signs: &Signs) -> Liveness {
    match (signs.lease, signs.ticket) {
        (None, None) => Liveness::Ended,
        _ => Liveness::Dead,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::{address_folder, run_lease};
    use cloud::Parameter;
    use proptest::prelude::*;

    fn signs(journal: JournalLock, lease: Option<u64>, ticket: Option<u64>) -> Signs {
        Signs {
            journal,
            lease: lease.map(Duration::from_secs),
            ticket: ticket.map(Duration::from_secs),
            without_lease: WithoutLease::No,
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn a_lease_under_two_minutes_old_is_a_sign_of_life_and_no_other() {
        let of = |lease, ticket| liveness(&signs(JournalLock::Absent, lease, ticket), at(0));
        assert!(of(Some(119), None).is_alive());
        assert!(of(None, Some(119)).is_alive());
        assert!(of(Some(500), Some(3)).is_alive());
        assert_eq!(of(Some(120), None), Liveness::Dead);
        assert_eq!(of(None, Some(120)), Liveness::Dead);
        assert_eq!(of(None, None), Liveness::Ended);
    }

    #[test]
    fn a_run_that_may_not_use_ssm_counts_as_alive_until_it_expires() {
        let mut known = signs(JournalLock::Absent, None, None);
        let expires = |time: &str| {
            Tags::new()
                .with(tag::LEASE, tag::LEASE_NONE)
                .with(tag::EXPIRES, time)
        };
        known.see_tags(&Tags::new().with(tag::EXPIRES, "2030-01-01T00:00:00Z"));
        assert_eq!(liveness(&known, at(0)), Liveness::Ended);
        known.see_tags(&expires("1970-01-01T00:01:40Z"));
        assert!(liveness(&known, at(99)).is_alive());
        assert_eq!(liveness(&known, at(100)), Liveness::Ended);
        known.see_tags(&expires("1970-01-01T00:03:20Z"));
        known.see_tags(&expires("1970-01-01T00:01:40Z"));
        assert!(liveness(&known, at(199)).is_alive());
        assert!(!liveness(&known, at(200)).is_alive());
        known.see_tags(&expires("some day"));
        assert!(liveness(&known, at(1_000_000)).is_alive());
    }

    #[test]
    fn only_a_runs_own_leases_speak_for_it() {
        let (run, other) = (RunId::from_random(1), RunId::from_random(2));
        let parameter = |name: String, age| Parameter {
            name,
            value: String::new(),
            kind: cloud::ParameterKind::Text,
            version: 1,
            age: Duration::from_secs(age),
        };
        let folder = address_folder("eipalloc-1");
        let leases: Vec<_> = [
            parameter(run_lease(&run), 300),
            parameter(format!("{folder}/1790000000000-{run}-base-us-east-2"), 200),
            parameter(format!("{folder}/1790000000001-{run}-base-us-east-2"), 130),
            parameter(run_lease(&other), 1),
            parameter(format!("{folder}/00000001"), 1),
            parameter("/qib/leases/new/thing".into(), 1),
        ]
        .iter()
        .filter_map(LeaseRecord::of)
        .collect();
        assert_eq!(leases.len(), 4);
        let found = Signs::of(&run, JournalLock::Absent, &leases);
        assert_eq!(found, signs(JournalLock::Absent, Some(300), Some(130)));
    }

    fn lock() -> impl Strategy<Value = JournalLock> {
        prop_oneof![
            Just(JournalLock::Held),
            Just(JournalLock::Free),
            Just(JournalLock::Absent)
        ]
    }

    proptest! {
        /// No sign makes a run whose journal is locked here dead, nor one alive whose journal is there and not locked.
        #[test]
        fn this_host_knows_best(
            journal in lock(),
            lease in proptest::option::of(0_u64..300),
            ticket in proptest::option::of(0_u64..300),
            until in proptest::option::of(0_i64..300),
            now in 0_i64..300,
        ) {
            let mut signs = signs(journal, lease, ticket);
            if let Some(until) = until {
                signs.without_lease = WithoutLease::Until(Some(at(until)));
            }
            let found = liveness(&signs, at(now));
            match journal {
                JournalLock::Held => prop_assert!(found.is_alive()),
                JournalLock::Free => prop_assert!(!found.is_alive()),
                JournalLock::Absent => {
                    let renewed = lease.into_iter().chain(ticket).any(|age| age < 120);
                    let excused = until.is_some_and(|until| now < until);
                    prop_assert_eq!(found.is_alive(), renewed || excused);
                }
            }
            if !found.is_alive() {
                prop_assert_eq!(found == Liveness::Ended, lease.is_none() && ticket.is_none());
            }
        }
    }
}
