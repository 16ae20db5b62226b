//! Stages that find the layer below by its tags.

use super::*;

/// Two layers, the upper of which is found by a tag after the lower.
fn layers(wanted: &str) -> Arc<Loaded> {
    let stage = |name: &str, source: &str| {
        format!(
            "  {name}: {{ region: eu-west-1, source: {source}, launch: {{ instance_type: m3.medium }}, connect: {{ user: ubuntu }}, \
             provision: [{{ run: {{ name: \"{name}\", inline: 'true' }} }}], image: {{ name: \"{name}-${{{{ run.id }}}}\" }}, \
             tags: {{ role: {name} }} }}\n"
        )
    };
    let start = format!("{{ image_id: {} }}", source_id("eu-west-1", "1204"));
    let found =
        format!("{{ filter: {{ owners: [self], tags: {{ role: {wanted} }} }}, after: lower }}");
    let text = format!(
        "name: layers\nstages:\n{}{}",
        stage("upper", &found),
        stage("lower", &start)
    );
    let options = LoadOptions::default();
    let loaded = pipeline::load(
        Path::new("/p.yaml"),
        text.as_bytes(),
        &options,
        &pipeline::Disk,
    );
    Arc::new(loaded.unwrap_or_else(|error| panic!("{error}\n{text}")))
}

/// An image that was there before, with the role, created when the epoch was.
fn yesterdays(world: &World, id: &str, role: &str) {
    let there = world.account.in_region(&RegionName::new("eu-west-1"));
    let like = source_id("eu-west-1", "1204");
    let image = Image {
        image_id: id.into(),
        name: id.to_owned(),
        created: Some(cloud::Timestamp::UNIX_EPOCH),
        tags: Tags::new().with("role", role),
        ..there.store().images[&like].clone()
    };
    there.store().images.insert(id.to_owned(), image);
}

#[test]
fn a_layer_that_is_found_by_its_tags_is_the_one_that_the_run_has_built() {
    let world = World::new(&[]);
    yesterdays(&world, "ami-old", "lower");
    let loaded = layers("lower");
    let plan = world.plan(&loaded, Wanted::default());
    assert_eq!(plan.rows[0].stage, "lower");
    assert_eq!(plan.rows[1].source_image, None, "it is not there yet");
    let report = world.run(&loaded, Wanted::default());
    let lower = &report.images[0];
    assert_eq!((lower.stage.as_str(), lower.cached), ("lower", false));
    assert_eq!(
        report.images[1].source_image.as_ref(),
        Some(&lower.image_id)
    );
    // Now it is there, and so is what was made from it.
    let plan = world.plan(&loaded, Wanted::default());
    assert_eq!(plan.rows[1].source_image.as_ref(), Some(&lower.image_id));
    let again = world.run(&loaded, Wanted::default());
    assert!(again.images.iter().all(|image| image.cached), "{again:?}");
    // Somebody's newer one with the tags is the layer from then on.
    let newer = world.account.in_region(&RegionName::new("eu-west-1"));
    let image = Image {
        image_id: "ami-newer".into(),
        created: cloud::Timestamp::from_second(32_503_680_000).ok(),
        ..newer.store().images["ami-old"].clone()
    };
    newer.store().images.insert("ami-newer".into(), image);
    let third = world.run(&loaded, Wanted::default());
    assert!(
        third.images[0].cached && !third.images[1].cached,
        "{third:?}"
    );
    assert_eq!(third.images[1].source_image.as_deref(), Some("ami-newer"));
}

#[test]
fn a_filter_that_finds_only_what_was_there_before_is_told() {
    let world = World::new(&[]);
    yesterdays(&world, "ami-old", "other");
    let report = world.run(&layers("other"), Wanted::default());
    assert_eq!(report.exit, ExitCode::Failed);
    let error = &report.failures[0].error;
    assert!(error.contains("ami-old, is older"), "{error}");
    // Without any, what is said is that there is none.
    let report = World::new(&[]).run(&layers("other"), Wanted::default());
    assert!(report.failures[0].error.contains("role"), "{report:?}");
}

#[test]
fn an_image_that_a_run_is_not_through_with_is_no_source() {
    let world = World::new(&[]);
    yesterdays(&world, "ami-old", "lower");
    let there = world.account.in_region(&RegionName::new("eu-west-1"));
    let old = there.store().images["ami-old"].clone();
    let unfinished = Image {
        image_id: "ami-untested".into(),
        created: cloud::Timestamp::from_second(32_503_680_000).ok(),
        tags: old.tags.clone().with(tag::RUN, "r-00000000"),
        ..old
    };
    there
        .store()
        .images
        .insert("ami-untested".into(), unfinished);
    let report = world.run(&layers("lower"), Wanted::default());
    let lower = &report.images[0].image_id;
    assert_eq!(report.images[1].source_image.as_ref(), Some(lower));
}
