//! A matrix of cells in two regions, from a pipeline's text to the images in the account: which are built, how many at once,
//! what one failure means for the others, and where a person is waited for.

use end_to_end::{Config, Ended, LocalEc2, Running};
use serde_json::Value;
use std::path::{Path, PathBuf};

const REGIONS: [&str; 2] = ["us-east-2", "us-west-2"];

/// Six cells. `of_one` is what the last of them does besides.
fn six(of_one: &str) -> String {
    format!(
        r#"name: many
stages:
  image:
    matrix:
      axes: {{ region: [us-east-2, us-west-2], os: [a, b, c] }}
      include:
        - {{ extra: "true" }}
        - {{ region: us-west-2, os: c, extra: "{of_one}" }}
    region: "${{{{ matrix.region }}}}"
    source: {{ filter: {{ owners: ["309956199498"], name: "RHEL-8.7*HVM-*Hourly*" }} }}
    launch: {{ instance_type: m5.xlarge }}
    connect: {{ user: ec2-user, timeout: 60s }}
    provision:
      - run: {{ name: write, inline: "echo this is ${{{{ cell }}}}; ${{{{ matrix.extra }}}}" }}
    image: {{ name: "many-${{{{ cell }}}}" }}
"#
    )
}

fn args<'a>(file: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
    let file = file.to_str().expect("a path of the test's");
    let mut args = vec!["run", "--local", "--json"];
    args.extend(more);
    args.push(file);
    args
}

/// The cells of a list in the last event.
#[track_caller]
fn cells(ended: &Ended, list: &str, fits: impl Fn(&Value) -> bool) -> Vec<String> {
    let finished = ended.finished();
    let mut cells: Vec<String> = finished[list]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|one| fits(one))
        .map(|one| one["cell"].as_str().unwrap_or("?").to_owned())
        .collect();
    cells.sort_unstable();
    cells
}

fn built(ended: &Ended) -> Vec<String> {
    cells(ended, "images", |image| image["cached"] == false)
}

fn cached(ended: &Ended) -> Vec<String> {
    cells(ended, "images", |image| image["cached"] == true)
}

const ALL: [&str; 6] = [
    "us-east-2-a",
    "us-east-2-b",
    "us-east-2-c",
    "us-west-2-a",
    "us-west-2-b",
    "us-west-2-c",
];

/// So many images are in each region, and nothing else.
#[track_caller]
fn there_are(ec2: &LocalEc2, images: [usize; 2], ended: &Ended) {
    for (region, number) in REGIONS.iter().zip(images) {
        let holdings = ec2.holdings_in(region);
        if number == 0 {
            holdings.assert_none(ended);
        } else {
            holdings.assert_counts(&[("images", number), ("snapshots", number)], ended);
        }
    }
}

#[test]
fn one_cells_failure_leaves_five_done_and_a_re_run_builds_just_that_one() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let file = ec2.pipeline(six("exit 3"));
    let failed = ec2.qib(args(&file, &[])).exits(1);
    assert_eq!(built(&failed), ALL[..5], "{failed}");
    assert_eq!(cells(&failed, "failures", |_| true), ["us-west-2-c"]);
    there_are(&ec2, [3, 2], &failed);
    let image = failed.image("image");
    assert_eq!(image["matrix"]["region"], image["region"], "{failed}");

    // What each cell's guest said is in its log, and the failed one's is named.
    let run = failed.run_id();
    let logs = ec2.path(format!("state/runs/{run}/logs"));
    for cell in ALL {
        let log = std::fs::read_to_string(logs.join(format!("image--{cell}.log")));
        let log = log.unwrap_or_else(|error| panic!("the log of {cell}: {error}{failed}"));
        assert!(log.contains(&format!("this is {cell}")), "{log}");
        assert!(log.starts_with("20") && log.contains("Z "), "{log}");
    }
    let failed = failed.says(&format!(
        "its log: {}",
        logs.join("image--us-west-2-c.log").display()
    ));
    let shown = ec2.qib(["runs", "show", &run]).exits(0);
    assert!(
        shown.stdout.contains(&logs.display().to_string()),
        "{shown}"
    );

    // The other five are found, although the failing one's text is another now.
    let file = ec2.pipeline(six("true"));
    let plan = ec2.qib(["plan", "--local", "--json", file.to_str().expect("a path")]);
    let plan = plan.exits(0);
    let builds: Vec<Value> = plan
        .json()
        .as_array()
        .into_iter()
        .flatten()
        .cloned()
        .collect();
    let of = |action: &str| builds.iter().filter(|row| row["action"] == action).count();
    assert_eq!((of("reuse"), of("build")), (5, 1), "{plan}");
    let again = ec2.qib(args(&file, &[])).exits(0);
    assert_eq!(built(&again), ["us-west-2-c"], "{again}");
    assert_eq!(cached(&again), ALL[..5], "{again}");
    there_are(&ec2, [3, 3], &again);
    drop(failed);
}

