//! A run of several regions that is swept in one of them.

use super::*;

/// Kills the process, as a test may, after so many records.
struct KillAfter(u64);

impl JournalWatch for KillAfter {
    fn before(&self, _: u64) {}
    fn after(&self, number: u64) {
        if number == self.0 {
            std::panic::resume_unwind(Box::new("killed"));
        }
    }
}

struct Unwatched;

impl SweepWatch for Unwatched {
    fn progress(&self, _: &SweepProgress<'_>) {}
}

#[test]
fn a_sweep_of_one_region_leaves_what_the_run_has_in_another_to_the_next() {
    let world = World::new(&[]);
    let loaded = Arc::new(matrix(&["eu-west-1", "us-west-1"], &["image"]));
    let wanted = Wanted {
        only: vec!["*-1404-hvm"],
        ..Wanted::default()
    };
    let ports = Ports {
        journal_watch: Some(Arc::new(KillAfter(40))),
        ..world.ports(&wanted, &Arc::default())
    };
    let (_canceller, cancellation) = cancellation();
    let id = RunId::from_random(9);
    let work = run(
        loaded,
        id.clone(),
        world.options(&wanted),
        ports,
        cancellation,
    );
    let ended = world.clock.run(AssertUnwindSafe(work).catch_unwind());
    assert!(ended.is_err(), "it was not killed but ended: {ended:?}");
    let alive = |region: &str| {
        let there = world.account.in_region(&RegionName::new(region));
        let store = there.store();
        let instances = store.instances.values();
        let alive = instances.filter(|one| !one.state.is_ending()).count();
        (alive, store.key_pairs.len(), store.parameters.len())
    };
    assert_eq!((alive("eu-west-1").0, alive("us-west-1").0), (1, 1));

    // Nothing lives but what this host holds, and it holds nothing any more.
    let pause = cloud::Clock::sleep(&world.clock, Duration::from_secs(600));
    world.clock.run(pause);
    let sweep = |region: &str| {
        let sweep = Sweep {
            account: Arc::new(world.account.clone()),
            account_id: String::from("123456789012"),
            regions: vec![RegionName::new(region)],
            endpoint: None,
            clock: Arc::new(world.clock.clone()),
            buckets: Vec::new(),
            state_dir: world.host.path().to_owned(),
            only: None,
            kept: KeptToo::No,
        };
        world.clock.run(async {
            let plan = look(&sweep).await.unwrap();
            carry_out(&sweep, plan, &Unwatched).await.unwrap()
        })
    };
    let state = || build::runs::show(world.host.path(), &id).unwrap().row.state;
    let swept = sweep("eu-west-1");
    assert_eq!(swept.left(None), Vec::new());
    assert_eq!(alive("eu-west-1"), (0, 0, 0));
    assert_eq!(alive("us-west-1").0, 1);
    assert_eq!(state(), build::runs::RunState::Dead);
    let said = format!("{swept:?}");
    assert!(said.contains("sweep with --region us-west-1"), "{said}");

    let swept = sweep("us-west-1");
    assert_eq!(swept.left(None), Vec::new());
    assert_eq!(state(), build::runs::RunState::Swept);
    assert_eq!(world.clutter(), Vec::<String>::new());
}
