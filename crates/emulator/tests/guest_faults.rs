//! Faults, dead man's timers and violent ends with real guests, through the API and the real OpenSSH client.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test is an edge, and this one prints its own results"
)]

mod guest_support;
mod support;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use emulator::account::Account;
use emulator::config::{Delays, EmulatorConfig};
use emulator::engine::{Engine, Served, Store};
use emulator::guest::{GuestExit, GuestHost};
use guest_support::{PATIENCE, World, eventually, until};
use std::io::Write;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Output, Stdio};
use std::sync::Arc;
use support::{Credentials, LocalEc2};
use tokio::process::Command;

/// Tells this program to be a local EC2 and nothing else, until it is killed.
const SERVE: &str = "--serve";

fn main() -> ExitCode {
    emulator::guest::run_if_guest_process();
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, how, dir, port] = arguments.as_slice()
        && how == SERVE
    {
        return serve(Path::new(dir), port.parse().unwrap());
    }
    guest_support::main(cases![
        a_dead_mans_timer_runs_on_after_the_boot_and_ends_the_guest,
        a_shutdown_from_inside_ends_the_instance_as_was_asked_at_launch,
        nothing_of_a_guest_outlives_its_instance,
        nothing_of_a_guest_outlives_a_local_ec2_that_is_killed,
        a_connection_is_dropped_in_the_middle_of_a_commands_output,
        a_connection_is_reset_in_the_middle_of_a_transfer,
        a_connection_hangs_until_the_client_has_had_enough,
        a_guest_without_network_boots_and_gets_no_answer,
        a_slow_metadata_service_only_delays_the_boot,
    ])
}

fn config() -> EmulatorConfig {
    EmulatorConfig {
        delays: Delays::None,
        firewall: false,
        ..EmulatorConfig::default()
    }
}

fn served() -> Served {
    Served {
        endpoint: "127.0.0.1:4592".parse().unwrap(),
        ssh_port: emulator::network::choose_ssh_port(2222..2322).unwrap(),
    }
}

/// A local EC2 with real guests, and what a client needs to log in.
struct Real {
    ec2: LocalEc2,
    key: PathBuf,
}

impl Real {
    async fn new(world: &World) -> Real {
        // Below the world's folder, so that what guests own in it goes with the world.
        let dir = tempfile::Builder::new().tempdir_in(world.folder.path());
        let dir = Arc::new(dir.unwrap());
        std::os::unix::fs::symlink(&world.base, dir.path().join("base")).unwrap();
        let account = Store::new(dir.path()).load().unwrap();
        let key = credentials(&account);
        let host = GuestHost::probe().unwrap_or_else(|problem| panic!("{problem}"));
        let engine = Engine::new(dir.path(), &config(), Arc::new(host), account, served()).unwrap();
        let ec2 = LocalEc2 {
            dir,
            engine,
            guests: Arc::default(),
            key,
            region: "us-east-2".to_owned(),
        };
        let material = BASE64_STANDARD.encode(&world.public_key);
        ec2.ec2(
            "ImportKeyPair",
            &[("KeyName", "test"), ("PublicKeyMaterial", &material)],
        )
        .ok();
        ec2.ec2(
            "AuthorizeSecurityGroupIngress",
            &[
                ("GroupName", "default"),
                ("IpPermissions.1.IpProtocol", "tcp"),
                ("IpPermissions.1.FromPort", "22"),
                ("IpPermissions.1.ToPort", "22"),
                ("IpPermissions.1.IpRanges.1.CidrIp", "127.0.0.0/8"),
            ],
        )
        .ok();
        Real {
            ec2,
            key: world.key.clone(),
        }
    }

    fn faults(&self, text: &str) {
        std::fs::write(self.ec2.path().join("faults.json"), text).unwrap();
    }

    async fn launch(&self, user_data: &str, behavior: &str) -> String {
        let data = BASE64_STANDARD.encode(user_data);
        self.ec2
            .running(&[
                ("KeyName", "test"),
                ("UserData", &data),
                ("InstanceInitiatedShutdownBehavior", behavior),
            ])
            .await
    }

