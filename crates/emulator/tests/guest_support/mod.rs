//! A guest under test: its daemon's part, a stand-in for the IMDS, and the real OpenSSH client.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use emulator::guest::{BootAgent, GuestHost, GuestSpec, RunningGuest};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::sync::watch;

/// Longer than anything here takes on a busy machine; a test that reaches it has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What all guests of a test program share.
pub struct World {
    pub host: GuestHost,
    pub folder: tempfile::TempDir,
    pub base: PathBuf,
    pub key: PathBuf,
    pub public_key: String,
}

impl World {
    pub async fn new() -> World {
        let host = GuestHost::probe().unwrap_or_else(|problem| panic!("{problem}"));
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().join("base");
        host.prepare_base_layer(&base).unwrap();
        let key = folder.path().join("key");
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(&key)
            .status()
            .await
            .unwrap();
        assert!(made.success());
        let public_key = std::fs::read_to_string(key.with_extension("pub"))
            .unwrap()
            .trim()
            .to_owned();
        World {
            host,
            folder,
            base,
            key,
            public_key,
        }
    }

    pub fn spec(&self, id: &str, image_layers: &[PathBuf]) -> GuestSpec {
        GuestSpec {
            instance_id: id.to_owned(),
            instance_dir: self.folder.path().join(id),
            base_layer: self.base.clone(),
            image_layers: image_layers.to_vec(),
            hostname: "before-boot".to_owned(),
            default_user: "ec2-user".to_owned(),
            private_ip: Ipv4Addr::new(172, 31, 7, 9),
            ipv6: ipv6(),
            endpoint: SocketAddr::from(([127, 0, 0, 1], 45_000)),
            agent: BootAgent::BuiltIn,
        }
    }

    /// Starts a guest and waits until it accepts SSH connections.
    pub async fn boot(&self, id: &str, image_layers: &[PathBuf], user_data: &[u8]) -> Machine {
        let machine = self.start(self.spec(id, image_layers), user_data).await;
        machine.wait_for_ssh().await;
        machine
    }

    /// Starts a guest with its IMDS.
    pub async fn start(&self, spec: GuestSpec, user_data: &[u8]) -> Machine {
        let console = spec.instance_dir.join("console.log");
        let imds = ImdsData {
            items: BTreeMap::from([
                (
                    "meta-data/instance-id".to_owned(),
                    spec.instance_id.clone().into_bytes(),
                ),
                (
                    "meta-data/local-hostname".to_owned(),
                    b"ip-172-31-7-9.us-east-2.compute.internal".to_vec(),
                ),
                ("meta-data/public-keys/".to_owned(), b"0=test".to_vec()),
                (
                    "meta-data/public-keys/0/openssh-key".to_owned(),
                    self.public_key.clone().into_bytes(),
                ),
                (
                    "meta-data/placement/availability-zone".to_owned(),
                    b"us-east-2a".to_vec(),
                ),
                (
                    "dynamic/instance-identity/document".to_owned(),
                    br#"{"region":"us-east-2"}"#.to_vec(),
                ),
                ("user-data".to_owned(), user_data.to_vec()),
            ]),
            requests: Mutex::default(),
        };
        let imds = Arc::new(imds);
        let guest = Arc::new(self.host.start(spec).await.unwrap());
        serve(
            &guest.imds,
            Router::new().fallback(answer).with_state(Arc::clone(&imds)),
        );
        serve(
            &guest.endpoint,
            Router::new().fallback(|| async { "the endpoint" }),
        );
        let outside = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = outside.local_addr().unwrap().port();
        tokio::spawn(splice(outside, Arc::clone(&guest)));
        Machine {
            guest,
            port,
            console,
            key: self.key.clone(),
            imds,
        }
    }
}

fn serve(listener: &std::net::TcpListener, router: Router) {
    let listener = listener.try_clone().unwrap();
    listener.set_nonblocking(true).unwrap();
    let listener = TcpListener::from_std(listener).unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
}

async fn splice(outside: TcpListener, guest: Arc<RunningGuest>) {
    loop {
        let (mut client, peer) = outside.accept().await.unwrap();
        let guest = Arc::clone(&guest);
        tokio::spawn(async move {
            let peer = format!("{} {} 127.0.0.1 22", peer.ip(), peer.port());
            if let Ok(mut server) = guest.connect_ssh_from(&peer).await {
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            }
        });
    }
}

pub struct ImdsData {
    items: BTreeMap<String, Vec<u8>>,
    pub requests: Mutex<Vec<String>>,
}

