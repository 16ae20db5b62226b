//! Instances in memory: they boot, bind their address as user-data tells them, and have a disk that remembers what was
//! done to it.

use crate::clock::Simulated;
use crate::fault::Crash;
use crate::wire::Wire;
use async_trait::async_trait;
use aws::{AwsAccount, Timeouts, WireCredentials, WireOptions};
use cloud::Account as _;
use emulator::api::caller::session_credentials;
use emulator::engine::Engine;
use emulator::guest::{GuestExit, GuestSpec, StopKind};
use emulator::ids::InstanceId;
use emulator::runtime::{Guest, GuestRuntime, RuntimeError, StartedGuest};
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::sync::watch;

/// From the start of the guest to the first line of user-data.
const BOOT: Duration = Duration::from_secs(6);
/// Until SSH answers.
const SSH_UP: Duration = Duration::from_secs(9);
/// The binding script's pause between two attempts.
const BIND_PAUSE: Duration = Duration::from_secs(5);

/// What the catalogue's images consist of.
const CONTENT: &str = "simulated";

/// What is wrong with the instances of one simulation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ailment {
    /// Nothing.
    #[default]
    None,
    /// They run, and nothing in them ever does.
    NeverBoots,
    /// A provisioner hangs for an hour.
    ProvisionerHangs,
    /// A provisioner fails.
    ProvisionerFails,
    /// The connection breaks in the middle of a provisioner.
    ConnectionBreaks,
}

/// What was done to a disk, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A provisioner began.
    Began(String),
    /// It ended.
    Ended(String),
    /// qib's traces were removed.
    Scrubbed,
}

/// One instance's guest.
#[derive(Clone)]
pub struct Machine {
    pub spec: GuestSpec,
    pub exited: watch::Sender<Option<GuestExit>>,
    pub started: tokio::time::Instant,
}

/// All instances.
#[derive(Default)]
pub struct Machines {
    running: Mutex<HashMap<String, Machine>>,
    disks: Mutex<HashMap<String, Vec<Mark>>>,
    /// What must not happen to a guest, and did.
    pub wrongs: Mutex<Vec<String>>,
    pub ailment: Mutex<Ailment>,
    engine: OnceLock<Weak<Engine>>,
    clock: OnceLock<Simulated>,
}

impl Machines {
    pub fn attach(&self, engine: &Arc<Engine>, clock: Simulated) {
        self.engine
            .set(Arc::downgrade(engine))
            .expect("attached once");
        self.clock.set(clock).expect("attached once");
    }

    pub fn running(&self, id: &str) -> Option<Machine> {
        let machine = self.running.lock().unwrap().get(id).cloned()?;
        let running = machine.exited.borrow().is_none();
        running.then_some(machine)
    }

    /// Whether SSH answers.
    pub fn answers(&self, id: &str) -> bool {
        *self.ailment.lock().unwrap() != Ailment::NeverBoots
            && self
                .running(id)
                .is_some_and(|m| m.started.elapsed() >= SSH_UP)
    }

    pub fn mark(&self, id: &str, mark: Mark) {
        let mut disks = self.disks.lock().unwrap();
        let disk = disks.entry(id.to_owned()).or_default();
        if let Mark::Began(name) = &mark
            && disk.contains(&mark)
        {
            let wrong = format!("provisioner {name} began twice on {id}");
            self.wrongs.lock().unwrap().push(wrong);
        }
        disk.push(mark);
    }
}

/// User-data as cloud-init would see it.
pub fn plain_text(data: &[u8]) -> String {
    let mut text = Vec::new();
    match data.starts_with(&[0x1f, 0x8b]) {
        true => flate2::read::GzDecoder::new(data)
            .read_to_end(&mut text)
            .map(|_| ())
            .expect("user-data is whole"),
        false => text.extend_from_slice(data),
    }
    String::from_utf8_lossy(&text).into_owned()
}

fn assigned(text: &str, name: &str) -> Option<String> {
    let start = format!("{name}='");
    text.lines()
        .find_map(|line| line.strip_prefix(&start))
        .and_then(|rest| rest.split_once('\''))
        .map(|(value, _)| value.to_owned())
}

#[async_trait]
impl GuestRuntime for Machines {
    fn content_id(&self) -> String {
        CONTENT.to_owned()
    }

    fn mode(&self) -> String {
        "simulated".to_owned()
    }

    async fn start(&self, spec: GuestSpec) -> Result<StartedGuest, RuntimeError> {
        let listen = || TcpListener::bind("127.0.0.1:0").map_err(|e| RuntimeError(e.to_string()));
        let made = std::fs::create_dir_all(spec.instance_dir.join("layer"));
        made.map_err(|e| RuntimeError(e.to_string()))?;
        for layer in &spec.image_layers {
            if !layer.is_dir() {
                let wrong = format!("{} was booted from a layer that is gone", spec.instance_id);
                self.wrongs.lock().unwrap().push(wrong);
            }
        }
        let machine = Machine {
            spec: spec.clone(),
            exited: watch::Sender::new(None),
            started: tokio::time::Instant::now(),
        };
        self.running
            .lock()
            .unwrap()
            .insert(spec.instance_id.clone(), machine.clone());
        if *self.ailment.lock().unwrap() != Ailment::NeverBoots {
            let boot = Boot {
                engine: self.engine.get().and_then(Weak::upgrade).expect("alive"),
                clock: *self.clock.get().expect("attached"),
                machine: machine.clone(),
            };
            tokio::spawn(boot.run());
        }
        Ok(StartedGuest {
            imds: listen()?,
            endpoint: listen()?,
            guest: Arc::new(Handle(machine)),
        })
    }

