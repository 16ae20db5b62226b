//! The bytes that a format is read from: a file, or memory in tests and fuzz targets.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use rustix::fs::SeekFrom;
use rustix::io::Errno;

use crate::{Content, Extent, ReadError};

/// Bytes that can be read at any offset by any number of threads.
pub trait ReadAt: Send + Sync {
    /// How many bytes there are.
    fn length(&self) -> u64;

    /// Fills `buffer` from `offset` on.
    ///
    /// # Errors
    ///
    /// What the operating system says; [`io::ErrorKind::UnexpectedEof`] past the end.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;

    /// How far the bytes from `offset` on are a hole, which reads as zeros, or data, which may be zeros too. What is not
    /// known is data. `offset` is before the end, and the extent may end anywhere after it.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    fn extent(&self, offset: u64) -> io::Result<Extent> {
        Ok(Extent {
            length: self.length().saturating_sub(offset),
            content: Content::Data,
        })
    }
}

impl ReadAt for Vec<u8> {
    fn length(&self) -> u64 {
        self.len() as u64
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let found = usize::try_from(offset)
            .ok()
            .and_then(|start| self.get(start..start.checked_add(buffer.len())?))
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(found);
        Ok(())
    }
}

/// A file, whose length is looked at once: a file that shrinks later fails with a clear error.
pub(crate) struct FileSource {
    file: File,
    length: u64,
}

impl FileSource {
    pub(crate) fn new(file: File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        Ok(Self { file, length })
    }
}

impl ReadAt for FileSource {
    fn length(&self) -> u64 {
        self.length
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        FileExt::read_exact_at(&self.file, buffer, offset)
    }

    fn extent(&self, offset: u64) -> io::Result<Extent> {
        // The position that lseek moves is used by nobody: every read gives its own.
        let (start, content) = match rustix::fs::seek(&self.file, SeekFrom::Data(offset)) {
            Ok(start) if start > offset => (start, Content::Zero),
            Ok(_) => match rustix::fs::seek(&self.file, SeekFrom::Hole(offset)) {
                Ok(end) => (end, Content::Data),
                Err(error) => return Err(error.into()),
            },
            // No data up to the end.
            Err(Errno::NXIO) => (self.length, Content::Zero),
            // The file system does not tell.
            Err(Errno::INVAL | Errno::NOTSUP) => (self.length, Content::Data),
            Err(error) => return Err(error.into()),
        };
        // A file that has shrunk has no data behind its end, and is no hole: reading it must fail.
        if content == Content::Zero && self.file.metadata()?.len() < self.length {
            return Ok(Extent {
                length: self.length.saturating_sub(offset),
                content: Content::Data,
            });
        }
        Ok(Extent {
            length: start.min(self.length).saturating_sub(offset),
            content,
        })
    }
}

/// Bytes and the name that errors call them by.
#[derive(Clone)]
pub(crate) struct Source {
    name: Arc<str>,
    bytes: Arc<dyn ReadAt>,
    length: u64,
}

impl Source {
    pub(crate) fn new(name: &str, bytes: Arc<dyn ReadAt>) -> Self {
        let length = bytes.length();
        Self {
            name: name.into(),
            bytes,
            length,
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    pub(crate) fn bytes(&self) -> &Arc<dyn ReadAt> {
        &self.bytes
    }

    /// Checks that `length` bytes from `offset` on are within the file.
    pub(crate) fn hold(
        &self,
        what: &'static str,
        offset: u64,
        length: u64,
    ) -> Result<(), ReadError> {
        match offset.checked_add(length) {
            Some(end) if end <= self.length => Ok(()),
            end => Err(ReadError::Truncated {
                file: self.name.to_string(),
                what,
                offset,
                end: end.unwrap_or(u64::MAX),
                length: self.length,
            }),
        }
    }

    /// Fills `buffer` from `offset` on; `what` is missing when the file is too short.
    pub(crate) fn read(
        &self,
        what: &'static str,
        buffer: &mut [u8],
        offset: u64,
    ) -> Result<(), ReadError> {
        self.hold(what, offset, buffer.len() as u64)?;
        match self.bytes.read_exact_at(buffer, offset) {
            Ok(()) => Ok(()),
            // The file has become shorter since it was opened.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(ReadError::Truncated {
                    file: self.name.to_string(),
                    what,
                    offset,
                    end: offset + buffer.len() as u64,
                    length: self.bytes.length().min(offset),
                })
            }
            Err(source) => Err(ReadError::Io {
                file: self.name.to_string(),
                offset,
                source,
            }),
        }
    }

    pub(crate) fn array<const N: usize>(
        &self,
        what: &'static str,
        offset: u64,
    ) -> Result<[u8; N], ReadError> {
        let mut array = [0; N];
        self.read(what, &mut array, offset)?;
        Ok(array)
    }

    /// Whether `offset` is in a hole of the file, and how far.
    pub(crate) fn extent(&self, offset: u64) -> Result<Extent, ReadError> {
        self.bytes.extent(offset).map_err(|source| ReadError::Io {
            file: self.name.to_string(),
            offset,
            source,
        })
    }

    pub(crate) fn damaged(&self, problem: impl Into<String>) -> ReadError {
        ReadError::Damaged {
            file: self.name.to_string(),
            problem: problem.into(),
        }
    }
}
