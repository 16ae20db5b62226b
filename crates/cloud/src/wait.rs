//! Waiting for EC2: by deadline, never by count, with one describe call per region and tick for all who wait.
//!
//! ```text
//!   waiter A ─┐                       ┌─ every interested id in one call
//!   waiter B ─┼─▶ whoever holds the ──┤
//!   waiter C ─┘   leader lock polls   └─ all waiters look at the same answer
//! ```
//!
//! There is no background task: the first waiter to get the lock sleeps one interval, asks for all, and passes the
//! lock on. A waiter that is cancelled simply lets go of the lock.

use crate::clock::{Clock, Timestamp, after};
use crate::{
    CloudError, Image, ImageFilter, ImageId, Instance, InstanceFilter, InstanceId, Region,
};
use async_trait::async_trait;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The pause between two describe calls while all goes well.
pub const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// The longest pause, reached by doubling while EC2 throttles.
pub const LONGEST_POLL_INTERVAL: Duration = Duration::from_secs(15);

/// Asks for the present state of many resources at once.
#[async_trait]
pub trait Describe<Id, State>: Send + Sync {
    /// The states of those of `ids` that exist.
    async fn describe(&self, ids: &[Id]) -> Result<Vec<(Id, State)>, CloudError>;
}

/// Why a wait ended without what was waited for.
#[derive(Debug)]
pub enum WaitError<E> {
    /// The deadline passed.
    Deadline {
        /// The last failure of the describe call, if the latest one failed.
        last_error: Option<CloudError>,
    },
    /// The describe call failed in a way that repeating cannot mend.
    Cloud(CloudError),
    /// What was seen rules out that it will ever come.
    Impossible(E),
}

impl<E: fmt::Display> fmt::Display for WaitError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deadline { last_error: None } => {
                f.write_str("the time allowed for it has passed")
            }
            Self::Deadline {
                last_error: Some(error),
            } => {
                write!(
                    f,
                    "the time allowed for it has passed; the last attempt to look: {error}"
                )
            }
            Self::Cloud(error) => error.fmt(f),
            Self::Impossible(reason) => reason.fmt(f),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> std::error::Error for WaitError<E> {}

/// What a waiter makes of the state it sees.
pub enum Verdict<T, E> {
    /// Not yet.
    Wait,
    /// This is what was waited for.
    Done(T),
    /// It will never come.
    Impossible(E),
}

struct Shared<Id, State> {
    /// How many waiters want each id.
    interested: HashMap<Id, usize>,
    /// The ids that a call has asked for: an id that is new is asked for at once, without a pause.
    asked: HashSet<Id>,
    /// What the latest successful call showed.
    latest: HashMap<Id, State>,
    /// Why the latest call failed, if it did.
    last_error: Option<CloudError>,
    /// Counts the calls, so that a waiter can tell whether one happened while it queued for the lock.
    tick: u64,
    interval: Duration,
}

/// Shares describe calls between all who wait for the same kind of resource in one region.
pub struct BatchPoller<Id, State> {
    describe: Box<dyn Describe<Id, State>>,
    clock: Arc<dyn Clock>,
    shared: Mutex<Shared<Id, State>>,
    leader: futures::lock::Mutex<()>,
}

