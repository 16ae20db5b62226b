//! Provisioners' scripts: interpreters, errexit, become, environment, and that nothing secret is ever on a command line.

use crate::server::{PATIENCE, Server, terminals_are_possible, user};
use ssh::{
    Become, Collected, CommandExit, Errexit, PreparedScript, PtySize, RunError, Script, ScriptId,
    Secret, Stream,
};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

fn script(body: &str) -> Script {
    Script {
        body: body.into(),
        ..Script::default()
    }
}

fn as_user(name: &str) -> Become {
    Become::User(name.parse().expect("a user name"))
}

/// Runs a script; returns its exit, its output, and checks that its folder is gone.
async fn run(server: &Server, script: &Script) -> (CommandExit, Collected) {
    let id = ScriptId::random();
    let prepared = script.prepare(&id).expect("the script is well formed");
    let connection = server.connect().await;
    let mut output = Collected::default();
    let exit = tokio::time::timeout(PATIENCE, connection.run_script(&prepared, &mut output)).await;
    let exit = exit.expect("it ends").expect("it runs");
    assert!(
        !folder_of(&prepared).exists(),
        "the script's files are gone"
    );
    (exit, output)
}

/// The folder that a prepared script uses, as its clean-up command names it.
fn folder_of(prepared: &PreparedScript) -> PathBuf {
    let text = &prepared.cleanup.command;
    let start = text.find("/tmp/qib-").expect("the folder's name");
    let end = text[start..]
        .find(|c: char| !(c.is_ascii_alphanumeric() || "/-".contains(c)))
        .expect("its end");
    PathBuf::from(&text[start..start + end])
}

#[tokio::test]
async fn a_script_is_one_shell_and_its_exit_code_comes_back() {
    let server = Server::start().await;
    let (exit, output) = run(&server, &script("x=1\ncd /\necho \"$x $PWD\"\nexit 42\n")).await;
    assert_eq!(exit, CommandExit::Code(42));
    assert_eq!(output.text(Stream::Stdout), "1 /");
}

#[tokio::test]
async fn errexit_ends_a_script_at_the_first_failure_and_can_be_switched_off() {
    let server = Server::start().await;
    let body = "false\necho after\n";
    let (exit, output) = run(&server, &script(body)).await;
    assert_eq!(
        (exit, output.text(Stream::Stdout).as_str()),
        (CommandExit::Code(1), "")
    );
    let (exit, output) = run(
        &server,
        &Script {
            errexit: Errexit::Off,
            ..script(body)
        },
    )
    .await;
    assert_eq!(
        (exit, output.text(Stream::Stdout).as_str()),
        (CommandExit::Code(0), "after")
    );
}

#[tokio::test]
async fn pipefail_holds_where_the_shell_has_it() {
    let server = Server::start().await;
    let (exit, _) = run(&server, &script("#!/bin/bash\nfalse | true\necho after\n")).await;
    assert_eq!(exit, CommandExit::Code(1), "bash has pipefail");
    let has_it = Command::new("/bin/sh")
        .args(["-c", "set -o pipefail"])
        .output()
        .expect("sh runs")
        .status
        .success();
    let (exit, output) = run(&server, &script("false | true\necho after\n")).await;
    let expected = if has_it {
        (CommandExit::Code(1), "")
    } else {
        (CommandExit::Code(0), "after")
    };
    assert_eq!((exit, output.text(Stream::Stdout).as_str()), expected);
}

#[tokio::test]
async fn the_first_line_chooses_the_interpreter() {
    let server = Server::start().await;
    let (_, output) = run(
        &server,
        &script("#!/usr/bin/env bash\necho \"${BASH_VERSION:+bash}\"\n"),
    )
    .await;
    assert_eq!(output.text(Stream::Stdout), "bash");
    let perl = "#!/usr/bin/perl -w\nprint \"perl $^W\\n\"; exit 6;\n";
    let (exit, output) = run(&server, &script(perl)).await;
    assert_eq!(
        (exit, output.text(Stream::Stdout).as_str()),
        (CommandExit::Code(6), "perl 1")
    );
    let (exit, output) = run(&server, &script("#!/no/such/interpreter\n")).await;
    assert_eq!(exit, CommandExit::Code(127));
    assert!(
        output.text(Stream::Stderr).contains("/no/such/interpreter"),
        "{output:?}"
    );
}

