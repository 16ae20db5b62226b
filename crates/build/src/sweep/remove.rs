//! Removing one run's things in one region, in the order in which EC2 lets them go.

use super::Sweep;
use super::carry_out::{SweepProgress, SweepWatch};
use super::rule::{Finding, Thing};
use crate::names::{RunId, tag};
use crate::undo::{cancel_task, delete_profile, delete_role, retried_within, terminate};
use cloud::wait::{InstancePoller, Verdict, deadline, instance_poller};
use cloud::*;
use futures::future::join_all;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;

/// How long an instance may take to be terminated. EC2 mostly takes one minute or two.
const TERMINATED_WITHIN: Duration = Duration::from_secs(10 * 60);
/// How long everything else may resist: what depended on an instance is free soon after that is terminated.
const FREE_WITHIN: Duration = Duration::from_secs(3 * 60);
/// How many calls are under way at once. EC2 refills most buckets for calls that change something at five a second.
/// <https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html>
const CALLS_AT_ONCE: usize = 8;

/// What became of something that was to be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Handled {
    /// It is gone.
    Gone,
    /// It turned out that it may not go.
    Stays(String),
    /// It could not be removed.
    Resisted(String),
}

/// Removes things, and remembers what became of them.
pub(super) struct Remover<'a> {
    sweep: &'a Sweep,
    watch: &'a dyn SweepWatch,
    pollers: BTreeMap<RegionName, InstancePoller>,
    calls: Semaphore,
    handled: Mutex<BTreeMap<(RegionName, Thing), (Handled, String)>>,
}

/// Things of one fate.
#[derive(Clone, Debug, Default)]
pub(super) struct Things {
    ids: BTreeSet<Thing>,
    /// The names of those that have one, by kind: a journal may know no more than that.
    names: BTreeSet<(&'static str, String)>,
}

impl Things {
    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Whether this one is among them.
    pub(super) fn has(&self, thing: &Thing) -> bool {
        self.ids.contains(thing)
    }

    /// Whether one of this kind and name is among them.
    pub(super) fn has_named(&self, kind: &'static str, name: &str) -> bool {
        self.names.contains(&(kind, name.to_owned()))
    }
}

fn place(bucket: &str, key: &str) -> ObjectPlace {
    ObjectPlace {
        bucket: bucket.to_owned(),
        key: key.to_owned(),
    }
}

impl<'a> Remover<'a> {
    pub(super) fn new(sweep: &'a Sweep, watch: &'a dyn SweepWatch) -> Self {
        let poller = |name: &RegionName| {
            let region = sweep.account.region(name);
            (name.clone(), instance_poller(region, sweep.clock.clone()))
        };
        Self {
            sweep,
            watch,
            pollers: sweep.regions.iter().map(poller).collect(),
            calls: Semaphore::new(CALLS_AT_ONCE),
            handled: Mutex::default(),
        }
    }

    /// Removes `findings`: runs and regions beside each other, each one's things in order.
    pub(super) async fn remove_all(&self, findings: Vec<Finding>) {
        let mut groups: BTreeMap<(RunId, RegionName), Vec<Finding>> = BTreeMap::new();
        for finding in findings {
            let key = (finding.origin.run.clone(), finding.region.clone());
            groups.entry(key).or_default().push(finding);
        }
        let groups = groups.into_iter();
        join_all(groups.map(|((_, region), findings)| self.remove_in_order(region, findings)))
            .await;
    }

    async fn remove_in_order(&self, region: RegionName, mut findings: Vec<Finding>) {
        let region = self.sweep.account.region(&region);
        findings.sort_by(|a, b| a.thing.cmp(&b.thing));
        let mut patience = FREE_WITHIN;
        let mut an_image_stays = false;
        for kind in findings.chunk_by(|a, b| a.thing.kind() == b.thing.kind()) {
            if an_image_stays
                && matches!(
                    kind,
                    [
                        Finding {
                            thing: Thing::Snapshot(_) | Thing::ImportedSnapshot { .. },
                            ..
                        },
                        ..
                    ]
                )
            {
                // Which of them are its own, the next look tells.
                continue;
            }
            let removals = kind
                .iter()
                .map(|finding| self.remove(region.as_ref(), finding, patience));
            for (finding, handled) in kind.iter().zip(join_all(removals).await) {
                match (&finding.thing, handled) {
                    // What hangs on the instance is not free before it is.
                    (Thing::Instance(_), Handled::Resisted(_)) => patience = Duration::ZERO,
                    (Thing::Image(_), Handled::Stays(_)) => an_image_stays = true,
                    _ => {}
                }
            }
        }
    }

    /// Removes one thing.
    async fn remove(&self, region: &dyn Region, finding: &Finding, patience: Duration) -> Handled {
        self.watch.progress(&SweepProgress::Removing(finding));
        let handled = match self.try_to(region, &finding.thing, patience).await {
            Ok(handled) => handled,
            Err(reason) => Handled::Resisted(reason),
        };
        self.note(finding, handled.clone());
        handled
    }

