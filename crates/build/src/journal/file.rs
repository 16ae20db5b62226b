//! The journal on disk: one JSON object per line, on stable storage before the effect that it announces.

use super::effect::{Effect, Outcome};
use super::record::{EffectNumber, FORMAT_VERSION, Record, RunStatus};
use super::state::{IllegalRecord, JournalState};
use crate::names::{CellName, RunId};
use cloud::Timestamp;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

const FILE_NAME: &str = "journal.jsonl";

/// What can go wrong with the journal itself.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what the variants are")]
pub enum JournalError {
    #[error("cannot {action} {path}: {source}. Nothing is created in the account without a journal: set QIB_STATE_DIR to a folder that can be written.", path = path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{path}, line {line}: {reason}", path = path.display())]
    Illegal {
        path: PathBuf,
        line: usize,
        #[source]
        reason: IllegalRecord,
    },
    #[error("{path}, line {line} is not a journal record: {reason}", path = path.display())]
    Unreadable {
        path: PathBuf,
        line: usize,
        reason: String,
    },
    #[error("the run {run} is alive: another process of this host holds its journal")]
    Alive { run: RunId },
}

/// Where a run keeps its files: journal, keys of kept instances, logs. Mode 0700.
#[derive(Clone, Debug)]
pub struct RunDirectory(PathBuf);

impl RunDirectory {
    /// The folder of `run` below the state folder; nothing is made yet.
    pub fn of(state_dir: &Path, run: &RunId) -> Self {
        Self(state_dir.join("runs").join(run.as_str()))
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The folder of one cell, made if it is not there.
    pub fn cell(&self, cell: &CellName) -> Result<PathBuf, JournalError> {
        let path = self.0.join(&cell.stage).join(&cell.cell);
        make_private_dir(&path)?;
        Ok(path)
    }

    /// Every run that has a folder below the state folder, in no order.
    pub fn all(state_dir: &Path) -> Result<Vec<(RunId, RunDirectory)>, JournalError> {
        let path = state_dir.join("runs");
        let entries = match std::fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => {
                return Err(JournalError::Io {
                    action: "read",
                    path,
                    source,
                });
            }
        };
        let mut runs = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|source| JournalError::Io {
                action: "read",
                path: path.clone(),
                source,
            })?;
            if let Some(run) = entry.file_name().to_str().and_then(RunId::parse) {
                runs.push((run, RunDirectory(entry.path())));
            }
        }
        Ok(runs)
    }
}

fn make_private_dir(path: &Path) -> Result<(), JournalError> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| JournalError::Io {
            action: "make the folder",
            path: path.to_owned(),
            source,
        })
}

/// An open journal: locked for as long as it lives, which is how others know that the run is alive.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    file: File,
    state: JournalState,
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
}

impl Journal {
    /// Creates the journal of a new run and locks it.
    pub fn create(
        directory: &RunDirectory,
        run: &RunId,
        opening: Opening,
        at: Timestamp,
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
        lock(&file, run, &path)?;
        // The file's name must survive a crash as well as its content.
        File::open(directory.path())
            .and_then(|folder| folder.sync_all())
            .map_err(|source| io("write to stable storage", source))?;
        let journal = Self {
            path: path.clone(),
            inner: Mutex::new(Inner {
                file,
                state: JournalState::default(),
            }),
        };
        journal.append(&Record::Opened {
            version: FORMAT_VERSION,
            run: run.clone(),
            pipeline: opening.pipeline,
            file: opening.file,
            account: opening.account,
            region: opening.region,
            endpoint: opening.endpoint,
            at,
        })?;
        Ok(journal)
    }

    /// Opens the journal of a run that has ended or died, to undo what it left. Errs if the run is alive.
    pub fn reopen(directory: &RunDirectory, run: &RunId) -> Result<Self, JournalError> {
        let path = directory.path().join(FILE_NAME);
        let file = OpenOptions::new()
            .append(true)
            .read(true)
            .open(&path)
            .map_err(|source| JournalError::Io {
                action: "open the journal",
                path: path.clone(),
                source,
            })?;
        lock(&file, run, &path)?;
        let (state, good_bytes) = JournalReader::read_file(&path)?;
        // A torn last line is the trace of a crash in the middle of a write: the effect it announced was never
        // begun, since an effect follows only once its record is on stable storage.
        file.set_len(good_bytes)
            .map_err(|source| JournalError::Io {
                action: "mend the journal",
                path: path.clone(),
                source,
            })?;
        Ok(Self {
            path,
            inner: Mutex::new(Inner { file, state }),
        })
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

    fn append_to(&self, inner: &mut Inner, record: &Record) -> Result<(), JournalError> {
        let mut next = inner.state.clone();
        next.apply(record).map_err(|reason| JournalError::Illegal {
            path: self.path.clone(),
            line: 0,
            reason,
        })?;
        let io = |action, source| JournalError::Io {
            action,
            path: self.path.clone(),
            source,
        };
        let mut line = serde_json::to_vec(record)
            .map_err(|error| io("encode a record for", std::io::Error::other(error)))?;
        line.push(b'\n');
        inner
            .file
            .write_all(&line)
            .map_err(|source| io("write to", source))?;
        inner
            .file
            .sync_data()
            .map_err(|source| io("write to stable storage", source))?;
        inner.state = next;
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

/// Reads a journal without locking it, also one of a living run.
#[derive(Debug)]
pub struct JournalReader;

impl JournalReader {
    /// What the journal in `directory` says. A torn last line is left out.
    pub fn read(directory: &RunDirectory) -> Result<JournalState, JournalError> {
        Self::read_file(&directory.path().join(FILE_NAME)).map(|(state, _)| state)
    }

    /// The state, and how many bytes whole records take up.
    fn read_file(path: &Path) -> Result<(JournalState, u64), JournalError> {
        let mut bytes = Vec::new();
        File::open(path)
            .and_then(|mut file| file.read_to_end(&mut bytes))
            .map_err(|source| JournalError::Io {
                action: "read",
                path: path.to_owned(),
                source,
            })?;
        let mut state = JournalState::default();
        let mut good = 0;
        for (index, line) in bytes.split_inclusive(|b| *b == b'\n').enumerate() {
            let Some(text) = line.strip_suffix(b"\n") else {
                break;
            };
            let record: Record =
                serde_json::from_slice(text).map_err(|error| JournalError::Unreadable {
                    path: path.to_owned(),
                    line: index + 1,
                    reason: error.to_string(),
                })?;
            state
                .apply(&record)
                .map_err(|reason| JournalError::Illegal {
                    path: path.to_owned(),
                    line: index + 1,
                    reason,
                })?;
            good += line.len() as u64;
        }
        Ok((state, good))
    }
}
