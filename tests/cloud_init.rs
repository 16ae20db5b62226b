//! The user-data that qib makes, carried out by the real cloud-init (Debian's package) inside a guest.

use end_to_end::{Config, Ended, LocalEc2, OneStage};
use std::fs;

/// The catalogue's image whose boot runs the host's own cloud-init.
const SOURCE: &str = r#"{ filter: { owners: ["136693071363"], name: "debian-12-*-local-host-cloud-init", arch: x86_64 } }"#;
const LAUNCH: &str = "instance_profile: ec2-instance-profile-for-quay-image-builder";

fn stage() -> OneStage<'static> {
    OneStage {
        source: SOURCE,
        launch: LAUNCH,
        connect: "{ user: admin, address: { elastic_ip: eipalloc-0local, timeout: 90s }, timeout: 90s }",
        more: "    cache: false",
        ..OneStage::default()
    }
}

/// The host's own files that cloud-init would change if it ran there.
fn host_files() -> Vec<(String, Option<Vec<u8>>)> {
    let mut names = vec![
        "/etc/passwd".to_owned(),
        "/etc/hostname".to_owned(),
        "/etc/hosts".to_owned(),
    ];
    for entry in fs::read_dir("/etc/ssh").into_iter().flatten().flatten() {
        names.push(entry.path().display().to_string());
    }
    names.sort_unstable();
    names
        .into_iter()
        .map(|name| (name.clone(), fs::read(name).ok()))
        .collect()
}

#[track_caller]
fn lines(ended: &Ended) -> Vec<String> {
    ended
        .events_of("output")
        .iter()
        .map(|event| event["line"].as_str().unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn cloud_init_accepts_the_parts_and_puts_the_keys_and_the_address_in_place() {
    let before = host_files();
    let ec2 = LocalEc2::new(Config::USUAL);
    ec2.write(
        "work/look.sh",
        "#!/bin/sh\n\
         set -e\n\
         cloud-init status --format json | tr -d '\\n'; echo\n\
         cloud-init schema --system --annotate\n\
         echo datasource: $(cloud-id)\n\
         for k in /etc/ssh/ssh_host_*_key.pub; do echo hostkey: $(cut -d' ' -f1 $k) $(ssh-keygen -lf $k | cut -d' ' -f2); done\n\
         echo logins: $(grep -c . ~admin/.ssh/authorized_keys)\n\
         echo root-mode: $(stat -c %a /etc/ssh/ssh_host_ed25519_key)\n",
    );
    let provision = "[{ run: { name: look, become: root, script: look.sh } }]";
    let file = ec2.pipeline(
        OneStage {
            provision,
            ..stage()
        }
        .text(),
    );
    let ended = ec2.run(&file).exits(0);
    let lines = lines(&ended);
    let has = |text: &str| lines.iter().any(|line| line.contains(text));
    assert!(
        has("datasource: aws") || has("datasource: ec2"),
        "its Ec2 data source was not used{ended}"
    );
    // 22.4 says "Valid cloud-config: system userdata", later ones "Valid schema …".
    assert!(has("Valid cloud-config") || has("Valid schema"), "{ended}");
    let host_keys: Vec<&String> = lines
        .iter()
        .filter(|line| line.starts_with("hostkey: "))
        .collect();
    assert_eq!(
        host_keys.len(),
        2,
        "exactly the two keys that qib made{ended}"
    );
    assert!(
        has("hostkey: ssh-ed25519 ") && has("hostkey: ecdsa-sha2-nistp256 "),
        "{ended}"
    );
    assert!(has("root-mode: 600"), "{ended}");
    ec2.holdings()
        .assert_counts(&[("images", 1), ("snapshots", 1)], &ended);
    assert!(
        host_files() == before,
        "cloud-init changed the host's own files{ended}"
    );
}

#[test]
fn a_key_that_cloud_config_brings_logs_in_too() {
    let ec2 = LocalEc2::new(Config::USUAL);
    let connect = "{ user: admin, key: ecdsa-p256, address: { elastic_ip: eipalloc-0local, timeout: 90s }, timeout: 90s }";
    let file = ec2.pipeline(
        OneStage {
            connect,
            provision: r#"[{ run: { name: greet, inline: "echo hello from $(id -un)" } }]"#,
            ..stage()
        }
        .text(),
    );
    let ended = ec2.run(&file).exits(0);
    assert!(
        lines(&ended).contains(&"hello from admin".to_owned()),
        "{ended}"
    );
}

#[test]
fn the_address_is_bound_before_slow_package_modules_of_the_users_own_part() {
    let ec2 = LocalEc2::new(Config::USUAL);
    // Package modules that take longer than any run may: the login, which needs the address, must not wait for them.
    ec2.write(
        "work/slow.yaml",
        "#cloud-config\n\
         bootcmd:\n\
         - [sh, -c, 'printf \"#!/bin/sh\\necho began >> /run/packages-began\\nsleep 3600\\n\" > /usr/bin/apt-get; chmod 755 /usr/bin/apt-get']\n\
         package_update: true\n\
         packages: [hello]\n",
    );
    let launch =
        "instance_profile: ec2-instance-profile-for-quay-image-builder, user_data: slow.yaml";
    let connect = "{ user: admin, host_key: accept-first, wait_cloud_init: false, address: { elastic_ip: eipalloc-0local, timeout: 90s }, timeout: 90s }";
    ec2.write(
        "work/look.sh",
        "#!/bin/sh\n\
         for i in $(seq 300); do test -e /run/packages-began && break; sleep 0.1; done\n\
         test -e /run/packages-began && echo packages: began\n\
         pgrep -f 'sleep 3600' >/dev/null && echo packages: still at it\n\
         exit 0\n",
    );
    let provision = "[{ run: { name: look, become: root, script: look.sh } }]";
    let file = ec2.pipeline(
        OneStage {
            launch,
            connect,
            provision,
            ..stage()
        }
        .text(),
    );
    let ended = ec2.run(&file).exits(0);
    let lines = lines(&ended);
    assert!(
        lines.contains(&"packages: began".to_owned()),
        "the user's own part was not run at all{ended}"
    );
    assert!(
        lines.contains(&"packages: still at it".to_owned()),
        "{ended}"
    );
}