    async fn try_to(
        &self,
        region: &dyn Region,
        thing: &Thing,
        patience: Duration,
    ) -> Result<Handled, String> {
        let clock = self.sweep.clock.as_ref();
        let removed = match thing {
            Thing::AddressBinding { association, .. } => {
                retried_within(clock, patience, || {
                    self.one_of_few(region.disassociate_address(association))
                })
                .await
            }
            Thing::Instance(id) => {
                retried_within(clock, TERMINATED_WITHIN, || {
                    self.one_of_few(terminate(region, id))
                })
                .await
                .map_err(|error| error.to_string())?;
                return self.wait_until_terminated(region, id).await;
            }
            Thing::ImportTask(id) => {
                retried_within(clock, patience, || self.one_of_few(cancel_task(region, id))).await
            }
            Thing::Upload {
                bucket,
                key,
                upload,
                ..
            } => {
                let (place, upload) = (place(bucket, key), UploadId(upload.clone()));
                let objects = region.objects();
                retried_within(clock, patience, || {
                    self.one_of_few(objects.abort_upload(&place, &upload))
                })
                .await
            }
            Thing::Object { bucket, key, .. } => {
                let place = place(bucket, key);
                let objects = region.objects();
                retried_within(clock, patience, || self.one_of_few(objects.delete(&place))).await
            }
            Thing::Image(id) => {
                if self.is_complete_by_now(region, id).await? {
                    return Ok(Handled::Stays(String::from("it has become complete")));
                }
                retried_within(clock, patience, || {
                    self.one_of_few(region.deregister_image(id))
                })
                .await
            }
            Thing::Snapshot(id) => {
                retried_within(clock, patience, || {
                    self.one_of_few(region.delete_snapshot(id))
                })
                .await
            }
            Thing::ImportedSnapshot { id, run } => {
                // Whoever may remove only what runs have made could not delete it as it is.
                let tags = Tags::new().with(tag::RUN, run.as_str());
                retried_within(clock, patience, || async {
                    let resources = [id.to_string()];
                    self.one_of_few(region.create_tags(&resources, &tags))
                        .await?;
                    self.one_of_few(region.delete_snapshot(id)).await
                })
                .await
            }
            Thing::Volume(id) => {
                retried_within(clock, patience, || {
                    self.one_of_few(region.delete_volume(id))
                })
                .await
            }
            Thing::KeyPair(id) => {
                retried_within(clock, patience, || {
                    self.one_of_few(region.delete_key_pair(id))
                })
                .await
            }
            Thing::SecurityGroup(id) => {
                retried_within(clock, patience, || {
                    self.one_of_few(region.delete_security_group(id))
                })
                .await
            }
            Thing::InstanceProfile(name) => {
                let iam = self.sweep.account.iam();
                retried_within(clock, patience, || {
                    self.one_of_few(delete_profile(iam.as_ref(), name))
                })
                .await
            }
            Thing::Role(name) => {
                let iam = self.sweep.account.iam();
                retried_within(clock, patience, || {
                    self.one_of_few(delete_role(iam.as_ref(), name))
                })
                .await
            }
            Thing::Ticket(name) | Thing::RunLease(name) => {
                retried_within(clock, patience, || {
                    self.one_of_few(region.delete_parameter(name))
                })
                .await
            }
            // Settled apart, when all else is gone.
            Thing::Journal(_) => Ok(()),
        };
        removed
            .map(|()| Handled::Gone)
            .map_err(|error| error.to_string())
    }

    async fn wait_until_terminated(
        &self,
        region: &dyn Region,
        id: &InstanceId,
    ) -> Result<Handled, String> {
        let Some(poller) = self.pollers.get(region.name()) else {
            return Err(format!("{} is not one of the swept regions", region.name()));
        };
        let until = deadline(self.sweep.clock.as_ref(), TERMINATED_WITHIN);
        let waited = poller.wait(id, until, |seen| match seen {
            // EC2 shows a terminated instance for about an hour.
            None => Verdict::Done(Handled::Gone),
            Some(instance) if instance.state == InstanceState::Terminated => {
                Verdict::Done(Handled::Gone)
            }
            Some(_) => Verdict::<_, std::convert::Infallible>::Wait,
        });
        waited.await.map_err(|error| {
            format!("it was told to terminate, and whether it has is not known: {error}")
        })
    }

    /// Whether an image has become complete since it was looked at: the run's own process may be gone, and the next run
    /// have found its image and finished it.
    async fn is_complete_by_now(&self, region: &dyn Region, id: &ImageId) -> Result<bool, String> {
        let filter = ImageFilter {
            image_ids: vec![id.clone()],
            ..ImageFilter::default()
        };
        let images = self.one_of_few(region.images(&filter)).await;
        let images = images.map_err(|error| error.to_string())?;
        Ok(images
            .iter()
            .any(|image| image.tags.get(tag::COMPLETE).is_some()))
    }

    async fn one_of_few<T>(&self, call: impl Future<Output = T>) -> T {
        // The semaphore is never closed, so there is always a permit to wait for.
        let _permit = self.calls.acquire().await;
        call.await
    }

    /// Remembers what became of `finding`, and tells it.
    pub(super) fn note(&self, finding: &Finding, handled: Handled) {
        self.watch.progress(&match &handled {
            Handled::Gone => SweepProgress::Removed(finding),
            Handled::Stays(reason) | Handled::Resisted(reason) => {
                SweepProgress::NotRemoved(finding, reason)
            }
        });
        self.lock().insert(
            (finding.region.clone(), finding.thing.clone()),
            (handled, finding.name.clone()),
        );
    }

    /// What became of `finding`; none if it was not come to.
    pub(super) fn handled(&self, finding: &Finding) -> Option<Handled> {
        self.lock()
            .get(&(finding.region.clone(), finding.thing.clone()))
            .map(|(handled, _)| handled.clone())
    }

    /// Everything whose fate is `wanted`.
    pub(super) fn all(&self, wanted: impl Fn(&Handled) -> bool) -> Things {
        let mut things = Things::default();
        for ((_, thing), (handled, name)) in self.lock().iter() {
            if wanted(handled) {
                things.ids.insert(thing.clone());
                things.names.insert((thing.kind(), name.clone()));
            }
        }
        things
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(RegionName, Thing), (Handled, String)>> {
        // Nothing that can panic happens while it is held.
        self.handled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
