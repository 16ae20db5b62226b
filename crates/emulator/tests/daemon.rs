//! The background process, with the real program.

// A test is an edge.
#![allow(clippy::disallowed_methods, clippy::print_stderr)]

use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const PROGRAM: &str = env!("CARGO_BIN_EXE_local-ec2");

struct Local {
    dir: tempfile::TempDir,
}

impl Local {
    /// A folder for a local EC2; nothing where this host cannot run guests.
    fn new() -> Option<Self> {
        let probe = Command::new(PROGRAM).arg("probe").output().unwrap();
        if !probe.status.success() {
            eprintln!("SKIPPED: {}", String::from_utf8_lossy(&probe.stderr).trim());
            return None;
        }
        Some(Self {
            dir: tempfile::tempdir().unwrap(),
        })
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(arguments).arg("--dir").arg(self.path());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(arguments);
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        self.run(&["reset"]);
    }
}

/// Whether something answers HTTP there.
fn answers(endpoint: &str) -> bool {
    let Ok(mut stream) = TcpStream::connect(endpoint.trim_start_matches("http://")) else {
        return false;
    };
    write!(
        stream,
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text.contains("<Code>")
}

#[test]
fn up_status_down_and_up_again() {
    let Some(local) = Local::new() else { return };
    assert_eq!(local.json(&["status"])["running"], false);
    let up = local.json(&["up"]);
    assert_eq!(up["running"], true);
    let endpoint = up["endpoint"].as_str().unwrap().to_owned();
    assert!(answers(&endpoint));
    assert_eq!(local.json(&["up"])["pid"], up["pid"], "it is started once");
    assert_eq!(local.json(&["status"]), up);
    assert!(local.run(&["down"]).status.success());
    let down = local.json(&["status"]);
    assert_eq!(
        (&down["running"], &down["pid"]),
        (&Value::Bool(false), &Value::Null)
    );
    assert!(!answers(&endpoint));
    let again = local.json(&["up"]);
    assert_eq!(
        again["secret_access_key"], up["secret_access_key"],
        "the account is still the same"
    );
    assert_eq!(again["ssh_port"], up["ssh_port"]);
}

#[test]
fn many_callers_at_once_start_one_daemon() {
    let Some(local) = Local::new() else { return };
    let callers: Vec<_> = (0..6)
        .map(|_| {
            local
                .command(&["up"])
                .stdout(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    let mut pids = std::collections::BTreeSet::new();
    for caller in callers {
        let output = caller.wait_with_output().unwrap();
        assert!(output.status.success());
        let status: Value = serde_json::from_slice(&output.stdout).unwrap();
        pids.insert(status["pid"].as_u64().unwrap());
    }
    assert_eq!(pids.len(), 1);
    let second = local.run(&["serve"]);
    assert!(!second.status.success());
    assert!(
        String::from_utf8_lossy(&second.stderr).contains("already runs"),
        "two daemons never serve one folder"
    );
}

#[test]
fn the_daemon_holds_nothing_of_its_caller() {
    let Some(local) = Local::new() else { return };
    // The shell leaves descriptor 9 open for its children; the daemon must not keep it, nor the session.
    let marker = local.path().join("marker");
    std::fs::write(&marker, "").unwrap();
    let script = format!(
        "exec 9<{}; exec {PROGRAM} up --dir {}",
        marker.display(),
        local.path().display()
    );
    assert!(
        Command::new("sh")
            .args(["-c", &script])
            .output()
            .unwrap()
            .status
            .success()
    );
    let pid = local.json(&["status"])["pid"].as_u64().unwrap();
    let open = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .flatten()
        .filter_map(|e| std::fs::read_link(e.path()).ok());
    assert!(!open.into_iter().any(|target| target == marker));
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let session = stat
        .rsplit_once(')')
        .unwrap()
        .1
        .split_whitespace()
        .nth(3)
        .unwrap()
        .to_owned();
    let own = std::fs::read_to_string("/proc/self/stat").unwrap();
    let own = own
        .rsplit_once(')')
        .unwrap()
        .1
        .split_whitespace()
        .nth(3)
        .unwrap()
        .to_owned();
    assert_ne!(session, own, "a session of its own");
}

#[test]
fn it_ends_by_itself_when_idle() {
    let Some(local) = Local::new() else { return };
    let up = local.json(&["up", "--idle-seconds", "1"]);
    let pid = up["pid"].as_u64().unwrap();
    // Opening the process before it ends makes its end a thing to wait for.
    let process = rustix::process::pidfd_open(
        rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(),
        rustix::process::PidfdFlags::empty(),
    );
    if let Ok(process) = process {
        let mut waiting = [rustix::event::PollFd::new(
            &process,
            rustix::event::PollFlags::IN,
        )];
        let limit = rustix::event::Timespec {
            tv_sec: 60,
            tv_nsec: 0,
        };
        assert_eq!(
            rustix::event::poll(&mut waiting, Some(&limit)).unwrap(),
            1,
            "it is still there after a minute"
        );
    }
    assert_eq!(local.json(&["status"])["running"], false);
}

#[test]
fn what_is_wrong_with_the_folder_is_said_by_the_one_who_asked() {
    let Some(local) = Local::new() else { return };
    std::fs::write(local.path().join("state.json"), "{\"schema\":99}").unwrap();
    let output = local.run(&["up"]);
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("schema") && said.contains("reset"), "{said}");
    assert!(local.run(&["reset"]).status.success());
    assert_eq!(local.json(&["up"])["running"], true);
}
