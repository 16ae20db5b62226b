//! Waiting for EC2: by deadline, never by count, with one describe call per region and tick for all who wait.
//!
//! ```text
//!               a call ended, or the leader was cancelled
//!        ┌──────────────────────────────────────────────────┐
//!        ▼                                                  │
//!   (look) ── nobody leads ──▶ Leader: pause, one call for all ids ──▶ wakes all followers
//!        │
//!        └── somebody leads ──▶ Follower: sleeps until woken
//! ```
//!
//! There is no background task: whoever finds that nobody leads takes the lead for one call, whose answer all waiters
//! look at. A leader that is cancelled lets go of the lead, and one of the followers takes it. An id that the latest
//! call did not ask for cuts the leader's pause short, unless EC2 is throttling.

use crate::clock::{Clock, Timestamp, after, between};
use crate::{
    CloudError, ErrorKind, Image, ImageFilter, ImageId, Instance, InstanceFilter, InstanceId,
    Region,
};
use async_trait::async_trait;
use futures::channel::oneshot;
use futures::future::{Either, select};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The pause between two describe calls while all goes well.
pub const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// The longest pause, reached by doubling while EC2 throttles.
pub const LONGEST_POLL_INTERVAL: Duration = Duration::from_secs(15);
/// How long after its deadline a wait's last look may still take. A describe call that is throttled is repeated beneath,
/// for longer than many a wait may take.
pub const LAST_LOOK: Duration = Duration::from_secs(30);

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
    /// The ids that the latest call asked for: an id that is new is asked for at once, without a pause.
    asked: HashSet<Id>,
    /// What the latest successful call showed of each id that it asked for; none if it does not show.
    latest: HashMap<Id, Option<State>>,
    /// Why the latest call failed, if it did.
    last_error: Option<CloudError>,
    /// Counts the calls, so that a waiter can tell whether one happened while it queued for the lock.
    tick: u64,
    interval: Duration,
    /// Whether a waiter leads.
    led: bool,
    /// Wakes those who wait for the leader's call; they are woken by being dropped.
    followers: Vec<oneshot::Sender<()>>,
    /// Ends the leader's pause, if it is in one that may be cut short.
    nudge: Option<oneshot::Sender<()>>,
}

/// What a waiter does about the next call.
enum Role {
    Leader { pause: Option<Pause> },
    Follower(oneshot::Receiver<()>),
}

/// How a look ended.
enum Look {
    /// The call has an answer, or the wait is over.
    Ended,
    /// No answer came in time.
    CutOff,
}

struct Pause {
    length: Duration,
    /// Comes true when there is a new id to ask for.
    nudged: Option<oneshot::Receiver<()>>,
}

