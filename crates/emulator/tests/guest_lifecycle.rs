//! Guests from their first boot to their image, through the real OpenSSH client.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test is an edge, and this one prints its own results"
)]

mod guest_support;

use std::process::{ExitCode, Stdio};
use std::sync::Arc;

use emulator::guest::{GuestExit, GuestMode, StopKind};
use guest_support::{Machine, PATIENCE, World, eventually, ipv6, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn main() -> ExitCode {
    emulator::guest::run_if_guest_process();
    guest_support::main(cases![
        a_fresh_guest_is_a_small_system,
        commands_end_as_they_do_over_sshd,
        a_round_trip_of_many_bytes_is_whole,
        files_travel_by_sftp_and_scp,
        a_terminal_is_one,
        a_dropped_connection_hangs_up_its_terminal,
        user_data_is_carried_out_in_order,
        ssh_is_refused_until_the_early_stage_is_done,
        injected_host_keys_are_the_only_ones,
        an_image_boots_from_its_chain_of_layers,
        the_hosts_programs_can_be_changed,
        a_package_can_be_installed,
        a_restart_keeps_files_and_runs_scripts_once,
        poweroff_and_reboot_from_inside_are_seen,
        a_reboot_while_connections_come_in_is_one,
        a_scheduled_shutdown_can_be_cancelled,
        a_stubborn_process_does_not_stop_the_stop,
        a_guest_ends_with_its_handle,
        another_user_needs_the_rules_to_become_root,
        garbage_in_user_data_is_said_and_the_guest_comes_up,
    ])
}

async fn stop(machine: &Machine) {
    machine.guest.stop(StopKind::Graceful).await.unwrap();
    assert_eq!(until(machine.guest.exited()).await, GuestExit::Stopped);
}

async fn a_fresh_guest_is_a_small_system(world: Arc<World>) {
    let machine = world.boot("i-fresh", &[], b"").await;
    assert_eq!(
        machine
            .ok("cd; pwd; echo $HOME $LOGNAME; hostname; cat /etc/hostname")
            .await,
        "/home/ec2-user\n/home/ec2-user ec2-user\nip-172-31-7-9\nip-172-31-7-9"
    );
    assert_eq!(machine.ok("sudo -n id -u").await, "0");
    let uid = if world.host.mode() == GuestMode::Root {
        "1000"
    } else {
        "0"
    };
    assert_eq!(machine.ok("id -u").await, uid);
    assert_eq!(
        machine
            .ok("ps -e 2>/dev/null | wc -l > /dev/null; ls -d /proc/[0-9]* | wc -l")
            .await
            .parse::<u32>()
            .unwrap()
            / 10,
        0,
        "only the guest's own processes are seen"
    );
    assert_eq!(machine.ok("exec 3<>/dev/tcp/127.0.0.1/45000; printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; tail -1 <&3").await, "the endpoint");
    assert_eq!(machine.ok("cloud-init status --wait").await, "status: done");
    assert!(
        machine
            .ok("getent hosts $(hostname)")
            .await
            .contains("172.31.7.9")
    );
    if !ipv6().is_empty() {
        let addresses = machine.ok("cat /proc/net/if_inet6").await;
        let own = "fd000ec2000700000000000000000009";
        assert!(addresses.contains(own), "{addresses}");
        assert_eq!(addresses.lines().count(), 2, "loopback and its own");
    }
    for path in [
        "/etc/ssl/private",
        "/root/.cargo",
        "/work",
        "/dev/vda",
        "/dev/sda",
        "/dev/mem",
        "/run/systemd",
        "/run/docker.sock",
    ] {
        assert!(
            !machine
                .run(&format!("test -e {path}"))
                .await
                .status
                .success(),
            "{path} is the host's and must not be seen"
        );
    }
    let shadow = machine.ok("sudo cat /etc/shadow").await;
    assert!(
        shadow
            .lines()
            .all(|line| line.contains(":*:") || line.contains(":!:")),
        "{shadow}"
    );
    stop(&machine).await;
}

async fn commands_end_as_they_do_over_sshd(world: Arc<World>) {
    let machine = world.boot("i-cmds", &[], b"").await;
    assert_eq!(machine.run("exit 42").await.status.code(), Some(42));
    // OpenSSH's client ends with 255 when the command was killed by a signal.
    assert_eq!(machine.run("kill -TERM $$").await.status.code(), Some(255));
    let both = machine.run("echo out; echo err >&2").await;
    assert_eq!(
        (both.stdout.as_slice(), both.stderr.as_slice()),
        (&b"out\n"[..], &b"err\n"[..])
    );
    // The pipes are held by a process in the background; as with sshd, the channel ends with it.
    assert_eq!(
        machine
            .ok("(read -t 0.2 < <(sleep 1); echo late) & echo early")
            .await,
        "early\nlate"
    );
    assert_eq!(
        machine
            .ok("ulimit -S -n >/dev/null; ls /proc/self/fd | tr '\\n' ' '")
            .await,
        "0 1 2 3",
        "no descriptor leaks"
    );
    assert_eq!(
        machine
            .ok("grep -E 'SigBlk|SigIgn' /proc/self/status | tr -d '\\t\\n'")
            .await,
        "SigBlk:0000000000000000SigIgn:0000000000000000"
    );
    assert_eq!(
        machine.ok("umask; trap '' PIPE; yes | head -1").await,
        "0022\ny"
    );
    let environment = machine
        .client("ssh")
        .env("LC_TEST", "kept")
        .env("OTHER", "dropped")
        .args(["-o", "SendEnv=LC_TEST OTHER"])
        .arg("-p")
        .arg(machine.port.to_string())
        .args([
            "ec2-user@127.0.0.1",
            "echo $LC_TEST-$OTHER-${SSH_CONNECTION##* }",
        ])
        .output()
        .await
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&environment.stdout), "kept--22\n");
    let refused = machine
        .ssh_as("nobody-here")
        .arg("true")
        .output()
        .await
        .unwrap();
    assert!(String::from_utf8_lossy(&refused.stderr).contains("Permission denied"));
    let root = machine.ssh_as("root").arg("true").output();
    let root = tokio::time::timeout(PATIENCE, root).await.unwrap().unwrap();
    assert_eq!(root.status.code(), Some(142));
    assert!(
        String::from_utf8_lossy(&root.stdout).contains("Please login as the user \"ec2-user\"")
    );
    stop(&machine).await;
}

