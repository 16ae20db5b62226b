//! One rule of waiting each.

use crate::simulation::{Cloud, Fault, Id, Resource, State};
use crate::virtual_clock::{Moment, run, timestamp};
use cloud::ErrorKind;
use cloud::wait::{BatchPoller, LONGEST_POLL_INTERVAL, Verdict, WaitError};
use futures::future::{Either, select};
use std::cell::RefCell;
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;

const HOUR: Moment = 3_600_000;

fn from_start(ready: Moment) -> Resource {
    Resource { shows: 0, ready }
}

fn ready(state: Option<&State>) -> Verdict<(), &'static str> {
    match state {
        Some(State::Ready) => Verdict::Done(()),
        Some(State::Pending) | None => Verdict::Wait,
    }
}

type Outcome = (Moment, Result<(), WaitError<&'static str>>);
type Outcomes = Rc<RefCell<Vec<(Id, Outcome)>>>;
type Task = Pin<Box<dyn Future<Output = ()>>>;

/// Waits for `id` from `start` to `deadline` and notes what came of it and when.
fn waiter(
    cloud: &Arc<Cloud>,
    poller: &Rc<BatchPoller<Id, State>>,
    outcomes: &Outcomes,
    id: Id,
    (start, deadline): (Moment, Moment),
) -> Task {
    let (clock, poller, outcomes) = (cloud.clock.clone(), poller.clone(), outcomes.clone());
    Box::pin(async move {
        clock.until(start).await;
        let outcome = poller.wait(&id, timestamp(deadline), ready).await;
        outcomes.borrow_mut().push((id, (clock.moment(), outcome)));
    })
}

/// What came of these waits: id, start, deadline.
fn outcomes(cloud: &Arc<Cloud>, waits: &[(Id, Moment, Moment)]) -> Vec<(Id, Outcome)> {
    let (poller, outcomes) = (cloud.poller(), Outcomes::default());
    let tasks = waits
        .iter()
        .map(|&(id, start, deadline)| waiter(cloud, &poller, &outcomes, id, (start, deadline)))
        .collect();
    run(&cloud.clock, tasks);
    outcomes.take()
}

#[test]
fn all_waiters_share_one_call_per_tick() {
    let cloud = Cloud::new((0..50).map(|id| (id, from_start(5_000))), Vec::new());
    let waits: Vec<_> = (0..50).map(|id| (id, 0, HOUR)).collect();
    let outcomes = outcomes(&cloud, &waits);
    assert_eq!(outcomes.len(), 50);
    assert!(outcomes.iter().all(|(_, (_, outcome))| outcome.is_ok()));
    let calls = cloud.calls();
    // The first waiter asks while the others are still coming; from then on each call is for all of them.
    assert!(
        calls[1..].iter().all(|call| call.ids.len() == 50),
        "{calls:?}"
    );
    assert!(calls.len() <= 7, "{calls:?}");
}

#[test]
fn one_that_is_done_is_no_longer_asked_for() {
    let cloud = Cloud::new([(1, from_start(2_000)), (2, from_start(9_000))], Vec::new());
    outcomes(&cloud, &[(1, 0, HOUR), (2, 0, HOUR)]);
    let calls = cloud.calls();
    assert!(calls.last().unwrap().ids.iter().eq(&[2]), "{calls:?}");
}

#[test]
fn throttling_slows_a_wait_down_and_never_ends_it() {
    for kind in [ErrorKind::Throttled, ErrorKind::Transient] {
        let fault = Fault {
            from: 0,
            to: 300_000,
            kind,
        };
        let cloud = Cloud::new([(1, from_start(1_000))], vec![fault]);
        let outcomes = outcomes(&cloud, &[(1, 0, HOUR)]);
        let (end, outcome) = &outcomes[0].1;
        assert!(outcome.is_ok(), "{outcome:?}");
        assert!((300_000..320_000).contains(end), "{end}");
        let calls = cloud.calls();
        let pauses: Vec<Moment> = calls
            .windows(2)
            .map(|two| two[1].began - two[0].ended)
            .collect();
        assert_eq!(pauses[..5], [2_000, 4_000, 8_000, 15_000, 15_000]);
        let longest = LONGEST_POLL_INTERVAL.as_millis().try_into().unwrap();
        assert!(pauses.iter().all(|pause| *pause <= longest));
    }
}

#[test]
fn a_deadline_ends_a_wait_on_time_and_says_what_was_last_seen() {
    let cloud = Cloud::new([(1, from_start(HOUR))], Vec::new());
    let ended = outcomes(&cloud, &[(1, 0, 60_500)]);
    let (end, outcome) = &ended[0].1;
    assert!(matches!(
        outcome,
        Err(WaitError::Deadline { last_error: None })
    ));
    assert!((60_500..60_600).contains(end), "{end}");

    let fault = Fault {
        from: 0,
        to: HOUR,
        kind: ErrorKind::Throttled,
    };
    let cloud = Cloud::new([(1, from_start(0))], vec![fault]);
    let ended = outcomes(&cloud, &[(1, 0, 60_500)]);
    let (end, outcome) = &ended[0].1;
    let Err(WaitError::Deadline {
        last_error: Some(error),
    }) = outcome
    else {
        panic!("{outcome:?}");
    };
    assert_eq!(error.kind, ErrorKind::Throttled);
    assert!((60_500..60_600).contains(end), "{end}");
}

#[test]
fn an_answer_that_never_comes_keeps_neither_leader_nor_followers() {
    let mut cloud = Cloud::new([(1, from_start(0)), (2, from_start(0))], Vec::new());
    Arc::get_mut(&mut cloud).unwrap().latency = 10 * HOUR;
    let ended = outcomes(&cloud, &[(1, 0, HOUR), (2, 10, 60_000), (2, 10, 10_000)]);
    let ends: Vec<Moment> = ended.iter().map(|(_, (end, _))| *end).collect();
    assert_eq!(ends, [40_000, 90_000, HOUR + 30_000]);
    for (_, (_, outcome)) in &ended {
        let Err(WaitError::Deadline {
            last_error: Some(error),
        }) = outcome
        else {
            panic!("{outcome:?}");
        };
        assert!(error.message.contains("no answer"), "{error}");
    }
}

#[test]
fn what_became_ready_before_the_deadline_is_seen_at_the_deadline() {
    let cloud = Cloud::new([(1, from_start(10_400))], Vec::new());
    let outcomes = outcomes(&cloud, &[(1, 0, 10_500)]);
    assert!(outcomes[0].1.1.is_ok(), "{outcomes:?}");
}

#[test]
fn a_fault_that_repeating_cannot_mend_ends_every_wait() {
    let fault = Fault {
        from: 10_000,
        to: HOUR,
        kind: ErrorKind::AccessDenied,
    };
    let cloud = Cloud::new([(1, from_start(HOUR)), (2, from_start(HOUR))], vec![fault]);
    let outcomes = outcomes(&cloud, &[(1, 0, HOUR), (2, 0, HOUR)]);
    for (_, (end, outcome)) in outcomes {
        let Err(WaitError::Cloud(error)) = outcome else {
            panic!("{outcome:?}");
        };
        assert_eq!(error.kind, ErrorKind::AccessDenied);
        assert!(end < 13_000, "{end}");
    }
}

#[test]
fn a_leader_that_is_cancelled_does_not_block_the_others() {
    let cloud = Cloud::new([(1, from_start(HOUR)), (2, from_start(30_000))], Vec::new());
    let (poller, outcomes) = (cloud.poller(), Outcomes::default());
    // The first to come leads, and goes: once in its pause, once in the middle of its call.
    for cancelled_at in [5_500, 10] {
        let leader = {
            let (clock, poller) = (cloud.clock.clone(), poller.clone());
            Box::pin(async move {
                let from = clock.moment();
                let wait = pin!(poller.wait(&1, timestamp(HOUR), ready));
                match select(wait, pin!(clock.until(from + cancelled_at))).await {
                    Either::Left(_) => panic!("it is not ready for an hour"),
                    Either::Right(_) => {}
                }
            }) as Task
        };
        let begin = cloud.clock.moment();
        let follower = waiter(&cloud, &poller, &outcomes, 2, (begin + 5, begin + HOUR));
        run(&cloud.clock, vec![leader, follower]);
        assert_eq!(outcomes.take().len(), 1);
    }
    let calls = cloud.calls();
    assert!(calls.last().unwrap().ids.iter().eq(&[2]), "{calls:?}");
}

#[test]
fn a_new_id_is_asked_for_at_once() {
    let cloud = Cloud::new(
        [(1, from_start(0)), (2, from_start(0)), (3, from_start(0))],
        Vec::new(),
    );
    // The second comes after the first is done, the third in the middle of the second's call.
    let outcomes = outcomes(&cloud, &[(1, 0, HOUR), (2, 5_000, HOUR), (3, 5_010, HOUR)]);
    let ends: Vec<Moment> = outcomes.iter().map(|(_, (end, _))| *end).collect();
    assert_eq!(ends, [20, 5_020, 5_040]);
}

#[test]
fn a_new_id_cuts_the_leaders_pause_short() {
    let cloud = Cloud::new([(1, from_start(HOUR)), (2, from_start(0))], Vec::new());
    let outcomes = outcomes(&cloud, &[(1, 0, 30_000), (2, 5_500, HOUR)]);
    assert_eq!(outcomes[0].1.0, 5_520);
}

#[test]
fn a_new_id_does_not_break_into_throttling() {
    let fault = Fault {
        from: 0,
        to: 60_000,
        kind: ErrorKind::Throttled,
    };
    let cloud = Cloud::new([(1, from_start(0)), (2, from_start(0))], vec![fault]);
    outcomes(&cloud, &[(1, 0, HOUR), (2, 20_000, HOUR)]);
    let calls = cloud.calls();
    let pauses = calls.windows(2).map(|two| two[1].began - two[0].ended);
    assert!(pauses.min().unwrap() >= 1_000, "{calls:?}");
    assert!(calls.len() <= 9, "{calls:?}");
}

#[test]
fn a_follower_is_done_while_the_leader_waits_on() {
    let cloud = Cloud::new([(1, from_start(HOUR)), (2, from_start(10_000))], Vec::new());
    let outcomes = outcomes(&cloud, &[(1, 0, 600_000), (2, 5, HOUR)]);
    let (id, (end, outcome)) = &outcomes[0];
    assert_eq!(*id, 2);
    assert!(outcome.is_ok());
    assert!((10_000..11_100).contains(end), "{end}");
}

#[test]
fn an_id_asked_for_again_after_its_wait_ended_is_new() {
    let cloud = Cloud::new([(1, from_start(0))], Vec::new());
    let outcomes = outcomes(&cloud, &[(1, 0, HOUR), (1, 5_000, HOUR)]);
    assert_eq!(outcomes[1].1.0, 5_020);
}

#[test]
fn a_resource_that_was_not_asked_for_is_not_taken_for_missing() {
    let cloud = Cloud::new([(1, from_start(0)), (2, from_start(0))], Vec::new());
    let poller = cloud.poller();
    let seen = Rc::new(RefCell::new(None));
    let first = {
        let poller = poller.clone();
        Box::pin(async move {
            poller.wait(&1, timestamp(HOUR), ready).await.unwrap();
        }) as Task
    };
    // It comes while the first's call is under way, and would call a missing resource gone.
    let second = {
        let (clock, seen) = (cloud.clock.clone(), seen.clone());
        Box::pin(async move {
            clock.until(10).await;
            let judge = |state: Option<&State>| Verdict::<_, &str>::Done(state.copied());
            *seen.borrow_mut() = poller.wait(&2, timestamp(HOUR), judge).await.unwrap();
        }) as Task
    };
    run(&cloud.clock, vec![first, second]);
    assert_eq!(seen.take(), Some(State::Ready));
}

#[test]
fn a_resource_that_does_not_show_yet_is_waited_for() {
    let late = Resource {
        shows: 7_000,
        ready: 8_000,
    };
    let cloud = Cloud::new([(1, late)], Vec::new());
    let outcomes = outcomes(&cloud, &[(1, 0, HOUR)]);
    assert!(outcomes[0].1.1.is_ok());
}

#[test]
fn what_can_never_come_ends_the_wait_with_its_reason() {
    let cloud = Cloud::new([(1, from_start(0))], Vec::new());
    let poller = cloud.poller();
    let task = Box::pin(async move {
        let judge = |_: Option<&State>| Verdict::<(), _>::Impossible("it failed");
        let error = poller.wait(&1, timestamp(HOUR), judge).await.unwrap_err();
        assert!(matches!(error, WaitError::Impossible("it failed")));
        assert_eq!(error.to_string(), "it failed");
    });
    run(&cloud.clock, vec![task]);
}