impl ImdsData {
    /// The names in a folder, which end with a slash if they are folders. `public-keys/` has a form of its own, kept as an item.
    fn listing(&self, folder: &str) -> Option<String> {
        if !(folder.starts_with("meta-data") || folder.starts_with("dynamic"))
            || !(folder.ends_with('/')
                || ["meta-data", "dynamic/instance-identity"].contains(&folder))
            || self.items.contains_key(folder)
        {
            return None;
        }
        let prefix = format!("{}/", folder.trim_end_matches('/'));
        let names: std::collections::BTreeSet<_> = self
            .items
            .keys()
            .filter_map(|key| key.strip_prefix(&prefix))
            .filter(|rest| !rest.is_empty())
            .map(|rest| {
                rest.split_once('/')
                    .map_or_else(|| rest.to_owned(), |(name, _)| format!("{name}/"))
            })
            .collect();
        (!names.is_empty()).then(|| names.into_iter().collect::<Vec<_>>().join("\n"))
    }
}

async fn answer(
    State(data): State<Arc<ImdsData>>,
    headers: HeaderMap,
    request: Request,
) -> (StatusCode, Vec<u8>) {
    let path = request.uri().path().to_owned();
    data.requests
        .lock()
        .unwrap()
        .push(format!("{} {path}", request.method()));
    if request.method() == Method::PUT && path == "/latest/api/token" {
        return (StatusCode::OK, b"the-token".to_vec());
    }
    if headers
        .get("X-aws-ec2-metadata-token")
        .is_none_or(|token| token != "the-token")
    {
        return (StatusCode::UNAUTHORIZED, Vec::new());
    }
    // cloud-init asks for dated versions, and finds folders by their listing.
    let item = path
        .trim_start_matches('/')
        .split_once('/')
        .map_or("", |(_, item)| item);
    if let Some(listing) = data.listing(item) {
        return (StatusCode::OK, listing.into_bytes());
    }
    match data.items.get(item) {
        Some(body) if !body.is_empty() => (StatusCode::OK, body.clone()),
        _ => (StatusCode::NOT_FOUND, Vec::new()),
    }
}

/// A running guest with a port to it.
pub struct Machine {
    pub guest: Arc<RunningGuest>,
    pub port: u16,
    pub console: PathBuf,
    pub key: PathBuf,
    pub imds: Arc<ImdsData>,
}

impl Machine {
    pub async fn wait_for_ssh(&self) {
        let mut ready = self.guest.ssh_ready();
        let up = tokio::time::timeout(PATIENCE, ready.wait_for(|ready| *ready)).await;
        assert!(
            up.is_ok_and(|r| r.is_ok()),
            "SSH did not come up; console:\n{}",
            self.console_text()
        );
    }

    pub fn console_text(&self) -> String {
        std::fs::read_to_string(&self.console).unwrap_or_default()
    }

    /// The options of every `ssh` here. Host keys are looked at by tests of their own.
    pub fn client(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.args([
            "-F",
            "none",
            "-o",
            "BatchMode=yes",
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "UserKnownHostsFile=/dev/null",
        ]);
        command
            .args(["-o", "LogLevel=ERROR", "-o", "IdentitiesOnly=yes", "-i"])
            .arg(&self.key);
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    pub fn ssh_as(&self, user: &str) -> Command {
        let mut command = self.client("ssh");
        command
            .arg("-p")
            .arg(self.port.to_string())
            .arg(format!("{user}@127.0.0.1"));
        command
    }

    pub fn ssh(&self) -> Command {
        self.ssh_as("ec2-user")
    }

    /// Runs a shell line as the default user.
    pub async fn run(&self, line: &str) -> Output {
        let run = self.ssh().arg(line).output();
        tokio::time::timeout(PATIENCE, run)
            .await
            .unwrap_or_else(|_| panic!("{line} did not end"))
            .unwrap()
    }

    /// Runs a shell line that must succeed; gives its output.
    #[track_caller]
    pub fn ok(&self, line: &str) -> impl Future<Output = String> {
        let at = std::panic::Location::caller();
        let line = line.to_owned();
        async move {
            let output = self.run(&line).await;
            assert!(
                output.status.success(),
                "{at}: `{line}` ended with {}\nstdout: {}\nstderr: {}\nconsole:\n{}",
                output.status,
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr),
                self.console_text()
            );
            String::from_utf8(output.stdout)
                .unwrap()
                .trim_end()
                .to_owned()
        }
    }

