//! The image and its copies in other regions.

use super::*;

#[test]
fn an_image_and_its_copies_get_all_that_was_asked_for() {
    let world = World::new();
    let report = world.done(wanted(1, ALL));
    let images = world.named("golden");
    assert_eq!(images.len(), 3, "{images:?}");
    let home = images[HOME].image_id.to_string();
    for (region, image) in &images {
        let there = world.region(region);
        for (key, value) in [
            ("Purpose", "base"),
            (tag::COMPLETE, "true"),
            (tag::STAGE, "base"),
            (tag::CELL, HOME),
            (tag::RUN, wanted(1, ALL).id().as_str()),
            (tag::SOURCE_IMAGE, "ami-0source"),
        ] {
            assert_eq!(image.tags.get(key), Some(value), "{region} {key}");
        }
        assert!(image.tags.get(tag::CACHE_KEY).is_some(), "{region}");
        let of = (*region != HOME).then_some(home.as_str());
        assert_eq!(image.tags.get(tag::COPY_OF), of, "{region}");
        assert!(image.protected, "{region}");
        let end = image.deprecated.unwrap().as_second() - images[HOME].created.unwrap().as_second();
        assert_eq!(end, 30 * 86_400, "{region}: copies end with their image");
        assert_eq!(shared_with(&there, image.image_id.as_str()), [OTHERS]);
        for snapshot in &image.snapshots {
            assert_eq!(shared_with(&there, snapshot.as_str()), [OTHERS]);
            let store = there.store();
            let tags = &store.snapshots[snapshot.as_str()].tags;
            assert_eq!(tags.get("Purpose"), Some("base"), "{region}");
            assert_eq!(tags.get(tag::STAGE), Some("base"), "{region}");
        }
        let store = there.store();
        assert!(store.imds_v2_required.contains(&image.image_id), "{region}");
        // Snapshots before the image: nobody sees an image that cannot be copied yet.
        assert!(store.shared[0].starts_with("snap-"), "{:?}", store.shared);
    }
    for region in [HOME, WEST, EUROPE] {
        let value = images[region].image_id.to_string();
        let held = world.held(region, "/images/golden");
        assert_eq!(held, Some((value, ParameterKind::Image)), "{region}");
    }
    assert!(world.held(HOME, "/images/at-home").is_some());
    assert_eq!(world.held(WEST, "/images/at-home"), None);
    let west = world.region(WEST);
    let europe = world.region(EUROPE);
    assert!(!west.store().copies[0].encrypted);
    let copy = europe.store().copies[0].clone();
    assert!(copy.encrypted);
    assert_eq!(copy.kms_key_id.as_deref(), Some("alias/images"));
    let copies = &report.images[0].copies;
    let regions: Vec<&str> = copies.iter().map(|copy| copy.region.as_str()).collect();
    assert_eq!(regions, [EUROPE, WEST]);
    assert!(copies.iter().all(|copy| copy.error.is_none()));
    assert_eq!(
        copies[1].image_id.as_deref(),
        Some(images[WEST].image_id.as_str())
    );
    assert!(world.clutter().is_empty(), "{:?}", world.clutter());
}

#[test]
fn a_second_run_touches_nothing_that_is_so_already() {
    let world = World::new();
    world.done(wanted(1, ALL));
    let before: Vec<_> = [HOME, WEST, EUROPE]
        .map(|region| world.region(region).store().calls.len())
        .to_vec();
    let report = world.done(wanted(2, ALL));
    assert!(report.images[0].cached);
    assert_eq!(report.images[0].copies.len(), 2);
    for (region, before) in [HOME, WEST, EUROPE].into_iter().zip(before) {
        let there = world.region(region);
        let store = there.store();
        let changes: Vec<&&str> = store.calls[before..]
            .iter()
            .filter(|call| !call.starts_with("Describe") && !call.starts_with("Get"))
            .collect();
        // The run's own lease, and IMDSv2, which nothing shows of.
        let changes: Vec<&&&str> = changes
            .iter()
            .filter(|call| !["PutParameter", "DeleteParameter"].contains(call))
            .collect();
        assert!(
            changes.iter().all(|call| ***call == "ModifyImageAttribute") && changes.len() <= 1,
            "{region}: {changes:?}"
        );
    }
}

