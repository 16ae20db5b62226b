//! The cache: a folder for each content, named by its digest.
//!
//! ```text
//!   sha256-HEX.lock      who uses the entry (see the module `lock`)
//!   sha256-HEX/
//!     part, part.json    a download that is not finished
//!     unpacking          an image that is not finished
//!     image              the image: there before entry.json is
//!     entry.json         what the image is; an entry without it is none. Its time of change is that of its last use
//! ```

use crate::blocking::Stop;
use crate::content::Compression;
use crate::digest::{Algorithm, Digest, Hashes};
use crate::lock::{self, Lease, Use};
use crate::part::write_whole;
use crate::settings::{Phase, Progress};
use crate::sparse::Written;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// How an entry of the cache is checked before it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// Its size and time of change are as they were when it was made. If not, it is read.
    Quick,
    /// Its digest is what it was when it was made: all of it is read.
    Full,
}

/// The folder of one content.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    folder: PathBuf,
}

/// What `entry.json` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Where it came from, for people who look into the cache.
    pub(crate) from: String,
    /// SHA-256 of the file as it was published.
    pub(crate) published_sha256: String,
    /// How long that file is.
    pub(crate) published_size: u64,
    /// How it was packed.
    pub(crate) compression: Option<Compression>,
    /// SHA-256 of the image.
    image_sha256: String,
    pub(crate) image_size: u64,
    /// Nanoseconds since 1970.
    image_changed: u64,
}

impl Place {
    pub(crate) fn of(cache: &Path, identity: &Digest) -> Self {
        Self {
            folder: cache.join(identity.folder()),
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn part(&self) -> PathBuf {
        self.folder.join("part")
    }

    pub(crate) fn unpacking(&self) -> PathBuf {
        self.folder.join("unpacking")
    }

    pub(crate) fn image(&self) -> PathBuf {
        self.folder.join("image")
    }

    fn entry(&self) -> PathBuf {
        self.folder.join("entry.json")
    }

    fn lock_file(&self) -> PathBuf {
        lock_file(&self.folder)
    }

    /// Takes the lock if nobody has it otherwise.
    pub(crate) fn try_lock(&self, how: Use) -> io::Result<Option<Lease>> {
        if let Some(cache) = self.folder.parent() {
            std::fs::create_dir_all(cache)?;
        }
        lock::try_lock(&self.lock_file(), how)
    }

    /// The entry, if there is one and its image is what it was. Needs the lock, shared or alone.
    pub(crate) fn usable(
        &self,
        check: Check,
        progress: &Arc<dyn Progress>,
        stop: &Stop,
    ) -> io::Result<Option<Entry>> {
        let Some(entry) = read_entry(&self.entry())? else {
            return Ok(None);
        };
        let image = match std::fs::metadata(self.image()) {
            Ok(image) => image,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if image.len() != entry.image_size {
            return Ok(None);
        }
        if (check == Check::Full || changed(&image)? != entry.image_changed)
            && !digest(&self.image(), progress, stop)?.is(&entry.image_sha256)
        {
            return Ok(None);
        }
        // For `prune`. A cache that may only be read is used all the same.
        let _ = File::options()
            .append(true)
            .open(self.entry())
            .and_then(|file| file.set_modified(SystemTime::now()));
        Ok(Some(entry))
    }

    /// Makes the folder, and throws away what an earlier attempt left, except for a download that can go on. Needs the lock,
    /// alone.
    pub(crate) fn prepare(&self) -> io::Result<()> {
        std::fs::create_dir_all(&self.folder)?;
        for path in [self.entry(), self.image(), self.unpacking()] {
            gone(std::fs::remove_file(path))?;
        }
        Ok(())
    }

    /// Makes the entry of a finished image, which lies at `from` in the folder, and is on stable storage.
    pub(crate) fn complete(&self, from: &Path, entry: Entry) -> io::Result<()> {
        std::fs::rename(from, self.image())?;
        File::open(&self.folder)?.sync_all()?;
        let text = serde_json::to_vec_pretty(&entry)?;
        write_whole(&self.entry(), &text)
    }

    /// Removes the folder and its lock if there is nothing in it. Needs the lock, alone.
    pub(crate) fn leave(&self) {
        if std::fs::metadata(self.part()).is_ok_and(|part| part.len() == 0) {
            crate::part::remove(&self.part());
        }
        // A folder with something in it stays: that is the point.
        if std::fs::remove_dir(&self.folder).is_ok() {
            let _ = std::fs::remove_file(self.lock_file());
        }
    }
}

impl Entry {
    /// Describes a finished image that lies at `image`.
    pub(crate) fn new(
        from: String,
        (published, published_size): (Digest, u64),
        compression: Option<Compression>,
        written: Written,
        image: &Path,
    ) -> io::Result<Self> {
        Ok(Self {
            from,
            published_sha256: hex::encode(published.bytes()),
            published_size,
            compression,
            image_sha256: hex::encode(written.sha256.bytes()),
            image_size: written.size,
            image_changed: changed(&std::fs::metadata(image)?)?,
        })
    }

    pub(crate) fn published(&self) -> io::Result<Digest> {
        Digest::from_hex(Algorithm::Sha256, &self.published_sha256).map_err(io::Error::other)
    }
}

/// The lock of an entry's folder.
pub(crate) fn lock_file(folder: &Path) -> PathBuf {
    folder.with_extension("lock")
}

fn changed(image: &std::fs::Metadata) -> io::Result<u64> {
    let since = image
        .modified()?
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Ok(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

fn read_entry(path: &Path) -> io::Result<Option<Entry>> {
    match std::fs::read(path) {
        // One that cannot be read is of another version of qib, or damaged: the entry is made anew.
        Ok(text) => Ok(serde_json::from_slice(&text).ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// A digest that is compared with one in hexadecimal.
struct Of(Digest);

impl Of {
    fn is(&self, hexadecimal: &str) -> bool {
        hex::encode(self.0.bytes()) == hexadecimal
    }
}

fn digest(path: &Path, progress: &Arc<dyn Progress>, stop: &Stop) -> io::Result<Of> {
    let mut hashes = Hashes::new(Algorithm::Sha256);
    read_all(path, &mut hashes, progress, stop)?;
    Ok(Of(hashes.finish().sha256))
}

/// Reads a file for its digest. Gives its first bytes and its length.
pub(crate) fn read_all(
    path: &Path,
    hashes: &mut Hashes,
    progress: &Arc<dyn Progress>,
    stop: &Stop,
) -> io::Result<(Vec<u8>, u64)> {
    let mut file = File::open(path)?;
    let total = file.metadata()?.len();
    let mut buffer = vec![0; 1 << 20];
    let mut head = Vec::new();
    let mut done = 0;
    loop {
        stop.check()?;
        let read = match file.read(&mut buffer) {
            Ok(0) => return Ok((head, done)),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if head.len() < crate::content::HEAD {
            let more = (crate::content::HEAD - head.len()).min(read);
            head.extend_from_slice(&buffer[..more]);
        }
        hashes.update(&buffer[..read]);
        done += read as u64;
        progress.advance(Phase::Verify, done, Some(total));
    }
}

/// That something is not there is as good as that it was removed.
pub(crate) fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
