//! What holds for any number of waiters that come, go and are cancelled at any time, with any faults in between.

use crate::simulation::{Cloud, Fault, Id, Resource, State};
use crate::virtual_clock::{Moment, run, timestamp};
use cloud::ErrorKind;
use cloud::wait::{LONGEST_POLL_INTERVAL, POLL_INTERVAL, Verdict, WaitError};
use futures::future::{Either, select};
use proptest::prelude::*;
use std::cell::RefCell;
use std::pin::{Pin, pin};
use std::rc::Rc;

#[derive(Clone, Debug)]
struct Wait {
    id: Id,
    start: Moment,
    allowed: Moment,
    cancelled_after: Option<Moment>,
}

impl Wait {
    fn deadline(&self) -> Moment {
        self.start + self.allowed
    }
}

#[derive(Debug)]
enum End {
    Ready,
    Deadline,
    Cancelled,
}

fn wait() -> impl Strategy<Value = Wait> {
    (
        0..6_u32,
        0..90_000_u64,
        0..120_000_u64,
        prop::option::weighted(0.3, 0..60_000_u64),
    )
        .prop_map(|(id, start, allowed, cancelled_after)| Wait {
            id,
            start,
            allowed,
            cancelled_after,
        })
}

fn resource() -> impl Strategy<Value = Resource> {
    (0..30_000_u64, 0..90_000_u64).prop_map(|(shows, more)| Resource {
        shows,
        ready: shows + more,
    })
}

fn fault() -> impl Strategy<Value = Fault> {
    let kind = prop::sample::select(vec![ErrorKind::Throttled, ErrorKind::Transient]);
    (0..120_000_u64, 1..40_000_u64, kind).prop_map(|(from, length, kind)| Fault {
        from,
        to: from + length,
        kind,
    })
}

fn milliseconds(duration: std::time::Duration) -> Moment {
    duration.as_millis().try_into().unwrap()
}

proptest! {
    #[test]
    fn waits_end_as_they_should(
        waits in prop::collection::vec(wait(), 1..12),
        resources in prop::collection::vec(resource(), 6),
        faults in prop::collection::vec(fault(), 0..4),
    ) {
        let resources: Vec<(Id, Resource)> = (0..).zip(resources).collect();
        let cloud = Cloud::new(resources.clone(), faults.clone());
        let poller = cloud.poller();
        let ends = Rc::new(RefCell::new(Vec::new()));
        let tasks = waits
            .iter()
            .cloned()
            .map(|wait| {
                let (clock, poller, ends) = (cloud.clock.clone(), poller.clone(), ends.clone());
                Box::pin(async move {
                    clock.until(wait.start).await;
                    let judge = |state: Option<&State>| match state {
                        Some(State::Ready) => Verdict::Done(()),
                        Some(State::Pending) | None => Verdict::<(), String>::Wait,
                    };
                    let waiting = pin!(poller.wait(&wait.id, timestamp(wait.deadline()), judge));
                    let until = wait.cancelled_after.map_or(Moment::MAX, |after| wait.start + after);
                    let end = match select(waiting, pin!(clock.until(until))).await {
                        Either::Left((Ok(()), _)) => End::Ready,
                        Either::Left((Err(WaitError::Deadline { .. }), _)) => End::Deadline,
                        Either::Left((Err(other), _)) => panic!("{other}"),
                        Either::Right(_) => End::Cancelled,
                    };
                    ends.borrow_mut().push((wait.clone(), clock.moment(), end));
                }) as Pin<Box<dyn Future<Output = ()>>>
            })
            .collect();
        run(&cloud.clock, tasks);
        let ends = ends.take();
        prop_assert_eq!(ends.len(), waits.len());

        let longest = milliseconds(LONGEST_POLL_INTERVAL);
        let slack = longest + 3 * cloud.latency;
        for (wait, end, how) in &ends {
            let resource = cloud.resources[&wait.id];
            match how {
                End::Ready => prop_assert!(resource.ready <= *end, "{wait:?} was ready too early, at {end}"),
                End::Deadline => {
                    prop_assert!(*end >= wait.deadline(), "{wait:?} gave up too early, at {end}");
                    prop_assert!(*end <= wait.deadline() + slack, "{wait:?} gave up too late, at {end}");
                    // Ready, and no fault from then on: it must have been seen.
                    let could_be_seen = faults
                        .iter()
                        .map(|fault| fault.to)
                        .fold(resource.ready.max(wait.start), Moment::max)
                        + slack;
                    prop_assert!(could_be_seen > wait.deadline(), "{wait:?} was ready in time");
                }
                End::Cancelled => prop_assert!(wait.cancelled_after.is_some()),
            }
        }

        let mut calls = cloud.calls();
        calls.sort_by_key(|call| call.began);
        for call in &calls {
            for (wait, end, _) in &ends {
                // Whoever waits when a call begins is asked for by it.
                if wait.start < call.began && call.ended < *end {
                    prop_assert!(call.ids.contains(&wait.id), "{wait:?} is missing in {call:?}");
                }
            }
            for id in &call.ids {
                let somebody = ends
                    .iter()
                    .any(|(wait, end, _)| wait.id == *id && wait.start <= call.began && call.began <= *end);
                prop_assert!(somebody, "nobody waits for {id} in {call:?}");
            }
        }
        for two in calls.windows(2) {
            let (earlier, later) = (&two[0], &two[1]);
            prop_assert!(earlier.ended <= later.began, "{earlier:?} and {later:?} overlap");
            let asks_for_more = later.ids.iter().any(|id| !earlier.ids.contains(id));
            let last_look = ends.iter().any(|(wait, _, _)| wait.deadline() <= later.began);
            // A wait that ended and began anew, or was cancelled in its call, makes its id new again.
            let came_again = ends
                .iter()
                .any(|(wait, _, _)| earlier.began <= wait.start && wait.start <= later.began);
            let gone = ends.iter().any(|(_, end, how)| {
                matches!(how, End::Cancelled) && earlier.began <= *end && *end <= later.began
            });
            let pause = later.began - earlier.ended;
            prop_assert!(
                pause >= milliseconds(POLL_INTERVAL)
                    || (!earlier.failed && asks_for_more)
                    || last_look || came_again || gone,
                "{earlier:?} and {later:?} are too close"
            );
        }
    }
}
