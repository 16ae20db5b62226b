//! What has arrived of a download, and what is known of where it came from.
//!
//! Two files of the entry: `part` has the bytes, `part.json` says which address they came from, how long the whole is, and by
//! what the server tells this content from another one. The second is written before the first byte of the first.

use crate::address::shown;
use crate::blocking::Stop;
use crate::digest::{Algorithm, Hashed, Hashes};
use crate::error::FetchError;
use crate::http::field;
use crate::lock::Lease;
use crate::settings::{Phase, Progress};
use crate::space::Room;
use bytes::Bytes;
use reqwest::Url;
use reqwest::header::{ETAG, HeaderMap, HeaderValue, LAST_MODIFIED};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is known of the content of which a part has arrived.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Known {
    /// The address that sent it, after redirections, without credentials and query.
    pub(crate) url: String,
    /// How long all of it is, if the server said so.
    pub(crate) length: Option<u64>,
    /// The strong entity tag (RFC 9110, section 8.8.3). A weak one does not promise the same bytes.
    pub(crate) etag: Option<String>,
    /// The time of its last change, as the server writes it.
    pub(crate) modified: Option<String>,
}

impl Known {
    /// What an answer says of its content.
    pub(crate) fn of(url: &Url, fields: &HeaderMap<HeaderValue>, length: Option<u64>) -> Self {
        Self {
            url: shown(url),
            length,
            etag: field(fields, &ETAG)
                .filter(|tag| tag.starts_with('"'))
                .map(str::to_owned),
            modified: field(fields, &LAST_MODIFIED).map(str::to_owned),
        }
    }

    /// What If-Range says: continue only if the content is still this one. Nothing for another address than the one that
    /// sent it: mirrors of the same file have entity tags of their own.
    pub(crate) fn validator(&self, url: &Url) -> Option<&str> {
        if shown(url) != self.url {
            return None;
        }
        self.etag.as_deref().or(self.modified.as_deref())
    }

    /// How another answer shows that its content is not this one.
    pub(crate) fn contradiction(&self, other: &Self) -> Option<String> {
        if let (Some(a), Some(b)) = (self.length, other.length)
            && a != b
        {
            return Some(format!("it had {a} bytes and now has {b}"));
        }
        if self.url != other.url {
            return None;
        }
        match (&self.etag, &other.etag) {
            (Some(a), Some(b)) if a != b => {
                return Some(format!("its entity tag was {a} and now is {b}"));
            }
            (Some(_), Some(_)) => return None,
            _ => {}
        }
        match (&self.modified, &other.modified) {
            (Some(a), Some(b)) if a != b => Some(format!("it was changed on {a} and now on {b}")),
            _ => None,
        }
    }
}

/// The part itself, open, with the digest of what is in it.
pub(crate) struct Part {
    file: File,
    path: PathBuf,
    length: u64,
    wanted: Algorithm,
    hashes: Hashes,
    room: Room,
    known: Option<Known>,
}

