//! Both ways to run a playbook, with the real Ansible and a real OpenSSH server as the guest: the server logs in to the user
//! who runs the test. Without Ansible or sshd the tests fail; `cargo xtask test` installs both.
#![allow(
    clippy::disallowed_methods,
    reason = "tests run programs and read the environment"
)]

#[path = "../../ssh/tests/openssh/server.rs"]
#[allow(dead_code, reason = "the SSH client's tests use the rest")]
mod server;

use async_trait::async_trait;
use build::ansible::{AnsibleError, PlaybookEnd, PrivateFolder, from_here, inside};
use build::event::OutputStream;
use build::guest::*;
use build::host::{LocalCommand, LocalCommands, LocalError, Stop};
use build::spec::*;
use build::ssh_access::SshAccess;
use server::{PATIENCE, Server};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};

const SECRET: &str = "pa$$ 'w\"ord-7f3a9c";

/// `ansible-playbook`: `QIB_TEST_ANSIBLE`, else the one that `cargo xtask test` installs.
fn ansible_playbook() -> String {
    let installed =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.test-tools/python/bin/ansible-playbook");
    let program = std::env::var_os("QIB_TEST_ANSIBLE").map_or(installed, PathBuf::from);
    let program = std::fs::canonicalize(&program).unwrap_or_else(|error| {
        panic!(
            "{}: {error}: `cargo xtask test` installs it",
            program.display()
        )
    });
    program.display().to_string()
}

/// Runs scripts with `/bin/sh`, as the real one does.
struct Shell;

#[async_trait]
impl LocalCommands for Shell {
    async fn run(
        &self,
        command: &LocalCommand,
        output: &mut dyn Output,
        _stop: Stop<'_>,
    ) -> Result<CommandEnd, LocalError> {
        let folder = tempfile::tempdir().expect("a folder");
        let script = folder.path().join("script");
        std::fs::write(&script, &command.script.text).expect("a script");
        let mut process = tokio::process::Command::new("/bin/sh")
            .arg("-e")
            .arg(&script)
            .current_dir(&command.folder)
            .envs(
                command
                    .environment
                    .iter()
                    .map(|(name, value)| (name, value)),
            )
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("sh starts");
        let mut out = BufReader::new(process.stdout.take().expect("a pipe")).lines();
        let mut err = BufReader::new(process.stderr.take().expect("a pipe")).lines();
        let (mut out_open, mut err_open) = (true, true);
        while out_open || err_open {
            tokio::select! {
                line = out.next_line(), if out_open => match line.expect("text") {
                    Some(line) => output.line(OutputStream::Stdout, &line),
                    None => out_open = false,
                },
                line = err.next_line(), if err_open => match line.expect("text") {
                    Some(line) => output.line(OutputStream::Stderr, &line),
                    None => err_open = false,
                },
            }
        }
        let status = process.wait().await.expect("it ends");
        Ok(CommandEnd::Exited(
            status.code().unwrap_or(255).cast_unsigned(),
        ))
    }
}

#[derive(Default)]
struct Heard(Vec<String>);

impl Output for Heard {
    fn line(&mut self, _: OutputStream, line: &str) {
        self.0.push(line.to_owned());
    }
}

impl Heard {
    fn text(&self) -> String {
        self.0.join("\n")
    }
}

/// A guest, and a folder with a playbook and what belongs to it.
struct Stage {
    server: Server,
    session: Box<dyn GuestSession>,
    files: TempDir,
}

