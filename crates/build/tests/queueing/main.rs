//! Whole runs that want the same thing at the same time, from several hosts, some of which die.

mod deaths;
#[path = "../fake/mod.rs"]
mod fake;
mod leases;
mod pools;
mod turns;

use build::cancel::cancellation;
use build::event::Event;
use build::journal::{Invocation, JournalWatch};
use build::lease::{Fence, Leases, Renewal};
use build::names::{RunId, tag};
use build::options::*;
use build::ports::Ports;
use build::report::{ExitCode, Report};
use build::run::{resume, run};
use cloud::{
    Address, AddressBinding, Clock, Image, ImageState, Instance, InstanceState, ParameterWrite,
    Purchase, Region, Tags,
};
use fake::account::FakeAccount;
use fake::guest::FakeGuests;
use fake::time::EventClock;
use fake::{Home, Recorder};
use futures::FutureExt;
use futures::future::{join, join_all};
use pipeline::{LoadOptions, Loaded};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const ONE: &str = "eipalloc-1";
const POOL: &str = "{ tag: { Purpose: builders } }";

struct World {
    account: FakeAccount,
    clock: EventClock,
    /// How long each script in a guest takes.
    work: Duration,
}

/// A host with its own state folder.
struct Host(tempfile::TempDir);

impl Host {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
}

/// A run to be done.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    number: u64,
    pipeline: &'a str,
    address: Option<&'a str>,
    cache: bool,
}

fn wanted(number: u64, address: &str) -> Wanted<'_> {
    Wanted {
        number,
        pipeline: "p",
        address: Some(address),
        cache: false,
    }
}

impl Wanted<'_> {
    fn id(&self) -> RunId {
        RunId::from_random(self.number)
    }

    fn load(&self) -> Arc<Loaded> {
        let address = match self.address {
            Some(choice) => {
                format!(", address: {{ elastic_ip: {choice}, bind: api, wait: 10m }}")
            }
            None => String::new(),
        };
        let cache = if self.cache { "" } else { "\n    cache: false" };
        let text = format!(
            "name: {}\naws: {{ region: us-east-2 }}\nstages:\n  base:\n    source: {{ image_id: ami-1source }}\n    \
             launch: {{ instance_type: t3.micro }}\n    connect: {{ user: ec2-user{address} }}\n    \
             provision: [{{ run: {{ name: install, inline: 'true' }} }}]\n    \
             image: {{ name: 'image-${{{{ run.id }}}}' }}{cache}\n",
            self.pipeline
        );
        let options = LoadOptions {
            local: false,
            vars: Vec::new(),
            vars_files: Vec::new(),
            env: &|_| None,
            home: None,
            ..LoadOptions::default()
        };
        let path = Path::new("/p.yaml");
        let loaded = pipeline::load(path, text.as_bytes(), &options, &pipeline::Disk);
        Arc::new(loaded.unwrap_or_else(|error| panic!("{error}\n{text}")))
    }
}

/// Kills the process, as a test may: once `when` says so after a record was written.
struct KillAfter(Box<dyn Fn(u64) -> bool + Send + Sync>);

