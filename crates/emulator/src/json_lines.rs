//! Records as JSON Lines: one object a line, appended, each written when [`JsonLines::add`] returns.
//!
//! A line is not flushed to the disk: a killed daemon loses none, a power cut may.

use crate::files;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::marker::PhantomData;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// A file of records that is being written.
#[derive(Debug)]
pub(crate) struct JsonLines<R> {
    file: Mutex<File>,
    records: PhantomData<fn(R)>,
}

impl<R: Serialize> JsonLines<R> {
    /// Opens it to append to, and makes it if it is not there. Mode 0600.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            file: Mutex::new(files::append(path)?),
            records: PhantomData,
        })
    }

    /// Adds records in one write, so that nobody else's come between them.
    ///
    /// # Errors
    /// If they cannot be written.
    pub(crate) fn add(&self, records: &[R]) -> io::Result<()> {
        let mut lines = Vec::new();
        for record in records {
            serde_json::to_writer(&mut lines, record)?;
            lines.push(b'\n');
        }
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(&lines)
    }
}

/// Reads a file of records; none if there is no file.
///
/// # Errors
/// If it cannot be read. A line that is cut off, as a killed daemon leaves it, ends the reading.
pub(crate) fn read<R: DeserializeOwned>(path: &Path) -> io::Result<Vec<R>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut records = Vec::new();
    for line in BufReader::new(file).lines() {
        match serde_json::from_str(&line?) {
            Ok(record) => records.push(record),
            Err(_) => break,
        }
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_is_read_up_to_a_line_that_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("numbers.jsonl");
        assert!(read::<u32>(&path).unwrap().is_empty());
        JsonLines::open(&path).unwrap().add(&[1_u32, 2]).unwrap();
        JsonLines::<u32>::open(&path).unwrap().add(&[]).unwrap();
        JsonLines::open(&path).unwrap().add(&["cut"]).unwrap();
        assert_eq!(read::<u32>(&path).unwrap(), [1, 2]);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 3]).unwrap();
        assert_eq!(read::<serde_json::Value>(&path).unwrap().len(), 2);
    }
}