async fn a_round_trip_of_many_bytes_is_whole(world: Arc<World>) {
    let machine = world.boot("i-bytes", &[], b"").await;
    let sent: Vec<u8> = (0..24_000_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    let mut child = machine
        .ssh()
        .arg("cat; sleep 0.2; echo end >&2")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut input, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let bytes = sent.clone();
    let writer = tokio::spawn(async move { input.write_all(&bytes).await });
    let mut received = Vec::new();
    tokio::time::timeout(PATIENCE, output.read_to_end(&mut received))
        .await
        .expect("no deadlock")
        .unwrap();
    writer.await.unwrap().unwrap();
    assert!(child.wait_with_output().await.unwrap().status.success());
    assert_eq!(received.len(), sent.len());
    assert!(received == sent, "the bytes differ");
    stop(&machine).await;
}

async fn files_travel_by_sftp_and_scp(world: Arc<World>) {
    let machine = world.boot("i-sftp", &[], b"").await;
    let (sent, received) = (
        world.folder.path().join("sent"),
        world.folder.path().join("received"),
    );
    std::fs::write(&sent, vec![7; 300_000]).unwrap();
    // With -O, scp needs no sftp server, which not every host has.
    let has_sftp = [
        "/usr/lib/openssh/sftp-server",
        "/usr/libexec/openssh/sftp-server",
    ]
    .iter()
    .any(|p| guest_support::exists(p.as_ref()));
    for mode in if has_sftp { &["-s", "-O"][..] } else { &["-O"] } {
        let there = machine
            .client("scp")
            .arg(mode)
            .arg("-P")
            .arg(machine.port.to_string())
            .arg(&sent)
            .arg("ec2-user@127.0.0.1:file")
            .status();
        assert!(there.await.unwrap().success(), "{mode}");
        let back = machine
            .client("scp")
            .arg(mode)
            .arg("-P")
            .arg(machine.port.to_string())
            .arg("ec2-user@127.0.0.1:file")
            .arg(&received)
            .status();
        assert!(back.await.unwrap().success(), "{mode}");
        assert_eq!(std::fs::read(&received).unwrap(), vec![7; 300_000]);
    }
    stop(&machine).await;
}

async fn a_terminal_is_one(world: Arc<World>) {
    let machine = world.boot("i-tty", &[], b"").await;
    let output = machine
        .client("ssh")
        .env("TERM", "xterm-256color")
        .arg("-tt")
        .arg("-p")
        .arg(machine.port.to_string())
        .args([
            "ec2-user@127.0.0.1",
            "tty; echo $TERM; test -t 0 && test -t 1 && echo both; echo err >&2; sudo tty",
        ])
        .output()
        .await
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<_> = text.lines().collect();
    assert!(
        lines[0].starts_with("/dev/pts/") && lines[4] == lines[0],
        "{text}"
    );
    assert_eq!(lines[1..4], ["xterm-256color", "both", "err"]);
    stop(&machine).await;
}

async fn a_dropped_connection_hangs_up_its_terminal(world: Arc<World>) {
    let machine = world.boot("i-hup", &[], b"").await;
    let mut session = machine.ssh_as("ec2-user");
    session.args([
        "-tt",
        "trap 'echo hup > /tmp/seen; exit' HUP; echo ready; while :; do sleep 0.1; done",
    ]);
    let mut session = session
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 5];
    session
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut first)
        .await
        .unwrap();
    assert_eq!(&first, b"ready");
    session.kill().await.unwrap();
    assert_eq!(
        machine
            .ok(
                "for i in $(seq 100); do test -s /tmp/seen && break; sleep 0.1; done; cat /tmp/seen"
            )
            .await,
        "hup"
    );
    stop(&machine).await;
}

