//! The identity of an agent: OpenSSH's own.

use crate::server::{PATIENCE, Server, write_private};
use ssh::{ConnectError, Connection, Identity, KeyAlgorithm, KeyError, KeyPair, agent_public_keys};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

struct Agent {
    process: Child,
    socket: PathBuf,
}

impl Agent {
    async fn start(folder: &Path) -> Agent {
        let socket = folder.join("agent");
        let process = Command::new("ssh-agent")
            .args(["-D", "-a"])
            .arg(&socket)
            .stdout(Stdio::null())
            .spawn()
            .expect("ssh-agent starts; it comes with openssh-client");
        let started = Instant::now();
        while std::os::unix::net::UnixStream::connect(&socket).is_err() {
            assert!(started.elapsed() < PATIENCE, "ssh-agent listens");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Agent { process, socket }
    }

    fn add(&self, key: &Path) {
        let added = Command::new("ssh-add")
            .arg("-q")
            .arg(key)
            .env("SSH_AUTH_SOCK", &self.socket)
            .output()
            .expect("ssh-add");
        assert!(added.status.success(), "{added:?}");
    }

    fn identity(&self) -> Identity {
        Identity::Agent {
            socket: self.socket.clone(),
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn ssh_keygen(kind: &str, passphrase: &str, file: &Path) -> String {
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", kind, "-N", passphrase, "-C", "test", "-f"])
        .arg(file)
        .output()
        .expect("ssh-keygen runs");
    assert!(made.status.success(), "{made:?}");
    std::fs::read_to_string(file).expect("the private key")
}

#[tokio::test]
async fn keys_of_an_agent_are_tried_in_turn() {
    let server = Server::start().await;
    let agent = Agent::start(server.folder.path()).await;
    let mut options = server.options();
    options.identity = agent.identity();

    let error = Connection::open(&options)
        .await
        .expect_err("an empty agent");
    assert!(matches!(error, ConnectError::Agent { .. }), "{error}");
    assert!(error.to_string().contains("ssh-add"), "{error}");

    let stranger = server.path("stranger");
    write_private(
        &stranger,
        KeyPair::generate(KeyAlgorithm::EcdsaP256)
            .private_openssh()
            .expose(),
    );
    agent.add(&stranger);
    let error = Connection::open(&options)
        .await
        .expect_err("the agent's key is not authorized");
    assert!(
        matches!(error, ConnectError::AuthenticationRefused { .. }),
        "{error}"
    );

    let good = server.path("good");
    write_private(&good, server.login_key.private_openssh().expose());
    agent.add(&good);
    Connection::open(&options)
        .await
        .expect("the second key is authorized");

    let keys = agent_public_keys(&agent.socket)
        .await
        .expect("the agent answers");
    assert_eq!(keys.len(), 2);
    assert!(
        keys[1].starts_with(server.login_key.public_openssh().trim()),
        "{keys:?}"
    );
}

#[tokio::test]
async fn an_rsa_key_works_through_an_agent_and_is_refused_from_a_file() {
    let server = Server::start().await;
    let file = server.path("rsa");
    let text = ssh_keygen("rsa", "", &file);
    let error = KeyPair::from_openssh(&text).expect_err("RSA is not read");
    assert!(matches!(error, KeyError::Unsupported { .. }), "{error}");
    assert!(error.to_string().contains("ssh-add"), "{error}");

    let public = std::fs::read_to_string(server.path("rsa.pub")).expect("the public key");
    write_private(&server.path("authorized_keys"), &public);
    let agent = Agent::start(server.folder.path()).await;
    agent.add(&file);
    let mut options = server.options();
    options.identity = agent.identity();
    Connection::open(&options)
        .await
        .expect("the agent signs with the RSA key");
    let log = server.log();
    assert!(
        log.contains("rsa-sha2-512") || log.contains("Accepted publickey"),
        "{log}"
    );
}

#[tokio::test]
async fn an_agent_that_is_not_there_is_named() {
    let server = Server::start().await;
    let mut options = server.options();
    options.identity = Identity::Agent {
        socket: server.path("nowhere"),
    };
    let error = Connection::open(&options).await.expect_err("no agent");
    assert!(matches!(error, ConnectError::Agent { .. }), "{error}");
    assert!(error.to_string().contains("nowhere"), "{error}");
    assert!(error.is_final());
}

#[test]
fn keys_made_by_ssh_keygen_are_read_or_refused_with_advice() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let read = |kind, passphrase: &str| {
        let file = folder.path().join(format!("{kind}{}", passphrase.len()));
        KeyPair::from_openssh(&ssh_keygen(kind, passphrase, &file))
    };
    assert_eq!(
        read("ed25519", "").expect("it is read").algorithm(),
        KeyAlgorithm::Ed25519
    );
    assert_eq!(
        read("ecdsa", "").expect("it is read").algorithm(),
        KeyAlgorithm::EcdsaP256
    );
    let error = read("ed25519", "secret").expect_err("it is encrypted");
    assert!(matches!(error, KeyError::Encrypted), "{error}");
    assert!(error.to_string().contains("agent"), "{error}");
}
