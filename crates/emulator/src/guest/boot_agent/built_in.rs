//! The emulator's own subset of cloud-init.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Map;

use super::accounts::{self, MissingGroups};
use super::cloud_config::{self, CloudConfig, SudoRules, UserEntry};
use super::commands::{self, Runner};
use super::imds::Imds;
use super::user_data::{self, Part, PartKind};
use super::{host_keys, keys, state, write_files};
use crate::guest::accounts::Account;
use crate::guest::init::{Event, Guest};

/// One boot: what was found out, and what went wrong.
struct Boot<'a> {
    guest: &'a Guest,
    runner: Runner<'a>,
    errors: Vec<String>,
}

/// What the IMDS tells.
struct Instance {
    id: String,
    hostname: String,
    keys: Vec<String>,
    user_data: Vec<u8>,
}

/// Carries the boot out.
pub fn run(guest: &Guest, tell: &dyn Fn(Event)) {
    let mut boot = Boot {
        guest,
        runner: Runner::new(guest),
        errors: Vec::new(),
    };
    boot.status("init");
    boot.say("boot agent 'init' running");
    let early = boot.early();
    tell(Event::EarlyStageDone);
    boot.status("modules-final");
    if let Some((folder, config)) = early {
        boot.last(&folder, &config);
    }
    boot.finish();
    tell(Event::FinalStageDone);
}

