//! An OpenSSH server that belongs to one test.

use ssh::{
    ConnectOptions, Connection, Destination, Dial, HostKeyRule, Identity, KeyAlgorithm, KeyPair,
    PublicHostKey, probe_banner,
};
use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Generous: nothing here should take long, but the machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Server {
    process: Child,
    pub folder: TempDir,
    pub port: u16,
    pub host_keys: Vec<Arc<KeyPair>>,
    pub login_key: Arc<KeyPair>,
}

/// Makes sshd log what clients ask for, step by step. Only for tests that look at that: with it, sshd also writes into
/// the output of commands.
pub const CHATTY: &str = "LogLevel DEBUG1\n";

/// What a server is to be like.
pub struct Setup {
    pub host_keys: Vec<KeyAlgorithm>,
    pub login_key: KeyAlgorithm,
    pub config: String,
    pub terminals: Terminals,
}

/// Whether a server must be able to give terminals.
///
/// sshd gives a terminal to the group `tty`. Without root's powers it can do so only where devpts is mounted to do it
/// (`gid=`), as distributions do and containers often do not; elsewhere it ends the connection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Terminals {
    /// If it can.
    IfPossible,
    /// It must: where that needs it, it runs in a namespace that has no group `tty`.
    Needed,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup {
            host_keys: vec![KeyAlgorithm::Ed25519, KeyAlgorithm::EcdsaP256],
            login_key: KeyAlgorithm::Ed25519,
            config: String::new(),
            terminals: Terminals::IfPossible,
        }
    }
}

impl Server {
    pub async fn start() -> Server {
        Server::with(Setup::default()).await
    }

    /// A server that can give terminals.
    pub async fn with_terminals() -> Server {
        Server::with(Setup {
            terminals: Terminals::Needed,
            ..Setup::default()
        })
        .await
    }

    /// A server on this port; none if it is taken.
    pub async fn on_port(port: u16) -> Option<Server> {
        Server::try_with(Setup::default(), Some(port)).await
    }

    pub async fn with(setup: Setup) -> Server {
        match Server::try_with(setup, None).await {
            Some(server) => server,
            None => panic!("no free port for sshd"),
        }
    }

    async fn try_with(setup: Setup, wanted: Option<u16>) -> Option<Server> {
        let sshd = find_sshd();
        let mut folder = tempfile::Builder::new()
            .prefix("qib-sshd-")
            .tempdir()
            .expect("a temporary folder");
        let host_keys: Vec<_> = setup
            .host_keys
            .iter()
            .map(|&a| Arc::new(KeyPair::generate(a)))
            .collect();
        let login_key = Arc::new(KeyPair::generate(setup.login_key));
        for (number, key) in host_keys.iter().enumerate() {
            write_private(
                &folder.path().join(format!("host_{number}")),
                key.private_openssh().expose(),
            );
        }
        write_private(
            &folder.path().join("authorized_keys"),
            &login_key.public_openssh(),
        );
        if user() == "root" {
            // Where sshd puts its unprivileged half; made by its service at boot, and sshd insists on it.
            fs::create_dir_all("/run/sshd").expect("/run/sshd can be made");
        }
        // Another program may take the free port between our asking and sshd's, so a few are tried.
        for _ in 0..5 {
            let port = wanted.unwrap_or_else(free_port);
            let config = folder.path().join("sshd_config");
            fs::write(
                &config,
                config_text(folder.path(), port, host_keys.len(), &setup.config),
            )
            .expect("config");
            let log = fs::File::create(folder.path().join("log")).expect("a log");
            let process = program(&sshd, setup.terminals, folder.path())
                .args(["-D", "-e", "-f"])
                .arg(&config)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(log)
                .spawn()
                .expect("sshd starts");
            let mut server = Server {
                process,
                folder,
                port,
                host_keys: host_keys.clone(),
                login_key: login_key.clone(),
            };
            if server.answers().await {
                return Some(server);
            }
            let log = server.log();
            assert!(
                log.contains("Address already in use"),
                "sshd does not run; it said:\n{log}"
            );
            let _ = server.process.wait();
            folder = std::mem::replace(
                &mut server.folder,
                tempfile::tempdir().expect("a temporary folder"),
            );
        }
        None
    }

