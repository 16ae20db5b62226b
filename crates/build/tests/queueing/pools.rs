//! Several addresses, any of which will do.

use super::*;

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
