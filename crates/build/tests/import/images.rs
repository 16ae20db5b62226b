//! What is sent, registered, found and refused.

use super::*;

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