const MULTIPART: &str = "Content-Type: multipart/mixed; boundary=\"==x==\"\nMIME-Version: 1.0\n\n\
--==x==\nContent-Type: text/cloud-boothook\n\n#cloud-boothook\n#!/bin/sh\necho \"hook $INSTANCE_ID\" >> /order\necho hook on the console > /dev/console\n\
--==x==\nContent-Type: text/cloud-config\n\n#cloud-config\n\
bootcmd:\n- echo bootcmd >> /order\n- [sh, -c, 'test ! -d /home/ann && echo no-users-yet >> /order']\n\
write_files:\n- {path: /etc/app/conf, permissions: '0640', content: 'a: b', owner: 'root:root'}\n\
- {path: /etc/app/packed, encoding: b64, content: aGVsbG8=, permissions: '0755'}\n\
- {path: /etc/app/conf, append: true, permissions: '0640', content: 'c'}\n\
users:\n- default\n- {name: ann, groups: [adm, blue], shell: /bin/sh, ssh_authorized_keys: ['ssh-ed25519 AAAA ann']}\n\
packages: [vim]\n\
runcmd:\n- echo runcmd >> /order\n- [printf, '%s\\n', \"it's a word\"]\n\
--==x==\nContent-Type: text/x-shellscript\n\n#!/bin/sh\necho \"script $(pwd)\" >> /order\necho to the log\nexit 3\n\
--==x==--\n";

