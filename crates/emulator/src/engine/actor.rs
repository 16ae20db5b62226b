//! One task for each instance: carries out what the account decided, in order, and tells the account how it went.

use super::Engine;
use crate::account::Account;
use crate::account::instance::{ShutdownBehavior, StateReason};
use crate::account::lifecycle::{InstanceState, LifeEvent};
use crate::guest::{GuestExit, GuestSpec, StopKind};
use crate::ids::{InstanceId, LayerId};
use crate::runtime::{Guest, RuntimeError, StartedGuest, Unplugged};
use crate::{imds, server};
use jiff::Timestamp;
use std::collections::HashMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// What an instance's task is told.
#[derive(Clone, Debug)]
pub(super) enum Command {
    /// Start the guest.
    Boot,
    /// End the guest.
    Halt(StopKind),
    /// End the guest that was slow to shut down, if it is still the shutdown that began then.
    HaltSlow(Timestamp),
    /// End the guest and start it again.
    Reboot,
    /// Freeze the disk.
    Capture(LayerId),
    /// End the guest without the account hearing of it: the local EC2 itself ends.
    PowerCut(mpsc::Sender<()>),
}

/// The tasks.
#[derive(Default)]
pub(super) struct Actors(Mutex<HashMap<InstanceId, mpsc::UnboundedSender<Command>>>);

impl Actors {
    /// Tells an instance's task; starts the task if there is none.
    pub(super) fn send(&self, engine: &Arc<Engine>, id: &InstanceId, command: Command) {
        let mut actors = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let undelivered = match actors.get(id) {
            Some(actor) => actor.send(command).err().map(|e| e.0),
            None => Some(command),
        };
        if let Some(command) = undelivered {
            let (sender, receiver) = mpsc::unbounded_channel();
            let actor = Actor {
                engine: engine.clone(),
                id: id.clone(),
                live: None,
            };
            // The receiver is alive: it is handed to the task below.
            let _ = sender.send(command);
            actors.insert(id.clone(), sender);
            tokio::spawn(actor.run(receiver));
        }
    }

    /// The ways to all tasks.
    pub(super) fn all(&self) -> Vec<mpsc::UnboundedSender<Command>> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect()
    }

    fn forget(&self, id: &InstanceId) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(id);
    }
}

struct Actor {
    engine: Arc<Engine>,
    id: InstanceId,
    live: Option<Live>,
}

/// A guest and the services that are served to it.
struct Live {
    guest: Arc<dyn Guest>,
    exited: watch::Receiver<Option<GuestExit>>,
    services: Vec<JoinHandle<()>>,
}

impl Drop for Live {
    fn drop(&mut self) {
        for service in &self.services {
            service.abort();
        }
    }
}

impl Actor {
    async fn run(mut self, mut commands: mpsc::UnboundedReceiver<Command>) {
        loop {
            let command = tokio::select! {
                biased;
                command = commands.recv() => command,
                exit = exit_of(&mut self.live) => {
                    self.ended(exit).await;
                    continue;
                }
            };
            match command {
                None => return,
                Some(Command::Boot) => self.boot().await,
                Some(Command::Halt(kind)) => {
                    if !self.lingers(kind) {
                        self.halt(kind).await;
                    }
                }
                Some(Command::HaltSlow(since)) => {
                    if self.shutting_since() == Some(since) {
                        self.halt(StopKind::Forced).await;
                    }
                }
                Some(Command::Reboot) => self.reboot().await,
                Some(Command::Capture(layer)) => self.capture(layer).await,
                Some(Command::PowerCut(done)) => {
                    self.end_guest(StopKind::Graceful).await;
                    drop(done);
                    return;
                }
            }
            if self.state() == Some(InstanceState::Terminated) {
                // What is still in the queue is about a terminated instance.
                self.engine.actors.forget(&self.id);
                return;
            }
        }
    }

    fn state(&self) -> Option<InstanceState> {
        self.engine
            .account()
            .find_instance(&self.id)
            .map(|(_, i)| i.state)
    }

    /// Applies an event of the guest's own. An event that the state no longer allows was overtaken by a request.
    fn turn(&self, event: LifeEvent, reason: Option<StateReason>) -> Option<InstanceState> {
        let now = self.engine.clock.now();
        self.engine.update(|account| {
            let instance = account.find_instance_mut(&self.id)?;
            let next = instance.state.after(event).ok()?;
            if next != instance.state {
                instance.state = next;
                instance.since = now;
            }
            if let Some(reason) = reason {
                instance.transition_reason.clone_from(&reason.message);
                instance.state_reason = Some(reason);
            }
            if next == InstanceState::Stopped {
                // https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-instance-addressing.html: "we release your
                // instance's public IP address when it is stopped"; an Elastic IP stays.
                instance.interface.public_ip = None;
                instance.interruption = None;
            }
            if next.is_over() {
                release(account, &self.id);
            }
            Some(next)
        })
    }