    /// Runs a shell line in an instance; `more` are further options of ssh.
    async fn ssh(&self, id: &str, more: &[&str], line: &str, input: Stdio) -> Output {
        let ip = self
            .ec2
            .ec2("DescribeInstances", &[("InstanceId.1", id)])
            .ok()
            .text("ipAddress")
            .unwrap();
        let mut command = Command::new("ssh");
        // ssh takes the first of what is given twice.
        command
            .args(more)
            .args(["-F", "none", "-o", "BatchMode=yes"])
            .args(["-o", "StrictHostKeyChecking=no"])
            .args(["-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"])
            .args(["-o", "IdentitiesOnly=yes", "-i"])
            .arg(&self.key)
            .args(["-p", &self.ec2.engine.served().ssh_port.to_string()])
            .arg(format!("ec2-user@{ip}"))
            .arg(line)
            .stdin(input)
            .kill_on_drop(true);
        tokio::time::timeout(PATIENCE, command.output())
            .await
            .unwrap_or_else(|_| panic!("{line} did not end"))
            .unwrap()
    }

    /// Waits until an instance can be logged in to.
    async fn up(&self, id: &str) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while self.ssh(id, &[], "true", Stdio::null()).await.status.code() != Some(0) {
            assert!(
                tokio::time::Instant::now() < deadline,
                "{}",
                self.console(id)
            );
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }

    fn console(&self, id: &str) -> String {
        let path = self.ec2.path().join("instances").join(id);
        std::fs::read_to_string(path.join("console.log")).unwrap_or_default()
    }

    /// Ends the guests; what is left of them goes with the world's folder.
    async fn end(self) {
        self.ec2.engine.power_cut().await;
    }
}

fn credentials(account: &Account) -> Credentials {
    Credentials {
        access_key: account.key.id.clone(),
        secret: account.key.secret.clone(),
        token: None,
    }
}

/// This host's processes that have `word` among their arguments, zombies left out: they have none.
fn processes(word: &str) -> Vec<u32> {
    std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| {
            let id: u32 = entry.file_name().to_str()?.parse().ok()?;
            let line = std::fs::read(entry.path().join("cmdline")).ok()?;
            let mut words = line.split(|b| *b == 0);
            words.any(|w| w == word.as_bytes()).then_some(id)
        })
        .filter(|id| *id != std::process::id())
        .collect()
}

/// A time to sleep that no other process on this host has in its arguments.
fn unique_seconds() -> String {
    format!(
        "{}",
        1_000_000_000 + rand::random_range(0..1_000_000_000u32)
    )
}

/// As qib's own timer: started by a boothook, in a session of its own, going by the guest's clock.
const TIMER: &str = r#"#cloud-boothook
#!/bin/sh
cat > /run/timer <<'END'
end=$(( $(date +%s) + $1 ))
while [ "$(date +%s)" -lt "$end" ]; do sleep 0.2; done
shutdown -P now
END
setsid nohup sh /run/timer SECONDS >/dev/null 2>&1 </dev/null &
"#;

async fn a_dead_mans_timer_runs_on_after_the_boot_and_ends_the_guest(world: Arc<World>) {
    let data = TIMER.replace("SECONDS", "3");
    let machine = world.boot("i-timer", &[], data.as_bytes()).await;
    eventually("the boot ends", || {
        machine.console_text().contains("boot finished")
    })
    .await;
    // The boot agent is done, and its early stage's processes are not taken down with it.
    let listed = machine.run(r"cat /proc/[0-9]*/cmdline | tr '\0' ' '").await;
    assert!(
        String::from_utf8_lossy(&listed.stdout).contains("sh /run/timer 3"),
        "{listed:?}"
    );
    let clock: i64 = machine.ok("date +%s").await.parse().unwrap();
    assert!((clock - jiff::Timestamp::now().as_second()).abs() < 60);
    assert_eq!(
        until(machine.guest.exited()).await,
        GuestExit::ShutDownFromInside
    );

    // `poweroff` does as well, and a stop in time takes the timer along.
    let machine = world
        .boot("i-timer2", &[], TIMER.replace("SECONDS", "3000").as_bytes())
        .await;
    machine.run("sudo poweroff").await;
    assert_eq!(
        until(machine.guest.exited()).await,
        GuestExit::ShutDownFromInside
    );
}

async fn a_shutdown_from_inside_ends_the_instance_as_was_asked_at_launch(world: Arc<World>) {
    let real = Real::new(&world).await;
    for (behavior, state) in [("terminate", "terminated"), ("stop", "stopped")] {
        let data = TIMER.replace("SECONDS", "1");
        let id = real.launch(&data, behavior).await;
        let ended = real.ec2.state(&id, state).await;
        assert_eq!(
            ended.text("stateReason/code").unwrap(),
            "Client.InstanceInitiatedShutdown"
        );
        assert!(processes(&id).is_empty());
    }
    real.end().await;
}

