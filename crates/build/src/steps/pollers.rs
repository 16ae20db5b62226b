//! What all cells of a region share while they wait: one describe call per kind and tick, however many wait.

use crate::names::{CellName, RunId, tag};
use cloud::wait::{ImagePoller, InstancePoller, image_poller, instance_poller};
use cloud::{Clock, CloudError, Region, RegionName, Snapshot, Timestamp};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long a look at the snapshots is good for all who ask.
pub(super) const PROGRESS_EVERY: Duration = Duration::from_secs(5);

/// The pollers of all regions that a run works in.
pub struct Pollers {
    clock: Arc<dyn Clock>,
    regions: Mutex<BTreeMap<RegionName, Arc<RegionPollers>>>,
}

/// The pollers of one region.
pub struct RegionPollers {
    /// Waits on instances.
    pub instances: InstancePoller,
    /// Waits on images.
    pub images: ImagePoller,
    /// How far the run's snapshots are.
    pub snapshots: SnapshotWatch,
}

impl Pollers {
    /// Pollers that sleep with `clock`.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            regions: Mutex::default(),
        }
    }

    /// Those of `region`.
    pub fn of(&self, region: &Arc<dyn Region>) -> Arc<RegionPollers> {
        let mut regions = self.regions.lock().unwrap_or_else(PoisonError::into_inner);
        let made = regions.entry(region.name().clone()).or_insert_with(|| {
            Arc::new(RegionPollers {
                instances: instance_poller(region.clone(), self.clock.clone()),
                images: image_poller(region.clone(), self.clock.clone()),
                snapshots: SnapshotWatch {
                    region: region.clone(),
                    clock: self.clock.clone(),
                    latest: futures::lock::Mutex::default(),
                },
            })
        });
        made.clone()
    }
}

/// Looks at the snapshots of a run in one region, for all of its cells at once.
pub struct SnapshotWatch {
    region: Arc<dyn Region>,
    clock: Arc<dyn Clock>,
    latest: futures::lock::Mutex<Option<(Timestamp, Vec<Snapshot>)>>,
}

impl SnapshotWatch {
    /// How far the snapshots of `cell` are together, 0 to 100: each counts by the size of its volume. None if there are
    /// none yet.
    ///
    /// # Errors
    /// If the look that was due failed.
    pub async fn percent(&self, run: &RunId, cell: &CellName) -> Result<Option<u8>, CloudError> {
        // Held during the call: who asks meanwhile gets the same answer.
        let mut latest = self.latest.lock().await;
        let now = self.clock.now();
        let is_fresh = latest
            .as_ref()
            .is_some_and(|(at, _)| cloud::clock::between(*at, now) < PROGRESS_EVERY);
        if !is_fresh {
            let of_run = vec![(format!("tag:{}", tag::RUN), vec![run.to_string()])];
            let found = self.region.snapshots(&of_run).await?;
            *latest = Some((self.clock.now(), found));
        }
        let all = latest.as_ref().map(|(_, all)| all.as_slice());
        Ok(together(all.unwrap_or_default().iter().filter(
            |snapshot| {
                snapshot.tags.get(tag::STAGE) == Some(&cell.stage)
                    && snapshot.tags.get(tag::CELL) == Some(&cell.cell)
            },
        )))
    }
}

fn together<'s>(snapshots: impl Iterator<Item = &'s Snapshot>) -> Option<u8> {
    let (mut done, mut all) = (0_u64, 0_u64);
    for snapshot in snapshots {
        // Of a snapshot whose size is not told yet, one GiB.
        let size = u64::from(snapshot.volume_gib.max(1));
        done += size * u64::from(snapshot.progress_percent.min(100));
        all += size;
    }
    u8::try_from(done.checked_div(all)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloud::{SnapshotState, Tags};

    fn snapshot(gib: u32, percent: u8) -> Snapshot {
        Snapshot {
            snapshot_id: "snap-1".into(),
            state: SnapshotState::Pending,
            progress_percent: percent,
            description: String::new(),
            volume_gib: gib,
            kms_key_id: None,
            started: None,
            tags: Tags::new(),
        }
    }

    #[test]
    fn a_large_volume_counts_for_more_than_a_small_one() {
        assert_eq!(together([].iter()), None);
        assert_eq!(
            together([snapshot(90, 0), snapshot(10, 100)].iter()),
            Some(10)
        );
        assert_eq!(together([snapshot(0, 50)].iter()), Some(50));
        assert_eq!(together([snapshot(8, 100)].iter()), Some(100));
    }
}
