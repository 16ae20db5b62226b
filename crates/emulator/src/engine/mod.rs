//! The local EC2 at work: requests change the account, the world follows it.
//!
//! ```text
//!  request ─► admit (signature, throttle) ─► faults ─► action on the account ─► write down ─► settle (log) ─► answer
//!                                                                                      │
//!                                                     effects ─► one actor per instance ─► guest
//!                                                                                      └─► network (public addresses)
//! ```

mod actor;
pub mod address_log;
mod authenticate;
mod blocks;
mod history;
mod import;
mod interruption;
mod layers;
mod lifetime;
mod request;
pub mod request_log;
pub mod s3;
mod settings;
mod store;
mod throttle;

pub use settings::Setting;
pub use store::{Store, StoreError};

use crate::account::Account;
use crate::api::sigv4::hmac;
use crate::api::{Effect, ec2};
use crate::blocks::BlockStore;
use crate::catalogue::Catalogue;
use crate::clock::Clock;
use crate::config::{EmulatorConfig, Timing};
use crate::faults::{FaultFile, Faults};
use crate::ids::{InstanceId, LayerId};
use crate::instance_faults::FaultsOf;
use crate::network::{Barrier, Doors, PublicNetwork};
use crate::runtime::{Guest, GuestRuntime};
use crate::storage::Storage;
use actor::Actors;
use address_log::{AddressLog, Bindings, bindings};
use history::History;
use request_log::RequestLog;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use throttle::Buckets;
use tokio::sync::watch;
use tokio::time::Instant;

/// A local EC2 cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its state cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file of its folder cannot be opened.
    #[error("cannot use {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Where a local EC2 is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Served {
    /// The API.
    pub endpoint: SocketAddr,
    /// Guests' SSH servers, on their public addresses.
    pub ssh_port: u16,
}

/// What a local EC2 is set in, besides its folder.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings {
    /// What time it is.
    pub clock: Clock,
    /// How its guests' public addresses are served.
    pub doors: Doors,
    /// Where the account is remembered.
    pub memory: Memory,
}

/// Where a local EC2 remembers its account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// In its folder's state file, written after every change.
    OnDisk,
    /// In the process alone: it ends with it.
    OfTheProcess,
}

/// A local EC2.
pub struct Engine {
    dir: PathBuf,
    clock: Clock,
    config: EmulatorConfig,
    timing: Timing,
    served: Served,
    runtime: Arc<dyn GuestRuntime>,
    catalogue: Catalogue,
    store: Store,
    account: Mutex<Account>,
    actors: Actors,
    guests: Mutex<HashMap<InstanceId, Arc<dyn Guest>>>,
    network: PublicNetwork,
    faults: Arc<FaultFile>,
    buckets: Buckets,
    blocks: BlockStore,
    storage: Storage,
    log: RequestLog,
    address_log: AddressLog,
    history: History,
    /// Held while layers are moved or removed.
    layers: tokio::sync::Mutex<()>,
    activity: watch::Sender<Instant>,
}

impl Engine {
    /// A local EC2 over its folder. `account` is what [`Store::load`] gave, with its ports filled in.
    ///
    /// # Errors
    /// If its files cannot be opened.
    pub fn new(
        dir: &Path,
        config: &EmulatorConfig,
        runtime: Arc<dyn GuestRuntime>,
        account: Account,
        served: Served,
    ) -> Result<Arc<Self>, StartError> {
        let surroundings = Surroundings {
            clock: Clock::System,
            doors: Doors::Open(Barrier::of_this_host()),
            memory: Memory::OnDisk,
        };
        Self::within(surroundings, dir, config, runtime, account, served)
    }

    /// The same in other surroundings than a daemon's, such as a simulation's.
    ///
    /// # Errors
    /// If its files cannot be opened.
    pub fn within(
        surroundings: Surroundings,
        dir: &Path,
        config: &EmulatorConfig,
        runtime: Arc<dyn GuestRuntime>,
        account: Account,
        served: Served,
    ) -> Result<Arc<Self>, StartError> {
        let clock = surroundings.clock;
        let file = |path: &str| dir.join(path);
        let log = RequestLog::open(dir).map_err(|source| StartError::File {
            path: file("requests.jsonl"),
            source,
        })?;
        let address_log = AddressLog::open(dir).map_err(|source| StartError::File {
            path: file("addresses.jsonl"),
            source,
        })?;
        for name in ["instances", "layers"] {
            // A guest's user namespace has to pass through to its layers.
            crate::files::make_dir(&file(name), 0o711).map_err(|source| StartError::File {
                path: file(name),
                source,
            })?;
        }
        let blocks = BlockStore::open(dir).map_err(|source| StartError::File {
            path: file("blocks"),
            source,
        })?;
        blocks::reopen(&blocks, &account, clock.now()).map_err(|source| StartError::File {
            path: file("blocks"),
            source,
        })?;
        let timing = config.delays.timing();
        let faults = Arc::new(FaultFile::new(dir));
        let store = match surroundings.memory {
            Memory::OnDisk => Store::new(dir),
            Memory::OfTheProcess => Store::forgetful(),
        };
        let storage = match surroundings.memory {
            Memory::OnDisk => Storage::open(dir),
            Memory::OfTheProcess => Storage::forgetful(dir),
        };
        let storage = storage.map_err(|source| StartError::File {
            path: file("s3"),
            source,
        })?;
        store.save(&account)?;
        Ok(Arc::new(Self {
            dir: dir.to_owned(),
            clock,
            config: config.clone(),
            timing,
            served,
            catalogue: Catalogue::new(runtime.content_id()),
            runtime,
            store,
            account: Mutex::new(account),
            actors: Actors::default(),
            guests: Mutex::default(),
            network: PublicNetwork::new(
                served.ssh_port,
                config.firewall,
                surroundings.doors,
                faults.clone(),
            ),
            faults,
            buckets: Buckets::new(timing.throttle),
            blocks,
            storage,
            log,
            address_log,
            history: History::default(),
            layers: tokio::sync::Mutex::default(),
            activity: watch::Sender::new(clock.instant()),
        }))
    }

