//! A playbook that runs inside the guest, on itself.
//!
//! ```text
//!   STAGING/                 0700, the login user's
//!     play/                  the playbook's folder
//!     inventory/             hosts.yml or the user's own file, host_vars/, group_vars/
//!     extra-vars.json        0600
//!     requirements/          the requirements file and the archives that it names
//!     installed/             what ansible-galaxy made of them
//!     tmp/                   Ansible's own temporary files
//! ```

use super::call::{USUAL_COLLECTIONS, USUAL_ROLES, environment, galaxy_line, playbook_line};
use super::inventory::of_itself;
use super::{AnsibleError, PlaybookEnd};
use crate::event::OutputStream;
use crate::guest::{CommandEnd, GuestCommand, GuestSession, Output, Script, SessionError};
use crate::spec::{AnsibleLocalSpec, GalaxySpec, LocalInventory};
use std::path::Path;

/// What makes the folder, all or nothing. That it is new is what keeps another user of the guest from having prepared it.
const MAKE: &str = r#"#!/bin/sh
set -eu
umask 077
[ -z "$QIB_PARENT" ] || mkdir -p "$QIB_PARENT"
mkdir "$QIB_STAGING"
cd "$QIB_STAGING"
mkdir play inventory requirements installed tmp
"#;

/// What removes it. Being gone already is as good.
const REMOVE: &str = r#"#!/bin/sh
set -eu
rm -rf "$QIB_STAGING"
[ ! -e "$QIB_STAGING" ]
"#;

/// The folder in the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Staging {
    parent: String,
    path: String,
}

impl Staging {
    /// One that nobody can guess, so that nobody is there before.
    pub fn unguessable(spec: &AnsibleLocalSpec) -> Self {
        let name = format!(".qib-ansible-{}", ssh::ScriptId::random().as_str());
        let parent = spec.staging.clone().unwrap_or_default();
        let path = match parent.trim_end_matches('/') {
            // The root keeps its slash.
            "" if parent.starts_with('/') => format!("/{name}"),
            "" => name,
            parent => format!("{parent}/{name}"),
        };
        Self { parent, path }
    }

    /// Its path in the guest, relative to the login user's home or absolute.
    pub fn path(&self) -> &str {
        &self.path
    }

    fn at(&self, rest: &str) -> String {
        format!("{}/{rest}", self.path)
    }
}

/// Uploads everything and runs the playbook. Whatever comes of it, [`remove`] is to follow.
///
/// # Errors
/// If it could not be begun or its end is not known. A playbook that fails is no error but an end.
pub async fn run(
    spec: &AnsibleLocalSpec,
    staging: &Staging,
    session: &dyn GuestSession,
    pty: bool,
    output: &mut dyn Output,
) -> Result<PlaybookEnd, AnsibleError> {
    in_staging(staging, session, "making the folder for the playbook", MAKE).await?;
    let uploading = AnsibleError::session;
    session
        .upload_directory(&spec.folder, &staging.at("play/"))
        .await
        .map_err(uploading("uploading the playbook's folder"))?;
    let inventory = upload_inventory(spec, staging, session).await?;
    let mut leading = vec![
        String::from("-i"),
        format!("../inventory/{inventory}"),
        String::from("-c"),
        String::from("local"),
    ];
    if !spec.call.extra_vars.is_empty() {
        let text = serde_json::Value::Object(spec.call.extra_vars.clone()).to_string();
        session
            .upload_bytes(text.as_bytes(), &staging.at("extra-vars.json"), 0o600)
            .await
            .map_err(uploading("uploading the extra variables"))?;
        leading.extend([String::from("-e"), String::from("@../extra-vars.json")]);
    }
    if let Some(galaxy) = &spec.call.galaxy {
        let requirements = upload_requirements(galaxy, staging, session).await?;
        let line = galaxy_line(&spec.program, galaxy, &requirements);
        let script = script(spec, staging, "ansible-galaxy", "requirements", &line);
        let end = session.run(&command(script, false), output).await;
        match end.map_err(AnsibleError::session("running ansible-galaxy"))? {
            CommandEnd::Exited(0) => {}
            end => return Ok(PlaybookEnd::Galaxy(end)),
        }
    }
    let playbook = spec.playbook.display().to_string();
    let line = playbook_line(&spec.program, &leading, &spec.call, &playbook);
    let script = script(spec, staging, "ansible-playbook", "play", &line);
    let end = session.run(&command(script, pty), output).await;
    Ok(
        match end.map_err(AnsibleError::session("running ansible-playbook"))? {
            CommandEnd::Exited(0) => PlaybookEnd::Well,
            end => PlaybookEnd::Playbook(end),
        },
    )
}

/// Removes the folder and all that is in it.
///
/// # Errors
/// If something of it is left, or nobody knows.
pub async fn remove(staging: &Staging, session: &dyn GuestSession) -> Result<(), AnsibleError> {
    in_staging(
        staging,
        session,
        "removing the playbook's folder from the guest",
        REMOVE,
    )
    .await
}

