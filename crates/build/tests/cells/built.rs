//! Which cells are built, and what one's failure means for the others.

use super::*;

#[test]
fn each_cell_is_built_in_its_region_and_nothing_else_stays() {
    let world = World::new(&[]);
    let loaded = Arc::new(matrix(&["eu-west-1", "us-west-1"], &["base", "top"]));
    let report = world.run(&loaded, Wanted::default());
    assert_eq!(report.exit, ExitCode::Done, "{:?}", report.failures);
    assert_eq!(names(&report.images, false).len(), 16);
    for image in &report.images {
        assert_eq!(image.region, image.matrix["region"], "{image:?}");
        let there = world.account.in_region(&RegionName::new(&image.region));
        assert!(
            there.store().images.contains_key(&image.image_id),
            "{image:?}"
        );
    }
    // Each started from the image of its own combination.
    for image in report.images.iter().filter(|image| image.stage == "top") {
        let base = report
            .images
            .iter()
            .find(|other| other.stage == "base" && other.cell == image.cell)
            .unwrap();
        assert_eq!(image.source_image.as_ref(), Some(&base.image_id));
    }
    assert_eq!(world.clutter(), Vec::<String>::new());
    // Nothing was done where nothing was to be done.
    assert!(!world.calls("us-east-2").contains(&"PutParameter"));
    for region in ["eu-west-1", "us-west-1"] {
        assert!(world.calls(region).contains(&"PutParameter"), "{region}");
    }
}

#[test]
fn one_cells_failure_leaves_the_others_done_and_the_next_run_builds_just_that_one() {
    let loaded = Arc::new(matrix(&REGIONS, &["image"]));
    let mut world = World::new(&["install-us-east-1-1404-hvm"]);
    let report = world.run(&loaded, Wanted::default());
    assert_eq!(report.exit, ExitCode::Failed);
    assert_eq!(names(&report.images, false).len(), 31);
    let failed: Vec<&str> = report
        .failures
        .iter()
        .map(|one| one.cell.as_str())
        .collect();
    assert_eq!(failed, ["us-east-1-1404-hvm"]);
    assert_eq!(report.failures[0].region, "us-east-1");
    assert_eq!(world.clutter(), Vec::<String>::new());

    world.guests = Arc::new(FakeGuests::default());
    let report = world.run(&loaded, Wanted::default());
    assert_eq!(report.exit, ExitCode::Done, "{:?}", report.failures);
    assert_eq!(names(&report.images, false), ["image/us-east-1-1404-hvm"]);
    assert_eq!(names(&report.images, true).len(), 31);
}

#[test]
fn what_starts_from_a_failed_cell_is_skipped_and_says_so() {
    // Only one cell of the base breaks.
    let breaking = matrix_of(&["eu-west-1"], &["base", "middle", "top"], |stage| {
        format!(
            "[{{ run: {{ name: 'install-{stage}-${{{{ cell }}}}', inline: 'echo ${{{{ matrix.virt }}}}' }} }}]"
        )
    });
    let world = World::new(&["install-base-eu-west-1-1204-pv"]);
    let (report, recorder) = world.run_watched(&Arc::new(breaking), Wanted::default());
    assert_eq!(report.exit, ExitCode::Failed);
    assert_eq!(report.failures.len(), 1, "{:?}", report.failures);
    let skipped: Vec<(&str, &str)> = report
        .skipped
        .iter()
        .map(|one| (one.stage.as_str(), one.reason.as_str()))
        .collect();
    assert_eq!(
        skipped,
        [
            (
                "middle",
                "it starts from base/eu-west-1-1204-pv, of which there is no image"
            ),
            (
                "top",
                "it starts from middle/eu-west-1-1204-pv, of which there is no image"
            ),
        ]
    );
    assert_eq!(report.images.len(), 9);
    let told = recorder.0.lock().unwrap();
    let told = told
        .iter()
        .filter(|event| matches!(event, Event::Skipped { .. }));
    assert_eq!(told.count(), 2);
    let steps = report.steps.iter();
    let skipped = steps.filter(|step| step.outcome == StepOutcome::Skipped);
    assert_eq!(skipped.count(), 2);
}

#[test]
fn no_more_cells_build_at_once_than_were_asked_for() {
    for jobs in [1, 3] {
        let world = World::new(&[]);
        let loaded = Arc::new(matrix(&["eu-west-1", "us-west-1"], &["image"]));
        let wanted = Wanted {
            jobs: Some(jobs),
            ..Wanted::default()
        };
        let (report, recorder) = world.run_watched(&loaded, wanted);
        assert_eq!(report.exit, ExitCode::Done, "{:?}", report.failures);
        let mut alive: BTreeSet<String> = BTreeSet::new();
        let mut most = 0;
        for event in recorder.0.lock().unwrap().iter() {
            match event {
                Event::StepStarted {
                    cell,
                    step: build::event::Step::Launch,
                } => {
                    alive.insert(cell.to_string());
                }
                Event::StepFinished {
                    cell,
                    step: build::event::Step::Terminate,
                } => {
                    alive.remove(&cell.to_string());
                }
                _ => {}
            }
            most = most.max(alive.len());
        }
        assert_eq!(most, jobs);
    }
}

