//! What is done to an instance.

use super::provisioner::Inner;
use super::{
    Ansible, AnsibleLocal, Breakpoint, Download, EnvName, FileMode, LocalFile, Located, Pause,
    Reboot, Retry, ScriptFile, TimeSpan, UserName, WaitFor,
};
use crate::template::{SecretTemplate, Template};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What an entry under `provision` does.
#[derive(Clone, Debug)]
pub enum Provisioner {
    /// Runs commands, on the instance or on the build host.
    Run(Run),
    /// Puts a file or a folder on the instance.
    Upload(Upload),
    /// Fetches a file or a folder from the instance.
    Download(Download),
    /// Restarts the instance's operating system.
    Reboot(Reboot),
    /// Waits until something is so.
    WaitFor(WaitFor),
    /// Waits for a time.
    Pause(Pause),
    /// Waits for a person.
    Breakpoint(Breakpoint),
    /// Runs a playbook from the build host.
    Ansible(Ansible),
    /// Runs a playbook inside the instance.
    AnsibleLocal(AnsibleLocal),
}

/// One thing to do. Exactly one of these keys stands in an entry.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ProvisionerFile {
    /// Runs commands, on the instance or on the build host.
    Run(Written<Run>),
    /// Puts a file or a folder on the instance.
    Upload(Written<Upload>),
    /// Fetches a file or a folder from the instance.
    Download(Download),
    /// Restarts the instance's operating system, and waits until it answers again.
    Reboot(Reboot),
    /// Waits until something is so.
    WaitFor(WaitFor),
    /// Waits for a time.
    Pause(Pause),
    /// Waits for a person.
    Breakpoint(Breakpoint),
    /// Runs a playbook from the build host.
    Ansible(Ansible),
    /// Runs a playbook inside the instance.
    AnsibleLocal(AnsibleLocal),
}

impl ProvisionerFile {
    /// What it does, and what it says inside that may also stand beside it.
    pub(crate) fn apart(self) -> (Provisioner, Inner) {
        let plain = |provisioner| (provisioner, Inner::default());
        match self {
            Self::Run(written) => {
                let (run, inner) = Inner::of(written);
                (Provisioner::Run(run), inner)
            }
            Self::Upload(written) => {
                let (upload, inner) = Inner::of(written);
                (Provisioner::Upload(upload), inner)
            }
            Self::Download(step) => plain(Provisioner::Download(step)),
            Self::Reboot(step) => plain(Provisioner::Reboot(step)),
            Self::WaitFor(step) => plain(Provisioner::WaitFor(step)),
            Self::Pause(step) => plain(Provisioner::Pause(step)),
            Self::Breakpoint(step) => plain(Provisioner::Breakpoint(step)),
            Self::Ansible(step) => plain(Provisioner::Ansible(step)),
            Self::AnsibleLocal(step) => plain(Provisioner::AnsibleLocal(step)),
        }
    }
}

impl Provisioner {
    /// What to call it in progress lines and errors where it has no name.
    pub fn label(&self) -> String {
        match self {
            Self::Run(run) => run.commands.label(),
            Self::Upload(upload) => format!("upload {}", upload.to.value),
            Self::Download(download) => format!("download {}", download.from.value),
            Self::Reboot(_) => String::from("reboot"),
            Self::WaitFor(wait) => wait.label(),
            Self::Pause(pause) => format!("pause {}", pause.length),
            Self::Breakpoint(_) => String::from("breakpoint"),
            Self::Ansible(ansible) => format!("ansible {}", ansible.playbook.written.value),
            Self::AnsibleLocal(ansible) => {
                format!("ansible_local {}", ansible.playbook.written.value)
            }
        }
    }

    /// The environment variables that it gives what it runs.
    pub fn environment(&self) -> Option<&BTreeMap<Located<EnvName>, SecretTemplate>> {
        match self {
            Self::Run(run) => Some(&run.env),
            Self::WaitFor(wait) => wait.environment(),
            Self::Upload(_)
            | Self::Download(_)
            | Self::Reboot(_)
            | Self::Pause(_)
            | Self::Breakpoint(_)
            | Self::Ansible(_)
            | Self::AnsibleLocal(_) => None,
        }
    }

