//! Both ways to run a playbook, with the real Ansible: from here over the run's own connection, and inside the guest.
#![allow(
    clippy::disallowed_methods,
    reason = "an edge: tests run programs and wait for them"
)]

use end_to_end::{Config, Ended, LocalEc2, OneStage, Running, ansible, places};
use std::fs;
use std::path::{Path, PathBuf};

const SECRET: &str = "hunter2-that-only-ansible-sees";

/// Puts `ansible-playbook` and `ansible-galaxy` on the path of whoever uses the local EC2.
#[track_caller]
fn with_ansible() -> LocalEc2 {
    let ec2 = LocalEc2::new(Config::QUICK);
    ansible::on_the_path(&ec2);
    ec2
}

/// A collection as an archive, in `work/galaxy/`, with a requirements file that names it.
#[track_caller]
fn collection(ec2: &LocalEc2) {
    ec2.write(
        "collection/galaxy.yml",
        "namespace: acme\nname: tools\nversion: 1.0.0\nreadme: README.md\nauthors: [somebody]\n",
    );
    ec2.write("collection/README.md", "Tools.\n");
    ec2.write("collection/meta/runtime.yml", "requires_ansible: '>=2.9'\n");
    ec2.write(
        "collection/roles/hello/tasks/main.yml",
        "- ansible.builtin.debug: { msg: hello from the collection }\n",
    );
    let mut command = std::process::Command::new(places::python());
    command
        .args([
            "-m",
            "ansible",
            "galaxy",
            "collection",
            "build",
            "--output-path",
        ])
        .arg(ec2.path("work/galaxy"))
        .arg(ec2.path("collection"))
        .env("HOME", ec2.path("home"));
    Running::start(command).end().exits(0);
    ec2.write(
        "work/galaxy/requirements.yaml",
        "collections:\n  - { name: ./acme-tools-1.0.0.tar.gz, type: file }\n",
    );
}

/// Says what it got from where, and leaves a file in the image.
const PLAY: &str = "\
- hosts: web
  gather_facts: false
  roles: [acme.tools.hello]
  tasks:
    - ansible.builtin.debug: { msg: 'of {{ token | length }} characters, {{ by_host }}, {{ by_group }}, {{ list | sum }}' }
    - ansible.builtin.template: { src: t.j2, dest: /home/ec2-user/rendered }
    - ansible.builtin.command: { argv: [sh, -c, 'test \"$(cat)\" = \"$(cat ~/expected)\"'], stdin: '{{ token }}' }
      no_log: true
";

#[track_caller]
fn playbook(ec2: &LocalEc2) {
    ec2.write("work/token.txt", SECRET);
    ec2.write("work/plays/site.yaml", PLAY);
    ec2.write(
        "work/plays/templates/t.j2",
        "rendered for {{ inventory_hostname }}\n",
    );
    ec2.write(
        "work/inventory/group_vars/web.yaml",
        "by_group: from group_vars\n",
    );
    collection(ec2);
}

const VARS: &str = "requirements: galaxy/requirements.yaml, inventory_groups: [web], group_vars: inventory/group_vars/, \
    host_vars: inventory/host_vars/, extra_vars: { token: \"${{ vars.token }}\", list: [1, 2, 3], \
    ansible_python_interpreter: /usr/bin/python3 }";

/// What a task compares the secret with: it is there for one provisioner, and goes with the next.
const EXPECTED: &str = r#"{ upload: { content: "${{ vars.token }}", to: expected } }"#;
const LOOK: &str = r#"{ run: { name: look, inline: "shred -u expected && cat rendered && ! ls -d ~/.qib-ansible-* 2>/dev/null" } }"#;

fn stage(provision: &str) -> String {
    OneStage {
        top: "vars:\n  token: { file: token.txt, secret: true }",
        provision,
        ..OneStage::default()
    }
    .text()
}

#[track_caller]
fn said(ended: &Ended, line: &str) {
    let lines = ended.events_of("output");
    let found = lines.iter().any(|event| {
        event["line"]
            .as_str()
            .is_some_and(|text| text.contains(line))
    });
    assert!(found, "{line:?} was not said{ended}");
}

/// Files below `folder` that hold the secret.
fn holding_it(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        if kind.is_dir() {
            holding_it(&path, found);
        } else if kind.is_file()
            && fs::read(&path)
                .unwrap_or_default()
                .windows(SECRET.len())
                .any(|window| window == SECRET.as_bytes())
        {
            found.push(path);
        }
    }
}

/// Runs the pipeline twice: built, with the secret used and nowhere seen, and then cached.
#[track_caller]
fn builds(ec2: &LocalEc2, text: String, host: &str) {
    let file = ec2.pipeline(text);
    let mut command = ec2.command(["run", "--local", "--json", "-v"]);
    command.arg(&file).env("RUST_LOG", "trace");
    let ended = Running::start(command).end().exits(0).never_says(SECRET);
    said(&ended, "hello from the collection");
    said(
        &ended,
        &format!(
            "of {} characters, from host_vars, from group_vars, 6",
            SECRET.len()
        ),
    );
    said(&ended, &format!("rendered for {host}"));
    let mut found = Vec::new();
    for folder in ["state", "local", "home"] {
        holding_it(&ec2.path(folder), &mut found);
    }
    assert!(found.is_empty(), "the secret is in {found:?}{ended}");
    let again = ec2.run(&file).exits(0);
    assert_eq!(again.image("one")["cached"], true, "{again}");
    // What the playbook can use decides the image.
    ec2.write(
        "work/plays/templates/t.j2",
        "rendered anew for {{ inventory_hostname }}\n",
    );
    let changed = ec2.run(&file).exits(0);
    assert_eq!(changed.image("one")["cached"], false, "{changed}");
    said(&changed, &format!("rendered anew for {host}"));
}

