//! A clock that moves only when everybody waits, a cloud whose resources become ready at given moments, and a log of
//! the calls made to it.

use async_trait::async_trait;
use cloud::clock::{Clock, Timestamp, after};
use cloud::wait::{BatchPoller, Describe};
use cloud::{CloudError, ErrorKind};
use futures::executor::LocalPool;
use futures::task::LocalSpawnExt;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
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

/// Names a resource.
pub type Id = u32;

/// What a describe call says of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Pending,
    Ready,
}

/// When a resource shows and when it is ready.
#[derive(Clone, Copy, Debug)]
pub struct Resource {
    pub shows: Moment,
    pub ready: Moment,
}

/// Calls that begin within these moments fail so.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    pub from: Moment,
    pub to: Moment,
    pub kind: ErrorKind,
}

/// A describe call as it was made.
#[derive(Clone, Debug)]
pub struct Call {
    pub began: Moment,
    pub ended: Moment,
    pub ids: BTreeSet<Id>,
    pub failed: bool,
}

/// The cloud of the simulation.
pub struct Cloud {
    pub clock: VirtualClock,
    /// How long a call takes.
    pub latency: Moment,
    pub resources: BTreeMap<Id, Resource>,
    pub faults: Vec<Fault>,
    pub calls: Mutex<Vec<Call>>,
}

impl Cloud {
    pub fn new(
        resources: impl IntoIterator<Item = (Id, Resource)>,
        faults: Vec<Fault>,
    ) -> Arc<Self> {
        Arc::new(Self {
            clock: VirtualClock::default(),
            latency: 20,
            resources: resources.into_iter().collect(),
            faults,
            calls: Mutex::default(),
        })
    }

    pub fn poller(self: &Arc<Self>) -> Rc<BatchPoller<Id, State>> {
        let describe = Box::new(Handle(self.clone()));
        Rc::new(BatchPoller::new(describe, Arc::new(self.clock.clone())))
    }

    pub fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }
}

struct Handle(Arc<Cloud>);

#[async_trait]
impl Describe<Id, State> for Handle {
    async fn describe(&self, ids: &[Id]) -> Result<Vec<(Id, State)>, CloudError> {
        let cloud = &self.0;
        let began = cloud.clock.moment();
        let fault = cloud
            .faults
            .iter()
            .find(|fault| (fault.from..fault.to).contains(&began));
        // The answer is as of the call's begin: what happens while it travels does not show.
        let states = ids
            .iter()
            .filter_map(|id| {
                let resource = cloud.resources.get(id)?;
                (resource.shows <= began).then_some((
                    *id,
                    if resource.ready <= began {
                        State::Ready
                    } else {
                        State::Pending
                    },
                ))
            })
            .collect();
        cloud.clock.until(began + cloud.latency).await;
        cloud.calls.lock().unwrap().push(Call {
            began,
            ended: cloud.clock.moment(),
            ids: ids.iter().copied().collect(),
            failed: fault.is_some(),
        });
        match fault {
            None => Ok(states),
            Some(fault) => Err(CloudError {
                operation: "Describe",
                resource: None,
                kind: fault.kind,
                code: String::new(),
                message: "as the test wants it".to_owned(),
                request_id: None,
            }),
        }
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