#[tokio::test]
async fn a_terminal_is_there_input_is_empty_and_the_exit_code_survives() {
    let server = Server::with_terminals().await;
    let body = "[ -t 1 ] && echo terminal; cat; echo end; exit 11\n";
    let (exit, output) = run(
        &server,
        &Script {
            pty: Some(PtySize::default()),
            ..script(body)
        },
    )
    .await;
    assert_eq!(exit, CommandExit::Code(11));
    assert_eq!(
        output.text(Stream::Stdout),
        "terminal\nend",
        "the script's text did not go through the terminal"
    );
    let (_, output) = run(&server, &script("[ -t 1 ] || echo none; cat; echo end\n")).await;
    assert_eq!(output.text(Stream::Stdout), "none\nend");
}

#[tokio::test]
async fn becoming_oneself_needs_no_sudo() {
    let server = Server::start().await;
    let body = "id -un; echo \"sudo:${SUDO_USER-none}\"\n";
    let (exit, output) = run(
        &server,
        &Script {
            become_user: as_user(&user()),
            ..script(body)
        },
    )
    .await;
    assert!(exit.is_success(), "{output:?}");
    assert_eq!(
        output.text(Stream::Stdout),
        format!("{}\nsudo:none", user())
    );
}

/// With real sudo where this user may use it: as root, or as a user whom sudo asks no password.
#[tokio::test]
async fn becoming_another_user_goes_through_sudo_with_the_environment() {
    let server = Server::start().await;
    let other = if user() == "root" { "nobody" } else { "root" };
    let mut script = Script {
        become_user: as_user(other),
        ..script("id -un\necho \"$HOME\"\necho \"$TOKEN\"\n")
    };
    script
        .environment
        .set("TOKEN", Secret::new("it's; $(secret)\n2nd"))
        .expect("a variable");
    let may = Command::new("sudo")
        .args(["-n", "-u", other, "true"])
        .output()
        .is_ok_and(|o| o.status.success());
    if may {
        // In a namespace without root there is no sudo, so the server is a plain one.
        let terminal = terminals_are_possible().then(PtySize::default);
        for pty in [None, terminal] {
            script.pty = pty;
            let (exit, output) = run(&server, &script).await;
            assert!(exit.is_success(), "{output:?}");
            let home = if other == "root" {
                "/root"
            } else {
                "/nonexistent"
            };
            assert_eq!(
                output.text(Stream::Stdout),
                format!("{other}\n{home}\nit's; $(secret)\n2nd")
            );
        }
    } else {
        let prepared = script
            .prepare(&ScriptId::random())
            .expect("the script is well formed");
        let mut output = Collected::default();
        let result = server
            .connect()
            .await
            .run_script(&prepared, &mut output)
            .await;
        let refused = match &result {
            Ok(exit) => !exit.is_success() && output.text(Stream::Stderr).contains("sudo"),
            Err(error) => {
                matches!(error, RunError::NotStaged { detail, .. } if detail.contains("sudo"))
            }
        };
        assert!(
            refused,
            "without sudo's leave nothing runs: {result:?} {output:?}"
        );
        assert!(!output.text(Stream::Stdout).contains(other));
        assert!(
            !folder_of(&prepared).exists(),
            "the file with the environment is gone"
        );
    }
}

#[tokio::test]
async fn a_user_who_does_not_exist_is_named() {
    let server = Server::start().await;
    let script = Script {
        become_user: as_user("no-such-user"),
        ..script("echo ran\n")
    };
    let prepared = script
        .prepare(&ScriptId::random())
        .expect("the script is well formed");
    let error = server
        .connect()
        .await
        .run_script(&prepared, &mut Collected::default())
        .await
        .expect_err("nobody");
    assert!(matches!(&error, RunError::NotStaged { .. }), "{error}");
    assert!(error.certainly_not_started());
}

/// Everything that any process has on its command line right now.
fn command_lines() -> String {
    let mut all = String::new();
    for entry in fs::read_dir("/proc").expect("/proc").flatten() {
        // Not every entry is a process, and processes end.
        if let Ok(line) = fs::read(entry.path().join("cmdline")) {
            all.push_str(&String::from_utf8_lossy(&line).replace('\0', " "));
            all.push('\n');
        }
    }
    all
}

