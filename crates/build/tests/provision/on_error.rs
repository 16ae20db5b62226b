//! What is done after a failure.

use super::*;

#[test]
fn after_a_failure_logs_are_fetched_and_somebody_is_told_before_the_instance_goes() {
    let world = World::new();
    world.scripted.ends("install", [Ends::Exit(3)]);
    world.scripted.ends("tidy", [Ends::Exit(9)]);
    let report = world.run(
        "    provision:\n      - run: { name: install, inline: x, env: { T: '${{ vars.token }}' } }\n      - run: { name: never, inline: x }\n    \
         on_error:\n      - run: { name: tidy, inline: x }\n      - download: { from: /var/log/x, to: x.log }\n      \
         - run: { name: tell, inline: x, local: true }",
    );
    assert!(
        failed(&report).contains("`install` ended with exit code 3"),
        "{report:?}"
    );
    assert_eq!(
        world.done(),
        [
            "guest install",
            "guest tidy",
            "fetch /var/log/x as login user",
            "here tell"
        ]
    );
    let told = world.scripted.environment("tell");
    assert!(told["QIB_ERROR"].contains("exit code 3"), "{told:?}");
    assert!(world.says("on_error: provisioner `tidy` ended with exit code 9"));
    assert!(world.folder.path().join("x.log").exists());
    assert!(world.nothing_is_left());
}

#[test]
fn qib_error_holds_no_secret_and_what_hangs_on_error_does_not_hold_the_instance_for_ever() {
    let world = World::new();
    world.scripted.state().answers = [answer(200, "{\"v\":\"s3cret-value\"}")].into();
    world.scripted.ends("tell", [Ends::Never]);
    let report = world.run(
        "    provision: [{ wait_for: { http: { url: 'https://example.com/', json: { path: v, equals: x } }, timeout: 1s } }]\n    \
         on_error: [{ run: { name: tell, inline: x, local: true } }, { run: { name: last, inline: x, local: true } }]",
    );
    failed(&report);
    let told = world.scripted.environment("last");
    assert!(
        told["QIB_ERROR"].contains("***") && !told["QIB_ERROR"].contains("s3cret"),
        "{told:?}"
    );
    assert_eq!(world.done(), ["here tell", "stopped tell", "here last"]);
    assert!(world.elapsed() < 30 * MINUTE);
}

#[test]
fn with_the_connection_gone_only_what_runs_here_is_done_on_error() {
    let world = World::new();
    world.scripted.ends("install", [Ends::Lost]);
    world.scripted.state().restarts.insert(
        "install".into(),
        Restart {
            stale: 0,
            down: u32::MAX,
        },
    );
    let report = world.run(
        "    provision: [{ run: { name: install, inline: x } }]\n    \
         on_error: [{ run: { name: inside, inline: x } }, { run: { name: outside, inline: x, local: true } }]",
    );
    failed(&report);
    assert_eq!(world.done(), ["guest install", "here outside"]);
    assert!(world.says("on_error: `inside` is left out"));
}
