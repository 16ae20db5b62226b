//! How many calls may be under way at once. Pure: it is told how calls end and when.
//!
//! Neither the line's latency nor the account's rate is known beforehand, and both change. So the number is sought: as
//! long as more at once moves more, it is doubled; where it does not, one goes back a step and stays there, and tries a little
//! more now and then. A throttled call takes a third away at once.
//!
//! ```text
//!              moved more                      moved no more
//!           ┌──────────────┐          ┌──────────────────────────────┐
//!           ▼              │          │                              ▼
//!      ┌─ Doubling ── a window ends ──┘     ┌─ Steady ── 16 windows ── Probing: a quarter more for one window
//!      │                                    │    ▲  ▲                    │ moved more: kept; else: back
//!      └── throttled ───────────────────────┴────┘  └────────────────────┘
//! ```

use cloud::Timestamp;
use cloud::clock::between;
use std::time::Duration;

/// How many are under way at first: as many as hide the latency of a service nearby.
const FIRST: usize = 16;
/// However bad it is, so many are tried.
const LEAST: usize = 2;
/// Half a mebibyte each: 64 MiB, and their copies on the way to the socket.
const MOST: usize = 128;
/// A window lasts at least so long, for the rate in it to mean something.
const WINDOW: Duration = Duration::from_millis(150);
/// By how much the rate must rise for more at once to have been worth it.
const WORTH: f64 = 1.08;
/// How many windows pass before a little more is tried again.
const REST: u32 = 16;

/// How many calls may be under way at once.
#[derive(Clone, Debug)]
pub struct Pace {
    limit: usize,
    state: State,
    window: Window,
    /// The rate of the last window, in calls a second; none before the first has ended.
    rate: Option<f64>,
    /// The number that was once too many, until this many windows have passed.
    cut: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// More is tried as long as it moves more.
    Doubling,
    /// The number is good; so many windows have passed since it was last tried to be more.
    Steady(u32),
    /// A little more is tried; before it was so many.
    Probing(usize),
}

#[derive(Clone, Debug)]
struct Window {
    began: Timestamp,
    answers: usize,
}

impl Pace {
    /// At the beginning of a transfer.
    pub fn new(now: Timestamp) -> Self {
        Self {
            limit: FIRST,
            state: State::Doubling,
            window: Window {
                began: now,
                answers: 0,
            },
            rate: None,
            cut: None,
        }
    }

    /// How many may be under way.
    pub fn at_once(&self) -> usize {
        self.limit
    }

    /// A call went well. `under_way` is how many there were with it: a number that was not used says nothing.
    pub fn answered(&mut self, now: Timestamp, under_way: usize) {
        self.window.answers += 1;
        let lasted = between(self.window.began, now);
        if lasted < WINDOW || self.window.answers < self.limit * 2 {
            return;
        }
        let rate = self.window.answers as f64 / lasted.as_secs_f64();
        self.window = Window {
            began: now,
            answers: 0,
        };
        // Whoever reads the disk is slower: more at once would wait for it as well.
        let used = under_way * 4 >= self.limit * 3;
        let rose = self.rate.is_none_or(|before| rate > before * WORTH);
        self.state = match self.state {
            State::Doubling if rose && used && self.limit < MOST => {
                self.limit = (self.limit * 2).min(MOST);
                State::Doubling
            }
            State::Doubling if rose => State::Steady(0),
            State::Doubling => {
                // The last doubling was for nothing: it only took memory.
                if self.rate.is_some() {
                    self.limit = (self.limit / 2).max(FIRST.min(self.limit));
                }
                State::Steady(0)
            }
            State::Steady(windows) if windows >= REST && used && self.limit < MOST => {
                let before = self.limit;
                self.limit = (self.limit + self.limit.div_ceil(4)).min(MOST);
                State::Probing(before)
            }
            State::Steady(windows) => State::Steady(windows.saturating_add(1)),
            State::Probing(_) if rose => State::Steady(REST),
            State::Probing(before) => {
                self.limit = before;
                State::Steady(0)
            }
        };
        self.rate = Some(rate);
    }

    /// A call was refused for there being too many. Calls that were sent before the last cut do not count: they were under
    /// way already.
    pub fn throttled(&mut self, sent: Timestamp, now: Timestamp) {
        if self.cut.is_some_and(|cut| sent < cut) {
            return;
        }
        self.cut = Some(now);
        self.limit = (self.limit * 2 / 3).max(LEAST);
        self.state = State::Steady(0);
        self.rate = None;
        self.window = Window {
            began: now,
            answers: 0,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(1_790_000_000_000 + millis).unwrap()
    }

    /// A service with `latency`, that does at most `most` calls a second: what the pace comes to after a while.
    fn settled(latency_ms: f64, most_per_second: f64) -> usize {
        let mut pace = Pace::new(at(0));
        let mut now_ms = 0.0;
        for _ in 0..200_000 {
            let limit = pace.at_once() as f64;
            let rate = (limit / latency_ms * 1000.0).min(most_per_second);
            now_ms += 1000.0 / rate;
            if now_ms > 30_000.0 {
                break;
            }
            pace.answered(at(now_ms as i64), pace.at_once());
        }
        pace.at_once()
    }

    #[test]
    fn latency_is_hidden_by_more_at_once() {
        assert_eq!(settled(50.0, 1e9), MOST);
        assert_eq!(settled(200.0, 1e9), MOST);
    }

    #[test]
    fn more_at_once_is_not_kept_where_it_moves_no_more() {
        // 16 at once at 1 ms would be 16,000 a second.
        assert_eq!(settled(1.0, 2_000.0), FIRST);
        let at_50 = settled(50.0, 700.0);
        assert!((FIRST..=64).contains(&at_50), "{at_50}");
    }

    #[test]
    fn a_reader_that_is_slower_than_the_line_raises_nothing() {
        let mut pace = Pace::new(at(0));
        for millis in 0..10_000 {
            pace.answered(at(millis), 2);
        }
        assert_eq!(pace.at_once(), FIRST);
    }

    #[test]
    fn one_burst_of_refusals_is_one_cut() {
        let mut pace = Pace::new(at(0));
        for _ in 0..16 {
            pace.throttled(at(10), at(20));
        }
        assert_eq!(pace.at_once(), FIRST * 2 / 3);
        pace.throttled(at(21), at(30));
        assert_eq!(pace.at_once(), FIRST * 2 / 3 * 2 / 3);
    }

    #[derive(Clone, Debug)]
    enum End {
        Answered(usize),
        Throttled,
    }

    proptest! {
        #[test]
        fn the_number_stays_in_its_bounds(
            ends in proptest::collection::vec(
                (0_i64..400, prop_oneof![(1_usize..200).prop_map(End::Answered), Just(End::Throttled)]),
                1..600,
            )
        ) {
            let mut pace = Pace::new(at(0));
            let mut now = 0;
            for (after, end) in ends {
                now += after;
                match end {
                    End::Answered(under_way) => pace.answered(at(now), under_way),
                    End::Throttled => pace.throttled(at(now), at(now)),
                }
                prop_assert!((LEAST..=MOST).contains(&pace.at_once()));
            }
        }
    }
}