/// The file with the environment went by `rm`, which a PATH of the script's own does not have.
#[tokio::test]
async fn a_script_with_a_path_of_its_own_leaves_no_file_behind() {
    let server = Server::start().await;
    let mut script = script("echo reached\n");
    for (name, value) in [("PATH", "/nowhere"), ("TOKEN", "h1dden")] {
        script
            .environment
            .set(name, Secret::new(value))
            .expect("a variable");
    }
    let prepared = script
        .prepare(&ScriptId::random())
        .expect("the script is well formed");
    let mut output = Collected::default();
    let exit = server
        .connect()
        .await
        .run_script(&prepared, &mut output)
        .await;
    assert!(exit.is_ok_and(|exit| exit.is_success()), "{output:?}");
    assert_eq!(output.text(Stream::Stdout), "reached");
    assert!(
        !folder_of(&prepared).exists(),
        "the script's folder is gone"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_are_on_no_command_line_at_any_time() {
    let server = Server::start().await;
    let (go, secret) = (server.path("go"), "h1dden-value-of-the-test");
    let body = format!(
        "echo \"${{#TOKEN}}\"; : in-the-body-{secret}; while [ ! -e {} ]; do sleep 0.02; done; [ -e \"$0\" ] && echo kept",
        go.display()
    );
    let mut script = script(&body);
    script
        .environment
        .set("TOKEN", Secret::new(secret))
        .expect("a variable");
    let prepared = script
        .prepare(&ScriptId::random())
        .expect("the script is well formed");
    let folder = folder_of(&prepared);
    let done = Arc::new(AtomicBool::new(false));
    let watch = std::thread::spawn({
        let (done, folder) = (done.clone(), folder.clone());
        move || {
            let (mut running, mut looks) = (0u32, 0u32);
            while !done.load(Ordering::Relaxed) {
                let lines = command_lines();
                assert!(
                    !lines.contains(secret),
                    "a secret is on a command line:\n{lines}"
                );
                looks += 1;
                // The interpreter itself was seen: the looks do see what runs.
                if lines.contains(&format!("{}/script", folder.display())) {
                    running += 1;
                    if running == 5 {
                        assert!(
                            !folder.join("run").exists(),
                            "the file with the environment is gone by now"
                        );
                        fs::write(&go, "").expect("the script may end");
                    }
                }
            }
            (running, looks)
        }
    });
    let connection = server.connect().await;
    let mut output = Collected::default();
    let exit = tokio::time::timeout(PATIENCE, connection.run_script(&prepared, &mut output)).await;
    let more = connection
        .upload_bytes(
            secret.as_bytes(),
            &remote(&server.path("s")),
            ssh::FileMode::PRIVATE,
        )
        .await;
    done.store(true, Ordering::Relaxed);
    let (running, looks) = watch.join().expect("nothing secret was seen");
    assert!(
        exit.expect("it ends").expect("it runs").is_success(),
        "{output:?}"
    );
    more.expect("the upload goes");
    assert_eq!(
        output.text(Stream::Stdout),
        format!("{}\nkept", secret.len())
    );
    assert!(
        running >= 5 && looks >= running,
        "{running} of {looks} looks saw the script"
    );
    assert!(!folder.exists());
}

fn remote(path: &Path) -> ssh::RemotePath {
    path.to_str().expect("a name").parse().expect("a path")
}

#[tokio::test]
async fn what_a_lost_script_leaves_is_removed_by_its_clean_up() {
    let server = Server::start().await;
    let connection = server.connect().await;
    let marker = server.path("marker");
    fs::write(&marker, "").expect("a file");
    let script = script(&format!(
        "echo ready; while [ -e {} ]; do sleep 0.05; done\n",
        marker.display()
    ));
    let prepared = script
        .prepare(&ScriptId::random())
        .expect("the script is well formed");
    struct Kill<'a>(&'a Server);
    impl ssh::OutputSink for Kill<'_> {
        fn line(&mut self, _: Stream, _: &str) {
            self.0.signal_sessions("KILL");
        }
    }
    let mut sink = Kill(&server);
    let run = connection.run_script(&prepared, &mut sink);
    let error = tokio::time::timeout(PATIENCE, run)
        .await
        .expect("it is noticed")
        .expect_err("the connection is gone");
    assert!(matches!(error, RunError::ConnectionLost { .. }), "{error}");
    let folder = folder_of(&prepared);
    assert!(folder.exists(), "the script still runs");
    let again = server.connect().await;
    for _ in 0..2 {
        let exit = again
            .run(&prepared.cleanup, &mut ssh::Discard)
            .await
            .expect("it runs");
        assert!(exit.is_success());
        assert!(!folder.exists());
    }
    fs::remove_file(&marker).expect("the script is told to end");
}
