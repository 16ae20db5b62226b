//! From a path to a disk: the only place that opens files to read them.

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};

use crate::formats::{self, Neighbours, Surroundings};
use crate::probe::{self, Decision};
use crate::source::{FileSource, ReadAt, Source};
use crate::{Disk, Format, OpenError};

/// How an image is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OpenOptions {
    /// The format, if it is known; otherwise it is told from the content. What contradicts the content is an error.
    pub format: Option<Format>,
    /// Whether the image may be based on another file.
    pub backing_file: BackingFile,
}

/// Whether a QCOW2 image may be based on another file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BackingFile {
    /// An image that names a backing file is not read: whoever made the image would say which file of this machine is
    /// read and uploaded.
    #[default]
    Refused,
    /// A file of the same folder may be one, if the image says which format it has.
    Allowed,
}

/// A disk and the format that it was read from.
#[derive(Clone)]
pub struct OpenedDisk {
    /// The format, as told from the content or as the caller gave it.
    pub format: Format,
    /// The disk's content.
    pub disk: Arc<dyn Disk>,
    /// What it is read from.
    pub files: Files,
}

/// The files that a disk is read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Files {
    /// The image alone.
    One,
    /// The image and others beside it: the parts of a VMDK, or backing files.
    Several,
}

/// Opens the image at `path`.
///
/// # Errors
///
/// What keeps it from being read; see [`OpenError`].
pub fn open(path: &Path, options: &OpenOptions) -> Result<OpenedDisk, OpenError> {
    // A pipe would wait for its other end.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = rustix::fs::open(path, flags, Mode::empty()).map_err(|error| OpenError::Open {
        path: path.to_owned(),
        source: error.into(),
    })?;
    let bytes = regular(path, File::from(file))?;
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    open_source(path, bytes, options, &Folder(folder))
}

/// As [`open`], for bytes that are in memory and have no other files beside them: what tests and fuzz targets read.
/// Errors call them `name`.
///
/// # Errors
///
/// As [`open`].
pub fn open_bytes(
    name: &str,
    bytes: Arc<dyn ReadAt>,
    options: &OpenOptions,
) -> Result<OpenedDisk, OpenError> {
    open_source(Path::new(name), bytes, options, &Alone)
}

fn open_source(
    path: &Path,
    bytes: Arc<dyn ReadAt>,
    options: &OpenOptions,
    neighbours: &dyn Neighbours,
) -> Result<OpenedDisk, OpenError> {
    let recognised = probe::probe(&*bytes).map_err(|source| OpenError::Open {
        path: path.to_owned(),
        source,
    })?;
    let format = probe::decide(recognised, options.format).map_err(|decision| {
        let path = path.to_owned();
        match decision {
            Decision::NotADisk(found) => OpenError::NotADisk { path, found },
            Decision::NotOf(said) => OpenError::NotOfFormat { path, said },
            Decision::Other { said, found } => OpenError::OtherFormat { path, said, found },
        }
    })?;
    let source = Source::new(&path.display().to_string(), bytes);
    let neighbours = Noticed {
        of: neighbours,
        opened: Cell::new(Files::One),
    };
    let disk = formats::open(
        format,
        source,
        Surroundings {
            backing_file: options.backing_file,
            neighbours: &neighbours,
            depth: 0,
        },
    )?;
    Ok(OpenedDisk {
        format,
        disk,
        files: neighbours.opened.get(),
    })
}

/// Notices whether an image has other files.
struct Noticed<'n> {
    of: &'n dyn Neighbours,
    opened: Cell<Files>,
}

impl Neighbours for Noticed<'_> {
    fn open(&self, name: &str) -> Result<Source, OpenError> {
        self.opened.set(Files::Several);
        self.of.open(name)
    }
}

fn regular(path: &Path, file: File) -> Result<Arc<dyn ReadAt>, OpenError> {
    let failed = |source: io::Error| OpenError::Open {
        path: path.to_owned(),
        source,
    };
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(OpenError::NotAFile {
            path: path.to_owned(),
        });
    }
    Ok(Arc::new(FileSource::new(file).map_err(failed)?))
}

/// The folder of an image, for the files that it names.
struct Folder(PathBuf);

impl Neighbours for Folder {
    fn open(&self, name: &str) -> Result<Source, OpenError> {
        let path = self.0.join(name);
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOFOLLOW;
        let file = rustix::fs::open(&path, flags, Mode::empty()).map_err(|error| {
            if error == rustix::io::Errno::LOOP {
                return OpenError::NotAFile { path: path.clone() };
            }
            OpenError::Open {
                path: path.clone(),
                source: error.into(),
            }
        })?;
        let bytes = regular(&path, File::from(file))?;
        Ok(Source::new(&path.display().to_string(), bytes))
    }
}

/// No other files.
struct Alone;

impl Neighbours for Alone {
    fn open(&self, name: &str) -> Result<Source, OpenError> {
        Err(OpenError::Open {
            path: PathBuf::from(name),
            source: io::ErrorKind::NotFound.into(),
        })
    }
}
