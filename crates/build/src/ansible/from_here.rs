//! A playbook that runs on this machine and reaches the guest through a proxy of its connection.

use super::call::{USUAL_COLLECTIONS, USUAL_ROLES, environment, galaxy_line, playbook_line};
use super::inventory::{ProxyAccess, through_proxy};
use super::{AnsibleError, PlaybookEnd, PrivateFolder};
use crate::guest::{CommandEnd, GuestSession, Output, Script};
use crate::host::{LocalCommand, LocalCommands, Stop};
use crate::spec::AnsibleSpec;
use std::path::{Path, PathBuf};

/// What a playbook came to.
#[derive(Debug)]
pub struct Ran {
    /// How it ended.
    pub end: PlaybookEnd,
    /// Why a session could not be passed on to the guest, if one could not: the reason that Ansible does not know.
    pub trouble: Option<String>,
}

/// Runs a playbook. `folder` is private to this one, and is to be removed afterwards.
///
/// # Errors
/// If it could not be begun or was stopped. A playbook that fails is no error but an end.
pub async fn run(
    spec: &AnsibleSpec,
    folder: &PrivateFolder,
    session: &dyn GuestSession,
    commands: &dyn LocalCommands,
    output: &mut dyn Output,
    stop: Stop<'_>,
) -> Result<Ran, AnsibleError> {
    let proxy = session
        .proxy()
        .await
        .map_err(AnsibleError::session("opening a way for Ansible"))?;
    let key_file = folder.write("key", proxy.private_key().expose().as_bytes())?;
    let line = format!("{}\n", proxy.known_hosts_line());
    let known_hosts = folder.write("known_hosts", line.as_bytes())?;
    let inventory = write_inventory(
        spec,
        folder,
        &ProxyAccess {
            port: proxy.port(),
            user: &proxy.user(),
            key_file: &key_file,
            known_hosts: &known_hosts,
        },
    )?;
    let mut leading = vec![String::from("-i"), inventory.display().to_string()];
    if !spec.call.extra_vars.is_empty() {
        let text = serde_json::Value::Object(spec.call.extra_vars.clone()).to_string();
        let file = folder.write("extra-vars.json", text.as_bytes())?;
        leading.extend([String::from("-e"), format!("@{}", file.display())]);
    }
    let (playbook, playbook_folder) = split(&spec.playbook)?;
    let mut environment = environment();
    if spec.call.galaxy.is_some() {
        let installed = folder.path().display();
        environment.extend([
            (
                String::from("ANSIBLE_ROLES_PATH"),
                format!("{installed}/roles:{USUAL_ROLES}"),
            ),
            (
                String::from("ANSIBLE_COLLECTIONS_PATH"),
                format!("{installed}/collections:{USUAL_COLLECTIONS}"),
            ),
        ]);
    }

    let stop = Shared::of(stop);
    let mut commands = Commands {
        commands,
        environment,
        output,
        stop,
    };
    let end = async {
        if let Some(galaxy) = &spec.call.galaxy {
            let (requirements, requirements_folder) = split(&galaxy.requirements)?;
            let line = galaxy_line(&spec.program, galaxy, &requirements);
            let end = commands
                .run("ansible-galaxy", &line, requirements_folder)
                .await?;
            if end != CommandEnd::Exited(0) {
                return Ok(PlaybookEnd::Galaxy(end));
            }
        }
        let line = playbook_line(&spec.program, &leading, &spec.call, &playbook);
        let end = commands
            .run("ansible-playbook", &line, playbook_folder)
            .await?;
        Ok(match end {
            CommandEnd::Exited(0) => PlaybookEnd::Well,
            end => PlaybookEnd::Playbook(end),
        })
    }
    .await?;
    Ok(Ran {
        end,
        trouble: proxy.last_trouble(),
    })
}

