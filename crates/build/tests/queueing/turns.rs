//! Runs that want one address take turns.

use super::*;

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
