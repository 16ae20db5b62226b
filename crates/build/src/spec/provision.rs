//! What is done inside a cell's instance.

use super::{AnsibleLocalSpec, AnsibleSpec};
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
}

/// What a provisioner does.
#[derive(Clone, Debug)]
pub enum ActionSpec {
    /// Runs scripts one after another.
    Run(RunSpec),
    /// Uploads.
    Upload(UploadSpec),
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
