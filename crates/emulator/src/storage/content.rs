//! Reading an object: its segments, one behind the other.

use super::Holder;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;

/// An object's content. The files stay for as long as this does.
#[derive(Clone, Debug)]
pub struct Content(Arc<Held>);

#[derive(Debug)]
struct Held {
    segments: Vec<(PathBuf, u64)>,
    holder: Holder,
}

impl Drop for Held {
    fn drop(&mut self) {
        for (path, _) in &self.segments {
            self.holder.release(path);
        }
    }
}

/// Some of an object's content.
#[derive(Clone, Debug)]
pub struct ContentRange {
    content: Content,
    from: u64,
    length: u64,
}

/// Reads it.
#[derive(Debug)]
pub struct Reader {
    /// Holds the files.
    _content: Content,
    /// What is left: a file, where to begin in it, and how much of it.
    left: VecDeque<(PathBuf, u64, u64)>,
    now: Option<io::Take<File>>,
}

impl Content {
    pub(super) fn new(segments: Vec<(PathBuf, u64)>, holder: Holder) -> Self {
        for (path, _) in &segments {
            holder.hold(path);
        }
        Self(Arc::new(Held { segments, holder }))
    }

    /// Some of it. What is beyond its end is left out.
    pub fn range(&self, from: u64, length: u64) -> ContentRange {
        ContentRange {
            content: self.clone(),
            from,
            length,
        }
    }

    /// Its files with their lengths, in order.
    pub fn segments(&self) -> &[(PathBuf, u64)] {
        &self.0.segments
    }
}

impl ContentRange {
    /// How long it is.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Begins to read it. A file that cannot be opened is an error of the read that comes to it.
    pub fn reader(&self) -> Reader {
        let (mut skip, mut want) = (self.from, self.length);
        let mut left = VecDeque::new();
        for (path, size) in self.content.segments() {
            if skip >= *size {
                skip -= size;
                continue;
            }
            let take = (size - skip).min(want);
            if take > 0 {
                left.push_back((path.clone(), skip, take));
            }
            (skip, want) = (0, want - take);
        }
        Reader {
            _content: self.content.clone(),
            left,
            now: None,
        }
    }
}

impl Read for Reader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        loop {
            if let Some(now) = &mut self.now {
                let read = now.read(into)?;
                if read > 0 {
                    return Ok(read);
                }
                if now.limit() > 0 {
                    // A file that is shorter than its record says.
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                self.now = None;
            }
            let Some((path, from, length)) = self.left.pop_front() else {
                return Ok(0);
            };
            let mut file = File::open(path)?;
            file.seek(SeekFrom::Start(from))?;
            self.now = Some(file.take(length));
        }
    }
}
