//! Ways into an instance: an existing key pair, a bastion, a SOCKS5 proxy. Bastion and proxy are OpenSSH's own.
#![allow(
    clippy::disallowed_methods,
    reason = "an edge: tests run programs and wait for them"
)]

use end_to_end::{Config, Ended, LocalEc2, OneStage};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);

/// `ssh-keygen` into `work/NAME`.
#[track_caller]
fn key(ec2: &LocalEc2, name: &str) -> PathBuf {
    let path = ec2.path(format!("work/{name}"));
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"])
        .arg(&path)
        .status();
    assert!(
        made.is_ok_and(|status| status.success()),
        "ssh-keygen makes {name}"
    );
    path
}

#[test]
fn an_existing_key_pair_is_used_and_stays() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let key = key(&ec2, "builders");
    let public = format!("fileb://{}.pub", key.display());
    ec2.aws(&[
        "ec2",
        "import-key-pair",
        "--key-name",
        "builders",
        "--public-key-material",
        &public,
    ])
    .exits(0);
    let connect = "{ user: ec2-user, timeout: 60s, key: { file: builders }, key_pair: builders }";
    // The instance has the key from EC2 while it is built, and the image has not.
    let provision =
        r#"[{ run: { name: look, inline: "grep -c builders ~/.ssh/authorized_keys" } }]"#;
    let file = ec2.pipeline(
        OneStage {
            connect,
            provision,
            ..OneStage::default()
        }
        .text(),
    );
    let ended = ec2.run(&file).exits(0);
    let pairs = ec2.aws(&["ec2", "describe-key-pairs"]).exits(0).json();
    let names: Vec<&str> = pairs["KeyPairs"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|pair| pair["KeyName"].as_str())
        .collect();
    assert_eq!(
        names,
        ["builders"],
        "none was imported and this one was kept{ended}"
    );
    let second = OneStage {
        name: "second",
        source: &format!(
            "{{ image_id: {} }}",
            ended.image("one")["image_id"].as_str().unwrap_or_default()
        ),
        provision: r#"[{ run: { name: look, inline: "! grep builders ~/.ssh/authorized_keys" } }]"#,
        ..OneStage::default()
    }
    .text();
    ec2.run(&ec2.pipeline(second)).exits(0);
}

#[test]
fn a_key_pair_that_is_not_there_is_told_before_anything_is_made() {
    let ec2 = LocalEc2::new(Config::QUICK);
    key(&ec2, "builders");
    let connect = "{ user: ec2-user, timeout: 60s, key: { file: builders }, key_pair: builders }";
    let file = ec2.pipeline(
        OneStage {
            connect,
            ..OneStage::default()
        }
        .text(),
    );
    let ended = ec2
        .run(&file)
        .failed_in("key-pair")
        .says("there is no key pair \"builders\"");
    ec2.holdings().assert_none(&ended);
}

/// A program of OpenSSH's that listens on a port of 127.0.0.1, and is ended with the test.
struct Listening {
    process: Child,
    port: u16,
}

