//! The files that a pipeline is made of: its own, and those that it includes.

use crate::problem::{Fault, Problem};
use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

/// The files that a pipeline is made of, in the order of [`crate::Span::file`].
#[derive(Clone, Default)]
pub struct SourceFiles(Vec<SourceFile>);

#[derive(Clone)]
struct SourceFile {
    path: PathBuf,
    text: String,
    /// The lines in which a secret is written: no message shows them.
    hidden: BTreeSet<u32>,
}

impl SourceFiles {
    /// Takes a file in and gives its number. What is not UTF-8 is replaced, for messages only.
    pub(crate) fn add(&mut self, path: &Path, bytes: &[u8]) -> u16 {
        let text = String::from_utf8_lossy(bytes);
        self.0.push(SourceFile {
            path: path.to_owned(),
            text: text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned(),
            hidden: BTreeSet::new(),
        });
        (self.0.len() - 1) as u16
    }

    /// How many files there are.
    pub(crate) const fn len(&self) -> usize {
        self.0.len()
    }

    /// The file's path as it was named.
    pub(crate) fn path(&self, file: u16) -> &Path {
        self.0
            .get(usize::from(file))
            .map_or(Path::new(""), |source| &source.path)
    }

    /// The files' paths, the pipeline's own first.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().map(|source| source.path.as_path())
    }

    /// Keeps a line of a file out of messages.
    pub(crate) fn hide(&mut self, file: u16, line: u32) {
        if let Some(source) = self.0.get_mut(usize::from(file)) {
            source.hidden.insert(line);
        }
    }

    /// The problem that a fault is, in its file.
    pub(crate) fn problem(&self, fault: Fault) -> Problem {
        let (file, line) = (fault.span.file, fault.span.line);
        let source = self.0.get(usize::from(file));
        let text = source.map_or("", |source| &source.text);
        let mut problem = fault.in_file(self.path(file), text);
        if let Some(place) = &mut problem.place
            && source.is_some_and(|source| source.hidden.contains(&line))
        {
            place.source.clear();
        }
        problem
    }
}

impl fmt::Debug for SourceFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.paths()).finish()
    }
}
