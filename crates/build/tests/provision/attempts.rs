//! How often, how long and after what pause an entry is done.

use super::*;

#[test]
fn scripts_are_told_what_they_are_part_of_in_the_guest_and_here() {
    let world = World::new();
    done(&world.run(
        "    provision:\n      - run: { name: inside, inline: x, env: { OWN: '${{ vars.token }}' } }\n      \
         - run: { name: outside, inline: x, local: true, env: { OWN: '${{ vars.token }}' } }",
    ));
    assert_eq!(world.done(), ["guest inside", "here outside"]);
    let instance = world
        .account
        .store()
        .instances
        .keys()
        .next()
        .unwrap()
        .clone();
    for name in ["inside", "outside"] {
        let environment = world.scripted.environment(name);
        let wanted = [
            ("QIB_RUN_ID", RunId::from_random(7).to_string()),
            ("QIB_STAGE", "base".into()),
            ("QIB_CELL", "us-east-2".into()),
            ("QIB_BUILD_NAME", "base".into()),
            ("QIB_REGION", "us-east-2".into()),
            ("QIB_INSTANCE_ID", instance.clone()),
            ("OWN", "s3cret-value".into()),
        ];
        for (variable, value) in wanted {
            assert_eq!(environment.get(variable), Some(&value), "{name} {variable}");
        }
        assert!(environment.contains_key("QIB_HOST"), "{name}");
        assert!(!environment.contains_key("QIB_ERROR"), "{name}");
    }
    let outcomes = world.outcomes();
    assert_eq!(outcomes.len(), 2);
    assert!(
        outcomes
            .iter()
            .all(|(_, outcome, _)| *outcome == StepOutcome::Passed)
    );
}

#[test]
fn what_fails_is_begun_again_from_the_start_as_often_as_it_may_and_no_more() {
    let world = World::new();
    world.scripted.ends("flaky", [Ends::Exit(3), Ends::Exit(4)]);
    done(&world.run(
        "    provision: [{ run: { name: flaky, inline: x }, retry: { times: 2, delay: 90s } }]",
    ));
    assert_eq!(
        world.done(),
        [
            "guest flaky",
            "guest end-earlier-attempt",
            "guest flaky",
            "guest end-earlier-attempt",
            "guest flaky"
        ]
    );
    assert!(world.elapsed() >= 2 * Duration::from_secs(90), "the delays");
    assert!(
        world.says("attempt 1 of 3 of `flaky` failed: provisioner `flaky` ended with exit code 3")
    );
    let tries = world.scripted.state();
    let ids: BTreeSet<_> = tries
        .environments
        .iter()
        .filter_map(|(_, environment)| environment.get("QIB_ATTEMPT"))
        .collect();
    assert_eq!(ids.len(), 3, "each attempt has an id of its own: {ids:?}");
    drop(tries);

    let world = World::new();
    world
        .scripted
        .ends("flaky", [Ends::Exit(3), Ends::Exit(4), Ends::Exit(5)]);
    let report = world.run("    provision: [{ run: { name: flaky, inline: x }, retry: 1 }]");
    assert!(failed(&report).contains("exit code 4"), "{report:?}");
    assert!(world.nothing_is_left());
}

#[test]
fn a_lost_connection_is_a_failure_and_a_second_attempt_only_where_that_was_asked_for() {
    let world = World::new();
    world.scripted.ends("install", [Ends::Lost]);
    let report = world.run("    provision: [{ run: { name: install, inline: x } }]");
    assert!(failed(&report).contains("connection broke"), "{report:?}");
    assert_eq!(world.done(), ["guest install"]);

    let world = World::new();
    world.scripted.ends("install", [Ends::Lost]);
    done(
        &world
            .run("    provision: [{ run: { name: install, inline: x, become: root }, retry: 1 }]"),
    );
    assert_eq!(
        world.done(),
        [
            "guest(root) install",
            "guest(root) end-earlier-attempt",
            "guest(root) install"
        ],
        "what the first attempt left running is ended first, as the same user"
    );
    let earlier = world.scripted.environment("end-earlier-attempt");
    let attempt = world.scripted.environment("install")["QIB_ATTEMPT"].clone();
    assert!(
        attempt.starts_with(&earlier["QIB_EARLIER"]),
        "{attempt} {earlier:?}"
    );
}