async fn user_data_is_carried_out_in_order(world: Arc<World>) {
    use std::io::Write;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(MULTIPART.as_bytes()).unwrap();
    let machine = world.boot("i-data", &[], &gzip.finish().unwrap()).await;
    let status = machine.run("cloud-init status --wait --long").await;
    assert_eq!(
        status.status.code(),
        Some(1),
        "the script's exit code 3 is an error"
    );
    assert!(
        String::from_utf8_lossy(&status.stdout).contains("part-003: exit code 3"),
        "{status:?}"
    );
    assert_eq!(
        machine.ok("cat /order").await,
        "hook i-data\nbootcmd\nno-users-yet\nscript /\nruncmd"
    );
    assert_eq!(machine.ok("sudo cat /etc/app/conf; cat /etc/app/packed; stat -c %a /etc/app/conf /etc/app/packed").await, "a: bchello640\n755");
    assert_eq!(
        machine
            .ok(
                "id -Gn ann | tr ' ' '\\n' | sort | tr '\\n' ' '; getent passwd ann | cut -d: -f6,7"
            )
            .await,
        "adm ann blue /home/ann:/bin/sh"
    );
    assert_eq!(machine.ok("sudo cat /home/ann/.ssh/authorized_keys; sudo stat -c '%a' /home/ann/.ssh/authorized_keys").await, "ssh-ed25519 AAAA ann\n600");
    let log = machine.ok("sudo cat /var/log/cloud-init-output.log").await;
    assert!(
        log.contains("to the log") && log.contains("it's a word"),
        "{log}"
    );
    assert_eq!(machine.ok("sudo readlink /var/lib/cloud/instance; sudo ls /var/lib/cloud/instance/boot-finished").await,
        "/var/lib/cloud/instances/i-data\n/var/lib/cloud/instance/boot-finished");
    let console = machine.console_text();
    for line in [
        "key `packages` is not carried out",
        "hook on the console",
        "to the log",
        "-----BEGIN SSH HOST KEY FINGERPRINTS-----",
    ] {
        assert!(
            console.contains(line),
            "`{line}` is missing on the console:\n{console}"
        );
    }
    let scanned = machine
        .client("ssh-keyscan")
        .arg("-p")
        .arg(machine.port.to_string())
        .arg("127.0.0.1")
        .output()
        .await;
    drop(scanned);
    let requests = machine.imds.requests.lock().unwrap().clone();
    assert_eq!(
        requests[0], "PUT /latest/api/token",
        "IMDSv2 only: {requests:?}"
    );
    stop(&machine).await;
}

async fn ssh_is_refused_until_the_early_stage_is_done(world: Arc<World>) {
    let hook =
        b"#cloud-boothook\n#!/bin/bash\nuntil test -e /go; do read -t 0.05 < <(sleep 1); done\n";
    let machine = world.start(world.spec("i-early", &[]), hook).await;
    eventually("the boothook runs", || {
        machine
            .imds
            .requests
            .lock()
            .unwrap()
            .iter()
            .any(|r| r.ends_with("user-data"))
    })
    .await;
    let refused = machine.guest.connect_ssh().await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    machine.guest.stop(StopKind::Forced).await.unwrap();
    assert_eq!(until(machine.guest.exited()).await, GuestExit::Stopped);
    assert_eq!(
        machine.guest.connect_ssh().await.unwrap_err().kind(),
        std::io::ErrorKind::ConnectionRefused
    );
}

async fn injected_host_keys_are_the_only_ones(world: Arc<World>) {
    let key = world.folder.path().join("host-key");
    let made = std::process::Command::new("ssh-keygen")
        .args(["-q", "-t", "ecdsa", "-b", "256", "-N", "", "-f"])
        .arg(&key)
        .status()
        .unwrap();
    assert!(made.success());
    let private = std::fs::read_to_string(&key)
        .unwrap()
        .lines()
        .map(|line| format!("    {line}\n"))
        .collect::<String>();
    let public = std::fs::read_to_string(key.with_extension("pub")).unwrap();
    let data = format!(
        "#cloud-config\nssh_keys:\n  ecdsa_private: |\n{private}  ecdsa_public: {public}\n"
    );
    let machine = world.boot("i-keys", &[], data.as_bytes()).await;
    let known = world.folder.path().join("known");
    std::fs::write(&known, format!("[127.0.0.1]:{} {public}", machine.port)).unwrap();
    let strict = |known: &std::path::Path| {
        let mut command = tokio::process::Command::new("ssh");
        command
            .args([
                "-F",
                "none",
                "-o",
                "BatchMode=yes",
                "-o",
                "StrictHostKeyChecking=yes",
                "-i",
            ])
            .arg(&machine.key);
        command
            .arg("-o")
            .arg(format!("UserKnownHostsFile={}", known.display()))
            .stdin(Stdio::null());
        command
            .arg("-p")
            .arg(machine.port.to_string())
            .args(["ec2-user@127.0.0.1", "ls /etc/ssh/ssh_host_*"]);
        command
    };
    let listed = strict(&known).output().await.unwrap();
    assert_eq!(
        String::from_utf8_lossy(&listed.stdout),
        "/etc/ssh/ssh_host_ecdsa_key\n/etc/ssh/ssh_host_ecdsa_key.pub\n",
        "{listed:?}"
    );
    let other = world.folder.path().join("other");
    std::fs::write(
        &other,
        format!("[127.0.0.1]:{} {}", machine.port, world.public_key),
    )
    .unwrap();
    assert_eq!(
        strict(&other).output().await.unwrap().status.code(),
        Some(255)
    );
    assert_eq!(
        machine
            .ok("sudo stat -c %a /etc/ssh/ssh_host_ecdsa_key")
            .await,
        "600"
    );
    stop(&machine).await;
}

