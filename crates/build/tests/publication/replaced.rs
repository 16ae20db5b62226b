//! Names that are taken, and images that take another's place.

use super::*;

#[test]
fn a_taken_name_is_told_for_every_region_before_anything_is_launched() {
    let world = World::new();
    world.old(HOME, true);
    world.old(EUROPE, false);
    let why = world.fails(wanted(1, ALL));
    assert!(
        why.contains(
            "taken in us-east-2 by ami-0old-us-east-2 and in eu-west-1 by ami-0old-eu-west-1"
        ),
        "{why}"
    );
    assert_eq!(world.calls(HOME, "RunInstances"), 0);
}

const SKIP: &str =
    "      name: golden\n      on_conflict: skip\n      share: { accounts: ['111122223333'] }\n";

#[test]
fn the_image_that_has_the_name_may_be_the_result() {
    for ours in [true, false] {
        let world = World::new();
        world.old(HOME, ours);
        let report = world.done(wanted(1, SKIP));
        assert_eq!(report.images[0].image_id, "ami-0old-us-east-2");
        assert!(report.images[0].cached);
        assert_eq!(world.calls(HOME, "RunInstances"), 0);
        // Another's is left as it is.
        let shared = !world.account.store().shared.is_empty();
        assert_eq!(shared, ours);
    }
}

#[test]
fn a_region_whose_name_is_anothers_is_skipped() {
    let world = World::new();
    world.old(WEST, false);
    let lines = format!(
        "{SKIP}      copy_to: [us-west-2, eu-west-1]\n      parameters: [{{ name: /images/golden }}]\n"
    );
    let report = world.done(wanted(1, &lines));
    let west = &report.images[0].copies[1];
    assert_eq!(west.image_id.as_deref(), Some("ami-0old-us-west-2"));
    assert_eq!(west.error, None);
    assert_eq!(world.calls(WEST, "CopyImage"), 0);
    assert_eq!(world.held(WEST, "/images/golden"), None);
    assert!(world.held(EUROPE, "/images/golden").is_some());
}

#[test]
fn an_image_takes_the_name_of_the_one_before_it() {
    let world = to_be_replaced();
    let report = world.done(wanted(1, REPLACE));
    check_replaced(&world);
    let images = world.named("golden");
    assert_eq!(report.images[0].image_id, images[HOME].image_id.as_str());
    assert_eq!(
        images[HOME].tags.get(tag::REPLACES),
        Some("ami-0old-us-east-2")
    );
    assert_eq!(images[EUROPE].tags.get(tag::REPLACES), None);
    // Where nothing was in the way, one copy is enough.
    assert_eq!(world.calls(EUROPE, "CopyImage"), 1);
    assert_eq!(world.calls(WEST, "CopyImage"), 2);
    // The next run finds it under its name.
    let report = world.done(wanted(2, REPLACE));
    assert!(report.images[0].cached);
    assert_eq!(world.calls(WEST, "CopyImage"), 2);
    check_replaced(&world);
}

/// Asks the run to stop when an event says this.
struct StopsAt {
    said: &'static str,
    canceller: Canceller,
    recorder: Arc<Recorder>,
}

impl Observer for StopsAt {
    fn observe(&self, event: &Event) {
        self.recorder.observe(event);
        if format!("{event:?}").contains(self.said) {
            self.canceller.cancel(Cancelled::Interrupted);
        }
    }
}

fn stopped_at(world: &World, said: &'static str) -> Report {
    let (canceller, cancellation) = cancellation();
    let observer = StopsAt {
        said,
        canceller,
        recorder: world.recorder.clone(),
    };
    let ports = Ports {
        observer: Arc::new(observer),
        ..world.ports(None)
    };
    let first = wanted(1, REPLACE);
    let work = run(
        first.load(),
        first.id(),
        world.options(first),
        ports,
        cancellation,
    );
    let report = world.clock.run(work);
    assert_eq!(
        report.exit,
        ExitCode::Interrupted,
        "{said}: {:?}",
        report.failures
    );
    assert!(
        report.left_behind.is_empty(),
        "{said}: {:?}",
        report.left_behind
    );
    report
}

#[test]
fn a_name_that_is_being_changed_is_changed_before_the_run_stops() {
    for said in [
        "is retired",
        "step: Share",
        "step: Parameters",
        "step: Tidy",
    ] {
        let world = to_be_replaced();
        let report = stopped_at(&world, said);
        check_replaced(&world);
        let golden = world.named("golden");
        assert_eq!(report.images[0].image_id, golden[HOME].image_id.as_str());
        let told = world.recorder.text();
        assert!(told.contains("the old image is gone"), "{said}: {told}");
    }
}

#[test]
fn until_a_name_is_being_changed_a_run_stops_with_everything_as_it_was() {
    let world = to_be_replaced();
    stopped_at(&world, "step: Copy");
    for region in [HOME, WEST] {
        let old = format!("ami-0old-{region}");
        assert_eq!(world.named("golden")[region].image_id.as_str(), old);
        let held = world.held(region, "/images/golden").expect("it is there");
        assert_eq!(held.0, old);
    }
    // And the next run goes on.
    world.done(wanted(2, REPLACE));
    check_replaced(&world);
}

#[test]
fn an_image_that_others_depend_on_is_not_replaced() {
    type Prepare = fn(&World);
    let cases: [(&str, Prepare); 5] = [
        ("this stage did not make it", |world| world.old(HOME, false)),
        ("launch template", |world| {
            world.old(HOME, true);
            world
                .account
                .store()
                .launch_template_images
                .push(LaunchTemplateImage {
                    template_id: "lt-1".into(),
                    template_name: "workers".into(),
                    version: 3,
                    image_id: "ami-0old-us-east-2".into(),
                });
        }),
        ("shared with 444455556666", |world| {
            world.old(HOME, true);
            let permissions = Permissions {
                accounts: ["444455556666".into()].into(),
                ..Permissions::default()
            };
            let mut store = world.account.store();
            store
                .permissions
                .insert("ami-0old-us-east-2".into(), permissions);
        }),
        ("protected it", |world| {
            world.old(HOME, true);
            let mut store = world.account.store();
            store
                .images
                .get_mut("ami-0old-us-east-2")
                .unwrap()
                .protected = true;
        }),
        ("this stage did not make it", |world| world.old(WEST, false)),
    ];
    for (why, prepare) in cases {
        let world = World::new();
        prepare(&world);
        let error = world.fails(wanted(1, REPLACE));
        assert!(error.contains(why), "{error}");
        assert_eq!(world.calls(HOME, "RunInstances"), 0, "{why}");
        // Whoever says so gets it replaced all the same.
        let forced = REPLACE.replace("replace", "{ replace: { force: true } }");
        world.done(wanted(2, &forced));
        check_replaced(&world);
    }
}

#[test]
fn the_protection_that_this_stage_set_is_no_obstacle() {
    let world = World::new();
    let protecting = format!("{REPLACE}      protect: true\n");
    world.done(wanted(1, &protecting));
    let first = world.named("golden")[HOME].image_id.clone();
    let other = format!("{protecting}      ena: true\n");
    world.done(wanted(2, &other));
    let second = &world.named("golden")[HOME];
    assert_ne!(second.image_id, first);
    assert!(second.protected);
}
