//! Downloads, and what is waited for.

use super::*;

#[test]
fn a_download_goes_where_it_is_named_relative_to_the_pipeline() {
    let world = World::new();
    done(&world.run(
        "    provision:\n      - download: { from: /var/log/messages, to: 'logs/${{ cell }}/', become: root }\n      \
         - download: { from: out/, to: all }",
    ));
    let file = world.folder.path().join("logs/us-east-2/messages");
    assert_eq!(std::fs::read_to_string(file).unwrap(), "/var/log/messages");
    let file = world.folder.path().join("all/in-it");
    assert_eq!(std::fs::read_to_string(file).unwrap(), "out/");
    assert_eq!(
        world.done(),
        [
            "fetch /var/log/messages as root",
            "fetch out/ as login user"
        ]
    );

    let world = World::new();
    std::fs::write(world.folder.path().join("taken"), "").unwrap();
    let report = world.run("    provision: [{ download: { from: x, to: taken/x } }]");
    assert!(
        failed(&report).contains("download of x to taken/x failed"),
        "{report:?}"
    );
}

const GRAPH: &str = "    provision:\n      - wait_for: { http: { url: 'https://example.com/graph', headers: { Authorization: 'Bearer ${{ vars.token }}' }, \
    json: { path: 'nodes[*].version', equals: 4.12.3 } }, every: 1m, timeout: 1h }";

#[test]
fn a_release_graph_is_asked_until_it_lists_the_version() {
    let world = World::new();
    world.scripted.state().answers = [
        Err("connection refused".into()),
        answer(503, ""),
        answer(200, "{\"nodes\":[{\"version\":\"4.12.2\"}]}"),
        answer(200, "{\"nodes\":[{\"version\":\"4.12.2\"}]}"),
        answer(
            200,
            "{\"nodes\":[{\"version\":\"4.12.2\"},{\"version\":\"4.12.3\"}]}",
        ),
    ]
    .into();
    done(&world.run(GRAPH));
    let state = world.scripted.state();
    assert_eq!(state.requests.len(), 5);
    assert_eq!(
        state.requests[0].headers,
        [("Authorization".to_owned(), "Bearer s3cret-value".to_owned())]
    );
    drop(state);
    assert!(world.elapsed() >= 4 * MINUTE);
    let told = world.recorder.text().matches("not yet: ").count();
    assert_eq!(told, 3, "what is missing is told when it changes");
    assert!(!world.says("s3cret-value"));

    let world = World::new();
    world.scripted.state().answers =
        [answer(200, "{\"nodes\":[{\"version\":\"s3cret-value\"}]}")].into();
    let report = world.run(GRAPH);
    let message = failed(&report);
    assert!(
        message.contains("waited 3600s in vain: nodes[*].version is \"***\""),
        "{message}"
    );
    assert_eq!(
        world.scripted.state().requests.len(),
        61,
        "at the deadline once more"
    );
    assert!(!world.says("s3cret-value"));
}

#[test]
fn a_command_in_the_guest_is_looked_at_again_over_a_new_connection() {
    let world = World::new();
    world
        .scripted
        .ends("wait-command", [Ends::Exit(1), Ends::Lost, Ends::Exit(7)]);
    done(&world.run(
        "    provision: [{ wait_for: { command: test -e /ready, become: root, every: 5s } }]",
    ));
    assert_eq!(world.done(), ["guest(root) wait-command"; 4]);
    assert!(world.says("exit code 7"));
}

#[test]
fn what_cannot_become_so_is_not_waited_for() {
    for (code, says) in [
        (90, "has no cloud-init"),
        (91, "switched off"),
        (1, "did not end well"),
    ] {
        let world = World::new();
        let report = {
            // The first wait is connecting's own, which minds only what it is asked to.
            world.scripted.ends(
                "wait-cloud-init",
                [Ends::Exit(0), Ends::Exit(75), Ends::Exit(code)],
            );
            world
                .run("    provision: [{ wait_for: { cloud_init: true, every: 5s, timeout: 10h } }]")
        };
        assert!(failed(&report).contains(says), "{report:?}");
        assert!(world.elapsed() < 2 * 60 * MINUTE);
    }
}

#[test]
fn a_port_is_waited_for() {
    let world = World::new();
    world
        .scripted
        .ends("wait-port", [Ends::Exit(1), Ends::Exit(0)]);
    done(&world.run("    provision: [{ wait_for: { port: 8443 } }]"));
    assert_eq!(world.scripted.environment("wait-port")["QIB_PORT"], "8443");
}

#[test]
fn a_breakpoint_asks_whoever_is_there() {
    let text = "    provision:\n      - breakpoint: { message: 'look at ${{ cell }}' }\n        name: here\n      - run: { name: after, inline: x }";
    let mut world = World::new();
    world.operator = true;
    done(&world.run(text));
    let questions = world.scripted.state().questions.clone();
    assert_eq!(questions.len(), 1);
    assert!(
        questions[0].contains("here: look at us-east-2") && questions[0].contains("qib ssh i-"),
        "{questions:?}"
    );

    let mut world = World::new();
    world.operator = true;
    world.scripted.ends("answer", [Ends::Exit(1)]);
    let report = world.run(text);
    assert!(failed(&report).contains("answered with a no"), "{report:?}");
    assert!(world.done().is_empty());

    // Nobody is there.
    let world = World::new();
    done(&world.run(text));
    assert!(world.says("breakpoint `here` is passed"));
    let world = World::new();
    let report = world.run("    provision: [{ breakpoint: { required: true } }]");
    assert!(
        failed(&report).contains("there is no terminal"),
        "{report:?}"
    );
}

#[test]
fn a_pause_takes_its_time_and_shows_the_way_in() {
    let world = World::new();
    done(&world.run("    provision: [{ pause: { for: 45m } }]"));
    assert!(world.elapsed() >= 45 * MINUTE);
    assert!(world.says("The way in: `qib ssh i-"));
}
