//! Host keys, banners, authentication.

use crate::server::{CHATTY, PATIENCE, Server, Setup, public, write_private};
use ssh::{
    ConnectError, Connection, Dial, HostKeyRule, Identity, KeyAlgorithm, KeyPair, Phase,
    probe_banner,
};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// What sshd logs, at this level, once a user asks to be let in.
const AUTH_ATTEMPT: &str = "userauth-request for user";

async fn chatty() -> Server {
    Server::with(Setup {
        config: CHATTY.into(),
        ..Setup::default()
    })
    .await
}

#[tokio::test]
async fn both_kinds_of_key_get_in_and_the_pinned_host_key_is_reported() {
    for algorithm in [KeyAlgorithm::Ed25519, KeyAlgorithm::EcdsaP256] {
        let server = Server::with(Setup {
            login_key: algorithm,
            config: CHATTY.into(),
            ..Setup::default()
        })
        .await;
        let connection = server.connect().await;
        let known: Vec<String> = server.host_keys.iter().map(|k| k.fingerprint()).collect();
        assert!(known.iter().any(|k| k == connection.host_key_fingerprint()));
        assert!(!connection.is_closed());
        connection.close().await;
        assert!(server.log().contains(AUTH_ATTEMPT));
    }
}

#[tokio::test]
async fn each_pinned_kind_alone_is_enough() {
    let server = Server::start().await;
    for key in &server.host_keys {
        let mut options = server.options();
        options.host_key = HostKeyRule::Pinned(vec![public(key)]);
        let connection = Connection::open(&options)
            .await
            .expect("the server has this key");
        assert_eq!(connection.host_key_fingerprint(), key.fingerprint());
    }
}

#[tokio::test]
async fn a_wrong_host_key_is_refused_before_any_authentication() {
    let server = chatty().await;
    let stranger = KeyPair::generate(KeyAlgorithm::Ed25519);
    let rules = [
        HostKeyRule::Pinned(vec![public(&stranger)]),
        HostKeyRule::Fingerprint(stranger.fingerprint()),
        HostKeyRule::KnownHosts {
            file: known_hosts(&server, &stranger.public_openssh()),
        },
    ];
    for rule in rules {
        let mut options = server.options();
        options.host_key = rule;
        let error = Connection::open(&options)
            .await
            .expect_err("the key is wrong");
        let ConnectError::HostKeyMismatch {
            expected,
            found_fingerprint,
            destination,
        } = &error
        else {
            panic!("{error}")
        };
        assert!(expected.contains(&stranger.fingerprint()), "{expected}");
        assert!(
            server
                .host_keys
                .iter()
                .any(|k| found_fingerprint.contains(&k.fingerprint())),
            "{found_fingerprint}"
        );
        assert_eq!(*destination, server.destination());
        assert!(error.is_final());
        assert!(
            error.to_string().starts_with("HOST KEY MISMATCH"),
            "{error}"
        );
    }
    let log = server.log();
    assert!(
        log.contains("Connection from") || log.contains("Connection closed"),
        "sshd saw the connections:\n{log}"
    );
    assert!(
        !log.contains(AUTH_ATTEMPT),
        "nobody asked to be let in:\n{log}"
    );
}

#[tokio::test]
async fn a_fingerprint_of_any_of_the_hosts_keys_is_enough() {
    let server = Server::start().await;
    for key in &server.host_keys {
        let mut options = server.options();
        options.host_key = HostKeyRule::Fingerprint(key.fingerprint());
        let connection = Connection::open(&options)
            .await
            .expect("the server has this key");
        assert_eq!(connection.host_key_fingerprint(), key.fingerprint());
    }
}

#[tokio::test]
async fn a_known_hosts_file_is_understood_also_when_hashed_by_ssh_keygen() {
    let server = Server::start().await;
    let file = known_hosts(&server, &server.host_keys[1].public_openssh());
    let mut options = server.options();
    options.host_key = HostKeyRule::KnownHosts { file: file.clone() };
    Connection::open(&options).await.expect("the key is known");

    let hashed = Command::new("ssh-keygen")
        .args(["-q", "-H", "-f"])
        .arg(&file)
        .output()
        .expect("ssh-keygen runs");
    assert!(hashed.status.success(), "{hashed:?}");
    assert!(
        std::fs::read_to_string(&file)
            .expect("the file")
            .starts_with("|1|")
    );
    Connection::open(&options)
        .await
        .expect("the key is known under a hashed name");

    options.destination.host = "localhost".into();
    let error = Connection::open(&options)
        .await
        .expect_err("this name is not in the file");
    assert!(
        matches!(error, ConnectError::HostKeyUnknown { .. }),
        "{error}"
    );
    assert!(error.is_final());
}