async fn an_image_boots_from_its_chain_of_layers(world: Arc<World>) {
    let (first, second) = (
        world.folder.path().join("images/first"),
        world.folder.path().join("images/second"),
    );
    let builder = world.boot("i-builder", &[], b"").await;
    builder.ok("sudo sh -c 'echo one > /etc/one; mkdir /opt/app; echo app > /opt/app/file; rm /etc/skel/.bashrc; echo tool > /usr/local/bin/mine; rm -r /usr/share/doc'").await;
    let key = builder.ok("cat /etc/ssh/ssh_host_ed25519_key.pub").await;
    stop(&builder).await;
    world
        .host
        .freeze(&world.folder.path().join("i-builder"), &first)
        .unwrap();
    assert!(
        world
            .host
            .freeze(&world.folder.path().join("i-builder"), &first)
            .is_err(),
        "an image is never overwritten"
    );

    let next = world
        .boot("i-next", std::slice::from_ref(&first), b"")
        .await;
    assert_eq!(next.ok("cat /etc/one /opt/app/file /usr/local/bin/mine; ls -A /usr/share/doc /etc/skel/.bashrc 2>&1 | grep -c 'No such'").await, "one\napp\ntool\n2");
    assert_ne!(
        next.ok("cat /etc/ssh/ssh_host_ed25519_key.pub").await,
        key,
        "a new instance makes its own host keys"
    );
    assert_eq!(
        next.ok("sudo readlink /var/lib/cloud/instance").await,
        "/var/lib/cloud/instances/i-next"
    );
    next.ok("sudo sh -c 'echo two > /etc/two; rm -r /opt/app; mkdir /opt/app; echo again > /opt/app/other; rm /etc/one'").await;
    stop(&next).await;
    world
        .host
        .freeze(&world.folder.path().join("i-next"), &second)
        .unwrap();

    let chain = [second.clone(), first.clone()];
    let last = world.boot("i-last", &chain, b"").await;
    assert_eq!(
        last.ok("cat /etc/two; ls /opt/app; test -e /etc/one || echo gone")
            .await,
        "two\nother\ngone"
    );
    stop(&last).await;
    // The instance an image was made from goes on with it.
    let again = world
        .boot("i-builder", std::slice::from_ref(&first), b"")
        .await;
    assert_eq!(
        again
            .ok("cat /etc/one; cat /etc/ssh/ssh_host_ed25519_key.pub")
            .await,
        format!("one\n{key}")
    );
    stop(&again).await;
    for image in [&first, &second] {
        world.host.remove_layer(image).unwrap();
        assert!(!guest_support::exists(image));
    }
    world.host.remove_layer(&first).unwrap();
}

async fn the_hosts_programs_can_be_changed(world: Arc<World>) {
    let machine = world.boot("i-usr", &[], b"").await;
    let before = std::fs::read("/usr/bin/env").unwrap();
    machine.ok("sudo sh -c 'mv /usr/bin/env /usr/bin/env2 2>/dev/null || cp /usr/bin/env /usr/bin/env2; rm -f /usr/bin/env; printf \"#!/bin/sh\\necho mine\\n\" > /usr/bin/env; chmod 755 /usr/bin/env'").await;
    assert_eq!(machine.ok("env").await, "mine");
    assert!(machine.ok("env2").await.contains("HOME="));
    if world.host.mode() == GuestMode::Root {
        machine.ok("sudo sh -c 'echo appended >> /usr/share/common-licenses/GPL-2 2>/dev/null || echo appended >> /usr/lib/os-release; chown 1000:1000 /usr/bin/ls; chmod u+s /usr/bin/id; chown root /usr/bin/id; chmod 4755 /usr/bin/id'").await;
        assert_eq!(
            machine.ok("stat -c %u /usr/bin/ls; /usr/bin/id -un").await,
            "1000\nroot"
        );
    }
    assert_eq!(std::fs::read("/usr/bin/env").unwrap(), before);
    stop(&machine).await;
}

