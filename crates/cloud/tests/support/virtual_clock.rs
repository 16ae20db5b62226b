//! A clock that moves only when everybody waits.

use async_trait::async_trait;
use cloud::clock::{Clock, Timestamp, after};
use futures::executor::LocalPool;
use futures::task::LocalSpawnExt;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Milliseconds since the simulation began.
pub type Moment = u64;

#[derive(Default)]
struct Time {
    now: Moment,
    /// Who is to be woken when, by a number that tells sleepers apart.
    sleepers: BTreeMap<(Moment, u64), Waker>,
    sleeps: u64,
}

/// Time that moves from one sleeper's end to the next.
#[derive(Clone, Default)]
pub struct VirtualClock(Arc<Mutex<Time>>);

impl VirtualClock {
    pub fn moment(&self) -> Moment {
        self.0.lock().unwrap().now
    }

    /// Moves to the next sleeper's end and wakes it. False if nobody sleeps.
    fn advance(&self) -> bool {
        let mut time = self.0.lock().unwrap();
        let Some(((until, _), waker)) = time.sleepers.pop_first() else {
            return false;
        };
        time.now = time.now.max(until);
        drop(time);
        waker.wake();
        true
    }

    pub fn until(&self, moment: Moment) -> impl Future<Output = ()> + Send + use<> {
        let mut time = self.0.lock().unwrap();
        time.sleeps += 1;
        Sleep {
            clock: self.clone(),
            key: (moment, time.sleeps),
        }
    }
}

struct Sleep {
    clock: VirtualClock,
    key: (Moment, u64),
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut time = self.clock.0.lock().unwrap();
        if time.now >= self.key.0 {
            return Poll::Ready(());
        }
        time.sleepers.insert(self.key, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.clock.0.lock().unwrap().sleepers.remove(&self.key);
    }
}

/// A moment of the simulation as a point in time.
pub fn timestamp(moment: Moment) -> Timestamp {
    after(Timestamp::UNIX_EPOCH, Duration::from_millis(moment))
}

#[async_trait]
impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        timestamp(self.moment())
    }

    async fn sleep(&self, duration: Duration) {
        let until = self.moment() + u64::try_from(duration.as_millis()).unwrap();
        self.until(until).await;
    }
}

/// Runs all tasks to their end, in virtual time.
pub fn run(clock: &VirtualClock, tasks: Vec<Pin<Box<dyn Future<Output = ()>>>>) {
    let mut pool = LocalPool::new();
    let left = Rc::new(RefCell::new(tasks.len()));
    for task in tasks {
        let left = left.clone();
        pool.spawner()
            .spawn_local(async move {
                task.await;
                *left.borrow_mut() -= 1;
            })
            .unwrap();
    }
    loop {
        pool.run_until_stalled();
        if *left.borrow() == 0 {
            return;
        }
        assert!(
            clock.advance(),
            "{} tasks wait for what never comes",
            left.borrow()
        );
    }
}
