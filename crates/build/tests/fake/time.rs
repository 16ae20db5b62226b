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
            assert!(self.move_on(), "all wait, and not for time");
        }
    }

    /// Runs work beside which threads read disks, to its end, or until `is_over`: then it is dropped where it stands, as by
    /// a process that is killed. When nothing has happened for [`THREADS_WORK`] of real time, time moves on. On a slow
    /// machine that may be before a thread is through, and no test may mind: it is as if the thread had been slow.
    pub fn run_beside_threads<F: Future>(
        &self,
        work: F,
        is_over: impl Fn() -> bool,
    ) -> Option<F::Output> {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().build().unwrap();
        runtime.block_on(async {
            let mut work = pin!(work);
            let mut nothing_for = 0_u32;
            loop {
                let mut pending = 0_u32;
                let step = std::future::poll_fn(|context| {
                    if is_over() {
                        return Poll::Ready(None);
                    }
                    pending += 1;
                    work.as_mut().poll(context).map(Some)
                });
                tokio::select! {
                    biased;
                    output = step => return output,
                    () = quiet() => {}
                }
                // It is polled when it begins, and once more when time is up; else somebody was woken meanwhile.
                if pending > 2 || self.move_on() {
                    nothing_for = 0;
                } else {
                    // Nobody waits for time: for a thread, then.
                    nothing_for += 1;
                    assert!(nothing_for < STUCK, "all wait, and not for time");
                }
            }
        })
    }

    /// Moves on to the moment for which somebody waits, if somebody does.
    fn move_on(&self) -> bool {
        let mut inner = self.0.lock().unwrap();
        let Some(((at, _), waker)) = inner.sleepers.pop_first() else {
            return false;
        };
        inner.now = inner.now.max(at);
        drop(inner);
        waker.wake();
        true
    }
}

/// How long threads that read disks may seem to do nothing.
const THREADS_WORK: Duration = Duration::from_millis(2);

/// For so many times that long.
const STUCK: u32 = 10_000;

#[allow(
    clippy::disallowed_methods,
    reason = "threads take real time, whatever the clock of the work says"
)]
async fn quiet() {
    tokio::time::sleep(THREADS_WORK).await;
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
