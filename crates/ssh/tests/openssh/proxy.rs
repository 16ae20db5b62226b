//! The proxy, used by OpenSSH's own clients: `ssh`, `sftp`, `scp`.

use crate::server::{CHATTY, PATIENCE, Server, Setup, user, write_private};
use ssh::{ConnectOptions, Connection, KeyAlgorithm, KeyPair, Proxy};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

/// A proxy to a server, and a folder with what a client needs.
pub struct Through {
    pub proxy: Proxy,
    folder: TempDir,
}

impl Through {
    pub async fn to(server: &Server) -> Through {
        Through::with(server, server.options()).await
    }

    pub async fn with(server: &Server, options: ConnectOptions) -> Through {
        let connection = Connection::open(&options)
            .await
            .unwrap_or_else(|error| panic!("{error}; sshd said:\n{}", server.log()));
        let proxy = Proxy::start(Arc::new(connection), options)
            .await
            .expect("a proxy starts");
        let folder = tempfile::tempdir().expect("a folder");
        let through = Through { proxy, folder };
        write_private(
            &through.key(),
            through.proxy.login_key().private_openssh().expose(),
        );
        std::fs::write(
            through.known_hosts(),
            format!("{}\n", through.proxy.known_hosts_line()),
        )
        .expect("a file");
        through
    }

    pub fn key(&self) -> PathBuf {
        self.folder.path().join("key")
    }