    fn freeze(&self, instance_dir: &Path, layer: &Path) -> Result<(), RuntimeError> {
        let id = instance_dir
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let last = self
            .disks
            .lock()
            .unwrap()
            .get(&id)
            .and_then(|marks| marks.last().cloned());
        if last != Some(Mark::Scrubbed) {
            let wrong = format!("{id} was captured with {last:?} as the last thing done to it");
            self.wrongs.lock().unwrap().push(wrong);
        }
        std::fs::rename(instance_dir.join("layer"), layer).map_err(|e| RuntimeError(e.to_string()))
    }

    fn remove_layer(&self, dir: &Path) -> Result<(), RuntimeError> {
        match std::fs::remove_dir_all(dir) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(RuntimeError(e.to_string())),
            _ => Ok(()),
        }
    }
}

/// What an engine that only answers stale reads runs its instances on: nothing.
pub struct Nowhere;

#[async_trait]
impl GuestRuntime for Nowhere {
    fn content_id(&self) -> String {
        CONTENT.to_owned()
    }

    fn mode(&self) -> String {
        "simulated".to_owned()
    }

    async fn start(&self, _: GuestSpec) -> Result<StartedGuest, RuntimeError> {
        Err(RuntimeError("nothing runs here".to_owned()))
    }

    fn freeze(&self, _: &Path, _: &Path) -> Result<(), RuntimeError> {
        Err(RuntimeError("nothing runs here".to_owned()))
    }

    fn remove_layer(&self, _: &Path) -> Result<(), RuntimeError> {
        Ok(())
    }
}

struct Handle(Machine);

#[async_trait]
impl Guest for Handle {
    async fn connect_ssh(&self) -> io::Result<UnixStream> {
        Err(io::Error::from(io::ErrorKind::ConnectionRefused))
    }

    async fn stop(&self, _: StopKind) -> Result<(), RuntimeError> {
        self.0.exited.send_replace(Some(GuestExit::Stopped));
        Ok(())
    }

    fn exited(&self) -> watch::Receiver<Option<GuestExit>> {
        self.0.exited.subscribe()
    }
}

/// A guest's boot, to the end of its binding script.
struct Boot {
    engine: Arc<Engine>,
    clock: Simulated,
    machine: Machine,
}

impl Boot {
    async fn run(self) {
        let mut exited = self.machine.exited.subscribe();
        tokio::select! {
            () = self.script() => {}
            // A failed wait means that nobody can end it any more, and the script is dropped all the same.
            _ = exited.wait_for(Option::is_some) => {}
        }
    }

    async fn script(&self) {
        tokio::time::sleep(BOOT).await;
        let id = InstanceId::parse(&self.machine.spec.instance_id).expect("an instance's id");
        let account = self.engine.snapshot();
        let Some((_, instance)) = account.find_instance(&id) else {
            return;
        };
        let text = plain_text(&instance.user_data);
        let Some(allocation) = assigned(&text, "ALLOCATION") else {
            return;
        };
        let deadline: u64 = assigned(&text, "DEADLINE")
            .and_then(|seconds| seconds.parse().ok())
            .expect("the script has a deadline");
        let profile = instance
            .profile
            .as_ref()
            .map(|p| p.name.as_str())
            .expect("an instance that binds has a profile");
        let now = self.clock.0.now();
        let credentials = session_credentials(&account, &id, profile, now);
        let wire = Wire::new(
            self.engine.clone(),
            self.clock,
            Vec::new(),
            Crash::Never,
            Arc::default(),
            None,
        );
        let options = WireOptions {
            transport: Arc::new(wire),
            clock: Arc::new(self.clock),
            region: "us-east-2".into(),
            credentials: WireCredentials {
                access_key_id: credentials.access_key,
                secret_access_key: credentials.secret,
                session_token: Some(credentials.token),
            },
            timeouts: Timeouts::default(),
        };
        let region = AwsAccount::over(&options)
            .expect("it is given everything")
            .region(&"us-east-2".into());
        let give_up = tokio::time::Instant::now() + Duration::from_secs(deadline);
        loop {
            let own = cloud::InstanceId::new(id.as_str());
            match region
                .associate_address(&cloud::AllocationId::new(&allocation), &own)
                .await
            {
                Ok(_) => {
                    self.console(&format!("qib-bind-address: bound {allocation} to {id}"));
                    return;
                }
                Err(error) if tokio::time::Instant::now() >= give_up => {
                    self.console(&format!("qib-bind-address: FAILED {error}"));
                    return;
                }
                Err(_) => tokio::time::sleep(BIND_PAUSE).await,
            }
        }
    }

    fn console(&self, line: &str) {
        let path = self.machine.spec.instance_dir.join("console.log");
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .expect("the console can be written");
        writeln!(file, "{line}").expect("the console can be written");
    }
}
