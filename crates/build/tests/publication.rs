//! What becomes of an image, in whole runs: in all regions, with other images in the way, and whatever dies when.

mod fake;

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

#[test]
fn an_image_and_its_copies_get_all_that_was_asked_for() {
    let world = World::new();
    let report = world.done(wanted(1, ALL));
    let images = world.named("golden");
    assert_eq!(images.len(), 3, "{images:?}");
    let home = images[HOME].image_id.to_string();
    for (region, image) in &images {
        let there = world.region(region);
        for (key, value) in [
            ("Purpose", "base"),
            (tag::COMPLETE, "true"),
            (tag::STAGE, "base"),
            (tag::CELL, HOME),
            (tag::RUN, wanted(1, ALL).id().as_str()),
            (tag::SOURCE_IMAGE, "ami-0source"),
        ] {
            assert_eq!(image.tags.get(key), Some(value), "{region} {key}");
        }
        assert!(image.tags.get(tag::CACHE_KEY).is_some(), "{region}");
        let of = (*region != HOME).then_some(home.as_str());
        assert_eq!(image.tags.get(tag::COPY_OF), of, "{region}");
        assert!(image.protected, "{region}");
        let end = image.deprecated.unwrap().as_second() - images[HOME].created.unwrap().as_second();
        assert_eq!(end, 30 * 86_400, "{region}: copies end with their image");
        assert_eq!(shared_with(&there, image.image_id.as_str()), [OTHERS]);
        for snapshot in &image.snapshots {
            assert_eq!(shared_with(&there, snapshot.as_str()), [OTHERS]);
            let store = there.store();
            let tags = &store.snapshots[snapshot.as_str()].tags;
            assert_eq!(tags.get("Purpose"), Some("base"), "{region}");
            assert_eq!(tags.get(tag::STAGE), Some("base"), "{region}");
        }
        let store = there.store();
        assert!(store.imds_v2_required.contains(&image.image_id), "{region}");
        // Snapshots before the image: nobody sees an image that cannot be copied yet.
        assert!(store.shared[0].starts_with("snap-"), "{:?}", store.shared);
    }
    for region in [HOME, WEST, EUROPE] {
        let value = images[region].image_id.to_string();
        let held = world.held(region, "/images/golden");
        assert_eq!(held, Some((value, ParameterKind::Image)), "{region}");
    }
    assert!(world.held(HOME, "/images/at-home").is_some());
    assert_eq!(world.held(WEST, "/images/at-home"), None);
    let west = world.region(WEST);
    let europe = world.region(EUROPE);
    assert!(!west.store().copies[0].encrypted);
    let copy = europe.store().copies[0].clone();
    assert!(copy.encrypted);
    assert_eq!(copy.kms_key_id.as_deref(), Some("alias/images"));
    let copies = &report.images[0].copies;
    let regions: Vec<&str> = copies.iter().map(|copy| copy.region.as_str()).collect();
    assert_eq!(regions, [EUROPE, WEST]);
    assert!(copies.iter().all(|copy| copy.error.is_none()));
    assert_eq!(
        copies[1].image_id.as_deref(),
        Some(images[WEST].image_id.as_str())
    );
    assert!(world.clutter().is_empty(), "{:?}", world.clutter());
}

#[test]
fn a_second_run_touches_nothing_that_is_so_already() {
    let world = World::new();
    world.done(wanted(1, ALL));
    let before: Vec<_> = [HOME, WEST, EUROPE]
        .map(|region| world.region(region).store().calls.len())
        .to_vec();
    let report = world.done(wanted(2, ALL));
    assert!(report.images[0].cached);
    assert_eq!(report.images[0].copies.len(), 2);
    for (region, before) in [HOME, WEST, EUROPE].into_iter().zip(before) {
        let there = world.region(region);
        let store = there.store();
        let changes: Vec<&&str> = store.calls[before..]
            .iter()
            .filter(|call| !call.starts_with("Describe") && !call.starts_with("Get"))
            .collect();
        // The run's own lease, and IMDSv2, which nothing shows of.
        let changes: Vec<&&&str> = changes
            .iter()
            .filter(|call| !["PutParameter", "DeleteParameter"].contains(call))
            .collect();
        assert!(
            changes.iter().all(|call| ***call == "ModifyImageAttribute") && changes.len() <= 1,
            "{region}: {changes:?}"
        );
    }
}

