//! Images that are registered, because CreateImage cannot make them.

use super::*;

#[test]
fn properties_that_create_image_cannot_give_are_registered() {
    let world = World::new();
    let lines = "      name: golden\n      architecture: arm64\n      boot_mode: uefi\n      tpm: v2.0\n      imds: v2\n      \
                 sriov: true\n      volumes: [{ device: /dev/sda1, type: gp3, size_gib: 20 }]\n";
    world.done(wanted(1, lines));
    let store = world.account.store();
    assert!(store.captures.is_empty());
    let request = &store.registrations[0];
    assert_eq!(request.architecture, "arm64");
    assert_eq!(request.boot_mode.as_deref(), Some("uefi"));
    assert_eq!(request.tpm.as_deref(), Some("v2.0"));
    assert_eq!(
        (request.ena, request.sriov, request.imds_v2),
        (Some(true), true, true)
    );
    assert_eq!(request.root_device, "/dev/sda1");
    let [root] = request.volumes.as_slice() else {
        panic!("{:?}", request.volumes)
    };
    assert_eq!((root.size_gib, root.encrypted), (Some(20), None));
    assert_eq!(root.volume_type, Some(VolumeType("gp3".into())));
    let snapshot = &store.snapshots[root.snapshot_id.as_ref().unwrap().as_str()];
    assert_eq!(snapshot.tags.get(tag::STAGE), Some("base"));
    assert_eq!(request.image_tags.get(tag::STAGE), Some("base"));
    drop(store);
    assert_eq!(
        world.named("golden")[HOME].tags.get(tag::COMPLETE),
        Some("true")
    );
    assert!(world.clutter().is_empty(), "{:?}", world.clutter());
}

#[test]
fn a_registered_image_has_no_snapshot_of_a_volume_that_it_leaves_out() {
    let world = World::new();
    let lines = "      name: golden\n      boot_mode: uefi\n      volumes: [{ device: /dev/sdb, no_device: true }, \
                 { device: /dev/sdd, size_gib: 5 }]\n";
    world.done(Wanted {
        launch: ", volumes: [{ device: /dev/sdb, size_gib: 1 }, { device: /dev/sdc, size_gib: 2 }]",
        ..wanted(1, lines)
    });
    let store = world.account.store();
    let request = &store.registrations[0];
    let volumes: Vec<_> = request
        .volumes
        .iter()
        .map(|volume| (volume.device.as_str(), volume.snapshot_id.is_some()))
        .collect();
    assert_eq!(
        volumes,
        [("/dev/sda1", true), ("/dev/sdc", true), ("/dev/sdd", false)]
    );
    assert_eq!(store.snapshots.len(), 2);
}

#[test]
fn an_image_without_its_root_device_is_refused_before_the_launch() {
    let world = World::new();
    let why = world.fails(wanted(
        1,
        "      name: golden\n      volumes: [{ device: /dev/sda1, no_device: true }]\n",
    ));
    assert!(why.contains("root device"), "{why}");
    assert_eq!(world.calls(HOME, "RunInstances"), 0);
}

#[test]
fn replies_that_are_lost_register_nothing_twice() {
    for call in ["CreateSnapshots", "RegisterImage"] {
        let world = World::new();
        world.account.store().faults.push((call, Fault::LostReply));
        world.done(wanted(1, "      name: golden\n      boot_mode: uefi\n"));
        assert_eq!(world.calls(HOME, call), 1, "{call}");
        assert_eq!(world.account.store().snapshots.len(), 1, "{call}");
    }
}

#[test]
fn snapshots_without_an_image_go() {
    let world = World::new();
    let denied = Fault::Refused(ErrorKind::AccessDenied);
    world.account.store().faults.push(("RegisterImage", denied));
    world.fails(wanted(1, "      name: golden\n      boot_mode: uefi\n"));
    assert_eq!(world.account.holdings(), ["ami-0source"]);
}

#[test]
fn enhanced_networking_is_set_on_the_stopped_instance() {
    let world = World::new();
    world.done(wanted(
        1,
        "      name: golden\n      ena: false\n      sriov: true\n",
    ));
    let store = world.account.store();
    let asked: Vec<_> = store.networking.values().collect();
    let wanted = EnhancedNetworking {
        ena: Some(false),
        sriov: true,
    };
    assert_eq!(asked, [&wanted]);
    assert_eq!(store.captures.len(), 1);
}

#[test]
fn an_encrypted_image_is_encrypted_from_the_launch_on() {
    let world = World::new();
    let lines = "      name: golden\n      encrypted: true\n      kms_key_id: alias/images\n";
    world.done(wanted(1, lines));
    let store = world.account.store();
    let [root] = store.launches[0].volumes.as_slice() else {
        panic!("{:?}", store.launches[0].volumes)
    };
    // The source's own root device, which `launch` does not mention.
    assert_eq!(root.device, "/dev/sda1");
    assert_eq!(root.encrypted, Some(true));
    assert_eq!(root.kms_key_id.as_deref(), Some("alias/images"));
    assert!(store.copies.is_empty(), "a second image was made for it");
}