async fn a_package_can_be_installed(world: Arc<World>) {
    if world.host.mode() == GuestMode::Rootless
        || !std::path::Path::new("/usr/bin/dpkg-deb").exists()
    {
        // dpkg changes owners, which a rootless guest cannot; other package managers need the network.
        return;
    }
    let machine = world.boot("i-dpkg", &[], b"").await;
    let script = "set -e\ncd /tmp; mkdir -p p/DEBIAN p/usr/bin p/etc/demo\nprintf 'Package: demo\\nVersion: 1\\nArchitecture: all\\nMaintainer: x <x@example.com>\\nDescription: d\\n' > p/DEBIAN/control\n\
        printf '#!/bin/sh\\nadduser --system demo-user >/dev/null 2>&1 || useradd -r demo-user\\n' > p/DEBIAN/postinst; chmod 755 p/DEBIAN/postinst\n\
        printf '#!/bin/sh\\necho demo\\n' > p/usr/bin/demo; chmod 755 p/usr/bin/demo; echo c > p/etc/demo/c\n\
        dpkg-deb -b --root-owner-group p demo.deb >/dev/null; dpkg -i demo.deb >/dev/null; demo; dpkg -s demo | grep Status; getent passwd demo-user | cut -d: -f1\n";
    let output = machine.root_script(script).await;
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "demo\nStatus: install ok installed\ndemo-user\n",
        "{output:?}"
    );
    assert!(!guest_support::exists(std::path::Path::new(
        "/usr/bin/demo"
    )));
    stop(&machine).await;
}

async fn a_restart_keeps_files_and_runs_scripts_once(world: Arc<World>) {
    let data = b"#cloud-config\nbootcmd: ['echo boot >> /boots']\nruncmd: ['echo run >> /runs']\n";
    let machine = world.boot("i-restart", &[], data).await;
    machine
        .ok("cloud-init status --wait; echo kept > ~/file")
        .await;
    let key = machine.ok("cat /etc/ssh/ssh_host_ecdsa_key.pub").await;
    stop(&machine).await;
    let machine = world.boot("i-restart", &[], data).await;
    machine.ok("cloud-init status --wait").await;
    assert_eq!(
        machine.ok("cat ~/file /boots /runs").await,
        "kept\nboot\nboot\nrun"
    );
    assert_eq!(machine.ok("cat /etc/ssh/ssh_host_ecdsa_key.pub").await, key);
    stop(&machine).await;
}

async fn poweroff_and_reboot_from_inside_are_seen(world: Arc<World>) {
    for (command, exit) in [
        ("sudo shutdown -h now", GuestExit::ShutDownFromInside),
        ("sudo poweroff", GuestExit::ShutDownFromInside),
        ("sudo halt -f", GuestExit::ShutDownFromInside),
        ("sudo reboot", GuestExit::RebootFromInside),
        ("sudo shutdown -r +0", GuestExit::RebootFromInside),
    ] {
        let machine = world.boot("i-power", &[], b"").await;
        machine.run(command).await;
        assert_eq!(until(machine.guest.exited()).await, exit, "{command}");
    }
    if world.host.mode() == GuestMode::Root {
        let machine = world.boot("i-power", &[], b"").await;
        assert_eq!(
            machine.run("poweroff").await.status.code(),
            Some(1),
            "only root may"
        );
        stop(&machine).await;
    }
}

/// Who waits for the reboot tries to connect all the time, also when process 1 no longer looks at what it is told.
async fn a_reboot_while_connections_come_in_is_one(world: Arc<World>) {
    let machine = world.boot("i-knocked", &[], b"").await;
    let knocking = async {
        let mut pace = tokio::time::interval(std::time::Duration::from_millis(1));
        loop {
            pace.tick().await;
            // Refused or closed is as good: what counts is that the guest was told.
            drop(machine.guest.connect_ssh().await);
        }
    };
    tokio::select! {
        never = knocking => never,
        (_, exit) = async {
            tokio::join!(machine.run("sudo -n reboot"), until(machine.guest.exited()))
        } => assert_eq!(exit, GuestExit::RebootFromInside),
    }
}

