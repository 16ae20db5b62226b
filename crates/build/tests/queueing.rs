//! Whole runs that want the same thing at the same time, from several hosts, some of which die.

mod fake;

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

#[test]
fn runs_that_want_one_address_take_it_one_after_another_in_order_of_arrival() {
    let world = World::of_slow_builds();
    let hosts: Vec<Host> = (0..5).map(|_| Host::new()).collect();
    let runs = hosts.iter().zip(1..).map(|(host, number)| {
        let world = &world;
        async move {
            world.clock.sleep(Duration::from_secs(number * 3)).await;
            let (report, recorder) = world.run(host, wanted(number, ONE)).await;
            (report, recorder.text())
        }
    });
    let ended = world.clock.run(join_all(runs));
    for (report, _) in &ended {
        assert_done(report);
    }
    let ids: Vec<String> = ended
        .iter()
        .map(|(report, _)| report.run.to_string())
        .collect();
    let store = world.account.store();
    let in_turn: Vec<String> = store
        .bound
        .iter()
        .map(|(_, instance)| {
            store.instances[instance]
                .tags
                .get(tag::RUN)
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(in_turn, ids);
    drop(store);
    let (_, said) = &ended[4];
    assert!(said.contains("is held by run"), "{said}");
    assert!(said.contains("before us"), "{said}");
    assert_eq!(world.clutter(), Vec::<String>::new());
}

#[test]
fn runs_that_come_at_the_same_moment_all_have_their_turn() {
    let world = World::of_slow_builds();
    let hosts: Vec<Host> = (0..12).map(|_| Host::new()).collect();
    let runs = hosts
        .iter()
        .zip(1..)
        .map(|(host, number)| world.run(host, wanted(number, ONE)));
    for (report, _) in world.clock.run(join_all(runs)) {
        assert_done(&report);
    }
    assert_eq!(world.account.store().most_bound, 1);
    assert_eq!(world.account.store().bound.len(), 12);
    assert_eq!(world.clutter(), Vec::<String>::new());
}

#[test]
fn a_run_that_dies_on_another_host_with_the_address_is_taken_over_after_two_minutes() {
    let world = World::new();
    let (first, second) = (Host::new(), Host::new());
    let (report, _) = world.clock.run(async {
        world.killed_with_the_address(&first, wanted(1, ONE)).await;
        world.run(&second, wanted(2, ONE)).await
    });
    assert_done(&report);
    assert!(world.seconds() >= 110, "{}", world.seconds());
    assert!(world.seconds() < 240, "{}", world.seconds());
    let dead = world.account.store().bound[0].1.clone();
    assert_eq!(world.state(&dead), InstanceState::Terminated);
    // The rest of what the dead one left is for a sweep; its tickets are nobody else's to delete.
    assert!(world.clutter().iter().any(|name| name.contains("/run/")));
}

#[test]
fn a_run_that_dies_on_this_host_with_the_address_is_taken_over_at_once() {
    let world = World::new();
    let host = Host::new();
    let other = Wanted {
        pipeline: "other",
        ..wanted(2, ONE)
    };
    let (report, _) = world.clock.run(async {
        world.killed_with_the_address(&host, wanted(1, ONE)).await;
        world.run(&host, other).await
    });
    assert_done(&report);
    assert!(world.seconds() < 60, "{}", world.seconds());
    let dead = world.account.store().bound[0].1.clone();
    assert_eq!(world.state(&dead), InstanceState::Terminated);
}

#[test]
fn a_run_that_dies_in_line_stops_nobody_for_ever() {
    let world = World::of_slow_builds();
    let hosts: Vec<Host> = (0..3).map(|_| Host::new()).collect();
    let account = world.account.clone();
    let in_line = move |_| {
        let tickets = account
            .store()
            .parameters
            .keys()
            .filter(|name| name.contains("/address/"))
            .count();
        tickets >= 2
    };
    let later = |seconds| world.clock.sleep(Duration::from_secs(seconds));
    let ((first, _), ((), (third, _))) = world.clock.run(join(
        world.run(&hosts[0], wanted(1, ONE)),
        join(
            async {
                later(1).await;
                world.killed(&hosts[1], wanted(2, ONE), in_line).await;
            },
            async {
                later(2).await;
                world.run(&hosts[2], wanted(3, ONE)).await
            },
        ),
    ));
    assert_done(&first);
    assert_done(&third);
}

#[test]
fn nobody_takes_an_address_from_a_kept_instance() {
    let world = World::new();
    let kept = Tags::new()
        .with(tag::RUN, "r-00000000")
        .with(tag::STAGE, "base")
        .with(tag::CELL, "us-east-2")
        .with(tag::KEPT, "keep-on-failure");
    world.occupy(ONE, "i-kept", kept);
    let host = Host::new();
    let (report, _) = world.clock.run(world.run(&host, wanted(1, ONE)));
    assert_eq!(report.exit, ExitCode::Failed);
    let failure = &report.failures[0];
    assert!(
        failure.error.contains("i-kept, which run r-00000000 kept"),
        "{failure:?}"
    );
    let hint = failure.hint.clone().unwrap();
    assert!(
        hint.contains("disassociate-address --association-id eipassoc-before"),
        "{hint}"
    );
    assert!((600..700).contains(&world.seconds()), "{}", world.seconds());
    assert_eq!(world.state("i-kept"), InstanceState::Running);
}

#[test]
fn nobody_takes_an_address_from_a_living_run_or_from_what_is_not_qibs() {
    for tags in [
        Tags::new(),
        // It may not use SSM, so that nobody knows better than its tags.
        Tags::new()
            .with(tag::RUN, "r-00000000")
            .with(tag::LEASE, tag::LEASE_NONE)
            .with(tag::EXPIRES, "2100-01-01T00:00:00Z"),
    ] {
        let world = World::new();
        world.occupy(ONE, "i-other", tags);
        let host = Host::new();
        let (report, _) = world.clock.run(world.run(&host, wanted(1, ONE)));
        assert_eq!(report.exit, ExitCode::Failed);
        assert_eq!(world.state("i-other"), InstanceState::Running);
        assert!(world.account.store().bound.is_empty());
    }
}

#[test]
fn an_instance_that_an_ended_run_left_with_the_address_goes() {
    let world = World::new();
    let left = Tags::new()
        .with(tag::RUN, "r-00000000")
        .with(tag::STAGE, "base")
        .with(tag::CELL, "us-east-2");
    world.occupy(ONE, "i-left", left);
    let host = Host::new();
    let (report, _) = world.clock.run(world.run(&host, wanted(1, ONE)));
    assert_done(&report);
    assert_eq!(world.state("i-left"), InstanceState::Terminated);
}

#[test]
fn all_addresses_of_a_pool_are_used_at_once() {
    let world = World::of_slow_builds();
    world.pool(3);
    let hosts: Vec<Host> = (0..9).map(|_| Host::new()).collect();
    let runs = hosts
        .iter()
        .zip(1..)
        .map(|(host, number)| world.run(host, wanted(number, POOL)));
    for (report, _) in world.clock.run(join_all(runs)) {
        assert_done(&report);
    }
    let store = world.account.store();
    assert_eq!((store.most_bound, store.bound.len()), (3, 9));
    drop(store);
    assert_eq!(world.clutter(), Vec::<String>::new());
}

#[test]
fn an_address_of_a_pool_that_something_else_has_is_passed_over() {
    let world = World::of_slow_builds();
    world.pool(2);
    world.occupy("eipalloc-1", "i-foreign", Tags::new());
    let hosts = [Host::new(), Host::new()];
    let runs = hosts
        .iter()
        .zip(1..)
        .map(|(host, number)| world.run(host, wanted(number, POOL)));
    for (report, _) in world.clock.run(join_all(runs)) {
        assert_done(&report);
    }
    let store = world.account.store();
    assert!(
        store
            .bound
            .iter()
            .all(|(address, _)| address == "eipalloc-2")
    );
    drop(store);
    assert_eq!(world.state("i-foreign"), InstanceState::Running);
}

#[test]
fn a_pool_that_something_else_has_wholly_is_waited_for_no_longer_than_asked() {
    let world = World::new();
    world.pool(2);
    world.occupy("eipalloc-1", "i-one", Tags::new());
    world.occupy("eipalloc-2", "i-two", Tags::new());
    let host = Host::new();
    let (report, _) = world.clock.run(world.run(&host, wanted(1, POOL)));
    assert_eq!(report.exit, ExitCode::Failed);
    assert!((600..700).contains(&world.seconds()), "{}", world.seconds());
    assert!(
        report.failures[0]
            .error
            .contains("stayed bound to instance i-one"),
        "{:?}",
        report.failures
    );
}

#[test]
fn an_empty_pool_is_refused_before_anything_is_made() {
    let world = World::new();
    let host = Host::new();
    let (report, _) = world.clock.run(world.run(&host, wanted(1, POOL)));
    assert_eq!(report.exit, ExitCode::Failed);
    assert!(
        report.failures[0]
            .error
            .contains("carries the tag Purpose=builders"),
        "{:?}",
        report.failures
    );
    let calls = world.account.store().calls.clone();
    for call in [
        "PutParameter",
        "ImportKeyPair",
        "CreateSecurityGroup",
        "RunInstances",
    ] {
        assert!(!calls.contains(&call), "{call} in {calls:?}");
    }
}

#[test]
fn the_runs_own_lease_is_made_before_all_else_and_removed_after_it() {
    let world = World::new();
    let host = Host::new();
    let (report, _) = world.clock.run(world.run(&host, wanted(1, ONE)));
    assert_done(&report);
    let calls = world.account.store().calls.clone();
    let changes: Vec<_> = calls
        .iter()
        .filter(|call| !call.starts_with("Describe") && !call.starts_with("Get"))
        .collect();
    assert_eq!(changes.first(), Some(&&"PutParameter"));
    assert_eq!(changes.last(), Some(&&"DeleteParameter"));
    assert_eq!(world.clutter(), Vec::<String>::new());
}

#[test]
fn a_run_that_may_not_use_ssm_says_so_once_and_tags_all_that_it_makes() {
    let world = World::new();
    world.account.store().denied = vec!["PutParameter", "GetParametersByPath"];
    let host = Host::new();
    let without = Wanted {
        address: None,
        ..wanted(1, ONE)
    };
    let (report, recorder) = world.clock.run(world.run(&host, without));
    assert_done(&report);
    let warnings = recorder.0.lock().unwrap();
    let about: Vec<_> = warnings
        .iter()
        .filter(|event| matches!(event, Event::Warning { text, .. } if text.contains("cannot be told from a dead one")))
        .collect();
    assert_eq!(about.len(), 1, "{about:?}");
    let store = world.account.store();
    for instance in store.instances.values() {
        assert_eq!(instance.tags.get(tag::LEASE), Some(tag::LEASE_NONE));
    }
    for snapshot in store.snapshots.values() {
        assert_eq!(snapshot.tags.get(tag::LEASE), Some(tag::LEASE_NONE));
    }
}

#[test]
fn a_run_that_is_taken_up_again_goes_on_with_the_address_that_its_instance_has() {
    let world = World::new();
    let host = Host::new();
    let report = world.clock.run(async {
        world.killed_with_the_address(&host, wanted(1, ONE)).await;
        world.resume(&host, wanted(1, ONE)).await
    });
    assert_done(&report);
    assert!(world.seconds() < 60, "{}", world.seconds());
    let calls = world.account.store().calls.clone();
    let launches = calls.iter().filter(|call| **call == "RunInstances").count();
    assert_eq!((launches, world.account.store().bound.len()), (1, 1));
    assert_eq!(world.clutter(), Vec::<String>::new());
}

#[test]
fn a_run_that_is_taken_up_again_behind_another_lets_the_address_go_and_stands_in_line_anew() {
    let world = World::new();
    let (first, second) = (Host::new(), Host::new());
    let (resumed, (other, _)) = world.clock.run(async {
        world.killed_with_the_address(&first, wanted(1, ONE)).await;
        join(
            async {
                // The other stands in line by now, and does not know yet that the first is dead.
                world.clock.sleep(Duration::from_secs(60)).await;
                world.resume(&first, wanted(1, ONE)).await
            },
            world.run(&second, wanted(2, ONE)),
        )
        .await
    });
    assert_done(&resumed);
    assert_done(&other);
    assert_eq!(world.account.store().most_bound, 1);
    assert_eq!(world.clutter(), Vec::<String>::new());
}

#[test]
fn two_runs_that_need_the_same_image_build_it_once() {
    let world = World::of_slow_builds();
    let hosts = [Host::new(), Host::new()];
    let runs = hosts.iter().zip(1..).map(|(host, number)| {
        let shared = Wanted {
            address: None,
            cache: true,
            ..wanted(number, ONE)
        };
        world.run(host, shared)
    });
    let ended = world.clock.run(join_all(runs));
    let images: BTreeSet<_> = ended
        .iter()
        .map(|(report, _)| {
            assert_done(report);
            report.images[0].image_id.clone()
        })
        .collect();
    assert_eq!(images.len(), 1, "{images:?}");
    assert_eq!(world.clutter(), Vec::<String>::new());
}

#[test]
fn who_cannot_renew_in_time_has_lost_the_lease_and_says_so() {
    let world = World::new();
    world.occupy(ONE, "i-foreign", Tags::new());
    let host = Host::new();
    let ((report, _), ()) = world
        .clock
        .run(join(world.run(&host, wanted(1, ONE)), async {
            world.clock.sleep(Duration::from_secs(40)).await;
            world.account.store().denied = vec!["PutParameter"];
            world.clock.sleep(Duration::from_secs(200)).await;
            world.account.store().denied.clear();
        }));
    assert_eq!(report.exit, ExitCode::Failed);
    let error = &report.failures[0].error;
    assert!(error.contains("could not be renewed in time"), "{error}");
    assert!(error.contains("another run may use it by now"), "{error}");
    // The last renewal was begun at 30 s.
    let lost_after = world.clock.now().as_second() - 1_790_000_000;
    assert!((140..300).contains(&lost_after), "{lost_after}");
}

#[test]
fn a_lost_ticket_is_never_renewed_again() {
    let world = World::new();
    let leases = Leases::default();
    let name = String::from("/qib/leases/address/eipalloc-1/t");
    let fence = Fence::new(world.clock.now());
    let key = build::lease::LeaseKey::new(&"us-east-2".into(), name.as_str());
    leases.keep_ticket(key.clone(), fence, Box::new(|count| count.to_string()));
    let renew = || leases.renew(&name, &world.account, &world.clock);
    world.clock.run(async {
        world
            .account
            .put_parameter(&name, "0", ParameterWrite::CreateOnly)
            .await
            .unwrap();
        assert_eq!(renew().await.unwrap(), Renewal::Renewed);
        world.clock.sleep(Duration::from_secs(109)).await;
        assert!(leases.check(&key, world.clock.now()).is_ok());
        world.clock.sleep(Duration::from_secs(1)).await;
        assert!(matches!(renew().await.unwrap(), Renewal::Lost(_)));
        assert_eq!(renew().await.unwrap(), Renewal::Over);
        assert!(leases.check(&key, world.clock.now()).is_err());
    });
    assert_eq!(world.account.store().parameters[&name].version, 2);
}