/// Looks at both regions until a file shows, and prints the most instances that were there at once and not ending.
const WATCH: &str = r#"
import os, sys, boto3
clients = [boto3.client("ec2", region_name=region) for region in ("us-east-2", "us-west-2")]
names = ["pending", "running", "stopping", "stopped"]
most = seen = 0
while not os.path.exists("done"):
    alive = sum(
        len(reservation["Instances"])
        for client in clients
        for reservation in client.describe_instances(
            Filters=[{"Name": "instance-state-name", "Values": names}])["Reservations"])
    most, seen = max(most, alive), seen + 1
print(most, seen)
"#;

#[test]
fn no_more_instances_run_at_once_than_jobs_allow() {
    let ec2 = LocalEc2::new(Config::QUICK);
    ec2.qib(["local", "up"]).exits(0);
    let file = ec2.pipeline(six("true").replace("echo this", "sleep 1; echo this"));
    let watch = ec2.start_python(WATCH);
    let ended = ec2.qib(args(&file, &["--jobs", "2"])).exits(0);
    ec2.write("work/done", "");
    let watched = watch.end().exits(0);
    let numbers: Vec<usize> = watched
        .stdout
        .split_whitespace()
        .filter_map(|number| number.parse().ok())
        .collect();
    let [most, looks] = numbers[..] else {
        panic!("what was watched{watched}");
    };
    assert!(looks > 5, "it was hardly looked{watched}");
    assert_eq!(most, 2, "at once{watched}");
    assert_eq!(built(&ended), ALL, "{ended}");
}

#[test]
fn only_the_chosen_cells_are_built_and_a_pattern_for_none_is_refused() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let file = ec2.pipeline(six("true"));
    let chosen = ["--only", "us-west-2-*", "--except", "image/*-a"];
    let ended = ec2.qib(args(&file, &chosen)).exits(0);
    assert_eq!(built(&ended), ["us-west-2-b", "us-west-2-c"], "{ended}");
    there_are(&ec2, [0, 2], &ended);

    let refused = ec2.qib(args(&file, &["--only", "eu-west-1-*"])).exits(2);
    let refused = refused.says("--only eu-west-1-*").says("image/us-east-2-a");
    assert!(refused.stdout.is_empty(), "{refused}");
    ec2.qib(args(&file, &["--except", "*"]))
        .exits(2)
        .says("--except leaves no cell");
    let other = ec2.qib(args(&file, &["--pause-after", "provision:wirte"]));
    other.exits(2).says("provision:wirte").says("write");
}

