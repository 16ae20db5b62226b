//! Reading a journal without locking it.

use super::directory::RunDirectory;
use super::error::JournalError;
use super::file::FILE_NAME;
use super::record::{FORMAT_VERSION, Record};
use super::state::{IllegalRecord, JournalState};
use serde::Deserialize;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Reads a journal without locking it, also one of a living run.
#[derive(Debug)]
pub struct JournalReader;

/// What every format's opening record has.
#[derive(Deserialize)]
struct AnyOpening {
    version: u32,
}

impl JournalReader {
    /// What the journal in `directory` says. A torn last line is left out.
    ///
    /// # Errors
    /// If it cannot be read, is of a later format, or says what cannot have happened.
    pub fn read(directory: &RunDirectory) -> Result<JournalState, JournalError> {
        read_file(&directory.path().join(FILE_NAME)).map(|(state, _)| state)
    }

    /// The records themselves, in order, for people to look at.
    ///
    /// # Errors
    /// As [`JournalReader::read`].
    pub fn records(directory: &RunDirectory) -> Result<Vec<Record>, JournalError> {
        let path = directory.path().join(FILE_NAME);
        let bytes = bytes_of(&path)?;
        let mut records = Vec::new();
        for_each(&path, &bytes, |record, _| records.push(record))?;
        Ok(records)
    }
}

/// The state, and how many bytes whole records take up.
pub(super) fn read_file(path: &Path) -> Result<(JournalState, u64), JournalError> {
    let bytes = bytes_of(path)?;
    let mut state = JournalState::default();
    let mut good = 0;
    let mut illegal = None;
    for_each(path, &bytes, |record, place| {
        if illegal.is_none() {
            match state.apply(&record) {
                Ok(()) => good = place.end,
                Err(reason) => illegal = Some((place.line, reason)),
            }
        }
    })?;
    match illegal {
        Some((line, reason)) => Err(JournalError::Illegal {
            path: path.to_owned(),
            line,
            reason,
        }),
        None => Ok((state, good)),
    }
}

fn bytes_of(path: &Path) -> Result<Vec<u8>, JournalError> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|mut file| file.read_to_end(&mut bytes))
        .map_err(|source| JournalError::Io {
            action: "read",
            path: path.to_owned(),
            source,
        })?;
    Ok(bytes)
}

/// Where a record stands.
struct Place {
    line: usize,
    /// The bytes up to its end.
    end: u64,
}

/// Tells `each` record. A last line without its end is the trace of a crash in the middle of a write: the effect that
/// it announced was never begun, since an effect follows only once its record is on stable storage.
fn for_each(
    path: &Path,
    bytes: &[u8],
    mut each: impl FnMut(Record, Place),
) -> Result<(), JournalError> {
    let mut end = 0;
    for (index, line) in bytes.split_inclusive(|b| *b == b'\n').enumerate() {
        let Some(text) = line.strip_suffix(b"\n") else {
            break;
        };
        end += line.len() as u64;
        let place = Place {
            line: index + 1,
            end,
        };
        match serde_json::from_slice(text) {
            Ok(record) => each(record, place),
            Err(error) => return Err(not_a_record(path, place.line, text, &error)),
        }
    }
    Ok(())
}

fn not_a_record(path: &Path, line: usize, text: &[u8], error: &serde_json::Error) -> JournalError {
    // A later format may have changed the opening record itself; its version is still there.
    match serde_json::from_slice::<AnyOpening>(text) {
        Ok(AnyOpening { version }) if line == 1 && version > FORMAT_VERSION => {
            JournalError::Illegal {
                path: path.to_owned(),
                line,
                reason: IllegalRecord::NewerFormat { found: version },
            }
        }
        _ => JournalError::Unreadable {
            path: path.to_owned(),
            line,
            reason: error.to_string(),
        },
    }
}
