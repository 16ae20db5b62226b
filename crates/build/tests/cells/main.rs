//! Whole runs of many cells in several regions, against an account in memory.

mod built;
#[path = "../fake/mod.rs"]
mod fake;
mod layers;
mod person;
mod planned;
mod swept;

use async_trait::async_trait;
use build::cancel::{Canceller, cancellation};
use build::event::Event;
use build::host::{Answer, Host, Operator};
use build::journal::{Invocation, JournalWatch};
use build::names::{CellName, RunId, tag};
use build::options::*;
use build::pause::{Pace, Pauses};
use build::plan::{Plan, plan};
use build::ports::Ports;
use build::report::{ExitCode, Report, StepOutcome};
use build::run::run;
use build::selection::Choice;
use build::steps::Pollers;
use build::sweep::{KeptToo, Sweep, SweepProgress, SweepWatch, carry_out, look};
use cloud::{Image, ImageState, RegionName, Snapshot, SnapshotState, Tags};
use fake::account::FakeAccount;
use fake::guest::{Behaviour, FakeGuests};
use fake::time::EventClock;
use fake::{Home, Recorder};
use futures::FutureExt;
use pipeline::{LoadOptions, Loaded};
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const REGIONS: [&str; 8] = [
    "ap-northeast-1",
    "ap-southeast-1",
    "eu-central-1",
    "eu-west-1",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-west-1",
];

struct World {
    account: FakeAccount,
    clock: EventClock,
    host: tempfile::TempDir,
    runs: Mutex<u64>,
    guests: Arc<FakeGuests>,
}

/// How a run is asked for.
#[derive(Clone, Default)]
struct Wanted {
    only: Vec<&'static str>,
    except: Vec<&'static str>,
    jobs: Option<usize>,
    fail_fast: bool,
    pauses: Pauses,
    operator: Option<Arc<Asked>>,
}

impl World {
    fn new(breaking: &[&str]) -> Self {
        let account = FakeAccount::new();
        let clock = EventClock::new();
        account.store().clock = Some(Arc::new(clock.clone()));
        for region in REGIONS {
            for os in ["1204", "1404"] {
                let id = source_id(region, os);
                let image = Image {
                    deprecated: None,
                    protected: false,
                    public: false,
                    boot_mode: None,
                    virtualization: "hvm".into(),
                    volumes: Vec::new(),
                    image_id: id.as_str().into(),
                    name: format!("ubuntu-{os}"),
                    description: String::new(),
                    state: ImageState::Available,
                    state_reason: None,
                    created: None,
                    owner: None,
                    architecture: "x86_64".into(),
                    root_device: Some("/dev/sda1".into()),
                    snapshots: Vec::new(),
                    tags: Tags::new(),
                };
                let there = account.in_region(&RegionName::new(region));
                there.store().images.insert(id, image);
            }
        }
        let guests = Arc::new(FakeGuests {
            behaviour: Behaviour {
                exit_codes: breaking
                    .iter()
                    .map(|name| ((*name).to_owned(), 3))
                    .collect(),
                ..Behaviour::default()
            },
            works: Some((Arc::new(clock.clone()), Duration::from_secs(100))),
            ..FakeGuests::default()
        });
        Self {
            account,
            clock,
            host: tempfile::tempdir().unwrap(),
            runs: Mutex::new(0),
            guests,
        }
    }

    fn options(&self, wanted: &Wanted) -> RunOptions {
        let globs = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        RunOptions {
            venue: Venue::Aws,
            region: "us-east-2".into(),
            cells: CellOptions {
                choice: Choice {
                    only: globs(&wanted.only),
                    except: globs(&wanted.except),
                },
                jobs: wanted
                    .jobs
                    .map_or(USUAL_JOBS, |jobs| NonZeroUsize::new(jobs).unwrap()),
                after_failure: if wanted.fail_fast {
                    AfterFailure::NoneBegins
                } else {
                    AfterFailure::OthersGoOn
                },
                pauses: wanted.pauses.clone(),
            },
            endpoint: None,
            guest_endpoint: GuestEndpoint::Regional,
            ssh_port: 22,
            on_failure: OnFailure::CleanUp,
            debugging: Debugging::Off,
            rebuild: BTreeSet::new(),
            agent_socket: None,
            state_dir: self.host.path().to_owned(),
            invocation: Invocation::default(),
        }
    }

    fn ports(&self, wanted: &Wanted, recorder: &Arc<Recorder>) -> Ports {
        Ports {
            account: Arc::new(self.account.clone()),
            clock: Arc::new(self.clock.clone()),
            guests: self.guests.clone(),
            caller_address: Arc::new(Home),
            observer: recorder.clone(),
            host: Host {
                operator: wanted
                    .operator
                    .as_ref()
                    .map(|operator| operator.clone() as Arc<dyn Operator>),
                ..Host::absent()
            },
            journal_watch: None,
        }
    }