    async fn answers(&mut self) -> bool {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            if self
                .process
                .try_wait()
                .expect("sshd can be asked")
                .is_some()
            {
                return false;
            }
            if probe_banner(&self.destination(), &Dial::Direct, Duration::from_secs(5))
                .await
                .is_ok()
            {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        false
    }

    pub fn destination(&self) -> Destination {
        Destination {
            host: "127.0.0.1".into(),
            port: self.port,
        }
    }

    pub fn pinned(&self) -> HostKeyRule {
        HostKeyRule::Pinned(self.host_keys.iter().map(|key| public(key)).collect())
    }

    pub fn options(&self) -> ConnectOptions {
        ConnectOptions {
            destination: self.destination(),
            dial: Dial::Direct,
            user: user(),
            identity: Identity::Key(self.login_key.clone()),
            host_key: self.pinned(),
            handshake_timeout: PATIENCE,
            keepalive: Duration::from_secs(5),
        }
    }

    pub async fn connect(&self) -> Connection {
        match Connection::open(&self.options()).await {
            Ok(connection) => connection,
            Err(error) => panic!("{error}; sshd said:\n{}", self.log()),
        }
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).expect("sshd's log")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The processes that serve connections: those below the listening one that are sshd themselves.
    pub fn session_processes(&self) -> Vec<u32> {
        let mut parents = BTreeMap::new();
        for entry in fs::read_dir("/proc").expect("/proc").flatten() {
            let Some(pid) = entry
                .file_name()
                .to_str()
                .and_then(|n| n.parse::<u32>().ok())
            else {
                continue;
            };
            // A process may end while it is looked at.
            let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
                continue;
            };
            let (Some(open), Some(close)) = (stat.find('('), stat.rfind(')')) else {
                continue;
            };
            let parent = stat[close + 1..]
                .split_ascii_whitespace()
                .nth(1)
                .and_then(|p| p.parse::<u32>().ok());
            parents.insert(
                pid,
                (parent.expect("a parent"), stat[open + 1..close].to_owned()),
            );
        }
        let mut found = vec![self.process.id()];
        loop {
            let more: Vec<u32> = parents
                .iter()
                .filter(|(pid, (parent, name))| {
                    name.starts_with("sshd") && found.contains(parent) && !found.contains(pid)
                })
                .map(|(pid, _)| *pid)
                .collect();
            if more.is_empty() {
                break;
            }
            found.extend(more);
        }
        found.split_off(1)
    }

    pub fn signal_sessions(&self, signal: &str) {
        let pids = self.session_processes();
        assert!(!pids.is_empty(), "a session is being served");
        signal_processes(&pids, signal);
    }
}

pub fn signal_processes(pids: &[u32], signal: &str) {
    for pid in pids {
        // Killing one may already have ended the next.
        let _ = Command::new("kill")
            .arg(format!("-{signal}"))
            .arg(pid.to_string())
            .stderr(Stdio::null())
            .status();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let sessions = self.session_processes();
        let _ = self.process.kill();
        let _ = self.process.wait();
        // Sessions outlive the listening process, and a test may have left one stopped.
        signal_processes(&sessions, "KILL");
    }
}

pub fn public(key: &KeyPair) -> PublicHostKey {
    key.public_openssh().parse().expect("own key is read")
}

pub fn user() -> String {
    let output = Command::new("id").arg("-un").output().expect("id runs");
    String::from_utf8(output.stdout)
        .expect("a name")
        .trim()
        .to_owned()
}

pub fn write_private(path: &Path, text: &str) {
    fs::write(path, text).expect("a file");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("its mode");
}

fn find_sshd() -> PathBuf {
    let places = ["/usr/sbin/sshd", "/usr/local/sbin/sshd", "/usr/bin/sshd"];
    places.iter().map(PathBuf::from).find(|p| p.exists()).expect(
        "no OpenSSH server here; install it with `apt-get install openssh-server` (or run `cargo xtask test`, which does)",
    )
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .expect("a port")
        .local_addr()
        .expect("its number")
        .port()
}

fn config_text(folder: &Path, port: u16, host_keys: usize, more: &str) -> String {
    let folder = folder.display();
    let mut text: String = (0..host_keys)
        .map(|n| format!("HostKey {folder}/host_{n}\n"))
        .collect();
    // sshd takes the first value of each key, so a test's own come first.
    text.push_str(more);
    text.push_str(&format!(
        "\nListenAddress 127.0.0.1:{port}\nAuthorizedKeysFile {folder}/authorized_keys\nPidFile none\n\
         PermitRootLogin prohibit-password\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n\
         KbdInteractiveAuthentication no\nMaxStartups 100\nLogLevel VERBOSE\nPrintLastLog no\nUseDNS no\n\
         Subsystem sftp internal-sftp\n"
    ));
    text
}

/// Whether an sshd of this user's can give terminals as things are.
pub fn terminals_are_possible() -> bool {
    let groups = fs::read_to_string("/etc/group").expect("/etc/group");
    let tty = groups
        .lines()
        .find_map(|line| line.strip_prefix("tty:"))
        .and_then(|rest| rest.split(':').nth(1));
    let mounts = fs::read_to_string("/proc/mounts").expect("/proc/mounts");
    let devpts = mounts
        .lines()
        .find(|line| line.split(' ').nth(1) == Some("/dev/pts"))
        .unwrap_or_default();
    let options = devpts.split(' ').nth(3).unwrap_or_default();
    let owner = options
        .split(',')
        .find_map(|option| option.strip_prefix("gid="));
    user() == "root" || owner == tty
}

/// The command that becomes sshd (by exec, so that the process is the same).
fn program(sshd: &Path, terminals: Terminals, folder: &Path) -> Command {
    if terminals == Terminals::IfPossible || terminals_are_possible() {
        return Command::new(sshd);
    }
    let groups = fs::read_to_string("/etc/group").expect("/etc/group");
    let rest: Vec<&str> = groups
        .lines()
        .filter(|line| !line.starts_with("tty:"))
        .collect();
    let file = folder.join("group");
    fs::write(&file, rest.join("\n")).expect("a group file");
    let mut command = Command::new("unshare");
    command.args([
        "--user",
        "--map-current-user",
        "--keep-caps",
        "--mount",
        "/bin/sh",
        "-c",
    ]);
    command.arg("mount --bind \"$1\" /etc/group && shift && exec setpriv --ambient-caps=-all --inh-caps=-all \"$@\"");
    command.arg("sh").arg(file).arg(sshd);
    command
}