#[test]
fn names_are_compared_before_anything_is_launched() {
    let ec2 = LocalEc2::new(Config::QUICK);
    // Two cells of a region with one name: known without an account.
    let same = six("true").replace("many-${{ cell }}", "many-${{ matrix.region }}");
    let file = ec2.pipeline(same);
    let refused = ec2
        .qib(["validate", file.to_str().expect("a path")])
        .exits(2);
    refused
        .says("image/us-east-2-a and image/us-east-2-b")
        .says("${{ cell }}");
    // Names that images of other inputs have, in both regions.
    let file = ec2.pipeline(six("true"));
    let first = ec2.qib(args(&file, &["--only", "*-a"])).exits(0);
    let file = ec2.pipeline(six("true").replace("this is", "that is"));
    let plan = ec2
        .qib(["plan", "--local", file.to_str().expect("a path")])
        .exits(0);
    assert_eq!(plan.stdout.matches("is taken in").count(), 2, "{plan}");
    let taken = ec2.qib(args(&file, &[])).exits(1);
    let failed = cells(&taken, "failures", |_| true);
    assert_eq!(failed, ["us-east-2-a", "us-west-2-a"], "{taken}");
    assert_eq!(cells(&taken, "skipped", |_| true).len(), 4, "{taken}");
    assert_eq!(
        taken.events_of("step-started"),
        Vec::<Value>::new(),
        "{taken}"
    );
    there_are(&ec2, [1, 1], &first);
}

#[test]
fn a_run_that_died_in_two_regions_is_gone_on_with_in_both() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let file = ec2.pipeline(six("true"));
    let mut command = ec2.command(args(&file, &["--only", "*-b"]));
    command.env("QIB_CRASH_AT", "40:after");
    let crashed = Running::start(command).end();
    assert_eq!(crashed.code, None, "{crashed}");
    let runs = ec2.qib(["runs", "ls", "--json"]).exits(0);
    let row = runs.json()[0].clone();
    assert_eq!(
        (&row["state"], &row["regions"][1]),
        (&"dead".into(), &"us-west-2".into()),
        "{runs}"
    );
    let listed = ec2.qib(["runs", "ls"]).exits(0);
    listed.says("--region us-east-2 --region us-west-2");
    let run = row["run"].as_str().expect("its id").to_owned();
    let resumed = ec2.qib(["runs", "resume", "--json", &run]).exits(0);
    let images = cells(&resumed, "images", |_| true);
    assert_eq!(
        images,
        ["us-east-2-b", "us-west-2-b"],
        "only what it was asked for{resumed}"
    );
    there_are(&ec2, [1, 1], &resumed);
}

#[test]
fn a_sweep_of_one_region_leaves_the_others_alone() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let file = ec2.pipeline(six("exit 3").replace("this is ${{ cell }}", "x; exit 3"));
    let kept = ec2
        .qib(args(&file, &["--only", "*-a", "--keep-on-failure"]))
        .exits(1);
    let finished = kept.finished();
    let instances = finished["kept"].as_array().into_iter().flatten();
    assert_eq!(
        instances.filter(|one| one["kind"] == "instance").count(),
        2,
        "{kept}"
    );
    assert_eq!(
        finished["ways_in"].as_array().map(Vec::len),
        Some(2),
        "{kept}"
    );
    let run = kept.run_id();
    let sweep = |region: &str| {
        let args = [
            "sweep", "--local", "--region", region, "--run", &run, "--kept", "--yes",
        ];
        ec2.qib(args).exits(0)
    };
    let swept = sweep("us-west-2");
    ec2.holdings_in("us-west-2").assert_none(&swept);
    assert_eq!(
        ec2.holdings_in("us-east-2").of("instances").len(),
        1,
        "{swept}"
    );
    // The way into what stays is known still.
    let seen = ec2
        .qib(["ssh", "--local", &run, "--", "echo here"])
        .exits(0);
    assert_eq!(seen.stdout.trim_end(), "here", "{seen}");
    let swept = sweep("us-east-2");
    ec2.holdings_in("us-east-2").assert_none(&swept);
}

