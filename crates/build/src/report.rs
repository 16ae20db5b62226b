//! How a run ended, and the exit code that follows. Pure.

use crate::journal::RunStatus;
use crate::names::RunId;
use serde::Serialize;
use std::collections::BTreeMap;

/// An image that the run made or reused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReportedImage {
    /// The stage.
    pub stage: String,
    /// The cell within it.
    pub cell: String,
    /// Where the image is.
    pub region: String,
    /// Its id.
    pub image_id: String,
    /// Its name.
    pub name: String,
    /// Whether it was found rather than built.
    pub cached: bool,
    /// Provisioners that a rehearsal skipped.
    pub skipped: Vec<String>,
    /// The value of each axis of the cell's matrix.
    pub matrix: BTreeMap<String, String>,
    /// The image it was built from; none if that cannot be told any more.
    pub source_image: Option<String>,
    /// The snapshots behind it.
    pub snapshots: Vec<String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// The image in other regions, in the order of their names.
    pub copies: Vec<ReportedCopy>,
}

/// A copy of an image in another region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReportedCopy {
    /// Where.
    pub region: String,
    /// Its id; none if it could not be made.
    pub image_id: Option<String>,
    /// The snapshots behind it.
    pub snapshots: Vec<String>,
    /// Why it could not be made, or not be finished.
    pub error: Option<String>,
}

/// One step of one cell, or one of its provisioners, as JUnit and estimates need it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReportedStep {
    /// The stage.
    pub stage: String,
    /// The cell within it.
    pub cell: String,
    /// The step, by name.
    pub step: String,
    /// The provisioner, if it is one.
    pub provisioner: Option<String>,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// What it came to.
    pub outcome: StepOutcome,
    /// Why it failed or was skipped.
    pub reason: Option<String>,
}

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StepOutcome {
    /// It was done.
    Passed,
    /// It failed.
    Failed,
    /// It was left out.
    Skipped,
}

/// Something in the account that the run did not remove.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeftResource {
    /// What kind: `instance`, `key-pair`, `security-group`, `image`, `address-binding`, `lease`.
    pub kind: String,
    /// Its id, or its name where the id never arrived.
    pub id: String,
    /// Where it is.
    pub region: String,
    /// The command that removes it.
    pub remove_with: String,
    /// Why it is still there.
    pub reason: String,
}

/// How to get into an instance that was kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct WayIn {
    /// The instance.
    pub instance_id: String,
    /// Its region.
    pub region: String,
    /// Where to dial.
    pub host: String,
    /// The port there.
    pub port: u16,
    /// The user to log in as.
    pub user: String,
    /// The private key's file; none if an agent holds it.
    pub key_file: Option<String>,
    /// The file with the host's keys; none if they are not known.
    pub known_hosts: Option<String>,
    /// SHA-256 fingerprints of the host's keys.
    pub host_fingerprints: Vec<String>,
    /// The SSH host through which one gets there; none if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bastion: Option<WayInBastion>,
    /// The SOCKS5 proxy through which one leaves this machine; none if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<WayInProxy>,
}

/// The SSH host through which one gets into an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct WayInBastion {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The user to log in as there.
    pub user: String,
    /// The private key's file; none if an agent holds it.
    pub key_file: Option<String>,
    /// The file with its host keys; none if they are known otherwise, or not at all.
    pub known_hosts: Option<String>,
    /// The SHA-256 fingerprint of its host key; none if it is known otherwise, or not at all.
    pub host_fingerprint: Option<String>,
}

/// The SOCKS5 proxy through which one gets into an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct WayInProxy {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
}

/// A cell that was not built because of something else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReportedSkip {
    /// The stage.
    pub stage: String,
    /// The cell within it.
    pub cell: String,
    /// Where it would have been built.
    pub region: String,
    /// Why it was not.
    pub reason: String,
}

/// One cell's failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReportedFailure {
    /// The stage.
    pub stage: String,
    /// The cell within it.
    pub cell: String,
    /// Where it is built.
    pub region: String,
    /// The step that failed, by name.
    pub step: String,
    /// Why.
    pub error: String,
    /// What to do, if that can be told.
    pub hint: Option<String>,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// `succeeded`, `failed`, `interrupted` or `left-behind`.
    pub status: &'static str,
    /// The run.
    pub run: RunId,
    /// Every image that is there now.
    pub images: Vec<ReportedImage>,
    /// Entries of `preflight` that a rehearsal skipped.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub skipped_preflight: Vec<String>,
    /// What failed.
    pub failures: Vec<ReportedFailure>,
    /// Cells that were not built because of something else.
    pub skipped: Vec<ReportedSkip>,
    /// What stays on purpose (`--keep-on-failure`).
    pub kept: Vec<LeftResource>,
    /// The ways into what stays.
    pub ways_in: Vec<WayIn>,
    /// What stays although it should not.
    pub left_behind: Vec<LeftResource>,
    /// Every step, in the order they ended.
    #[serde(skip)]
    pub steps: Vec<ReportedStep>,
    /// How the process is to exit.
    #[serde(skip)]
    pub exit: ExitCode,
}

/// The process's exit code, as documented for `qib run`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitCode {
    /// 0: done.
    Done,
    /// 1: the build failed and everything was cleaned up.
    Failed,
    /// 2: bad input, before anything was created.
    BadInput,
    /// 3: something was left behind.
    LeftBehind,
    /// 130: Ctrl-C, cleaned up.
    Interrupted,
    /// 143: SIGTERM, cleaned up.
    Terminated,
}

impl ExitCode {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::BadInput => 2,
            Self::LeftBehind => 3,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }

    /// The status word that goes with it in the journal and in results.
    pub fn status(self) -> RunStatus {
        match self {
            Self::Done => RunStatus::Succeeded,
            Self::Failed | Self::BadInput => RunStatus::Failed,
            Self::LeftBehind => RunStatus::LeftBehind,
            Self::Interrupted | Self::Terminated => RunStatus::Interrupted,
        }
    }
}