impl Part {
    /// Opens the part, reading what is there for its digest. What does not fit together is thrown away.
    pub(crate) fn open(
        path: &Path,
        wanted: Algorithm,
        room: Room,
        progress: &Arc<dyn Progress>,
        stop: &Stop,
    ) -> Result<Self, FetchError> {
        let fail = |doing| {
            let (what, path) = (room.what.clone(), path.to_owned());
            move |error| FetchError::File {
                what,
                doing,
                path,
                error,
            }
        };
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path)
            .map_err(fail("open"))?;
        let length = file.metadata().map_err(fail("read"))?.len();
        let known = read_known(&beside(path)).map_err(fail("read"))?;
        let mut part = Self {
            file,
            path: path.to_owned(),
            length: 0,
            wanted,
            hashes: Hashes::new(wanted),
            room: room.clone(),
            known: None,
        };
        match known {
            Some(known) if length > 0 && known.length.is_none_or(|whole| length <= whole) => {
                part.read(length, progress, stop).map_err(fail("read"))?;
                part.known = Some(known);
            }
            _ => part.empty()?,
        }
        Ok(part)
    }

    fn read(&mut self, length: u64, progress: &Arc<dyn Progress>, stop: &Stop) -> io::Result<()> {
        let mut buffer = vec![0; 1 << 20];
        while self.length < length {
            stop.check()?;
            let read = match self.file.read(&mut buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.hashes.update(&buffer[..read]);
            self.length += read as u64;
            progress.advance(Phase::Verify, self.length, Some(length));
        }
        Ok(())
    }

    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    pub(crate) fn known(&self) -> Option<&Known> {
        self.known.as_ref()
    }

    pub(crate) fn room(&self) -> &Room {
        &self.room
    }

    /// Throws away what has arrived.
    pub(crate) fn empty(&mut self) -> Result<(), FetchError> {
        self.known = None;
        self.length = 0;
        self.hashes = Hashes::new(self.wanted);
        self.file
            .set_len(0)
            .and_then(|()| io::Seek::rewind(&mut self.file))
            .map_err(|error| self.room.failed(&self.path, 0, error))
    }

    /// Begins anew with this content.
    pub(crate) fn begin(&mut self, known: Known) -> Result<(), FetchError> {
        self.empty()?;
        let path = beside(&self.path);
        let text = serde_json::to_vec(&known).map_err(io::Error::from);
        text.and_then(|text| write_whole(&path, &text))
            .map_err(|error| self.room.failed(&path, 0, error))?;
        self.known = Some(known);
        Ok(())
    }

    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<(), FetchError> {
        self.room.before(bytes.len() as u64)?;
        self.file
            .write_all(bytes)
            .map_err(|error| self.room.failed(&self.path, bytes.len() as u64, error))?;
        self.hashes.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// The digest of what is there.
    pub(crate) fn hashed(&self) -> Hashed {
        self.hashes.clone().finish()
    }

    /// Puts it on stable storage.
    pub(crate) fn sync(&self) -> Result<(), FetchError> {
        self.file
            .sync_all()
            .map_err(|error| self.room.failed(&self.path, 0, error))
    }

    /// Removes it and what is known of it.
    pub(crate) fn remove(self) {
        remove(&self.path);
    }

    /// Writes pieces as they come, on a thread of its own that has the lock of the entry as long as it lives.
    pub(crate) fn write_from(
        mut self,
        mut pieces: tokio::sync::mpsc::Receiver<Bytes>,
        lease: Lease,
    ) -> tokio::task::JoinHandle<(Self, Result<(), FetchError>)> {
        tokio::task::spawn_blocking(move || {
            let _lease = lease;
            while let Some(piece) = pieces.blocking_recv() {
                if let Err(error) = self.append(&piece) {
                    return (self, Err(error));
                }
            }
            (self, Ok(()))
        })
    }
}

/// Removes a part and what is known of it. What cannot be removed is not in the way: an entry is only what is named so.
pub(crate) fn remove(path: &Path) {
    let _ = std::fs::remove_file(beside(path));
    let _ = std::fs::remove_file(path);
}

fn beside(path: &Path) -> PathBuf {
    path.with_extension("json")
}

fn read_known(path: &Path) -> io::Result<Option<Known>> {
    match std::fs::read(path) {
        // One that is not whole was cut by a crash.
        Ok(text) => Ok(serde_json::from_slice(&text).ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes a small file so that it is there whole or not at all, also after a loss of power.
pub(crate) fn write_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(url: &str, length: u64, etag: Option<&str>, modified: Option<&str>) -> Known {
        Known {
            url: url.into(),
            length: Some(length),
            etag: etag.map(str::to_owned),
            modified: modified.map(str::to_owned),
        }
    }

    #[test]
    fn only_what_speaks_for_another_content_is_a_contradiction() {
        let a = known("u", 5, Some("\"1\""), Some("mon"));
        assert_eq!(a.contradiction(&a), None);
        assert!(
            a.contradiction(&known("u", 6, Some("\"1\""), None))
                .is_some()
        );
        assert!(
            a.contradiction(&known("u", 5, Some("\"2\""), Some("mon")))
                .is_some()
        );
        // A mirror that copied the file later.
        assert_eq!(
            a.contradiction(&known("u", 5, Some("\"1\""), Some("tue"))),
            None
        );
        assert!(a.contradiction(&known("u", 5, None, Some("tue"))).is_some());
        assert_eq!(a.contradiction(&known("u", 5, None, None)), None);
        assert_eq!(
            a.contradiction(&known("other", 5, Some("\"2\""), Some("tue"))),
            None
        );
        assert!(a.contradiction(&known("other", 4, None, None)).is_some());
    }

    #[test]
    fn weak_tags_are_not_used_and_no_tag_is_shown_to_another_server() {
        let url = Url::parse("http://h/x?sig=1").expect("a URL");
        let fields = |tag: &str| {
            let mut fields = HeaderMap::new();
            fields.insert(ETAG, HeaderValue::from_str(tag).expect("a value"));
            fields.insert(LAST_MODIFIED, HeaderValue::from_static("mon"));
            fields
        };
        let strong = Known::of(&url, &fields("\"1\""), None);
        assert_eq!(strong.validator(&url), Some("\"1\""));
        let elsewhere = Url::parse("http://mirror/x").expect("a URL");
        assert_eq!(strong.validator(&elsewhere), None);
        // A signed URL has another query each time.
        assert_eq!(
            strong.validator(&Url::parse("http://h/x?sig=2").expect("a URL")),
            Some("\"1\"")
        );
        assert_eq!(
            Known::of(&url, &fields("W/\"1\""), None).validator(&url),
            Some("mon")
        );
    }
}