    pub fn known_hosts(&self) -> PathBuf {
        self.folder.path().join("known_hosts")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn options(&self, key: &Path) -> Vec<String> {
        vec![
            "-F".into(),
            "none".into(),
            "-o".into(),
            "BatchMode=yes".into(),
            "-o".into(),
            "StrictHostKeyChecking=yes".into(),
            "-o".into(),
            format!("UserKnownHostsFile={}", self.known_hosts().display()),
            "-o".into(),
            "IdentitiesOnly=yes".into(),
            "-i".into(),
            key.display().to_string(),
        ]
    }

    fn program(&self, name: &str, port_option: &str) -> Command {
        let mut command = Command::new(name);
        command.args(self.options(&self.key()));
        command.args([port_option, &self.proxy.port().to_string()]);
        command.env_remove("SSH_AUTH_SOCK").kill_on_drop(true);
        command.stdin(Stdio::null());
        command
    }

    fn ssh_as(&self, user: &str, options: &[&str], command: &str) -> Command {
        let mut ssh = self.program("ssh", "-p");
        ssh.args(options).args(["-l", user, "127.0.0.1", command]);
        ssh
    }

    fn ssh(&self, options: &[&str], command: &str) -> Command {
        self.ssh_as(&user(), options, command)
    }
}

async fn ended(command: &mut Command) -> Output {
    tokio::time::timeout(PATIENCE, command.output())
        .await
        .expect("it ends in time")
        .expect("it starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn output_errors_and_exit_codes_pass() {
    let server = Server::start().await;
    let through = Through::to(&server).await;
    let output = ended(&mut through.ssh(&[], "echo out; echo err >&2; exit 7")).await;
    assert_eq!(text(&output.stdout), "out\n");
    assert_eq!(text(&output.stderr), "err\n");
    assert_eq!(output.status.code(), Some(7));
    let killed = ended(&mut through.ssh(&["-v"], "kill -TERM $$")).await;
    assert_eq!(killed.status.code(), Some(255), "{}", text(&killed.stderr));
    assert!(
        text(&killed.stderr).contains("rtype exit-signal"),
        "{}",
        text(&killed.stderr)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn input_and_its_end_pass_whatever_its_size() {
    let server = Server::start().await;
    let through = Through::to(&server).await;
    // More in and out than all windows and queues hold, in both directions at once.
    let content: Vec<u8> = (0..64 * 1024 * 1024_u32)
        .map(|n| (n / 3 % 253) as u8)
        .collect();
    let mut process = through
        .ssh(&[], "cat")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("ssh starts");
    let (mut input, mut output) = (
        process.stdin.take().expect("a pipe"),
        process.stdout.take().expect("a pipe"),
    );
    let sent = content.clone();
    let feed = tokio::spawn(async move {
        input.write_all(&sent).await.expect("it is taken");
    });
    let mut back = Vec::new();
    tokio::time::timeout(PATIENCE, output.read_to_end(&mut back))
        .await
        .expect("it does not stand still")
        .expect("it is read");
    feed.await.expect("all was sent");
    assert!(back == content, "{} of {} bytes", back.len(), content.len());
    assert!(process.wait().await.expect("it ends").success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_late_holds_nobody_else_up() {
    let server = Server::start().await;
    let through = Through::to(&server).await;
    // Sixteen times what the channel's own windows hold, and nobody takes it.
    let mut lazy = through
        .ssh(&[], "head -c 16777216 /dev/zero")
        .stdout(Stdio::piped())
        .spawn()
        .expect("ssh starts");
    for _ in 0..5 {
        let output = ended(&mut through.ssh(&[], "echo here")).await;
        assert_eq!(text(&output.stdout), "here\n");
    }
    let mut all = Vec::new();
    let mut pipe = lazy.stdout.take().expect("a pipe");
    pipe.read_to_end(&mut all).await.expect("it is read");
    assert_eq!(all.len(), 16 * 1024 * 1024);
    assert!(lazy.wait().await.expect("it ends").success());
}

#[tokio::test(flavor = "multi_thread")]
async fn terminals_environment_and_signals_pass() {
    let server = Server::with(Setup {
        config: "AcceptEnv QIB_TEST_*\n".into(),
        terminals: crate::server::Terminals::Needed,
        ..Setup::default()
    })
    .await;
    let through = Through::to(&server).await;
    let script = "tty >/dev/null && echo terminal; echo $QIB_TEST_WORD $TERM; stty size";
    let output = ended(
        through
            .ssh(&["-tt", "-o", "SendEnv=QIB_TEST_WORD"], script)
            .env("QIB_TEST_WORD", "hello")
            .env("TERM", "vt220"),
    )
    .await;
    let said = text(&output.stdout);
    assert!(said.starts_with("terminal\r\nhello vt220\r\n"), "{said:?}");
    let refused = ended(
        through
            .ssh(&["-o", "SendEnv=OTHER"], "echo \"[$OTHER]\"")
            .env("OTHER", "x"),
    )
    .await;
    assert_eq!(text(&refused.stdout), "[]\n", "sshd decides what it takes");

    // With a terminal, an interrupt is a byte; ssh sends it as it comes.
    let mut process = through
        .ssh(
            &["-tt"],
            "trap 'echo caught; exit 3' INT; echo ready; while :; do sleep 0.1; done",
        )
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("ssh starts");
    let mut output = process.stdout.take().expect("a pipe");
    let mut said = [0; 7];
    output.read_exact(&mut said).await.expect("it is ready");
    let input = process.stdin.as_mut().expect("a pipe");
    input.write_all(&[3]).await.expect("it is sent");
    let status = tokio::time::timeout(PATIENCE, process.wait())
        .await
        .expect("it ends")
        .expect("it is waited for");
    assert_eq!(status.code(), Some(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_killed_takes_its_command_along() {
    let server = Server::with_terminals().await;
    let through = Through::to(&server).await;
    let alive = server.path("alive");
    let script = format!(
        "trap 'rm {0}; exit' HUP; touch {0}; echo ready; while :; do sleep 0.1; done",
        alive.display()
    );
    let mut process = through
        .ssh(&["-tt"], &script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("ssh starts");
    let mut said = [0; 5];
    let mut output = process.stdout.take().expect("a pipe");
    output.read_exact(&mut said).await.expect("it is ready");
    process.kill().await.expect("it is killed");
    let begun = Instant::now();
    while alive.exists() {
        assert!(begun.elapsed() < PATIENCE, "it lives on");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_pass_by_sftp_and_by_scp() {
    let server = Server::start().await;
    let through = Through::to(&server).await;
    let from = through.path("from");
    let content: Vec<u8> = (0..20 * 1024 * 1024_u32)
        .map(|n| (n / 5 % 249) as u8)
        .collect();
    std::fs::write(&from, &content).expect("a file");
    let remote = |path: &Path| format!("{}@127.0.0.1:{}", user(), path.display());
    for (mode, name) in [("-s", "by-sftp"), ("-O", "by-scp")] {
        let (to, back) = (server.path(name), through.path(name));
        let mut up = through.program("scp", "-P");
        up.args([mode, "-p"]).arg(&from).arg(remote(&to));
        let output = ended(&mut up).await;
        assert!(output.status.success(), "{name}: {}", text(&output.stderr));
        assert!(std::fs::read(&to).expect("the copy") == content, "{name}");
        let mut down = through.program("scp", "-P");
        down.args([mode]).arg(remote(&to)).arg(&back);
        let output = ended(&mut down).await;
        assert!(output.status.success(), "{name}: {}", text(&output.stderr));
        assert!(std::fs::read(&back).expect("the copy") == content, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_key_and_the_user_of_this_proxy_get_in() {
    let server = Server::start().await;
    let through = Through::to(&server).await;
    let other = Through::to(&server).await;
    let stranger = through.path("stranger");
    let key = KeyPair::generate(KeyAlgorithm::EcdsaP256);
    write_private(&stranger, key.private_openssh().expose());
    // The guest's own key is no way in either, nor is another proxy's.
    let guests = through.path("guests");
    write_private(&guests, server.login_key.private_openssh().expose());
    for key in [&stranger, &guests, &other.key()] {
        let mut ssh = Command::new("ssh");
        ssh.args(through.options(key))
            .args(["-p", &through.proxy.port().to_string(), "-l", &user()])
            .args(["127.0.0.1", "true"])
            .env_remove("SSH_AUTH_SOCK")
            .stdin(Stdio::null());
        let output = ended(&mut ssh).await;
        assert_eq!(output.status.code(), Some(255));
        assert!(
            text(&output.stderr).contains("Permission denied (publickey)"),
            "{}",
            text(&output.stderr)
        );
    }
    let output = ended(&mut through.ssh_as("somebody", &[], "true")).await;
    assert_eq!(output.status.code(), Some(255), "another user is refused");
    let mut password = through.ssh(
        &[
            "-o",
            "PreferredAuthentications=password,keyboard-interactive,none",
        ],
        "true",
    );
    let output = ended(&mut password).await;
    assert!(
        text(&output.stderr).contains("Permission denied (publickey)"),
        "no other way is offered: {}",
        text(&output.stderr)
    );
    let fine = ended(&mut through.ssh(&[], "true")).await;
    assert!(fine.status.success(), "{}", text(&fine.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_can_tell_a_wrong_proxy() {
    let server = Server::start().await;
    let (through, other) = (Through::to(&server).await, Through::to(&server).await);
    std::fs::write(
        through.known_hosts(),
        other.proxy.known_hosts_line().replace(
            &other.proxy.port().to_string(),
            &through.proxy.port().to_string(),
        ),
    )
    .expect("a file");
    let output = ended(&mut through.ssh(&[], "true")).await;
    assert_eq!(output.status.code(), Some(255));
    assert!(
        text(&output.stderr).contains("IDENTIFICATION HAS CHANGED"),
        "{}",
        text(&output.stderr)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn it_listens_on_loopback_alone_and_forwards_nothing() {
    let server = Server::start().await;
    let through = Through::to(&server).await;
    let port = format!("{:04X}", through.proxy.port());
    let sockets = std::fs::read_to_string("/proc/net/tcp").expect("/proc/net/tcp")
        + &std::fs::read_to_string("/proc/net/tcp6").unwrap_or_default();
    let listening: Vec<&str> = sockets
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let (local, state) = (words.nth(1)?, words.nth(1)?);
            (local.ends_with(&format!(":{port}")) && state == "0A").then_some(local)
        })
        .collect();
    assert_eq!(listening, [format!("0100007F:{port}")]);
    let forward = format!("127.0.0.1:{}", server.port);
    let output = ended(&mut through.ssh(&["-W", &forward], "")).await;
    assert_ne!(output.status.code(), Some(0));
    assert!(
        text(&output.stderr).contains("administratively prohibited"),
        "{}",
        text(&output.stderr)
    );
    let backwards = format!("0:127.0.0.1:{}", server.port);
    let output = ended(&mut through.ssh(
        &["-o", "ExitOnForwardFailure=yes", "-R", &backwards],
        "true",
    ))
    .await;
    assert_eq!(output.status.code(), Some(255), "no forwarding back");
    let x11 = ended(&mut through.ssh(&["-X", "-A"], "echo \"[$DISPLAY$SSH_AUTH_SOCK]\"")).await;
    assert_eq!(text(&x11.stdout), "[]\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_run_side_by_side_over_one_connection() {
    let server = Server::with(Setup {
        config: CHATTY.into(),
        ..Setup::default()
    })
    .await;
    let through = Through::to(&server).await;
    let gate = server.path("gate");
    let waits = format!(
        "until [ -e {} ]; do sleep 0.05; done; echo done",
        gate.display()
    );
    let mut waiting: Vec<_> = (0..6)
        .map(|_| {
            let mut ssh = through.ssh(&[], &waits);
            tokio::spawn(async move { ended(&mut ssh).await })
        })
        .collect();
    // Only a session beside the six can open the gate.
    let output = ended(&mut through.ssh(&[], &format!("touch {}", gate.display()))).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    for ssh in waiting.drain(..) {
        assert_eq!(text(&ssh.await.expect("it ends").stdout), "done\n");
    }
    assert_eq!(server.log().matches("Accepted publickey").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_sessions_than_the_server_allows_are_refused_with_its_reason() {
    let server = Server::with(Setup {
        config: "MaxSessions 1\n".into(),
        ..Setup::default()
    })
    .await;
    let through = Through::to(&server).await;
    let mut first = through
        .ssh(&[], "echo ready; cat")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("ssh starts");
    let mut said = [0; 6];
    let mut output = first.stdout.take().expect("a pipe");
    output.read_exact(&mut said).await.expect("it is ready");
    let second = ended(&mut through.ssh(&[], "true")).await;
    assert_eq!(second.status.code(), Some(255));
    let why = through.proxy.last_trouble().expect("a reason");
    assert!(why.contains("refused to open a channel"), "{why}");
    drop(first.stdin.take());
    assert!(first.wait().await.expect("it ends").success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_drops_is_opened_anew_for_the_next_session() {
    let server = Server::start().await;
    let through = Through::to(&server).await;
    let folder = server.folder.path().display();
    let waits = format!("echo ready; while [ -e {folder} ]; do sleep 0.1; done");
    let mut running = through
        .ssh(&[], &waits)
        .stdout(Stdio::piped())
        .spawn()
        .expect("ssh starts");
    let mut output = running.stdout.take().expect("a pipe");
    let mut said = [0; 6];
    output.read_exact(&mut said).await.expect("it is ready");
    server.signal_sessions("KILL");
    let status = tokio::time::timeout(PATIENCE, running.wait())
        .await
        .expect("it is noticed")
        .expect("it is waited for");
    assert_eq!(status.code(), Some(255), "as ssh reports a lost connection");
    let output = ended(&mut through.ssh(&[], "echo again")).await;
    assert_eq!(text(&output.stdout), "again\n", "{}", text(&output.stderr));
    assert_eq!(server.log().matches("Accepted publickey").count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_answers_in_the_guests_place_is_refused_after_a_drop() {
    let server = Server::start().await;
    let through = Through::to(&server).await;
    assert!(ended(&mut through.ssh(&[], "true")).await.status.success());
    let port = server.port;
    drop(server);
    let Some(other) = Server::on_port(port).await else {
        panic!("port {port} was taken by somebody else: run the test again");
    };
    let output = ended(&mut through.ssh(&[], "true")).await;
    assert_eq!(output.status.code(), Some(255));
    let why = through.proxy.last_trouble().expect("a reason");
    assert!(why.contains("HOST KEY MISMATCH"), "{why}");
    assert!(!other.log().contains("Accepted"), "{}", other.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_proxy_takes_its_sessions_along_and_leaves_the_connection() {
    let server = Server::start().await;
    let options = server.options();
    let connection = Arc::new(Connection::open(&options).await.expect("it opens"));
    let through = Through::with(&server, options.clone()).await;
    let mut running = through
        .ssh(&[], "echo ready; cat")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("ssh starts");
    let mut output = running.stdout.take().expect("a pipe");
    let mut said = [0; 6];
    output.read_exact(&mut said).await.expect("it is ready");
    let port = through.proxy.port();
    drop(through);
    let status = tokio::time::timeout(PATIENCE, running.wait())
        .await
        .expect("it ends")
        .expect("it is waited for");
    assert_eq!((status.code(), status.signal()), (Some(255), None));
    let begun = Instant::now();
    while tokio::net::TcpStream::connect(("127.0.0.1", port))
        .await
        .is_ok()
    {
        assert!(begun.elapsed() < PATIENCE, "it listens still");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(!connection.is_closed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_in_fips_mode_is_reached_through_it() {
    let server = Server::with(Setup {
        host_keys: vec![KeyAlgorithm::EcdsaP256],
        login_key: KeyAlgorithm::EcdsaP256,
        config:
            "HostKeyAlgorithms ecdsa-sha2-nistp256\nPubkeyAcceptedAlgorithms ecdsa-sha2-nistp256\n\
                 KexAlgorithms ecdh-sha2-nistp256,diffie-hellman-group14-sha256\n\
                 Ciphers aes256-gcm@openssh.com,aes256-ctr\nMACs hmac-sha2-256\n"
                .into(),
        ..Setup::default()
    })
    .await;
    let through = Through::to(&server).await;
    // And a client that is as strict.
    let output = ended(&mut through.ssh(
        &[
            "-o",
            "KexAlgorithms=ecdh-sha2-nistp256",
            "-o",
            "Ciphers=aes128-ctr",
            "-o",
            "HostKeyAlgorithms=ecdsa-sha2-nistp256",
            "-o",
            "MACs=hmac-sha2-256",
            "-o",
            "PubkeyAcceptedAlgorithms=ecdsa-sha2-nistp256",
        ],
        "echo strict",
    ))
    .await;
    assert_eq!(text(&output.stdout), "strict\n", "{}", text(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exit_status_that_comes_after_the_end_of_output_is_not_lost() {
    let server = Server::start().await;
    let through = Through::to(&server).await;
    // Sessions that share a connection, as Ansible's do.
    let control = format!("ControlPath={}", through.path("control").display());
    let shared = [
        "-o",
        "ControlMaster=auto",
        "-o",
        "ControlPersist=60",
        "-o",
        &control,
    ];
    for round in 0..20 {
        // Output is at its end, and the client's input as well, long before the command is.
        let mut ssh = through.ssh(&shared, "exec >&- 2>&-; sleep 0.1; exit 5");
        // The first stays, to hold the connection, and keeps what it writes errors to.
        let output = ended(ssh.stderr(Stdio::null())).await;
        assert_eq!(output.status.code(), Some(5), "round {round}");
    }
    assert_eq!(server.log().matches("Accepted publickey").count(), 1);
}
