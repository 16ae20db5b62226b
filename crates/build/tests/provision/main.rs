//! Provisioners from the pipeline's text to their effect, against a guest and a build host that do as they are told, on a
//! clock that does not wait.

mod attempts;
#[path = "../fake/mod.rs"]
mod fake;
mod on_error;
mod playbooks;
mod preflight;
mod reboots;
mod waits;

use build::cancel::{Cancelled, cancellation};
use build::event::Event;
use build::host::HttpAnswer;
use build::journal::Invocation;
use build::names::RunId;
use build::options::*;
use build::ports::Ports;
use build::report::{ExitCode, Report, StepOutcome};
use build::run::run;
use cloud::{Clock, Image, ImageState, Tags};
use fake::account::FakeAccount;
use fake::scripted::{Again, Ends, Restart, Scripted};
use fake::time::EventClock;
use fake::{Home, Recorder};
use pipeline::{LoadOptions, Loaded};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

struct World {
    account: FakeAccount,
    clock: EventClock,
    scripted: Scripted,
    recorder: Arc<Recorder>,
    folder: tempfile::TempDir,
    state: tempfile::TempDir,
    venue: Venue,
    operator: bool,
    cancel_after: Option<Duration>,
}

impl World {
    fn new() -> Self {
        let account = FakeAccount::new();
        let clock = EventClock::new();
        {
            let mut store = account.store();
            store.clock = Some(Arc::new(clock.clone()));
            let source = Image {
                deprecated: None,
                protected: false,
                public: false,
                boot_mode: None,
                virtualization: "hvm".into(),
                volumes: Vec::new(),
                image_id: "ami-1source".into(),
                name: "source".into(),
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
            store.images.insert("ami-1source".into(), source);
        }
        Self {
            account,
            scripted: Scripted::new(Arc::new(clock.clone())),
            clock,
            recorder: Arc::default(),
            folder: tempfile::tempdir().unwrap(),
            state: tempfile::tempdir().unwrap(),
            venue: Venue::Aws,
            operator: false,
            cancel_after: None,
        }
    }

    /// Runs a pipeline with one stage, whose keys after `connect` these are.
    fn run(&self, stage: &str) -> Report {
        self.run_pipeline("", stage)
    }

    fn text(top: &str, stage: &str) -> String {
        format!(
            "name: demo\naws: {{ region: us-east-2 }}\nvars: {{ token: {{ env: TOKEN, secret: true }} }}\n{top}\n\
             stages:\n  base:\n    source: {{ image_id: ami-1source }}\n    launch: {{ instance_type: t3.micro }}\n    \
             connect: {{ user: ec2-user }}\n    image: {{ name: 'image-${{{{ run.id }}}}' }}\n{stage}\n"
        )
    }

    fn run_pipeline(&self, top: &str, stage: &str) -> Report {
        let text = Self::text(top, stage);
        let file = self.folder.path().join("demo.yaml");
        let local = self.venue == Venue::Rehearsal;
        let read = move || load(&file, &text, local);
        let loaded = Arc::new(read().unwrap_or_else(|error| panic!("{error}")));
        let (canceller, cancellation) = cancellation();
        let ports = Ports {
            account: Arc::new(self.account.clone()),
            clock: Arc::new(self.clock.clone()),
            guests: Arc::new(self.scripted.clone()),
            caller_address: Arc::new(Home),
            host: self
                .scripted
                .host(self.operator, Arc::new(Again(Box::new(read)))),
            observer: self.recorder.clone(),
            journal_watch: None,
        };
        let options = RunOptions {
            cells: build::options::CellOptions::default(),
            venue: self.venue,
            region: "us-east-2".into(),
            endpoint: None,
            guest_endpoint: GuestEndpoint::Regional,
            ssh_port: 22,
            on_failure: OnFailure::CleanUp,
            debugging: Debugging::Off,
            rebuild: BTreeSet::new(),
            agent_socket: None,
            state_dir: self.state.path().to_owned(),
            invocation: Invocation::default(),
        };
        let id = RunId::from_random(7);
        let canceller = &canceller;
        let cancel = async move {
            match self.cancel_after {
                Some(after) => {
                    self.clock.sleep(after).await;
                    canceller.cancel(Cancelled::Interrupted);
                }
                None => std::future::pending::<()>().await,
            }
        };
        self.clock.run(async {
            let work = run(loaded, id, options, ports, cancellation);
            let mut work = std::pin::pin!(work);
            tokio::select! {
                report = &mut work => report,
                () = cancel => work.await,
            }
        })
    }

    fn done(&self) -> Vec<String> {
        self.scripted.done()
    }

    /// What the provisioners came to, by the events.
    fn outcomes(&self) -> Vec<(String, StepOutcome, String)> {
        let events = self.recorder.0.lock().unwrap();
        events
            .iter()
            .filter_map(|event| match event {
                Event::ProvisionerFinished {
                    provisioner,
                    outcome,
                    reason,
                    ..
                } => Some((
                    provisioner.clone(),
                    *outcome,
                    reason.clone().unwrap_or_default(),
                )),
                _ => None,
            })
            .collect()
    }

    fn says(&self, text: &str) -> bool {
        self.recorder.text().contains(text)
    }

    fn elapsed(&self) -> Duration {
        let began = cloud::Timestamp::from_second(1_790_000_000).unwrap();
        cloud::clock::between(began, self.clock.now())
    }

    fn nothing_is_left(&self) -> bool {
        let store = self.account.store();
        store
            .instances
            .values()
            .all(|instance| instance.state == cloud::InstanceState::Terminated)
    }
}

fn load(file: &Path, text: &str, local: bool) -> Result<Loaded, String> {
    let options = LoadOptions {
        local,
        env: &|name| (name == "TOKEN").then(|| String::from("s3cret-value")),
        ..LoadOptions::default()
    };
    pipeline::load(file, text.as_bytes(), &options, &pipeline::Disk)
        .map_err(|error| error.to_string())
}

fn done(report: &Report) {
    assert_eq!(report.exit, ExitCode::Done, "{:?}", report.failures);
}

/// The message of the only failure.
fn failed(report: &Report) -> String {
    assert_eq!(report.exit, ExitCode::Failed, "{report:?}");
    assert_eq!(report.failures.len(), 1, "{report:?}");
    report.failures[0].error.clone()
}

const MINUTE: Duration = Duration::from_secs(60);

fn answer(status: u16, body: &str) -> Result<HttpAnswer, String> {
    Ok(HttpAnswer {
        status,
        body: body.as_bytes().to_vec(),
    })
}
