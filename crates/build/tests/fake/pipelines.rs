//! Whole runs of a pipeline's text, against an account in memory.

use super::account::FakeAccount;
use super::disks::FakeDisks;
use super::guest::FakeGuests;
use super::time::EventClock;
use super::{Home, Recorder};
use build::cancel::cancellation;
use build::failure::StepError;
use build::inquiry::Inquiry;
use build::journal::{Invocation, JournalReader, JournalWatch, RunDirectory};
use build::names::RunId;
use build::options::*;
use build::plan::Plan;
use build::ports::Ports;
use build::report::Report;
use cloud::{EbsVolume, Image, ImageState, Tags};
use pipeline::{LoadOptions, Loaded};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::sync::Arc;

/// An image that is there.
pub fn image(id: &str) -> Image {
    Image {
        deprecated: None,
        protected: false,
        public: false,
        boot_mode: None,
        virtualization: "hvm".into(),
        volumes: vec![EbsVolume {
            device: "/dev/sda1".into(),
            ..EbsVolume::default()
        }],
        image_id: id.into(),
        name: format!("name of {id}"),
        description: String::new(),
        state: ImageState::Available,
        state_reason: None,
        created: None,
        owner: None,
        architecture: "x86_64".into(),
        root_device: Some("/dev/sda1".into()),
        snapshots: Vec::new(),
        tags: Tags::new(),
    }
}

/// An account with the image `ami-1source`, and a host.
pub struct Site {
    pub account: FakeAccount,
    pub clock: EventClock,
    pub recorder: Arc<Recorder>,
    pub guests: Arc<FakeGuests>,
    pub state: tempfile::TempDir,
    pub on_failure: OnFailure,
    pub disks: Arc<FakeDisks>,
}

impl Site {
    pub fn new() -> Self {
        let account = FakeAccount::new();
        let clock = EventClock::new();
        account.store().clock = Some(Arc::new(clock.clone()));
        account
            .store()
            .images
            .insert("ami-1source".into(), image("ami-1source"));
        Self {
            account,
            clock,
            recorder: Arc::new(Recorder::default()),
            guests: Arc::new(FakeGuests::default()),
            state: tempfile::tempdir().unwrap(),
            on_failure: OnFailure::CleanUp,
            disks: Arc::default(),
        }
    }

    pub fn options(&self) -> RunOptions {
        RunOptions {
            venue: Venue::Aws,
            region: "us-east-2".into(),
            cells: CellOptions::default(),
            endpoint: None,
            guest_endpoint: GuestEndpoint::Regional,
            ssh_port: 22,
            on_failure: self.on_failure,
            debugging: Debugging::Off,
            rebuild: BTreeSet::new(),
            agent_socket: None,
            state_dir: self.state.path().to_owned(),
            invocation: Invocation::default(),
        }
    }

    fn ports(&self) -> Ports {
        self.ports_watched(None)
    }

    pub fn ports_watched(&self, watch: Option<Arc<dyn JournalWatch>>) -> Ports {
        Ports {
            account: Arc::new(self.account.clone()),
            clock: Arc::new(self.clock.clone()),
            guests: self.guests.clone(),
            caller_address: Arc::new(Home),
            host: build::host::Host {
                disk_images: self.disks.clone(),
                ..build::host::Host::absent()
            },
            observer: self.recorder.clone(),
            journal_watch: watch,
        }
    }

    /// Runs a pipeline as run number `number`.
    pub fn run(&self, number: u64, text: &str) -> Report {
        let (_canceller, cancellation) = cancellation();
        self.clock.run(build::run::run(
            load(text),
            RunId::from_random(number),
            self.options(),
            self.ports(),
            cancellation,
        ))
    }

    /// The same in a process that is killed once record `record` of its journal is written. None if it ended before, or had written its end.
    pub fn killed_after(&self, number: u64, record: u64, text: &str) -> Option<()> {
        let watch = Arc::new(KillAfter(record));
        let (_canceller, cancellation) = cancellation();
        let running = build::run::run(
            load(text),
            RunId::from_random(number),
            self.options(),
            self.ports_watched(Some(watch)),
            cancellation,
        );
        catch_unwind(AssertUnwindSafe(|| self.clock.run(running))).err()?;
        let directory = RunDirectory::of(self.state.path(), &RunId::from_random(number));
        let state = JournalReader::read(&directory).unwrap();
        state.closed().is_none().then_some(())
    }

    /// Takes a run up again whose process was killed.
    pub fn resume(&self, number: u64, text: &str) -> Report {
        let (_canceller, cancellation) = cancellation();
        self.clock.run(build::run::resume(
            load(text),
            RunId::from_random(number),
            self.options(),
            self.ports(),
            cancellation,
        ))
    }

    pub fn plan(&self, text: &str) -> Result<Plan, StepError> {
        let loaded = load(text);
        self.clock.run(build::plan::plan(
            &loaded.pipeline,
            &self.options(),
            &self.ports(),
        ))
    }

    /// What `qib preflight` finds.
    pub fn inquire(&self, text: &str) -> Inquiry {
        let loaded = load(text);
        let inquiry = self.clock.run(build::inquiry::inquire(
            &loaded.pipeline,
            &self.options(),
            &self.ports(),
        ));
        inquiry.unwrap_or_else(|error| panic!("{error}"))
    }

    /// What the only failure of a run says; nothing may be left of it, and nothing may have been made.
    pub fn refusal(&self, text: &str) -> String {
        let report = self.run(99, text);
        let [failure] = report.failures.as_slice() else {
            panic!("{:?}", report.failures);
        };
        assert!(report.left_behind.is_empty(), "{:?}", report.left_behind);
        let calls = self.account.store().calls.clone();
        let making = [
            "RunInstances",
            "ImportKeyPair",
            "CreateSecurityGroup",
            "CreateRole",
            "CopyImage",
        ];
        let made: Vec<_> = calls.iter().filter(|call| making.contains(call)).collect();
        assert!(made.is_empty(), "{made:?} before: {}", failure.error);
        format!(
            "{}: {} / {}",
            failure.step,
            failure.error,
            failure.hint.as_deref().unwrap_or("no hint")
        )
    }
}

pub struct KillAfter(pub u64);

impl JournalWatch for KillAfter {
    fn before(&self, _: u64) {}
    fn after(&self, number: u64) {
        if number == self.0 {
            resume_unwind(Box::new("killed"));
        }
    }
}

pub fn load(text: &str) -> Arc<Loaded> {
    let options = LoadOptions {
        local: false,
        vars: Vec::new(),
        vars_files: Vec::new(),
        env: &|_| None,
        git: &|| None,
        profiles: Vec::new(),
        home: None,
    };
    let loaded = pipeline::load(
        Path::new("/p.yaml"),
        text.as_bytes(),
        &options,
        &pipeline::Disk,
    );
    Arc::new(loaded.unwrap_or_else(|error| panic!("{error}\n{text}")))
}

/// A pipeline of one stage that launches so.
pub fn launching(launch: &str) -> String {
    connecting(launch, "")
}

/// One that launches and connects so.
pub fn connecting(launch: &str, connect: &str) -> String {
    format!(
        "name: p\naws: {{ region: us-east-2 }}\nstages:\n  base:\n    source: {{ image_id: ami-1source }}\n    \
         launch: {{ {launch} }}\n    connect: {{ user: ec2-user{connect} }}\n    \
         image: {{ name: 'image-${{{{ run.id }}}}' }}\n"
    )
}
