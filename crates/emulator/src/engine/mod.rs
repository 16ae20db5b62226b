//! The local EC2 at work: requests change the account, the world follows it.
//!
//! ```text
//!  request ─► authenticate ─► admit (throttle, faults) ─► action on the account ─► write down ─► settle (log) ─► answer
//!                                                                                      │
//!                                                     effects ─► one actor per instance ─► guest
//!                                                                                      └─► network (public addresses)
//! ```

mod actor;
mod authenticate;
mod interruption;
mod layers;
mod lifetime;
pub mod request_log;
mod store;
mod throttle;

pub use store::{Store, StoreError};

use crate::account::Account;
use crate::api::caller::Caller;
use crate::api::ec2::Access;
use crate::api::ec2::params::Params;
use crate::api::error::ApiError;
use crate::api::protocol::{HttpReply, HttpRequest, Service};
use crate::api::{Cx, Effect, ec2, ssm, sts};
use crate::catalogue::Catalogue;
use crate::config::{EmulatorConfig, Timing};
use crate::faults::{FaultFile, Faults};
use crate::ids::{InstanceId, LayerId};
use crate::instance_faults::FaultsOf;
use crate::network::{Barrier, PublicNetwork};
use crate::runtime::{Guest, GuestRuntime};
use actor::Actors;
use jiff::Timestamp;
use request_log::{RequestLog, RequestRecord};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use throttle::Buckets;
use tokio::sync::watch;

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