#[test]
fn one_region_that_fails_leaves_the_others_done_and_a_second_run_makes_what_is_missing() {
    let world = World::new();
    let denied = Fault::Refused(ErrorKind::AccessDenied);
    world
        .region(WEST)
        .store()
        .faults
        .push(("CopyImage", denied));
    let report = world.run(wanted(1, ALL));
    assert_eq!(report.exit, ExitCode::Failed);
    let failure = &report.failures[0];
    assert!(
        failure.error.contains("in us-west-2, copying the image"),
        "{}",
        failure.error
    );
    assert!(failure.hint.as_ref().unwrap().contains("Run again"));
    let copies = &report.images[0].copies;
    assert!(copies[0].error.is_none() && copies[0].image_id.is_some());
    assert!(copies[1].error.is_some() && copies[1].image_id.is_none());
    // What could be done was done to its end.
    for region in [HOME, EUROPE] {
        assert!(world.held(region, "/images/golden").is_some(), "{region}");
    }
    assert_eq!(world.held(WEST, "/images/golden"), None);
    let report = world.done(wanted(2, ALL));
    assert!(report.images[0].cached);
    assert!(world.held(WEST, "/images/golden").is_some());
    assert_eq!(world.calls(EUROPE, "CopyImage"), 1, "it was copied again");
    assert_eq!(world.calls(HOME, "RunInstances"), 1, "it was built again");
    let west = &world.named("golden")[WEST];
    assert_eq!(west.tags.get(tag::RUN), Some(wanted(2, ALL).id().as_str()));
}

#[test]
fn a_copy_that_ec2_has_no_room_for_waits_its_turn() {
    let world = World::new();
    for _ in 0..3 {
        let full = Fault::Refused(ErrorKind::Quota);
        world.region(WEST).store().faults.push(("CopyImage", full));
    }
    let before = world.clock.now();
    world.done(wanted(1, ALL));
    assert_eq!(world.calls(WEST, "CopyImage"), 4);
    assert!(cloud::clock::between(before, world.clock.now()) >= Duration::from_secs(90));
    assert!(world.recorder.text().contains("waiting for a turn"));
}

#[test]
fn a_copy_whose_reply_is_lost_is_made_once() {
    let world = World::new();
    world
        .region(WEST)
        .store()
        .faults
        .push(("CopyImage", Fault::LostReply));
    world.done(wanted(1, ALL));
    assert_eq!(world.calls(WEST, "CopyImage"), 1);
    assert_eq!(world.region(WEST).store().images.len(), 1);
}

#[test]
fn a_copy_that_fails_goes_and_its_snapshots_with_it() {
    let world = World::new();
    world.region(WEST).store().image_fails = true;
    let why = world.fails(wanted(1, ALL));
    assert!(why.contains("in us-west-2"), "{why}");
    let west = world.region(WEST);
    assert!(west.store().images.is_empty() && west.store().snapshots.is_empty());
    assert_eq!(world.named("golden").len(), 2);
}

#[test]
fn properties_that_create_image_cannot_give_are_registered() {
    let world = World::new();
    let lines = "      name: golden\n      architecture: arm64\n      boot_mode: uefi\n      tpm: v2.0\n      imds: v2\n      \
                 sriov: true\n      volumes: [{ device: /dev/sda1, type: gp3, size_gib: 20 }]\n";
    world.done(wanted(1, lines));
    let store = world.account.store();
    assert!(store.captures.is_empty());
    let request = &store.registrations[0];
    assert_eq!(request.architecture, "arm64");
    assert_eq!(request.boot_mode.as_deref(), Some("uefi"));
    assert_eq!(request.tpm.as_deref(), Some("v2.0"));
    assert_eq!(
        (request.ena, request.sriov, request.imds_v2),
        (Some(true), true, true)
    );
    assert_eq!(request.root_device, "/dev/sda1");
    let [root] = request.volumes.as_slice() else {
        panic!("{:?}", request.volumes)
    };
    assert_eq!((root.size_gib, root.encrypted), (Some(20), None));
    assert_eq!(root.volume_type, Some(VolumeType("gp3".into())));
    let snapshot = &store.snapshots[root.snapshot_id.as_ref().unwrap().as_str()];
    assert_eq!(snapshot.tags.get(tag::STAGE), Some("base"));
    assert_eq!(request.image_tags.get(tag::STAGE), Some("base"));
    drop(store);
    assert_eq!(
        world.named("golden")[HOME].tags.get(tag::COMPLETE),
        Some("true")
    );
    assert!(world.clutter().is_empty(), "{:?}", world.clutter());
}