    /// The files of the build host that it uses.
    pub fn files(&self) -> Vec<&LocalFile> {
        match self {
            Self::Run(run) => match &run.commands {
                Commands::Inline(_) => Vec::new(),
                Commands::Scripts(scripts) => scripts.iter().map(|script| &script.file).collect(),
            },
            Self::Upload(upload) => match &upload.what {
                UploadSource::File(file)
                | UploadSource::Folder(file)
                | UploadSource::Rendered { file, .. } => vec![file],
                UploadSource::Content(_) => Vec::new(),
            },
            Self::Ansible(ansible) => {
                let requirements = ansible.requirements.as_ref().map(|listed| &listed.file);
                let folders = [&ansible.host_vars, &ansible.group_vars];
                let beside = folders.into_iter().filter_map(Option::as_ref);
                std::iter::once(&ansible.playbook)
                    .chain(beside)
                    .chain(requirements)
                    .collect()
            }
            Self::AnsibleLocal(ansible) => {
                let requirements = ansible.requirements.as_ref().map(|listed| &listed.file);
                let named = [
                    &ansible.dir,
                    &ansible.inventory,
                    &ansible.host_vars,
                    &ansible.group_vars,
                ];
                let beside = named.into_iter().filter_map(Option::as_ref);
                std::iter::once(&ansible.playbook)
                    .chain(beside)
                    .chain(requirements)
                    .collect()
            }
            Self::Download(_)
            | Self::Reboot(_)
            | Self::WaitFor(_)
            | Self::Pause(_)
            | Self::Breakpoint(_) => Vec::new(),
        }
    }

    /// How long one attempt may take by its own timeouts. What has none counts as nothing: how long it takes is not known.
    fn longest_attempt(&self) -> Duration {
        match self {
            Self::Run(run) => {
                // The timeout is for each script, and for the boot that comes after one.
                let parts = run.commands.count() + usize::from(run.reboots);
                let parts = u32::try_from(parts).unwrap_or(u32::MAX);
                run.timeout
                    .map_or(Duration::ZERO, |each| each.get().saturating_mul(parts))
            }
            Self::Reboot(reboot) => reboot.timeout.get(),
            Self::WaitFor(wait) => wait.timeout.get(),
            Self::Pause(pause) => pause.length.get(),
            Self::Upload(_)
            | Self::Download(_)
            | Self::Breakpoint(_)
            | Self::Ansible(_)
            | Self::AnsibleLocal(_) => Duration::ZERO,
        }
    }

    /// The same for all attempts, with the pauses between them.
    pub(crate) fn longest(&self, retry: Option<Retry>) -> Duration {
        let once = self.longest_attempt();
        let again = retry.map_or(Duration::ZERO, |retry| {
            once.saturating_add(retry.delay.get())
                .saturating_mul(retry.times.get())
        });
        once.saturating_add(again)
    }

    /// Whether it may change what is in the instance, and with it the image. What only looks, waits or fetches does not.
    pub const fn changes_image(&self) -> bool {
        match self {
            Self::Run(_)
            | Self::Upload(_)
            | Self::Reboot(_)
            | Self::Ansible(_)
            | Self::AnsibleLocal(_) => true,
            Self::Download(_) | Self::WaitFor(_) | Self::Pause(_) | Self::Breakpoint(_) => false,
        }
    }
}

/// What a provisioner may require of its guest. On AWS it changes nothing; in a rehearsal, a provisioner whose needs
/// the guest does not meet is skipped and named.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Need {
    /// Red Hat Enterprise Linux with its package repositories.
    Rhel,
    /// Hosts on the internet.
    Internet,
}

impl Need {
    /// The word in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rhel => "rhel",
            Self::Internet => "internet",
        }
    }
}

/// Runs commands: exactly one of `inline`, `script` and `scripts`.
#[derive(Clone, Debug)]
pub struct Run {
    /// What to run.
    pub commands: Commands,
    /// Where to run it.
    pub place: Place,
    /// The user to run as; without it the login user.
    pub become_user: Option<Located<UserName>>,
    /// Whether a failing command ends the script (`set -e`, with `pipefail` where the shell has it).
    pub errexit: bool,
    /// Environment variables. They travel inside the SSH connection, never on a command line.
    pub env: BTreeMap<Located<EnvName>, SecretTemplate>,
    /// How long each script may take; without it, as long as it takes.
    pub timeout: Option<TimeSpan>,
    /// The exit codes that count as success.
    pub exit_codes: BTreeSet<u8>,
    /// The program to run it with, given the script on its standard input or as a file. Without it the script's own
    /// `#!` line decides, else `/bin/sh`.
    pub interpreter: Option<Located<String>>,
    /// Whether it restarts the instance at its end.
    pub reboots: bool,
}

/// Where commands run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// On the instance, over SSH.
    Instance,
    /// On the machine that runs qib, in the folder of the pipeline's file.
    BuildHost,
}

