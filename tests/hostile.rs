//! Hostile provisioners: whatever a guest does, the host is as it was.
#![allow(
    clippy::disallowed_methods,
    reason = "an edge: it starts a process to see that it lives on"
)]

use end_to_end::{Config, LocalEc2, OneStage};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Folders of the host whose files a guest sees, or must not see.
const WATCHED: &[&str] = &[
    "/etc",
    "/etc/ssh",
    "/usr",
    "/usr/bin",
    "/usr/sbin",
    "/bin",
    "/boot",
    "/opt",
    "/srv",
    "/root",
];

/// Settings of the host's kernel.
const SETTINGS: &[&str] = &[
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/sysrq",
    "/proc/sys/kernel/hostname",
    "/proc/sys/vm/drop_caches",
];

/// Inode, mode, owner, group, size, and time of the last change of content.
type Seen = (u64, u32, u32, u32, u64, i64, i64);

/// What the host looks like: enough of each file to see that it was written, replaced, given away or removed.
#[derive(Debug, PartialEq, Eq)]
struct Host {
    files: BTreeMap<String, Seen>,
    settings: BTreeMap<String, String>,
    mounts: Vec<String>,
}

impl Host {
    fn now() -> Self {
        let mut files = BTreeMap::new();
        for folder in WATCHED {
            // A user sees less than root; what he sees must stay as it is.
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                if let Ok(of) = fs::symlink_metadata(entry.path()) {
                    let seen = (
                        of.ino(),
                        of.mode(),
                        of.uid(),
                        of.gid(),
                        of.len(),
                        of.mtime(),
                        of.mtime_nsec(),
                    );
                    files.insert(entry.path().display().to_string(), seen);
                }
            }
        }
        let read = |path: &&str| {
            fs::read_to_string(path)
                .ok()
                .map(|text| ((*path).to_owned(), text))
        };
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let mounts = mounts
            .lines()
            .filter(|line| !line.contains("qib-e2e-"))
            .map(str::to_owned)
            .collect();
        Self {
            files,
            settings: SETTINGS.iter().filter_map(read).collect(),
            mounts,
        }
    }
}

/// A process of the same user as qib: `kill -9 -1` in a guest must not reach it.
struct Canary(Child);

impl Canary {
    fn start() -> Self {
        let mut sleep = Command::new("sleep");
        sleep
            .arg("600")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Self(sleep.spawn().expect("sleep starts"))
    }

    #[track_caller]
    fn assert_alive(&mut self, after: &str) {
        let ended = self.0.try_wait().expect("it is a child");
        assert!(
            ended.is_none(),
            "a process of the host was ended by: {after}"
        );
    }
}

