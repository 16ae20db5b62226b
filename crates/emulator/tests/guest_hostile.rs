//! What a guest cannot do to its host: hostile scripts as the guest's root, for both kinds of guests.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test is an edge, and this one prints its own results"
)]

mod guest_support;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use emulator::guest::{GuestExit, GuestMode, StopKind};
use guest_support::{Machine, World, until};
use sha2::{Digest, Sha256};

fn main() -> ExitCode {
    emulator::guest::run_if_guest_process();
    guest_support::main(cases![
        deleting_everything_leaves_the_host_as_it_was,
        overwriting_everything_leaves_the_host_as_it_was,
        kernel_settings_and_triggers_refuse_to_be_written,
        devices_cannot_be_made_or_mounted,
        killing_every_process_spares_process_one_and_the_host,
        process_one_cannot_be_traced_or_looked_into,
        unmounting_everything_shows_nothing_of_the_host,
        a_fork_bomb_ends_by_itself,
        the_base_layer_and_images_are_never_written,
        set_user_id_programs_are_nothing_outside,
    ])
}

/// Files of every kind that a guest sees or might reach for.
fn fingerprint() -> Vec<(PathBuf, String)> {
    let mut files: Vec<PathBuf> = [
        "/etc/hosts",
        "/etc/os-release",
        "/usr/bin/env",
        "/usr/bin/ls",
    ]
    .map(PathBuf::from)
    .to_vec();
    for folder in [
        "/usr/bin",
        "/usr/sbin",
        "/usr/lib",
        "/etc",
        "/var/lib/dpkg",
        "/usr/share",
    ] {
        let mut entries: Vec<_> = std::fs::read_dir(folder)
            .into_iter()
            .flatten()
            .filter_map(|e| e.ok().map(|e| e.path()))
            .collect();
        entries.sort();
        files.extend(entries.into_iter().step_by(7).take(60));
    }
    // Other tests may add users to the host meanwhile; those files are looked at by `root_is_intact`.
    let accounts = ["passwd", "group", "shadow", "gshadow", "subuid", "subgid"];
    files
        .into_iter()
        .filter(|path| {
            !path.file_name().is_some_and(|name| {
                accounts
                    .iter()
                    .any(|a| name.to_string_lossy().starts_with(a))
            })
        })
        .map(|path| {
            use std::os::unix::fs::MetadataExt;
            let metadata = std::fs::symlink_metadata(&path).unwrap();
            let content = if metadata.is_file() {
                std::fs::read(&path)
                    .map(|b| hex::encode(Sha256::digest(b)))
                    .unwrap_or_default()
            } else {
                String::new()
            };
            (
                path,
                format!(
                    "{:o} {} {} {} {content}",
                    metadata.mode(),
                    metadata.uid(),
                    metadata.gid(),
                    metadata.size()
                ),
            )
        })
        .collect()
}

/// The host's account files still begin with root, and belong to it.
fn root_is_intact() -> bool {
    use std::os::unix::fs::MetadataExt;
    ["/etc/passwd", "/etc/group"].iter().all(|path| {
        std::fs::read_to_string(path).is_ok_and(|text| text.starts_with("root:x:0:"))
            && std::fs::metadata(path).is_ok_and(|m| m.uid() == 0 && m.mode() & 0o7777 == 0o644)
    })
}

/// Settings a guest must not change.
fn settings() -> Vec<String> {
    [
        "kernel/core_pattern",
        "kernel/hostname",
        "vm/swappiness",
        "fs/file-max",
        "kernel/sysrq",
        "net/ipv4/ip_forward",
    ]
    .iter()
    .map(|name| std::fs::read_to_string(Path::new("/proc/sys").join(name)).unwrap_or_default())
    .collect()
}

/// Runs a script as root and checks that the host, and the guest's SSH server, are as before.
async fn attack(world: &World, id: &str, script: &str) -> (Machine, String) {
    let before = (fingerprint(), settings());
    assert!(
        before.0.len() > 50 && root_is_intact(),
        "something to compare"
    );
    let mut bystander = tokio::process::Command::new("sleep")
        .arg("600")
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let machine = world.boot(id, &[], b"").await;
    let output = machine.root_script(script).await;
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    let changed: Vec<_> = before
        .0
        .iter()
        .zip(fingerprint())
        .filter(|(old, new)| *old != new)
        .collect();
    assert!(
        changed.is_empty(),
        "the host's files changed: {changed:?}\n{text}"
    );
    assert_eq!(before.1, settings(), "the host's settings changed: {text}");
    assert!(root_is_intact(), "the host's account files changed: {text}");
    assert!(
        bystander.try_wait().unwrap().is_none(),
        "a process of the host died"
    );
    assert!(
        until_connected(&machine).await,
        "the guest's SSH server is gone: {text}"
    );
    (machine, text)
}

