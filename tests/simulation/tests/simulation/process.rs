//! One run of qib as one process: it ends with a report, or is killed at a moment of the case's choice.

use crate::clock::Simulated;
use crate::fault::{Crash, Fault};
use crate::shell::{CALLER, Shells};
use crate::wire::{Call, Crashed, Wire, crash_now};
use crate::world::{SECRET, World};
use async_trait::async_trait;
use aws::{AwsAccount, Timeouts, WireCredentials, WireOptions};
use build::cancel::{Cancelled, cancellation};
use build::event::{Event, Observer};
use build::journal::{Invocation, JournalWatch, RunDirectory};
use build::names::RunId;
use build::options::{CellOptions, Debugging, GuestEndpoint, OnFailure, RunOptions, Venue};
use build::ports::{CallerAddress, Ports};
use build::report::Report;
use cloud::retry::Retrying;
use cloud::{Clock, Timestamp};
use pipeline::{Disk, LoadOptions, Loaded};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

/// Chooses the pauses between repeats.
const SEED: u64 = 42;
/// No run takes longer, by the simulation's clock.
const LONGEST: Duration = Duration::from_secs(12 * 3600);

/// How a process ended.
#[derive(Debug)]
pub enum End {
    /// With a report.
    Report(Box<Report>),
    /// It was killed.
    Killed,
    /// It was still there after [`LONGEST`].
    Hung,
    /// It panicked.
    Panicked(String),
}

/// What a process is to do, and what happens to it.
#[derive(Clone, Debug)]
pub struct Orders {
    /// The host, whose state folder it uses.
    pub host: String,
    /// The run.
    pub run: RunId,
    /// Begin, or take up again.
    pub verb: Verb,
    /// The pipeline.
    pub pipeline: Arc<Loaded>,
    /// What goes wrong with its calls.
    pub faults: Vec<Fault>,
    /// When it is killed.
    pub crash: Crash,
    /// When it is told to end.
    pub signal: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Run,
    Resume,
}

/// What is known of a process afterwards.
pub struct Past {
    pub end: End,
    pub calls: Vec<Call>,
    pub records: u64,
    /// The journal's lines, shortened, for the names of cases.
    pub journal: Vec<String>,
    /// When it ended.
    pub ended: Timestamp,
    /// Everything that it told its observer, and when.
    pub told: Vec<(Timestamp, Event)>,
}

/// A pipeline of the simulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    TwoStages,
    OneAddress,
    Pool,
}

impl Known {
    /// The pipeline, read and checked once.
    pub fn load(self) -> Arc<Loaded> {
        static ALL: [OnceLock<Arc<Loaded>>; 3] = [const { OnceLock::new() }; 3];
        let (slot, file) = match self {
            Self::TwoStages => (&ALL[0], "pipelines/two-stages.yaml"),
            Self::OneAddress => (&ALL[1], "pipelines/one-address.yaml"),
            Self::Pool => (&ALL[2], "pipelines/pool.yaml"),
        };
        slot.get_or_init(|| load(file)).clone()
    }
}

fn load(file: &str) -> Arc<Loaded> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let bytes = std::fs::read(&file).expect("a pipeline of the simulation");
    let environment = |name: &str| match name {
        "TOKEN" => Some(SECRET.to_owned()),
        "EIP_ALLOC" => Some("eipalloc-0local".to_owned()),
        _ => None,
    };
    let options = LoadOptions {
        local: false,
        vars: Vec::new(),
        vars_files: Vec::new(),
        env: &environment,
        home: None,
        ..LoadOptions::default()
    };
    let loaded = pipeline::load(&file, &bytes, &options, &Disk);
    Arc::new(loaded.unwrap_or_else(|error| panic!("{error:?}")))
}

