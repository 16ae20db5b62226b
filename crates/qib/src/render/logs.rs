//! What happens to each cell, in a file of its own: every line that is shown, and all output, with times in UTC.

use super::stopwatch::Stopwatch;
use super::wording::{Saying, Subject, saying};
use build::event::Event;
use build::names::CellName;
use cloud::Clock;
use std::collections::{HashMap, HashSet};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is of no cell.
const OF_THE_RUN: &str = "run.log";

/// Writes the logs of a run.
pub struct CellLogs {
    folder: PathBuf,
    clock: Arc<dyn Clock>,
    stopwatch: Stopwatch,
    cells: HashSet<CellName>,
    files: HashMap<PathBuf, File>,
    failed: Option<io::Error>,
}

impl CellLogs {
    /// Logs below `folder`, which is made when there is something to write.
    pub fn new(folder: PathBuf, clock: Arc<dyn Clock>) -> Self {
        Self {
            folder,
            stopwatch: Stopwatch::new(clock.clone()),
            clock,
            cells: HashSet::new(),
            files: HashMap::new(),
            failed: None,
        }
    }

    /// Writes what `event` says. Gives the error of the first line that could not be written, once: after it nothing more
    /// is tried.
    pub fn event(&mut self, event: &Event) -> Option<String> {
        if let Event::Started { cells, .. } = event {
            self.cells.extend(cells.iter().map(|one| one.cell.clone()));
        }
        let took = self.stopwatch.lap(event);
        if self.failed.is_some() {
            return None;
        }
        let said = saying(event, took)?;
        match self.write(&said) {
            Ok(()) => None,
            Err(error) => {
                let text = format!(
                    "the logs in {} cannot be written any more: {error}",
                    self.folder.display()
                );
                self.failed = Some(error);
                Some(text)
            }
        }
    }

    fn write(&mut self, said: &Saying) -> io::Result<()> {
        let path = match &said.subject {
            Subject::Cell(cell) if self.cells.contains(cell) => log_file(&self.folder, cell),
            Subject::Cell(_) | Subject::Pipeline(_) => self.folder.join(OF_THE_RUN),
        };
        let time = self.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ");
        let subject = match &said.subject {
            Subject::Cell(cell) if !self.cells.contains(cell) => format!(" {cell}"),
            Subject::Cell(_) | Subject::Pipeline(_) => String::new(),
        };
        let mut text = String::new();
        for line in &said.lines {
            text.push_str(format!("{time}{subject} {line}").trim_end());
            text.push('\n');
        }
        let file = match self.files.entry(path) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => {
                let file = open(entry.key())?;
                entry.insert(file)
            }
        };
        file.write_all(text.as_bytes())
    }
}

/// A cell's log in `folder`.
pub fn log_file(folder: &Path, cell: &CellName) -> PathBuf {
    folder.join(format!("{}--{}.log", cell.stage, cell.cell))
}

/// Only for the user: output may name what is nobody else's business.
fn open(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
    }
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::sample::{FixedClock, a_run};

    fn logged(folder: &Path) -> Option<String> {
        let mut logs = CellLogs::new(folder.to_owned(), Arc::new(FixedClock));
        let said: Vec<String> = a_run()
            .iter()
            .filter_map(|event| logs.event(event))
            .collect();
        assert!(said.len() < 2, "{said:?}");
        said.into_iter().next()
    }

    #[test]
    fn each_cell_has_its_file_and_the_run_has_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let logs = folder.path().join("a/logs");
        assert_eq!(logged(&logs), None);
        let mut all = Vec::new();
        let mut names: Vec<_> = std::fs::read_dir(&logs)
            .expect("it is there")
            .map(|entry| entry.expect("an entry").path())
            .collect();
        names.sort();
        for path in names {
            let name = path
                .file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            let text = std::fs::read_to_string(&path).expect("text");
            all.push(format!("=== {name}\n{text}"));
        }
        insta::assert_snapshot!(all.concat());
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_said_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("file");
        std::fs::write(&file, "").expect("it can be written");
        let said = logged(&file.join("logs")).expect("it is told");
        assert!(said.contains("cannot be written any more"), "{said}");
    }
}
