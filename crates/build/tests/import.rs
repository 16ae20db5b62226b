//! Disk images that become images, in whole runs: by EBS direct, with an instance and without one, and whatever fails when.

mod fake;

use build::names::tag;
use build::report::ExitCode;
use bytes::Bytes;
use cloud::{BLOCK_BYTES, ErrorKind, SnapshotState};
use fake::account::Fault;
use fake::importing::{Importing, Of, disk, empty_qcow2, only_failure};
use fake::pipelines::image;
use std::collections::BTreeMap;
use std::time::Duration;

const BLOCKS: [Of; 5] = [Of::Data(1), Of::Zeros, Of::Data(2), Of::Zeros, Of::Data(3)];

/// Five blocks, of which the last is not whole.
fn five() -> Importing {
    let mut bytes = disk(&BLOCKS);
    bytes.truncate(4 * BLOCK_BYTES + 512);
    Importing::of(bytes)
}

#[test]
fn every_block_is_sent_once_and_the_snapshot_becomes_the_image() {
    let world = five();
    let text = world.pipeline("", ", boot_mode: uefi, imds: v2, tpm: v2.0");
    let report = world.run(1, &text);
    let snapshot = world.is_all_there_is(&report);
    let store = world.site.account.store();
    let expected: BTreeMap<u32, usize> = (0..5).map(|index| (index, 1)).collect();
    assert_eq!(store.puts_of(&snapshot), expected);
    let [start] = store.blocks.starts.as_slice() else {
        panic!("{:?}", store.blocks.starts);
    };
    assert_eq!(start.volume_gib, 1);
    assert!(start.tags.get(tag::RUN).is_some() && start.tags.get(tag::CELL).is_some());
    let [registered] = store.registrations.as_slice() else {
        panic!("{:?}", store.registrations);
    };
    assert_eq!(registered.boot_mode.as_deref(), Some("uefi"));
    assert_eq!(registered.tpm.as_deref(), Some("v2.0"));
    assert!(registered.imds_v2);
    assert_eq!(registered.architecture, "x86_64");
    let root = &registered.volumes[0];
    assert_eq!(root.snapshot_id.as_ref().unwrap().as_str(), snapshot);
    let made = &store.images[&report.images[0].image_id];
    assert_eq!(made.tags.get(tag::COMPLETE), Some("true"));
    assert!(
        made.tags
            .get(tag::SOURCE_IMAGE)
            .unwrap()
            .starts_with("import:sha256:")
    );
    assert!(!store.calls.contains(&"RunInstances"));
}

#[test]
fn an_instance_starts_from_a_temporary_image_that_is_gone_in_the_end() {
    let world = five();
    let report = world.run(1, &world.launching(""));
    assert!(report.failures.is_empty(), "{:?}", report.failures);
    let image = world.image(&report);
    let store = world.site.account.store();
    let temporary = store.launches[0].image_id.clone();
    assert_ne!(temporary, image.image_id);
    assert_eq!(store.registrations.len(), 1);
    assert_eq!(store.captures.len(), 1);
    drop(store);
    let expected = [image.image_id.to_string(), image.snapshots[0].to_string()];
    assert_eq!(world.holdings(), expected, "the temporary image is gone");
}

#[test]
fn the_temporary_image_goes_too_when_the_build_fails() {
    let world = five();
    let fault = Fault::Refused(ErrorKind::InvalidInput);
    world
        .site
        .account
        .store()
        .faults
        .push(("RunInstances", fault));
    let report = world.run(1, &world.launching(""));
    only_failure(&report);
    assert_eq!(world.count("RegisterImage"), 1);
    assert_eq!(world.holdings(), [""; 0]);
}

#[test]
fn an_image_of_the_same_disk_is_found_and_nothing_is_fetched() {
    for launching in [false, true] {
        let world = five();
        let text = match launching {
            true => world.launching(""),
            false => world.pipeline("", ""),
        };
        let first = world.run(1, &text);
        let second = world.run(2, &text);
        assert!(second.images[0].cached, "{:?}", second.failures);
        assert_eq!(second.images[0].image_id, first.images[0].image_id);
        assert_eq!(*world.disks().fetched.lock().unwrap(), 1);
        assert_eq!(world.count("StartSnapshot"), 1);
        let mut other = world;
        other.write(disk(&[Of::Data(9)]));
        let third = other.run(3, &text);
        assert!(!third.images[0].cached, "the disk is another one");
    }
}

#[test]
fn a_name_that_is_taken_is_found_before_anything_is_fetched() {
    let world = five();
    let mut taken = image("ami-taken");
    taken.name = "golden".to_owned();
    world
        .site
        .account
        .store()
        .images
        .insert("ami-taken".into(), taken);
    let report = world.run(1, &world.named("golden", "", "", ""));
    let failure = only_failure(&report);
    assert!(
        failure.contains("golden") && failure.contains("ami-taken"),
        "{failure}"
    );
    assert_eq!(*world.disks().fetched.lock().unwrap(), 0);
    assert_eq!(world.count("StartSnapshot"), 0);
}

