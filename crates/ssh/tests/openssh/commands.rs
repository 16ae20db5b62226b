//! Commands: output, exits, terminals, input.

use crate::server::{PATIENCE, Server, Setup, user};
use ssh::{
    Collected, CommandExit, Discard, OutputSink, PtySize, RemoteCommand, RunError, Stdin, Stream,
};
use std::path::PathBuf;
use std::time::Duration;

#[tokio::test]
async fn exit_codes_and_signals_are_told_apart() {
    let server = Server::start().await;
    let connection = server.connect().await;
    for (command, expected) in [
        ("exit 0", CommandExit::Code(0)),
        ("exit 7", CommandExit::Code(7)),
        ("exit 255", CommandExit::Code(255)),
        ("kill -KILL $$", CommandExit::Signal("KILL".into())),
        ("kill -TERM $$", CommandExit::Signal("TERM".into())),
        ("no-such-program-here 2>/dev/null", CommandExit::Code(127)),
    ] {
        let exit = connection
            .run(&RemoteCommand::new(command), &mut Discard)
            .await
            .expect("the command runs");
        assert_eq!(exit, expected, "{command}");
    }
}

#[tokio::test]
async fn standard_output_and_error_come_apart_and_a_last_line_may_lack_its_end() {
    let server = Server::start().await;
    let connection = server.connect().await;
    let mut output = Collected::default();
    let command = RemoteCommand::new(r"printf 'a\nb\r\nc'; printf 'e1\ne2' >&2");
    connection
        .run(&command, &mut output)
        .await
        .expect("the command runs");
    assert_eq!(output.text(Stream::Stdout), "a\nb\nc");
    assert_eq!(output.text(Stream::Stderr), "e1\ne2");
}

/// Makes a file as soon as it sees a line.
struct Answers {
    on: &'static str,
    file: PathBuf,
    seen: Vec<String>,
}

impl OutputSink for Answers {
    fn line(&mut self, _: Stream, line: &str) {
        self.seen.push(line.to_owned());
        if line == self.on {
            std::fs::write(&self.file, "").expect("the file is made");
        }
    }
}

#[tokio::test]
async fn lines_come_while_the_command_runs() {
    let server = Server::start().await;
    let connection = server.connect().await;
    let mut sink = Answers {
        on: "first",
        file: server.path("go"),
        seen: Vec::new(),
    };
    let wait = format!(
        "echo first; while [ ! -e {} ]; do sleep 0.02; done; echo second",
        sink.file.display()
    );
    let command = RemoteCommand::new(wait);
    // Were the first line held back until the end, there would be no end.
    let run = tokio::time::timeout(PATIENCE, connection.run(&command, &mut sink)).await;
    assert!(
        run.expect("the first line came before the end")
            .expect("the command runs")
            .is_success()
    );
    assert_eq!(sink.seen, ["first", "second"]);
}

#[tokio::test]
async fn input_reaches_the_command_and_ends() {
    let server = Server::start().await;
    let connection = server.connect().await;
    let content: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
    let command = RemoteCommand {
        command: "wc -c".into(),
        stdin: Stdin::Bytes(content.clone()),
        ..RemoteCommand::default()
    };
    let mut output = Collected::default();
    connection
        .run(&command, &mut output)
        .await
        .expect("the command runs");
    assert_eq!(
        output.text(Stream::Stdout).trim(),
        content.len().to_string()
    );

    let mut output = Collected::default();
    connection
        .run(&RemoteCommand::new("wc -c"), &mut output)
        .await
        .expect("input is at its end");
    assert_eq!(output.text(Stream::Stdout).trim(), "0");
}

#[tokio::test]
async fn a_command_that_does_not_read_its_input_still_ends() {
    let server = Server::start().await;
    let connection = server.connect().await;
    let command = RemoteCommand {
        command: "exit 3".into(),
        stdin: Stdin::Bytes(vec![0; 16 * 1024 * 1024]),
        ..RemoteCommand::default()
    };
    let run = tokio::time::timeout(PATIENCE, connection.run(&command, &mut Discard)).await;
    assert_eq!(
        run.expect("it ends").expect("it runs"),
        CommandExit::Code(3)
    );
    assert!(
        connection
            .run(&RemoteCommand::new("true"), &mut Discard)
            .await
            .expect("the next runs")
            .is_success()
    );
}

#[tokio::test]
async fn a_terminal_is_there_when_asked_for_and_the_exit_code_survives_it() {
    let server = Server::with_terminals().await;
    let connection = server.connect().await;
    let mut command = RemoteCommand::new("tty >/dev/null 2>&1 && stty size; exit 9");
    let mut output = Collected::default();
    let exit = connection
        .run(&command, &mut output)
        .await
        .expect("the command runs");
    assert_eq!(
        (exit, output.text(Stream::Stdout).as_str()),
        (CommandExit::Code(9), ""),
        "no terminal unless asked for"
    );

    command.pty = Some(PtySize {
        columns: 132,
        rows: 43,
    });
    let mut output = Collected::default();
    let exit = connection
        .run(&command, &mut output)
        .await
        .expect("the command runs");
    assert_eq!(
        (exit, output.text(Stream::Stdout).as_str()),
        (CommandExit::Code(9), "43 132")
    );
}