impl Stage {
    async fn with(files: &[(&str, &str)]) -> Stage {
        let server = Server::start().await;
        let target = GuestTarget {
            host: "127.0.0.1".into(),
            port: server.port,
            dial: ssh::Dial::Direct,
            user: server::user(),
            identity: Identity::Key(server.login_key.clone()),
            host_keys: HostKeys::Pinned(
                server
                    .host_keys
                    .iter()
                    .map(|key| key.public_openssh())
                    .collect(),
            ),
        };
        let session = SshAccess::default()
            .open(&target, PATIENCE)
            .await
            .unwrap_or_else(|error| panic!("{error}; sshd said:\n{}", server.log()));
        let folder = tempfile::tempdir().expect("a folder");
        for (name, content) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
            std::fs::write(path, content).expect("a file");
        }
        Stage {
            server,
            session,
            files: folder,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        let path = self.path(name);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    fn here(&self) -> AnsibleSpec {
        AnsibleSpec {
            playbook: self.path("plays/site.yaml"),
            inventory: InventorySpec {
                host: "web1".into(),
                groups: vec!["web".into()],
                vars: InventoryVars::default(),
            },
            call: call(),
            program: ansible_playbook(),
        }
    }

    fn inside(&self) -> AnsibleLocalSpec {
        AnsibleLocalSpec {
            folder: self.path("plays"),
            playbook: "site.yaml".into(),
            inventory: LocalInventory::Made {
                host: "localhost".into(),
                groups: vec!["web".into()],
            },
            vars: InventoryVars::default(),
            call: call(),
            program: ansible_playbook(),
            staging: Some(self.path("staging").display().to_string()),
        }
    }

    /// Runs a playbook from here, and sees that its folder is gone.
    async fn run(&self, spec: &AnsibleSpec) -> (Result<from_here::Ran, AnsibleError>, Heard) {
        let private = tempfile::tempdir().expect("a folder");
        let folder = PrivateFolder::make(private.path()).expect("a folder");
        let mut heard = Heard::default();
        let never = Box::pin(std::future::pending());
        let ran = from_here::run(
            spec,
            &folder,
            self.session.as_ref(),
            &Shell,
            &mut heard,
            never,
        )
        .await;
        folder.remove().expect("it goes");
        assert_eq!(
            std::fs::read_dir(private.path()).expect("a folder").count(),
            0
        );
        (ran, heard)
    }

    async fn runs_well(&self, spec: &AnsibleSpec) -> Heard {
        let (ran, heard) = self.run(spec).await;
        let ran = ran.expect("it runs");
        assert_eq!(ran.end, PlaybookEnd::Well, "{}", heard.text());
        assert_eq!(ran.trouble, None);
        heard
    }

    /// Runs a playbook inside, and sees that its folder is gone.
    async fn run_inside(
        &self,
        spec: &AnsibleLocalSpec,
    ) -> (Result<PlaybookEnd, AnsibleError>, Heard) {
        let staging = inside::Staging::unguessable(spec);
        let mut heard = Heard::default();
        let ran = inside::run(spec, &staging, self.session.as_ref(), false, &mut heard).await;
        inside::remove(&staging, self.session.as_ref())
            .await
            .expect("it goes");
        let left = std::fs::read_dir(self.path("staging"))
            .expect("its parent")
            .count();
        assert_eq!(left, 0, "the folder in the guest is gone");
        (ran, heard)
    }
}

fn call() -> PlaybookCall {
    PlaybookCall {
        extra_vars: vars(serde_json::json!({})),
        extra_args: Vec::new(),
        become_user: None,
        galaxy: None,
    }
}

fn vars(value: serde_json::Value) -> serde_json::Map<String, serde_json::Value> {
    match value {
        // Debian's own, whatever else the PATH of who runs the tests has.
        serde_json::Value::Object(mut map) => {
            map.insert(
                "ansible_python_interpreter".into(),
                "/usr/bin/python3".into(),
            );
            map
        }
        other => panic!("{other}"),
    }
}

const MODULES: &str = "\
- hosts: web
  gather_facts: false
  tasks:
    - ansible.builtin.ping:
    - ansible.builtin.copy: { src: big, dest: '{{ target }}/big', mode: '0640' }
    - ansible.builtin.template: { src: t.j2, dest: '{{ target }}/rendered', mode: '0600' }
    - ansible.builtin.command: { argv: [sh, -c, 'cat; echo \"[$1]\"', sh, 'two words'], stdin: 'from stdin' }
      register: said
    - ansible.builtin.copy: { content: '{{ said.stdout }}', dest: '{{ target }}/said' }
    - ansible.builtin.shell: sleep 1; echo later > {{ target }}/later
      async: 60
      poll: 1
      vars: { ansible_async_dir: '{{ target }}/async' }
    - ansible.builtin.fetch: { src: '{{ target }}/big', dest: '{{ target }}/back', flat: true }
";

#[tokio::test(flavor = "multi_thread")]
async fn modules_files_and_async_tasks_work_by_every_transfer() {
    let stage = Stage::with(&[
        ("plays/site.yaml", MODULES),
        (
            "plays/t.j2",
            "{{ token }} {{ greeting }} {{ by_group }} {{ inventory_hostname }}\n",
        ),
        ("inv/host_vars/web1.yaml", "greeting: from host_vars\n"),
        ("inv/group_vars/web.yaml", "by_group: from group_vars\n"),
    ])
    .await;
    let mut content: Vec<u8> = (0..20 * 1024 * 1024_u32)
        .map(|n| (n / 9 % 251) as u8)
        .collect();
    std::fs::write(stage.path("plays/big"), &content).expect("a file");
    for (transfer, pipelining) in [
        ("sftp", false),
        ("scp", false),
        ("piped", false),
        ("sftp", true),
    ] {
        // The first way carries what no buffer on it holds; the others show that they work.
        if (transfer, pipelining) != ("sftp", false) {
            content.truncate(512 * 1024);
            std::fs::write(stage.path("plays/big"), &content).expect("a file");
        }
        let target = stage.path(&format!("{transfer}-{pipelining}"));
        std::fs::create_dir(&target).expect("a folder");
        let mut spec = stage.here();
        spec.inventory.vars = InventoryVars {
            hosts: Some(stage.path("inv/host_vars")),
            groups: Some(stage.path("inv/group_vars")),
        };
        spec.call.extra_vars = vars(serde_json::json!({
            "target": target, "token": SECRET, "ansible_ssh_transfer_method": transfer, "ansible_pipelining": pipelining,
        }));
        let heard = stage.runs_well(&spec).await;
        let what = format!("{transfer}, pipelining {pipelining}:\n{}", heard.text());
        assert!(
            std::fs::read(target.join("big")).expect("a file") == content,
            "{what}"
        );
        assert!(
            std::fs::read(target.join("back")).expect("a file") == content,
            "{what}"
        );
        let rendered = std::fs::read_to_string(target.join("rendered")).expect("a file");
        assert_eq!(
            rendered,
            format!("{SECRET} from host_vars from group_vars web1\n"),
            "{what}"
        );
        let said = std::fs::read_to_string(target.join("said")).expect("a file");
        assert_eq!(said, "from stdin\n[two words]", "{what}");
        assert!(target.join("later").exists(), "{what}");
        let mode = std::fs::metadata(target.join("big"))
            .expect("a file")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o640, "{what}");
    }
    let logins = stage.server.log().matches("Accepted publickey").count();
    assert_eq!(logins, 1, "everything went over the one connection");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_task_and_a_broken_playbook_are_told_apart() {
    let stage = Stage::with(&[
        ("plays/site.yaml", "- hosts: all\n  gather_facts: false\n  tasks:\n    - ansible.builtin.command: 'false'\n"),
        ("plays/broken.yaml", "- hosts: [\n"),
    ])
    .await;
    let (ran, heard) = stage.run(&stage.here()).await;
    let end = ran.expect("it runs").end;
    assert_eq!(
        end,
        PlaybookEnd::Playbook(CommandEnd::Exited(2)),
        "{}",
        heard.text()
    );
    assert!(
        end.complaint("site.yaml")
            .expect("a complaint")
            .contains("a task failed")
    );
    let mut spec = stage.here();
    spec.playbook = stage.path("plays/broken.yaml");
    let (ran, heard) = stage.run(&spec).await;
    assert!(
        matches!(
            ran.expect("it runs").end,
            PlaybookEnd::Playbook(CommandEnd::Exited(1 | 4))
        ),
        "{}",
        heard.text()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_on_any_command_line_while_a_playbook_runs() {
    let stage = Stage::with(&[(
        "plays/site.yaml",
        "- hosts: all\n  gather_facts: false\n  tasks:\n    - ansible.builtin.file: { path: '{{ dir }}/ready', state: touch }\n    \
         - ansible.builtin.wait_for: { path: '{{ dir }}/gate', timeout: 60 }\n",
    )])
    .await;
    let mut spec = stage.here();
    spec.call.extra_vars = vars(serde_json::json!({ "dir": stage.path(""), "token": SECRET }));
    let private = tempfile::tempdir().expect("a folder");
    let folder = PrivateFolder::make(private.path()).expect("a folder");
    let path = folder.path().to_owned();
    let mut heard = Heard::default();
    let never = Box::pin(std::future::pending());
    let running = from_here::run(
        &spec,
        &folder,
        stage.session.as_ref(),
        &Shell,
        &mut heard,
        never,
    );
    let looking = async {
        let begun = Instant::now();
        while !stage.path("ready").exists() {
            assert!(begun.elapsed() < PATIENCE, "it gets going");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let mode = |path: &Path| {
            std::fs::metadata(path)
                .expect("a file")
                .permissions()
                .mode()
                & 0o777
        };
        assert_eq!(mode(&path), 0o700);
        for file in [
            "key",
            "extra-vars.json",
            "known_hosts",
            "inventory/hosts.yml",
        ] {
            assert_eq!(mode(&path.join(file)), 0o600, "{file}");
        }
        let mut seen = 0;
        for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
            // A process may end while it is looked at.
            for file in ["cmdline", "environ"] {
                let Ok(bytes) = std::fs::read(entry.path().join(file)) else {
                    continue;
                };
                let text = String::from_utf8_lossy(&bytes);
                seen += usize::from(text.contains("extra-vars.json"));
                assert!(!text.contains(SECRET), "{}: {text}", entry.path().display());
            }
        }
        assert!(seen > 0, "ansible-playbook was among them");
        std::fs::write(stage.path("gate"), "").expect("a file");
    };
    let (ran, ()) = tokio::join!(running, looking);
    assert_eq!(
        ran.expect("it runs").end,
        PlaybookEnd::Well,
        "{}",
        heard.text()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_users_configuration_of_ansible_does_not_lead_elsewhere() {
    let stage = Stage::with(&[
        ("plays/site.yaml", "- hosts: all\n  gather_facts: false\n  tasks:\n    - ansible.builtin.ping:\n"),
        (
            "plays/ansible.cfg",
            "[defaults]\nhost_key_checking = False\n[ssh_connection]\nssh_args = -o ProxyCommand=false\n\
             ssh_common_args = -o ProxyCommand=false\n",
        ),
    ])
    .await;
    stage.runs_well(&stage.here()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_become_another_user() {
    if server::user() != "root" {
        // Becoming somebody needs a rule in sudoers, which a test does not write.
        return;
    }
    let play = "- hosts: all\n  gather_facts: false\n  tasks:\n    - ansible.builtin.command: id -un\n      register: who\n    \
                - ansible.builtin.debug: { msg: 'I am {{ who.stdout }}.' }\n";
    let stage = Stage::with(&[("plays/site.yaml", play)]).await;
    let mut spec = stage.here();
    spec.call.become_user = Some("daemon".into());
    let heard = stage.runs_well(&spec).await;
    assert!(heard.text().contains("I am daemon."), "{}", heard.text());
    std::fs::create_dir(stage.path("staging")).expect("a folder");
    let mut spec = stage.inside();
    spec.call.become_user = Some("daemon".into());
    let (ran, heard) = stage.run_inside(&spec).await;
    assert_eq!(ran.expect("it runs"), PlaybookEnd::Well, "{}", heard.text());
    assert!(heard.text().contains("I am daemon."), "{}", heard.text());
}

/// A collection and a role as archives, and a requirements file that names both.
fn archives(stage: &Stage) -> GalaxySpec {
    let collection = stage.path("src/acme/tools");
    let write = |path: PathBuf, text: &str| {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
        std::fs::write(path, text).expect("a file");
    };
    write(
        collection.join("galaxy.yml"),
        "namespace: acme\nname: tools\nversion: 1.0.0\nreadme: README.md\nauthors: [somebody]\n",
    );
    write(collection.join("README.md"), "Tools.\n");
    write(
        collection.join("meta/runtime.yml"),
        "requires_ansible: '>=2.9'\n",
    );
    write(
        collection.join("roles/hello/tasks/main.yml"),
        "- ansible.builtin.debug: { msg: 'hello from the collection' }\n",
    );
    let galaxy = ansible_playbook().replace("ansible-playbook", "ansible-galaxy");
    let built = std::process::Command::new(galaxy)
        .args(["collection", "build", "--output-path"])
        .arg(stage.path("req"))
        .arg(&collection)
        .output()
        .expect("ansible-galaxy runs");
    assert!(built.status.success(), "{built:?}");
    write(
        stage.path("src/base/tasks/main.yml"),
        "- ansible.builtin.debug: { msg: 'hello from the role' }\n",
    );
    write(
        stage.path("src/base/meta/main.yml"),
        "galaxy_info: { author: somebody, description: a role, license: none, min_ansible_version: '2.9' }\n",
    );
    std::fs::create_dir(stage.path("req/roles")).expect("a folder");
    let packed = std::process::Command::new("tar")
        .arg("-czf")
        .arg(stage.path("req/roles/base.tgz"))
        .arg("-C")
        .arg(stage.path("src"))
        .arg("base")
        .status()
        .expect("tar runs");
    assert!(packed.success());
    write(
        stage.path("req/requirements.yaml"),
        "collections:\n  - { name: ./acme-tools-1.0.0.tar.gz, type: file }\nroles:\n  - { src: roles/base.tgz, name: base }\n",
    );
    GalaxySpec {
        requirements: stage.path("req/requirements.yaml"),
        archives: vec![
            ("roles/base.tgz".into(), stage.path("req/roles/base.tgz")),
            (
                "./acme-tools-1.0.0.tar.gz".into(),
                stage.path("req/acme-tools-1.0.0.tar.gz"),
            ),
        ],
        args: vec!["-v".into()],
    }
}

const ROLES: &str = "- hosts: all\n  gather_facts: false\n  roles: [acme.tools.hello, base]\n";

fn says_both(heard: &Heard) {
    for who in ["collection", "role"] {
        assert!(
            heard.text().contains(&format!("hello from the {who}")),
            "{}",
            heard.text()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn collections_and_roles_come_from_archives() {
    let stage = Stage::with(&[("plays/site.yaml", ROLES)]).await;
    let galaxy = archives(&stage);
    let mut spec = stage.here();
    spec.call.galaxy = Some(galaxy.clone());
    says_both(&stage.runs_well(&spec).await);
    std::fs::create_dir(stage.path("staging")).expect("a folder");
    let mut spec = stage.inside();
    spec.call.galaxy = Some(galaxy.clone());
    let (ran, heard) = stage.run_inside(&spec).await;
    assert_eq!(ran.expect("it runs"), PlaybookEnd::Well, "{}", heard.text());
    says_both(&heard);
    // Without its archive, it is galaxy that fails, not the playbook.
    std::fs::remove_file(stage.path("req/roles/base.tgz")).expect("it was there");
    let mut spec = stage.here();
    spec.call.galaxy = Some(galaxy);
    let (ran, heard) = stage.run(&spec).await;
    let end = ran.expect("it runs").end;
    assert!(
        matches!(end, PlaybookEnd::Galaxy(CommandEnd::Exited(_))),
        "{end:?} {}",
        heard.text()
    );
    assert!(
        end.complaint("site.yaml")
            .expect("a complaint")
            .contains("ansible-galaxy")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_playbook_goes_on_after_the_guests_sshd_has_dropped_it() {
    let play = "- hosts: all\n  gather_facts: false\n  tasks:\n    \
        - ansible.builtin.shell: nohup sh -c 'until test -e {{ dir }}/go; do :; done; kill -9 {{ pids }}; touch {{ dir }}/dropped' >/dev/null 2>&1 &\n    \
        - ansible.builtin.file: { path: '{{ dir }}/go', state: touch }\n      delegate_to: localhost\n    \
        - ansible.builtin.wait_for: { path: '{{ dir }}/dropped', timeout: 60 }\n      ignore_unreachable: true\n    \
        - ansible.builtin.wait_for_connection: { timeout: 60 }\n    \
        - ansible.builtin.file: { path: '{{ dir }}/after', state: touch }\n";
    let stage = Stage::with(&[("plays/site.yaml", play)]).await;
    let pids: Vec<String> = stage
        .server
        .session_processes()
        .iter()
        .map(u32::to_string)
        .collect();
    assert!(!pids.is_empty());
    let mut spec = stage.here();
    spec.call.extra_vars =
        vars(serde_json::json!({ "pids": pids.join(" "), "dir": stage.path("") }));
    let (ran, heard) = stage.run(&spec).await;
    let end = ran.expect("it runs").end;
    assert!(stage.path("after").exists(), "{end:?}\n{}", heard.text());
    assert!(stage.session.is_closed(), "the first connection is gone");
    assert_eq!(
        stage.server.log().matches("Accepted publickey").count(),
        2,
        "{}",
        heard.text()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_is_gone_is_told_with_the_reason() {
    let stage = Stage::with(&[(
        "plays/site.yaml",
        "- hosts: all\n  gather_facts: false\n  tasks:\n    - ansible.builtin.ping:\n",
    )])
    .await;
    let spec = stage.here();
    let Stage {
        server,
        session,
        files,
    } = stage;
    let port = server.port;
    drop(server);
    let private = tempfile::tempdir().expect("a folder");
    let folder = PrivateFolder::make(private.path()).expect("a folder");
    let mut heard = Heard::default();
    let never = Box::pin(std::future::pending());
    let ran = from_here::run(&spec, &folder, session.as_ref(), &Shell, &mut heard, never).await;
    let ran = ran.expect("it runs");
    assert_eq!(
        ran.end,
        PlaybookEnd::Playbook(CommandEnd::Exited(4)),
        "{}",
        heard.text()
    );
    let trouble = ran.trouble.expect("a reason");
    assert!(trouble.contains(&format!("127.0.0.1:{port}")), "{trouble}");
    drop(files);
}

#[tokio::test(flavor = "multi_thread")]
async fn ansible_is_looked_for_before_it_is_needed() {
    let folder = tempfile::tempdir().expect("a folder");
    let found = from_here::look_for(&ansible_playbook(), folder.path(), &Shell).await;
    let version = found.expect("it is there");
    assert!(version.starts_with("ansible-playbook [core "), "{version}");
    let missing = from_here::look_for("no-such-ansible", folder.path(), &Shell).await;
    let why = missing.expect_err("it is not there");
    assert!(
        why.starts_with("there is no `no-such-ansible` on this machine"),
        "{why}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn inside_everything_is_private_and_goes_afterwards() {
    let play = "\
- hosts: web
  gather_facts: false
  tasks:
    - ansible.builtin.stat: { path: '{{ playbook_dir }}/..' }
      register: staging
    - ansible.builtin.stat: { path: '{{ playbook_dir }}/../extra-vars.json' }
      register: variables
    - ansible.builtin.template: { src: t.j2, dest: '{{ target }}/rendered', mode: '0600' }
    - ansible.builtin.copy:
        content: '{{ staging.stat.mode }} {{ variables.stat.mode }} {{ playbook_dir }}'
        dest: '{{ target }}/modes'
";
    let stage = Stage::with(&[
        ("plays/site.yaml", play),
        (
            "plays/t.j2",
            "{{ token }} {{ greeting }} {{ by_group }} {{ inventory_hostname }}\n",
        ),
        ("inv/host_vars/localhost.yaml", "greeting: from host_vars\n"),
        ("inv/group_vars/web.yaml", "by_group: from group_vars\n"),
    ])
    .await;
    std::fs::create_dir(stage.path("staging")).expect("a folder");
    let mut spec = stage.inside();
    spec.vars = InventoryVars {
        hosts: Some(stage.path("inv/host_vars")),
        groups: Some(stage.path("inv/group_vars")),
    };
    spec.call.extra_vars = vars(serde_json::json!({ "target": stage.path(""), "token": SECRET }));
    let (ran, heard) = stage.run_inside(&spec).await;
    assert_eq!(ran.expect("it runs"), PlaybookEnd::Well, "{}", heard.text());
    assert_eq!(
        stage.text("rendered"),
        format!("{SECRET} from host_vars from group_vars localhost\n")
    );
    let modes = stage.text("modes");
    let staging = stage.path("staging").display().to_string();
    assert!(
        modes.starts_with(&format!("0700 0600 {staging}/.qib-ansible-")),
        "{modes}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn inside_a_failure_leaves_nothing_either() {
    let stage = Stage::with(&[(
        "plays/site.yaml",
        "- hosts: all\n  gather_facts: false\n  tasks:\n    - ansible.builtin.command: 'false'\n",
    )])
    .await;
    std::fs::create_dir(stage.path("staging")).expect("a folder");
    let (ran, heard) = stage.run_inside(&stage.inside()).await;
    let end = ran.expect("it runs");
    assert_eq!(
        end,
        PlaybookEnd::Playbook(CommandEnd::Exited(2)),
        "{}",
        heard.text()
    );
    let mut spec = stage.inside();
    spec.program = "/nowhere/ansible-playbook".into();
    let (ran, _) = stage.run_inside(&spec).await;
    let end = ran.expect("it is tried");
    assert!(
        end.complaint("site.yaml")
            .expect("a complaint")
            .contains("there is no such program"),
        "{end:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn inside_an_inventory_of_ones_own_is_used() {
    let stage = Stage::with(&[
        (
            "plays/site.yaml",
            "- hosts: aws\n  gather_facts: false\n  tasks:\n    - ansible.builtin.debug: { msg: 'I am {{ inventory_hostname }}.' }\n",
        ),
        ("inv/hosts.ini", "[aws]\npaxata-server\n"),
    ])
    .await;
    std::fs::create_dir(stage.path("staging")).expect("a folder");
    let mut spec = stage.inside();
    spec.inventory = LocalInventory::File(stage.path("inv/hosts.ini"));
    let (ran, heard) = stage.run_inside(&spec).await;
    assert_eq!(ran.expect("it runs"), PlaybookEnd::Well, "{}", heard.text());
    assert!(
        heard.text().contains("I am paxata-server."),
        "{}",
        heard.text()
    );
}
