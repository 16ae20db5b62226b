//! What is known of all cells before the first is built.

use super::*;

#[test]
fn names_that_are_taken_are_found_in_all_regions_before_anything_is_launched() {
    let world = World::new(&[]);
    for region in ["eu-west-1", "us-west-1"] {
        let there = world.account.in_region(&RegionName::new(region));
        let mut store = there.store();
        let mut image = store.images[&source_id(region, "1204")].clone();
        image.image_id = format!("ami-taken-{region}").as_str().into();
        image.name = format!("image-{region}-1404-hvm");
        store.images.insert(image.image_id.to_string(), image);
    }
    let loaded = Arc::new(matrix(&["eu-west-1", "us-west-1"], &["image"]));
    let report = world.run(&loaded, Wanted::default());
    assert_eq!(report.exit, ExitCode::Failed);
    let mut failed: Vec<&str> = report
        .failures
        .iter()
        .map(|one| one.cell.as_str())
        .collect();
    failed.sort_unstable();
    assert_eq!(failed, ["eu-west-1-1404-hvm", "us-west-1-1404-hvm"]);
    assert!(
        report.failures[0].error.contains("ami-taken-"),
        "{:?}",
        report.failures
    );
    assert_eq!(report.skipped.len(), 6);
    for region in ["eu-west-1", "us-west-1"] {
        assert!(!world.calls(region).contains(&"RunInstances"));
    }
    let plan = world.plan(&loaded, Wanted::default());
    let taken: Vec<&str> = plan
        .rows
        .iter()
        .filter_map(|row| row.name_taken_by.as_deref())
        .collect();
    assert_eq!(taken, ["ami-taken-eu-west-1", "ami-taken-us-west-1"]);
}

#[test]
fn the_name_of_an_image_that_is_reused_is_not_taken() {
    let world = World::new(&[]);
    let loaded = Arc::new(matrix(&["eu-west-1"], &["base", "top"]));
    let first = world.run(&loaded, Wanted::default());
    assert_eq!(first.exit, ExitCode::Done);
    let again = world.run(&loaded, Wanted::default());
    assert_eq!(again.exit, ExitCode::Done, "{:?}", again.failures);
    assert_eq!(names(&again.images, true).len(), 8);
    let plan = world.plan(&loaded, Wanted::default());
    assert!(
        plan.rows
            .iter()
            .all(|row| row.action == "reuse" && row.warnings.is_empty())
    );
    assert_eq!(plan.instance_hours(), BTreeMap::new());
}

#[test]
fn a_plan_of_many_cells_takes_few_calls_in_each_region() {
    let world = World::new(&[]);
    let loaded = matrix(&REGIONS, &["base", "top"]);
    let plan = world.plan(&loaded, Wanted::default());
    assert_eq!(plan.rows.len(), 64);
    assert!(
        plan.rows.iter().all(|row| row.action == "build"),
        "{:?}",
        plan.rows[0]
    );
    for region in REGIONS {
        let describes = world.calls(region);
        let images = describes.iter().filter(|call| **call == "DescribeImages");
        // Sources, keys, earlier images, names: for all cells of the region together.
        assert_eq!(images.count(), 4, "{region}: {describes:?}");
    }
    let hours = plan.instance_hours();
    let each = 8.0 * plan.rows[0].instance_hours;
    assert!(plan.rows[0].instance_hours > 0.0);
    assert!(
        hours.len() == 8 && hours.values().all(|one| (one - each).abs() < 1e-9),
        "{hours:?}"
    );
}

#[test]
fn cells_of_a_stage_with_the_same_inputs_have_an_image_each() {
    let world = World::new(&[]);
    // Those of one release differ in their names only.
    let provision =
        |_: &str| String::from("[{ run: { name: same, inline: 'echo ${{ matrix.os }}' } }]");
    let loaded = Arc::new(matrix_of(&["eu-west-1"], &["image"], provision));
    let plan = world.plan(&loaded, Wanted::default());
    assert!(plan.rows.iter().all(|row| row.warnings.is_empty()));
    let ids = |report: &Report| -> BTreeMap<String, String> {
        let images = report.images.iter();
        images
            .map(|image| (image.cell.clone(), image.image_id.clone()))
            .collect()
    };
    let first = world.run(&loaded, Wanted::default());
    assert_eq!(names(&first.images, false).len(), 4);
    // In the order of the matrix, whichever was done first.
    let cells: Vec<&str> = first.images.iter().map(|image| &*image.cell).collect();
    let ordered = ["1204-pv", "1204-hvm", "1404-pv", "1404-hvm"];
    assert_eq!(cells, ordered.map(|cell| format!("eu-west-1-{cell}")));
    let distinct: BTreeSet<String> = ids(&first).into_values().collect();
    assert_eq!(distinct.len(), 4);
    let second = world.run(&loaded, Wanted::default());
    assert_eq!(names(&second.images, true).len(), 4);
    assert_eq!(ids(&second), ids(&first));
}