async fn a_scheduled_shutdown_can_be_cancelled(world: Arc<World>) {
    let machine = world.boot("i-later", &[], b"").await;
    machine.ok("sudo shutdown -h +5").await;
    let waiter = machine.ok("cat /run/shutdown.pid").await;
    machine.ok(&format!("test -d /proc/{waiter}")).await;
    machine.ok("sudo shutdown -c").await;
    machine
        .ok(&format!(
            "for i in $(seq 100); do test -d /proc/{waiter} || exit 0; sleep 0.1; done; exit 1"
        ))
        .await;
    stop(&machine).await;
}

async fn a_stubborn_process_does_not_stop_the_stop(world: Arc<World>) {
    let machine = world.boot("i-stubborn", &[], b"").await;
    machine
        .ok("nohup sh -c 'trap \"\" TERM HUP; while :; do sleep 1; done' >/dev/null 2>&1 & echo")
        .await;
    stop(&machine).await;
}

async fn a_guest_ends_with_its_handle(world: Arc<World>) {
    let spec = world.spec("i-drop", &[]);
    let guest = world.host.start(spec).await.unwrap();
    let (pid, exited) = (guest.pid(), guest.exited());
    assert!(guest_support::exists(&std::path::PathBuf::from(format!(
        "/proc/{pid}"
    ))));
    drop(guest);
    assert_eq!(until(exited).await, GuestExit::Stopped);
    eventually("process 1 is gone", || {
        !guest_support::exists(&std::path::PathBuf::from(format!("/proc/{pid}")))
    })
    .await;
}

async fn another_user_needs_the_rules_to_become_root(world: Arc<World>) {
    if world.host.mode() == GuestMode::Rootless {
        return;
    }
    let data = b"#cloud-config\nusers: [default, {name: ann}, {name: bob, sudo: 'ALL=(ALL) NOPASSWD:ALL'}]\n";
    let machine = world.boot("i-sudo", &[], data).await;
    assert_eq!(
        machine
            .ok("sudo -u ann -i pwd; sudo -u ann sh -c 'echo $HOME $USER $SUDO_USER'")
            .await,
        "/home/ann\n/home/ann ann ec2-user"
    );
    let refused = machine.run("sudo -u ann sudo -n id -u").await;
    assert_ne!(refused.status.code(), Some(0));
    assert_eq!(
        machine
            .ok(
                "sudo -u bob sudo -n id -u; A=1 sudo -E sh -c 'echo $A'; sudo B=2 sh -c 'echo $B$A'"
            )
            .await,
        "0\n1\n2"
    );
    // The local EC2's own sudo, whether or not the host has one.
    let ours = |arguments: &str| format!("exec -a sudo /usr/lib/qib-guest/tool {arguments}");
    assert_eq!(machine.ok(&ours("-n -E -H id -u")).await, "0");
    assert_eq!(
        machine
            .ok(&ours("-u ann -i -- sh -c 'pwd; id -un; echo $HOME'"))
            .await,
        "/home/ann\nann\n/home/ann"
    );
    assert_eq!(
        machine
            .ok(&ours("A=1 sh -c 'echo $A $USER $SUDO_USER $HOME'"))
            .await,
        "1 root ec2-user /root"
    );
    let refused = machine
        .run(&format!("sudo -u ann bash -c \"{}\"", ours("-n id")))
        .await;
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let escalation = machine
        .run("exec -a qib-guest /usr/lib/qib-guest/tool; exit 0")
        .await;
    assert!(
        String::from_utf8_lossy(&escalation.stderr).contains("not one of its names"),
        "{escalation:?}"
    );
    stop(&machine).await;
}

async fn garbage_in_user_data_is_said_and_the_guest_comes_up(world: Arc<World>) {
    for (id, data, said) in [
        ("i-bad1", &b"\x1f\x8b\x08broken"[..], "user-data: "),
        (
            "i-bad2",
            b"#cloud-config\nwrite_files: [\n",
            "cloud-config part-001: ",
        ),
        (
            "i-bad3",
            b"#cloud-config\nusers: [{name: 'a:b'}]\n",
            "cannot be a user",
        ),
        ("i-bad4", b"#!/no/such/interpreter\n", "script "),
    ] {
        let machine = world.boot(id, &[], data).await;
        eventually("the boot ends", || {
            machine.console_text().contains("boot finished")
        })
        .await;
        let console = machine.console_text();
        assert!(console.contains(said), "`{said}` is missing:\n{console}");
        stop(&machine).await;
    }
}
