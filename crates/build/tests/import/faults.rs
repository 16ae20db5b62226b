//! What EBS says when things go wrong.

use super::*;

#[test]
fn what_passes_is_sat_out() {
    let world = five();
    {
        let mut store = world.site.account.store();
        store.blocks.unknown_for = 7;
        let refused = |kind| Fault::Refused(kind);
        let faults = [
            (0, vec![refused(ErrorKind::Throttled); 6]),
            (1, vec![refused(ErrorKind::Transient); 5]),
            (2, vec![Fault::LostReply, refused(ErrorKind::Expired)]),
        ];
        for (index, ends) in faults {
            store.blocks.put_faults.insert(index, ends.into());
        }
    }
    let report = world.run(1, &world.pipeline("", ""));
    let snapshot = world.is_all_there_is(&report);
    let puts = world.site.account.store().puts_of(&snapshot);
    // A put whose answer was lost is made once more, which is the same.
    assert_eq!(puts, [(0, 1), (1, 1), (2, 2), (3, 1), (4, 1)].into());
}

#[test]
fn what_does_not_pass_ends_the_import_and_leaves_nothing() {
    for (kind, times) in [
        (ErrorKind::Transient, 6),
        (ErrorKind::AccessDenied, 1),
        (ErrorKind::InvalidInput, 1),
        (ErrorKind::Expired, 2),
    ] {
        let world = five();
        let faults = vec![Fault::Refused(kind); times];
        let mut store = world.site.account.store();
        store.blocks.put_faults.insert(3, faults.into());
        drop(store);
        let failure = only_failure(&world.run(1, &world.pipeline("", "")));
        assert!(failure.contains("PutSnapshotBlock"), "{kind:?}: {failure}");
        assert_eq!(world.holdings(), [""; 0], "{kind:?}");
    }
}

#[test]
fn throttling_is_answered_with_fewer_at_once() {
    let world = Importing::of(disk(&[Of::Data(5); 200]));
    {
        let mut store = world.site.account.store();
        store.blocks.at_once = Some(6);
        store.blocks.takes = Some(Duration::from_millis(20));
    }
    let report = world.run(1, &world.pipeline("", ""));
    let snapshot = world.is_all_there_is(&report);
    let store = world.site.account.store();
    assert!(store.puts_of(&snapshot).values().all(|puts| *puts == 1));
    let refused = store.blocks.asked - 200;
    assert!(
        refused < 100,
        "{refused} of {} were refused",
        store.blocks.asked
    );
    assert!(refused > 0, "the service was asked for more than it takes");
}

#[test]
fn blocks_of_another_size_end_it_and_the_snapshot_goes() {
    let world = five();
    world.site.account.store().blocks.block_bytes = Some(1 << 20);
    let failure = only_failure(&world.run(1, &world.pipeline("", "")));
    assert!(
        failure.contains("1048576 bytes, and not 524288"),
        "{failure}"
    );
    assert_eq!(world.count("StartSnapshot"), 1);
    assert_eq!(world.holdings(), [""; 0]);
}

#[test]
fn a_lost_reply_makes_nothing_twice() {
    for call in ["StartSnapshot", "CompleteSnapshot", "RegisterImage"] {
        let world = five();
        world
            .site
            .account
            .store()
            .faults
            .push((call, Fault::LostReply));
        let report = world.run(1, &world.pipeline("", ""));
        world.is_all_there_is(&report);
        let store = world.site.account.store();
        assert!(store.faults.is_empty(), "{call} was made");
        assert_eq!(store.registrations.len(), 1, "{call}");
    }
}

#[test]
fn a_snapshot_that_fails_is_told_of_and_goes() {
    let world = five();
    let fail = || {
        let mut store = world.site.account.store();
        if store.calls.contains(&"CompleteSnapshot") {
            for snapshot in store.snapshots.values_mut() {
                snapshot.state = SnapshotState::Failed("it broke".to_owned());
            }
        }
        false
    };
    let report = world.run_until(1, &world.pipeline("", ""), fail);
    let failure = only_failure(&report.unwrap());
    assert!(failure.contains("failed: it broke"), "{failure}");
    assert_eq!(world.holdings(), [""; 0]);
}

#[test]
fn a_snapshot_that_shows_late_is_neither_left_nor_given_up() {
    // EBS does not know it for a while after it was started, by whatever process.
    let world = five();
    let text = world.pipeline("", "");
    let over = || world.count("StartSnapshot") > 0 && world.count("PutSnapshotBlock") > 0;
    world.site.account.store().blocks.unknown_for = 1_000;
    assert!(world.run_until(1, &text, over).is_none());
    world.site.account.store().blocks.unknown_for = 12;
    let report = world.resume(1, &text);
    world.is_all_there_is(&report);
    assert_eq!(world.count("StartSnapshot"), 1);

    // It is refused a block at once: what was started a moment ago does not show yet, and goes nevertheless.
    let world = five();
    {
        let mut store = world.site.account.store();
        store.snapshots_show_late = 3;
        let refused = vec![Fault::Refused(ErrorKind::AccessDenied)];
        store.blocks.put_faults.insert(0, refused.into());
    }
    only_failure(&world.run(1, &world.pipeline("", "")));
    assert_eq!(world.holdings(), [""; 0]);
}
