//! How often and how long the call for one block is repeated. Pure.
//!
//! | it ended with | it is repeated |
//! |---|---|
//! | throttling | while anything of the transfer still moves, and for 10 min after; with pauses of 50 ms to 5 s |
//! | no answer, a service error | 5 times, 2 s apart and more |
//! | "not found" of a snapshot that was just started | for 2 min after the start: EBS does not know it everywhere yet |
//! | expired credentials | once |
//! | anything else | never |

use cloud::clock::between;
use cloud::{ErrorKind, Timestamp};
use std::time::Duration;

/// How long after StartSnapshot a snapshot may be unknown to PutSnapshotBlock.
const KNOWN_WITHIN: Duration = Duration::from_secs(2 * 60);
/// How long nothing at all may move because of throttling.
const STANDSTILL: Duration = Duration::from_secs(10 * 60);
/// How often a call without an answer is repeated.
const TRANSIENT: u32 = 5;

/// The account of one block.
#[derive(Clone, Debug, Default)]
pub struct Patience {
    transient: u32,
    throttled: u32,
    unknown: u32,
    expired: u32,
}

/// What is known of the whole transfer.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The present.
    pub now: Timestamp,
    /// When the snapshot was started; none if it was there before.
    pub started: Option<Timestamp>,
    /// When a block was last moved, or the transfer began.
    pub moved: Timestamp,
}

impl Patience {
    /// How long to pause before the call is made again; none if it is not.
    pub fn pause(&mut self, kind: ErrorKind, moment: Moment) -> Option<Duration> {
        match kind {
            ErrorKind::Throttled => {
                let still = between(moment.moved, moment.now) < STANDSTILL;
                let pause = Duration::from_millis(50) * 2_u32.pow(self.throttled.min(7));
                self.throttled += 1;
                still.then_some(pause.min(Duration::from_secs(5)))
            }
            ErrorKind::Transient => {
                self.transient += 1;
                (self.transient <= TRANSIENT).then_some(Duration::from_secs(2) * self.transient)
            }
            ErrorKind::NotFound => {
                let started = moment.started?;
                self.unknown += 1;
                (between(started, moment.now) < KNOWN_WITHIN)
                    .then_some(Duration::from_millis(250) * self.unknown.min(20))
            }
            ErrorKind::Expired => {
                self.expired += 1;
                (self.expired == 1).then_some(Duration::ZERO)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + seconds).unwrap()
    }

    fn moment(now: i64) -> Moment {
        Moment {
            now: at(now),
            started: Some(at(0)),
            moved: at(0),
        }
    }

    #[test]
    fn a_snapshot_may_be_unknown_for_two_minutes_after_its_start() {
        let mut patience = Patience::default();
        assert!(patience.pause(ErrorKind::NotFound, moment(56)).is_some());
        assert!(patience.pause(ErrorKind::NotFound, moment(119)).is_some());
        assert_eq!(patience.pause(ErrorKind::NotFound, moment(120)), None);
        let older = Moment {
            started: None,
            ..moment(1)
        };
        assert_eq!(patience.pause(ErrorKind::NotFound, older), None);
    }

    #[test]
    fn what_is_refused_for_good_is_not_repeated() {
        for kind in [
            ErrorKind::AccessDenied,
            ErrorKind::InvalidInput,
            ErrorKind::Quota,
            ErrorKind::Credentials,
            ErrorKind::Other,
        ] {
            assert_eq!(Patience::default().pause(kind, moment(1)), None, "{kind:?}");
        }
    }

    #[test]
    fn each_kind_has_its_own_budget() {
        let mut patience = Patience::default();
        for _ in 0..40 {
            assert!(patience.pause(ErrorKind::Throttled, moment(599)).is_some());
        }
        assert_eq!(patience.pause(ErrorKind::Throttled, moment(600)), None);
        for _ in 0..TRANSIENT {
            assert!(patience.pause(ErrorKind::Transient, moment(1)).is_some());
        }
        assert_eq!(patience.pause(ErrorKind::Transient, moment(1)), None);
        assert_eq!(
            patience.pause(ErrorKind::Expired, moment(1)),
            Some(Duration::ZERO)
        );
        assert_eq!(patience.pause(ErrorKind::Expired, moment(1)), None);
    }
}