    /// Runs a script as root, from its standard input.
    pub async fn root_script(&self, script: &str) -> Output {
        let mut child = self
            .ssh()
            .arg("sudo bash -s")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut input, script.as_bytes())
            .await
            .unwrap();
        drop(input);
        tokio::time::timeout(PATIENCE, child.wait_with_output())
            .await
            .expect("the script did not end")
            .unwrap()
    }
}

/// Waits until a condition holds that nothing announces.
pub async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !holds() {
        assert!(
            tokio::time::Instant::now() < deadline,
            "{what} did not come about"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits for a value on a watch.
pub async fn until<T: Clone>(mut receiver: watch::Receiver<Option<T>>) -> T {
    let value = tokio::time::timeout(PATIENCE, receiver.wait_for(Option::is_some))
        .await
        .expect("in time")
        .expect("a sender");
    value.clone().unwrap()
}

/// A case that runs.
type Running = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

/// One test of a program without libtest: those programs are also guests' launchers, so their `main` is their own.
pub struct Case {
    pub name: &'static str,
    pub run: fn(Arc<World>) -> Running,
}

/// Declares cases from async functions that take an `Arc<World>`.
#[macro_export]
macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        &[$($crate::guest_support::Case { name: stringify!($name), run: |world| Box::pin($name(world)) }),*]
    };
}

/// Tells a test program that it was started by itself as somebody else.
const UNPRIVILEGED: &str = "--unprivileged";

/// Runs the program again as a user without any powers, so that both kinds of guests are tested.
fn run_unprivileged() -> bool {
    use std::os::unix::process::CommandExt;
    // Some system user: it needs an entry in /etc/passwd for ssh's sake, and nothing else.
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap();
    let ids = passwd.lines().filter_map(|line| {
        let mut fields = line.split(':').skip(2);
        Some((
            fields.next()?.parse::<u32>().ok()?,
            fields.next()?.parse::<u32>().ok()?,
        ))
    });
    let (user, group) = ids
        .into_iter()
        .find(|(user, _)| (1..1000).contains(user))
        .unwrap();
    let mut command = std::process::Command::new("/proc/self/exe");
    command
        .args(std::env::args_os().skip(1))
        .arg(UNPRIVILEGED)
        .uid(user)
        .gid(group)
        .current_dir("/");
    command.env("HOME", "/nonexistent").env_remove("TMPDIR");
    command.status().unwrap().success()
}

/// Runs the cases whose names contain the first argument, each in a task of its own, and prints as libtest does. As root, all is
/// done twice: the second time without powers.
pub fn main(cases: &'static [Case]) -> std::process::ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if arguments.iter().any(|a| a == "--list") {
        for case in cases {
            println!("{}: test", case.name);
        }
        return std::process::ExitCode::SUCCESS;
    }
    let exact = arguments.iter().any(|a| a == "--exact");
    let filter = arguments.iter().find(|a| !a.starts_with('-'));
    let chosen = |case: &&Case| {
        filter.is_none_or(|f| {
            if exact {
                case.name == f
            } else {
                case.name.contains(f.as_str())
            }
        })
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let failed = runtime.block_on(async {
        let world = Arc::new(World::new().await);
        println!("mode: {:?}", world.host.mode());
        let mut failed = Vec::new();
        for case in cases.iter().filter(chosen) {
            print!("test {} ... ", case.name);
            let _ = std::io::stdout().flush();
            let started = std::time::Instant::now();
            match tokio::spawn((case.run)(Arc::clone(&world))).await {
                Ok(()) => println!("ok ({:.1} s)", started.elapsed().as_secs_f64()),
                Err(_) => {
                    println!("FAILED");
                    failed.push(case.name);
                }
            }
        }
        if let Ok(world) = Arc::try_unwrap(world) {
            world.host.remove_layer(world.folder.path()).unwrap();
        }
        failed
    });
    let again =
        rustix::process::geteuid().is_root() && !arguments.iter().any(|a| a == UNPRIVILEGED);
    let also = !again || run_unprivileged();
    if failed.is_empty() && also {
        println!("test result: ok");
        std::process::ExitCode::SUCCESS
    } else {
        println!("test result: FAILED: {}", failed.join(", "));
        std::process::ExitCode::FAILURE
    }
}

/// Whether `path` exists, whatever it is.
pub fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// The guests' IPv6 address, where the kernel has any.
pub fn ipv6() -> Vec<std::net::Ipv6Addr> {
    match Path::new("/proc/net/if_inet6").exists() {
        true => vec!["fd00:ec2:7::9".parse().unwrap()],
        false => Vec::new(),
    }
}