impl<Id, State> BatchPoller<Id, State>
where
    Id: Clone + Eq + Hash + Send + Sync,
    State: Clone + Send + Sync,
{
    /// A poller that asks with `describe` and sleeps with `clock`.
    pub fn new(describe: Box<dyn Describe<Id, State>>, clock: Arc<dyn Clock>) -> Self {
        Self {
            describe,
            clock,
            shared: Mutex::new(Shared {
                interested: HashMap::new(),
                asked: HashSet::new(),
                latest: HashMap::new(),
                last_error: None,
                tick: 0,
                interval: POLL_INTERVAL,
            }),
            leader: futures::lock::Mutex::new(()),
        }
    }

    /// Waits until `judge` has decided about `id`, or `deadline` has passed.
    ///
    /// `judge` sees `None` while the resource does not show (EC2 is eventually consistent). Throttling and passing
    /// faults of the describe call never end the wait; they slow it down.
    pub async fn wait<T, E>(
        &self,
        id: &Id,
        deadline: Timestamp,
        mut judge: impl FnMut(Option<&State>) -> Verdict<T, E> + Send,
    ) -> Result<T, WaitError<E>> {
        let _interest = Interest::new(self, id.clone());
        let mut tick = self.lock().tick;
        loop {
            self.poll_once_after(tick).await.map_err(WaitError::Cloud)?;
            let last_error = {
                let shared = self.lock();
                tick = shared.tick;
                if shared.last_error.is_none() {
                    match judge(shared.latest.get(id)) {
                        Verdict::Wait => {}
                        Verdict::Done(value) => return Ok(value),
                        Verdict::Impossible(reason) => return Err(WaitError::Impossible(reason)),
                    }
                }
                shared.last_error.clone()
            };
            if self.clock.now() >= deadline {
                return Err(WaitError::Deadline { last_error });
            }
        }
    }

    /// Makes the call that follows call number `tick`, unless another waiter has made it meanwhile.
    async fn poll_once_after(&self, tick: u64) -> Result<(), CloudError> {
        let _leader = self.leader.lock().await;
        let pause = {
            let shared = self.lock();
            if shared.tick != tick {
                return Ok(());
            }
            let has_new = shared
                .interested
                .keys()
                .any(|id| !shared.asked.contains(id));
            (!has_new || shared.last_error.is_some()).then_some(shared.interval)
        };
        if let Some(pause) = pause {
            self.clock.sleep(pause).await;
        }
        // Collected after the pause: waiters may have come while the leader slept.
        let ids: Vec<Id> = self.lock().interested.keys().cloned().collect();
        let answer = self.describe.describe(&ids).await;
        let mut shared = self.lock();
        shared.tick += 1;
        shared.asked.extend(ids);
        match answer {
            Ok(states) => {
                shared.latest = states.into_iter().collect();
                shared.last_error = None;
                shared.interval = POLL_INTERVAL;
                Ok(())
            }
            Err(error) if error.is_passing() => {
                shared.interval = (shared.interval * 2).min(LONGEST_POLL_INTERVAL);
                shared.last_error = Some(error);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Shared<Id, State>> {
        // No code that can panic runs under this lock but `judge`, which leaves the shared state whole.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps an id in the poll for as long as a waiter lives.
struct Interest<'a, Id: Clone + Eq + Hash, State> {
    poller: &'a BatchPoller<Id, State>,
    id: Id,
}

impl<'a, Id: Clone + Eq + Hash, State> Interest<'a, Id, State> {
    fn new(poller: &'a BatchPoller<Id, State>, id: Id) -> Self {
        let mut shared = poller.shared.lock().unwrap_or_else(PoisonError::into_inner);
        *shared.interested.entry(id.clone()).or_default() += 1;
        drop(shared);
        Self { poller, id }
    }
}

impl<Id: Clone + Eq + Hash, State> Drop for Interest<'_, Id, State> {
    fn drop(&mut self) {
        let mut shared = self
            .poller
            .shared
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = shared.interested.get_mut(&self.id) {
            *count -= 1;
            if *count == 0 {
                shared.interested.remove(&self.id);
                shared.latest.remove(&self.id);
                shared.asked.remove(&self.id);
            }
        }
    }
}

/// Waits on instances of one region.
pub type InstancePoller = BatchPoller<InstanceId, Instance>;
/// Waits on images of one region.
pub type ImagePoller = BatchPoller<ImageId, Image>;

struct DescribeInstances(Arc<dyn Region>);

#[async_trait]
impl Describe<InstanceId, Instance> for DescribeInstances {
    async fn describe(
        &self,
        ids: &[InstanceId],
    ) -> Result<Vec<(InstanceId, Instance)>, CloudError> {
        let filter = InstanceFilter {
            instance_ids: ids.to_vec(),
            ..InstanceFilter::default()
        };
        let instances = self.0.instances(&filter).await?;
        Ok(instances
            .into_iter()
            .map(|i| (i.instance_id.clone(), i))
            .collect())
    }
}

struct DescribeImages(Arc<dyn Region>);

#[async_trait]
impl Describe<ImageId, Image> for DescribeImages {
    async fn describe(&self, ids: &[ImageId]) -> Result<Vec<(ImageId, Image)>, CloudError> {
        let filter = ImageFilter {
            image_ids: ids.to_vec(),
            ..ImageFilter::default()
        };
        let images = self.0.images(&filter).await?;
        Ok(images
            .into_iter()
            .map(|i| (i.image_id.clone(), i))
            .collect())
    }
}

/// A poller for the instances of `region`.
pub fn instance_poller(region: Arc<dyn Region>, clock: Arc<dyn Clock>) -> InstancePoller {
    BatchPoller::new(Box::new(DescribeInstances(region)), clock)
}

/// A poller for the images of `region`.
pub fn image_poller(region: Arc<dyn Region>, clock: Arc<dyn Clock>) -> ImagePoller {
    BatchPoller::new(Box::new(DescribeImages(region)), clock)
}

/// The deadline that lies `allowed` from now.
pub fn deadline(clock: &dyn Clock, allowed: Duration) -> Timestamp {
    after(clock.now(), allowed)
}
