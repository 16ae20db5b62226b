//! What is done before anything is made, and what a rehearsal leaves out.

use super::*;

const PREFLIGHT: &str = "preflight:\n  - run: { name: fill, inline: make set.yaml, creates: [set.yaml], env: { T: '${{ vars.token }}' } }\n  \
    - wait_for: { command: 'true', timeout: 1m, every: 10s }\n    name: look";

const USES_IT: &str = "    provision: [{ upload: { from: set.yaml, to: set.yaml } }]";

#[test]
fn preflight_makes_what_the_stages_use_before_anything_is_created() {
    let world = World::new();
    assert!(!world.folder.path().join("set.yaml").exists());
    world.scripted.ends("look", [Ends::Exit(1), Ends::Exit(0)]);
    done(&world.run_pipeline(PREFLIGHT, USES_IT));
    assert_eq!(
        world.done(),
        [
            "here fill",
            "here look",
            "here look",
            "guest upload set.yaml"
        ]
    );
    let told = world.scripted.environment("fill");
    assert_eq!(told["QIB_REGION"], "us-east-2");
    assert!(
        told.contains_key("QIB_RUN_ID") && !told.contains_key("QIB_STAGE"),
        "{told:?}"
    );
    // The same again is reused: what preflight made is part of the cache key by its content.
    let again = World {
        account: world.account.clone(),
        ..World::new()
    };
    again.account.store().clock = Some(Arc::new(again.clock.clone()));
    let report = again.run_pipeline(PREFLIGHT, USES_IT);
    done(&report);
    assert!(report.images[0].cached, "{report:?}");
}

#[test]
fn a_preflight_that_fails_or_does_not_make_its_files_ends_the_run_with_nothing_created() {
    for (text, ends, says) in [
        (
            PREFLIGHT.to_owned(),
            Ends::Exit(2),
            "`fill` ended with exit code 2",
        ),
        (
            PREFLIGHT.replace("make set.yaml", "nothing"),
            Ends::Exit(0),
            "ended well, but did not make `set.yaml`",
        ),
    ] {
        let world = World::new();
        world.scripted.ends("fill", [ends]);
        let report = world.run_pipeline(&text, USES_IT);
        let message = failed(&report);
        assert!(message.contains(says), "{message}");
        assert_eq!(report.failures[0].step, "preflight");
        assert_eq!(world.done(), ["here fill"]);
        assert!(world.account.store().instances.is_empty());
        assert!(report.left_behind.is_empty());
    }
    // An empty file is none.
    let world = World::new();
    std::fs::write(world.folder.path().join("set.yaml"), "").unwrap();
    let text = PREFLIGHT.replace("make set.yaml", "nothing");
    let report = world.run_pipeline(&text, USES_IT);
    assert!(failed(&report).contains("set.yaml is empty"), "{report:?}");
}

#[test]
fn a_preflight_that_is_stopped_ends_what_runs_and_is_no_failure() {
    let mut world = World::new();
    world.cancel_after = Some(MINUTE);
    world.scripted.ends("fill", [Ends::Never]);
    let report = world.run_pipeline(PREFLIGHT, USES_IT);
    assert_eq!(report.exit, ExitCode::Interrupted);
    assert!(report.failures.is_empty(), "{report:?}");
    assert_eq!(world.done(), ["here fill", "stopped fill"]);
}

#[test]
fn a_file_of_a_folder_that_preflight_made_without_it_is_named() {
    let world = World::new();
    std::fs::create_dir(world.folder.path().join("made")).unwrap();
    std::fs::write(world.folder.path().join("made/other"), "x").unwrap();
    let report = world.run_pipeline(
        "preflight: [{ run: { inline: x, creates: [made/] } }]",
        "    provision: [{ run: { name: a, script: made/script.sh } }]",
    );
    assert!(failed(&report).contains("made/script.sh"), "{report:?}");
    assert!(world.account.store().instances.is_empty());
}

#[test]
fn a_rehearsal_skips_what_needs_the_internet_and_says_so_at_the_end() {
    let mut world = World::new();
    world.venue = Venue::Rehearsal;
    let top = "preflight: [{ run: { name: fill, inline: make set.yaml, creates: [set.yaml] }, needs: [internet] }]";
    let uses = "    provision: [{ upload: { from: set.yaml, to: set.yaml }, needs: [internet] }, { run: { name: a, inline: x } }]";
    let report = world.run_pipeline(top, uses);
    done(&report);
    assert_eq!(report.skipped_preflight, ["fill"]);
    assert_eq!(report.images[0].skipped, ["upload set.yaml"]);
    assert_eq!(world.done(), ["guest a"]);
    let skipped: Vec<_> = world
        .outcomes()
        .into_iter()
        .filter(|(_, outcome, _)| *outcome == StepOutcome::Skipped)
        .map(|(name, _, why)| (name, why))
        .collect();
    let why = String::from("it needs internet");
    assert_eq!(
        skipped,
        [
            ("fill".to_owned(), why.clone()),
            ("upload set.yaml".to_owned(), why)
        ]
    );

    // What is skipped makes nothing, and what is not skipped needs it.
    let mut world = World::new();
    world.venue = Venue::Rehearsal;
    let report = world.run_pipeline(top, USES_IT);
    assert!(
        failed(&report).contains("was to make what is not there: set.yaml"),
        "{report:?}"
    );
}