    async fn boot(&mut self) {
        let begun = self.engine.clock.instant();
        let state = self.state();
        if self.live.is_some()
            || !matches!(state, Some(InstanceState::Pending | InstanceState::Running))
        {
            return;
        }
        let faults = self.engine.faults_of(&self.id);
        if faults.never_runs && state == Some(InstanceState::Pending) {
            self.console("(fault: instance_never_runs)");
            tokio::time::sleep_until(begun + self.engine.timing.pending).await;
            let why = RuntimeError("fault: instance_never_runs".to_owned());
            self.launch_failed(&why).await;
            return;
        }
        let doom = self
            .engine
            .account()
            .find_instance(&self.id)
            .and_then(|(_, i)| i.doom.clone());
        if let Some(doom) = doom.filter(|_| state == Some(InstanceState::Pending)) {
            tokio::time::sleep_until(begun + self.engine.timing.pending).await;
            self.turn(LifeEvent::Terminate, Some(doom));
            self.halt(StopKind::Forced).await;
            return;
        }
        if faults.never_boots {
            self.console("(fault: instance_never_boots)");
        } else if let Err(e) = self.start_guest(faults.without_network).await {
            self.console(&format!("The local EC2 could not start this instance: {e}"));
            tracing::error!("cannot start {}: {e}", self.id);
            self.launch_failed(&e).await;
            return;
        }
        if state == Some(InstanceState::Pending) {
            tokio::time::sleep_until(begun + self.engine.timing.pending).await;
            if self.turn(LifeEvent::Booted, None).is_some() {
                super::interruption::arm(&self.engine, &self.id, &faults);
            }
        }
    }

    /// A launch that fails ends in `terminated`, a start that fails in `stopped`, see
    /// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/troubleshooting-launch.html>.
    async fn launch_failed(&mut self, why: &RuntimeError) {
        let first = self
            .engine
            .account()
            .find_instance(&self.id)
            .is_some_and(|(_, i)| i.created == i.launched);
        let event = if first {
            LifeEvent::Terminate
        } else {
            LifeEvent::Stop
        };
        self.turn(event, Some(StateReason::internal(&why.0)));
        self.halt(StopKind::Forced).await;
    }

    async fn start_guest(&mut self, without_network: bool) -> Result<(), RuntimeError> {
        let spec = self
            .spec()
            .ok_or_else(|| RuntimeError("the instance is gone".to_owned()))?;
        crate::files::make_dir(&spec.instance_dir, 0o711).map_err(|e| {
            RuntimeError(format!("cannot make {}: {e}", spec.instance_dir.display()))
        })?;
        let imported = self.unpack().await?;
        let StartedGuest {
            imds,
            endpoint,
            guest,
        } = self.engine.runtime.start(spec).await?;
        // The console begins anew with the guest.
        for line in imported {
            self.console(&line);
        }
        let (guest, services): (Arc<dyn Guest>, _) = match without_network {
            true => {
                let _unanswered = [imds, endpoint];
                (Arc::new(Unplugged { guest, _unanswered }), Vec::new())
            }
            false => {
                let services = vec![
                    imds::serve(imds, self.engine.clone(), self.id.clone())?,
                    server::serve_guest(endpoint, self.engine.clone())?,
                ];
                (guest, services)
            }
        };
        if without_network {
            self.console("(fault: instance_boots_without_network)");
        }
        self.live = Some(Live {
            exited: guest.exited(),
            guest: guest.clone(),
            services,
        });
        self.engine.set_guest(&self.id, Some(guest));
        Ok(())
    }