/// A local EC2.
pub struct Engine {
    dir: PathBuf,
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
    log: RequestLog,
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
        let file = |path: &str| dir.join(path);
        let log = RequestLog::open(dir).map_err(|source| StartError::File {
            path: file("requests.jsonl"),
            source,
        })?;
        for name in ["instances", "layers"] {
            // A guest's user namespace has to pass through to its layers.
            crate::files::make_dir(&file(name), 0o711).map_err(|source| StartError::File {
                path: file(name),
                source,
            })?;
        }
        let timing = config.delays.timing();
        let faults = Arc::new(FaultFile::new(dir));
        let store = Store::new(dir);
        store.save(&account)?;
        Ok(Arc::new(Self {
            dir: dir.to_owned(),
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
                Barrier::of_this_host(),
                faults.clone(),
            ),
            faults,
            buckets: Buckets::new(timing.throttle),
            log,
            layers: tokio::sync::Mutex::default(),
            activity: watch::Sender::new(Instant::now()),
        }))
    }

    /// Answers a request. Blocks for as long as the state file takes to write.
    pub fn handle(self: &Arc<Self>, request: &HttpRequest) -> HttpReply {
        self.activity.send_replace(Instant::now());
        let id = request_id();
        let service = request.service();
        let mut seen = Seen::default();
        let outcome = self.attempt(service, request, &mut seen);
        let outcome = self.settle(service, &id, &seen, outcome);
        match outcome {
            Ok(content) => service.success(&seen.action, &content, &id),
            Err(error) => service.failure(&error, &id),
        }
    }

    fn attempt(
        self: &Arc<Self>,
        service: Service,
        request: &HttpRequest,
        seen: &mut Seen,
    ) -> Result<String, ApiError> {
        let call = Call::read(service, request)?;
        seen.action.clone_from(&call.action);
        let (caller, region) =
            authenticate::authenticate(&self.account(), service, request, Timestamp::now())?;
        seen.caller = caller.arn();
        seen.region.clone_from(&region);
        let access = call.access(service)?;
        caller
            .check_may(&format!("{}:{}", service.name(), call.action))
            .or_else(|e| match service {
                // Everybody may ask who they are.
                Service::Sts => Ok(()),
                _ => Err(e),
            })?;
        let faults = self.admit(&region, &call.action, access)?;
        self.carry_out(service, &call, &caller, &region, access, &faults)
    }

    /// The one place that every request passes before it has any effect.
    fn admit(&self, region: &str, action: &str, access: Access) -> Result<Faults, ApiError> {
        self.buckets.take(region, action, access, Instant::now())?;
        self.faults.refuse(action)?;
        self.faults.now()
    }

    /// The one place that every request passes after it has had its effect, before it is answered.
    fn settle(
        &self,
        service: Service,
        id: &str,
        seen: &Seen,
        outcome: Result<String, ApiError>,
    ) -> Result<String, ApiError> {
        let record = RequestRecord {
            time: Timestamp::now(),
            id: id.to_owned(),
            service: service.name().to_owned(),
            region: seen.region.clone(),
            caller: seen.caller.clone(),
            action: seen.action.clone(),
            code: outcome.as_ref().err().map(|e| e.code().to_owned()),
        };
        if let Err(e) = self.log.add(&record) {
            tracing::error!("cannot write the request log: {e}");
        }
        outcome
    }

    fn carry_out(
        self: &Arc<Self>,
        service: Service,
        call: &Call,
        caller: &Caller,
        region: &str,
        access: Access,
        faults: &Faults,
    ) -> Result<String, ApiError> {
        let console = |id: &InstanceId| self.console_tail(id);
        let mut account = self.account();
        let before = (access == Access::Write).then(|| account.clone());
        let mut cx = Cx {
            account: &mut account,
            region,
            caller,
            now: Timestamp::now(),
            timing: &self.timing,
            catalogue: &self.catalogue,
            faults,
            console: &console,
            effects: Vec::new(),
        };
        let outcome = call.run(service, &mut cx);
        let effects = std::mem::take(&mut cx.effects);
        let outcome = match (outcome, access) {
            (Ok(content), Access::Write) => {
                self.store.save(&account).map(|()| content).map_err(|e| {
                    tracing::error!("{e}");
                    ApiError::new("InternalError", e.to_string()).with_status(500)
                })
            }
            (outcome, _) => outcome,
        };
        match (&outcome, before) {
            (Err(_), Some(before)) => *account = before,
            (Ok(_), Some(_)) => {
                self.refresh_network(&account, faults);
                drop(account);
                for effect in effects {
                    self.start_effect(effect);
                }
            }
            (_, None) => {}
        }
        outcome
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
            engine.update(|account| {
                for region in account.regions.values_mut() {
                    region.bind_due(Timestamp::now());
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
        let result = change(&mut account);
        if let Err(e) = self.store.save(&account) {
            tracing::error!("{e}");
        }
        self.refresh_network(&account, &faults);
        result
    }

    fn refresh_network(&self, account: &Account, faults: &Faults) {
        self.network.follow(account, faults, |id| self.guest(id));
    }

    /// The account. A panic elsewhere leaves it as it was after the last whole change, so it is still good.
    pub(crate) fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
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

/// What is known of a request, for the log.
#[derive(Default)]
struct Seen {
    action: String,
    caller: String,
    region: String,
}

/// A request whose action is known.
struct Call {
    action: String,
    params: Params,
    body: Vec<u8>,
}

impl Call {
    fn read(service: Service, request: &HttpRequest) -> Result<Self, ApiError> {
        if service == Service::Ssm {
            let target = request.header("x-amz-target").unwrap_or_default();
            let action = target
                .strip_prefix("AmazonSSM.")
                .unwrap_or_default()
                .to_owned();
            return Ok(Self {
                action,
                params: Params::new([]),
                body: request.body.clone(),
            });
        }
        let form = if request.method == "GET" {
            request.query.as_bytes()
        } else {
            &request.body
        };
        let params = Params::new(form_urlencoded::parse(form).into_owned());
        let action = params.top().text("Action").filter(|a| !a.is_empty());
        let action = action
            .ok_or_else(|| {
                ApiError::new(
                    "MissingAction",
                    "The request is missing an action or a required parameter.",
                )
            })?
            .to_owned();
        Ok(Self {
            action,
            params,
            body: Vec::new(),
        })
    }

    fn access(&self, service: Service) -> Result<Access, ApiError> {
        match service {
            Service::Ec2 => {
                let version = self.params.top().text("Version");
                let entry = ec2::find(&self.action).filter(|_| version == Some(ec2::VERSION));
                entry.map(|e| e.access).ok_or_else(|| {
                    ApiError::new(
                        "InvalidAction",
                        format!(
                            "The action {} is not valid for this web service.",
                            self.action
                        ),
                    )
                })
            }
            Service::Ssm if ssm::writes(&self.action) => Ok(Access::Write),
            Service::Ssm | Service::Sts => Ok(Access::Read),
        }
    }

    fn run(&self, service: Service, cx: &mut Cx<'_>) -> Result<String, ApiError> {
        match service {
            Service::Ec2 => match ec2::find(&self.action) {
                Some(entry) => (entry.run)(&self.params, cx).map(ec2::xml::Xml::into_text),
                None => Err(ApiError::new(
                    "InvalidAction",
                    format!(
                        "The action {} is not valid for this web service.",
                        self.action
                    ),
                )),
            },
            Service::Sts => sts::run(&self.action, &self.params, cx).map(ec2::xml::Xml::into_text),
            Service::Ssm => ssm::run(&self.action, &self.body, cx).map(|v| v.to_string()),
        }
    }
}

/// A request id in the form of AWS's: a random UUID.
fn request_id() -> String {
    let bytes: [u8; 16] = rand::random();
    let text = hex::encode(bytes);
    format!(
        "{}-{}-4{}-8{}-{}",
        &text[..8],
        &text[8..12],
        &text[13..16],
        &text[17..20],
        &text[20..]
    )
}