async fn in_staging(
    staging: &Staging,
    session: &dyn GuestSession,
    doing: &'static str,
    text: &str,
) -> Result<(), AnsibleError> {
    let mut said = Said::default();
    let command = GuestCommand {
        script: Script {
            name: String::from("ansible-staging"),
            text: text.as_bytes().to_vec(),
        },
        environment: vec![
            (String::from("QIB_PARENT"), staging.parent.clone()),
            (String::from("QIB_STAGING"), staging.path.clone()),
        ],
        ..GuestCommand::default()
    };
    match session.run(&command, &mut said).await {
        Ok(CommandEnd::Exited(0)) => Ok(()),
        Ok(end) => Err(AnsibleError::Staging {
            doing,
            end,
            said: said.0,
        }),
        Err(error) => Err(AnsibleError::Session { doing, error }),
    }
}

/// Gives the inventory's file name.
async fn upload_inventory(
    spec: &AnsibleLocalSpec,
    staging: &Staging,
    session: &dyn GuestSession,
) -> Result<String, AnsibleError> {
    let failed = || AnsibleError::session("uploading the inventory");
    for (name, folder) in [
        ("host_vars", &spec.vars.hosts),
        ("group_vars", &spec.vars.groups),
    ] {
        if let Some(folder) = folder {
            let to = staging.at(&format!("inventory/{name}/"));
            session
                .upload_directory(folder, &to)
                .await
                .map_err(failed())?;
        }
    }
    match &spec.inventory {
        LocalInventory::Made { host, groups } => {
            let text = of_itself(host, groups);
            let to = staging.at("inventory/hosts.yml");
            session
                .upload_bytes(text.as_bytes(), &to, 0o600)
                .await
                .map_err(failed())?;
            Ok(String::from("hosts.yml"))
        }
        LocalInventory::File(path) => {
            let name = name_of(path)?;
            let to = staging.at(&format!("inventory/{name}"));
            session
                .upload_file(path, &to, None)
                .await
                .map_err(failed())?;
            Ok(name)
        }
    }
}

/// Gives the requirements file's name.
async fn upload_requirements(
    galaxy: &GalaxySpec,
    staging: &Staging,
    session: &dyn GuestSession,
) -> Result<String, AnsibleError> {
    let failed = || AnsibleError::session("uploading the requirements");
    let name = name_of(&galaxy.requirements)?;
    let to = staging.at(&format!("requirements/{name}"));
    let uploaded = session.upload_file(&galaxy.requirements, &to, None).await;
    uploaded.map_err(failed())?;
    for (written, path) in &galaxy.archives {
        let to = staging.at(&format!(
            "requirements/{}",
            written.trim_start_matches("./")
        ));
        let uploaded = if path.is_dir() {
            session.upload_directory(path, &format!("{to}/")).await
        } else {
            session.upload_file(path, &to, None).await
        };
        uploaded.map_err(failed())?;
    }
    Ok(name)
}

fn name_of(path: &Path) -> Result<String, AnsibleError> {
    let name = path.file_name().and_then(|name| name.to_str());
    name.map(str::to_owned).ok_or_else(|| AnsibleError::File {
        path: path.to_owned(),
        why: String::from("its name is not UTF-8"),
    })
}

/// A script that runs `line` in a folder of the staging.
fn script(
    spec: &AnsibleLocalSpec,
    staging: &Staging,
    name: &str,
    folder: &str,
    line: &str,
) -> Script {
    // `pip install --user` puts programs into a folder that a command over SSH does not have on its path.
    let mut text = format!(
        "#!/bin/sh\nexport PATH=\"$PATH:$HOME/.local/bin\"\ncd {} || exit 1\nhere=$PWD\n",
        ssh::shell_quote(&staging.path)
    );
    for (name, value) in environment() {
        text.push_str(&format!("export {name}={}\n", ssh::shell_quote(&value)));
    }
    if spec.call.galaxy.is_some() {
        text.push_str(&format!(
            "export ANSIBLE_ROLES_PATH=\"$here/installed/roles:\"{}\n\
             export ANSIBLE_COLLECTIONS_PATH=\"$here/installed/collections:\"{}\n",
            ssh::shell_quote(USUAL_ROLES),
            ssh::shell_quote(USUAL_COLLECTIONS),
        ));
    }
    text.push_str(&format!(
        "export ANSIBLE_LOCAL_TEMP=\"$here/tmp\" ANSIBLE_GALAXY_CACHE_DIR=\"$here/tmp\"\n\
         cd {folder} || exit 1\nexec {line}\n"
    ));
    Script {
        name: name.to_owned(),
        text: text.into_bytes(),
    }
}

fn command(script: Script, pty: bool) -> GuestCommand {
    GuestCommand {
        script,
        errexit: true,
        pty,
        ..GuestCommand::default()
    }
}

/// Whether the connection was lost, rather than something refused.
pub fn is_lost(error: &AnsibleError) -> bool {
    matches!(
        error,
        AnsibleError::Session {
            error: SessionError::ConnectionLost(_),
            ..
        }
    )
}

/// Keeps what a script says.
#[derive(Default)]
struct Said(Vec<String>);

impl Output for Said {
    fn line(&mut self, _: OutputStream, line: &str) {
        if self.0.len() < 20 {
            self.0.push(line.to_owned());
        }
    }
}