    fn start_effect(self: &Arc<Self>, effect: Effect) {
        match effect {
            Effect::Boot(id) => {
                // A start of an instance that was there before is no launch.
                let launched = self
                    .account()
                    .find_instance(&id)
                    .is_some_and(|(_, i)| i.created == i.launched);
                if launched {
                    self.faults.launched(&id);
                }
                self.actors.send(self, &id, actor::Command::Boot)
            }
            Effect::BindLater(delay) => self.bind_later(delay),
            Effect::Halt(id, kind) => self.actors.send(self, &id, actor::Command::Halt(kind)),
            Effect::Reboot(id) => self.actors.send(self, &id, actor::Command::Reboot),
            Effect::Capture(id, layer) => {
                self.actors.send(self, &id, actor::Command::Capture(layer))
            }
            Effect::Import(id) => self.start_import(id),
            Effect::SweepLayers => {
                let engine = self.clone();
                tokio::spawn(async move { engine.sweep_layers().await });
            }
        }
    }

    /// Lets bindings of addresses take effect that are due by then.
    fn bind_later(self: &Arc<Self>, delay: std::time::Duration) {
        let engine = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            let now = engine.clock.now();
            engine.update(|account| {
                for region in account.regions.values_mut() {
                    region.bind_due(now);
                }
            });
        });
    }

    /// What is to go wrong with an instance now; nothing if it is not there.
    pub(crate) fn faults_of(&self, id: &InstanceId) -> FaultsOf {
        let faults = self.faults.now().unwrap_or_default();
        self.account()
            .find_instance(id)
            .map(|(_, i)| faults.instances.of(i))
            .unwrap_or_default()
    }

    /// Changes the account from within, as a guest's start or end does, and lets the network follow.
    fn update<T>(&self, change: impl FnOnce(&mut Account) -> T) -> T {
        let faults = self.faults.now().unwrap_or_default();
        let mut account = self.account();
        let bound = bindings(&account);
        let lag = faults.stale_reads;
        let before = (!lag.is_zero()).then(|| account.clone());
        let result = change(&mut account);
        if let Err(e) = self.store.save(&account) {
            tracing::error!("{e}");
        }
        if let Some(before) = before {
            self.history.changed(&before, lag, self.clock.instant());
        }
        self.note_bindings(&bound, &account, "guest");
        self.refresh_network(&account, &faults);
        result
    }

    /// Writes down which Elastic IPs a change has moved.
    fn note_bindings(&self, before: &Bindings, account: &Account, cause: &str) {
        let after = bindings(account);
        if let Err(e) = self
            .address_log
            .add(before, &after, self.clock.now(), cause)
        {
            tracing::error!("cannot write the log of addresses: {e}");
        }
    }

    /// What is to go wrong, for those who set it.
    pub(crate) fn faults(&self) -> &FaultFile {
        &self.faults
    }

    /// Whether `secret` is the account's own. Takes as long for a wrong one as for the right one.
    pub(crate) fn is_accounts_secret(&self, secret: &str) -> bool {
        let sealed = |text: &str| hmac(b"compared", text.as_bytes());
        sealed(secret) == sealed(&self.account().key.secret)
    }

    fn refresh_network(&self, account: &Account, faults: &Faults) {
        self.network.follow(account, faults, |id| self.guest(id));
    }

    /// The account. A panic elsewhere leaves it as it was after the last whole change, so it is still good.
    pub(crate) fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What time it is here.
    pub(crate) fn clock(&self) -> Clock {
        self.clock
    }

    /// What the account holds, for looking at.
    pub fn snapshot(&self) -> Account {
        self.account().clone()
    }

    /// Where it is served.
    pub fn served(&self) -> Served {
        self.served
    }

    /// Tells when a request was last answered.
    pub fn activity(&self) -> watch::Receiver<Instant> {
        self.activity.subscribe()
    }

    /// An instance's guest, while it runs.
    fn guest(&self, id: &InstanceId) -> Option<Arc<dyn Guest>> {
        self.guests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(id)
            .cloned()
    }

    fn set_guest(&self, id: &InstanceId, guest: Option<Arc<dyn Guest>>) {
        let mut guests = self.guests.lock().unwrap_or_else(PoisonError::into_inner);
        match guest {
            Some(guest) => guests.insert(id.clone(), guest),
            None => guests.remove(id),
        };
        drop(guests);
        let faults = self.faults.now().unwrap_or_default();
        self.refresh_network(&self.account(), &faults);
    }

    fn instance_dir(&self, id: &InstanceId) -> PathBuf {
        self.dir.join("instances").join(id.as_str())
    }

    fn layer_dir(&self, id: &LayerId) -> PathBuf {
        self.dir.join("layers").join(id.as_str())
    }

    fn console_tail(&self, id: &InstanceId) -> std::io::Result<Vec<u8>> {
        use std::io::{Read, Seek, SeekFrom};
        let mut file = match std::fs::File::open(self.instance_dir(id).join("console.log")) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(e),
        };
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(
            length.saturating_sub(ec2::console::MOST_BYTES),
        ))?;
        let mut tail = Vec::new();
        file.take(ec2::console::MOST_BYTES).read_to_end(&mut tail)?;
        Ok(tail)
    }
}