impl Boot<'_> {
    fn say(&self, text: &str) {
        self.guest
            .console
            .line(&format!("cloud-init (local EC2): {text}"));
    }

    /// An error of one module does not keep the others from running.
    fn note(&mut self, doing: &str, result: Result<(), impl std::fmt::Display>) {
        if let Err(error) = result {
            let text = format!("{doing}: {error}");
            self.say(&text);
            self.errors.push(text);
        }
    }

    fn status(&mut self, stage: &str) {
        let text =
            serde_json::json!({ "v1": { "stage": stage, "errors": self.errors } }).to_string();
        let written = fs::create_dir_all(state::RUN_FOLDER)
            .and_then(|()| state::write_whole(state::STATUS, &text));
        self.note("status.json", written);
    }

    fn early(&mut self) -> Option<(PathBuf, CloudConfig)> {
        let instance = match fetch() {
            Ok(instance) => instance,
            Err(error) => {
                self.note("no data from the IMDS", Err::<(), _>(error));
                let hostname = self.guest.spec.hostname.clone();
                let made = host_keys::replace(&Default::default(), false, &hostname);
                self.note("host keys", made);
                return None;
            }
        };
        let set = self.set_hostname(&instance.hostname);
        self.note("hostname", set);
        let folder = Path::new(state::FOLDER)
            .join("instances")
            .join(&instance.id);
        let kept = self.keep_state(&folder, &instance);
        self.note("state", kept);
        let parts = match user_data::parts(&instance.user_data) {
            Ok(parts) => parts,
            Err(error) => {
                self.note("user-data", Err::<(), _>(error));
                Vec::new()
            }
        };
        self.boothooks(&folder, &instance.id, &parts);
        let config = self.cloud_config(&folder, &parts);
        if !config.bootcmd.is_empty() {
            let path = folder.join("bootcmd.sh");
            let ran = write_script(&path, commands::shell_script(&config.bootcmd).as_bytes())
                .and_then(|()| {
                    self.runner
                        .run_with(shell(&path), "INSTANCE_ID", &instance.id)
                });
            self.note("bootcmd", ran);
        }
        self.once(&folder, "write_files", |boot| {
            for file in config.write_files.iter().filter(|file| !file.defer) {
                let written = write_files::write(file, boot.guest.mode);
                boot.note(&format!("write_files: {}", file.path), written);
            }
        });
        self.once(&folder, "users_groups", |boot| boot.users(&config));
        self.once(&folder, "ssh", |boot| boot.ssh(&config, &instance));
        self.once(&folder, "scripts", |boot| {
            boot.keep_scripts(&folder, &config, &parts)
        });
        Some((folder, config))
    }

    fn set_hostname(&self, full: &str) -> io::Result<()> {
        let short = full.split('.').next().unwrap_or(full);
        rustix::system::sethostname(short.as_bytes())?;
        fs::write("/etc/hostname", format!("{short}\n"))?;
        name_in_hosts(
            Path::new("/etc/hosts"),
            &format!("{} {full} {short}", self.guest.spec.private_ip),
        )
    }

    fn keep_state(&self, folder: &Path, instance: &Instance) -> io::Result<()> {
        fs::create_dir_all(folder.join("sem"))?;
        fs::create_dir_all(folder.join("scripts"))?;
        fs::create_dir_all(Path::new(state::FOLDER).join("data"))?;
        fs::write(
            Path::new(state::FOLDER).join("data/instance-id"),
            format!("{}\n", instance.id),
        )?;
        fs::write(
            folder.join("datasource"),
            "DataSourceEc2Local: DataSourceEc2Local\n",
        )?;
        write_private(&folder.join("user-data.txt"), &instance.user_data)?;
        let link = Path::new(state::FOLDER).join("instance");
        match fs::remove_file(&link) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        symlink(folder, link)
    }

    /// Runs a module unless it ran in an earlier boot of this instance.
    fn once(&mut self, folder: &Path, module: &str, work: impl FnOnce(&mut Self)) {
        let mark = folder.join("sem").join(format!("config_{module}"));
        if !mark.exists() {
            work(self);
            let marked = fs::write(&mark, "");
            self.note(module, marked);
        }
    }

    fn boothooks(&mut self, folder: &Path, instance_id: &str, parts: &[Part]) {
        for part in parts.iter().filter(|part| part.kind == PartKind::Boothook) {
            let path = folder.join("boothooks").join(&part.name);
            // The first line says what the part is and is not a line of the script.
            let content = match part.content.strip_prefix(b"#cloud-boothook") {
                Some(rest) => rest
                    .iter()
                    .position(|b| *b == b'\n')
                    .map_or(&[][..], |end| &rest[end + 1..]),
                None => &part.content,
            };
            let ran = write_script(&path, content).and_then(|()| {
                self.runner
                    .run_with(commands::script(&path), "INSTANCE_ID", instance_id)
            });
            self.note(&format!("boothook {}", part.name), ran);
        }
    }

    fn cloud_config(&mut self, folder: &Path, parts: &[Part]) -> CloudConfig {
        let mut merged = Map::new();
        for part in parts {
            match part.kind {
                PartKind::CloudConfig => {
                    match cloud_config::read(&String::from_utf8_lossy(&part.content)) {
                        Ok(map) => {
                            cloud_config::merge(&mut merged, map, part.merge_type.as_deref())
                        }
                        Err(error) => {
                            self.note(&format!("cloud-config {}", part.name), Err::<(), _>(error))
                        }
                    }
                }
                PartKind::Other => {
                    self.say(&format!(
                        "part {} of type {} is not carried out",
                        part.name, part.mime_type
                    ));
                }
                PartKind::Script | PartKind::Boothook => {}
            }
        }
        let text = serde_json::Value::Object(merged.clone()).to_string();
        let kept = write_private(
            &folder.join("cloud-config.txt"),
            format!("#cloud-config\n{text}\n").as_bytes(),
        );
        self.note("cloud-config.txt", kept);
        let config = cloud_config::typed(merged);
        for problem in &config.problems {
            self.say(problem);
        }
        config
    }

    fn users(&mut self, config: &CloudConfig) {
        let entries = config
            .users
            .clone()
            .unwrap_or_else(|| vec![UserEntry::Default]);
        for entry in entries {
            let (user, missing) = match entry {
                UserEntry::Default => (
                    accounts::default_user(&self.guest.spec.default_user),
                    MissingGroups::LeaveOut,
                ),
                UserEntry::Other(user) => (*user, MissingGroups::Create),
            };
            if matches!(user.sudo, Some(SudoRules::Off(true))) {
                self.say(&format!(
                    "user {}: `sudo: true` says nothing and is not carried out",
                    user.name
                ));
            }
            let created = accounts::create(&user, missing, self.guest.mode).and_then(|account| {
                keys::authorize(&account, &user.ssh_authorized_keys, "", self.guest.mode)
            });
            self.note(&format!("user {}", user.name), created);
        }
    }

    fn ssh(&mut self, config: &CloudConfig, instance: &Instance) {
        let hostname = instance.hostname.split('.').next().unwrap_or_default();
        let replaced = host_keys::replace(
            &config.ssh_keys,
            config.ssh_deletekeys.unwrap_or(true),
            hostname,
        );
        self.note("host keys", replaced);
        let all: Vec<_> = instance
            .keys
            .iter()
            .chain(&config.ssh_authorized_keys)
            .cloned()
            .collect();
        let name = &self.guest.spec.default_user;
        // Without a default user (`users: []`) there is nobody to give them to but root.
        let authorized = self.authorize(name, &all, "");
        self.note(&format!("keys of {name}"), authorized);
        let options = if config.disable_root.unwrap_or(true) {
            keys::root_options(name)
        } else {
            String::new()
        };
        let authorized = self.authorize("root", &all, &options);
        self.note("keys of root", authorized);
    }

    fn authorize(&self, user: &str, all: &[String], options: &str) -> io::Result<()> {
        match Account::find(user)? {
            Some(account) => keys::authorize(&account, all, options, self.guest.mode),
            None => Ok(()),
        }
    }

    /// What the final stage runs, in the folder where cloud-init keeps it.
    fn keep_scripts(&mut self, folder: &Path, config: &CloudConfig, parts: &[Part]) {
        for part in parts.iter().filter(|part| part.kind == PartKind::Script) {
            let written = write_script(&folder.join("scripts").join(&part.name), &part.content);
            self.note(&format!("script {}", part.name), written);
        }
        if !config.runcmd.is_empty() {
            let script = commands::shell_script(&config.runcmd);
            let written = write_script(&folder.join("scripts/runcmd"), script.as_bytes());
            self.note("runcmd", written);
        }
    }

    fn last(&mut self, folder: &Path, config: &CloudConfig) {
        self.once(folder, "write_files_deferred", |boot| {
            for file in config.write_files.iter().filter(|file| file.defer) {
                let written = write_files::write(file, boot.guest.mode);
                boot.note(&format!("write_files: {}", file.path), written);
            }
        });
        self.once(folder, "scripts_user", |boot| {
            boot.run_scripts(&folder.join("scripts"))
        });
        let printed = host_keys::print(&self.guest.console, &current_hostname());
        self.note("host keys on the console", printed);
    }

    fn run_scripts(&mut self, folder: &Path) {
        let listed = fs::read_dir(folder).and_then(|entries| {
            entries
                .map(|e| e.map(|e| e.path()))
                .collect::<io::Result<Vec<_>>>()
        });
        let mut scripts = match listed {
            Ok(scripts) => scripts,
            Err(error) => return self.note("scripts", Err::<(), _>(error)),
        };
        // By name, as cloud-init does: part-001, part-002, runcmd.
        scripts.sort();
        for script in scripts {
            let ran = self.runner.run(commands::script(&script));
            self.note(&format!("script {}", script.display()), ran);
        }
    }

    fn finish(&mut self) {
        let finished = format!("{} - local EC2's boot agent\n", self.errors.len());
        let folder = Path::new(state::FOLDER).join("instance");
        if folder.exists() {
            let written = fs::write(folder.join("boot-finished"), finished);
            self.note("boot-finished", written);
        }
        self.status("");
        let errors = self.errors.clone();
        let written = state::write_whole(state::RESULT, &state::result_text(&errors));
        self.note("result.json", written);
        self.say(&format!("boot finished with {} errors", self.errors.len()));
    }
}

