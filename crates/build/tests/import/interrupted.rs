//! Imports that were stopped or killed, and those that go on with them.

use super::*;

#[test]
fn a_run_that_is_stopped_leaves_nothing() {
    let of_puts = |world: &Importing| world.site.account.store().blocks.puts.len();
    let world = Importing::of(disk(&[Of::Data(5); 60]));
    world.site.account.store().blocks.takes = Some(Duration::from_millis(50));
    let report = world.stopped_when(1, &world.pipeline("", ""), || of_puts(&world) >= 20);
    assert_eq!(report.exit, ExitCode::Interrupted);
    assert!(of_puts(&world) < 60, "it was stopped on its way");
    assert_eq!(world.holdings(), [""; 0]);
    assert!(report.left_behind.is_empty(), "{:?}", report.left_behind);
}

/// Killed after any record of its journal, and taken up again: one image in the end, and no block that EBS has acknowledged
/// is sent again.
fn crashes(text: impl Fn(&Importing) -> String, least: u64) {
    let mut killed = 0;
    for record in 1.. {
        let world = five();
        let text = text(&world);
        if world.killed_after(1, record, &text).is_none() {
            break;
        }
        killed += 1;
        let before = world.site.account.store().blocks.puts.clone();
        let report = world.resume_to_the_end(1, record, &text);
        assert!(
            report.left_behind.is_empty(),
            "after record {record}: {:?}",
            report.left_behind
        );
        let image = world.image(&report);
        let expected = [image.image_id.to_string(), image.snapshots[0].to_string()];
        assert_eq!(world.holdings(), expected, "after record {record}");
        let store = world.site.account.store();
        let again: Vec<_> = store.blocks.puts[before.len()..]
            .iter()
            .filter(|put| before.contains(put))
            .collect();
        assert!(
            again.is_empty(),
            "after record {record}: {again:?} of {before:?}"
        );
        assert!(store.blocks.starts.len() <= 2, "after record {record}");
        assert_eq!(
            store.blocks.content.len(),
            1,
            "after record {record}: one snapshot was ever started"
        );
    }
    assert!(killed >= least, "{killed} moments");
}

#[test]
fn a_crash_at_any_moment_costs_no_block() {
    crashes(|world| world.pipeline("", ""), 14);
}

#[test]
fn a_crash_at_any_moment_before_an_instance_costs_no_block() {
    crashes(|world| world.launching(""), 36);
}

#[test]
fn the_next_run_removes_what_a_dead_one_has_begun() {
    let mut killed = 0;
    for record in 1.. {
        let world = five();
        let text = world.launching("");
        if world.killed_after(1, record, &text).is_none() {
            break;
        }
        killed += 1;
        let report = world.run(2, &text);
        assert!(
            report.failures.is_empty(),
            "after record {record}: {:?}",
            report.failures
        );
        let image = world.image(&report);
        let mut expected = [image.image_id.to_string(), image.snapshots[0].to_string()];
        expected.sort();
        let mut holdings = world.holdings();
        holdings.sort();
        assert_eq!(holdings, expected, "after record {record}");
    }
    assert!(killed >= 36, "{killed} moments");
}

#[test]
fn an_upload_that_was_cut_short_goes_on_with_what_is_missing() {
    let world = Importing::of(disk(&[Of::Data(5); 60]));
    world.site.account.store().blocks.takes = Some(Duration::from_millis(50));
    let text = world.pipeline("", "");
    let puts = || world.site.account.store().blocks.puts.len();
    for stop_at in [7, 20, 41] {
        let over = || puts() >= stop_at;
        let ended = match stop_at {
            7 => world.run_until(1, &text, over),
            _ => {
                let (_canceller, cancellation) = build::cancel::cancellation();
                let work = build::run::resume(
                    fake::pipelines::load(&text),
                    build::names::RunId::from_random(1),
                    world.site.options(),
                    world.site.ports_watched(None),
                    cancellation,
                );
                world.site.clock.run_beside_threads(work, over)
            }
        };
        assert!(ended.is_none(), "it was killed on its way");
    }
    let before = puts();
    let report = world.resume(1, &text);
    let snapshot = world.is_all_there_is(&report);
    let store = world.site.account.store();
    // Those that were under way when a process died may have been taken without its knowing.
    let again = store
        .puts_of(&snapshot)
        .values()
        .filter(|puts| **puts > 1)
        .count();
    assert!(again <= 3 * 16, "{again}");
    assert!(before >= 41 && store.puts_of(&snapshot).len() == 60);
}

#[test]
fn a_snapshot_that_ebs_has_given_up_is_begun_anew() {
    for all_sent in [false, true] {
        let world = five();
        let text = world.pipeline("", "");
        let over = || match all_sent {
            true => world.count("CompleteSnapshot") > 0,
            false => world.site.account.store().blocks.puts.len() >= 3,
        };
        if all_sent {
            let fault = Fault::Refused(ErrorKind::Transient);
            world
                .site
                .account
                .store()
                .faults
                .push(("CompleteSnapshot", fault));
        }
        assert!(world.run_until(1, &text, over).is_none());
        let first = world
            .site
            .account
            .store()
            .blocks
            .content
            .keys()
            .next()
            .unwrap()
            .clone();
        world.site.account.store().give_up(&first);
        let report = world.resume(1, &text);
        let snapshot = world.is_all_there_is(&report);
        assert_ne!(snapshot, first);
    }
}

#[test]
fn a_disk_that_has_changed_meanwhile_is_sent_from_its_beginning() {
    let mut world = five();
    let text = world.pipeline("", "");
    let over = || world.site.account.store().blocks.puts.len() >= 3;
    assert!(world.run_until(1, &text, over).is_none());
    let mut blocks = BLOCKS;
    blocks[0] = Of::Data(90);
    world.write(disk(&blocks));
    let report = world.resume(1, &text);
    let snapshot = world.is_all_there_is(&report);
    assert_eq!(world.site.account.store().puts_of(&snapshot).len(), 5);
}

#[test]
fn what_is_done_about_zeros_is_no_others_snapshot() {
    let world = five();
    let over = || world.site.account.store().blocks.puts.len() >= 3;
    assert!(world.run_until(1, &world.pipeline("", ""), over).is_none());
    let first = world.site.account.store().blocks.puts[0].0.clone();
    // EBS sees the same parameters, and would answer the same token with the snapshot that is gone.
    let report = world.resume(1, &world.pipeline(", holes: skip", ""));
    let snapshot = world.is_all_there_is(&report);
    assert_ne!(snapshot, first);
}

#[test]
fn an_image_that_was_registered_otherwise_is_not_gone_on_with() {
    let mut changed = 0;
    for record in 8.. {
        let mut world = five();
        let text = world.pipeline("", ", boot_mode: uefi");
        if world.killed_after(1, record, &text).is_none() {
            break;
        }
        let registered = world.site.account.store().registrations.len();
        let complete = |image: &cloud::Image| image.tags.get(tag::COMPLETE).is_some();
        let is_over = world.site.account.store().images.values().any(complete);
        if registered == 0 || is_over {
            continue;
        }
        changed += 1;
        let blocks = [Of::Data(44); 2];
        world.write(disk(&blocks));
        let report = world.resume(1, &world.pipeline("", ", boot_mode: legacy-bios"));
        world.is_all_there_is(&report);
        let image = world.image(&report);
        assert_eq!(image.boot_mode.as_deref(), Some("legacy-bios"));
    }
    assert!(changed >= 2, "{changed} moments");
}