#[test]
fn a_playbook_from_here_goes_over_the_runs_own_connection() {
    let ec2 = with_ansible();
    playbook(&ec2);
    ec2.write(
        "work/inventory/host_vars/web1.yaml",
        "by_host: from host_vars\n",
    );
    let ansible =
        format!("{{ ansible: {{ playbook: plays/site.yaml, host_alias: web1, {VARS} }} }}");
    builds(
        &ec2,
        stage(&format!("[{EXPECTED}, {ansible}, {LOOK}]")),
        "web1",
    );
}

#[test]
fn a_playbook_runs_inside_the_guest_and_leaves_nothing_but_its_work() {
    let ec2 = LocalEc2::new(Config::QUICK);
    playbook(&ec2);
    ansible::for_guests(&ec2, "ec2-user");
    ec2.write(
        "work/inventory/host_vars/localhost.yaml",
        "by_host: from host_vars\n",
    );
    let tools = "{ upload: { from: ansible/, to: ansible/ } }";
    let ansible = format!(
        "{{ ansible_local: {{ playbook: plays/site.yaml, command: /home/ec2-user/ansible/bin/ansible-playbook, {VARS} }} }}"
    );
    let provision = format!("[{tools}, {EXPECTED}, {ansible}, {LOOK}]");
    builds(&ec2, stage(&provision), "localhost");
}

#[test]
fn tasks_become_root_from_here() {
    let ec2 = with_ansible();
    ec2.write(
        "work/plays/site.yaml",
        "- hosts: all\n  gather_facts: false\n  tasks:\n    - ansible.builtin.command: id -u\n      register: who\n    \
         - ansible.builtin.debug: { msg: 'user {{ who.stdout }}.' }\n",
    );
    let provision = "[{ ansible: { playbook: plays/site.yaml, become: root, \
        extra_vars: { ansible_python_interpreter: /usr/bin/python3 } } }]";
    let file = ec2.pipeline(
        OneStage {
            provision,
            ..OneStage::default()
        }
        .text(),
    );
    said(&ec2.run(&file).exits(0), "user 0.");
}

const FAILING: &str = "- hosts: all\n  gather_facts: false\n  tasks:\n    - name: this one\n      ansible.builtin.fail: { msg: on purpose }\n";

#[test]
fn a_failing_play_fails_the_run_and_nothing_is_left() {
    let ec2 = with_ansible();
    ansible::for_guests(&ec2, "ec2-user");
    ec2.write("work/plays/failing.yaml", FAILING);
    for (ansible, tools) in [
        ("{ ansible: { playbook: plays/failing.yaml } }", ""),
        (
            "{ ansible_local: { playbook: plays/failing.yaml, command: /home/ec2-user/ansible/bin/ansible-playbook } }",
            "{ upload: { from: ansible/, to: ansible/ } },",
        ),
    ] {
        let provision = format!("[{tools} {ansible}]");
        let file = ec2.pipeline(
            OneStage {
                provision: &provision,
                ..OneStage::default()
            }
            .text(),
        );
        let ended = ec2
            .run(&file)
            .failed_in("provision")
            .says("failing.yaml")
            .says("a task failed");
        said(&ended, "on purpose");
        ec2.holdings().assert_none(&ended);
        let mut left = Vec::new();
        files_named(
            &ec2.path("state"),
            &["hosts.yml", "extra-vars.json"],
            &mut left,
        );
        assert!(
            left.is_empty(),
            "the playbook's folder is still there: {left:?}{ended}"
        );
    }
}

fn files_named(folder: &Path, names: &[&str], found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files_named(&path, names, found);
        } else if names.iter().any(|name| entry.file_name() == *name) {
            found.push(path);
        }
    }
}

#[test]
fn without_ansible_here_nothing_is_begun() {
    let ec2 = LocalEc2::new(Config::QUICK);
    ec2.write("work/plays/failing.yaml", FAILING);
    let provision =
        "[{ ansible: { playbook: plays/failing.yaml, ansible_playbook: no-such-ansible } }]";
    let file = ec2.pipeline(
        OneStage {
            provision,
            ..OneStage::default()
        }
        .text(),
    );
    let ended = ec2
        .run(&file)
        .exits(2)
        .says("no-such-ansible")
        .says("pip install ansible-core");
    assert!(ended.events_of("step-started").is_empty(), "{ended}");
    ec2.holdings().assert_none(&ended);
}

#[test]
fn without_ansible_in_the_guest_the_message_says_so() {
    let ec2 = LocalEc2::new(Config::QUICK);
    ec2.write("work/plays/failing.yaml", FAILING);
    let provision =
        "[{ ansible_local: { playbook: plays/failing.yaml, command: /nowhere/ansible-playbook } }]";
    let file = ec2.pipeline(
        OneStage {
            provision,
            ..OneStage::default()
        }
        .text(),
    );
    let ended = ec2
        .run(&file)
        .failed_in("provision")
        .says("there is no such program");
    ec2.holdings().assert_none(&ended);
}
