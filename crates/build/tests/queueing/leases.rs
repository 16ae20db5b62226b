//! The run's own lease, and tickets for images.

use super::*;

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
