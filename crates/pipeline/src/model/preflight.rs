//! What is done on the machine that runs qib before anything is created.

use super::entry::{entry, entry_schema};
use super::provision::{Written, yes, zero};
use super::provisioner::Inner;
use super::{
    Commands, EnvName, Later, LocalFile, Located, Need, Place, Retry, Run, ScriptFile, TimeSpan,
    Vantage, WaitCondition, WaitFor,
};
use crate::Span;
use crate::template::{Condition, SecretTemplate, Template};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{self, Deserialize, Deserializer};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// One entry under `preflight`.
#[derive(Clone, Debug)]
pub struct PreflightEntry {
    /// What it does.
    pub value: PreflightAction,
    /// Where the entry stands.
    pub span: Span,
    /// What to call it in progress lines and errors.
    pub name: Option<Located<String>>,
    /// What it requires.
    pub needs: Vec<Located<Need>>,
    /// How long all of it may take, every attempt and the pauses between them; without it, as long as it takes.
    pub timeout: Option<TimeSpan>,
    /// How often it is tried again after a failure; without it, never.
    pub retry: Option<Retry>,
}

/// What an entry under `preflight` does.
#[derive(Clone, Debug)]
pub enum PreflightAction {
    /// Runs commands on this machine; its place is always [`Place::BuildHost`].
    Run {
        /// What, and how.
        run: Run,
        /// The files and folders that must be there afterwards, and not be empty.
        creates: Vec<LocalFile>,
    },
    /// Waits until something is so.
    WaitFor(WaitFor),
}

impl PreflightEntry {
    /// What to call it in progress lines and errors: its `name`, else what it does.
    pub fn label(&self) -> String {
        match (&self.name, &self.value) {
            (Some(name), _) => name.value.clone(),
            (None, PreflightAction::Run { run, .. }) => run.commands.label(),
            (None, PreflightAction::WaitFor(wait)) => wait.label(),
        }
    }

    /// The environment variables that it gives what it runs.
    pub fn environment(&self) -> Option<&BTreeMap<Located<EnvName>, SecretTemplate>> {
        match &self.value {
            PreflightAction::Run { run, .. } => Some(&run.env),
            PreflightAction::WaitFor(wait) => wait.environment(),
        }
    }

    /// The files and folders that it makes.
    pub fn creates(&self) -> &[LocalFile] {
        match &self.value {
            PreflightAction::Run { creates, .. } => creates,
            PreflightAction::WaitFor(_) => &[],
        }
    }
}

/// Runs commands on the machine that runs qib, in the folder of the pipeline's file: exactly one of `inline`, `script`
/// and `scripts`.
#[derive(serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "PreflightRun")]
struct PreflightRunFile {
    /// What to call it in progress lines and errors.
    name: Option<Located<String>>,
    /// Commands, written here.
    inline: Option<Template>,
    /// A script's file, relative to the pipeline's file.
    script: Option<ScriptFile>,
    /// Several scripts' files, run one after the other.
    scripts: Option<Vec<ScriptFile>>,
    /// Files that it makes, relative to the pipeline's file, and folders, with a slash at their end: they must be there
    /// afterwards and not be empty. Scripts, uploads and other files that the stages name need not be there before.
    #[serde(default)]
    creates: Vec<LocalFile>,
    /// Whether a failing command ends the script (`set -e`, with `pipefail` where the shell has it).
    #[serde(default = "yes")]
    errexit: bool,
    /// Environment variables, besides qib's own. Names that begin with `QIB_` are qib's own.
    #[serde(default)]
    env: BTreeMap<Located<EnvName>, SecretTemplate>,
    /// What it requires. On AWS it changes nothing; in a rehearsal it is skipped, and named.
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
}

struct PreflightRun {
    run: Run,
    creates: Vec<LocalFile>,
}

impl TryFrom<PreflightRunFile> for Written<PreflightRun> {
    type Error = &'static str;

