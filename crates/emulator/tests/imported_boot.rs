//! Guests made of disks that were written by blocks, with the real program and real guests.
//!
//! The disks are made here by `mke2fs` and `sfdisk`; without them these tests say so and do nothing.

// A test is an edge.
#![allow(clippy::disallowed_methods, clippy::print_stderr)]

mod support;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use emulator::api::protocol::HttpRequest;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use support::Credentials;

const PROGRAM: &str = env!("CARGO_BIN_EXE_local-ec2");
const BLOCK: usize = emulator::blocks::BLOCK_SIZE;
const PATIENCE: Duration = Duration::from_secs(60);

struct Local {
    dir: tempfile::TempDir,
    at: String,
    key: Credentials,
}

impl Local {
    /// A running one; nothing where this host cannot run guests or make disks.
    fn new() -> Option<Self> {
        for tool in ["mke2fs", "sfdisk"] {
            if tool_of(tool).is_none() {
                eprintln!("SKIPPED: there is no {tool}; Debian has it in e2fsprogs and fdisk");
                return None;
            }
        }
        let probe = Command::new(PROGRAM).arg("probe").output().unwrap();
        if !probe.status.success() {
            eprintln!("SKIPPED: {}", String::from_utf8_lossy(&probe.stderr).trim());
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let up = Command::new(PROGRAM)
            .args(["up", "--delays", "none", "--no-firewall", "--dir"])
            .arg(dir.path())
            .output()
            .unwrap();
        assert!(
            up.status.success(),
            "{}",
            String::from_utf8_lossy(&up.stderr)
        );
        let status: Value = serde_json::from_slice(&up.stdout).unwrap();
        let text = |name: &str| status[name].as_str().unwrap().to_owned();
        Some(Self {
            at: text("endpoint").trim_start_matches("http://").to_owned(),
            key: Credentials {
                access_key: text("access_key_id"),
                secret: text("secret_access_key"),
                token: None,
            },
            dir,
        })
    }

    fn send(
        &self,
        service: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> (u16, String) {
        let mut all = vec![("host".to_owned(), self.at.clone())];
        let own = headers.iter();
        all.extend(own.map(|(n, v)| ((*n).to_owned(), (*v).to_owned())));
        let mut request = HttpRequest {
            method: method.to_owned(),
            path: path.to_owned(),
            query: String::new(),
            headers: all,
            body: body.to_vec(),
        };
        self.key
            .sign(&mut request, "us-east-2", service, jiff::Timestamp::now());
        let mut stream = TcpStream::connect(&self.at).unwrap();
        let headers: String = request
            .headers
            .iter()
            .map(|(n, v)| format!("{n}: {v}\r\n"))
            .collect();
        let length = body.len();
        write!(stream, "{method} {path} HTTP/1.1\r\n{headers}connection: close\r\ncontent-length: {length}\r\n\r\n").unwrap();
        stream.write_all(body).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (
            head.split(' ').nth(1).unwrap().parse().unwrap(),
            body.to_owned(),
        )
    }

    fn ec2(&self, action: &str, parameters: &[(&str, &str)]) -> support::Answer {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("Action", action)
            .append_pair("Version", "2016-11-15")
            .extend_pairs(parameters);
        let kind = [("content-type", "application/x-www-form-urlencoded")];
        let (status, body) = self.send("ec2", "POST", "/", &kind, form.finish().as_bytes());
        support::Answer { status, body }
    }

    /// A snapshot with these bytes; all its blocks are put.
    fn snapshot(&self, disk: &[u8]) -> String {
        let (status, body) = self.send("ebs", "POST", "/snapshots", &[], br#"{"VolumeSize":1}"#);
        assert_eq!(status, 201, "{body}");
        let answer: Value = serde_json::from_str(&body).unwrap();
        let id = answer["SnapshotId"].as_str().unwrap().to_owned();
        for (index, bytes) in disk.chunks(BLOCK).enumerate() {
            let mut block = bytes.to_vec();
            block.resize(BLOCK, 0);
            let sum = BASE64_STANDARD.encode(Sha256::digest(&block));
            let headers = [
                ("x-amz-data-length", "524288"),
                ("x-amz-checksum", sum.as_str()),
                ("x-amz-checksum-algorithm", "SHA256"),
                ("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
            ];
            let path = format!("/snapshots/{id}/blocks/{index}");
            let (status, body) = self.send("ebs", "PUT", &path, &headers, &block);
            assert_eq!(status, 201, "{body}");
        }
        let count = disk.chunks(BLOCK).count().to_string();
        let path = format!("/snapshots/completion/{id}");
        let count = [("x-amz-changedblockscount", count.as_str())];
        let (status, body) = self.send("ebs", "POST", &path, &count, b"");
        assert_eq!(status, 202, "{body}");
        id
    }

    fn image(&self, name: &str, snapshot: &str) -> String {
        let parameters = [
            ("Name", name),
            ("Architecture", "x86_64"),
            ("VirtualizationType", "hvm"),
            ("EnaSupport", "true"),
            ("RootDeviceName", "/dev/sda1"),
            ("BlockDeviceMapping.1.DeviceName", "/dev/sda1"),
            ("BlockDeviceMapping.1.Ebs.SnapshotId", snapshot),
        ];
        let made = self.ec2("RegisterImage", &parameters).ok();
        made.text("imageId").unwrap()
    }

    fn run(&self, image: &str, more: &[(&str, &str)]) -> support::Answer {
        let mut parameters = vec![
            ("ImageId", image),
            ("InstanceType", "m5.large"),
            ("MinCount", "1"),
            ("MaxCount", "1"),
        ];
        parameters.extend(more);
        self.ec2("RunInstances", &parameters)
    }

    /// The console, once it has this line.
    fn console_with(&self, instance: &str, line: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let output = self
                .ec2("GetConsoleOutput", &[("InstanceId", instance)])
                .ok();
            let text = output.text("output").unwrap_or_default();
            let text: String = text.split_whitespace().collect();
            let text = String::from_utf8_lossy(&BASE64_STANDARD.decode(text).unwrap()).into_owned();
            if text.contains(line) {
                return text;
            }
            assert!(Instant::now() < deadline, "no {line:?} in:\n{text}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn until(
        &self,
        action: &str,
        parameters: &[(&str, &str)],
        wished: impl Fn(&support::Answer) -> bool,
    ) {
        let deadline = Instant::now() + PATIENCE;
        while !wished(&self.ec2(action, parameters).ok()) {
            assert!(Instant::now() < deadline, "{action} never came to it");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        let reset = Command::new(PROGRAM)
            .args(["reset", "--dir"])
            .arg(self.dir.path())
            .output()
            .unwrap();
        assert!(reset.status.success());
    }
}

fn tool_of(name: &str) -> Option<PathBuf> {
    ["/usr/sbin", "/sbin", "/usr/bin"]
        .map(|dir| Path::new(dir).join(name))
        .into_iter()
        .find(|path| path.exists())
}

/// An ext4 file system of 32 MiB with the content of a folder.
fn ext4(folder: &Path) -> Vec<u8> {
    let file = tempfile::NamedTempFile::new().unwrap();
    let made = Command::new(tool_of("mke2fs").unwrap())
        .args(["-q", "-F", "-t", "ext4", "-d"])
        .arg(folder)
        .arg(file.path())
        .arg("32M")
        .output()
        .unwrap();
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    std::fs::read(file.path()).unwrap()
}

/// A disk of 40 MiB with a partition table of a kind, and a file system in the partition at 4 MiB.
fn partitioned(kind: &str, content: &[u8]) -> Vec<u8> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let mut disk = vec![0; 40 << 20];
    file.write_all(&disk).unwrap();
    let mut made = Command::new(tool_of("sfdisk").unwrap())
        .arg("-q")
        .arg(file.path())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let table = format!("label: {kind}\nstart=2048, size=2048\nstart=8192\n");
    made.stdin
        .take()
        .unwrap()
        .write_all(table.as_bytes())
        .unwrap();
    assert!(made.wait().unwrap().success());
    disk = std::fs::read(file.path()).unwrap();
    disk[4 << 20..(4 << 20) + content.len()].copy_from_slice(content);
    disk
}

/// A root: settings, a script, links, and what must not harm.
fn root(dir: &Path) {
    let write = |path: &str, content: &str, mode: u32| {
        let path = dir.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    write("etc/imported", "marker-of-the-image\n", 0o640);
    write(
        "usr/local/bin/say",
        "#!/bin/sh\ncat /etc/imported > /dev/console\n",
        0o755,
    );
    write("opt/secret", "s", 0o600);
    write(
        "bin/of-the-image",
        "#!/bin/sh\necho merged-$(stat -c %a /opt/secret) > /dev/console\n",
        0o755,
    );
    write("usr/bin/sh", "\x7fELF is no shell", 0o755);
    write("proc/stale", "x", 0o644);
    symlink("/etc/imported", dir.join("opt/link")).unwrap();
    // It would hide the base system's folder.
    symlink("nowhere", dir.join("var")).unwrap();
}

#[test]
fn an_ext4_root_boots_and_its_image_too() {
    let Some(local) = Local::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    root(folder.path());
    let disk = partitioned("gpt", &ext4(folder.path()));
    let snapshot = local.snapshot(&disk);
    let image = local.image("imported", &snapshot);
    let script = "#!/bin/sh\nsay\nof-the-image\ncat /opt/link > /dev/console\nls /proc/stale || echo no-stale > /dev/console\necho made-by-the-guest > /etc/of-the-guest\nsync\necho script-is-done > /dev/console\n";
    let script = BASE64_STANDARD.encode(script);
    let ran = local.run(&image, &[("UserData", &script)]).ok();
    let instance = ran.text("instanceId").unwrap();
    local.console_with(&instance, "script-is-done");
    for line in [
        "This image was imported",
        "kernel and boot loader are not run",
        "Imported image: ",
        "place of 1 programs",
        "marker-of-the-image",
        "merged-600",
        "no-stale",
    ] {
        local.console_with(&instance, line);
    }
    // The snapshot may go: the layer is the instance's own now.
    local.ec2("DeregisterImage", &[("ImageId", &image)]).ok();
    local
        .ec2("DeleteSnapshot", &[("SnapshotId", &snapshot)])
        .ok();
    let made = local
        .ec2(
            "CreateImage",
            &[("InstanceId", &instance), ("Name", "captured")],
        )
        .ok();
    let captured = made.text("imageId").unwrap();
    local.until("DescribeImages", &[("ImageId.1", &captured)], |a| {
        a.text("imageState").as_deref() == Some("available")
    });
    local
        .ec2("TerminateInstances", &[("InstanceId.1", &instance)])
        .ok();
    let script = BASE64_STANDARD.encode("#!/bin/sh\nsay\ncat /etc/of-the-guest > /dev/console\n");
    let again = local.run(&captured, &[("UserData", &script)]).ok();
    let again = again.text("instanceId").unwrap();
    let console = local.console_with(&again, "made-by-the-guest");
    assert!(console.contains("marker-of-the-image"));
}

#[test]
fn a_root_in_an_mbr_or_on_the_whole_disk_boots_and_other_disks_are_kept_as_data() {
    let Some(local) = Local::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    root(folder.path());
    let good = ext4(folder.path());
    let script = BASE64_STANDARD.encode("#!/bin/sh\nsay\n");
    for (name, disk) in [("mbr", partitioned("dos", &good)), ("whole", good.clone())] {
        let image = local.image(name, &local.snapshot(&disk));
        let ran = local.run(&image, &[("UserData", &script)]).ok();
        local.console_with(&ran.text("instanceId").unwrap(), "marker-of-the-image");
    }
    let empty = tempfile::tempdir().unwrap();
    let mut xfs = vec![0; BLOCK];
    xfs[..4].copy_from_slice(b"XFSB");
    for (name, disk, why) in [
        ("zeros", vec![0; BLOCK], "the disk as a whole is empty"),
        (
            "xfs",
            partitioned("gpt", &xfs),
            "partition 1 is empty, partition 2 is XFS",
        ),
        (
            "no-etc",
            ext4(empty.path()),
            "the disk as a whole is ext4 without /etc",
        ),
        (
            "cut",
            good[..1 << 20].to_vec(),
            "the disk as a whole is ext4",
        ),
    ] {
        let image = local.image(name, &local.snapshot(&disk));
        let refused = local.run(&image, &[]);
        assert_eq!(refused.code(), "UnsupportedOperation", "{name}");
        let text = &refused.body;
        assert!(
            text.contains("as data") && text.contains(why),
            "{name}: {text}"
        );
    }
    // What was not put of an encrypted volume is noise, and the file system with it.
    let sparse = local.image("sparse", &local.snapshot(&good[..BLOCK]));
    let encrypted = [
        ("BlockDeviceMapping.1.DeviceName", "/dev/sda1"),
        ("BlockDeviceMapping.1.Ebs.Encrypted", "true"),
    ];
    assert_eq!(
        local.run(&sparse, &encrypted).code(),
        "UnsupportedOperation"
    );
}