#[test]
fn a_registered_image_has_no_snapshot_of_a_volume_that_it_leaves_out() {
    let world = World::new();
    let lines = "      name: golden\n      boot_mode: uefi\n      volumes: [{ device: /dev/sdb, no_device: true }, \
                 { device: /dev/sdd, size_gib: 5 }]\n";
    world.done(Wanted {
        launch: ", volumes: [{ device: /dev/sdb, size_gib: 1 }, { device: /dev/sdc, size_gib: 2 }]",
        ..wanted(1, lines)
    });
    let store = world.account.store();
    let request = &store.registrations[0];
    let volumes: Vec<_> = request
        .volumes
        .iter()
        .map(|volume| (volume.device.as_str(), volume.snapshot_id.is_some()))
        .collect();
    assert_eq!(
        volumes,
        [("/dev/sda1", true), ("/dev/sdc", true), ("/dev/sdd", false)]
    );
    assert_eq!(store.snapshots.len(), 2);
}

#[test]
fn an_image_without_its_root_device_is_refused_before_the_launch() {
    let world = World::new();
    let why = world.fails(wanted(
        1,
        "      name: golden\n      volumes: [{ device: /dev/sda1, no_device: true }]\n",
    ));
    assert!(why.contains("root device"), "{why}");
    assert_eq!(world.calls(HOME, "RunInstances"), 0);
}

#[test]
fn replies_that_are_lost_register_nothing_twice() {
    for call in ["CreateSnapshots", "RegisterImage"] {
        let world = World::new();
        world.account.store().faults.push((call, Fault::LostReply));
        world.done(wanted(1, "      name: golden\n      boot_mode: uefi\n"));
        assert_eq!(world.calls(HOME, call), 1, "{call}");
        assert_eq!(world.account.store().snapshots.len(), 1, "{call}");
    }
}

#[test]
fn snapshots_without_an_image_go() {
    let world = World::new();
    let denied = Fault::Refused(ErrorKind::AccessDenied);
    world.account.store().faults.push(("RegisterImage", denied));
    world.fails(wanted(1, "      name: golden\n      boot_mode: uefi\n"));
    assert_eq!(world.account.holdings(), ["ami-0source"]);
}

#[test]
fn enhanced_networking_is_set_on_the_stopped_instance() {
    let world = World::new();
    world.done(wanted(
        1,
        "      name: golden\n      ena: false\n      sriov: true\n",
    ));
    let store = world.account.store();
    let asked: Vec<_> = store.networking.values().collect();
    let wanted = EnhancedNetworking {
        ena: Some(false),
        sriov: true,
    };
    assert_eq!(asked, [&wanted]);
    assert_eq!(store.captures.len(), 1);
}

#[test]
fn an_encrypted_image_is_encrypted_from_the_launch_on() {
    let world = World::new();
    let lines = "      name: golden\n      encrypted: true\n      kms_key_id: alias/images\n";
    world.done(wanted(1, lines));
    let store = world.account.store();
    let [root] = store.launches[0].volumes.as_slice() else {
        panic!("{:?}", store.launches[0].volumes)
    };
    // The source's own root device, which `launch` does not mention.
    assert_eq!(root.device, "/dev/sda1");
    assert_eq!(root.encrypted, Some(true));
    assert_eq!(root.kms_key_id.as_deref(), Some("alias/images"));
    assert!(store.copies.is_empty(), "a second image was made for it");
}

