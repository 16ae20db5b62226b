//! Guests that go down and come back.

use super::*;

#[test]
fn a_reboot_is_over_when_another_boot_answers_and_not_before() {
    for (stale, down) in [(0, 0), (5, 0), (0, 7), (3, 4)] {
        let world = World::new();
        let restart = Restart { stale, down };
        world
            .scripted
            .state()
            .restarts
            .insert("reboot".into(), restart);
        done(
            &world
                .run("    provision:\n      - reboot: {}\n      - run: { name: after, inline: x }"),
        );
        assert_eq!(
            world.done(),
            ["guest(root) reboot", "guest after"],
            "{restart:?}"
        );
        let opens = world
            .scripted
            .state()
            .done
            .iter()
            .filter(|line| *line == "open")
            .count();
        // The first, one for each that found the old boot or nothing, the one that found the new boot.
        assert_eq!(
            opens,
            usize::try_from(stale + down + 2).unwrap(),
            "{restart:?}"
        );
        assert!(world.says("has booted anew"));
    }
}

#[test]
fn a_guest_that_does_not_go_down_or_not_come_back_or_comes_back_as_another_is_a_failure() {
    let world = World::new();
    // It says that it restarts, and does not.
    let report = world.run("    provision: [{ reboot: { timeout: 3m } }]");
    let message = failed(&report);
    assert!(
        message.contains(
            "did not bring the guest back within 180s: it answers, and is still in the boot"
        ),
        "{message}"
    );
    assert!(world.elapsed() >= 3 * MINUTE && world.elapsed() < 30 * MINUTE);

    let world = World::new();
    let never = Restart {
        stale: 0,
        down: u32::MAX,
    };
    world
        .scripted
        .state()
        .restarts
        .insert("reboot".into(), never);
    let report = world.run("    provision: [{ reboot: { timeout: 3m } }]");
    assert!(failed(&report).contains("connection refused"), "{report:?}");
    assert!(world.nothing_is_left());

    let world = World::new();
    {
        let mut state = world.scripted.state();
        state
            .restarts
            .insert("reboot".into(), Restart { stale: 0, down: 1 });
        state.other_key_after_boot = true;
    }
    let report = world.run("    provision: [{ reboot: {}, retry: 3 }]");
    assert!(
        failed(&report).contains("IS NOT THE ONE THIS RUN EXPECTS"),
        "{report:?}"
    );

    let world = World::new();
    world.scripted.ends("reboot", [Ends::Exit(1)]);
    let report = world.run("    provision: [{ reboot: { command: systemctl kexec } }]");
    assert!(
        failed(&report).contains("could not restart the guest: exit code 1"),
        "{report:?}"
    );
}

#[test]
fn a_script_that_restarts_the_guest_may_lose_its_connection_and_is_waited_after() {
    for ends in [Ends::Lost, Ends::Exit(0), Ends::Exit(143)] {
        let world = World::new();
        world
            .scripted
            .state()
            .restarts
            .insert("upgrade".into(), Restart { stale: 2, down: 2 });
        world.scripted.ends("upgrade", [ends.clone()]);
        done(&world.run(
            "    provision:\n      - run: { name: upgrade, inline: x, reboots: true }\n      - run: { name: after, inline: x }",
        ));
        assert_eq!(world.done(), ["guest upgrade", "guest after"], "{ends:?}");
    }
    // A failure stays one, and so does a script that does not do what it says.
    let world = World::new();
    world.scripted.ends("upgrade", [Ends::Exit(2)]);
    let report = world.run("    provision: [{ run: { name: upgrade, inline: x, reboots: true } }]");
    assert!(failed(&report).contains("exit code 2"), "{report:?}");
    let world = World::new();
    let report = world
        .run("    provision: [{ run: { name: upgrade, inline: x, reboots: true, timeout: 2m } }]");
    assert!(failed(&report).contains("still in the boot"), "{report:?}");
}
