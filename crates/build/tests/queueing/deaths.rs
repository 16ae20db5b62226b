//! Runs that die in line or with the address, and those that are taken up again.

use super::*;

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
