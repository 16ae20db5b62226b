//! What becomes of an image, in whole runs: in all regions, with other images in the way, and whatever dies when.

mod deaths;
#[path = "../fake/mod.rs"]
mod fake;
mod parameters;
mod regions;
mod registered;
mod replaced;
mod tested;

use build::cancel::{Cancelled, Canceller, cancellation};
use build::event::{Event, Observer};
use build::journal::{Invocation, JournalWatch};
use build::names::{RunId, tag};
use build::options::*;
use build::plan::{Plan, plan};
use build::ports::Ports;
use build::report::{ExitCode, Report};
use build::run::{resume, run};
use cloud::*;
use fake::account::{FakeAccount, Fault, Written};
use fake::guest::{Behaviour, FakeGuests};
use fake::time::EventClock;
use fake::{Home, Recorder};
use futures::FutureExt;
use pipeline::{LoadOptions, Loaded};
use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const HOME: &str = "us-east-2";
const WEST: &str = "us-west-2";
const EUROPE: &str = "eu-west-1";
const OTHERS: &str = "111122223333";
/// Everything that can become of an image.
const ALL: &str = "      name: golden
      tags: { Purpose: base }
      copy_to: [us-west-2, { region: eu-west-1, encrypted: true, kms_key_id: alias/images }]
      share: { accounts: ['111122223333'] }
      deprecate_after: 30d
      protect: true
      imds: v2
      parameters: [{ name: /images/golden }, { name: /images/at-home, regions: build }]
";
const TEST: &str = "    test:
      provision: [{ run: { name: check, inline: 'true' } }]
      timeout: 10m
";

struct World {
    account: FakeAccount,
    clock: EventClock,
    state: tempfile::TempDir,
    behaviour: Behaviour,
    done: Arc<Mutex<Vec<String>>>,
    recorder: Arc<Recorder>,
}

/// A run to be done.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    number: u64,
    /// The lines below `image`.
    image: &'a str,
    /// Further lines of the stage.
    stage: &'a str,
    /// What else stands in `launch`.
    launch: &'a str,
    on_failure: OnFailure,
}

fn wanted(number: u64, image: &str) -> Wanted<'_> {
    Wanted {
        number,
        image,
        stage: "",
        launch: "",
        on_failure: OnFailure::CleanUp,
    }
}

impl<'a> Wanted<'a> {
    fn with(self, stage: &'a str) -> Self {
        Self { stage, ..self }
    }

    fn id(&self) -> RunId {
        RunId::from_random(self.number)
    }