impl JournalWatch for KillAfter {
    fn before(&self, _: u64) {}
    fn after(&self, number: u64) {
        if (self.0)(number) {
            std::panic::resume_unwind(Box::new("killed"));
        }
    }
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
        let work = Duration::ZERO;
        Self {
            account,
            clock,
            work,
        }
    }

    /// Where a build takes longer than a lease lasts that is not renewed.
    fn of_slow_builds() -> Self {
        Self {
            work: Duration::from_secs(150),
            ..Self::new()
        }
    }

    fn pool(&self, members: u8) {
        let mut store = self.account.store();
        store.addresses.clear();
        for member in 1..=members {
            let id = format!("eipalloc-{member}");
            let address = Address {
                allocation_id: id.as_str().into(),
                public_ip: Ipv4Addr::new(198, 51, 100, member),
                binding: None,
                tags: Tags::new().with("Purpose", "builders"),
            };
            store.addresses.insert(id, address);
        }
    }

    /// An instance that has the address `allocation`.
    fn occupy(&self, allocation: &str, instance: &str, tags: Tags) {
        let mut store = self.account.store();
        let occupant = Instance {
            availability_zone: None,
            instance_type: "t3.micro".into(),
            ipv6: None,
            instance_id: instance.into(),
            state: InstanceState::Running,
            state_reason: None,
            image_id: None,
            public_ip: None,
            private_ip: None,
            vpc_id: None,
            security_groups: Vec::new(),
            launched: None,
            key_name: None,
            tags,
            purchase: Purchase::OnDemand,
        };
        store.instances.insert(instance.to_owned(), occupant);
        store.addresses.get_mut(allocation).unwrap().binding = Some(AddressBinding {
            association_id: "eipassoc-before".into(),
            instance_id: Some(instance.into()),
        });
    }

    fn state(&self, instance: &str) -> InstanceState {
        self.account.store().instances[instance].state
    }

    fn ports(&self, recorder: &Arc<Recorder>, watch: Option<Arc<dyn JournalWatch>>) -> Ports {
        Ports {
            host: build::host::Host::absent(),
            account: Arc::new(self.account.clone()),
            clock: Arc::new(self.clock.clone()),
            guests: Arc::new(FakeGuests {
                works: Some((Arc::new(self.clock.clone()), self.work)),
                ..FakeGuests::default()
            }),
            caller_address: Arc::new(Home),
            observer: recorder.clone(),
            journal_watch: watch,
        }
    }

    async fn run(&self, host: &Host, wanted: Wanted<'_>) -> (Report, Arc<Recorder>) {
        let recorder = Arc::new(Recorder::default());
        let ports = self.ports(&recorder, None);
        // Whoever has the canceller may stop the run.
        let (_canceller, cancellation) = cancellation();
        let report = run(
            wanted.load(),
            wanted.id(),
            options(host),
            ports,
            cancellation,
        )
        .await;
        (report, recorder)
    }

    async fn resume(&self, host: &Host, wanted: Wanted<'_>) -> Report {
        let ports = self.ports(&Arc::default(), None);
        let (_canceller, cancellation) = cancellation();
        resume(
            wanted.load(),
            wanted.id(),
            options(host),
            ports,
            cancellation,
        )
        .await
    }

    /// Runs until `when` holds after a record was written; then it is dead.
    async fn killed(
        &self,
        host: &Host,
        wanted: Wanted<'_>,
        when: impl Fn(u64) -> bool + Send + Sync + 'static,
    ) {
        let watch: Arc<dyn JournalWatch> = Arc::new(KillAfter(Box::new(when)));
        let ports = self.ports(&Arc::default(), Some(watch));
        let (_canceller, cancellation) = cancellation();
        let work = run(
            wanted.load(),
            wanted.id(),
            options(host),
            ports,
            cancellation,
        );
        let ended = AssertUnwindSafe(work).catch_unwind().await;
        assert!(ended.is_err(), "it was not killed but ended: {ended:?}");
    }

    /// Kills once the run has bound its address.
    async fn killed_with_the_address(&self, host: &Host, wanted: Wanted<'_>) {
        let account = self.account.clone();
        self.killed(host, wanted, move |_| {
            account
                .store()
                .addresses
                .values()
                .any(|a| a.binding.is_some())
        })
        .await;
    }

    fn seconds(&self) -> i64 {
        self.clock.now().as_second() - 1_790_000_000
    }

    /// What is there besides images, their snapshots, and what was there before.
    fn clutter(&self) -> Vec<String> {
        let mut holdings = self.account.holdings();
        holdings.retain(|thing| !thing.starts_with("ami-") && !thing.starts_with("snap-"));
        holdings
    }
}

fn options(host: &Host) -> RunOptions {
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
        state_dir: host.0.path().to_owned(),
        invocation: Invocation::default(),
    }
}

fn assert_done(report: &Report) {
    assert_eq!(report.exit, ExitCode::Done, "{:?}", report.failures);
}