/// What a `run` runs.
#[derive(Clone, Debug)]
pub enum Commands {
    /// Commands written in the pipeline's file.
    Inline(Template),
    /// Script files, one after the other; at least one.
    Scripts(Vec<ScriptFile>),
}

impl Commands {
    /// What the three keys of a `run` come to.
    pub(crate) fn from_keys(
        inline: Option<Template>,
        script: Option<ScriptFile>,
        scripts: Option<Vec<ScriptFile>>,
    ) -> Result<Self, &'static str> {
        match (inline, script, scripts) {
            (Some(text), None, None) => Ok(Self::Inline(text)),
            (None, Some(script), None) => Ok(Self::Scripts(vec![script])),
            (None, None, Some(scripts)) if scripts.is_empty() => Err("`scripts` is empty"),
            (None, None, Some(scripts)) => Ok(Self::Scripts(scripts)),
            _ => Err("`run` has exactly one of `inline`, `script` and `scripts`"),
        }
    }

    /// How many scripts they are.
    pub fn count(&self) -> usize {
        match self {
            Self::Inline(_) => 1,
            Self::Scripts(scripts) => scripts.len(),
        }
    }

    /// What to call them in progress lines and errors.
    pub(crate) fn label(&self) -> String {
        match self {
            Self::Scripts(scripts) => {
                let names: Vec<_> = scripts.iter().map(|s| s.file.written.as_str()).collect();
                format!("run {}", names.join(", "))
            }
            Self::Inline(text) => format!("run {}", shortened(&text.source())),
        }
    }
}

/// The first line of `text` that holds something, at most 40 characters of it.
pub(crate) fn shortened(text: &str) -> String {
    let first = text
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or_default();
    let short: String = first.chars().take(40).collect();
    if short.len() < first.len() {
        format!("{short}…")
    } else {
        short
    }
}

/// A `run` or `upload` as it is written: these two may have their `name` and `needs` inside.
#[derive(Clone, Debug)]
pub(crate) struct Written<T> {
    pub(crate) what: T,
    pub(crate) name: Option<Located<String>>,
    pub(crate) needs: Vec<Located<Need>>,
}

/// Runs commands: exactly one of `inline`, `script` and `scripts`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Run")]
pub(crate) struct RunFile {
    /// What to call it in progress lines and errors.
    name: Option<Located<String>>,
    /// Commands, written here.
    inline: Option<Template>,
    /// A script's file, relative to the pipeline's file.
    script: Option<ScriptFile>,
    /// Several scripts' files, run one after the other.
    scripts: Option<Vec<ScriptFile>>,
    /// Whether to run it on the machine that runs qib instead of the instance, in the folder of the pipeline's file and
    /// with the environment of qib. It must then not say `become`.
    #[serde(default)]
    local: bool,
    /// The user to run as (through sudo); without it the login user.
    #[serde(rename = "become")]
    become_user: Option<Located<UserName>>,
    /// Whether a failing command ends the script (`set -e`, with `pipefail` where the shell has it).
    #[serde(default = "yes")]
    errexit: bool,
    /// Environment variables. They travel inside the SSH connection, never on a command line. Names that begin with
    /// `QIB_` are qib's own.
    #[serde(default)]
    env: BTreeMap<Located<EnvName>, SecretTemplate>,
    /// What it requires of its guest. On AWS it changes nothing; in a rehearsal it is skipped, and named, where the
    /// guest does not have it.
    #[serde(default)]
    needs: Vec<Located<Need>>,
    /// How long each script may take; without it, as long as it takes. The `timeout` beside `run` is for all of it.
    timeout: Option<TimeSpan>,
    /// The exit codes that count as success.
    #[serde(default = "zero")]
    exit_codes: BTreeSet<u8>,
    /// The program to run it with, for example `/bin/bash`. Without it the script's own `#!` line decides, else
    /// `/bin/sh`.
    interpreter: Option<Located<String>>,
    /// Whether the script restarts the instance at its end. The connection may then drop, and what follows waits until the
    /// instance has booted anew and answers with the same host key, for at most `timeout` (default 10m).
    #[serde(default)]
    reboots: bool,
}

pub(crate) const fn yes() -> bool {
    true
}

pub(crate) fn zero() -> BTreeSet<u8> {
    BTreeSet::from([0])
}

impl TryFrom<RunFile> for Written<Run> {
    type Error = &'static str;