    /// Makes the layer of a disk that was written by blocks, unless it is there. What is to be said of it on the console.
    async fn unpack(&self) -> Result<Vec<String>, RuntimeError> {
        let disk = {
            let account = self.engine.account();
            account
                .find_instance(&self.id)
                .and_then(|(_, i)| i.imported.clone())
        };
        let Some(disk) = disk else {
            return Ok(Vec::new());
        };
        let mut said = vec![
            "This image was imported: its files lie over the local EC2's base system, and its kernel and boot loader are not run."
                .to_owned(),
        ];
        let engine = self.engine.clone();
        let parts = self.engine.instance_dir(&self.id).join("unpacking");
        let layer = self.engine.layer_dir(&disk.layer);
        if !layer.is_dir() {
            let made = parts.clone();
            let unpacked = tokio::task::spawn_blocking(move || {
                // Left behind by a local EC2 that was killed.
                engine.runtime.remove_layer(&made)?;
                let volume = disk.volume(&engine.blocks);
                let volume = volume.map_err(|e| RuntimeError(e.to_string()))?;
                let base = engine.dir.join("base");
                engine.runtime.unpack(&volume, &base, &made)
            });
            let unpacked = unpacked.await.map_err(|e| RuntimeError(e.to_string()))?;
            let unpacked = match unpacked {
                Ok(unpacked) => unpacked,
                Err(why) => {
                    self.engine.runtime.remove_layer(&parts)?;
                    return Err(why);
                }
            };
            said.push(format!("Imported image: {unpacked}"));
            let _held = self.engine.layers.lock().await;
            match layer.is_dir() {
                // Another instance of the image was quicker.
                true => self.engine.runtime.remove_layer(&parts)?,
                false if parts.is_dir() => std::fs::rename(&parts, &layer)
                    .map_err(|e| RuntimeError(format!("cannot keep the image's layer: {e}")))?,
                false => {}
            }
        }
        Ok(said)
    }

    fn spec(&self) -> Option<GuestSpec> {
        let account = self.engine.account();
        let (region, instance) = account.find_instance(&self.id)?;
        Some(GuestSpec {
            instance_id: self.id.to_string(),
            instance_dir: self.engine.instance_dir(&self.id),
            base_layer: self.engine.dir.join("base"),
            image_layers: instance
                .layers
                .iter()
                .map(|l| self.engine.layer_dir(l))
                .collect::<Vec<PathBuf>>(),
            hostname: instance
                .private_dns(&region.name)
                .split('.')
                .next()
                .unwrap_or_default()
                .to_owned(),
            default_user: instance.default_user.clone(),
            private_ip: instance.interface.private_ip,
            ipv6: instance.interface.ipv6.clone(),
            endpoint: self.engine.served.endpoint,
            agent: instance.agent,
        })
    }

    /// Whether the guest goes on running for now although it is to shut down, because a fault asks for that.
    fn lingers(&self, kind: StopKind) -> bool {
        let faults = self.engine.faults_of(&self.id);
        let stopping = match (self.state(), kind) {
            (Some(InstanceState::Stopping), StopKind::Graceful) => true,
            (Some(InstanceState::ShuttingDown), _) => false,
            _ => return false,
        };
        if stopping && faults.never_stops {
            self.console("(fault: instance_never_stops)");
            return true;
        }
        let (Some(takes), Some(since)) = (faults.shutdown_takes, self.shutting_since()) else {
            return false;
        };
        let (engine, id) = (self.engine.clone(), self.id.clone());
        tokio::spawn(async move {
            tokio::time::sleep(takes).await;
            engine.actors.send(&engine, &id, Command::HaltSlow(since));
        });
        true
    }

    /// Since when the instance has been shutting down, for a stop or for good.
    fn shutting_since(&self) -> Option<Timestamp> {
        let account = self.engine.account();
        let (_, instance) = account.find_instance(&self.id)?;
        matches!(
            instance.state,
            InstanceState::Stopping | InstanceState::ShuttingDown
        )
        .then_some(instance.since)
    }

    async fn end_guest(&mut self, kind: StopKind) {
        self.engine.set_guest(&self.id, None);
        let Some(live) = self.live.take() else { return };
        let mut outcome = live.guest.stop(kind).await;
        if outcome.is_err() && kind == StopKind::Graceful {
            outcome = live.guest.stop(StopKind::Forced).await;
        }
        if let Err(e) = outcome {
            tracing::error!("cannot end the guest of {}: {e}", self.id);
        }
    }

    async fn halt(&mut self, kind: StopKind) {
        let begun = self.engine.clock.instant();
        self.end_guest(kind).await;
        let least = match self.state() {
            Some(InstanceState::Stopping) => self.engine.timing.stopping,
            Some(InstanceState::ShuttingDown) => self.engine.timing.shutting_down,
            _ => Duration::ZERO,
        };
        tokio::time::sleep_until(begun + least).await;
        self.turn(LifeEvent::Halted, None);
        if self.state() == Some(InstanceState::Terminated) {
            self.throw_away().await;
        }
    }

