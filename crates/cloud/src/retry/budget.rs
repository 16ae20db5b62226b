//! How much patience there is with each kind of error.

use super::CallNature;
use crate::ErrorKind;
use std::time::Duration;

/// How long a call may take with all its attempts and pauses. EC2 refills its token buckets within seconds; a call that
/// gets through nowhere for ten minutes meets a limit that waiting does not lift.
/// <https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html>
pub const OPERATION_TIME: Duration = Duration::from_secs(10 * 60);

/// How often and how long a call is repeated after errors of one kind. Each kind is counted by itself: a minute of
/// throttling takes nothing from the patience with a server error after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// How many repeats there are at most; none if only time counts.
    pub repeats: Option<u32>,
    /// How long after the first error of this kind the call may still be repeated.
    pub within: Duration,
    /// What lies between two attempts.
    pub pauses: Pauses,
}

/// The pauses between attempts: exponential, with full jitter, so that many who were refused at once do not come back at
/// once. <https://docs.aws.amazon.com/prescriptive-guidance/latest/cloud-design-patterns/retry-backoff.html>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pauses {
    /// No pause is shorter.
    pub shortest: Duration,
    /// The most that the first one may be; each following one may be twice as long.
    pub first: Duration,
    /// No pause is longer.
    pub longest: Duration,
}

impl Pauses {
    /// What a repeat at once has.
    pub const NONE: Self = Self {
        shortest: Duration::ZERO,
        first: Duration::ZERO,
        longest: Duration::ZERO,
    };

    /// The pause before repeat number `repeat`, counted from 0; `fraction` from 0 to 1 chooses within its bounds. Whole
    /// milliseconds, which is what timers keep.
    pub fn pause(&self, repeat: u32, fraction: f64) -> Duration {
        let doubled = 2_u32.checked_pow(repeat).unwrap_or(u32::MAX);
        let most = self
            .first
            .saturating_mul(doubled)
            .clamp(self.shortest, self.longest);
        let span = most.saturating_sub(self.shortest);
        let pause = self.shortest + span.mul_f64(fraction.clamp(0.0, 1.0));
        Duration::from_secs(pause.as_secs()) + Duration::from_millis(pause.subsec_millis().into())
    }
}

const THROTTLED: Budget = Budget {
    repeats: None,
    within: OPERATION_TIME,
    pauses: Pauses {
        shortest: Duration::from_millis(500),
        first: Duration::from_secs(1),
        longest: Duration::from_secs(20),
    },
};

const TRANSIENT: Budget = Budget {
    repeats: Some(4),
    within: Duration::from_secs(3 * 60),
    pauses: Pauses {
        shortest: Duration::from_millis(200),
        first: Duration::from_millis(500),
        longest: Duration::from_secs(10),
    },
};

const EXPIRED: Budget = Budget {
    repeats: Some(1),
    within: OPERATION_TIME,
    pauses: Pauses::NONE,
};

impl Budget {
    /// The table. None means that the error goes to the caller at once.
    ///
    /// | error | read, idempotent | creating | and then |
    /// |---|---|---|---|
    /// | throttled | until [`OPERATION_TIME`] has passed, 0.5 to 20 s apart | the same: EC2 has not done it | the caller fails |
    /// | transient | 4 repeats within 3 min | none: it may have been done | the journal's keeper looks, and then repeats |
    /// | expired | 1 repeat, at once: the adapter has dropped the credentials | the same | log in again |
    /// | not found | none | none | [`until_visible`](super::until_visible), if it was just made |
    /// | capacity | none | none | the next machine, subnet or way to pay |
    /// | dependency, wrong state | none | none | undo waits until the resource is free |
    /// | duplicate, address in use | none | none | the caller looks whose it is |
    /// | quota, credentials, access denied, invalid input, other | none | none | a person |
    pub fn of(kind: ErrorKind, nature: CallNature) -> Option<Self> {
        match (kind, nature) {
            (ErrorKind::Throttled, _) => Some(THROTTLED),
            (ErrorKind::Transient, CallNature::Read | CallNature::Idempotent) => Some(TRANSIENT),
            (ErrorKind::Transient, CallNature::Creating) => None,
            (ErrorKind::Expired, _) => Some(EXPIRED),
            (
                ErrorKind::NotFound
                | ErrorKind::Duplicate
                | ErrorKind::Dependency
                | ErrorKind::WrongState
                | ErrorKind::AddressInUse
                | ErrorKind::Capacity
                | ErrorKind::Quota
                | ErrorKind::Credentials
                | ErrorKind::AccessDenied
                | ErrorKind::InvalidInput
                | ErrorKind::Other,
                _,
            ) => None,
        }
    }
}