/// Looks whether Ansible is there, and gives what it says of its version.
///
/// # Errors
/// What stands in the way, in words.
pub async fn look_for(
    program: &str,
    folder: &Path,
    commands: &dyn LocalCommands,
) -> Result<String, String> {
    let mut said = Said::default();
    let command = LocalCommand {
        script: script(
            "ansible-version",
            &format!("{} --version", ssh::shell_quote(program)),
        ),
        interpreter: None,
        errexit: true,
        environment: environment(),
        folder: folder.to_owned(),
    };
    let never = Box::pin(std::future::pending());
    match commands.run(&command, &mut said, never).await {
        Ok(CommandEnd::Exited(0)) => Ok(said.0.into_iter().next().unwrap_or_default()),
        Ok(CommandEnd::Exited(126 | 127)) => Err(format!(
            "there is no `{program}` on this machine: {}",
            said.0.join(" ")
        )),
        Ok(CommandEnd::Exited(code)) => Err(format!(
            "`{program} --version` ended with exit code {code}: {}",
            said.0.join(" ")
        )),
        Ok(CommandEnd::Signalled(signal)) => Err(format!(
            "`{program} --version` was ended by signal {signal}"
        )),
        Err(error) => Err(format!("`{program} --version` could not be run: {error}")),
    }
}

fn write_inventory(
    spec: &AnsibleSpec,
    folder: &PrivateFolder,
    access: &ProxyAccess<'_>,
) -> Result<PathBuf, AnsibleError> {
    folder.folder("inventory")?;
    let vars = &spec.inventory.vars;
    for (name, target) in [("host_vars", &vars.hosts), ("group_vars", &vars.groups)] {
        if let Some(target) = target {
            folder.link(&format!("inventory/{name}"), target)?;
        }
    }
    let text = through_proxy(&spec.inventory.host, &spec.inventory.groups, access);
    folder.write("inventory/hosts.yml", text.as_bytes())
}

/// A file's name and its folder, from the root.
fn split(file: &Path) -> Result<(String, PathBuf), AnsibleError> {
    let failed = |why: String| AnsibleError::File {
        path: file.to_owned(),
        why,
    };
    let whole = std::fs::canonicalize(
        file.parent()
            .filter(|p| !p.as_os_str().is_empty())
            .unwrap_or(Path::new(".")),
    )
    .map_err(|error| failed(error.to_string()))?;
    let name = file
        .file_name()
        .and_then(|name| name.to_str())
        .ok_or_else(|| failed(String::from("its name is not UTF-8")))?;
    Ok((name.to_owned(), whole))
}

fn script(name: &str, line: &str) -> Script {
    Script {
        name: name.to_owned(),
        text: format!("#!/bin/sh\nexec {line}\n").into_bytes(),
    }
}

struct Commands<'a> {
    commands: &'a dyn LocalCommands,
    environment: Vec<(String, String)>,
    output: &'a mut dyn Output,
    stop: Shared<'a>,
}

impl Commands<'_> {
    async fn run(
        &mut self,
        name: &str,
        line: &str,
        folder: PathBuf,
    ) -> Result<CommandEnd, AnsibleError> {
        let command = LocalCommand {
            script: script(name, line),
            interpreter: None,
            errexit: true,
            environment: self.environment.clone(),
            folder,
        };
        let stop = Box::pin(self.stop.come());
        let ended = self.commands.run(&command, self.output, stop).await;
        ended.map_err(AnsibleError::Local)
    }
}

/// One stop for several commands.
struct Shared<'a> {
    stop: Stop<'a>,
    has_come: bool,
}

impl<'a> Shared<'a> {
    fn of(stop: Stop<'a>) -> Self {
        Self {
            stop,
            has_come: false,
        }
    }

    async fn come(&mut self) {
        if !self.has_come {
            self.stop.as_mut().await;
            self.has_come = true;
        }
    }
}

/// Keeps what a command says.
#[derive(Default)]
struct Said(Vec<String>);

impl Output for Said {
    fn line(&mut self, _: crate::event::OutputStream, line: &str) {
        if self.0.len() < 20 {
            self.0.push(line.to_owned());
        }
    }
}
