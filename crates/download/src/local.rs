//! A file of this machine: used where it lies, or unpacked into the cache.

use crate::blocking::{self, Stop};
use crate::cache::read_all;
use crate::content::{self, Compression, Content};
use crate::digest::{Algorithm, Digest, Hashed, Hashes};
use crate::error::FetchError;
use crate::settings::Progress;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is known of a local file once it was read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Local {
    pub(crate) hashed: Hashed,
    pub(crate) size: u64,
    pub(crate) compression: Option<Compression>,
    state: State,
}

/// What shows that a file was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State(u64, u64, u64, i64, i64);

impl State {
    fn of(file: &Metadata) -> Self {
        Self(
            file.dev(),
            file.ino(),
            file.len(),
            file.mtime(),
            file.mtime_nsec(),
        )
    }
}

/// Reads the file, and compares its digest if it is known what it should be.
pub(crate) async fn examine(
    what: &str,
    path: &Path,
    wanted: Algorithm,
    expected: Option<Digest>,
    progress: &Arc<dyn Progress>,
) -> Result<Local, FetchError> {
    let (what, path, progress) = (what.to_owned(), path.to_owned(), progress.clone());
    blocking::run(move |stop| read(&what, path, wanted, expected, &progress, stop)).await
}

fn read(
    what: &str,
    path: PathBuf,
    wanted: Algorithm,
    expected: Option<Digest>,
    progress: &Arc<dyn Progress>,
    stop: &Stop,
) -> Result<Local, FetchError> {
    let unreadable = |error| FetchError::File {
        what: what.to_owned(),
        doing: "read",
        path: path.clone(),
        error,
    };
    let no_image = |why| FetchError::NotAnImage {
        what: what.to_owned(),
        from: path.display().to_string(),
        why,
    };
    let before = std::fs::metadata(&path).map_err(unreadable)?;
    if !before.is_file() {
        return Err(no_image("it is not a regular file".into()));
    }
    let mut hashes = Hashes::new(wanted);
    let (head, size) = read_all(&path, &mut hashes, progress, stop).map_err(unreadable)?;
    let content = content::of(&head);
    if let Some(why) = content.objection() {
        return Err(no_image(why));
    }
    let hashed = hashes.finish();
    if let Some(expected) = expected.filter(|expected| !hashed.wanted.matches(expected)) {
        return Err(FetchError::Mismatch {
            what: what.to_owned(),
            from: path.display().to_string(),
            expected: Box::new(expected),
            got: Box::new(hashed.wanted),
            note: None,
        });
    }
    let local = Local {
        hashed,
        size,
        compression: match content {
            Content::Packed(compression) => Some(compression),
            _ => None,
        },
        state: State::of(&before),
    };
    local.unchanged(what, &path)?;
    Ok(local)
}

impl Local {
    /// Refuses a file that was changed since it was read.
    pub(crate) fn unchanged(&self, what: &str, path: &Path) -> Result<(), FetchError> {
        let now = std::fs::metadata(path).map(|file| State::of(&file));
        match now {
            Ok(now) if now == self.state => Ok(()),
            Ok(_) => Err(io::Error::other(
                "it was changed while it was read. Fetch it again once nothing writes to it",
            )),
            Err(error) => Err(error),
        }
        .map_err(|error| FetchError::File {
            what: what.to_owned(),
            doing: "read",
            path: path.to_owned(),
            error,
        })
    }
}