async fn nothing_of_a_guest_outlives_its_instance(world: Arc<World>) {
    let real = Real::new(&world).await;
    let seconds = unique_seconds();
    let data = format!(
        "#cloud-boothook\n#!/bin/sh\nsetsid nohup sh -c 'trap \"\" TERM HUP; exec sleep {seconds}' >/dev/null 2>&1 &\n"
    );
    let id = real.launch(&data, "stop").await;
    eventually("the guest's process", || processes(&seconds).len() == 1).await;
    assert!(
        !processes(&id).is_empty(),
        "the launcher and process 1 are found by the instance's id"
    );
    real.ec2
        .ec2("TerminateInstances", &[("InstanceId.1", &id)])
        .ok();
    real.ec2.state(&id, "terminated").await;
    assert_eq!((processes(&seconds), processes(&id)), (vec![], vec![]));
    real.end().await;
}

/// A local EC2 in a process of its own. Says where it is served by answering there.
fn serve(dir: &Path, port: u16) -> ExitCode {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let host = GuestHost::probe().unwrap_or_else(|problem| panic!("{problem}"));
        let account = Store::new(dir).load().unwrap();
        let served = Served {
            endpoint: ([127, 0, 0, 1], port).into(),
            ..served()
        };
        let engine = Engine::new(dir, &config(), Arc::new(host), account, served).unwrap();
        let listener = tokio::net::TcpListener::bind(served.endpoint)
            .await
            .unwrap();
        emulator::server::serve(listener, engine).await.unwrap();
    });
    ExitCode::SUCCESS
}

/// Sends an EC2 action over HTTP; gives the answer's text, empty if nobody is there.
fn post(port: u16, key: &Credentials, form: &str) -> String {
    use emulator::api::protocol::HttpRequest;
    use std::io::Read;
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else {
        return String::new();
    };
    let mut request = HttpRequest {
        method: "POST".into(),
        path: "/".into(),
        query: String::new(),
        headers: vec![
            ("host".into(), format!("127.0.0.1:{port}")),
            (
                "content-type".into(),
                "application/x-www-form-urlencoded".into(),
            ),
        ],
        body: form.as_bytes().to_vec(),
    };
    key.sign(&mut request, "us-east-2", "ec2", jiff::Timestamp::now());
    let headers: String = request
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    write!(
        stream,
        "POST / HTTP/1.1\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{form}",
        form.len()
    )
    .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

fn first<'a>(text: &'a str, element: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{element}>"))?;
    rest.split('<').next()
}

async fn nothing_of_a_guest_outlives_a_local_ec2_that_is_killed(world: Arc<World>) {
    let dir = tempfile::Builder::new()
        .tempdir_in(world.folder.path())
        .unwrap();
    std::os::unix::fs::symlink(&world.base, dir.path().join("base")).unwrap();
    let account = Store::new(dir.path()).load().unwrap();
    Store::new(dir.path()).save(&account).unwrap();
    let key = credentials(&account);
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let mut local = std::process::Command::new("/proc/self/exe")
        .arg(SERVE)
        .arg(dir.path())
        .arg(port.to_string())
        .spawn()
        .unwrap();
    let call = |form: &str| post(port, &key, &format!("Version=2016-11-15&{form}"));
    eventually("it is served", || {
        call("Action=DescribeRegions").contains("us-east-2")
    })
    .await;
    let images = call(
        "Action=DescribeImages&Owner.1=309956199498&Filter.1.Name=name&Filter.1.Value.1=RHEL-9.5*",
    );
    let image = first(&images, "imageId").unwrap();
    let seconds = unique_seconds();
    let data = format!(
        "#cloud-boothook\n#!/bin/sh\nsetsid nohup sh -c 'trap \"\" TERM HUP; exec sleep {seconds}' >/dev/null 2>&1 &\n"
    );
    let data: String =
        form_urlencoded::byte_serialize(BASE64_STANDARD.encode(data).as_bytes()).collect();
    let made = call(&format!(
        "Action=RunInstances&ImageId={image}&InstanceType=m5.large&MinCount=1&MaxCount=1&UserData={data}"
    ));
    let id = first(&made, "instanceId")
        .unwrap_or_else(|| panic!("{made}"))
        .to_owned();
    eventually("the guest's process", || processes(&seconds).len() == 1).await;
    assert!(!processes(&id).is_empty());
    local.kill().unwrap();
    local.wait().unwrap();
    eventually("the guest is gone with it", || {
        processes(&seconds).is_empty() && processes(&id).is_empty()
    })
    .await;
}

