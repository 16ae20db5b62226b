//! The local EC2's own start and end, and what it forgets in between.

use super::Engine;
use super::actor::Command;
use crate::account::Account;
use crate::account::image::Progress;
use crate::account::instance::Instance;
use crate::account::lifecycle::InstanceState;
use crate::faults::Faults;
use crate::guest::StopKind;
use crate::ids::{InstanceId, LayerId};
use crate::instance_faults::ImageFaults;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

impl Engine {
    /// Brings the world into the state that the account is in, after a start.
    pub fn resume(self: &Arc<Self>) {
        let faults = self.faults.now().unwrap_or_default();
        let commands: Vec<(InstanceId, Command)> = {
            let account = self.account();
            self.refresh_network(&account, &faults);
            let instances = account.regions.values().flat_map(|r| r.instances.values());
            instances
                .filter_map(|i| Some((i.id.clone(), resumption(i.state)?)))
                .collect()
        };
        self.update(|account| self.complete_captures(account, &faults));
        self.resume_imports();
        for delay in self.coming_bindings() {
            self.bind_later(delay);
        }
        for (id, command) in commands {
            self.actors.send(self, &id, command);
        }
        let engine = self.clone();
        tokio::spawn(async move { engine.sweep_layers().await });
    }

    /// How long until each binding of an address is due that has no effect yet.
    fn coming_bindings(&self) -> Vec<Duration> {
        let now = self.clock.now();
        let account = self.account();
        let addresses = account.regions.values().flat_map(|r| r.addresses.values());
        addresses
            .filter_map(|a| a.coming.as_ref())
            .map(|c| Duration::try_from(c.due.duration_since(now)).unwrap_or_default())
            .collect()
    }

    /// Ends all guests; the account keeps them as they are, so that a later start boots them again.
    pub async fn power_cut(self: &Arc<Self>) {
        let (sender, mut ended) = mpsc::channel(1);
        for actor in self.actors.all() {
            // An actor that is gone has no guest.
            let _ = actor.send(Command::PowerCut(sender.clone()));
        }
        drop(sender);
        // Each actor holds a sender until its guest has ended.
        while ended.recv().await.is_some() {}
    }

    /// After a crash in the middle of a capture: the layer is there whole, because it was moved, or not at all.
    fn complete_captures(&self, account: &mut Account, faults: &Faults) {
        let capturing: Vec<(InstanceId, LayerId)> = account
            .regions
            .values()
            .flat_map(|r| {
                r.snapshots
                    .values()
                    .map(|s| &s.progress)
                    .chain(r.images.values().map(|i| &i.progress))
            })
            .filter_map(|p| {
                if let Progress::Capturing { instance, layer } = p {
                    Some((instance.clone(), layer.clone()))
                } else {
                    None
                }
            })
            .collect();
        for (instance, layer) in capturing {
            let outcome = match self.layer_dir(&layer).is_dir() {
                true => Ok(()),
                false => Err("the local EC2 was stopped before the disk was captured".to_owned()),
            };
            self.captured(account, faults, &instance, &layer, outcome);
        }
    }

    /// Writes down how a capture went.
    pub(super) fn captured(
        &self,
        account: &mut Account,
        faults: &Faults,
        instance: &InstanceId,
        layer: &LayerId,
        outcome: Result<(), String>,
    ) {
        let now = self.clock.now();
        let mut layers = Vec::new();
        let mut images = ImageFaults::default();
        if let Some(instance) = account.find_instance_mut(instance) {
            if outcome.is_ok() && !instance.layers.contains(layer) {
                instance.layers.insert(0, layer.clone());
            }
            layers.clone_from(&instance.layers);
            images = faults.instances.of(&*instance).images;
        }
        let making = images.making(now, self.timing.image);
        let finish = |progress: &mut Progress, then: &Progress| match progress {
            Progress::Capturing { layer: own, .. } if own == layer => {
                *progress = match &outcome {
                    Ok(()) => then.clone(),
                    Err(reason) => Progress::Failed {
                        reason: reason.clone(),
                    },
                };
                outcome.is_ok()
            }
            _ => false,
        };
        for region in account.regions.values_mut() {
            for snapshot in region.snapshots.values_mut() {
                if finish(&mut snapshot.progress, &making.snapshot) {
                    snapshot.layers.clone_from(&layers);
                }
            }
            for image in region.images.values_mut() {
                finish(&mut image.progress, &making.image);
            }
        }
    }

    /// Forgets terminated instances that have been shown long enough.
    pub fn forget_terminated(self: &Arc<Self>) {
        let now = self.clock.now();
        let due = |i: &Instance| {
            i.state == InstanceState::Terminated
                && now.duration_since(i.since).unsigned_abs() >= self.timing.terminated_shown
        };
        let any = self
            .account()
            .regions
            .values()
            .flat_map(|r| r.instances.values())
            .any(due);
        if any {
            self.update(|account| {
                for region in account.regions.values_mut() {
                    region.instances.retain(|_, i| !due(i));
                    let instances = &region.instances;
                    region
                        .spot_requests
                        .retain(|_, r| instances.contains_key(&r.instance));
                }
            });
            let engine = self.clone();
            tokio::spawn(async move { engine.sweep_layers().await });
        }
    }
}

/// What an instance's guest needs after the local EC2 itself was stopped.
fn resumption(state: InstanceState) -> Option<Command> {
    match state {
        InstanceState::Pending | InstanceState::Running => Some(Command::Boot),
        InstanceState::Stopping | InstanceState::ShuttingDown => {
            Some(Command::Halt(StopKind::Forced))
        }
        InstanceState::Stopped | InstanceState::Terminated => None,
    }
}
