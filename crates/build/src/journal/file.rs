//! The journal on disk: one JSON object per line, on stable storage before the effect that it announces.

use super::directory::{RunDirectory, make_private_dir};
use super::effect::{Effect, Outcome};
use super::error::JournalError;
use super::reader::read_file;
use super::record::{EffectNumber, FORMAT_VERSION, Invocation, Record, RunStatus};
use super::state::JournalState;
use super::watch::JournalWatch;
use crate::names::{CellName, RunId};
use cloud::Timestamp;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(super) const FILE_NAME: &str = "journal.jsonl";

/// An open journal: locked for as long as it lives, which is how others know that the run is alive.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    watch: Watch,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    file: File,
    state: JournalState,
    /// How many bytes whole records take up.
    whole: u64,
    /// Whether a part of a record may follow them, as a full disk leaves it.
    torn: bool,
    /// How many records this process has written.
    written: u64,
}

#[derive(Default)]
struct Watch(Option<Arc<dyn JournalWatch>>);

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "watched" } else { "-" })
    }
}

/// What the opening record says besides the run.
#[derive(Clone, Debug)]
pub struct Opening {
    /// The pipeline's name.
    pub pipeline: String,
    /// Its file.
    pub file: String,
    /// The account.
    pub account: String,
    /// The main region.
    pub region: String,
    /// The endpoint, if it is not AWS's own.
    pub endpoint: Option<String>,
    /// How the run was asked for.
    pub invocation: Invocation,
}

impl Journal {
    /// Creates the journal of a new run and locks it.
    ///
    /// # Errors
    /// If the state folder cannot be written.
    pub fn create(
        directory: &RunDirectory,
        run: &RunId,
        opening: Opening,
        at: Timestamp,
        watch: Option<Arc<dyn JournalWatch>>,
    ) -> Result<Self, JournalError> {
        make_private_dir(directory.path())?;
        let path = directory.path().join(FILE_NAME);
        let io = |action, source| JournalError::Io {
            action,
            path: path.clone(),
            source,
        };
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(|source| io("create the journal", source))?;
        // Nobody else can hold a file that was made just now for longer than a look takes.
        file.lock().map_err(|source| io("lock", source))?;
        // The file's name must survive a crash as well as its content.
        File::open(directory.path())
            .and_then(|folder| folder.sync_all())
            .map_err(|source| io("write to stable storage", source))?;
        let journal = Self::over(path.clone(), file, JournalState::default(), 0, watch);
        journal.append(&Record::Opened {
            version: FORMAT_VERSION,
            run: run.clone(),
            pipeline: opening.pipeline,
            file: opening.file,
            account: opening.account,
            region: opening.region,
            endpoint: opening.endpoint,
            at,
            invocation: opening.invocation,
        })?;
        Ok(journal)
    }

    /// Opens the journal of a run that has ended or died, to go on with it or to undo what it left. A torn last line is
    /// removed.
    ///
    /// # Errors
    /// If the run is alive, or the journal cannot be read or written.
    pub fn reopen(
        directory: &RunDirectory,
        run: &RunId,
        watch: Option<Arc<dyn JournalWatch>>,
    ) -> Result<Self, JournalError> {
        let path = directory.path().join(FILE_NAME);
        let io = |action| {
            let path = path.clone();
            move |source| JournalError::Io {
                action,
                path,
                source,
            }
        };
        let file = match OpenOptions::new().append(true).read(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(JournalError::NoSuchRun {
                    run: run.clone(),
                    path: directory.path().to_owned(),
                });
            }
            Err(error) => return Err(io("open the journal")(error)),
        };
        lock(&file, run, &path)?;
        let (state, whole) = read_file(&path)?;
        file.set_len(whole).map_err(io("mend the journal"))?;
        Ok(Self::over(path.clone(), file, state, whole, watch))
    }

    fn over(
        path: PathBuf,
        file: File,
        state: JournalState,
        whole: u64,
        watch: Option<Arc<dyn JournalWatch>>,
    ) -> Self {
        Self {
            path,
            watch: Watch(watch),
            inner: Mutex::new(Inner {
                file,
                state,
                whole,
                torn: false,
                written: 0,
            }),
        }
    }

    /// Announces an effect. It is on stable storage when this returns.
    pub fn intend(
        &self,
        cell: &CellName,
        effect: Effect,
        at: Timestamp,
    ) -> Result<EffectNumber, JournalError> {
        let mut inner = self.lock_inner();
        let number = inner.state.next_number();
        self.append_to(
            &mut inner,
            &Record::Intent {
                number,
                cell: cell.clone(),
                at,
                effect,
            },
        )?;
        Ok(number)
    }

    /// Records that an effect happened.
    pub fn succeeded(&self, number: EffectNumber, outcome: Outcome) -> Result<(), JournalError> {
        self.append(&Record::Succeeded { number, outcome })
    }

    /// Appends any other record.
    pub fn append(&self, record: &Record) -> Result<(), JournalError> {
        let mut inner = self.lock_inner();
        self.append_to(&mut inner, record)
    }

    /// Ends the journal.
    pub fn close(&self, status: RunStatus, at: Timestamp) -> Result<(), JournalError> {
        self.append(&Record::Closed { status, at })
    }

    /// What is known now.
    pub fn state(&self) -> JournalState {
        self.lock_inner().state.clone()
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn append_to(&self, inner: &mut Inner, record: &Record) -> Result<(), JournalError> {
        let io = |action, source| JournalError::Io {
            action,
            path: self.path.clone(),
            source,
        };
        let mut next = inner.state.clone();
        next.apply(record).map_err(|reason| JournalError::Illegal {
            path: self.path.clone(),
            line: 0,
            reason,
        })?;
        let mut line = serde_json::to_vec(record)
            .map_err(|error| io("encode a record for", std::io::Error::other(error)))?;
        line.push(b'\n');
        let number = inner.written + 1;
        if let Watch(Some(watch)) = &self.watch {
            watch.before(number);
        }
        if inner.torn {
            // A record must not be glued to the part of one that a full disk left.
            inner
                .file
                .set_len(inner.whole)
                .map_err(|source| io("mend", source))?;
        }
        inner.torn = true;
        inner
            .file
            .write_all(&line)
            .map_err(|source| io("write to", source))?;
        inner
            .file
            .sync_data()
            .map_err(|source| io("write to stable storage", source))?;
        inner.torn = false;
        inner.whole += line.len() as u64;
        inner.written = number;
        inner.state = next;
        if let Watch(Some(watch)) = &self.watch {
            watch.after(number);
        }
        Ok(())
    }

    fn lock_inner(&self) -> MutexGuard<'_, Inner> {
        // A panic while it is held leaves the file and the state as they were before or after one record.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lock(file: &File, run: &RunId, path: &Path) -> Result<(), JournalError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(std::fs::TryLockError::WouldBlock) => Err(JournalError::Alive { run: run.clone() }),
        Err(std::fs::TryLockError::Error(source)) => Err(JournalError::Io {
            action: "lock",
            path: path.to_owned(),
            source,
        }),
    }
}