fn known_hosts(server: &Server, key: &str) -> std::path::PathBuf {
    let file = server.path("known_hosts");
    write_private(&file, &format!("[127.0.0.1]:{} {key}\n", server.port));
    file
}

#[tokio::test]
async fn accept_first_takes_the_first_key_and_then_no_other() {
    let first = chatty().await;
    let second = chatty().await;
    let rule = HostKeyRule::accept_first();
    let mut options = first.options();
    options.host_key = rule.clone();
    Connection::open(&options)
        .await
        .expect("the first key is taken");
    Connection::open(&options)
        .await
        .expect("the same key again");
    let mut options = second.options();
    options.host_key = rule;
    let error = Connection::open(&options).await.expect_err("another key");
    assert!(
        matches!(error, ConnectError::HostKeyMismatch { .. }),
        "{error}"
    );
    assert!(first.log().contains(AUTH_ATTEMPT));
    assert!(!second.log().contains(AUTH_ATTEMPT));
}

#[tokio::test]
async fn a_key_that_the_host_does_not_know_is_refused_but_not_for_good() {
    let server = Server::with(Setup {
        config: "Banner none\n".into(),
        ..Setup::default()
    })
    .await;
    let mut options = server.options();
    let stranger = Arc::new(KeyPair::generate(KeyAlgorithm::Ed25519));
    options.identity = Identity::Key(stranger.clone());
    let error = Connection::open(&options)
        .await
        .expect_err("the key is not authorized");
    assert!(
        matches!(error, ConnectError::AuthenticationRefused { .. }),
        "{error}"
    );
    assert!(!error.is_final());
    assert!(
        error.to_string().contains(&stranger.fingerprint()),
        "{error}"
    );
    assert!(error.to_string().contains(&options.user), "{error}");
}

#[tokio::test]
async fn the_banner_tells_that_a_server_is_there() {
    let server = Server::start().await;
    let banner = probe_banner(&server.destination(), &Dial::Direct, PATIENCE)
        .await
        .expect("sshd answers");
    assert!(banner.starts_with("SSH-2.0-OpenSSH"), "{banner}");
}

#[tokio::test]
async fn what_is_not_ssh_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let destination = ssh::Destination {
        host: "127.0.0.1".into(),
        port: listener.local_addr().expect("its number").port(),
    };
    let talking = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.expect("a client");
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    let error = probe_banner(&destination, &Dial::Direct, PATIENCE)
        .await
        .expect_err("not SSH");
    assert!(matches!(error, ConnectError::NotSsh { .. }), "{error}");

    let server = Server::start().await;
    let mut options = server.options();
    options.destination = destination;
    let error = Connection::open(&options).await.expect_err("not SSH");
    assert!(
        matches!(
            error,
            ConnectError::NotSsh { .. }
                | ConnectError::Protocol {
                    phase: Phase::Handshake,
                    ..
                }
        ),
        "{error}"
    );
    talking.abort();
}

#[tokio::test]
async fn silence_ends_in_time_and_says_where() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let destination = ssh::Destination {
        host: "127.0.0.1".into(),
        port: listener.local_addr().expect("its number").port(),
    };
    let silent = tokio::spawn(async move {
        let mut held = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.expect("a client");
            // Reads, so that the client's own banner goes through, and says nothing.
            let _ = stream.read(&mut [0; 64]).await;
            held.push(stream);
        }
    });
    let short = Duration::from_millis(200);
    let error = probe_banner(&destination, &Dial::Direct, short)
        .await
        .expect_err("nobody speaks");
    assert!(
        matches!(
            error,
            ConnectError::Timeout {
                phase: Phase::Handshake,
                ..
            }
        ),
        "{error}"
    );
    let server = Server::start().await;
    let mut options = server.options();
    options.destination = destination;
    options.handshake_timeout = short;
    let error = Connection::open(&options).await.expect_err("nobody speaks");
    assert!(
        matches!(
            error,
            ConnectError::Timeout {
                phase: Phase::Handshake,
                ..
            }
        ),
        "{error}"
    );
    assert!(!error.is_final());
    silent.abort();
}

#[tokio::test]
async fn a_closed_port_is_unreachable() {
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        listener.local_addr().expect("its number").port()
    };
    let destination = ssh::Destination {
        host: "127.0.0.1".into(),
        port,
    };
    let error = probe_banner(&destination, &Dial::Direct, PATIENCE)
        .await
        .expect_err("nobody listens");
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error}");
    assert!(!error.is_final());
}