#[test]
fn an_image_that_is_reused_under_another_name_is_told() {
    let world = World::new(&[]);
    let named = |name: &str| {
        let text = format!(
            "name: one\nstages:\n  base: {{ region: eu-west-1, source: {{ image_id: {} }}, \
             launch: {{ instance_type: m3.medium }}, connect: {{ user: ubuntu }}, image: {{ name: \"{name}\" }} }}\n",
            source_id("eu-west-1", "1204")
        );
        let options = LoadOptions::default();
        let loaded = pipeline::load(
            Path::new("/p.yaml"),
            text.as_bytes(),
            &options,
            &pipeline::Disk,
        );
        Arc::new(loaded.unwrap_or_else(|error| panic!("{error}\n{text}")))
    };
    world.run(&named("golden-1"), Wanted::default());
    for (name, told) in [
        ("golden-1", false),
        ("golden-2", true),
        ("golden-${{ run.id }}", false),
    ] {
        let plan = world.plan(&named(name), Wanted::default());
        let (report, recorder) = world.run_watched(&named(name), Wanted::default());
        assert!(report.images[0].cached, "{name}");
        let said = "with the name `golden-1`, not `golden-2`";
        assert_eq!(
            plan.rows[0].warnings.iter().any(|text| text.contains(said)),
            told
        );
        assert_eq!(recorder.text().contains(said), told, "{name}");
    }
}

#[test]
fn a_plan_says_which_stages_would_come_to_one_image() {
    let world = World::new(&[]);
    let stage = |name: &str| {
        format!(
            "  {name}: {{ region: eu-west-1, source: {{ image_id: {} }}, launch: {{ instance_type: m3.medium }}, connect: {{ user: ubuntu }}, \
             provision: [{{ run: {{ name: same, inline: 'true' }} }}], image: {{ name: {name} }} }}\n",
            source_id("eu-west-1", "1204")
        )
    };
    let text = format!(
        "name: twins\naws: {{ region: eu-west-1 }}\nstages:\n{}{}",
        stage("one"),
        stage("two")
    );
    let options = LoadOptions::default();
    let loaded = pipeline::load(
        Path::new("/p.yaml"),
        text.as_bytes(),
        &options,
        &pipeline::Disk,
    );
    let loaded = loaded.unwrap_or_else(|error| panic!("{error}\n{text}"));
    let plan = world.plan(&loaded, Wanted::default());
    assert!(plan.rows[0].warnings.is_empty(), "{:?}", plan.rows);
    let warned = plan.rows[1].warnings.first();
    assert!(
        warned.is_some_and(|text| text.contains("same inputs as one/eu-west-1")),
        "{:?}",
        plan.rows
    );
}

#[test]
fn snapshots_are_looked_at_once_for_all_cells_of_a_region() {
    let world = World::new(&[]);
    let there = world.account.in_region(&"eu-west-1".into());
    let run = RunId::from_random(1);
    let cell = |name: &str| CellName {
        stage: "image".into(),
        cell: name.into(),
    };
    for (name, percent) in [("a", 20), ("b", 70)] {
        let tags = Tags::new()
            .with(tag::RUN, run.as_str())
            .with(tag::STAGE, "image")
            .with(tag::CELL, name);
        let snapshot = Snapshot {
            snapshot_id: name.into(),
            state: SnapshotState::Pending,
            progress_percent: percent,
            description: String::new(),
            volume_gib: 8,
            kms_key_id: None,
            started: None,
            tags,
        };
        there.store().snapshots.insert(name.into(), snapshot);
    }
    let pollers = Pollers::new(Arc::new(world.clock.clone()));
    let region: Arc<dyn cloud::Region> = Arc::new(there.clone());
    let watch = pollers.of(&region);
    let look = |name: &str| {
        let name = cell(name);
        world
            .clock
            .run(watch.snapshots.percent(&run, &name))
            .unwrap()
    };
    assert_eq!(
        (look("a"), look("b"), look("c")),
        (Some(20), Some(70), None)
    );
    assert_eq!(world.calls("eu-west-1"), ["DescribeSnapshots"]);
    let pause = cloud::Clock::sleep(&world.clock, Duration::from_secs(5));
    world.clock.run(pause);
    look("a");
    assert_eq!(world.calls("eu-west-1").len(), 2);
}
