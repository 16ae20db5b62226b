//! Ways to a server: through another sshd, through a SOCKS5 proxy (OpenSSH's `ssh -D`), and through both.

use crate::server::{CHATTY, PATIENCE, Server, Setup, user};
use ssh::{
    Collected, ConnectError, ConnectOptions, Connection, Destination, Dial, FileUpload,
    HostKeyRule, Identity, Jump, KeyAlgorithm, KeyPair, RemoteCommand, SocksLogin, SocksProxy,
    Stream, probe_banner,
};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The options for `server`, by a way.
fn by(server: &Server, dial: Dial) -> ConnectOptions {
    ConnectOptions {
        dial,
        ..server.options()
    }
}

fn through(bastion: &Server) -> Dial {
    Dial::Jump(Jump::through(bastion.options()))
}

async fn says(connection: &Connection, command: &str) -> String {
    let mut output = Collected::default();
    let exit = connection
        .run(&RemoteCommand::new(command), &mut output)
        .await
        .expect("the command runs");
    assert!(exit.is_success(), "{command}: {exit}");
    output.text(Stream::Stdout)
}

/// A command that lives until the test's folder goes.
fn waiting_in(server: &Server) -> RemoteCommand {
    let folder = server.folder.path().display();
    RemoteCommand::new(format!("while [ -e {folder} ]; do sleep 0.1; done"))
}

async fn chatty() -> Server {
    Server::with(Setup {
        config: CHATTY.into(),
        ..Setup::default()
    })
    .await
}

fn times(text: &str, what: &str) -> usize {
    text.matches(what).count()
}

#[tokio::test]
async fn a_bastion_carries_commands_and_files() {
    let (server, bastion) = (Server::start().await, chatty().await);
    let connection = Connection::open(&by(&server, through(&bastion)))
        .await
        .unwrap_or_else(|error| panic!("{error}; the bastion said:\n{}", bastion.log()));
    assert_eq!(says(&connection, "echo through").await, "through");
    assert_eq!(
        connection.host_key_fingerprint(),
        server.host_keys[0].fingerprint(),
        "the key is the server's, not the bastion's"
    );
    // More than any window on the way.
    let from = server.path("big");
    let content: Vec<u8> = (0..20 * 1024 * 1024_u32)
        .map(|n| (n / 7 % 251) as u8)
        .collect();
    std::fs::write(&from, &content).expect("a file");
    let to = server.path("copy");
    let target = to.display().to_string().parse().expect("a path");
    connection
        .upload_file(&from, &target, FileUpload::default())
        .await
        .expect("it is uploaded");
    assert!(std::fs::read(&to).expect("the copy") == content);
    let log = bastion.log();
    assert!(log.contains(&format!("port {}", server.port)), "{log}");
    assert!(log.contains("direct-tcpip"), "{log}");
    connection.close().await;
}

#[tokio::test]
async fn the_bastions_own_key_is_checked_before_the_server_is_dialled() {
    let (server, bastion) = (Server::start().await, Server::start().await);
    let before = times(&server.log(), "Connection from");
    let wrong = ConnectOptions {
        host_key: server.pinned(),
        ..bastion.options()
    };
    let dial = Dial::Jump(Jump::through(wrong));
    let error = Connection::open(&by(&server, dial))
        .await
        .expect_err("the bastion's key is wrong");
    assert!(error.is_final(), "{error}");
    let text = error.to_string();
    assert!(text.contains("HOST KEY MISMATCH"), "{text}");
    assert!(
        text.contains(&format!("the bastion {}", bastion.destination())),
        "{text}"
    );
    assert!(!bastion.log().contains("Accepted"), "nobody logged in");
    assert_eq!(times(&server.log(), "Connection from"), before);
}

#[tokio::test]
async fn the_servers_key_is_checked_behind_a_bastion_too() {
    let (server, bastion) = (Server::start().await, Server::start().await);
    let options = ConnectOptions {
        host_key: bastion.pinned(),
        ..by(&server, through(&bastion))
    };
    let error = Connection::open(&options).await.expect_err("a wrong key");
    assert!(
        matches!(error, ConnectError::HostKeyMismatch { .. }),
        "{error}"
    );
    assert!(!server.log().contains("Accepted"), "nobody logged in");
}

