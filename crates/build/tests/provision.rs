//! Provisioners from the pipeline's text to their effect, against a guest and a build host that do as they are told, on a
//! clock that does not wait.

mod fake;

use build::cancel::{Cancelled, cancellation};
use build::event::Event;
use build::host::HttpAnswer;
use build::journal::Invocation;
use build::names::RunId;
use build::options::*;
use build::ports::Ports;
use build::report::{ExitCode, Report, StepOutcome};
use build::run::run;
use cloud::{Clock, Image, ImageState, Tags};
use fake::account::FakeAccount;
use fake::scripted::{Again, Ends, Restart, Scripted};
use fake::time::EventClock;
use fake::{Home, Recorder};
use pipeline::{LoadOptions, Loaded};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

struct World {
    account: FakeAccount,
    clock: EventClock,
    scripted: Scripted,
    recorder: Arc<Recorder>,
    folder: tempfile::TempDir,
    state: tempfile::TempDir,
    venue: Venue,
    operator: bool,
    cancel_after: Option<Duration>,
}

impl World {
    fn new() -> Self {
        let account = FakeAccount::new();
        let clock = EventClock::new();
        {
            let mut store = account.store();
            store.clock = Some(Arc::new(clock.clone()));
            let source = Image {
                deprecated: None,
                protected: false,
                public: false,
                boot_mode: None,
                virtualization: "hvm".into(),
                volumes: Vec::new(),
                image_id: "ami-1source".into(),
                name: "source".into(),
                description: String::new(),
                state: ImageState::Available,
                state_reason: None,
                created: None,
                owner: None,
                architecture: "x86_64".into(),
                root_device: Some("/dev/sda1".into()),
                snapshots: Vec::new(),
                tags: Tags::new(),
            };
            store.images.insert("ami-1source".into(), source);
        }
        Self {
            account,
            scripted: Scripted::new(Arc::new(clock.clone())),
            clock,
            recorder: Arc::default(),
            folder: tempfile::tempdir().unwrap(),
            state: tempfile::tempdir().unwrap(),
            venue: Venue::Aws,
            operator: false,
            cancel_after: None,
        }
    }

    /// Runs a pipeline with one stage, whose keys after `connect` these are.
    fn run(&self, stage: &str) -> Report {
        self.run_pipeline("", stage)
    }

    fn text(top: &str, stage: &str) -> String {
        format!(
            "name: demo\naws: {{ region: us-east-2 }}\nvars: {{ token: {{ env: TOKEN, secret: true }} }}\n{top}\n\
             stages:\n  base:\n    source: {{ image_id: ami-1source }}\n    launch: {{ instance_type: t3.micro }}\n    \
             connect: {{ user: ec2-user }}\n    image: {{ name: 'image-${{{{ run.id }}}}' }}\n{stage}\n"
        )
    }

    fn run_pipeline(&self, top: &str, stage: &str) -> Report {
        let text = Self::text(top, stage);
        let file = self.folder.path().join("demo.yaml");
        let local = self.venue == Venue::Rehearsal;
        let read = move || load(&file, &text, local);
        let loaded = Arc::new(read().unwrap_or_else(|error| panic!("{error}")));
        let (canceller, cancellation) = cancellation();
        let ports = Ports {
            account: Arc::new(self.account.clone()),
            clock: Arc::new(self.clock.clone()),
            guests: Arc::new(self.scripted.clone()),
            caller_address: Arc::new(Home),
            host: self
                .scripted
                .host(self.operator, Arc::new(Again(Box::new(read)))),
            observer: self.recorder.clone(),
            journal_watch: None,
        };
        let options = RunOptions {
            cells: build::options::CellOptions::default(),
            venue: self.venue,
            region: "us-east-2".into(),
            endpoint: None,
            guest_endpoint: GuestEndpoint::Regional,
            ssh_port: 22,
            on_failure: OnFailure::CleanUp,
            debugging: Debugging::Off,
            rebuild: BTreeSet::new(),
            agent_socket: None,
            state_dir: self.state.path().to_owned(),
            invocation: Invocation::default(),
        };
        let id = RunId::from_random(7);
        let canceller = &canceller;
        let cancel = async move {
            match self.cancel_after {
                Some(after) => {
                    self.clock.sleep(after).await;
                    canceller.cancel(Cancelled::Interrupted);
                }
                None => std::future::pending::<()>().await,
            }
        };
        self.clock.run(async {
            let work = run(loaded, id, options, ports, cancellation);
            let mut work = std::pin::pin!(work);
            tokio::select! {
                report = &mut work => report,
                () = cancel => work.await,
            }
        })
    }