#[test]
fn an_attempt_is_not_begun_while_the_one_before_still_runs() {
    let world = World::new();
    world.scripted.ends("install", [Ends::Lost]);
    world.scripted.ends("end-earlier-attempt", [Ends::Exit(1)]);
    let report = world.run("    provision: [{ run: { name: install, inline: x }, retry: 1 }]");
    assert!(
        failed(&report).contains("still runs in the guest"),
        "{report:?}"
    );
    assert_eq!(
        world
            .done()
            .iter()
            .filter(|line| *line == "guest install")
            .count(),
        1
    );
}

#[test]
fn the_timeout_beside_an_entry_is_for_all_attempts_and_the_one_inside_for_each_script() {
    let world = World::new();
    world
        .scripted
        .ends("slow", [Ends::After(4 * MINUTE), Ends::After(4 * MINUTE)]);
    let report = world.run(
        "    provision: [{ run: { name: slow, inline: x, timeout: 3m }, retry: { times: 9, delay: 1s }, timeout: 5m }]",
    );
    let message = failed(&report);
    assert!(message.contains("did not end within 300s"), "{message}");
    assert_eq!(
        world
            .done()
            .iter()
            .filter(|line| *line == "guest slow")
            .count(),
        2
    );

    let world = World::new();
    world.scripted.ends("slow", [Ends::Never]);
    let report = world.run("    provision: [{ run: { name: slow, inline: x }, timeout: 5m }]");
    assert!(
        failed(&report).contains("did not end within 300s"),
        "{report:?}"
    );

    // Here, too, and what runs is told to end.
    let world = World::new();
    world.scripted.ends("slow", [Ends::Never]);
    let report =
        world.run("    provision: [{ run: { name: slow, inline: x, local: true }, timeout: 5m }]");
    assert!(
        failed(&report).contains("did not end within 300s"),
        "{report:?}"
    );
    assert_eq!(world.done(), ["here slow", "stopped slow"]);
}

#[test]
fn a_pause_before_an_entry_comes_before_its_time_begins() {
    let world = World::new();
    world.scripted.ends("slow", [Ends::After(4 * MINUTE)]);
    done(&world.run(
        "    provision: [{ run: { name: slow, inline: x }, pause_before: 20m, timeout: 5m }]",
    ));
    assert!(world.elapsed() >= 24 * MINUTE);
}

#[test]
fn a_run_that_is_stopped_ends_what_runs_here_and_does_nothing_on_error() {
    let mut world = World::new();
    world.cancel_after = Some(10 * MINUTE);
    world.scripted.ends("slow", [Ends::Never]);
    let report = world.run(
        "    provision: [{ run: { name: slow, inline: x, local: true }, retry: 5 }]\n    \
         on_error: [{ run: { name: tell, inline: x, local: true } }]",
    );
    assert_eq!(report.exit, ExitCode::Interrupted);
    assert_eq!(world.done(), ["here slow", "stopped slow"]);
    assert!(world.nothing_is_left());
}

#[test]
fn no_environment_holds_a_nul_byte_wherever_it_stands() {
    let world = World::new();
    let file = world.folder.path().join("demo.yaml");
    let bad = "env: { A: \"x\\0y\" }";
    for (top, stage) in [
        (
            format!("preflight: [{{ run: {{ inline: x, {bad} }} }}]"),
            String::new(),
        ),
        (
            format!("preflight: [{{ wait_for: {{ command: x, {bad} }} }}]"),
            String::new(),
        ),
        (
            String::new(),
            format!("    provision: [{{ run: {{ inline: x, {bad} }} }}]"),
        ),
        (
            String::new(),
            format!("    provision: [{{ wait_for: {{ command: x, {bad} }} }}]"),
        ),
        (
            String::new(),
            format!("    on_error: [{{ run: {{ inline: x, {bad} }} }}]"),
        ),
    ] {
        let loaded = load(&file, &World::text(&top, &stage), false).unwrap();
        let problems = build::precheck::problems(&loaded, world.clock.now());
        assert_eq!(problems.len(), 1, "{top}{stage}");
        assert!(
            problems[0].message.contains("NUL byte"),
            "{:?}",
            problems[0].message
        );
    }
}
