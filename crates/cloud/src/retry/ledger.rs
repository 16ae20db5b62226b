//! What one call has spent of its budgets: pure, so that all schedules of errors can be tried.

use super::jitter::Jitter;
use super::{Budget, CallNature, OPERATION_TIME};
use crate::clock::{Timestamp, after, between};
use crate::{CloudError, ErrorKind};
use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

/// What is left for the last attempt when pauses are shortened to end before the deadline.
const LAST_ATTEMPT: Duration = Duration::from_secs(5);

/// What to do after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Make the call again after this pause.
    Repeat(Duration),
    /// Tell the caller.
    GiveUp(GivenUp),
}

/// Why a call is not repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GivenUp {
    /// Errors of this kind are the caller's matter.
    NotRepeated,
    /// It was repeated as often as its budget allows.
    Repeats,
    /// The time for it has passed.
    Time,
}

/// The account of one call: begun with it, told of each failed attempt.
///
/// ```text
///   (begun) ──▶ attempt ──▶ ok
///                 ▲  └─ error ─▶ judge ─▶ GiveUp
///                 └──── pause ◀── Repeat
/// ```
#[derive(Debug)]
pub struct Ledger {
    nature: CallNature,
    begun: Timestamp,
    attempts: u32,
    spent: HashMap<ErrorKind, Spent>,
    jitter: Jitter,
}

/// What errors of one kind have taken.
#[derive(Clone, Copy, Debug)]
struct Spent {
    first: Timestamp,
    repeats: u32,
}

impl Ledger {
    /// The account of call number `number` of `operation` on `resource`, begun `now`; `seed` and the others choose the
    /// pauses.
    pub fn new(
        nature: CallNature,
        now: Timestamp,
        seed: u64,
        operation: &str,
        resource: &str,
        number: u64,
    ) -> Self {
        Self {
            nature,
            begun: now,
            attempts: 0,
            spent: HashMap::new(),
            jitter: Jitter::new(seed, operation, resource, number),
        }
    }

    /// When the call must have ended: an attempt under way then is cut off.
    pub fn deadline(&self) -> Timestamp {
        after(self.begun, OPERATION_TIME)
    }

    /// Enters an attempt that ended `now` with an error of `kind`.
    pub fn judge(&mut self, kind: ErrorKind, now: Timestamp) -> Decision {
        self.attempts += 1;
        let Some(budget) = Budget::of(kind, self.nature) else {
            return Decision::GiveUp(GivenUp::NotRepeated);
        };
        let deadline = self.deadline();
        let spent = self.spent.entry(kind).or_insert(Spent {
            first: now,
            repeats: 0,
        });
        if budget.repeats.is_some_and(|most| spent.repeats >= most) {
            return Decision::GiveUp(GivenUp::Repeats);
        }
        let end = after(spent.first, budget.within).min(deadline);
        let room = between(now, end).saturating_sub(LAST_ATTEMPT);
        if room.is_zero() {
            return Decision::GiveUp(GivenUp::Time);
        }
        let pause = budget
            .pauses
            .pause(spent.repeats, self.jitter.fraction())
            .min(room);
        spent.repeats += 1;
        Decision::Repeat(pause)
    }

    /// `error` for the caller, saying how often and how long the call was tried, if it was more than once.
    pub fn closed(&self, mut error: CloudError, now: Timestamp) -> CloudError {
        if self.attempts > 1 {
            error.message = format!(
                "{} (given up after {} attempts in {})",
                error.message,
                self.attempts,
                Took(between(self.begun, now))
            );
        }
        error
    }
}

/// A time as people say it.
struct Took(Duration);

impl fmt::Display for Took {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_secs() {
            seconds @ 0..=119 => write!(f, "{seconds} s"),
            seconds => write!(f, "{} min", seconds / 60),
        }
    }
}