#[tokio::test]
async fn a_refused_terminal_is_an_error_and_the_command_does_not_run() {
    let server = Server::with(Setup {
        config: "PermitTTY no\n".into(),
        ..Setup::default()
    })
    .await;
    let connection = server.connect().await;
    let proof = server.path("ran");
    let mut command = RemoteCommand::new(format!("touch {}", proof.display()));
    command.pty = Some(PtySize::default());
    let error = connection
        .run(&command, &mut Discard)
        .await
        .expect_err("no terminals here");
    assert!(matches!(error, RunError::Refused { .. }), "{error}");
    assert!(error.certainly_not_started());
    command.pty = None;
    assert!(!proof.exists());
    connection
        .run(&command, &mut Discard)
        .await
        .expect("without one it runs");
    assert!(proof.exists());
}

#[tokio::test]
async fn a_daemon_that_keeps_the_output_open_does_not_hold_the_command_up() {
    let server = Server::start().await;
    let connection = server.connect().await;
    let mut output = Collected::default();
    // Holds the output far longer than a test may take; told to stop below.
    let pid_file = server.path("daemon");
    let command = RemoteCommand::new(format!(
        "sleep 600 & echo $! >{}; echo started; exit 4",
        pid_file.display()
    ));
    let run = tokio::time::timeout(PATIENCE, connection.run(&command, &mut output)).await;
    assert_eq!(
        run.expect("the daemon is not waited for").expect("it runs"),
        CommandExit::Code(4)
    );
    assert_eq!(output.text(Stream::Stdout), "started");
    let pid = std::fs::read_to_string(pid_file).expect("the daemon's id");
    let stop = RemoteCommand::new(format!("kill {}", pid.trim()));
    assert!(
        connection
            .run(&stop, &mut Discard)
            .await
            .expect("the connection still works")
            .is_success()
    );
}

#[tokio::test]
async fn a_run_that_is_given_up_stops_the_command() {
    let server = Server::with_terminals().await;
    let connection = server.connect().await;
    // Without a terminal it takes a signal request, which OpenSSH carries out for every user but root.
    let terminals: &[_] = if user() == "root" {
        &[true]
    } else {
        &[true, false]
    };
    for &terminal in terminals {
        let pid_file = server.path(&format!("pid-{terminal}"));
        let name = pid_file.display();
        let mut command = RemoteCommand::new(format!(
            "echo $$ >{name}.new; mv {name}.new {name}; exec sleep 600"
        ));
        command.pty = terminal.then(PtySize::default);
        let mut sink = Discard;
        let started = until(|| pid_file.exists());
        tokio::select! {
            exit = connection.run(&command, &mut sink) => panic!("it ended by itself: {exit:?}"),
            () = started => {}
        }
        let pid = std::fs::read_to_string(&pid_file).expect("the command's id");
        let process = PathBuf::from("/proc").join(pid.trim());
        let ended = tokio::time::timeout(PATIENCE, until(|| !process.exists())).await;
        ended.expect("the command was told to stop");
    }
}

async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn several_commands_run_at_once_in_one_connection() {
    let server = Server::start().await;
    let connection = server.connect().await;
    // Each waits for the other's file: one after the other, neither would end.
    let (a, b) = (server.path("a"), server.path("b"));
    let meet = |mine: &PathBuf, other: &PathBuf| {
        RemoteCommand::new(format!(
            "touch {}; while [ ! -e {} ]; do sleep 0.02; done",
            mine.display(),
            other.display()
        ))
    };
    let (first, second) = (meet(&a, &b), meet(&b, &a));
    let (mut sink_a, mut sink_b) = (Discard, Discard);
    let both = async {
        tokio::join!(
            connection.run(&first, &mut sink_a),
            connection.run(&second, &mut sink_b)
        )
    };
    let (first, second) = tokio::time::timeout(PATIENCE, both)
        .await
        .expect("they meet");
    assert!(first.expect("it runs").is_success() && second.expect("it runs").is_success());
}

#[tokio::test]
async fn much_output_comes_whole() {
    let server = Server::start().await;
    let connection = server.connect().await;
    struct Sum(u64, u64);
    impl OutputSink for Sum {
        fn line(&mut self, _: Stream, line: &str) {
            self.0 += 1;
            self.1 += line.parse::<u64>().expect("a number");
        }
    }
    let mut sum = Sum(0, 0);
    let command = RemoteCommand::new("seq 1 1000000");
    connection
        .run(&command, &mut sum)
        .await
        .expect("the command runs");
    assert_eq!((sum.0, sum.1), (1_000_000, 1_000_000 * 1_000_001 / 2));
}