#[test]
fn holes_are_left_out_if_that_is_asked_for() {
    let world = five();
    let report = world.run(1, &world.pipeline(", holes: skip", ""));
    let snapshot = world.is_all_there_is(&report);
    let puts = world.site.account.store().puts_of(&snapshot);
    assert_eq!(puts, [(0, 1), (2, 1), (4, 1)].into());
    assert!(
        world.site.recorder.text().contains("holes: skip"),
        "one is warned"
    );
}

fn block(of: Of) -> Bytes {
    Bytes::from(disk(&[of]))
}

/// What is in the parent of another machine: the disk's first block, another second, data where the disk has zeros, and
/// some behind the disk's end.
fn with_parent(world: &Importing) {
    let content = [
        (0, Bytes::copy_from_slice(&world.bytes[..BLOCK_BYTES])),
        (1, block(Of::Zeros)),
        (2, block(Of::Data(77))),
        (3, block(Of::Data(78))),
        (9, block(Of::Data(79))),
        (10, block(Of::Zeros)),
    ];
    let account = &world.site.account;
    account.with_snapshot("snap-0123456789abcdef0", 1, content.into());
}

const ONTO: &str = ", parent: snap-0123456789abcdef0";

#[test]
fn only_what_differs_from_the_parent_is_sent() {
    for holes in ["", ", holes: skip"] {
        let world = five();
        with_parent(&world);
        let report = world.run(1, &world.pipeline(&format!("{ONTO}{holes}"), ""));
        assert!(report.failures.is_empty(), "{:?}", report.failures);
        let image = world.image(&report);
        let snapshot = image.snapshots[0].to_string();
        world.reads_as_the_disk(&snapshot);
        let store = world.site.account.store();
        // Zeros over data are sent whatever is said of holes, and those behind the disk's end as well.
        assert_eq!(
            store.puts_of(&snapshot),
            [(2, 1), (3, 1), (4, 1), (9, 1)].into()
        );
        let volume = store.reads(&snapshot, 11 * BLOCK_BYTES);
        assert!(
            volume[world.bytes.len()..].iter().all(|byte| *byte == 0),
            "nothing of the parent is behind the disk's end"
        );
        // The parent's digests are known nowhere: each block is read once.
        let read: Vec<u32> = store.blocks.gets.iter().map(|(_, index)| *index).collect();
        let mut sorted = read.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, [0, 1, 2, 3, 9, 10]);
    }
}

#[test]
fn the_digests_of_what_was_sent_from_here_are_known_here() {
    let mut world = five();
    let first = world.run(1, &world.pipeline("", ""));
    let parent = world.image(&first).snapshots[0].to_string();
    let mut blocks = BLOCKS;
    blocks[2] = Of::Data(200);
    world.write(disk(&blocks));
    // EC2's ids have 17 digits.
    let mut store = world.site.account.store();
    let id = "snap-0123456789abcdef1";
    let kept = store.snapshots[&parent].clone();
    drop(kept);
    let content = store.blocks.content[&parent].clone();
    drop(std::mem::take(&mut store.blocks.gets));
    drop(store);
    // The same snapshot under an id that a pipeline may name is another one: it is read.
    world.site.account.with_snapshot(id, 1, content);
    let second = world.run(2, &world.pipeline(&format!(", parent: {id}"), ""));
    assert!(second.failures.is_empty(), "{:?}", second.failures);
    assert_eq!(world.site.account.store().blocks.gets.len(), 5);
    let third = world.run(
        3,
        &world.pipeline(&format!(", parent: {id}"), ", description: again"),
    );
    assert!(third.failures.is_empty(), "{:?}", third.failures);
    let store = world.site.account.store();
    assert_eq!(store.blocks.gets.len(), 5, "its digests are known by now");
}

#[test]
fn a_parent_that_cannot_be_one_is_refused_before_anything_is_started() {
    let world = five();
    let absent = only_failure(&world.run(1, &world.pipeline(ONTO, "")));
    assert!(absent.contains("no such snapshot"), "{absent}");
    assert_eq!(*world.disks().fetched.lock().unwrap(), 0);
    world
        .site
        .account
        .with_snapshot("snap-0123456789abcdef0", 8, BTreeMap::new());
    let large = only_failure(&world.run(2, &world.pipeline(ONTO, "")));
    assert!(
        large.contains("it is of 8 GiB, and the new snapshot is of 1"),
        "{large}"
    );
    let set = |change: fn(&mut cloud::Snapshot)| {
        with_parent(&world);
        let mut store = world.site.account.store();
        change(store.snapshots.get_mut("snap-0123456789abcdef0").unwrap());
    };
    set(|snapshot| snapshot.kms_key_id = Some("k".to_owned()));
    let encrypted = only_failure(&world.run(3, &world.pipeline(ONTO, "")));
    assert!(encrypted.contains("encrypted"), "{encrypted}");
    set(|snapshot| snapshot.state = SnapshotState::Failed("broken".to_owned()));
    let broken = only_failure(&world.run(4, &world.pipeline(ONTO, "")));
    assert!(broken.contains("not completed"), "{broken}");
    assert_eq!(world.count("StartSnapshot"), 0);
}

