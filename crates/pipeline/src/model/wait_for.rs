//! Waiting until something is so.

use super::provision::shortened;
use super::reboot::ten_minutes;
use super::{EnvName, HeaderName, JsonPath, Located, TimeSpan, UserName};
use crate::template::{SecretTemplate, Template};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Waits until something is so: exactly one of `http`, `command`, `cloud_init` and `port`.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "WaitForFile")]
pub struct WaitFor {
    /// What is waited for.
    pub condition: WaitCondition,
    /// How long to wait between two looks.
    pub every: TimeSpan,
    /// How long to wait at most; then it is a failure.
    pub timeout: TimeSpan,
}

/// What is waited for.
#[derive(Clone, Debug)]
pub enum WaitCondition {
    /// An HTTP answer.
    Http(HttpCheck),
    /// A command that ends with exit code 0.
    Command(CommandCheck),
    /// The end of cloud-init's first boot on the instance.
    CloudInit,
    /// A TCP port that something on the instance listens on.
    Port(u16),
}

impl WaitFor {
    /// The environment variables of its command.
    pub(crate) fn environment(&self) -> Option<&BTreeMap<Located<EnvName>, SecretTemplate>> {
        match &self.condition {
            WaitCondition::Command(check) => Some(&check.env),
            WaitCondition::Http(_) | WaitCondition::CloudInit | WaitCondition::Port(_) => None,
        }
    }

    /// What to call it in progress lines and errors.
    pub(crate) fn label(&self) -> String {
        match &self.condition {
            WaitCondition::Http(check) => format!("wait for {}", check.url.source()),
            WaitCondition::Command(check) => {
                format!("wait for {}", shortened(&check.command.source()))
            }
            WaitCondition::CloudInit => String::from("wait for cloud-init"),
            WaitCondition::Port(port) => format!("wait for port {port}"),
        }
    }
}

/// A command that is run until it succeeds.
#[derive(Clone, Debug)]
pub struct CommandCheck {
    /// Shell text.
    pub command: Template,
    /// The user to run as; without it the login user.
    pub become_user: Option<Located<UserName>>,
    /// Environment variables.
    pub env: BTreeMap<Located<EnvName>, SecretTemplate>,
}

/// An HTTP answer to wait for. Redirections are not followed, and no proxy is used.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpCheck {
    /// What to ask for with GET: `https://…`, or `http://…`.
    pub url: Template,
    /// The status that is waited for.
    #[serde(default = "ok")]
    #[schemars(range(min = 100, max = 599))]
    pub status: Located<u16>,
    /// Header fields to send. They may hold secrets where the URL is `https://` or this machine's own.
    #[serde(default)]
    pub headers: BTreeMap<Located<HeaderName>, SecretTemplate>,
    /// What the answer must hold besides.
    pub json: Option<JsonCondition>,
    /// Who asks.
    #[serde(default)]
    pub from: Located<Vantage>,
}

fn ok() -> Located<u16> {
    Located::new(200, crate::Span::START)
}

/// Who asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Vantage {
    /// The machine that runs qib.
    #[default]
    Host,
    /// The instance, with its own `curl`, else its Python.
    Instance,
}

/// What a JSON answer must hold: exactly one of `equals` and `contains`.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "JsonConditionFile")]
pub struct JsonCondition {
    /// Where to look.
    pub path: JsonPath,
    /// What must be there.
    pub wanted: Wanted,
}

/// What must be at one of the places.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// This text, or a number or boolean that is written so.
    Equals(Template),
    /// A text with this in it, or a list with an item that equals it.
    Contains(Template),
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "JsonCondition")]
struct JsonConditionFile {
    /// Where to look: `nodes[*].version`, where `[*]` stands for any item of a list, or a JSON pointer such as
    /// `/nodes/0/version`. Of several places, one that is as wanted is enough.
    path: JsonPath,
    /// The text that is wanted there; a number or boolean counts as it is written.
    equals: Option<Template>,
    /// A part of the text that is wanted there, or an item of the list.
    contains: Option<Template>,
}

impl TryFrom<JsonConditionFile> for JsonCondition {
    type Error = &'static str;

    fn try_from(file: JsonConditionFile) -> Result<Self, Self::Error> {
        let wanted = match (file.equals, file.contains) {
            (Some(text), None) => Wanted::Equals(text),
            (None, Some(text)) => Wanted::Contains(text),
            _ => return Err("`json` has exactly one of `equals` and `contains`"),
        };
        Ok(Self {
            path: file.path,
            wanted,
        })
    }
}

impl JsonSchema for JsonCondition {
    fn schema_name() -> Cow<'static, str> {
        "JsonCondition".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        JsonConditionFile::json_schema(generator)
    }
}

/// Waits until something is so: exactly one of `http`, `command`, `cloud_init` and `port`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "WaitFor")]
struct WaitForFile {
    /// An HTTP answer.
    http: Option<HttpCheck>,
    /// Shell text that ends with exit code 0: run on the instance, and under `preflight` on the machine that runs qib.
    command: Option<Template>,
    /// `true`: the end of cloud-init's boot on the instance. A cloud-init that failed, is off or is not there is a
    /// failure.
    cloud_init: Option<bool>,
    /// A TCP port on which something on the instance listens.
    #[schemars(range(min = 1, max = 65535))]
    port: Option<Located<u32>>,
    /// The user to run `command` as (through sudo); without it the login user.
    #[serde(rename = "become")]
    become_user: Option<Located<UserName>>,
    /// Environment variables of `command`.
    env: Option<BTreeMap<Located<EnvName>, SecretTemplate>>,
    /// How long to wait between two looks.
    #[serde(default = "ten_seconds")]
    every: TimeSpan,
    /// How long to wait at most.
    #[serde(default = "ten_minutes")]
    timeout: TimeSpan,
}

const fn ten_seconds() -> TimeSpan {
    TimeSpan::from_secs(10)
}

impl TryFrom<WaitForFile> for WaitFor {
    type Error = &'static str;

    fn try_from(file: WaitForFile) -> Result<Self, Self::Error> {
        let of_command = file.become_user.is_some() || file.env.is_some();
        let condition = match (file.http, file.command, file.cloud_init, file.port) {
            (None, Some(command), None, None) => WaitCondition::Command(CommandCheck {
                command,
                become_user: file.become_user,
                env: file.env.unwrap_or_default(),
            }),
            _ if of_command => return Err("`become` and `env` of `wait_for` go with `command`"),
            (Some(http), None, None, None) => WaitCondition::Http(http),
            (None, None, Some(true), None) => WaitCondition::CloudInit,
            (None, None, Some(false), None) => {
                return Err("`cloud_init: false` waits for nothing; leave the entry out");
            }
            (None, None, None, Some(port)) => match u16::try_from(port.value) {
                Ok(port) if port != 0 => WaitCondition::Port(port),
                Ok(_) | Err(_) => return Err("a TCP port is a number from 1 to 65535"),
            },
            _ => {
                return Err(
                    "`wait_for` has exactly one of `http`, `command`, `cloud_init` and `port`",
                );
            }
        };
        Ok(Self {
            condition,
            every: file.every,
            timeout: file.timeout,
        })
    }
}

impl JsonSchema for WaitFor {
    fn schema_name() -> Cow<'static, str> {
        "WaitFor".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        WaitForFile::json_schema(generator)
    }
}
