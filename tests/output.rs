//! What is printed where: results on stdout, progress on stderr; plain lines in a pipe, JSON on request, bars on a
//! terminal only.

#![allow(
    clippy::disallowed_methods,
    reason = "an edge: it looks at a terminal now and then"
)]
use end_to_end::{Config, LocalEc2, OneStage, Running};
use std::process::Command;

#[test]
fn in_a_pipe_there_is_one_plain_line_for_each_event() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let file = ec2.pipeline(OneStage::default().text());
    let ended = ec2
        .qib(["run".as_ref(), "--local".as_ref(), file.as_os_str()])
        .exits(0);
    for stream in [&ended.stdout, &ended.stderr] {
        let control = stream.chars().find(|c| c.is_control() && *c != '\n');
        assert_eq!(control, None, "control codes in a pipe{ended}");
    }
    let greeting = ended
        .stderr
        .lines()
        .find(|line| line.contains("hello from the guest"));
    let greeting =
        greeting.unwrap_or_else(|| panic!("the provisioner's output is not shown{ended}"));
    let (clock, rest) = greeting.split_at(8);
    let is_clock = clock.chars().enumerate().all(|(at, c)| {
        if at % 3 == 2 {
            c == ':'
        } else {
            c.is_ascii_digit()
        }
    });
    assert!(
        is_clock && rest.starts_with(" one/us-east-2 │ "),
        "not `HH:MM:SS stage/cell │ text`: {greeting}"
    );
    assert!(
        ended.stdout.contains("ami-"),
        "the result is not on stdout{ended}"
    );
}

#[test]
fn with_json_every_line_of_stdout_is_an_object_and_the_last_has_the_result() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let file = ec2.pipeline(OneStage::default().text());
    let ended = ec2.run(&file).exits(0);
    let events = ended.events();
    assert!(
        events.iter().all(|event| event["event"].is_string()),
        "{ended}"
    );
    let finished = ended.finished();
    assert_eq!(finished["status"], "succeeded", "{ended}");
    let image = ended.image("one");
    for key in ["stage", "cell", "region", "image_id", "name"] {
        assert!(image[key].is_string(), "{key} in {image}");
    }
    assert_eq!(image["cached"], false);
    assert_eq!(finished["left_behind"], serde_json::json!([]), "{ended}");
}

#[test]
fn the_lists_are_arrays_of_flat_objects() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let file = ec2.pipeline(OneStage::default().text());
    let built = ec2.run(&file).exits(0);
    let images = ec2.qib(["images", "ls", "--local", "--json"]).exits(0);
    let image = &images.json()[0];
    assert_eq!(
        image["image_id"],
        built.image("one")["image_id"],
        "{images}"
    );
    let keys = [
        "name",
        "region",
        "state",
        "created",
        "stage",
        "pipeline",
        "run",
        "cache_key",
        "source_image",
        "snapshots",
        "tags",
    ];
    for key in keys {
        assert!(!image[key].is_null(), "{key} in {image}");
    }
    assert_eq!(
        (&image["stage"], &image["state"]),
        (&"one".into(), &"available".into()),
        "{images}"
    );

    let args = |tag: &'static str| ["images", "ls", "--local", "--json", "--tag", tag];
    assert_eq!(
        ec2.qib(args("qib:stage=one"))
            .exits(0)
            .json()
            .as_array()
            .map(Vec::len),
        Some(1)
    );
    assert_eq!(
        ec2.qib(args("qib:stage=two"))
            .exits(0)
            .json()
            .as_array()
            .map(Vec::len),
        Some(0)
    );
    let of_stage = ["images", "ls", "--local", "--json", "--stage", "one"];
    assert_eq!(
        ec2.qib(of_stage).exits(0).json().as_array().map(Vec::len),
        Some(1)
    );

    let mut plan = ec2.command(["plan", "--local", "--json"]);
    plan.arg(&file);
    let plan = Running::start(plan).end().exits(0);
    assert!(
        plan.json()
            .as_array()
            .is_some_and(|cells| cells.len() == 1 && cells[0]["stage"] == "one"),
        "{plan}"
    );
}

#[test]
fn plan_changes_nothing_and_says_hit_or_miss_with_the_reason() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let plan = |text: &str| {
        let file = ec2.pipeline(text);
        ec2.qib(["plan".as_ref(), "--local".as_ref(), file.as_os_str()])
            .exits(0)
    };
    let first = OneStage::default().text();
    let missed = plan(&first);
    ec2.holdings().assert_none(&missed);
    assert!(missed.stdout.contains("miss"), "{missed}");
    let image = ec2.run(&ec2.pipeline(&first)).exits(0).image("one");
    let hit = plan(&first);
    assert!(
        hit.stdout
            .contains(image["image_id"].as_str().unwrap_or("?")),
        "{hit}"
    );
    let changed = OneStage {
        provision: r#"[{ run: { name: greet, inline: "echo bye" } }]"#,
        ..OneStage::default()
    };
    let missed = plan(&changed.text());
    assert!(
        missed.stdout.contains("miss") && missed.stdout.contains("greet"),
        "which input changed{missed}"
    );
}

#[test]
fn on_a_terminal_a_person_sees_the_run_and_its_result() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let file = ec2.pipeline(OneStage::default().text());
    let socket = ec2.path("tmux");
    let tmux = |args: &[&str]| {
        let mut command = Command::new("tmux");
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", ec2.path("home"))
            .env("LANG", "C.UTF-8");
        command
            .env("TERM", "xterm-256color")
            .arg("-S")
            .arg(&socket)
            .args(args);
        command
    };
    let run = format!(
        "env QIB_LOCAL_DIR={} QIB_STATE_DIR={} {} run --local {}; echo exit=$?; exec sleep 600",
        ec2.path("local").display(),
        ec2.path("state").display(),
        ec2.path("bin/qib").display(),
        file.display()
    );
    Running::start(tmux(&[
        "-f",
        "/dev/null",
        "new-session",
        "-d",
        "-x",
        "140",
        "-y",
        "50",
        &run,
    ]))
    .end()
    .exits(0);
    // Looks until the run's end shows: the number of looks is bounded by far more than a run takes.
    let screen = (0..600)
        .map(|_| Running::start(tmux(&["capture-pane", "-p"])).end().exits(0))
        .find(|screen| {
            std::thread::sleep(std::time::Duration::from_millis(200));
            screen.stdout.contains("exit=")
        });
    Running::start(tmux(&["kill-server"])).end().exits(0);
    let screen = screen.expect("the run never ended on the terminal");
    assert!(screen.stdout.contains("exit=0"), "{screen}");
    assert!(
        screen.stdout.contains("ami-") && screen.stdout.contains("one"),
        "{screen}"
    );
    assert!(!screen.stdout.contains('\u{1b}'), "{screen}");
}