impl Drop for Canary {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// What hostile provisioners do, one run each, as root of the guest.
const DEEDS: &[&str] = &[
    "shred -uf /etc/ssh/* ; rm -rf --no-preserve-root /usr /etc /bin /lib /opt /srv /root /home",
    "mount -t tmpfs none /usr ; mount -o remount,rw / ; umount -l /proc ; mount --bind /tmp /etc ; mount -t proc none /mnt",
    "kill -9 -1",
    "echo b > /proc/sysrq-trigger ; echo '|/tmp/evil' > /proc/sys/kernel/core_pattern ; echo evil > /proc/sys/kernel/hostname",
    "hostname evil ; chown -R 0:0 /etc /usr/bin ; chmod -R 777 /etc /usr/bin ; touch /etc/passwd /usr/bin/env",
    "for d in /dev/vda /dev/sda /dev/nvme0n1 /dev/mem /dev/kmem ; do echo evil > $d ; done ; mknod /tmp/disk b 254 0 && dd if=/dev/zero of=/tmp/disk count=1",
    "cat /proc/1/root/etc/shadow ; ls /proc/1/root/root ; cd /proc/1/cwd && rm -rf ../../../../etc ; reboot -f ; poweroff -f",
    "mkdir /tmp/x ; cd /tmp/x ; i=0 ; while [ $i -lt 64 ] ; do mkdir y ; cd y ; i=$((i+1)) ; done ; chroot . /bin/sh -c true ; rm -rf /proc/*/root/etc",
];

#[test]
fn the_host_is_as_it_was_after_each_deed() {
    let ec2 = LocalEc2::new(Config::QUICK);
    ec2.qib(["local", "up"]).exits(0);
    let secret = ec2.write("home/secret.txt", "of the host");
    let before = Host::now();
    let mut canary = Canary::start();
    for deed in DEEDS {
        let script = ec2.write(
            "work/deed.sh",
            format!("#!/bin/sh\n{deed}\necho survived\n"),
        );
        let provision = r#"[{ run: { name: deed, become: root, errexit: false, script: deed.sh, timeout: 60s } }]"#;
        let file = ec2.pipeline(
            OneStage {
                provision,
                more: "    cache: false",
                ..OneStage::default()
            }
            .text(),
        );
        let ended = ec2.run(&file);
        // A guest that has destroyed itself fails its run; one that could not, may pass. Both are fine.
        assert!(matches!(ended.code, Some(0 | 1)), "after {deed}{ended}");
        assert!(
            !ended.events_of("provisioner-started").is_empty(),
            "the deed was never tried{ended}"
        );
        canary.assert_alive(deed);
        assert_eq!(Host::now(), before, "the host changed after {deed}{ended}");
        assert_eq!(
            fs::read_to_string(&secret).expect("it is there"),
            "of the host",
            "after {deed}{ended}"
        );
        assert!(script.exists(), "after {deed}{ended}");
    }
    assert_eq!(
        ec2.qib(["local", "status", "--json"]).json()["running"],
        true,
        "the local EC2 itself lives on"
    );
}

#[test]
fn a_guest_sees_no_process_device_secret_or_socket_of_the_host() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let look = "#!/bin/sh\n\
        echo processes: $(ls /proc | grep -c '^[0-9]')\n\
        echo disks: $(find /dev -type b 2>/dev/null | wc -l)\n\
        echo sockets: $(find / -xdev -type s 2>/dev/null | grep -vc /dev/log)\n\
        cat /etc/shadow | grep '^root:' | cut -d: -f2 | sed 's/^/shadow: /'\n\
        ls -A /root | sed 's/^/root: /'\n\
        ls /home | sed 's/^/home: /'\n\
        ls /etc/ssh/ | grep '^ssh_host' | sed 's/^/hostkey: /'\n\
        ip -o addr 2>/dev/null | grep -c 127 | sed 's/^/loopback: /'\n\
        exit 0\n";
    ec2.write("work/look.sh", look);
    let provision = "[{ run: { name: look, become: root, errexit: false, script: look.sh } }]";
    let file = ec2.pipeline(
        OneStage {
            provision,
            ..OneStage::default()
        }
        .text(),
    );
    let ended = ec2.run(&file).exits(0);
    let lines: Vec<String> = ended
        .events_of("output")
        .iter()
        .map(|event| event["line"].as_str().unwrap_or_default().to_owned())
        .collect();
    let number = |key: &str| -> usize {
        let found = lines
            .iter()
            .find_map(|line| line.strip_prefix(&format!("{key}: ")));
        found
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or_else(|| panic!("no {key}{ended}"))
    };
    assert!(number("processes") < 30, "host processes are seen{ended}");
    assert_eq!(number("disks"), 0, "{ended}");
    // The host's password hashes, if it has any, are not in the guest.
    let host_shadow = fs::read_to_string("/etc/shadow").unwrap_or_default();
    for hash in host_shadow
        .lines()
        .filter_map(|line| line.split(':').nth(1))
        .filter(|hash| hash.len() > 10)
    {
        assert!(
            !ended.stdout.contains(hash),
            "a password hash of the host is in the guest"
        );
    }
    // Nor are the names in root's home and in /home.
    for folder in ["/root", "/home"] {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let key = folder.trim_start_matches('/');
            let stock = [".bashrc", ".profile", ".ssh", ".bash_logout", "ec2-user"]
                .contains(&name.as_str());
            let shown = lines.iter().any(|line| *line == format!("{key}: {name}"));
            assert!(
                stock || !shown,
                "{folder}/{name} of the host is seen{ended}"
            );
        }
    }
    assert!(Path::new("/etc/passwd").exists());
}