fn fetch() -> io::Result<Instance> {
    let imds = Imds::connect()?;
    let missing = |item: &'static str| move || io::Error::other(format!("the IMDS has no {item}"));
    let id = imds
        .text("meta-data/instance-id")?
        .ok_or_else(missing("instance-id"))?;
    if id.is_empty() || id.contains(['/', '\0']) || id == ".." {
        return Err(io::Error::other(format!(
            "the IMDS gives {id:?} as the instance id"
        )));
    }
    let hostname = match imds.text("meta-data/local-hostname")? {
        Some(hostname) => hostname,
        None => imds
            .text("meta-data/hostname")?
            .ok_or_else(missing("hostname"))?,
    };
    let mut keys = Vec::new();
    for line in imds
        .text("meta-data/public-keys/")?
        .unwrap_or_default()
        .lines()
    {
        let index = line.split('=').next().unwrap_or_default();
        if let Some(key) = imds.text(&format!("meta-data/public-keys/{index}/openssh-key"))? {
            keys.push(key);
        }
    }
    Ok(Instance {
        id,
        hostname,
        keys,
        user_data: imds.get("user-data")?.unwrap_or_default(),
    })
}

fn shell(path: &Path) -> Command {
    let mut command = Command::new("/bin/sh");
    command.arg(path);
    command
}

fn write_script(path: &Path, content: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, content)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))
}

fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(content)
}

fn current_hostname() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

/// Stands in for the VPC's resolver: the instance's own name leads to its private address.
fn name_in_hosts(path: &Path, entry: &str) -> io::Result<()> {
    const MARK: &str = " # the local EC2, for the VPC's resolver";
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => "127.0.0.1 localhost\n".to_owned(),
        other => other?,
    };
    let mut changed: String = text
        .lines()
        .filter(|line| !line.ends_with(MARK))
        .map(|line| format!("{line}\n"))
        .collect();
    changed.push_str(&format!("{entry}{MARK}\n"));
    fs::write(path, changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_images_old_name_is_replaced_in_hosts() {
        let folder = tempfile::tempdir().unwrap();
        let hosts = folder.path().join("hosts");
        fs::write(&hosts, "127.0.0.1 localhost\n").unwrap();
        name_in_hosts(&hosts, "10.0.0.1 a.internal a").unwrap();
        name_in_hosts(&hosts, "10.0.0.2 b.internal b").unwrap();
        let text = fs::read_to_string(&hosts).unwrap();
        assert!(
            text.starts_with("127.0.0.1 localhost\n10.0.0.2 b.internal b"),
            "{text}"
        );
        assert!(!text.contains("10.0.0.1"), "{text}");
    }
}