    fn done(&self) -> Vec<String> {
        self.scripted.done()
    }

    /// What the provisioners came to, by the events.
    fn outcomes(&self) -> Vec<(String, StepOutcome, String)> {
        let events = self.recorder.0.lock().unwrap();
        events
            .iter()
            .filter_map(|event| match event {
                Event::ProvisionerFinished {
                    provisioner,
                    outcome,
                    reason,
                    ..
                } => Some((
                    provisioner.clone(),
                    *outcome,
                    reason.clone().unwrap_or_default(),
                )),
                _ => None,
            })
            .collect()
    }

    fn says(&self, text: &str) -> bool {
        self.recorder.text().contains(text)
    }

    fn elapsed(&self) -> Duration {
        let began = cloud::Timestamp::from_second(1_790_000_000).unwrap();
        cloud::clock::between(began, self.clock.now())
    }

    fn nothing_is_left(&self) -> bool {
        let store = self.account.store();
        store
            .instances
            .values()
            .all(|instance| instance.state == cloud::InstanceState::Terminated)
    }
}

fn load(file: &Path, text: &str, local: bool) -> Result<Loaded, String> {
    let options = LoadOptions {
        local,
        env: &|name| (name == "TOKEN").then(|| String::from("s3cret-value")),
        ..LoadOptions::default()
    };
    pipeline::load(file, text.as_bytes(), &options, &pipeline::Disk)
        .map_err(|error| error.to_string())
}

fn done(report: &Report) {
    assert_eq!(report.exit, ExitCode::Done, "{:?}", report.failures);
}

/// The message of the only failure.
fn failed(report: &Report) -> String {
    assert_eq!(report.exit, ExitCode::Failed, "{report:?}");
    assert_eq!(report.failures.len(), 1, "{report:?}");
    report.failures[0].error.clone()
}

const MINUTE: Duration = Duration::from_secs(60);

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

fn answer(status: u16, body: &str) -> Result<HttpAnswer, String> {
    Ok(HttpAnswer {
        status,
        body: body.as_bytes().to_vec(),
    })
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

/// A world with a playbook, and `provision:` with this entry.
fn with_playbook() -> World {
    let world = World::new();
    let folder = world.folder.path().join("plays");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("site.yaml"), "- hosts: all\n").unwrap();
    world
}

const FROM_HERE: &str = "    provision: [{ ansible: { playbook: plays/site.yaml, \
    extra_vars: { token: '${{ vars.token }}' } } }]";
const INSIDE: &str = "    provision: [{ ansible_local: { playbook: plays/site.yaml, staging: /var/tmp, \
    extra_vars: { token: '${{ vars.token }}' } }, timeout: 10m }]";

/// What was done, with the folder in the guest that nobody can guess as `STAGING`.
fn done_inside(world: &World) -> Vec<String> {
    let done = world.done();
    let folder = done
        .iter()
        .find_map(|line| line.strip_prefix("guest upload ")?.strip_suffix("/play/"))
        .unwrap_or_default()
        .to_owned();
    assert!(folder.starts_with("/var/tmp/.qib-ansible-"), "{done:?}");
    done.iter()
        .map(|line| line.replace(&folder, "STAGING"))
        .collect()
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path.display().to_string());
        }
    }
    found
}