#[test]
fn one_region_that_fails_leaves_the_others_done_and_a_second_run_makes_what_is_missing() {
    let world = World::new();
    let denied = Fault::Refused(ErrorKind::AccessDenied);
    world
        .region(WEST)
        .store()
        .faults
        .push(("CopyImage", denied));
    let report = world.run(wanted(1, ALL));
    assert_eq!(report.exit, ExitCode::Failed);
    let failure = &report.failures[0];
    assert!(
        failure.error.contains("in us-west-2, copying the image"),
        "{}",
        failure.error
    );
    assert!(failure.hint.as_ref().unwrap().contains("Run again"));
    let copies = &report.images[0].copies;
    assert!(copies[0].error.is_none() && copies[0].image_id.is_some());
    assert!(copies[1].error.is_some() && copies[1].image_id.is_none());
    // What could be done was done to its end.
    for region in [HOME, EUROPE] {
        assert!(world.held(region, "/images/golden").is_some(), "{region}");
    }
    assert_eq!(world.held(WEST, "/images/golden"), None);
    let report = world.done(wanted(2, ALL));
    assert!(report.images[0].cached);
    assert!(world.held(WEST, "/images/golden").is_some());
    assert_eq!(world.calls(EUROPE, "CopyImage"), 1, "it was copied again");
    assert_eq!(world.calls(HOME, "RunInstances"), 1, "it was built again");
    let west = &world.named("golden")[WEST];
    assert_eq!(west.tags.get(tag::RUN), Some(wanted(2, ALL).id().as_str()));
}

#[test]
fn a_copy_that_ec2_has_no_room_for_waits_its_turn() {
    let world = World::new();
    for _ in 0..3 {
        let full = Fault::Refused(ErrorKind::Quota);
        world.region(WEST).store().faults.push(("CopyImage", full));
    }
    let before = world.clock.now();
    world.done(wanted(1, ALL));
    assert_eq!(world.calls(WEST, "CopyImage"), 4);
    assert!(cloud::clock::between(before, world.clock.now()) >= Duration::from_secs(90));
    assert!(world.recorder.text().contains("waiting for a turn"));
}

#[test]
fn a_copy_whose_reply_is_lost_is_made_once() {
    let world = World::new();
    world
        .region(WEST)
        .store()
        .faults
        .push(("CopyImage", Fault::LostReply));
    world.done(wanted(1, ALL));
    assert_eq!(world.calls(WEST, "CopyImage"), 1);
    assert_eq!(world.region(WEST).store().images.len(), 1);
}

#[test]
fn a_copy_that_fails_goes_and_its_snapshots_with_it() {
    let world = World::new();
    world.region(WEST).store().image_fails = true;
    let why = world.fails(wanted(1, ALL));
    assert!(why.contains("in us-west-2"), "{why}");
    let west = world.region(WEST);
    assert!(west.store().images.is_empty() && west.store().snapshots.is_empty());
    assert_eq!(world.named("golden").len(), 2);
}

#[test]
fn public_sharing_that_the_account_blocks_is_told_before_the_build() {
    let world = World::new();
    world.region(WEST).store().public_images = PublicSharing::Blocked;
    let lines = "      name: golden\n      copy_to: [us-west-2]\n      share: { public: true }\n";
    let why = world.fails(wanted(1, lines));
    assert!(
        why.contains("lets no image be shared with everyone in us-west-2"),
        "{why}"
    );
    assert_eq!(world.calls(HOME, "RunInstances"), 0);
    world.region(WEST).store().public_images = PublicSharing::Allowed;
    world.done(wanted(2, lines));
    for (region, image) in world.named("golden") {
        assert!(image.public, "{region}");
        let there = world.region(region);
        // Snapshots only if asked for.
        let snapshot = image.snapshots[0].to_string();
        assert!(
            !there.store().permissions.contains_key(&snapshot),
            "{region}"
        );
    }
}

#[test]
fn a_plan_says_what_would_become_of_the_image() {
    let world = to_be_replaced();
    let plan = world.plan(wanted(1, REPLACE).with(TEST));
    let row = &plan.rows[0];
    assert_eq!(row.copies, [WEST, EUROPE]);
    assert_eq!(row.share, [OTHERS]);
    assert!(row.tested);
    assert_eq!(row.instances, 2);
    assert_eq!(row.instance_hours, 8.0);
    assert!(
        row.warnings
            .iter()
            .any(|text| text.contains("ami-0old-us-west-2 has the name"))
    );
    assert_eq!(
        row.parameter_changes,
        [
            "us-east-2 /images/golden: ami-0old-us-east-2 → (new image)",
            "us-west-2 /images/golden: ami-0old-us-west-2 → (copy)",
            "eu-west-1 /images/golden: (none) → (copy)",
        ]
    );
    world.done(wanted(2, REPLACE).with(TEST));
    let plan = world.plan(wanted(3, REPLACE).with(TEST));
    assert!(
        plan.rows[0]
            .parameter_changes
            .iter()
            .all(|change| !change.starts_with(HOME))
    );
}