    /// Removes what a terminated instance leaves: its volumes that go with it, and its layer. The console stays.
    async fn throw_away(&self) {
        self.engine.update(|account| {
            for region in account.regions.values_mut() {
                let Some(instance) = region.instances.get_mut(&self.id) else {
                    continue;
                };
                for attached in std::mem::take(&mut instance.volumes) {
                    if attached.delete_on_termination {
                        region.volumes.remove(&attached.volume);
                    } else if let Some(volume) = region.volumes.get_mut(&attached.volume) {
                        volume.attached_to = None;
                    }
                }
            }
        });
        let dir = self.engine.instance_dir(&self.id);
        let console = self.engine.console_tail(&self.id).unwrap_or_default();
        let engine = self.engine.clone();
        let removed = tokio::task::spawn_blocking(move || -> Result<(), String> {
            engine
                .runtime
                .remove_layer(&dir)
                .map_err(|e| e.to_string())?;
            crate::files::make_dir(&dir, 0o711).map_err(|e| e.to_string())?;
            std::fs::write(dir.join("console.log"), console).map_err(|e| e.to_string())
        });
        match removed.await {
            Ok(Ok(())) => {}
            Ok(Err(e)) => tracing::warn!("cannot remove the disk of {}: {e}", self.id),
            Err(e) => tracing::warn!("removing the disk of {} failed: {e}", self.id),
        }
        self.engine.sweep_layers().await;
    }

    async fn reboot(&mut self) {
        if self.live.is_some() {
            self.end_guest(StopKind::Graceful).await;
            self.boot().await;
        }
    }

    async fn capture(&mut self, layer: LayerId) {
        let was_running = self.live.is_some();
        self.end_guest(StopKind::Graceful).await;
        let faults = self.engine.faults.now().unwrap_or_default();
        let engine = self.engine.clone();
        {
            let _held = engine.layers.lock().await;
            let outcome = match self.engine.faults_of(&self.id).images.capture_fails {
                true => Err("fault: image_creation_fails".to_owned()),
                false => self.freeze(&layer).await,
            };
            if let Err(e) = &outcome {
                tracing::error!("cannot capture the disk of {}: {e}", self.id);
            }
            engine.update(|account| engine.captured(account, &faults, &self.id, &layer, outcome));
        }
        if was_running {
            self.boot().await;
        }
    }

    async fn freeze(&self, layer: &LayerId) -> Result<(), String> {
        let (engine, from, to) = (
            self.engine.clone(),
            self.engine.instance_dir(&self.id),
            self.engine.layer_dir(layer),
        );
        let frozen = tokio::task::spawn_blocking(move || engine.runtime.freeze(&from, &to)).await;
        frozen
            .map_err(|e| e.to_string())?
            .map_err(|e| e.to_string())
    }

    /// The guest ended on its own.
    async fn ended(&mut self, exit: GuestExit) {
        self.engine.set_guest(&self.id, None);
        self.live = None;
        match exit {
            GuestExit::RebootFromInside => self.boot().await,
            GuestExit::ShutDownFromInside => {
                let behavior = self
                    .engine
                    .account()
                    .find_instance(&self.id)
                    .map(|(_, i)| i.shutdown_behavior);
                let event = match behavior {
                    Some(ShutdownBehavior::Terminate) => LifeEvent::Terminate,
                    _ => LifeEvent::Stop,
                };
                self.turn(event, Some(StateReason::from_inside()));
                self.halt(StopKind::Forced).await;
            }
            // As after a kernel panic: the instance counts as running and answers nobody.
            GuestExit::Crashed { reason } => {
                tracing::error!("the guest of {} crashed: {reason}", self.id);
                self.console(&format!("The guest crashed: {reason}"));
            }
            GuestExit::Stopped => {}
        }
        if self.state() == Some(InstanceState::Terminated) {
            self.engine.actors.forget(&self.id);
        }
    }

    /// Adds a line to the console.
    fn console(&self, line: &str) {
        let dir = self.engine.instance_dir(&self.id);
        let written = crate::files::make_dir(&dir, 0o711)
            .and_then(|()| crate::files::append(&dir.join("console.log")))
            .and_then(|mut file| writeln!(file, "{line}"));
        if let Err(e) = written {
            tracing::warn!("cannot write the console of {}: {e}", self.id);
        }
    }
}

/// Lets go of the addresses of an instance that is over.
pub(super) fn release(account: &mut Account, id: &InstanceId) {
    for region in account.regions.values_mut() {
        for address in region.addresses.values_mut() {
            address.let_go_of(id);
        }
        if let Some(instance) = region.instances.get_mut(id) {
            instance.interface.public_ip = None;
        }
    }
}

/// Waits until the guest ends; forever if there is none.
async fn exit_of(live: &mut Option<Live>) -> GuestExit {
    let Some(live) = live else {
        return std::future::pending().await;
    };
    match live.exited.wait_for(Option::is_some).await {
        Ok(exit) => exit.clone().unwrap_or(GuestExit::Stopped),
        Err(_) => GuestExit::Crashed {
            reason: "nobody watches it any more".to_owned(),
        },
    }
}