    fn run_watched(&self, loaded: &Arc<Loaded>, wanted: Wanted) -> (Report, Arc<Recorder>) {
        let recorder = Arc::new(Recorder::default());
        let number = {
            let mut runs = self.runs.lock().unwrap();
            *runs += 1;
            *runs
        };
        let ports = self.ports(&wanted, &recorder);
        let (canceller, cancellation) = cancellation();
        if let Some(operator) = &wanted.operator {
            *operator.canceller.lock().unwrap() = Some(canceller.clone());
        }
        let id = RunId::from_random(number);
        let options = self.options(&wanted);
        let report = self
            .clock
            .run(run(loaded.clone(), id, options, ports, cancellation));
        drop(canceller);
        (report, recorder)
    }

    fn run(&self, loaded: &Arc<Loaded>, wanted: Wanted) -> Report {
        self.run_watched(loaded, wanted).0
    }

    fn plan(&self, loaded: &Loaded, wanted: Wanted) -> Plan {
        let ports = self.ports(&wanted, &Arc::default());
        let options = self.options(&wanted);
        self.clock
            .run(plan(&loaded.pipeline, &options, &ports))
            .unwrap()
    }

    fn calls(&self, region: &str) -> Vec<&'static str> {
        let there = self.account.in_region(&RegionName::new(region));
        there.store().calls.clone()
    }

    /// What is there besides images, their snapshots, and what was there before.
    fn clutter(&self) -> Vec<String> {
        let mut holdings = self.account.holdings();
        holdings.retain(|thing| !thing.starts_with("ami-") && !thing.starts_with("snap-"));
        holdings
    }
}

fn source_id(region: &str, os: &str) -> String {
    format!("ami-{}{os}", region.replace('-', ""))
}

/// A pipeline with a stage, and perhaps some on top of it, each with a cell for each region, release and virtualisation.
fn matrix(regions: &[&str], stages: &[&str]) -> Loaded {
    let provision = |_: &str| {
        String::from(
            "[{ run: { name: 'install-${{ cell }}', inline: 'echo ${{ matrix.virt }}' } }]",
        )
    };
    matrix_of(regions, stages, provision)
}

fn matrix_of(regions: &[&str], stages: &[&str], provision: impl Fn(&str) -> String) -> Loaded {
    let stage = |(at, name): (usize, &&str)| {
        let source = match at {
            0 => String::from("{ image_id: '${{ matrix.source }}' }"),
            _ => format!("{{ stage: {} }}", stages[at - 1]),
        };
        let sources: String = regions
            .iter()
            .flat_map(|region| ["1204", "1404"].map(|os| (region, os)))
            .map(|(region, os)| {
                let id = source_id(region, os);
                format!("        - {{ region: {region}, os: '{os}', source: {id} }}\n")
            })
            .collect();
        let include = if at == 0 {
            format!("      include:\n{sources}")
        } else {
            String::new()
        };
        format!(
            "  {name}:\n    matrix:\n      axes: {{ region: [{}], os: ['1204', '1404'], virt: [pv, hvm] }}\n{include}    \
             region: '${{{{ matrix.region }}}}'\n    source: {source}\n    \
             launch: {{ instance_type: m3.medium }}\n    connect: {{ user: ubuntu }}\n    \
             provision: {}\n    image: {{ name: '{name}-${{{{ cell }}}}' }}\n",
            regions.join(", "),
            provision(name),
        )
    };
    let text = format!(
        "name: comboami\nstages:\n{}",
        stages.iter().enumerate().map(stage).collect::<String>()
    );
    let options = LoadOptions::default();
    let path = Path::new("/p.yaml");
    let loaded = pipeline::load(path, text.as_bytes(), &options, &pipeline::Disk);
    loaded.unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn names(images: &[build::report::ReportedImage], cached: bool) -> Vec<String> {
    let mut names: Vec<String> = images
        .iter()
        .filter(|image| image.cached == cached)
        .map(|image| format!("{}/{}", image.stage, image.cell))
        .collect();
    names.sort();
    names
}

/// A person who answers what was arranged, and keeps the questions.
#[derive(Default)]
struct Asked {
    questions: Mutex<Vec<String>>,
    /// The question that is answered with no, from 1.
    aborts_at: usize,
    canceller: Mutex<Option<Canceller>>,
}

#[async_trait]
impl Operator for Asked {
    async fn confirm(&self, question: &str) -> Answer {
        let mut questions = self.questions.lock().unwrap();
        questions.push(question.to_owned());
        if questions.len() == self.aborts_at {
            Answer::Abort
        } else {
            Answer::GoOn
        }
    }
}