/// Starts a process and waits for its end.
pub async fn conduct(world: &World, orders: Orders) -> Past {
    let journal = RunDirectory::of(&world.state_dir(&orders.host), &orders.run)
        .path()
        .join("journal.jsonl");
    let wire = world.wire(orders.faults.clone(), orders.crash);
    let watch = Arc::new(Watch {
        crash: orders.crash,
        records: AtomicU64::new(0),
    });
    let ear = Arc::new(Ear::of(world));
    let ports = ports(world, &wire, ear.clone(), Some(watch.clone()));
    let options = options(world, &orders.host);
    let (canceller, cancellation) = cancellation();
    let Orders {
        run,
        verb,
        pipeline,
        crash,
        signal,
        ..
    } = orders;
    // A task of its own: dropping it is all that is left of a killed process.
    let mut task = tokio::task::spawn_local(async move {
        match verb {
            Verb::Run => build::run::run(pipeline, run, options, ports, cancellation).await,
            Verb::Resume => build::run::resume(pipeline, run, options, ports, cancellation).await,
        }
    });
    let killed_at = match crash {
        Crash::At(moment) => moment,
        _ => LONGEST * 2,
    };
    let begun = tokio::time::Instant::now();
    let signalled = async {
        if let Some(after) = signal {
            tokio::time::sleep(after).await;
            canceller.cancel(Cancelled::Terminated);
        }
        std::future::pending::<()>().await
    };
    let end = tokio::select! {
        ended = &mut task => match ended {
            Ok(report) => End::Report(Box::new(report)),
            Err(error) => match error.try_into_panic() {
                Ok(payload) if payload.is::<Crashed>() => End::Killed,
                Ok(payload) => End::Panicked(words(&*payload)),
                Err(_) => End::Killed,
            },
        },
        () = tokio::time::sleep_until(begun + killed_at.min(LONGEST)) => {
            task.abort();
            // The task is dropped when it is next looked at, and its files with it.
            let _ = (&mut task).await;
            if killed_at < LONGEST { End::Killed } else { End::Hung }
        }
        () = signalled => unreachable!("it waits for ever"),
    };
    Past {
        end,
        calls: wire.calls(),
        records: watch.records.load(Ordering::Relaxed),
        journal: lines(&journal),
        ended: world.now(),
        told: ear.heard.lock().unwrap().clone(),
    }
}

/// A journal's records in a few words each.
fn lines(path: &Path) -> Vec<String> {
    // A process that was killed early has none.
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .map(|line| {
            let record: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
            let word = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
            let (kind, effect) = (word(&record["record"]), word(&record["effect"]));
            let number = record["number"].as_u64();
            let number = number.map(|n| format!(" {n}")).unwrap_or_default();
            format!("{kind}{number} {effect}").trim_end().to_owned()
        })
        .collect()
}

fn words(payload: &(dyn std::any::Any + Send)) -> String {
    payload
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| payload.downcast_ref::<&str>().map(|s| (*s).to_owned()))
        .unwrap_or_default()
}

/// The ports of a process on `wire`.
pub fn ports(
    world: &World,
    wire: &Arc<Wire>,
    observer: Arc<Ear>,
    journal_watch: Option<Arc<dyn JournalWatch>>,
) -> Ports {
    let key = world.engine.snapshot().key;
    let account = AwsAccount::over(&WireOptions {
        transport: wire.clone(),
        clock: Arc::new(world.clock),
        region: "us-east-2".into(),
        credentials: WireCredentials {
            access_key_id: key.id,
            secret_access_key: key.secret,
            session_token: None,
        },
        timeouts: Timeouts::default(),
    })
    .expect("it is given everything");
    // As the binary puts it together.
    let account = Retrying::new(Arc::new(account), Arc::new(world.clock), SEED);
    Ports {
        account: Arc::new(account),
        clock: Arc::new(world.clock),
        guests: Arc::new(Shells {
            engine: world.engine.clone(),
            machines: world.machines.clone(),
            secret: SECRET.to_owned(),
        }),
        caller_address: Arc::new(Caller),
        host: build::host::Host::absent(),
        observer,
        journal_watch,
    }
}

/// How a run is to be done.
pub fn options(world: &World, host: &str) -> RunOptions {
    RunOptions {
        venue: Venue::Aws,
        region: "us-east-2".into(),
        cells: CellOptions::default(),
        endpoint: None,
        guest_endpoint: GuestEndpoint::Regional,
        ssh_port: 22,
        on_failure: OnFailure::CleanUp,
        debugging: Debugging::Off,
        rebuild: BTreeSet::new(),
        agent_socket: None,
        state_dir: world.state_dir(host),
        invocation: Invocation::default(),
    }
}

struct Caller;

#[async_trait]
impl CallerAddress for Caller {
    async fn caller_address(&self) -> Result<Ipv4Addr, String> {
        Ok(CALLER)
    }
}

/// Hears what a process tells.
pub struct Ear {
    clock: Simulated,
    heard: Mutex<Vec<(Timestamp, Event)>>,
}

impl Ear {
    pub fn of(world: &World) -> Self {
        Self {
            clock: world.clock,
            heard: Mutex::default(),
        }
    }
}

impl Observer for Ear {
    fn observe(&self, event: &Event) {
        let heard = (self.clock.now(), event.clone());
        self.heard.lock().unwrap().push(heard);
    }
}

/// Counts journal records, and kills the process at one.
struct Watch {
    crash: Crash,
    records: AtomicU64,
}

impl JournalWatch for Watch {
    fn before(&self, number: u64) {
        if self.crash == Crash::BeforeRecord(number) {
            crash_now();
        }
    }

    fn after(&self, number: u64) {
        self.records.store(number, Ordering::Relaxed);
        if self.crash == Crash::AfterRecord(number) {
            crash_now();
        }
    }
}
