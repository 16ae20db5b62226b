//! The machine that qib runs on, as ports: its commands, its way to the web, the person at its terminal.

use crate::event::Transfer;
use crate::guest::{CommandEnd, Output, Script};
use async_trait::async_trait;
use pipeline::Loaded;
use pipeline::model::{Checksum, Import};
/// For those who run scripts on this machine as they are run in a guest.
pub use ssh::{Interpreter, LineSplitter, ShebangError};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// Commands for the machine that qib runs on.
#[derive(Clone)]
pub struct LocalCommand {
    /// Shell text.
    pub script: Script,
    /// The program that runs it, as a first line would name it; none leaves it to the script's first line.
    pub interpreter: Option<String>,
    /// Whether the first failing command ends it.
    pub errexit: bool,
    /// Variables besides those that qib itself has; values may be secret and never stand on a command line.
    pub environment: Vec<(String, String)>,
    /// The folder to run it in.
    pub folder: PathBuf,
}

impl std::fmt::Debug for LocalCommand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The values of the environment may be secret.
        let names = self.environment.iter().map(|(name, _)| name.as_str());
        f.debug_struct("LocalCommand")
            .field("script", &self.script.name)
            .field("environment", &names.collect::<Vec<_>>())
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

/// Why it is not known how a command ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LocalError {
    /// It could not be begun, or not be waited for.
    #[error("{0}")]
    NotRun(String),
    /// It was ended because its `stop` came.
    #[error("it was stopped")]
    Stopped,
}

/// Comes when a command is to end before its time.
pub type Stop<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Runs commands on the machine that qib runs on.
#[async_trait]
pub trait LocalCommands: Send + Sync {
    /// Runs a command to its end, with nothing to read, in a process group of its own. When `stop` comes, the group is
    /// told to end (SIGTERM) and, if it has not within some seconds, killed; this returns when it is gone. Dropping the
    /// future kills the group at once.
    async fn run(
        &self,
        command: &LocalCommand,
        output: &mut dyn Output,
        stop: Stop<'_>,
    ) -> Result<CommandEnd, LocalError>;
}

/// A request with GET.
#[derive(Clone)]
pub struct HttpRequest {
    /// `https://…` or `http://…`.
    pub url: String,
    /// Header fields; values may be secret.
    pub headers: Vec<(String, String)>,
    /// How long it may take, with the answer's body.
    pub within: Duration,
}

impl std::fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = self.headers.iter().map(|(name, _)| name.as_str());
        f.debug_struct("HttpRequest")
            .field("url", &self.url)
            .field("headers", &names.collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// The longest body that an [`HttpClient`] takes, in bytes: a release graph has about one million.
pub const MAX_HTTP_BODY: usize = 16 << 20;

/// An answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpAnswer {
    /// Its status.
    pub status: u16,
    /// Its body.
    pub body: Vec<u8>,
}

/// Asks web servers, from the machine that qib runs on.
#[async_trait]
pub trait HttpClient: Send + Sync {
    /// Asks. Redirections are answers like others: fields with secrets must not go where nobody named. A body longer than
    /// [`MAX_HTTP_BODY`] is an error, and so is anything that is no answer, with the reason in words.
    async fn get(&self, request: &HttpRequest) -> Result<HttpAnswer, String>;
}

/// Why a disk image cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DiskImageError {
    /// What was being done with which file, and what went wrong.
    pub message: String,
    /// What to do about it, if that is known.
    pub hint: Option<String>,
}

/// A disk image that is on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedDisk {
    /// Its file, unpacked.
    pub path: PathBuf,
    /// Whether an earlier run had fetched it.
    pub from_cache: bool,
}

/// Is told how far a disk image is.
pub trait FetchWatch: Send + Sync {
    /// So far, in bytes; told often, must be cheap.
    fn moved(&self, what: Transfer, done: u64, total: Option<u64>);
    /// Something worth knowing.
    fn note(&self, text: String);
}

/// Gets disk images onto this machine.
#[async_trait]
pub trait DiskImages: Send + Sync {
    /// By what the image's file is known, before it is fetched: its digest, from the pipeline, from the checksum file, or
    /// of the file itself where it is on this machine; that it is there and begins like a disk image is looked at then, too.
    async fn identify(&self, import: &Import) -> Result<Checksum, DiskImageError>;
    /// Fetches it, verified and unpacked. May be dropped at any time: the next one goes on where it was.
    async fn fetch(
        &self,
        import: &Import,
        watch: &dyn FetchWatch,
    ) -> Result<FetchedDisk, DiskImageError>;
}

/// What a person says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To go on.
    GoOn,
    /// To stop here.
    Abort,
}

/// The person at the terminal.
#[async_trait]
pub trait Operator: Send + Sync {
    /// Shows the question, and waits for the answer as long as it takes. One question at a time is asked.
    async fn confirm(&self, question: &str) -> Answer;
}

/// The pipeline's file, to be read once more when `preflight` has made the files that it names.
pub trait PipelineSource: Send + Sync {
    /// Reads and checks it as it was the first time, or says what is wrong with it.
    fn read_again(&self) -> Result<Loaded, String>;
}

/// The machine that qib runs on.
#[derive(Clone)]
pub struct Host {
    /// Its commands.
    pub commands: Arc<dyn LocalCommands>,
    /// Its way to the web.
    pub http: Arc<dyn HttpClient>,
    /// Where disk images come from.
    pub disk_images: Arc<dyn DiskImages>,
    /// Who can be asked; none without a terminal.
    pub operator: Option<Arc<dyn Operator>>,
    /// The pipeline's file.
    pub pipeline: Arc<dyn PipelineSource>,
}

impl Host {
    /// One that runs nothing, reaches nothing and has nobody at it: for what only looks, such as a plan.
    pub fn absent() -> Self {
        Self {
            commands: Arc::new(Absent),
            http: Arc::new(Absent),
            disk_images: Arc::new(Absent),
            operator: None,
            pipeline: Arc::new(Absent),
        }
    }
}

/// Refuses everything.
struct Absent;

const ABSENT: &str = "nothing is run on this machine here";

#[async_trait]
impl LocalCommands for Absent {
    async fn run(
        &self,
        _command: &LocalCommand,
        _output: &mut dyn Output,
        _stop: Stop<'_>,
    ) -> Result<CommandEnd, LocalError> {
        Err(LocalError::NotRun(ABSENT.to_owned()))
    }
}

#[async_trait]
impl HttpClient for Absent {
    async fn get(&self, _request: &HttpRequest) -> Result<HttpAnswer, String> {
        Err(ABSENT.to_owned())
    }
}

#[async_trait]
impl DiskImages for Absent {
    async fn identify(&self, _import: &Import) -> Result<Checksum, DiskImageError> {
        Err(DiskImageError {
            message: ABSENT.to_owned(),
            hint: None,
        })
    }

    async fn fetch(
        &self,
        _import: &Import,
        _watch: &dyn FetchWatch,
    ) -> Result<FetchedDisk, DiskImageError> {
        Err(DiskImageError {
            message: ABSENT.to_owned(),
            hint: None,
        })
    }
}

impl PipelineSource for Absent {
    fn read_again(&self) -> Result<Loaded, String> {
        Err(ABSENT.to_owned())
    }
}