/// The SSH server answers with its banner, whatever is left of the guest's system.
async fn until_connected(machine: &Machine) -> bool {
    use tokio::io::AsyncReadExt;
    let Ok(mut stream) = machine.guest.connect_ssh().await else {
        return false;
    };
    let mut banner = [0; 4];
    tokio::time::timeout(guest_support::PATIENCE, stream.read_exact(&mut banner))
        .await
        .is_ok_and(|r| r.is_ok())
        && &banner == b"SSH-"
}

async fn end(machine: &Machine) {
    machine.guest.stop(StopKind::Forced).await.unwrap();
    assert_eq!(until(machine.guest.exited()).await, GuestExit::Stopped);
}

async fn deleting_everything_leaves_the_host_as_it_was(world: Arc<World>) {
    let script = "shred -u /etc/ssh/* 2>/dev/null\n\
        timeout -s KILL 20 rm -rf --no-preserve-root /etc /var /opt /home /root /usr/bin /usr/sbin /usr/libexec /usr/lib /usr 2>/dev/null\n\
        echo /usr/bin/* /etc/*\n";
    let (machine, text) = attack(&world, "i-rm", script).await;
    assert!(
        text.contains("/usr/bin/*"),
        "the script did its work inside: {text}"
    );
    end(&machine).await;
    world
        .host
        .remove_layer(&world.folder.path().join("i-rm"))
        .unwrap();
}

async fn overwriting_everything_leaves_the_host_as_it_was(world: Arc<World>) {
    let script = "for f in /usr/bin/[a-m]* /etc/*; do test -f $f && echo broken > $f; chmod 000 $f; chown 1:1 $f; done 2>/dev/null\n\
        chmod 777 /usr /usr/bin /etc 2>/dev/null; chmod 000 /var; mv /usr/lib/os-release /usr/lib/x; echo done\n";
    let (machine, _) = attack(&world, "i-over", script).await;
    end(&machine).await;
    world
        .host
        .remove_layer(&world.folder.path().join("i-over"))
        .unwrap();
    assert!(
        !guest_support::exists(&world.folder.path().join("i-over")),
        "also folders of mode 000 are removed"
    );
}

async fn kernel_settings_and_triggers_refuse_to_be_written(world: Arc<World>) {
    let script = "for f in sys/kernel/core_pattern sys/kernel/sysrq sys/vm/swappiness sys/vm/drop_caches sys/fs/file-max sys/kernel/modprobe \
        sys/kernel/hotplug sysrq-trigger kcore kmsg; do\n\
        test -e /proc/$f || continue\n\
        (echo '|/bin/false' > /proc/$f) 2>/dev/null && echo \"WRITTEN $f\"\ndone\n\
        mount -o remount,rw /proc/sys 2>/dev/null && echo WRITTEN proc-sys\n\
        for f in $(find /sys -type f -perm -200 2>/dev/null | head -300); do (: > $f) 2>/dev/null && echo \"WRITTEN $f\"; done\n\
        mount -o remount,rw /sys 2>/dev/null; for f in /sys/power/state /sys/module/kernel/parameters/* /sys/class/net/lo/mtu; do\n\
        test -e $f && (echo 1 > $f) 2>/dev/null && test $f != /sys/class/net/lo/mtu && echo \"WRITTEN $f\"; done\n\
        head -c1 /proc/kcore >/dev/null 2>&1 && echo READ kcore\n\
        hostname changed; dd if=/dev/zero of=/proc/self/oom_score_adj 2>/dev/null; echo end\n";
    let (machine, text) = attack(&world, "i-proc", script).await;
    assert!(
        !text.contains("WRITTEN") && !text.contains("READ"),
        "{text}"
    );
    assert!(text.contains("end"), "{text}");
    end(&machine).await;
}

async fn devices_cannot_be_made_or_mounted(world: Arc<World>) {
    let script = "cd /tmp; for d in 'b 254 0' 'b 8 0' 'b 253 0' 'c 1 1' 'c 5 1' 'c 10 237'; do mknod node $d 2>/dev/null && \
        (head -c1 node >/dev/null 2>&1) && echo \"OPENED $d\"; rm -f node; done\n\
        mount -t ext4 /dev/vda /mnt 2>/dev/null && echo OPENED vda\n\
        mount -t devtmpfs none /mnt 2>/dev/null && echo OPENED devtmpfs\n\
        mount -t debugfs none /mnt 2>/dev/null && echo OPENED debugfs\n\
        mount -t securityfs none /mnt 2>/dev/null && echo OPENED securityfs\n\
        mount -t tracefs none /mnt 2>/dev/null && echo OPENED tracefs\n\
        modprobe dummy 2>/dev/null && echo OPENED modprobe\n\
        swapon /dev/vda 2>/dev/null && echo OPENED swap\n\
        ls /dev | tr '\\n' ' '; date -s 2001-01-01 2>/dev/null >&2 && echo OPENED clock; echo end\n";
    let (machine, text) = attack(&world, "i-dev", script).await;
    assert!(!text.contains("OPENED"), "{text}");
    assert!(
        text.contains(
            "console fd full null ptmx pts random shm stderr stdin stdout tty urandom zero"
        ),
        "{text}"
    );
    end(&machine).await;
}