#[test]
fn an_image_is_tested_before_it_counts() {
    let world = World::new();
    world.done(wanted(1, ALL).with(TEST));
    assert_eq!(world.scripts(), ["install", "check"]);
    let store = world.account.store();
    let image = store.images.values().find(|image| image.name == "golden");
    let image = image.unwrap();
    assert!(image.tags.get(tag::TESTED).is_some());
    let [build, test] = store.launches.as_slice() else {
        panic!("{:?}", store.launches.len())
    };
    assert_eq!(build.image_id.as_str(), "ami-0source");
    assert_eq!(test.image_id, image.image_id);
    let cell = |request: &LaunchRequest| request.tags.instance.get(tag::CELL).unwrap().to_owned();
    assert_eq!(
        (cell(build), cell(test)),
        (HOME.into(), format!("{HOME}+test"))
    );
    let position = |wanted: &str| {
        store
            .calls
            .iter()
            .rposition(|call| *call == wanted)
            .unwrap()
    };
    assert!(position("RunInstances") < position("CreateTags"));
    drop(store);
    for region in [WEST, EUROPE] {
        let copy = &world.named("golden")[region];
        assert!(copy.tags.get(tag::TESTED).is_some(), "{region}");
    }
    assert!(world.clutter().is_empty(), "{:?}", world.clutter());
    // Found by the next run, it is not tested again.
    world.done(wanted(2, ALL).with(TEST));
    assert_eq!(world.scripts(), ["install", "check"]);
}

#[test]
fn an_image_that_fails_its_test_is_never_seen_by_anybody() {
    let world = World {
        behaviour: Behaviour {
            exit_codes: vec![("check".into(), 3)],
            ..Behaviour::default()
        },
        ..World::new()
    };
    let why = world.fails(wanted(1, ALL).with(TEST));
    assert!(
        why.contains("failed its test while provisioning") && why.contains("exit code 3"),
        "{why}"
    );
    assert_eq!(world.account.holdings(), ["ami-0source"]);
    assert!(world.account.store().shared.is_empty());
    assert_eq!(world.calls(WEST, "CopyImage"), 0);
}

#[test]
fn a_failed_test_is_kept_if_asked_for_and_is_still_not_found() {
    let world = World {
        behaviour: Behaviour {
            exit_codes: vec![("check".into(), 3)],
            ..Behaviour::default()
        },
        ..World::new()
    };
    let keeping = Wanted {
        on_failure: OnFailure::Keep,
        ..wanted(1, ALL).with(TEST)
    };
    let report = world.run(keeping);
    assert_eq!(report.exit, ExitCode::Failed, "{:?}", report.left_behind);
    let kept: Vec<&str> = report.kept.iter().map(|one| one.kind.as_str()).collect();
    assert!(
        kept.contains(&"image") && kept.contains(&"instance"),
        "{kept:?}"
    );
    assert_eq!(report.ways_in.len(), 1);
    let image = world.named("golden")[HOME].clone();
    assert!(image.tags.get(tag::KEPT).is_some());
    assert_eq!(image.tags.get(tag::COMPLETE), None);
    let store = world.account.store();
    let running: Vec<&Instance> = store
        .instances
        .values()
        .filter(|instance| !instance.state.is_ending())
        .collect();
    assert_eq!(running.len(), 1);
    assert_eq!(running[0].image_id.as_ref(), Some(&image.image_id));
    drop(store);
    // The name is the kept image's now.
    let why = world.fails(wanted(2, ALL).with(TEST));
    assert!(why.contains("the image name `golden` is taken"), "{why}");
}

#[test]
fn checks_that_take_too_long_end_the_test() {
    let world = World::new();
    let test =
        "    test: { provision: [{ run: { name: check, inline: 'true' } }], timeout: 10s }\n";
    let why = world.fails(wanted(1, ALL).with(test));
    assert!(why.contains("test.timeout"), "{why}");
    assert_eq!(world.account.holdings(), ["ami-0source"]);
}

#[test]
fn an_image_from_before_its_test_is_tested_and_stays_if_it_fails() {
    let mut world = World::new();
    world.done(wanted(1, "      name: golden\n      imds: v2\n"));
    world.behaviour.exit_codes = vec![("check".into(), 3)];
    let why = world.fails(wanted(2, ALL).with(TEST));
    assert!(why.contains("failed its test"), "{why}");
    let image = world.named("golden")[HOME].clone();
    assert_eq!(image.tags.get(tag::COMPLETE), Some("true"), "others use it");
    assert!(world.account.store().shared.is_empty());
    world.behaviour.exit_codes.clear();
    world.done(wanted(3, ALL).with(TEST));
    let image = world.named("golden")[HOME].clone();
    assert!(image.tags.get(tag::TESTED).is_some());
    assert_eq!(world.calls(HOME, "CreateImage"), 1);
}

