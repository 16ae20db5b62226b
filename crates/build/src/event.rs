//! What a run tells those who watch it. The binary renders it: as lines, as bars, or as JSON.

use crate::names::{CellName, RunId};
use crate::report::{Report, StepOutcome, WayIn};
use cloud::Timestamp;
use serde::{Deserialize, Serialize};

/// The steps that the engine does for a cell, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "`describe` says what each one is")]
pub enum Step {
    Preflight,
    Resolve,
    Fetch,
    Upload,
    Import,
    Register,
    LeaseAddress,
    KeyPair,
    SecurityGroup,
    InstanceProfile,
    Launch,
    BindAddress,
    Connect,
    Provision,
    Scrub,
    FreeAddress,
    Stop,
    CreateImage,
    CopyImage,
    Test,
    Complete,
    Terminate,
    Copy,
    Name,
    Deprecate,
    Share,
    Parameters,
    Tidy,
    Outputs,
    CleanUp,
}

impl Step {
    /// What is being done, as it stands in progress lines and errors.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Preflight => "preparing on this machine, before anything is created",
            Self::Resolve => "resolving the source image, the network and the cache",
            Self::Fetch => "fetching and opening the disk image",
            Self::Upload => "sending the disk image",
            Self::Import => "importing the disk image",
            Self::Register => "registering the image",
            Self::LeaseAddress => "waiting for the Elastic IP to be free",
            Self::KeyPair => "making the key pair",
            Self::SecurityGroup => "making the security group",
            Self::InstanceProfile => "making the instance profile and its role",
            Self::Launch => "launching the instance",
            Self::BindAddress => "binding the Elastic IP",
            Self::Connect => "connecting over SSH",
            Self::Provision => "provisioning",
            Self::Scrub => "removing qib's own keys and user-data from the guest",
            Self::FreeAddress => "freeing the Elastic IP",
            Self::Stop => "stopping the instance",
            Self::CreateImage => "creating the image",
            Self::CopyImage => "copying the source image",
            Self::Test => "testing the image",
            Self::Complete => "marking the image as complete",
            Self::Terminate => "terminating the instance",
            Self::Copy => "copying the image to other regions",
            Self::Name => "giving the image its name",
            Self::Deprecate => "setting the image's deprecation and protection",
            Self::Share => "sharing the image and its snapshots",
            Self::Parameters => "writing the parameters that name the image",
            Self::Tidy => "removing what the image took the place of",
            Self::Outputs => "writing the outputs",
            Self::CleanUp => "cleaning up",
        }
    }

    /// Its name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Preflight => "preflight",
            Self::Resolve => "resolve",
            Self::Fetch => "fetch",
            Self::Upload => "upload",
            Self::Import => "import",
            Self::Register => "register",
            Self::LeaseAddress => "lease-address",
            Self::KeyPair => "key-pair",
            Self::SecurityGroup => "security-group",
            Self::InstanceProfile => "instance-profile",
            Self::Launch => "launch",
            Self::BindAddress => "bind-address",
            Self::Connect => "connect",
            Self::Provision => "provision",
            Self::Scrub => "scrub",
            Self::FreeAddress => "free-address",
            Self::Stop => "stop",
            Self::CreateImage => "create-image",
            Self::CopyImage => "copy-image",
            Self::Test => "test",
            Self::Complete => "complete",
            Self::Terminate => "terminate",
            Self::Copy => "copy",
            Self::Name => "name",
            Self::Deprecate => "deprecate",
            Self::Share => "share",
            Self::Parameters => "parameters",
            Self::Tidy => "tidy",
            Self::Outputs => "outputs",
            Self::CleanUp => "clean-up",
        }
    }
}

/// What is under way with a disk image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "`describe` says what each one is")]
pub enum Transfer {
    Download,
    Verify,
    Unpack,
    Upload,
    Import,
}

