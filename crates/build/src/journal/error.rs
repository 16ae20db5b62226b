//! What can go wrong with the journal itself.

use super::state::IllegalRecord;
use crate::names::RunId;
use std::path::PathBuf;

/// What can go wrong with the journal itself.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what the variants are")]
pub enum JournalError {
    #[error("cannot {action} {path}: {source}. Nothing is created in the account without a journal: set QIB_STATE_DIR to a folder that can be written, on a disk that has room.", path = path.display())]
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
    #[error("there is no run {run} in {path}: its journal was never written here, or was removed", path = path.display())]
    NoSuchRun { run: RunId, path: PathBuf },
}