impl Listening {
    /// Starts the program that `command` gives for a free port, and waits until it answers.
    #[track_caller]
    fn start(what: &str, command: impl Fn(u16) -> Command) -> Self {
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0")
                .and_then(|listener| listener.local_addr())
                .map(|address| address.port())
                .unwrap_or_else(|error| panic!("no free port: {error}"));
            let process = command(port)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap_or_else(|error| panic!("{what} cannot be started: {error}"));
            let mut listening = Self { process, port };
            if listening.answers() {
                return listening;
            }
        }
        panic!("{what} does not come up")
    }

    fn answers(&mut self) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return true;
            }
            if !matches!(self.process.try_wait(), Ok(None)) {
                return false;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// An sshd that lets whoever runs the test in with `work/jump`.
#[track_caller]
fn bastion(ec2: &LocalEc2) -> Listening {
    key(ec2, "jump");
    key(ec2, "jump_host");
    if rustix::process::getuid().is_root() {
        std::fs::create_dir_all("/run/sshd").unwrap_or_else(|error| panic!("/run/sshd: {error}"));
    }
    let work = ec2.path("work");
    let bastion = Listening::start("sshd", |port| {
        let config = ec2.write(
            format!("work/sshd_config_{port}"),
            format!(
                "ListenAddress 127.0.0.1:{port}\nHostKey {0}/jump_host\nAuthorizedKeysFile {0}/jump.pub\nPidFile none\n\
                 StrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\nUseDNS no\n\
                 LogLevel VERBOSE\n",
                work.display()
            ),
        );
        let mut command = Command::new("/usr/sbin/sshd");
        command
            .args(["-D", "-E"])
            .arg(work.join("sshd.log"))
            .arg("-f")
            .arg(config);
        command
    });
    let public = std::fs::read_to_string(ec2.path("work/jump_host.pub"))
        .unwrap_or_else(|error| panic!("the bastion's key: {error}"));
    ec2.write(
        "work/jump_known",
        format!("[127.0.0.1]:{} {public}", bastion.port),
    );
    bastion
}

fn user() -> String {
    let output = Command::new("id").arg("-un").output();
    let output = output.unwrap_or_else(|error| panic!("id: {error}"));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// The members of `launch:` that let in what comes from this machine's loopback.
const FROM_LOOPBACK: &str = "subnet: { default_vpc: true, zone: c }, ssh_from: [127.0.0.0/8]";

#[track_caller]
fn builds(ec2: &LocalEc2, more: &str) -> Ended {
    let connect = format!("{{ user: ec2-user, timeout: 60s, {more} }}");
    let stage = OneStage {
        connect: &connect,
        launch: FROM_LOOPBACK,
        ..OneStage::default()
    };
    ec2.run(&ec2.pipeline(stage.text())).exits(0)
}

#[test]
fn an_instance_is_reached_through_a_bastion() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let bastion = bastion(&ec2);
    let (port, user) = (bastion.port, user());
    builds(
        &ec2,
        &format!(
            "bastion: {{ host: 127.0.0.1, port: {port}, user: {user}, key: {{ file: jump }}, host_key: {{ known_hosts: jump_known }} }}"
        ),
    );
    let log = std::fs::read_to_string(ec2.path("work/sshd.log")).unwrap_or_default();
    let logins = log.matches("Accepted publickey").count();
    assert_eq!(
        logins, 1,
        "one login, however often the instance was tried:\n{log}"
    );
}

#[test]
fn a_bastion_with_another_key_is_refused_and_nothing_is_left() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let bastion = bastion(&ec2);
    let (port, user) = (bastion.port, user());
    let connect = format!(
        "{{ user: ec2-user, timeout: 60s, bastion: {{ host: 127.0.0.1, port: {port}, user: {user}, key: {{ file: jump }}, \
         host_key: {{ fingerprint: \"SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\" }} }} }}"
    );
    let stage = OneStage {
        connect: &connect,
        launch: FROM_LOOPBACK,
        ..OneStage::default()
    };
    let ended = ec2
        .run(&ec2.pipeline(stage.text()))
        .failed_in("connect")
        .says("HOST KEY MISMATCH")
        .says("bastion");
    ec2.holdings().assert_none(&ended);
    let log = std::fs::read_to_string(ec2.path("work/sshd.log")).unwrap_or_default();
    assert!(!log.contains("Accepted"), "{log}");
}

#[test]
fn an_instance_is_reached_through_a_socks_proxy() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let bastion = bastion(&ec2);
    let socks = Listening::start("ssh -D", |port| {
        let mut command = Command::new("ssh");
        command
            .args([
                "-F",
                "none",
                "-N",
                "-o",
                "StrictHostKeyChecking=yes",
                "-o",
                "ExitOnForwardFailure=yes",
            ])
            .arg("-o")
            .arg(format!(
                "UserKnownHostsFile={}",
                ec2.path("work/jump_known").display()
            ))
            .arg("-D")
            .arg(format!("127.0.0.1:{port}"))
            .arg("-i")
            .arg(ec2.path("work/jump"))
            .args(["-p", &bastion.port.to_string(), "-l", &user(), "127.0.0.1"]);
        command
    });
    builds(
        &ec2,
        &format!("proxy: \"socks5://127.0.0.1:{}\"", socks.port),
    );
}