impl Transfer {
    /// In words, as in "the disk image is being … ".
    pub fn describe(self) -> &'static str {
        match self {
            Self::Download => "downloaded",
            Self::Verify => "verified",
            Self::Unpack => "unpacked",
            Self::Upload => "sent",
            Self::Import => "imported",
        }
    }
}

/// Which of the guest's output streams a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum OutputStream {
    Stdout,
    Stderr,
}

/// A cell that a run finds or builds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StartedCell {
    /// The cell.
    #[serde(flatten)]
    pub cell: CellName,
    /// Where it is built.
    pub region: String,
    /// The cell that it is needed for, if it was not asked for itself.
    pub needed_by: Option<String>,
}

/// One thing that happened. Text in it is masked already.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the variants say what their fields are")]
pub enum Event {
    /// The run has an id and an account.
    Started {
        run: RunId,
        pipeline: String,
        account: String,
        identity: String,
        /// When the credentials end; none if they do not, or nobody says.
        credentials_end: Option<Timestamp>,
        region: String,
        rehearsal: bool,
        /// The cells that are found or built, each after the one it starts from.
        cells: Vec<StartedCell>,
    },
    /// A step begins.
    StepStarted {
        #[serde(flatten)]
        cell: CellName,
        step: Step,
    },
    /// A step has ended well.
    StepFinished {
        #[serde(flatten)]
        cell: CellName,
        step: Step,
    },
    /// Something worth knowing, such as an id.
    Note {
        #[serde(flatten)]
        cell: CellName,
        text: String,
    },
    /// Something that a person should look at.
    Warning {
        #[serde(flatten)]
        cell: CellName,
        text: String,
    },
    /// A provisioner begins.
    ProvisionerStarted {
        #[serde(flatten)]
        cell: CellName,
        provisioner: String,
    },
    /// A provisioner is not run because the guest of a rehearsal lacks what it needs.
    ProvisionerSkipped {
        #[serde(flatten)]
        cell: CellName,
        provisioner: String,
        needs: Vec<String>,
    },
    /// A provisioner has ended, was skipped, or failed. Follows [`Event::ProvisionerStarted`] or
    /// [`Event::ProvisionerSkipped`].
    ProvisionerFinished {
        #[serde(flatten)]
        cell: CellName,
        provisioner: String,
        outcome: StepOutcome,
        /// Why it failed or was skipped.
        reason: Option<String>,
    },
    /// A line that a provisioner printed.
    Output {
        #[serde(flatten)]
        cell: CellName,
        provisioner: String,
        stream: OutputStream,
        line: String,
    },
    /// How far an image is, or its copy in another region, 0 to 100.
    ImageProgress {
        #[serde(flatten)]
        cell: CellName,
        region: String,
        percent: u8,
    },
    /// How far a disk image is on its way.
    Transfer {
        #[serde(flatten)]
        cell: CellName,
        what: Transfer,
        /// Bytes.
        done: u64,
        /// Bytes in all; none where nobody knows.
        total: Option<u64>,
    },
    /// A stage is not built: this image is reused.
    Cached {
        #[serde(flatten)]
        cell: CellName,
        image_id: String,
        name: String,
        reason: String,
    },
    /// A stage's image is complete.
    Built {
        #[serde(flatten)]
        cell: CellName,
        image_id: String,
        name: String,
    },
    /// A cell waits for a person: before its next step, or after a provisioner.
    Paused {
        #[serde(flatten)]
        cell: CellName,
        /// Where, in words.
        at: String,
        way_in: Option<WayIn>,
    },
    /// A cell is not built because of something else.
    Skipped {
        #[serde(flatten)]
        cell: CellName,
        reason: String,
    },
    /// A cell has failed.
    Failed {
        #[serde(flatten)]
        cell: CellName,
        step: Step,
        error: String,
        hint: Option<String>,
    },
    /// The last one.
    Finished(Report),
}

/// Watches a run.
pub trait Observer: Send + Sync {
    /// Is told of every event as it happens; must not block for long.
    fn observe(&self, event: &Event);
}