    fn load(&self) -> Arc<Loaded> {
        let Self {
            image,
            stage,
            launch,
            ..
        } = self;
        let text = format!(
            "name: p\naws: {{ region: {HOME} }}\nstages:\n  base:\n    source: {{ image_id: ami-0source }}\n    \
             launch: {{ instance_type: t3.micro{launch} }}\n    connect: {{ user: ec2-user }}\n    \
             provision: [{{ run: {{ name: install, inline: 'true' }} }}]\n    image:\n{image}{stage}"
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

fn image(id: &str, name: &str) -> Image {
    Image {
        image_id: id.into(),
        name: name.into(),
        description: String::new(),
        state: ImageState::Available,
        state_reason: None,
        created: Timestamp::from_second(1_780_000_000).ok(),
        owner: Some("123456789012".into()),
        architecture: "x86_64".into(),
        root_device: Some("/dev/sda1".into()),
        snapshots: Vec::new(),
        tags: Tags::new(),
        deprecated: None,
        protected: false,
        public: false,
        boot_mode: None,
        virtualization: "hvm".into(),
        volumes: vec![EbsVolume {
            device: "/dev/sda1".into(),
            size_gib: Some(8),
            volume_type: Some(VolumeType("gp2".into())),
            ..EbsVolume::default()
        }],
    }
}

/// A folder for journals, where a record costs no disk's time if there is such a place.
fn in_memory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}

impl World {
    fn new() -> Self {
        let account = FakeAccount::new();
        let clock = EventClock::new();
        {
            let mut store = account.store();
            store.clock = Some(Arc::new(clock.clone()));
            let source = image("ami-0source", "source");
            store.images.insert("ami-0source".into(), source);
        }
        Self {
            account,
            clock,
            state: in_memory(),
            behaviour: Behaviour::default(),
            done: Arc::default(),
            recorder: Arc::default(),
        }
    }

    fn region(&self, name: &str) -> FakeAccount {
        self.account.in_region(&name.into())
    }

    /// An image of that name that another run of this stage made, or another program.
    fn old(&self, region: &str, ours: bool) {
        let there = self.region(region);
        let mut old = image(&format!("ami-0old-{region}"), "golden");
        let snapshot = SnapshotId::new(format!("snap-0old-{region}"));
        old.snapshots = vec![snapshot.clone()];
        let mut tags = Tags::new().with("Made", "earlier");
        if ours {
            tags = tags
                .with(tag::RUN, "r-00000000")
                .with(tag::PIPELINE, "p")
                .with(tag::STAGE, "base")
                .with(tag::CELL, HOME)
                .with(tag::COMPLETE, "true");
        }
        old.tags = tags.clone();
        let mut store = there.store();
        store.images.insert(old.image_id.to_string(), old);
        store.snapshots.insert(
            snapshot.to_string(),
            Snapshot {
                snapshot_id: snapshot.clone(),
                state: SnapshotState::Completed,
                progress_percent: 100,
                description: String::new(),
                volume_gib: 8,
                kms_key_id: None,
                started: None,
                tags,
            },
        );
    }

    fn parameter(&self, region: &str, name: &str, value: &str, kind: ParameterKind) {
        let written = Written {
            value: value.into(),
            version: 4,
            at: None,
            kind,
        };
        self.region(region)
            .store()
            .parameters
            .insert(name.into(), written);
    }

    fn held(&self, region: &str, name: &str) -> Option<(String, ParameterKind)> {
        let there = self.region(region);
        let store = there.store();
        let held = store.parameters.get(name)?;
        Some((held.value.clone(), held.kind))
    }

    fn ports(&self, watch: Option<Arc<dyn JournalWatch>>) -> Ports {
        Ports {
            account: Arc::new(self.account.clone()),
            clock: Arc::new(self.clock.clone()),
            guests: Arc::new(FakeGuests {
                behaviour: self.behaviour.clone(),
                done: self.done.clone(),
                works: Some((Arc::new(self.clock.clone()), Duration::from_secs(20))),
                ..FakeGuests::default()
            }),
            caller_address: Arc::new(Home),
            observer: self.recorder.clone(),
            host: build::host::Host::absent(),
            journal_watch: watch,
        }
    }

    fn options(&self, wanted: Wanted<'_>) -> RunOptions {
        RunOptions {
            venue: Venue::Aws,
            region: HOME.into(),
            cells: CellOptions::default(),
            endpoint: None,
            guest_endpoint: GuestEndpoint::Regional,
            ssh_port: 22,
            on_failure: wanted.on_failure,
            debugging: Debugging::Off,
            rebuild: BTreeSet::new(),
            agent_socket: None,
            state_dir: self.state.path().to_owned(),
            invocation: Invocation::default(),
        }
    }

    fn run(&self, wanted: Wanted<'_>) -> Report {
        let (_canceller, cancellation) = cancellation();
        let (ports, options) = (self.ports(None), self.options(wanted));
        let work = run(wanted.load(), wanted.id(), options, ports, cancellation);
        self.clock.run(work)
    }

    /// Runs and succeeds.
    fn done(&self, wanted: Wanted<'_>) -> Report {
        let report = self.run(wanted);
        assert_eq!(report.exit, ExitCode::Done, "{:?}", report.failures);
        report
    }

    /// Runs, fails cleanly, and gives why.
    fn fails(&self, wanted: Wanted<'_>) -> String {
        let report = self.run(wanted);
        assert_eq!(report.exit, ExitCode::Failed, "{:?}", report.left_behind);
        report.failures[0].error.clone()
    }

    fn plan(&self, wanted: Wanted<'_>) -> Plan {
        let (ports, options) = (self.ports(None), self.options(wanted));
        let loaded = wanted.load();
        self.clock
            .run(plan(&loaded.pipeline, &options, &ports))
            .unwrap()
    }

    /// The images of that name, by region.
    fn named(&self, name: &str) -> BTreeMap<&'static str, Image> {
        let mut found = BTreeMap::new();
        for region in [HOME, WEST, EUROPE] {
            let there = self.region(region);
            let store = there.store();
            let mut images = store.images.values().filter(|image| image.name == name);
            if let Some(image) = images.next() {
                found.insert(region, image.clone());
            }
        }
        found
    }

    fn calls(&self, region: &str, call: &str) -> usize {
        let there = self.region(region);
        let store = there.store();
        store.calls.iter().filter(|made| **made == call).count()
    }

    fn scripts(&self) -> Vec<String> {
        let done = self.done.lock().unwrap();
        done.iter()
            .filter_map(|line| line.strip_prefix("run "))
            .filter(|name| !["scrub", "wait-cloud-init"].contains(name))
            .map(str::to_owned)
            .collect()
    }

    /// What is there besides the images, their snapshots and the parameters that name them.
    fn clutter(&self) -> Vec<String> {
        let mut holdings = self.account.holdings();
        holdings.retain(|thing| {
            !["ami-", "snap-", "/images/"]
                .iter()
                .any(|prefix| thing.starts_with(prefix))
        });
        holdings
    }
}

fn shared_with(store: &FakeAccount, id: &str) -> Vec<String> {
    let store = store.store();
    let permissions = store.permissions.get(id).cloned().unwrap_or_default();
    permissions
        .accounts
        .iter()
        .map(ToString::to_string)
        .collect()
}

const REPLACE: &str = "      name: golden
      on_conflict: replace
      copy_to: [us-west-2, eu-west-1]
      share: { accounts: ['111122223333'] }
      parameters: [{ name: /images/golden }]
";

/// Where an image of the name is there, in the build's region and in one that it is copied to.
fn to_be_replaced() -> World {
    let world = World::new();
    world.old(HOME, true);
    world.old(WEST, true);
    for region in [HOME, WEST] {
        let old = format!("ami-0old-{region}");
        world.parameter(region, "/images/golden", &old, ParameterKind::Image);
    }
    world
}

/// What must hold of a run that replaces, at every moment.
fn check_replacing(world: &World, tested: bool) {
    for region in [HOME, WEST, EUROPE] {
        let there = world.region(region);
        let store = there.store();
        let old = format!("ami-0old-{region}");
        let is_good = |image: &Image| {
            image.tags.get(tag::COMPLETE).is_some()
                && (!tested || image.tags.get(tag::TESTED).is_some())
        };
        let new = store
            .images
            .values()
            .filter(|image| image.tags.get(tag::CACHE_KEY).is_some());
        if region != EUROPE {
            let good = new
                .clone()
                .any(|image| is_good(image) && image.state == ImageState::Available);
            assert!(
                store.images.contains_key(&old) || good,
                "{region}: the old image is gone, and there is no new one"
            );
            let named = new
                .clone()
                .any(|image| image.name == "golden" && is_good(image));
            assert!(
                store.snapshots.contains_key(&format!("snap-0old-{region}")) || named,
                "{region}: the old snapshots are gone before there is a new image"
            );
        }
        for image in new {
            assert!(
                image.tags.get(tag::COMPLETE).is_none() || is_good(image),
                "{region}: complete, and not tested"
            );
            if store.permissions.contains_key(image.image_id.as_str()) {
                assert!(is_good(image), "{region}: shared before it is complete");
            }
        }
        if let Some(held) = store.parameters.get("/images/golden")
            && held.value != old
        {
            let image = &store.images[held.value.as_str()];
            assert!(
                is_good(image) && image.name == "golden",
                "{region}: {image:?}"
            );
            assert!(
                store.permissions.contains_key(image.image_id.as_str()),
                "{region}: a parameter names what is not shared"
            );
        }
    }
}

/// What is there in the end.
fn check_replaced(world: &World) {
    let images = world.named("golden");
    assert_eq!(images.len(), 3);
    for (region, image) in &images {
        assert_eq!(image.tags.get(tag::COMPLETE), Some("true"), "{region}");
        assert_eq!(image.tags.get(tag::FINAL_NAME), None, "{region}");
        let there = world.region(region);
        let store = there.store();
        let source = usize::from(*region == HOME);
        assert_eq!(
            store.images.len(),
            1 + source,
            "{region}: {:?}",
            store.images.keys()
        );
        let snapshots: Vec<&String> = store.snapshots.keys().collect();
        let own: Vec<&str> = image.snapshots.iter().map(SnapshotId::as_str).collect();
        assert_eq!(snapshots, own, "{region}");
        assert_eq!(
            store.parameters["/images/golden"].value,
            image.image_id.as_str()
        );
    }
    assert!(world.clutter().is_empty(), "{:?}", world.clutter());
}

/// Is told of every moment before and after a record.
struct Watch(Box<dyn Fn(u64, bool) + Send + Sync>);

impl JournalWatch for Watch {
    fn before(&self, number: u64) {
        (self.0)(number, false);
    }
    fn after(&self, number: u64) {
        (self.0)(number, true);
    }
}
