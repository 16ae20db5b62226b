//! What is done to an instance.

use super::entry::{entry, entry_schema};
use super::{EnvName, FileMode, Later, LocalFile, Located, ScriptFile, TimeSpan, UserName};
use crate::Span;
use crate::template::{Condition, SecretTemplate, Template};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Deref, DerefMut};

/// One entry under `provision`: what to do, and what stands beside it.
#[derive(Clone, Debug)]
pub struct ProvisionerEntry {
    /// What to do.
    pub value: Provisioner,
    /// Where the entry stands.
    pub span: Span,
}

/// The keys of [`BesideProvisioner`].
const BESIDE: &[&str] = &["when"];

/// What may stand beside a provisioner's kind.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct BesideProvisioner {
    /// The condition on which the entry is there at all: `matrix.virt == 'hvm' && vars.size != '8'`.
    #[serde(rename = "when")]
    _when: Option<Later<Condition>>,
}

impl<'de> Deserialize<'de> for ProvisionerEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (BesideProvisioner { _when }, kind) = entry(deserializer, BESIDE)?;
        let Located { value, span } = kind;
        Ok(Self { value, span })
    }
}

impl JsonSchema for ProvisionerEntry {
    fn schema_name() -> Cow<'static, str> {
        "Provisioner".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        entry_schema::<BesideProvisioner, Provisioner>(
            "One thing to do, or a step set's; with what stands beside it.",
            generator,
        )
    }
}

impl Deref for ProvisionerEntry {
    type Target = Provisioner;
    fn deref(&self) -> &Provisioner {
        &self.value
    }
}

impl DerefMut for ProvisionerEntry {
    fn deref_mut(&mut self) -> &mut Provisioner {
        &mut self.value
    }
}

/// What an entry under `provision` does.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Provisioner {
    /// Runs commands on the instance.
    Run(Run),
    /// Puts a file or a folder on the instance.
    Upload(Upload),
}

impl Provisioner {
    /// What the provisioner requires of its guest.
    pub fn needs(&self) -> &[Located<Need>] {
        match self {
            Self::Run(run) => &run.needs,
            Self::Upload(upload) => &upload.needs,
        }
    }

    /// What to call it in progress lines and errors: its `name`, else what it runs or uploads.
    pub fn label(&self) -> String {
        match self {
            Self::Run(run) => match (&run.name, &run.commands) {
                (Some(name), _) => name.value.clone(),
                (None, Commands::Scripts(scripts)) => {
                    let names: Vec<_> = scripts.iter().map(|s| s.file.written.as_str()).collect();
                    format!("run {}", names.join(", "))
                }
                (None, Commands::Inline(text)) => {
                    let text = text.source();
                    let first = text
                        .lines()
                        .map(str::trim)
                        .find(|line| !line.is_empty())
                        .unwrap_or_default();
                    let short: String = first.chars().take(40).collect();
                    if short.len() < first.len() {
                        format!("run {short}…")
                    } else {
                        format!("run {short}")
                    }
                }
            },
            Self::Upload(upload) => format!("upload {}", upload.to.value),
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

/// Runs commands on the instance: exactly one of `inline`, `script` and `scripts`.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "RunFile")]
pub struct Run {
    /// What to call it in progress lines and errors.
    pub name: Option<Located<String>>,
    /// What to run.
    pub commands: Commands,
    /// The user to run as; without it the login user.
    pub become_user: Option<Located<UserName>>,
    /// Whether a failing command ends the script (`set -e`, with `pipefail` where the shell has it).
    pub errexit: bool,
    /// Environment variables. They travel inside the SSH connection, never on a command line.
    pub env: BTreeMap<Located<EnvName>, SecretTemplate>,
    /// What it requires of its guest.
    pub needs: Vec<Located<Need>>,
    /// How long it may take; without it, as long as it takes.
    pub timeout: Option<TimeSpan>,
    /// The exit codes that count as success.
    pub exit_codes: BTreeSet<u8>,
    /// The program to run it with, given the script on its standard input or as a file. Without it the script's own
    /// `#!` line decides, else `/bin/sh`.
    pub interpreter: Option<Located<String>>,
}

/// What a `run` runs.
#[derive(Clone, Debug)]
pub enum Commands {
    /// Commands written in the pipeline's file.
    Inline(Template),
    /// Script files, one after the other; at least one.
    Scripts(Vec<ScriptFile>),
}

/// Runs commands on the instance: exactly one of `inline`, `script` and `scripts`.
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
    /// The user to run as (through sudo); without it the login user.
    #[serde(rename = "become")]
    become_user: Option<Located<UserName>>,
    /// Whether a failing command ends the script (`set -e`, with `pipefail` where the shell has it).
    #[serde(default = "yes")]
    errexit: bool,
    /// Environment variables. They travel inside the SSH connection, never on a command line.
    #[serde(default)]
    env: BTreeMap<Located<EnvName>, SecretTemplate>,
    /// What it requires of its guest. On AWS it changes nothing; in a rehearsal it is skipped, and named, where the
    /// guest does not have it.
    #[serde(default)]
    needs: Vec<Located<Need>>,
    /// How long it may take; without it, as long as it takes.
    timeout: Option<TimeSpan>,
    /// The exit codes that count as success.
    #[serde(default = "zero")]
    exit_codes: BTreeSet<u8>,
    /// The program to run it with, for example `/bin/bash`. Without it the script's own `#!` line decides, else
    /// `/bin/sh`.
    interpreter: Option<Located<String>>,
}

const fn yes() -> bool {
    true
}

fn zero() -> BTreeSet<u8> {
    BTreeSet::from([0])
}

impl TryFrom<RunFile> for Run {
    type Error = &'static str;

    fn try_from(file: RunFile) -> Result<Self, Self::Error> {
        let commands = match (file.inline, file.script, file.scripts) {
            (Some(text), None, None) => Commands::Inline(text),
            (None, Some(script), None) => Commands::Scripts(vec![script]),
            (None, None, Some(scripts)) if scripts.is_empty() => return Err("`scripts` is empty"),
            (None, None, Some(scripts)) => Commands::Scripts(scripts),
            _ => return Err("`run` has exactly one of `inline`, `script` and `scripts`"),
        };
        if file.exit_codes.is_empty() {
            return Err("with no `exit_codes` nothing can succeed");
        }
        Ok(Self {
            name: file.name,
            commands,
            become_user: file.become_user,
            errexit: file.errexit,
            env: file.env,
            needs: file.needs,
            timeout: file.timeout,
            exit_codes: file.exit_codes,
            interpreter: file.interpreter,
        })
    }
}

impl JsonSchema for Run {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Run".into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        RunFile::json_schema(generator)
    }
}

/// Puts a file or a folder on the instance: exactly one of `from` and `content`.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "UploadFile")]
pub struct Upload {
    /// What to put there.
    pub what: UploadSource,
    /// Where to put it: relative to the login user's home, or absolute.
    pub to: Located<String>,
    /// The file's permissions. Without it those it has here; `content` gets 0644, or 0600 when it holds a secret.
    pub mode: Option<FileMode>,
    /// What it requires of its guest.
    pub needs: Vec<Located<Need>>,
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

impl TryFrom<UploadFile> for Upload {
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
            what,
            to: file.to,
            mode: file.mode,
            needs: file.needs,
            become_user: file.become_user,
        })
    }
}

impl JsonSchema for Upload {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Upload".into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        UploadFile::json_schema(generator)
    }
}