#[test]
fn a_volume_that_the_disk_does_not_fit_into_is_told_before_anything_is_sent() {
    let world = Importing::of(empty_qcow2(2049));
    let volume = |gib: u32| {
        let image = format!(", volumes: [{{ device: sda1, size_gib: {gib} }}]");
        let text = world.pipeline(", holes: skip", &image);
        text.replace("format: raw", "format: qcow2")
    };
    let told = only_failure(&world.run(1, &volume(1)));
    assert!(
        told.contains("needs a volume of 2 GiB, and /dev/sda1 is to have 1"),
        "{told}"
    );
    assert_eq!(world.count("StartSnapshot"), 0);
    let report = world.run(2, &volume(3));
    assert!(report.failures.is_empty(), "{:?}", report.failures);
    let store = world.site.account.store();
    assert_eq!(store.registrations[0].volumes[0].size_gib, Some(3));
}

#[test]
fn a_key_is_given_to_ebs_by_its_arn_however_it_is_named() {
    const ARN: &str = "arn:aws:kms:us-east-2:123456789012:key/k";
    let world = five();
    let encrypted =
        |key: &str| world.pipeline("", &format!(", encrypted: true, kms_key_id: {key}"));
    let absent = only_failure(&world.run(1, &encrypted("alias/mine")));
    assert!(
        absent.contains("the KMS key alias/mine cannot be used in us-east-2: there is no such key"),
        "{absent}"
    );
    let set = |enabled| {
        let key = cloud::KmsKey {
            arn: ARN.to_owned(),
            enabled,
        };
        let mut store = world.site.account.store();
        store.kms_keys.insert("alias/mine".to_owned(), key);
    };
    set(false);
    let disabled = only_failure(&world.run(2, &encrypted("alias/mine")));
    assert!(disabled.contains("it is disabled"), "{disabled}");
    assert_eq!(*world.disks().fetched.lock().unwrap(), 0);
    set(true);
    for (number, key) in [(3, "alias/mine"), (4, ARN)] {
        let report = world.run(number, &encrypted(key));
        assert!(report.failures.is_empty(), "{:?}", report.failures);
    }
    let store = world.site.account.store();
    let keys: Vec<_> = store
        .blocks
        .starts
        .iter()
        .map(|start| &start.encryption)
        .collect();
    let wanted = cloud::SnapshotEncryption::With(Some(ARN.to_owned()));
    assert_eq!(keys, [&wanted; 2]);
}

#[test]
fn a_block_of_the_parent_that_is_read_wrongly_is_read_again_but_not_for_ever() {
    let world = five();
    with_parent(&world);
    world.site.account.store().blocks.corrupt_reads = 1;
    let report = world.run(1, &world.pipeline(ONTO, ""));
    assert!(report.failures.is_empty(), "{:?}", report.failures);

    let world = five();
    with_parent(&world);
    world.site.account.store().blocks.corrupt_reads = 1_000;
    let failure = only_failure(&world.run(1, &world.pipeline(ONTO, "")));
    assert!(failure.contains("is not what EBS says it is"), "{failure}");
}

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

#[test]
fn what_may_stand_on_other_files_is_never_found_in_the_cache() {
    let world = Importing::of(empty_qcow2(5));
    let text = world.pipeline("", "");
    let text = text.replace("format: raw", "format: qcow2, backing_file: allowed");
    for run in 1..3 {
        let report = world.run(run, &text);
        assert!(report.failures.is_empty(), "{:?}", report.failures);
        assert!(
            !report.images[0].cached,
            "the backing file may be another one"
        );
    }
    let said = world.site.recorder.text();
    assert!(said.contains("backing files"), "it is said why");
    let over = || world.site.account.store().blocks.puts.len() >= 13;
    assert!(world.run_until(3, &text, over).is_none());
    let report = world.resume(3, &text);
    assert!(report.failures.is_empty(), "{:?}", report.failures);
    let snapshot = world.image(&report).snapshots[0].to_string();
    let puts = world.site.account.store().puts_of(&snapshot);
    assert_eq!(
        puts.len(),
        5,
        "nothing of the snapshot before is taken for the same"
    );
}
