//! The leases that this process renews. Parameters belong to a region: the same name in two regions is two leases.

use super::fence::{Fence, Lost};
use cloud::{Clock, CloudError, ParameterWrite, Region, RegionName, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What is written at a renewal, given how many there were before.
pub type Content = Box<dyn Fn(u64) -> String + Send + Sync>;

/// A lease's parameter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeaseKey {
    /// Where it is.
    pub region: RegionName,
    /// Its name.
    pub name: String,
}

impl LeaseKey {
    /// The parameter `name` of `region`.
    pub fn new(region: &RegionName, name: impl Into<String>) -> Self {
        Self {
            region: region.clone(),
            name: name.into(),
        }
    }
}

/// All leases of a run: its own, one in each region that it works in, and the tickets of its cells, whether they hold the
/// thing or wait for it.
#[derive(Default)]
pub struct Leases {
    kept: Mutex<BTreeMap<LeaseKey, Arc<Kept>>>,
    without: Mutex<BTreeSet<RegionName>>,
}

struct Kept {
    content: Content,
    /// Held while a renewal is on its way, so that nobody deletes what is about to be written again.
    renewing: futures::lock::Mutex<u64>,
    standing: Mutex<Standing>,
}

enum Standing {
    /// A ticket: others may pass it once it is too old.
    Ticket(Fence),
    /// A ticket that is too old, for ever.
    Lost(Lost),
    /// The run's own lease, which nobody else can want.
    Run,
}

/// What came of a renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// It is renewed.
    Renewed,
    /// It was lost just now.
    Lost(Lost),
    /// It is no longer kept: it was given back, or lost before.
    Over,
}

impl Leases {
    /// Keeps a ticket from now on; its fence says since when it counts.
    pub fn keep_ticket(&self, key: LeaseKey, fence: Fence, content: Content) {
        self.keep(key, Standing::Ticket(fence), content);
    }

    /// Keeps the run's own lease of a region from now on.
    pub fn keep_run(&self, key: LeaseKey, content: Content) {
        self.keep(key, Standing::Run, content);
    }

    fn keep(&self, key: LeaseKey, standing: Standing, content: Content) {
        let kept = Kept {
            content,
            renewing: futures::lock::Mutex::new(0),
            standing: Mutex::new(standing),
        };
        self.all().insert(key, Arc::new(kept));
    }

    /// Renews the lease `key` no more. When this comes back, no renewal of it is on its way.
    pub async fn let_go(&self, key: &LeaseKey) {
        let kept = self.all().remove(key);
        if let Some(kept) = kept {
            drop(kept.renewing.lock().await);
        }
    }

    /// The parameters of all leases that are kept.
    pub fn keys(&self) -> Vec<LeaseKey> {
        self.all().keys().cloned().collect()
    }

    /// Whether the ticket `key` is one's own at `now`. To be asked before the thing is used.
    pub fn check(&self, key: &LeaseKey, now: Timestamp) -> Result<(), Lost> {
        let kept = self.all().get(key).cloned();
        let Some(kept) = kept else {
            return Err(Lost::GivenBack);
        };
        kept.standing().check(now)
    }

    /// Renews the lease `name` of `region`: shows others that this process is alive. A ticket that is lost is never renewed again.
    ///
    /// # Errors
    /// If the service does not take it. It may be tried again.
    pub async fn renew(
        &self,
        name: &str,
        region: &dyn Region,
        clock: &dyn Clock,
    ) -> Result<Renewal, CloudError> {
        let key = LeaseKey::new(region.name(), name);
        let kept = self.all().get(&key).cloned();
        let Some(kept) = kept else {
            return Ok(Renewal::Over);
        };
        let mut count = kept.renewing.lock().await;
        if !self.all().contains_key(&key) || matches!(*kept.standing(), Standing::Lost(_)) {
            return Ok(Renewal::Over);
        }
        let begun = clock.now();
        if let Err(lost) = kept.standing().check(begun) {
            return Ok(Renewal::Lost(lost));
        }
        *count += 1;
        let value = (kept.content)(*count);
        let version = region
            .put_parameter(name, &value, ParameterWrite::Overwrite)
            .await?;
        let mut standing = kept.standing();
        if let Standing::Ticket(fence) = &mut *standing
            && let Err(lost) = fence.renewed(begun, clock.now(), version)
        {
            *standing = Standing::Lost(lost);
            return Ok(Renewal::Lost(lost));
        }
        Ok(Renewal::Renewed)
    }

    /// Notes that the run may not use SSM in `region`: it has no lease there.
    pub fn do_without(&self, region: &RegionName) {
        self.without().insert(region.clone());
    }

    /// Whether the run has no lease in `region`, which its tags there have to say.
    pub fn are_none(&self, region: &RegionName) -> bool {
        self.without().contains(region)
    }

    fn without(&self) -> MutexGuard<'_, BTreeSet<RegionName>> {
        self.without.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<LeaseKey, Arc<Kept>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Standing {
    /// Whether it is one's own at `now`; once it is not, it never is again, whatever the clock says.
    fn check(&mut self, now: Timestamp) -> Result<(), Lost> {
        match self {
            Self::Run => Ok(()),
            Self::Lost(lost) => Err(*lost),
            Self::Ticket(fence) => fence.check(now).inspect_err(|lost| {
                *self = Self::Lost(*lost);
            }),
        }
    }
}
