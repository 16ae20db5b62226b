//! Connections that end while they are needed.

use crate::server::{PATIENCE, Server};
use ssh::{CommandState, Connection, OutputSink, RemoteCommand, RunError, Stream, UploadError};
use std::time::Duration;

/// Stops or kills the processes that serve the connection as soon as a line comes.
struct OnLine<'a> {
    server: &'a Server,
    signal: &'static str,
}

impl OutputSink for OnLine<'_> {
    fn line(&mut self, _: Stream, line: &str) {
        assert_eq!(line, "ready");
        self.server.signal_sessions(self.signal);
    }
}

#[tokio::test]
async fn a_dropped_connection_is_reported_as_lost_and_the_command_is_not_run_again() {
    let server = Server::start().await;
    let connection = server.connect().await;
    let runs = server.path("runs");
    // It lives on without its connection, and ends by itself when the test's folder goes.
    let command = RemoteCommand::new(format!(
        "echo run >>{0}; echo ready; while [ -e {0} ]; do sleep 0.1; done",
        runs.display()
    ));
    let mut sink = OnLine {
        server: &server,
        signal: "KILL",
    };
    let run = connection.run(&command, &mut sink);
    let error = tokio::time::timeout(PATIENCE, run)
        .await
        .expect("it is noticed")
        .expect_err("the connection is gone");
    let RunError::ConnectionLost {
        state, destination, ..
    } = &error
    else {
        panic!("{error}")
    };
    assert_eq!(*state, CommandState::Started);
    assert_eq!(*destination, server.destination());
    assert!(!error.certainly_not_started());
    assert!(connection.is_closed());
    assert_eq!(
        std::fs::read_to_string(&runs).expect("its trace"),
        "run\n",
        "it ran once"
    );

    let error = connection
        .run(&command, &mut ssh::Discard)
        .await
        .expect_err("the connection is gone");
    assert!(
        matches!(
            error,
            RunError::ConnectionLost {
                state: CommandState::NotStarted,
                ..
            }
        ),
        "{error}"
    );
    assert!(error.certainly_not_started());

    let again = server.connect().await;
    assert!(
        again
            .run(&RemoteCommand::new("true"), &mut ssh::Discard)
            .await
            .expect("a new one works")
            .is_success()
    );
    std::fs::remove_file(&runs).expect("the command is told to end");
}

async fn impatient(server: &Server) -> Connection {
    let mut options = server.options();
    options.keepalive = Duration::from_millis(200);
    Connection::open(&options)
        .await
        .expect("the server answers")
}

#[tokio::test]
async fn keepalives_notice_a_peer_that_has_stopped() {
    let server = Server::start().await;
    let connection = impatient(&server).await;
    let marker = server.path("marker");
    std::fs::write(&marker, "").expect("a file");
    let command = RemoteCommand::new(format!(
        "echo ready; while [ -e {} ]; do sleep 0.1; done",
        marker.display()
    ));
    let mut sink = OnLine {
        server: &server,
        signal: "STOP",
    };
    let run = connection.run(&command, &mut sink);
    let error = tokio::time::timeout(PATIENCE, run)
        .await
        .expect("it is noticed")
        .expect_err("the peer is silent");
    assert!(
        matches!(
            &error,
            RunError::ConnectionLost {
                state: CommandState::Started,
                ..
            }
        ),
        "{error}"
    );
    assert!(error.to_string().contains("keepalive"), "{error}");
    std::fs::remove_file(&marker).expect("the command is told to end");
}

#[tokio::test]
async fn a_silent_command_is_not_taken_for_a_dead_peer() {
    let server = Server::start().await;
    let connection = impatient(&server).await;
    // Silent for longer than it takes to give a dead peer up.
    let exit = connection
        .run(&RemoteCommand::new("sleep 3; exit 5"), &mut ssh::Discard)
        .await;
    assert_eq!(
        exit.expect("the connection lives"),
        ssh::CommandExit::Code(5)
    );
}

#[tokio::test]
async fn an_upload_to_a_peer_that_has_stopped_ends() {
    let server = Server::start().await;
    let connection = impatient(&server).await;
    let local = server.path("large");
    let file = std::fs::File::create(&local).expect("a file");
    // Sparse: more than all buffers on the way can hold, and at once there.
    file.set_len(512 * 1024 * 1024).expect("its size");
    let remote_name = server.path("received");
    let remote = remote_name
        .to_str()
        .expect("a name")
        .parse()
        .expect("a path");
    let uploading = connection.upload_file(&local, &remote, ssh::FileUpload::default());
    let stopping = async {
        // Once the receiving end has written something, the stream flows.
        loop {
            let flowing = std::fs::read_dir(server.folder.path())
                .expect("the folder")
                .flatten()
                .any(|entry| {
                    entry.file_name().to_string_lossy().contains(".part")
                        && entry.metadata().is_ok_and(|m| m.len() > 0)
                });
            if flowing {
                return server.signal_sessions("STOP");
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let both = async { tokio::join!(uploading, stopping).0 };
    let error = tokio::time::timeout(PATIENCE, both)
        .await
        .expect("it is noticed")
        .expect_err("the peer has stopped");
    assert!(
        matches!(
            &error,
            UploadError::Run {
                source: RunError::ConnectionLost { .. },
                ..
            }
        ),
        "{error}"
    );
    assert!(!remote_name.exists(), "nothing is in place");
}