async fn a_connection_is_dropped_in_the_middle_of_a_commands_output(world: Arc<World>) {
    let real = Real::new(&world).await;
    let id = real.launch("", "stop").await;
    real.up(&id).await;
    real.faults(r#"{"ssh_breaks": {"how": "close", "after_bytes": 300000, "first": 1}}"#);
    let million = "head -c 1000000 /dev/zero";
    let cut = real.ssh(&id, &[], million, Stdio::null()).await;
    assert_eq!(cut.status.code(), Some(255));
    // What the client had not yet printed when the connection went is lost.
    assert!(
        (1..300_000).contains(&cut.stdout.len()),
        "{} bytes came through",
        cut.stdout.len()
    );
    let whole = real.ssh(&id, &[], million, Stdio::null()).await;
    assert_eq!(
        (whole.status.code(), whole.stdout.len()),
        (Some(0), 1_000_000)
    );
    real.end().await;
}

async fn a_connection_is_reset_in_the_middle_of_a_transfer(world: Arc<World>) {
    let real = Real::new(&world).await;
    let id = real.launch("", "stop").await;
    real.up(&id).await;
    let file = real.ec2.path().join("upload");
    std::fs::write(&file, vec![7; 1_000_000]).unwrap();
    real.faults(r#"{"ssh_breaks": {"how": "reset", "after_bytes": 300000, "first": 1}}"#);
    let upload = || std::fs::File::open(&file).unwrap().into();
    let cut = real.ssh(&id, &[], "cat > ~/up; sync", upload()).await;
    assert_eq!(cut.status.code(), Some(255));
    let said = String::from_utf8_lossy(&cut.stderr).into_owned();
    assert!(
        said.contains("reset by peer") || said.contains("Broken pipe"),
        "{said}"
    );
    let size = real.ssh(&id, &[], "wc -c < ~/up", Stdio::null()).await;
    let size: u32 = String::from_utf8_lossy(&size.stdout)
        .trim()
        .parse()
        .unwrap();
    // What the server had not yet given to the command when the connection went is lost.
    assert!(size < 300_000, "{size} bytes arrived");
    real.end().await;
}

async fn a_connection_hangs_until_the_client_has_had_enough(world: Arc<World>) {
    let real = Real::new(&world).await;
    let id = real.launch("", "stop").await;
    real.up(&id).await;
    real.faults(r#"{"ssh_breaks": {"how": "hang", "after_bytes": 300000}}"#);
    let patience = [
        "-o",
        "ServerAliveInterval=1",
        "-o",
        "ServerAliveCountMax=2",
        "-o",
        "LogLevel=INFO",
    ];
    let begun = std::time::Instant::now();
    let cut = real
        .ssh(&id, &patience, "head -c 1000000 /dev/zero", Stdio::null())
        .await;
    assert_eq!(cut.status.code(), Some(255));
    assert!(cut.stdout.len() < 300_000);
    let said = String::from_utf8_lossy(&cut.stderr).into_owned();
    assert!(
        said.contains("not responding") && begun.elapsed().as_secs() >= 2,
        "nothing but its own timer told the client: {said}"
    );
    real.end().await;
}

async fn a_guest_without_network_boots_and_gets_no_answer(world: Arc<World>) {
    let real = Real::new(&world).await;
    real.faults(r#"{"instance_boots_without_network": true}"#);
    let id = real.launch("", "stop").await;
    eventually("the boot on the console", || {
        real.console(&id).contains(&format!("instance {id} starts"))
    })
    .await;
    let patience = ["-o", "ConnectTimeout=1"];
    let unheard = real.ssh(&id, &patience, "true", Stdio::null()).await;
    assert_eq!(unheard.status.code(), Some(255));
    let said = String::from_utf8_lossy(&unheard.stderr).into_owned();
    assert!(said.contains("timed out"), "{said}");
    assert!(!real.console(&id).contains("accepting connections"));
    real.ec2
        .ec2("TerminateInstances", &[("InstanceId.1", &id)])
        .ok();
    real.ec2.state(&id, "terminated").await;
    assert!(processes(&id).is_empty());
    real.end().await;
}

async fn a_slow_metadata_service_only_delays_the_boot(world: Arc<World>) {
    let real = Real::new(&world).await;
    real.faults(r#"{"imds_delay_ms": 300}"#);
    let begun = std::time::Instant::now();
    let id = real
        .launch("#cloud-config\nruncmd: ['echo ran > /ran']\n", "stop")
        .await;
    real.up(&id).await;
    assert!(
        begun.elapsed().as_millis() >= 900,
        "a token, the id, the key"
    );
    eventually("the boot ends", || {
        real.console(&id).contains("boot finished")
    })
    .await;
    let ran = real.ssh(&id, &[], "cat /ran", Stdio::null()).await;
    assert_eq!(ran.stdout, b"ran\n");
    real.end().await;
}