#[test]
fn a_taken_name_is_told_for_every_region_before_anything_is_launched() {
    let world = World::new();
    world.old(HOME, true);
    world.old(EUROPE, false);
    let why = world.fails(wanted(1, ALL));
    assert!(
        why.contains(
            "taken in us-east-2 by ami-0old-us-east-2 and in eu-west-1 by ami-0old-eu-west-1"
        ),
        "{why}"
    );
    assert_eq!(world.calls(HOME, "RunInstances"), 0);
}

const SKIP: &str =
    "      name: golden\n      on_conflict: skip\n      share: { accounts: ['111122223333'] }\n";

#[test]
fn the_image_that_has_the_name_may_be_the_result() {
    for ours in [true, false] {
        let world = World::new();
        world.old(HOME, ours);
        let report = world.done(wanted(1, SKIP));
        assert_eq!(report.images[0].image_id, "ami-0old-us-east-2");
        assert!(report.images[0].cached);
        assert_eq!(world.calls(HOME, "RunInstances"), 0);
        // Another's is left as it is.
        let shared = !world.account.store().shared.is_empty();
        assert_eq!(shared, ours);
    }
}

#[test]
fn a_region_whose_name_is_anothers_is_skipped() {
    let world = World::new();
    world.old(WEST, false);
    let lines = format!(
        "{SKIP}      copy_to: [us-west-2, eu-west-1]\n      parameters: [{{ name: /images/golden }}]\n"
    );
    let report = world.done(wanted(1, &lines));
    let west = &report.images[0].copies[1];
    assert_eq!(west.image_id.as_deref(), Some("ami-0old-us-west-2"));
    assert_eq!(west.error, None);
    assert_eq!(world.calls(WEST, "CopyImage"), 0);
    assert_eq!(world.held(WEST, "/images/golden"), None);
    assert!(world.held(EUROPE, "/images/golden").is_some());
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

#[test]
fn an_image_takes_the_name_of_the_one_before_it() {
    let world = to_be_replaced();
    let report = world.done(wanted(1, REPLACE));
    check_replaced(&world);
    let images = world.named("golden");
    assert_eq!(report.images[0].image_id, images[HOME].image_id.as_str());
    assert_eq!(
        images[HOME].tags.get(tag::REPLACES),
        Some("ami-0old-us-east-2")
    );
    assert_eq!(images[EUROPE].tags.get(tag::REPLACES), None);
    // Where nothing was in the way, one copy is enough.
    assert_eq!(world.calls(EUROPE, "CopyImage"), 1);
    assert_eq!(world.calls(WEST, "CopyImage"), 2);
    // The next run finds it under its name.
    let report = world.done(wanted(2, REPLACE));
    assert!(report.images[0].cached);
    assert_eq!(world.calls(WEST, "CopyImage"), 2);
    check_replaced(&world);
}

/// Asks the run to stop when an event says this.
struct StopsAt {
    said: &'static str,
    canceller: Canceller,
    recorder: Arc<Recorder>,
}

impl Observer for StopsAt {
    fn observe(&self, event: &Event) {
        self.recorder.observe(event);
        if format!("{event:?}").contains(self.said) {
            self.canceller.cancel(Cancelled::Interrupted);
        }
    }
}

fn stopped_at(world: &World, said: &'static str) -> Report {
    let (canceller, cancellation) = cancellation();
    let observer = StopsAt {
        said,
        canceller,
        recorder: world.recorder.clone(),
    };
    let ports = Ports {
        observer: Arc::new(observer),
        ..world.ports(None)
    };
    let first = wanted(1, REPLACE);
    let work = run(
        first.load(),
        first.id(),
        world.options(first),
        ports,
        cancellation,
    );
    let report = world.clock.run(work);
    assert_eq!(
        report.exit,
        ExitCode::Interrupted,
        "{said}: {:?}",
        report.failures
    );
    assert!(
        report.left_behind.is_empty(),
        "{said}: {:?}",
        report.left_behind
    );
    report
}

#[test]
fn a_name_that_is_being_changed_is_changed_before_the_run_stops() {
    for said in [
        "is retired",
        "step: Share",
        "step: Parameters",
        "step: Tidy",
    ] {
        let world = to_be_replaced();
        let report = stopped_at(&world, said);
        check_replaced(&world);
        let golden = world.named("golden");
        assert_eq!(report.images[0].image_id, golden[HOME].image_id.as_str());
        // What is done at once is over before anything could be said.
        let told = world.recorder.text();
        let is_told = told.contains("the old image is gone");
        assert!(is_told || said == "step: Tidy", "{said}: {told}");
    }
}

#[test]
fn until_a_name_is_being_changed_a_run_stops_with_everything_as_it_was() {
    let world = to_be_replaced();
    stopped_at(&world, "step: Copy");
    for region in [HOME, WEST] {
        let old = format!("ami-0old-{region}");
        assert_eq!(world.named("golden")[region].image_id.as_str(), old);
        let held = world.held(region, "/images/golden").expect("it is there");
        assert_eq!(held.0, old);
    }
    // And the next run goes on.
    world.done(wanted(2, REPLACE));
    check_replaced(&world);
}

#[test]
fn a_parameter_of_an_image_that_was_retired_is_still_the_stages() {
    let world = to_be_replaced();
    world.done(wanted(1, REPLACE));
    // As a run leaves it that dies between the old image's end and the parameters.
    for region in [HOME, WEST] {
        let old = format!("ami-0old-{region}");
        world.parameter(region, "/images/golden", &old, ParameterKind::Image);
    }
    let changed = REPLACE.replace("name: golden\n", "name: golden\n      ena: true\n");
    world.done(wanted(2, &changed));
    check_replaced(&world);
    // What no image of the stage says that it replaces is somebody else's.
    world.parameter(HOME, "/images/golden", "ami-0gone", ParameterKind::Image);
    let changed = REPLACE.replace("name: golden\n", "name: golden\n      sriov: true\n");
    let error = world.fails(wanted(3, &changed));
    assert!(error.contains("/images/golden"), "{error}");
}

#[test]
fn an_image_that_others_depend_on_is_not_replaced() {
    type Prepare = fn(&World);
    let cases: [(&str, Prepare); 5] = [
        ("this stage did not make it", |world| world.old(HOME, false)),
        ("launch template", |world| {
            world.old(HOME, true);
            world
                .account
                .store()
                .launch_template_images
                .push(LaunchTemplateImage {
                    template_id: "lt-1".into(),
                    template_name: "workers".into(),
                    version: 3,
                    image_id: "ami-0old-us-east-2".into(),
                });
        }),
        ("shared with 444455556666", |world| {
            world.old(HOME, true);
            let permissions = Permissions {
                accounts: ["444455556666".into()].into(),
                ..Permissions::default()
            };
            let mut store = world.account.store();
            store
                .permissions
                .insert("ami-0old-us-east-2".into(), permissions);
        }),
        ("protected it", |world| {
            world.old(HOME, true);
            let mut store = world.account.store();
            store
                .images
                .get_mut("ami-0old-us-east-2")
                .unwrap()
                .protected = true;
        }),
        ("this stage did not make it", |world| world.old(WEST, false)),
    ];
    for (why, prepare) in cases {
        let world = World::new();
        prepare(&world);
        let error = world.fails(wanted(1, REPLACE));
        assert!(error.contains(why), "{error}");
        assert_eq!(world.calls(HOME, "RunInstances"), 0, "{why}");
        // Whoever says so gets it replaced all the same.
        let forced = REPLACE.replace("replace", "{ replace: { force: true } }");
        world.done(wanted(2, &forced));
        check_replaced(&world);
    }
}

#[test]
fn the_protection_that_this_stage_set_is_no_obstacle() {
    let world = World::new();
    let protecting = format!("{REPLACE}      protect: true\n");
    world.done(wanted(1, &protecting));
    let first = world.named("golden")[HOME].image_id.clone();
    let other = format!("{protecting}      ena: true\n");
    world.done(wanted(2, &other));
    let second = &world.named("golden")[HOME];
    assert_ne!(second.image_id, first);
    assert!(second.protected);
}

#[test]
fn a_parameter_that_is_not_this_stages_is_not_overwritten() {
    type Prepare = fn(&World);
    let cases: [(&str, Prepare); 3] = [
        ("it holds text", |world| {
            world.parameter(
                WEST,
                "/images/golden",
                "ami-0old-us-west-2",
                ParameterKind::Text,
            );
        }),
        ("which this stage did not make", |world| {
            world.old(WEST, false);
            let there = world.region(WEST);
            there
                .store()
                .images
                .get_mut("ami-0old-us-west-2")
                .unwrap()
                .name = "other".into();
            world.parameter(
                WEST,
                "/images/golden",
                "ami-0old-us-west-2",
                ParameterKind::Image,
            );
        }),
        ("not an image of this account", |world| {
            world.parameter(WEST, "/images/golden", "ami-0gone", ParameterKind::Image);
        }),
    ];
    for (why, prepare) in cases {
        let world = World::new();
        prepare(&world);
        let error = world.fails(wanted(1, ALL));
        assert!(
            error.contains("/images/golden in us-west-2") && error.contains(why),
            "{error}"
        );
        assert_eq!(world.calls(HOME, "RunInstances"), 0, "{why}");
        let forced = ALL.replace(
            "{ name: /images/golden }",
            "{ name: /images/golden, overwrite: true }",
        );
        world.done(wanted(2, &forced));
        let west = world.named("golden")[WEST].image_id.to_string();
        assert_eq!(world.held(WEST, "/images/golden").unwrap().0, west);
    }
}

#[test]
fn the_parameters_of_a_region_are_written_together_or_not_at_all() {
    let world = World::new();
    world.done(wanted(1, ALL));
    let first = world.held(HOME, "/images/golden").unwrap();
    // Another image of the stage, whose second parameter is refused at the last moment.
    let other = ALL.replace("name: golden\n", "name: other\n      ena: true\n");
    let two = other.replace("/images/at-home, regions: build", "/images/second");
    let account = world.account.clone();
    let once = AtomicBool::new(false);
    let watch = Watch(Box::new(move |_, _| {
        let mut store = account.store();
        let written = store
            .parameters
            .get("/images/golden")
            .map(|held| held.version);
        if written == Some(2) && !once.swap(true, Ordering::SeqCst) {
            let denied = Fault::Refused(ErrorKind::AccessDenied);
            store.faults.push(("PutParameter", denied));
        }
    }));
    let wanted = wanted(2, &two);
    let (_canceller, cancellation) = cancellation();
    let ports = world.ports(Some(Arc::new(watch)));
    let work = run(
        wanted.load(),
        wanted.id(),
        world.options(wanted),
        ports,
        cancellation,
    );
    let report = world.clock.run(work);
    assert_eq!(report.exit, ExitCode::Failed, "{:?}", report.failures);
    assert!(report.failures[0].error.contains("writing the parameters"));
    // What it held before is back, as a new version.
    assert_eq!(world.held(HOME, "/images/golden"), Some(first));
    assert_eq!(
        world.account.store().parameters["/images/golden"].version,
        3
    );
    assert_eq!(world.held(HOME, "/images/second"), None);
    assert!(
        world.held(WEST, "/images/second").is_some(),
        "another region is another affair"
    );
}

#[test]
fn public_sharing_that_the_account_blocks_is_told_before_the_build() {
    let world = World::new();
    world.region(WEST).store().public_images = PublicSharing::Blocked;
    let lines = "      name: golden\n      copy_to: [us-west-2]\n      share: { public: true }\n";
    let why = world.fails(wanted(1, lines));
    assert!(
        why.contains("lets no image be shared with everyone in us-west-2"),
        "{why}"
    );
    assert_eq!(world.calls(HOME, "RunInstances"), 0);
    world.region(WEST).store().public_images = PublicSharing::Allowed;
    world.done(wanted(2, lines));
    for (region, image) in world.named("golden") {
        assert!(image.public, "{region}");
        let there = world.region(region);
        // Snapshots only if asked for.
        let snapshot = image.snapshots[0].to_string();
        assert!(
            !there.store().permissions.contains_key(&snapshot),
            "{region}"
        );
    }
}

#[test]
fn a_plan_says_what_would_become_of_the_image() {
    let world = to_be_replaced();
    let plan = world.plan(wanted(1, REPLACE).with(TEST));
    let row = &plan.rows[0];
    assert_eq!(row.copies, [WEST, EUROPE]);
    assert_eq!(row.share, [OTHERS]);
    assert!(row.tested);
    assert_eq!(row.instances, 2);
    assert_eq!(row.instance_hours, 8.0);
    assert!(
        row.warnings
            .iter()
            .any(|text| text.contains("ami-0old-us-west-2 has the name"))
    );
    assert_eq!(
        row.parameter_changes,
        [
            "us-east-2 /images/golden: ami-0old-us-east-2 → (new image)",
            "us-west-2 /images/golden: ami-0old-us-west-2 → (copy)",
            "eu-west-1 /images/golden: (none) → (copy)",
        ]
    );
    world.done(wanted(2, REPLACE).with(TEST));
    let plan = world.plan(wanted(3, REPLACE).with(TEST));
    assert!(
        plan.rows[0]
            .parameter_changes
            .iter()
            .all(|change| !change.starts_with(HOME))
    );
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

/// A run that dies at a record, before or after it is written. Gives whether it came to that.
fn dies(world: &Arc<World>, wanted: Wanted<'_>, again: bool, at: u64, after: bool) -> bool {
    let looked = world.clone();
    let watch = Watch(Box::new(move |number, written| {
        check_replacing(&looked, true);
        if (number, written) == (at, after) {
            std::panic::resume_unwind(Box::new("killed"));
        }
    }));
    let (_canceller, cancellation) = cancellation();
    let ports = world.ports(Some(Arc::new(watch)));
    let options = world.options(wanted);
    let loaded = wanted.load();
    let work = async {
        if again {
            resume(loaded, wanted.id(), options, ports, cancellation).await
        } else {
            run(loaded, wanted.id(), options, ports, cancellation).await
        }
    };
    let ended = world.clock.run(AssertUnwindSafe(work).catch_unwind());
    match ended {
        Ok(report) => {
            assert_eq!(report.exit, ExitCode::Done, "{:?}", report.failures);
            false
        }
        Err(panic) => {
            assert_eq!(
                panic.downcast_ref::<&str>(),
                Some(&"killed"),
                "a check failed"
            );
            true
        }
    }
}

/// At every record of a run that tests, copies, replaces, shares and writes parameters, the process dies; another goes on
/// with the run, or the next run of the pipeline comes. At no moment does anything hold that must not, and in the end all
/// is as if nothing had died.
#[test]
fn a_run_that_dies_anywhere_is_brought_to_its_end() {
    let mut moments = 0;
    'moments: for at in 1.. {
        // Of the four ways to die at a record and be followed, two; the next record has the other two.
        for (after, next_run) in [(false, at % 2 == 0), (true, at % 2 == 1)] {
            let world = Arc::new(to_be_replaced());
            let first = wanted(1, REPLACE).with(TEST);
            if !dies(&world, first, false, at, after) {
                break 'moments;
            }
            moments += 1;
            let report = if next_run {
                world.run(wanted(2, REPLACE).with(TEST))
            } else {
                let (_canceller, cancellation) = cancellation();
                let (ports, options) = (world.ports(None), world.options(first));
                let work = resume(first.load(), first.id(), options, ports, cancellation);
                world.clock.run(work)
            };
            if report.exit == ExitCode::BadInput {
                // Of a journal without a whole record nothing can be gone on with, and nothing was begun; and a run that
                // had written its end has nothing left to do.
                match (at, after) {
                    (1, false) => continue,
                    _ => assert!(
                        report.failures[0].error.contains("succeeded"),
                        "{:?}",
                        report.failures
                    ),
                }
            } else {
                assert_eq!(
                    report.exit,
                    ExitCode::Done,
                    "record {at}, after {after}, next {next_run}: {:?} {:?}",
                    report.failures,
                    report.left_behind
                );
            }
            check_replacing(&world, true);
            check_replaced(&world);
            let checked = world.scripts().iter().any(|name| name == "check");
            assert!(checked, "record {at}: nobody ran the test");
        }
    }
    assert!(moments > 200, "{moments}");
}