#[test]
fn fail_fast_lets_no_other_cell_begin() {
    let world = World::new(&["install-eu-west-1-1204-pv"]);
    let loaded = Arc::new(matrix(&["eu-west-1"], &["image"]));
    let wanted = Wanted {
        jobs: Some(1),
        fail_fast: true,
        ..Wanted::default()
    };
    let report = world.run(&loaded, wanted);
    assert_eq!((report.images.len(), report.skipped.len()), (0, 3));
    assert!(
        report.skipped[0].reason.contains("--fail-fast"),
        "{:?}",
        report.skipped
    );
    assert_eq!(world.clutter(), Vec::<String>::new());
}

#[test]
fn only_what_was_asked_for_and_what_that_needs_is_built() {
    let world = World::new(&[]);
    let loaded = Arc::new(matrix(&["eu-west-1", "us-west-1"], &["base", "top"]));
    let wanted = Wanted {
        only: vec!["top/eu-west-1-*"],
        except: vec!["*-pv"],
        ..Wanted::default()
    };
    let plan = world.plan(&loaded, wanted.clone());
    let planned: Vec<(String, Option<String>)> = plan
        .rows
        .iter()
        .map(|row| (format!("{}/{}", row.stage, row.cell), row.needed_by.clone()))
        .collect();
    let needed = |os: &str| {
        let cell = format!("eu-west-1-{os}-hvm");
        (format!("base/{cell}"), Some(format!("top/{cell}")))
    };
    assert_eq!(planned[..2], [needed("1204"), needed("1404")]);
    assert_eq!(planned.len(), 4);
    let report = world.run(&loaded, wanted);
    assert_eq!(
        names(&report.images, false),
        [
            "base/eu-west-1-1204-hvm",
            "base/eu-west-1-1404-hvm",
            "top/eu-west-1-1204-hvm",
            "top/eu-west-1-1404-hvm"
        ]
    );
    assert!(!world.calls("us-west-1").contains(&"RunInstances"));
}

#[test]
fn a_region_that_refuses_fails_its_own_cells_and_no_others() {
    let world = World::new(&[]);
    let loaded = Arc::new(matrix(&["ap-east-1", "eu-west-1"], &["image"]));
    let report = world.run(&loaded, Wanted::default());
    assert_eq!(report.exit, ExitCode::Failed);
    assert_eq!((report.images.len(), report.failures.len()), (4, 4));
    for failure in &report.failures {
        assert_eq!(failure.region, "ap-east-1");
        assert!(
            failure.error.contains("has not opted in"),
            "{}",
            failure.error
        );
    }
    let plan = world.plan(&loaded, Wanted::default());
    assert_eq!(plan.blocked().count(), 4);
    assert!(
        plan.rows[0].reason.contains("has not opted in"),
        "{}",
        plan.rows[0].reason
    );
    assert!(world.calls("ap-east-1").is_empty());
    // One that may not be used for another reason.
    let world = World::new(&[]);
    let there = world.account.in_region(&"us-west-1".into());
    there.store().faults = vec![(
        "PutParameter",
        fake::account::Fault::Refused(cloud::ErrorKind::Quota),
    )];
    let loaded = Arc::new(matrix(&["eu-west-1", "us-west-1"], &["image"]));
    let report = world.run(&loaded, Wanted::default());
    assert_eq!((report.images.len(), report.failures.len()), (4, 4));
    assert_eq!(world.clutter(), Vec::<String>::new());
}

#[test]
fn how_long_each_step_took_is_reported_and_remembered() {
    let world = World::new(&[]);
    let loaded = Arc::new(matrix(&["eu-west-1"], &["image"]));
    let wanted = Wanted {
        only: vec!["*-1404-hvm"],
        ..Wanted::default()
    };
    let report = world.run(&loaded, wanted);
    let step = |name: &str, provisioner: Option<&str>| {
        report
            .steps
            .iter()
            .find(|step| step.step == name && step.provisioner.as_deref() == provisioner)
            .unwrap_or_else(|| panic!("no {name} in {:?}", report.steps))
    };
    let provisioner = step("provision", Some("install-eu-west-1-1404-hvm"));
    assert_eq!(provisioner.outcome, StepOutcome::Passed);
    assert!((provisioner.seconds - 100.0).abs() < 1.0, "{provisioner:?}");
    assert!(step("provision", None).seconds >= provisioner.seconds);
    let known = build::estimate::Durations::read(world.host.path());
    let stage = known.of(Venue::Aws, "comboami", "image").unwrap();
    let left = stage
        .remaining("provision", Duration::from_secs(40))
        .unwrap();
    assert!(left >= Duration::from_secs(60), "{left:?}");
}
