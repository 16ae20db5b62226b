//! Snapshots on top of a parent.

use super::*;

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
    let content = store.blocks.content[&parent].clone();
    store.blocks.gets.clear();
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

/// What is kept of it is a convenience: where it cannot be, the parent is read.
#[test]
fn digests_that_cannot_be_kept_are_no_reason_to_fail() {
    let world = five();
    with_parent(&world);
    let folder = world.site.state.path().join("snapshots");
    std::fs::write(&folder, "no folder").unwrap();
    let report = world.run(1, &world.pipeline(ONTO, ""));
    assert!(report.failures.is_empty(), "{:?}", report.failures);
    let snapshot = world.image(&report).snapshots[0].to_string();
    world.reads_as_the_disk(&snapshot);
    let store = world.site.account.store();
    assert_eq!(store.puts_of(&snapshot).len(), 4);
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