async fn killing_every_process_spares_process_one_and_the_host(world: Arc<World>) {
    let (machine, _) = attack(&world, "i-kill", "kill -9 1; kill -9 -1\n").await;
    assert_eq!(machine.ok("echo alive").await, "alive");
    // Nor does raising every signal against process 1.
    for signal in 1..32 {
        let output = machine.root_script(&format!("kill -{signal} 1\n")).await;
        assert!(output.status.success(), "{output:?}");
        assert_eq!(
            *machine.guest.exited().borrow(),
            None,
            "signal {signal} ended the guest"
        );
    }
    // All at once: handlers would pile up on the signal stack.
    machine
        .root_script("for n in $(seq 50); do for s in $(seq 1 31); do kill -$s 1; done; done\n")
        .await;
    assert_eq!(machine.ok("echo alive").await, "alive");
    end(&machine).await;
}

async fn process_one_cannot_be_traced_or_looked_into(world: Arc<World>) {
    let script = "for f in environ maps mem root cwd fd/0 exe auxv; do (head -c1 /proc/1/$f || ls /proc/1/$f/) >/dev/null 2>&1 && echo \"SEEN $f\"; done\n\
        ls /proc/1/fd >/dev/null 2>&1 && echo SEEN fds\nls /proc/1/root/ >/dev/null 2>&1 && echo SEEN root\n\
        nsenter -t 1 -m true 2>/dev/null && echo SEEN nsenter\necho end\n";
    let (machine, text) = attack(&world, "i-trace", script).await;
    assert!(text.contains("end") && !text.contains("SEEN"), "{text}");
    end(&machine).await;
}

async fn unmounting_everything_shows_nothing_of_the_host(world: Arc<World>) {
    let marker = world.folder.path().join("marker");
    std::fs::write(&marker, "the host's").unwrap();
    let script = format!(
        "cp /usr/bin/umount /usr/bin/find /usr/bin/test /tmp/ 2>/dev/null\n\
         test -e {0} && echo SEEN before\numount -l /dev/pts /dev/shm /dev /sys /run 2>/dev/null\n\
         exec 3</usr; umount -l /usr 2>/dev/null; umount -l / 2>/dev/null; umount -R -l / 2>/dev/null\n\
         [ -e {0} ] && echo SEEN after; [ -e /work ] && echo SEEN work; echo end\n",
        marker.display()
    );
    let (machine, text) = attack(&world, "i-umount", &script).await;
    assert!(text.contains("end") && !text.contains("SEEN"), "{text}");
    end(&machine).await;
}

async fn a_fork_bomb_ends_by_itself(world: Arc<World>) {
    // Each process starts two more until the limit refuses; then all end.
    let script = "bomb() { sleep 0.3 & bomb & bomb & wait; }; timeout -s KILL 8 bash -c \"$(declare -f bomb); bomb\" >/dev/null 2>&1\nkill -9 -1\n";
    let (machine, _) = attack(&world, "i-bomb", script).await;
    end(&machine).await;
    assert!(
        tokio::process::Command::new("true")
            .status()
            .await
            .unwrap()
            .success(),
        "the host can start processes"
    );
}

async fn the_base_layer_and_images_are_never_written(world: Arc<World>) {
    let image = world.folder.path().join("images/hostile");
    let first = world.boot("i-seed", &[], b"").await;
    first
        .ok("sudo sh -c 'echo original > /etc/seed; echo original > /usr/local/seed'")
        .await;
    first.guest.stop(StopKind::Graceful).await.unwrap();
    world
        .host
        .freeze(&world.folder.path().join("i-seed"), &image)
        .unwrap();
    let second = world
        .boot("i-spoil", std::slice::from_ref(&image), b"")
        .await;
    second.ok("sudo sh -c 'echo spoilt > /etc/seed; chmod 000 /usr/local/seed; rm /usr/local/seed; echo x >> /etc/hosts; rm -rf /etc/skel'").await;
    end(&second).await;
    let third = world
        .boot("i-clean", std::slice::from_ref(&image), b"")
        .await;
    assert_eq!(
        third
            .ok("cat /etc/seed /usr/local/seed; test -d /etc/skel; stat -c %a /usr/local/seed")
            .await,
        "original\noriginal\n644"
    );
    end(&third).await;
}

async fn set_user_id_programs_are_nothing_outside(world: Arc<World>) {
    use std::os::unix::fs::MetadataExt;
    if world.host.mode() == GuestMode::Rootless {
        // There the guest's root is the caller, who gains nothing from a file of its own.
        return;
    }
    let (machine, _) = attack(&world, "i-suid", "cp /usr/bin/bash /opt/rootshell; chmod 4755 /opt/rootshell; chown root /opt/rootshell; chmod 4755 /opt/rootshell\n").await;
    let left =
        std::fs::metadata(world.folder.path().join("i-suid/layer/root/opt/rootshell")).unwrap();
    assert!(
        left.uid() >= emulator::guest::FIRST_GUEST_ID,
        "the file belongs to the host's user {}",
        left.uid()
    );
    end(&machine).await;
}