#[tokio::test]
async fn a_bastion_that_refuses_the_login_is_final() {
    let (server, bastion) = (Server::start().await, Server::start().await);
    let stranger = ConnectOptions {
        identity: Identity::Key(Arc::new(KeyPair::generate(KeyAlgorithm::Ed25519))),
        ..bastion.options()
    };
    let error = Connection::open(&by(&server, Dial::Jump(Jump::through(stranger))))
        .await
        .expect_err("refused");
    assert!(error.is_final(), "a bastion does not boot: {error}");
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn a_bastion_that_forwards_nothing_is_named_with_what_to_change() {
    let server = Server::start().await;
    let bastion = Server::with(Setup {
        config: "AllowTcpForwarding no\n".into(),
        ..Setup::default()
    })
    .await;
    let error = Connection::open(&by(&server, through(&bastion)))
        .await
        .expect_err("forbidden");
    assert!(error.is_final(), "{error}");
    assert!(error.to_string().contains("AllowTcpForwarding"), "{error}");
}

#[tokio::test]
async fn a_server_that_is_not_there_yet_costs_the_bastion_one_login() {
    let bastion = Server::start().await;
    let (port, options) = {
        let server = Server::start().await;
        (server.port, by(&server, through(&bastion)))
    };
    for _ in 0..3 {
        let error = Connection::open(&options).await.expect_err("it is gone");
        assert!(!error.is_final(), "it may come: {error}");
        let text = error.to_string();
        assert!(text.contains(&port.to_string()), "{text}");
        assert!(text.contains("did not reach it"), "{text}");
    }
    assert_eq!(times(&bastion.log(), "Accepted publickey"), 1);
}

#[tokio::test]
async fn a_bastion_that_drops_ends_the_connection_and_is_logged_in_to_anew() {
    let (server, bastion) = (Server::start().await, Server::start().await);
    let options = by(&server, through(&bastion));
    let connection = Connection::open(&options).await.expect("it opens");
    bastion.signal_sessions("KILL");
    let (command, mut ignored) = (waiting_in(&server), ssh::Discard);
    let run = connection.run(&command, &mut ignored);
    tokio::time::timeout(PATIENCE, run)
        .await
        .expect("it is noticed")
        .expect_err("the connection is gone");
    assert!(connection.is_closed());
    let again = Connection::open(&options).await.expect("it opens again");
    assert_eq!(says(&again, "echo again").await, "again");
    assert_eq!(times(&bastion.log(), "Accepted publickey"), 2);
}

#[tokio::test]
async fn a_bastion_that_falls_silent_is_noticed_by_keepalives() {
    let (server, bastion) = (Server::start().await, Server::start().await);
    let mut carrier = bastion.options();
    carrier.keepalive = Duration::from_secs(1);
    let mut options = by(&server, Dial::Jump(Jump::through(carrier)));
    // The inner connection's own would notice it after the test has lost patience only.
    options.keepalive = PATIENCE;
    let connection = Connection::open(&options).await.expect("it opens");
    bastion.signal_sessions("STOP");
    let (command, mut ignored) = (waiting_in(&server), ssh::Discard);
    let run = connection.run(&command, &mut ignored);
    tokio::time::timeout(PATIENCE, run)
        .await
        .expect("it is noticed")
        .expect_err("the connection is gone");
}

#[tokio::test]
async fn a_banner_is_looked_for_by_the_same_way() {
    let (server, bastion) = (Server::start().await, chatty().await);
    let banner = probe_banner(&server.destination(), &through(&bastion), PATIENCE)
        .await
        .expect("it answers");
    assert!(banner.starts_with("SSH-2.0-OpenSSH"), "{banner}");
    assert!(bastion.log().contains("direct-tcpip"), "{}", bastion.log());
}

#[tokio::test]
async fn a_bastion_accepted_first_must_stay_the_same() {
    let (server, bastion) = (Server::start().await, Server::start().await);
    let trusting = ConnectOptions {
        host_key: HostKeyRule::accept_first(),
        ..bastion.options()
    };
    let port = bastion.port;
    let options = by(&server, Dial::Jump(Jump::through(trusting)));
    Connection::open(&options)
        .await
        .expect("it opens")
        .close()
        .await;
    drop(bastion);
    let Some(other) = Server::on_port(port).await else {
        // Another program took the port meanwhile; the next run of the test gets it.
        panic!("port {port} was taken by somebody else: run the test again");
    };
    let error = Connection::open(&options)
        .await
        .expect_err("another machine");
    assert!(error.to_string().contains("HOST KEY MISMATCH"), "{error}");
    assert!(!other.log().contains("Accepted"), "{}", other.log());
}

/// OpenSSH's own SOCKS server: `ssh -D`, logged in to `server`.
struct SocksServer {
    process: Child,
    destination: Destination,
}

impl SocksServer {
    async fn through(server: &Server) -> SocksServer {
        let key = server.path("socks_key");
        crate::server::write_private(&key, server.login_key.private_openssh().expose());
        for _ in 0..5 {
            let port = crate::server::free_port();
            let process = Command::new("ssh")
                .args(["-F", "none", "-N", "-o", "StrictHostKeyChecking=no"])
                .args([
                    "-o",
                    "UserKnownHostsFile=/dev/null",
                    "-o",
                    "ExitOnForwardFailure=yes",
                ])
                .arg("-D")
                .arg(format!("127.0.0.1:{port}"))
                .arg("-i")
                .arg(&key)
                .args(["-p", &server.port.to_string(), "-l", &user(), "127.0.0.1"])
                .stdin(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("ssh starts");
            let mut socks = SocksServer {
                process,
                destination: Destination {
                    host: "127.0.0.1".into(),
                    port,
                },
            };
            if socks.listens().await {
                return socks;
            }
        }
        panic!("ssh -D does not come up");
    }

    async fn listens(&mut self) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if self.process.try_wait().expect("ssh can be asked").is_some() {
                return false;
            }
            let address = ("127.0.0.1", self.destination.port);
            if tokio::net::TcpStream::connect(address).await.is_ok() {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        false
    }

    fn dial(&self) -> Dial {
        Dial::Socks(self.proxy())
    }

    fn proxy(&self) -> SocksProxy {
        SocksProxy {
            destination: self.destination.clone(),
            login: None,
        }
    }
}

impl Drop for SocksServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn a_socks_proxy_leads_to_a_server_by_address_and_by_name() {
    let (server, carrier) = (Server::start().await, chatty().await);
    let socks = SocksServer::through(&carrier).await;
    for host in ["127.0.0.1", "localhost"] {
        let mut options = by(&server, socks.dial());
        options.destination.host = host.into();
        let connection = Connection::open(&options).await.expect("it opens");
        assert_eq!(says(&connection, "echo by proxy").await, "by proxy");
    }
    let log = carrier.log();
    assert!(log.contains("direct-tcpip"), "{log}");
    assert!(
        log.contains("localhost"),
        "the name was left to the proxy: {log}"
    );
}

#[tokio::test]
async fn a_bastion_is_reached_through_a_socks_proxy() {
    let (server, bastion, carrier) = (Server::start().await, chatty().await, chatty().await);
    let socks = SocksServer::through(&carrier).await;
    let far = ConnectOptions {
        dial: socks.dial(),
        ..bastion.options()
    };
    let connection = Connection::open(&by(&server, Dial::Jump(Jump::through(far))))
        .await
        .expect("it opens");
    assert_eq!(says(&connection, "echo both").await, "both");
    assert!(
        carrier.log().contains(&format!("port {}", bastion.port)),
        "{}",
        carrier.log()
    );
    assert!(
        bastion.log().contains(&format!("port {}", server.port)),
        "{}",
        bastion.log()
    );
}

#[tokio::test]
async fn a_proxy_that_is_not_there_is_named() {
    let server = Server::start().await;
    let proxy = SocksProxy {
        destination: Destination {
            host: "127.0.0.1".into(),
            port: crate::server::free_port(),
        },
        login: None,
    };
    let error = Connection::open(&by(&server, Dial::Socks(proxy.clone())))
        .await
        .expect_err("no proxy");
    let text = error.to_string();
    assert!(
        text.contains(&format!("the SOCKS proxy {}", proxy.destination)),
        "{text}"
    );
    assert!(!error.is_final(), "it may be starting");
}

#[tokio::test]
async fn a_host_that_speaks_no_socks_is_named() {
    let server = Server::start().await;
    let proxy = SocksProxy {
        destination: server.destination(),
        login: Some(SocksLogin {
            user: "me".into(),
            password: ssh::Secret::new("hunter2"),
        }),
    };
    let error = Connection::open(&by(&server, Dial::Socks(proxy)))
        .await
        .expect_err("no proxy");
    assert!(error.is_final(), "{error}");
    assert!(error.to_string().contains("SOCKS5"), "{error}");
    assert!(!format!("{error:?}").contains("hunter2"));
}
