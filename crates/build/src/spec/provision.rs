//! What is done inside a cell's instance, and around it.

use super::{AnsibleLocalSpec, AnsibleSpec};
use pipeline::model::{HeaderName, JsonPath};
use std::path::PathBuf;
use std::time::Duration;

/// One provisioner.
#[derive(Clone, Debug)]
pub struct ProvisionerSpec {
    /// What it is called in output and errors.
    pub name: String,
    /// What it requires of the guest.
    pub needs: Vec<String>,
    /// What it does.
    pub action: ActionSpec,
    /// When, and how often.
    pub schedule: ScheduleSpec,
}

/// When a provisioner is done, and how often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScheduleSpec {
    /// How long to wait before it.
    pub pause_before: Option<Duration>,
    /// How long all attempts may take together; none for as long as they take.
    pub timeout: Option<Duration>,
    /// How often it is tried again after a failure.
    pub retries: u32,
    /// How long to wait before each of them.
    pub delay: Duration,
    /// How long it may take by its own timeouts; nothing where it has none.
    pub longest: Duration,
}

/// What a provisioner does.
#[derive(Clone, Debug)]
pub enum ActionSpec {
    /// Runs scripts in the guest, one after another.
    Run(RunSpec),
    /// Runs scripts on the machine that runs qib, one after another.
    Local(RunSpec),
    /// Uploads.
    Upload(UploadSpec),
    /// Fetches.
    Download(DownloadSpec),
    /// Restarts the guest.
    Reboot(RebootSpec),
    /// Waits until something is so.
    WaitFor(WaitSpec),
    /// Waits for a time.
    Pause(Duration),
    /// Waits for a person.
    Breakpoint(BreakpointSpec),
    /// Runs a playbook from this machine.
    Ansible(AnsibleSpec),
    /// Runs a playbook inside the guest.
    AnsibleLocal(AnsibleLocalSpec),
}

/// Scripts to run.
#[derive(Clone)]
pub struct RunSpec {
    /// Their texts.
    pub scripts: Vec<crate::guest::Script>,
    /// The user to become.
    pub become_user: Option<String>,
    /// The program that runs the scripts; none leaves it to their first lines.
    pub interpreter: Option<String>,
    /// Whether the first failing command ends a script.
    pub errexit: bool,
    /// Environment; values may be secret.
    pub environment: Vec<(String, String)>,
    /// How long each script may take; none for as long as it takes.
    pub timeout: Option<Duration>,
    /// Exit codes that count as success.
    pub exit_codes: Vec<u32>,
    /// How long the guest may take to boot anew after the script; none if the script does not restart it.
    pub reboots_within: Option<Duration>,
}

impl std::fmt::Debug for RunSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The environment's values may be secret: only its names are shown.
        let names: Vec<&str> = self
            .environment
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        f.debug_struct("RunSpec")
            .field("scripts", &self.scripts.len())
            .field("environment", &names)
            .finish_non_exhaustive()
    }
}

/// What to upload, and where to.
#[derive(Clone)]
pub struct UploadSpec {
    /// What.
    pub content: UploadContent,
    /// The path in the guest; relative to the user's home.
    pub to: String,
    /// Permission bits; none keeps those of the file.
    pub mode: Option<u32>,
    /// The user that owns it; none for the one logged in as.
    pub become_user: Option<String>,
}

/// What to upload.
#[derive(Clone)]
pub enum UploadContent {
    /// A file.
    File(PathBuf),
    /// A folder's content.
    Directory(PathBuf),
    /// Bytes, which may be secret.
    Bytes(Vec<u8>),
}

impl std::fmt::Debug for UploadSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UploadSpec")
            .field("to", &self.to)
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}

/// What to fetch, and where to.
#[derive(Clone, Debug)]
pub struct DownloadSpec {
    /// The path in the guest; relative to the user's home. A folder ends in a slash.
    pub from: String,
    /// The path here, relative to the folder of the pipeline's file.
    pub to: String,
    /// The user whose rights read it; none for the one logged in as.
    pub become_user: Option<String>,
}

/// How to restart the guest.
#[derive(Clone, Debug)]
pub struct RebootSpec {
    /// The shell text that does it, as root; none for the usual ways.
    pub command: Option<String>,
    /// How long it may take until the guest answers again.
    pub within: Duration,
}

/// What to wait for.
#[derive(Clone, Debug)]
pub struct WaitSpec {
    /// What is to be so.
    pub condition: ConditionSpec,
    /// The pause between two looks.
    pub every: Duration,
    /// How long to wait at most.
    pub within: Duration,
}

/// What is to be so.
#[derive(Clone, Debug)]
pub enum ConditionSpec {
    /// A web server's answer, as this machine gets it.
    HttpFromHost(HttpSpec),
    /// A web server's answer, as the guest gets it.
    HttpFromGuest(HttpSpec),
    /// A command in the guest that ends with 0; on this machine where there is no guest.
    Command(CommandSpec),
    /// The end of cloud-init's boot.
    CloudInit,
    /// A TCP port on which something in the guest listens.
    Port(u16),
}

/// A web server's answer.
#[derive(Clone)]
pub struct HttpSpec {
    /// Where to ask.
    pub url: String,
    /// What to send along; values may be secret.
    pub headers: Vec<(HeaderName, String)>,
    /// The status that is wanted.
    pub status: u16,
    /// What the answer must hold besides.
    pub json: Option<JsonSpec>,
}

impl std::fmt::Debug for HttpSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = self.headers.iter().map(|(name, _)| name.as_str());
        f.debug_struct("HttpSpec")
            .field("url", &self.url)
            .field("headers", &names.collect::<Vec<_>>())
            .field("status", &self.status)
            .field("json", &self.json)
            .finish()
    }
}

/// What a JSON answer must hold.
#[derive(Clone, Debug)]
pub struct JsonSpec {
    /// Where to look.
    pub path: JsonPath,
    /// What is wanted there.
    pub wanted: WantedSpec,
}

/// What is wanted at one of the places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WantedSpec {
    /// This text, or a number or boolean that is written so.
    Equals(String),
    /// A text with this in it, or a list with an item that equals it.
    Contains(String),
}

/// A command that is run until it ends with 0.
#[derive(Clone)]
pub struct CommandSpec {
    /// Shell text.
    pub text: String,
    /// The user to become.
    pub become_user: Option<String>,
    /// Environment; values may be secret.
    pub environment: Vec<(String, String)>,
}

impl std::fmt::Debug for CommandSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = self.environment.iter().map(|(name, _)| name.as_str());
        f.debug_struct("CommandSpec")
            .field("text", &self.text)
            .field("environment", &names.collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// A question to a person.
#[derive(Clone, Debug)]
pub struct BreakpointSpec {
    /// What to tell.
    pub message: Option<String>,
    /// Whether it is a failure that nobody can be asked.
    pub required: bool,
}