    fn try_from(file: RunFile) -> Result<Self, Self::Error> {
        let commands = Commands::from_keys(file.inline, file.script, file.scripts)?;
        if file.exit_codes.is_empty() {
            return Err("with no `exit_codes` nothing can succeed");
        }
        let place = if file.local {
            Place::BuildHost
        } else {
            Place::Instance
        };
        if file.local && file.become_user.is_some() {
            return Err("`become` is for commands on the instance, and `local` runs them here");
        }
        if file.local && file.reboots {
            return Err("`reboots` is for commands on the instance, and `local` runs them here");
        }
        if file.reboots && commands.count() != 1 {
            return Err(
                "`reboots` goes with one script: after a dropped connection it could not be told which of several it was",
            );
        }
        Ok(Self {
            name: file.name,
            needs: file.needs,
            what: Run {
                commands,
                place,
                become_user: file.become_user,
                errexit: file.errexit,
                env: file.env,
                timeout: file.timeout,
                exit_codes: file.exit_codes,
                interpreter: file.interpreter,
                reboots: file.reboots,
            },
        })
    }
}

impl<'de> Deserialize<'de> for Written<Run> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        RunFile::deserialize(deserializer)?
            .try_into()
            .map_err(de::Error::custom)
    }
}

impl JsonSchema for Written<Run> {
    fn schema_name() -> Cow<'static, str> {
        "Run".into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        RunFile::json_schema(generator)
    }
}

/// Puts a file or a folder on the instance: exactly one of `from` and `content`.
#[derive(Clone, Debug)]
pub struct Upload {
    /// What to put there.
    pub what: UploadSource,
    /// Where to put it: relative to the login user's home, or absolute.
    pub to: Located<String>,
    /// The file's permissions. Without it those it has here; `content` gets 0644, or 0600 when it holds a secret.
    pub mode: Option<FileMode>,
    /// The user that owns it and whose rights write it; without it the login user.
    pub become_user: Option<Located<UserName>>,
}

/// What an upload puts on the instance.
#[derive(Clone, Debug)]
pub enum UploadSource {
    /// A file, as it is.
    File(LocalFile),
    /// A folder and all that is in it.
    Folder(LocalFile),
    /// A file whose `${{ … }}` are replaced: `template: true`.
    Rendered {
        /// Where the text stands.
        file: LocalFile,
        /// The text.
        text: SecretTemplate,
    },
    /// Text written in the pipeline's file.
    Content(SecretTemplate),
}

/// Puts a file or a folder on the instance: exactly one of `from` and `content`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Upload")]
pub(crate) struct UploadFile {
    /// A file, or a folder with a slash at its end, relative to the pipeline's file.
    from: Option<LocalFile>,
    /// The text to put there, for small files and secrets.
    content: Option<SecretTemplate>,
    /// Whether `${{ … }}` in the file named by `from` is replaced. The file must then be UTF-8 text.
    #[serde(default)]
    template: bool,
    /// Where to put it: relative to the login user's home, or absolute. A folder ends in a slash.
    to: Located<String>,
    /// The file's permissions in octal, for example `"0644"`. Without it those it has here; `content` gets 0644, or
    /// 0600 when it holds a secret.
    mode: Option<FileMode>,
    /// What it requires of its guest.
    #[serde(default)]
    needs: Vec<Located<Need>>,
    /// The user that owns it and whose rights write it; without it the login user.
    #[serde(rename = "become")]
    become_user: Option<Located<UserName>>,
}

impl TryFrom<UploadFile> for Written<Upload> {
    type Error = &'static str;

    fn try_from(file: UploadFile) -> Result<Self, Self::Error> {
        let what = match (file.from, file.content, file.template) {
            (Some(from), None, true) => {
                let text = SecretTemplate::unread(from.written.span);
                UploadSource::Rendered { file: from, text }
            }
            (Some(from), None, false) if from.is_written_as_folder() => UploadSource::Folder(from),
            (Some(from), None, false) => UploadSource::File(from),
            (None, Some(content), false) => UploadSource::Content(content),
            (None, Some(_), true) => {
                return Err("`template` goes with `from`; `content` is always a template");
            }
            _ => return Err("`upload` has exactly one of `from` and `content`"),
        };
        Ok(Self {
            name: None,
            needs: file.needs,
            what: Upload {
                what,
                to: file.to,
                mode: file.mode,
                become_user: file.become_user,
            },
        })
    }
}

impl<'de> Deserialize<'de> for Written<Upload> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        UploadFile::deserialize(deserializer)?
            .try_into()
            .map_err(de::Error::custom)
    }
}

impl JsonSchema for Written<Upload> {
    fn schema_name() -> Cow<'static, str> {
        "Upload".into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        UploadFile::json_schema(generator)
    }
}