#[test]
fn ansible_is_looked_for_before_anything_is_made() {
    let world = with_playbook();
    world.scripted.ends("ansible-version", [Ends::Exit(127)]);
    let report = world.run(FROM_HERE);
    assert_eq!(report.exit, ExitCode::BadInput, "{report:?}");
    let error = &report.failures[0].error;
    assert!(
        error.contains("plays/site.yaml") && error.contains("has no Ansible"),
        "{error}"
    );
    let hint = report.failures[0].hint.clone().unwrap();
    assert!(hint.contains("pip install ansible-core"), "{hint}");
    assert_eq!(world.done(), ["here ansible-version"]);
    assert!(world.account.store().instances.is_empty());
    // Inside the guest, nobody needs it here.
    let world = with_playbook();
    done(&world.run(INSIDE));
    assert!(!world.done().contains(&String::from("here ansible-version")));
}

#[test]
fn a_playbook_from_here_fails_its_stage_with_what_qib_knows_of_it() {
    let world = with_playbook();
    world.scripted.ends("ansible-playbook", [Ends::Exit(4)]);
    let error = failed(&world.run(FROM_HERE));
    for part in [
        "plays/site.yaml",
        "exit code 4",
        "could not be reached",
        "connection refused",
    ] {
        assert!(error.contains(part), "{error}");
    }
    assert_eq!(
        world.done(),
        ["here ansible-version", "here ansible-playbook"]
    );
    assert!(world.nothing_is_left());
    let left = files(world.state.path());
    assert!(
        !left.iter().any(|path| path.contains("/ansible/")),
        "{left:?}"
    );
}

#[test]
fn a_playbook_from_here_is_stopped_with_its_run() {
    let mut world = with_playbook();
    world.scripted.ends("ansible-playbook", [Ends::Never]);
    world.cancel_after = Some(30 * MINUTE);
    let report = world.run(FROM_HERE);
    assert_eq!(report.exit, ExitCode::Interrupted, "{report:?}");
    assert!(world.nothing_is_left());
    let left = files(world.state.path());
    assert!(
        !left.iter().any(|path| path.contains("/ansible/")),
        "{left:?}"
    );
}

#[test]
fn a_playbook_inside_is_uploaded_run_and_removed() {
    let world = with_playbook();
    done(&world.run(INSIDE));
    let wanted = [
        "guest ansible-staging",
        "guest upload STAGING/play/",
        "guest upload STAGING/inventory/hosts.yml",
        "guest upload STAGING/extra-vars.json",
        "guest ansible-playbook",
        "guest ansible-staging",
    ];
    assert_eq!(done_inside(&world), wanted);
    // Names of files stand in the environment, not on a command line; the secret stands in neither.
    let environment = world.scripted.environment("ansible-staging");
    assert!(environment["QIB_STAGING"].starts_with("/var/tmp/.qib-ansible-"));
    assert!(!format!("{environment:?}").contains("s3cret-value"));
}

#[test]
fn the_folder_inside_goes_also_after_a_failure_a_lost_connection_and_a_timeout() {
    for (ends, says) in [
        (Ends::Exit(2), "a task failed"),
        (Ends::Lost, "reset by peer"),
        (Ends::Never, "did not end within"),
    ] {
        let world = with_playbook();
        world.scripted.ends("ansible-playbook", [ends.clone()]);
        let error = failed(&world.run(INSIDE));
        assert!(error.contains(says), "{ends:?}: {error}");
        let done = done_inside(&world);
        let after = done
            .iter()
            .skip_while(|line| *line != "guest ansible-playbook");
        let after: Vec<&String> = after.collect();
        assert_eq!(
            after,
            ["guest ansible-playbook", "guest ansible-staging"],
            "{ends:?}"
        );
        assert!(world.nothing_is_left());
    }
}

#[test]
fn a_folder_inside_that_stays_keeps_the_image_from_being_made() {
    let world = with_playbook();
    world
        .scripted
        .ends("ansible-staging", [Ends::Exit(0), Ends::Exit(1)]);
    let error = failed(&world.run(INSIDE));
    assert!(
        error.contains("removing the playbook's folder from the guest"),
        "{error}"
    );
    let store = world.account.store();
    assert_eq!(store.images.len(), 1, "only the source");
}