/// Shares describe calls between all who wait for the same kind of resource in one region.
pub struct BatchPoller<Id, State> {
    describe: Box<dyn Describe<Id, State>>,
    clock: Arc<dyn Clock>,
    shared: Mutex<Shared<Id, State>>,
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
                led: false,
                followers: Vec::new(),
                nudge: None,
            }),
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
            let look = self
                .poll_once_after(tick, deadline)
                .await
                .map_err(WaitError::Cloud)?;
            if let Look::CutOff = look {
                return Err(WaitError::Deadline {
                    last_error: Some(no_answer()),
                });
            }
            let last_error = {
                let shared = self.lock();
                tick = shared.tick;
                // A call that was under way when this wait began has not asked for its id: nothing is known yet.
                if shared.last_error.is_none()
                    && let Some(seen) = shared.latest.get(id)
                {
                    match judge(seen.as_ref()) {
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

    /// Comes back after the call that follows call number `tick`, made here or by another waiter.
    ///
    /// The pause before it ends at `deadline`, so that the last look is at the last moment.
    async fn poll_once_after(&self, tick: u64, deadline: Timestamp) -> Result<Look, CloudError> {
        let pause = loop {
            match self.role(tick) {
                None => return Ok(Look::Ended),
                Some(Role::Leader { pause }) => break pause,
                Some(Role::Follower(woken)) => {
                    // Woken by the sender's end, so there is never a value. The leader may have more time than this
                    // wait, and be kept waiting for an answer.
                    if let Either::Right(_) = select(woken, self.too_late(deadline)).await {
                        return Ok(Look::CutOff);
                    }
                    // The leader may have been cancelled after a long pause; another one would be too long.
                    if self.clock.now() >= deadline {
                        return Ok(Look::Ended);
                    }
                }
            }
        };
        let _lead = Lead(self);
        if let Some(Pause { length, nudged }) = pause {
            let left = between(self.clock.now(), deadline);
            let pause = self.clock.sleep(length.min(left));
            match nudged {
                None => pause.await,
                Some(nudged) => drop(select(pause, nudged).await),
            }
        }
        // Collected after the pause: waiters may have come while the leader slept.
        let ids: Vec<Id> = self.lock().interested.keys().cloned().collect();
        let describing = self.describe.describe(&ids);
        let answer = match select(describing, self.too_late(deadline)).await {
            Either::Left((answer, _)) => answer,
            Either::Right(((), _)) => return Ok(Look::CutOff),
        };
        let mut shared = self.lock();
        shared.tick += 1;
        // Some waiters may have gone during the call.
        shared.asked = ids
            .iter()
            .filter(|id| shared.interested.contains_key(id))
            .cloned()
            .collect();
        match answer {
            Ok(states) => {
                shared.latest = ids.into_iter().map(|id| (id, None)).collect();
                shared
                    .latest
                    .extend(states.into_iter().map(|(id, state)| (id, Some(state))));
                shared.last_error = None;
                shared.interval = POLL_INTERVAL;
                Ok(Look::Ended)
            }
            Err(error) if error.is_passing() => {
                shared.interval = (shared.interval * 2).min(LONGEST_POLL_INTERVAL);
                shared.last_error = Some(error);
                Ok(Look::Ended)
            }
            Err(error) => Err(error),
        }
    }

    /// Comes true when a wait that ends at `deadline` must not wait for an answer any longer.
    fn too_late(&self, deadline: Timestamp) -> impl Future<Output = ()> + Send + Unpin {
        let left = between(self.clock.now(), after(deadline, LAST_LOOK));
        self.clock.sleep(left)
    }

    /// What to do about the call that follows call number `tick`; none if it has been made.
    fn role(&self, tick: u64) -> Option<Role> {
        let mut shared = self.lock();
        if shared.tick != tick {
            return None;
        }
        if shared.led {
            let (sender, woken) = oneshot::channel();
            shared.followers.push(sender);
            return Some(Role::Follower(woken));
        }
        shared.led = true;
        if shared.last_error.is_some() {
            return Some(Role::Leader {
                pause: Some(Pause {
                    length: shared.interval,
                    nudged: None,
                }),
            });
        }
        let all_asked = shared.interested.keys().all(|id| shared.asked.contains(id));
        let pause = all_asked.then(|| {
            let (nudge, nudged) = oneshot::channel();
            shared.nudge = Some(nudge);
            Pause {
                length: shared.interval,
                nudged: Some(nudged),
            }
        });
        Some(Role::Leader { pause })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Shared<Id, State>> {
        // No code that can panic runs under this lock but `judge`, which leaves the shared state whole.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The error of a describe call that was cut off because its wait is over.
fn no_answer() -> CloudError {
    CloudError {
        operation: "describing what was waited for",
        resource: None,
        kind: ErrorKind::Transient,
        code: String::new(),
        message: format!(
            "EC2 gave no answer until {} s after that time",
            LAST_LOOK.as_secs()
        ),
        request_id: None,
    }
}

/// The lead, from the decision to make a call to its end or the leader's.
struct Lead<'a, Id: Clone + Eq + Hash, State>(&'a BatchPoller<Id, State>);

impl<Id: Clone + Eq + Hash, State> Drop for Lead<'_, Id, State> {
    fn drop(&mut self) {
        let mut shared = self.0.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.led = false;
        shared.nudge = None;
        let followers = std::mem::take(&mut shared.followers);
        // Their wakers run outside of the lock.
        drop(shared);
        drop(followers);
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
        let nudge = if shared.asked.contains(&id) {
            None
        } else {
            shared.nudge.take()
        };
        drop(shared);
        if let Some(nudge) = nudge {
            // A leader that has gone meanwhile needs no nudge.
            let _ = nudge.send(());
        }
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
