//! What `pipelines/ocp.yaml` looks at before it creates anything, on an account that is no rehearsal: OpenShift's update graph,
//! the pull secret, the operators' channels. The registry's programs are imitated, with the output of the real ones.

use end_to_end::local_ec2::make_executable;
use end_to_end::shipped;
use end_to_end::{Config, Ended, LocalEc2};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

const SECRET: &str = r#"{"auths":{"registry.example.com":{"auth":"c29tZWJvZHk6aHVudGVyMg=="}}}"#;

/// Only with the secret in the file that it is given, as it is.
fn skopeo(ec2: &LocalEc2) -> String {
    format!(
        "#!/bin/sh\nwhile [ \"$1\" != --authfile ]; do shift; done\n\
         test \"$(cat \"$2\")\" = '{SECRET}' || {{ echo unauthorized >&2; exit 1; }}\n\
         echo \"$3\" >'{}'\n",
        ec2.path("asked").display()
    )
}

/// As oc-mirror 4.12 lists a package; of one it has two channels.
const OC_MIRROR: &str = r#"#!/bin/sh
test "$(cat "$DOCKER_CONFIG/config.json")" = "$EXPECTED" || { echo unauthorized >&2; exit 1; }
test "$1 $2 $3 $5" = 'list operators --catalog --package' || exit 2
case $6 in
    rhsso-operator) head=7.6.2-opr-004 channel=stable ;;
    missing-operator) exit 0 ;;
    *) head=v5.7.1 channel=stable-5.7 ;;
esac
printf 'NAME     DISPLAY NAME   DEFAULT CHANNEL\n%s  Some Operator  %s\n\n' "$6" "$channel"
printf 'PACKAGE  CHANNEL        HEAD\n%s  candidate  %s.v9.9.9\n%s  %s  %s.%s\n' "$6" "$6" "$6" "$channel" "$6" "$head"
"#;