#[test]
fn logs_go_where_they_are_asked_for() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let file = ec2.pipeline(six("true"));
    let only = ["--only", "us-west-2-a", "--log-dir", "logs/here"];
    let ended = ec2.qib(args(&file, &only)).exits(0);
    let log = ec2.path("work/logs/here/image--us-west-2-a.log");
    let text = std::fs::read_to_string(&log).unwrap_or_else(|error| panic!("{error}{ended}"));
    assert!(text.contains("this is us-west-2-a"), "{text}");
    let file_in_the_way = ["--log-dir", "pipeline.yaml/x"];
    ec2.qib(args(&file, &file_in_the_way))
        .exits(2)
        .says("--log-dir");
}

/// Runs a program on a terminal of its own, types what it is told to when it is asked, and prints all that was said.
const ON_A_TERMINAL: &str = r#"
import os, pty, sys, termios
answers = sys.argv[2].split(",")
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[3], sys.argv[3:])
termios.tcsetwinsize(terminal, (50, 200))
said, asked = b"", 0
while True:
    try:
        piece = os.read(terminal, 4096)
    except OSError:
        break
    if not piece:
        break
    said += piece
    while said.count(b"Go on? [") > asked:
        answer = answers[min(asked, len(answers) - 1)]
        os.write(terminal, {"enter": b"\n", "abort": b"a\n", "interrupt": b"\x03"}[answer])
        asked += 1
sys.stdout.write(said.decode("utf-8", "replace"))
print("ASKED", asked)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;

/// A terminal that can be repainted, and one that cannot.
const BARS: &str = "TERM=xterm-256color";
const NO_BARS: &str = "TERM=dumb";

/// `qib run` on a terminal.
fn on_a_terminal(ec2: &LocalEc2, term: &str, file: &Path, answers: &str, more: &[&str]) -> Ended {
    let qib: PathBuf = ec2.path("bin/qib");
    let mut args = vec![
        answers,
        "env",
        term,
        qib.to_str().expect("a path"),
        "run",
        "--local",
    ];
    args.extend(more);
    args.push(file.to_str().expect("a path"));
    ec2.python_with(ON_A_TERMINAL, &args)
}

#[test]
fn on_a_terminal_it_is_waited_for_a_person() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let file = ec2.pipeline(six("true"));
    let pause = ["--only", "*-a", "--pause-after", "provision:write"];
    let refused = ec2.qib(args(&file, &pause)).exits(2);
    refused.says("no terminal").says("--pause-after");

    let ended = on_a_terminal(&ec2, BARS, &file, "enter", &pause).exits(0);
    assert!(ended.stdout.contains("ASKED 2"), "{ended}");
    assert!(ended.stdout.contains("the way in: ssh -i"), "{ended}");
    there_are(&ec2, [1, 1], &ended);

    let pause = ["--only", "*-b", "--pause-after", "launch"];
    for (term, answer) in [(BARS, "interrupt"), (BARS, "abort"), (NO_BARS, "interrupt")] {
        let ended = on_a_terminal(&ec2, term, &file, answer, &pause).exits(130);
        there_are(&ec2, [1, 1], &ended);
    }

    let step = ["--only", "us-east-2-c", "--step"];
    let ended = on_a_terminal(&ec2, NO_BARS, &file, "enter", &step).exits(0);
    for step in ["before launching the instance", "before creating the image"] {
        assert!(ended.stdout.contains(step), "{step:?}{ended}");
    }
    there_are(&ec2, [2, 1], &ended);
}

#[test]
fn many_cells_end_with_a_table_for_people() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let file = ec2.pipeline(six("exit 3"));
    let file = file.to_str().expect("a path");
    let ended = ec2
        .qib(["run", "--local", "--only", "us-west-2-*", file])
        .exits(1);
    let rows: Vec<&str> = ended.stdout.lines().collect();
    assert_eq!(rows.len(), 4, "{ended}");
    assert!(rows[0].starts_with("STAGE  CELL"), "{ended}");
    for (row, (cell, result)) in rows[1..].iter().zip([
        ("us-west-2-a", "built"),
        ("us-west-2-b", "built"),
        ("us-west-2-c", "failed in provision"),
    ]) {
        assert!(row.contains(cell) && row.contains(result), "{row}{ended}");
    }
}