    fn try_from(file: PreflightRunFile) -> Result<Self, Self::Error> {
        let commands = Commands::from_keys(file.inline, file.script, file.scripts)?;
        if file.exit_codes.is_empty() {
            return Err("with no `exit_codes` nothing can succeed");
        }
        Ok(Self {
            name: file.name,
            needs: file.needs,
            what: PreflightRun {
                run: Run {
                    commands,
                    place: Place::BuildHost,
                    become_user: None,
                    errexit: file.errexit,
                    env: file.env,
                    timeout: file.timeout,
                    exit_codes: file.exit_codes,
                    interpreter: file.interpreter,
                    reboots: false,
                },
                creates: file.creates,
            },
        })
    }
}

impl<'de> Deserialize<'de> for Written<PreflightRun> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        PreflightRunFile::deserialize(deserializer)?
            .try_into()
            .map_err(de::Error::custom)
    }
}

impl JsonSchema for Written<PreflightRun> {
    fn schema_name() -> Cow<'static, str> {
        "PreflightRun".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        PreflightRunFile::json_schema(generator)
    }
}

/// One thing to do before the stages begin.
#[derive(serde::Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum PreflightFile {
    /// Runs commands on the machine that runs qib.
    Run(Written<PreflightRun>),
    /// Waits until something is so: `http` asked from this machine, or a `command` run on it.
    WaitFor(WaitFor),
}

/// The keys of [`Beside`].
const BESIDE: &[&str] = &["when", "name", "needs", "timeout", "retry"];

/// What may stand beside it.
#[derive(serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Beside {
    /// The condition on which the entry is there at all: `vars.size != '8'`.
    #[serde(rename = "when")]
    _when: Option<Later<Condition>>,
    /// What to call it in progress lines and errors.
    name: Option<Located<String>>,
    /// What it requires. On AWS it changes nothing; in a rehearsal it is skipped, and named.
    #[serde(default)]
    needs: Vec<Located<Need>>,
    /// How long all of it may take, every attempt and the pauses between them; without it, as long as it takes.
    timeout: Option<TimeSpan>,
    /// How often it is tried again after a failure, each time from the start: a number, or `{ times: 3, delay: 10s }`.
    retry: Option<Retry>,
}

impl<'de> Deserialize<'de> for PreflightEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (beside, kind) = entry::<D, Beside, PreflightFile>(deserializer, BESIDE)?;
        let (value, inner) = match kind.value {
            PreflightFile::Run(written) => {
                let (PreflightRun { run, creates }, inner) = Inner::of(written);
                (PreflightAction::Run { run, creates }, inner)
            }
            PreflightFile::WaitFor(wait) => {
                needs_no_instance(&wait.condition).map_err(de::Error::custom)?;
                (PreflightAction::WaitFor(wait), Inner::default())
            }
        };
        let Inner { name, needs } = inner
            .joined(beside.name, beside.needs)
            .map_err(de::Error::custom)?;
        Ok(Self {
            value,
            span: kind.span,
            name,
            needs,
            timeout: beside.timeout,
            retry: beside.retry,
        })
    }
}

fn needs_no_instance(condition: &WaitCondition) -> Result<(), &'static str> {
    match condition {
        WaitCondition::Http(check) if check.from.value == Vantage::Instance => {
            Err("there is no instance before the stages begin: only `from: host`")
        }
        WaitCondition::Command(check) if check.become_user.is_some() => Err(
            "`become` is for commands on an instance, and there is none before the stages begin",
        ),
        WaitCondition::CloudInit | WaitCondition::Port(_) => Err(
            "there is no instance before the stages begin: `wait_for` has `http` or `command` here",
        ),
        WaitCondition::Http(_) | WaitCondition::Command(_) => Ok(()),
    }
}

impl JsonSchema for PreflightEntry {
    fn schema_name() -> Cow<'static, str> {
        "Preflight".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        entry_schema::<Beside, PreflightFile>(
            "One thing to do on the machine that runs qib before anything is created.",
            generator,
        )
    }
}
