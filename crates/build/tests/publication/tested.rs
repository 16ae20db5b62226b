//! Images that have to pass a test.

use super::*;

#[test]
fn an_image_is_tested_before_it_counts() {
    let world = World::new();
    world.done(wanted(1, ALL).with(TEST));
    assert_eq!(world.scripts(), ["install", "check"]);
    let store = world.account.store();
    let image = store.images.values().find(|image| image.name == "golden");
    let image = image.unwrap();
    assert!(image.tags.get(tag::TESTED).is_some());
    let [build, test] = store.launches.as_slice() else {
        panic!("{:?}", store.launches.len())
    };
    assert_eq!(build.image_id.as_str(), "ami-0source");
    assert_eq!(test.image_id, image.image_id);
    let cell = |request: &LaunchRequest| request.tags.instance.get(tag::CELL).unwrap().to_owned();
    assert_eq!(
        (cell(build), cell(test)),
        (HOME.into(), format!("{HOME}+test"))
    );
    let position = |wanted: &str| {
        store
            .calls
            .iter()
            .rposition(|call| *call == wanted)
            .unwrap()
    };
    assert!(position("RunInstances") < position("CreateTags"));
    drop(store);
    for region in [WEST, EUROPE] {
        let copy = &world.named("golden")[region];
        assert!(copy.tags.get(tag::TESTED).is_some(), "{region}");
    }
    assert!(world.clutter().is_empty(), "{:?}", world.clutter());
    // Found by the next run, it is not tested again.
    world.done(wanted(2, ALL).with(TEST));
    assert_eq!(world.scripts(), ["install", "check"]);
}

#[test]
fn an_image_that_fails_its_test_is_never_seen_by_anybody() {
    let world = World {
        behaviour: Behaviour {
            exit_codes: vec![("check".into(), 3)],
            ..Behaviour::default()
        },
        ..World::new()
    };
    let why = world.fails(wanted(1, ALL).with(TEST));
    assert!(
        why.contains("failed its test while provisioning") && why.contains("exit code 3"),
        "{why}"
    );
    assert_eq!(world.account.holdings(), ["ami-0source"]);
    assert!(world.account.store().shared.is_empty());
    assert_eq!(world.calls(WEST, "CopyImage"), 0);
}

#[test]
fn a_failed_test_is_kept_if_asked_for_and_is_still_not_found() {
    let world = World {
        behaviour: Behaviour {
            exit_codes: vec![("check".into(), 3)],
            ..Behaviour::default()
        },
        ..World::new()
    };
    let keeping = Wanted {
        on_failure: OnFailure::Keep,
        ..wanted(1, ALL).with(TEST)
    };
    let report = world.run(keeping);
    assert_eq!(report.exit, ExitCode::Failed, "{:?}", report.left_behind);
    let kept: Vec<&str> = report.kept.iter().map(|one| one.kind.as_str()).collect();
    assert!(
        kept.contains(&"image") && kept.contains(&"instance"),
        "{kept:?}"
    );
    assert_eq!(report.ways_in.len(), 1);
    let image = world.named("golden")[HOME].clone();
    assert!(image.tags.get(tag::KEPT).is_some());
    assert_eq!(image.tags.get(tag::COMPLETE), None);
    let store = world.account.store();
    let running: Vec<&Instance> = store
        .instances
        .values()
        .filter(|instance| !instance.state.is_ending())
        .collect();
    assert_eq!(running.len(), 1);
    assert_eq!(running[0].image_id.as_ref(), Some(&image.image_id));
    drop(store);
    // The name is the kept image's now.
    let why = world.fails(wanted(2, ALL).with(TEST));
    assert!(why.contains("the image name `golden` is taken"), "{why}");
}

#[test]
fn checks_that_take_too_long_end_the_test() {
    let world = World::new();
    let test =
        "    test: { provision: [{ run: { name: check, inline: 'true' } }], timeout: 10s }\n";
    let why = world.fails(wanted(1, ALL).with(test));
    assert!(why.contains("test.timeout"), "{why}");
    assert_eq!(world.account.holdings(), ["ami-0source"]);
}

#[test]
fn an_image_from_before_its_test_is_tested_and_stays_if_it_fails() {
    let mut world = World::new();
    world.done(wanted(1, "      name: golden\n      imds: v2\n"));
    world.behaviour.exit_codes = vec![("check".into(), 3)];
    let why = world.fails(wanted(2, ALL).with(TEST));
    assert!(why.contains("failed its test"), "{why}");
    let image = world.named("golden")[HOME].clone();
    assert_eq!(image.tags.get(tag::COMPLETE), Some("true"), "others use it");
    assert!(world.account.store().shared.is_empty());
    world.behaviour.exit_codes.clear();
    world.done(wanted(3, ALL).with(TEST));
    let image = world.named("golden")[HOME].clone();
    assert!(image.tags.get(tag::TESTED).is_some());
    assert_eq!(world.calls(HOME, "CreateImage"), 1);
}