/// An update graph on loopback: answers each question with these versions, and keeps the questions.
struct Graph {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Graph {
    #[track_caller]
    fn with(versions: &[&str]) -> Self {
        let nodes: Vec<Value> = versions
            .iter()
            .map(|version| serde_json::json!({ "version": version }))
            .collect();
        let body = serde_json::json!({ "nodes": nodes, "edges": [] }).to_string();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port of loopback");
        let address = listener.local_addr().expect("it is bound");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let kept = asked.clone();
        thread::spawn(move || {
            for stream in listener.incoming().take(100).flatten() {
                let line = answer(&stream, &body);
                kept.lock().expect("nobody panics with it").push(line);
            }
        });
        Self {
            url: format!("http://{address}/graph"),
            asked,
        }
    }
}

fn answer(mut stream: &TcpStream, body: &str) -> String {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let first = lines.next().unwrap_or_default();
    for line in lines {
        if line.is_empty() {
            break;
        }
    }
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    // Whoever asked may have gone.
    stream.write_all(answer.as_bytes()).ok();
    first
}

/// A local EC2 with the pipelines and the programs, and somebody's home with a pull secret.
#[track_caller]
fn with_programs() -> LocalEc2 {
    let ec2 = shipped::with_pipelines(Config::QUICK);
    ec2.write("bin/skopeo", skopeo(&ec2));
    ec2.write("bin/oc-mirror", OC_MIRROR);
    for program in ["skopeo", "oc-mirror"] {
        make_executable(&ec2.path(format!("bin/{program}")));
    }
    ec2.write("home/pull-secret.txt", SECRET);
    ec2
}

/// `qib run` without `--local`: nothing is skipped.
#[track_caller]
fn run(ec2: &LocalEc2, graph: &Graph, more: &str) -> Ended {
    ec2.shell(&format!(
        "export EIP_ALLOC=eipalloc-0local ICMP_AWS_SHARE_ACCOUNT=111122223333 ICMP_AWS_SHARE_DEV_ACCOUNT=444455556666\n\
         export EXPECTED='{SECRET}'\n\
         exec qib run --json --var ssh_from=127.0.0.0/8 --var release_graph={} {more} pipelines/ocp.yaml",
        graph.url
    ))
}

/// The failure of the run, which made nothing.
#[track_caller]
fn failed_before_anything(ec2: &LocalEc2, ended: Ended) -> String {
    let ended = ended
        .exits(1)
        .never_says("aHVudGVyMg")
        .never_says("hunter2");
    ec2.holdings().assert_none(&ended);
    let failures = ended.finished()["failures"].clone();
    assert_eq!(failures[0]["step"], "preflight", "{ended}");
    failures[0]["error"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_release_that_is_listed_a_good_secret_and_the_operators_channels_go_on_to_the_build() {
    let ec2 = with_programs();
    let graph = Graph::with(&["4.12.2", "4.12.3"]);
    // There is no such release of RHEL: after everything was looked at, that is the first thing that is wrong.
    let ended = run(&ec2, &graph, "--var rhel_version=1.0");
    let ended = ended.failed_in("resolve").never_says("aHVudGVyMg");
    ec2.holdings().assert_none(&ended);
    let asked = graph.asked.lock().expect("nobody panics with it").clone();
    assert_eq!(
        asked,
        ["GET /graph?channel=candidate-4.12&arch=amd64 HTTP/1.1"],
        "{ended}"
    );
    let catalog = fs::read_to_string(ec2.path("asked")).expect("skopeo was asked");
    assert_eq!(
        catalog,
        "docker://registry.redhat.io/redhat/redhat-operator-index:v4.12\n"
    );
    let made = ec2.path("work/pipelines/made/imageset-config.yaml");
    let made = fs::read_to_string(made).expect("it is made");
    for (name, channel, version) in [
        ("cluster-logging", "stable-5.7", "5.7.1"),
        ("rhsso-operator", "stable", "7.6.2-opr-004"),
    ] {
        let entry = format!(
            "        - name: {name}\n          channels:\n            - name: {channel}\n              minVersion: '{version}'\n"
        );
        assert!(made.contains(&entry), "{entry}{made}");
    }
    assert_eq!(made.matches("minVersion: '").count(), 7, "{made}");
    assert!(
        made.contains("minVersion: 4.12.3\n") && !made.contains('@'),
        "{made}"
    );
}

#[test]
fn a_secret_that_does_not_open_the_registry_ends_the_run() {
    let ec2 = with_programs();
    ec2.write("home/pull-secret.txt", SECRET.replace("c29t", "d29t"));
    let faster = ec2.path("work/pipelines/ocp.yaml");
    let text = fs::read_to_string(&faster).expect("the copy is there");
    fs::write(&faster, text.replace("delay: 10s", "delay: 1s")).expect("the copy is ours");
    let error = failed_before_anything(&ec2, run(&ec2, &Graph::with(&["4.12.3"]), ""));
    assert!(
        error.contains("the pull secret opens the registry"),
        "{error}"
    );
}

#[test]
fn an_operator_that_the_catalogue_has_not_ends_the_run() {
    let ec2 = with_programs();
    let template = ec2.path("work/pipelines/files/imageset-config.yaml.in");
    let text = fs::read_to_string(&template).expect("the copy is there");
    fs::write(&template, text.replace("loki-operator", "missing-operator"))
        .expect("the copy is ours");
    let pipeline = ec2.path("work/pipelines/ocp.yaml");
    let text = fs::read_to_string(&pipeline).expect("the copy is there");
    fs::write(&pipeline, text.replace("delay: 10s", "delay: 1s")).expect("the copy is ours");
    let ended = run(&ec2, &Graph::with(&["4.12.3"]), "");
    let said = ended
        .stdout
        .contains("has no default channel of missing-operator");
    assert!(said, "{ended}");
    let error = failed_before_anything(&ec2, ended);
    assert!(error.contains("imageset"), "{error}");
    let made = ec2.path("work/pipelines/made/imageset-config.yaml");
    assert!(!made.exists(), "half of it was made");
}

#[test]
fn a_release_that_is_not_listed_is_waited_for_and_nothing_is_made() {
    let ec2 = with_programs();
    let graph = Graph::with(&["4.12.2"]);
    let pipeline = ec2.path("work/pipelines/ocp.yaml");
    let text = fs::read_to_string(&pipeline).expect("the copy is there");
    let text = text.replace(
        "every: 1m\n      timeout: 1h",
        "every: 1s\n      timeout: 4s",
    );
    fs::write(&pipeline, text).expect("the copy is ours");
    let error = failed_before_anything(&ec2, run(&ec2, &graph, ""));
    assert!(
        error.contains("the update graph lists the release"),
        "{error}"
    );
    assert!(error.contains("4.12.3"), "{error}");
    let asked = graph.asked.lock().expect("nobody panics with it").len();
    assert!(asked > 1, "it was asked {asked} times");
    assert!(!ec2.path("asked").exists(), "the next entry has begun");
}
