//! A clock for many who wait at once: it moves on when nobody can do anything, to the moment for which somebody waits.

use async_trait::async_trait;
use cloud::{Clock, Timestamp};
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

#[derive(Clone)]
pub struct EventClock(Arc<Mutex<Inner>>);

struct Inner {
    now: Timestamp,
    sleepers: BTreeMap<(Timestamp, u64), Waker>,
    next: u64,
}

impl EventClock {
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(Inner {
            now: Timestamp::from_second(1_790_000_000).unwrap(),
            sleepers: BTreeMap::new(),
            next: 0,
        })))
    }

    /// Runs `work` to its end. Panics if all of it waits for something that is not time.
    pub fn run<F: Future>(&self, work: F) -> F::Output {
        let mut work = pin!(work);
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        let waker = Waker::from(woken.clone());
        let mut context = Context::from_waker(&waker);
        loop {
            while woken.0.swap(false, Ordering::SeqCst) {
                if let Poll::Ready(output) = work.as_mut().poll(&mut context) {
                    return output;
                }
            }
            let mut inner = self.0.lock().unwrap();
            let ((at, _), waker) = inner
                .sleepers
                .pop_first()
                .expect("all wait, and not for time");
            inner.now = inner.now.max(at);
            drop(inner);
            waker.wake();
        }
    }
}

#[async_trait]
impl Clock for EventClock {
    fn now(&self) -> Timestamp {
        self.0.lock().unwrap().now
    }

    async fn sleep(&self, duration: Duration) {
        let (at, number) = {
            let mut inner = self.0.lock().unwrap();
            inner.next += 1;
            (cloud::clock::after(inner.now, duration), inner.next)
        };
        std::future::poll_fn(|context| {
            let mut inner = self.0.lock().unwrap();
            if inner.now >= at {
                return Poll::Ready(());
            }
            inner.sleepers.insert((at, number), context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}
