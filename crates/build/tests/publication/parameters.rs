//! SSM parameters that name the image.

use super::*;

#[test]
fn a_parameter_of_an_image_that_was_retired_is_still_the_stages() {
    let world = to_be_replaced();
    world.done(wanted(1, REPLACE));
    // As a run leaves it that dies between the old image's end and the parameters.
    for region in [HOME, WEST] {
        let old = format!("ami-0old-{region}");
        world.parameter(region, "/images/golden", &old, ParameterKind::Image);
    }
    let changed = REPLACE.replace("name: golden\n", "name: golden\n      ena: true\n");
    world.done(wanted(2, &changed));
    check_replaced(&world);
    // What no image of the stage says that it replaces is somebody else's.
    world.parameter(HOME, "/images/golden", "ami-0gone", ParameterKind::Image);
    let changed = REPLACE.replace("name: golden\n", "name: golden\n      sriov: true\n");
    let error = world.fails(wanted(3, &changed));
    assert!(error.contains("/images/golden"), "{error}");
}

#[test]
fn a_parameter_that_is_not_this_stages_is_not_overwritten() {
    type Prepare = fn(&World);
    let cases: [(&str, Prepare); 3] = [
        ("it holds text", |world| {
            world.parameter(
                WEST,
                "/images/golden",
                "ami-0old-us-west-2",
                ParameterKind::Text,
            );
        }),
        ("which this stage did not make", |world| {
            world.old(WEST, false);
            let there = world.region(WEST);
            there
                .store()
                .images
                .get_mut("ami-0old-us-west-2")
                .unwrap()
                .name = "other".into();
            world.parameter(
                WEST,
                "/images/golden",
                "ami-0old-us-west-2",
                ParameterKind::Image,
            );
        }),
        ("not an image of this account", |world| {
            world.parameter(WEST, "/images/golden", "ami-0gone", ParameterKind::Image);
        }),
    ];
    for (why, prepare) in cases {
        let world = World::new();
        prepare(&world);
        let error = world.fails(wanted(1, ALL));
        assert!(
            error.contains("/images/golden in us-west-2") && error.contains(why),
            "{error}"
        );
        assert_eq!(world.calls(HOME, "RunInstances"), 0, "{why}");
        let forced = ALL.replace(
            "{ name: /images/golden }",
            "{ name: /images/golden, overwrite: true }",
        );
        world.done(wanted(2, &forced));
        let west = world.named("golden")[WEST].image_id.to_string();
        assert_eq!(world.held(WEST, "/images/golden").unwrap().0, west);
    }
}

#[test]
fn the_parameters_of_a_region_are_written_together_or_not_at_all() {
    let world = World::new();
    world.done(wanted(1, ALL));
    let first = world.held(HOME, "/images/golden").unwrap();
    // Another image of the stage, whose second parameter is refused at the last moment.
    let other = ALL.replace("name: golden\n", "name: other\n      ena: true\n");
    let two = other.replace("/images/at-home, regions: build", "/images/second");
    let account = world.account.clone();
    let once = AtomicBool::new(false);
    let watch = Watch(Box::new(move |_, _| {
        let mut store = account.store();
        let written = store
            .parameters
            .get("/images/golden")
            .map(|held| held.version);
        if written == Some(2) && !once.swap(true, Ordering::SeqCst) {
            let denied = Fault::Refused(ErrorKind::AccessDenied);
            store.faults.push(("PutParameter", denied));
        }
    }));
    let wanted = wanted(2, &two);
    let (_canceller, cancellation) = cancellation();
    let ports = world.ports(Some(Arc::new(watch)));
    let work = run(
        wanted.load(),
        wanted.id(),
        world.options(wanted),
        ports,
        cancellation,
    );
    let report = world.clock.run(work);
    assert_eq!(report.exit, ExitCode::Failed, "{:?}", report.failures);
    assert!(report.failures[0].error.contains("writing the parameters"));
    // What it held before is back, as a new version.
    assert_eq!(world.held(HOME, "/images/golden"), Some(first));
    assert_eq!(
        world.account.store().parameters["/images/golden"].version,
        3
    );
    assert_eq!(world.held(HOME, "/images/second"), None);
    assert!(
        world.held(WEST, "/images/second").is_some(),
        "another region is another affair"
    );
}
