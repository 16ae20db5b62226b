//! What the other modules do, put together.

use crate::address::Address;
use crate::blocking;
use crate::cache::{Check, Entry, Place};
use crate::content::{self, Compression, Content};
use crate::digest::{Algorithm, Digest};
use crate::error::FetchError;
use crate::listed;
use crate::local;
use crate::lock::{Lease, Use};
use crate::settings::{Progress, Settings};
use crate::space::Room;
use crate::sparse::Written;
use crate::transfer::Transfer;
use crate::unpack::{Unpacking, unpack};
use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How soon a lock that another one has is tried again, at first and after a while.
const FIRST_TRY: Duration = Duration::from_millis(20);
const LAST_TRY: Duration = Duration::from_millis(500);

/// Where something is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// On the web.
    Url(Address),
    /// On this machine.
    File(PathBuf),
}

impl Origin {
    /// The last part of the address or path.
    pub(crate) fn file_name(&self) -> Option<String> {
        match self {
            Self::Url(address) => address.file_name(),
            Self::File(path) => Some(path.file_name()?.to_str()?.to_owned()),
        }
    }
}

/// Without credentials and query.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(address) => address.fmt(f),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// What is known of the content beforehand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// Its digest.
    Digest(Digest),
    /// Its digest stands in a checksum file.
    Listed {
        /// Where the checksum file is.
        from: Origin,
        /// The name under which the image is listed there. None: the last part of the image's address or path.
        name: Option<String>,
        /// A file with OpenPGP public keys, one of which must have signed the checksum file.
        signed_by: Option<PathBuf>,
    },
}

/// An image to be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// Where it is.
    pub from: Origin,
    /// What is known of it. Required for what comes from the web.
    pub checksum: Option<Checksum>,
    /// What it is called in errors and notes.
    pub name: String,
}

/// A fetched image.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The image, not packed. It must not be written to.
    pub path: PathBuf,
    /// The image's size in bytes.
    pub size: u64,
    /// What [`identify`] says: by the checksum's algorithm, or SHA-256.
    pub identity: Digest,
    /// SHA-256 of the file as it was published.
    pub digest: Digest,
    /// The size in bytes of the file as it was published.
    pub published_size: u64,
    /// How it was packed.
    pub unpacked: Option<Compression>,
    /// Whether it was in the cache. For a local file that is used where it lies: no.
    pub from_cache: bool,
    /// Keeps [`prune`](crate::prune()) away from the image. None when the image does not lie in the cache.
    pub lease: Option<Lease>,
}

/// The digest that identifies the content, before anything of it is downloaded: from the checksum, or from the checksum file
/// once its signature is found good; for a local file without a checksum, its SHA-256. A local file with a checksum is not
/// read.
///
/// # Errors
/// When the digest cannot be told. See [`FetchError`].
pub async fn identify(
    fetch: &Fetch,
    settings: &Settings,
    progress: &Arc<dyn Progress>,
) -> Result<Digest, FetchError> {
    in_time(fetch, settings, tell(fetch, settings, progress)).await
}

/// Gives the image: from the cache if it is there, and otherwise downloaded, verified and unpacked. Dropping the future
/// cancels it; what had arrived is kept for the next time.
///
/// # Errors
/// When there is no image. See [`FetchError`]. Nothing unverified or unfinished is left but the part of a download that the next
/// call continues.
pub async fn fetch(
    fetch: &Fetch,
    settings: &Settings,
    progress: &Arc<dyn Progress>,
) -> Result<Fetched, FetchError> {
    let image = async {
        match &fetch.from {
            Origin::Url(address) => {
                let identity = tell(fetch, settings, progress).await?;
                let job = Job::new(fetch, settings, progress, identity);
                job.cached(&Source::Web(address)).await
            }
            Origin::File(path) => from_file(fetch, path, settings, progress).await,
        }
    };
    in_time(fetch, settings, image).await
}

async fn in_time<T>(
    fetch: &Fetch,
    settings: &Settings,
    work: impl Future<Output = Result<T, FetchError>>,
) -> Result<T, FetchError> {
    let Some(longest) = settings.overall_timeout else {
        return work.await;
    };
    tokio::time::timeout(longest, work)
        .await
        .unwrap_or_else(|_| {
            Err(FetchError::TimedOut {
                what: fetch.name.clone(),
                from: fetch.from.to_string(),
                after: longest,
            })
        })
}

async fn tell(
    fetch: &Fetch,
    settings: &Settings,
    progress: &Arc<dyn Progress>,
) -> Result<Digest, FetchError> {
    match (&fetch.checksum, &fetch.from) {
        (Some(checksum), _) => listed::digest(fetch, checksum, settings, progress).await,
        (None, Origin::Url(_)) => Err(FetchError::NoChecksum {
            what: fetch.name.clone(),
            from: fetch.from.to_string(),
        }),
        (None, Origin::File(path)) => {
            let wanted = Algorithm::Sha256;
            let local = local::examine(&fetch.name, path, wanted, None, progress).await?;
            Ok(local.hashed.sha256)
        }
    }
}

async fn from_file(
    fetch: &Fetch,
    path: &Path,
    settings: &Settings,
    progress: &Arc<dyn Progress>,
) -> Result<Fetched, FetchError> {
    let expected = match &fetch.checksum {
        Some(checksum) => Some(listed::digest(fetch, checksum, settings, progress).await?),
        None => None,
    };
    let wanted = expected.map_or(Algorithm::Sha256, |it| it.algorithm());
    let local = local::examine(&fetch.name, path, wanted, expected, progress).await?;
    let identity = local.hashed.wanted;
    match local.compression {
        None => Ok(Fetched {
            path: path.to_owned(),
            size: local.size,
            identity,
            digest: local.hashed.sha256,
            published_size: local.size,
            unpacked: None,
            from_cache: false,
            lease: None,
        }),
        Some(compression) => {
            let job = Job::new(fetch, settings, progress, identity);
            job.cached(&Source::Local(path, local, compression)).await
        }
    }
}

/// Where an entry of the cache is made from.
enum Source<'a> {
    Web(&'a Address),
    Local(&'a Path, local::Local, Compression),
}

/// One content, to be had from the cache.
struct Job<'a> {
    fetch: &'a Fetch,
    settings: &'a Settings,
    progress: &'a Arc<dyn Progress>,
    identity: Digest,
    place: Place,
}

impl<'a> Job<'a> {
    fn new(
        fetch: &'a Fetch,
        settings: &'a Settings,
        progress: &'a Arc<dyn Progress>,
        identity: Digest,
    ) -> Self {
        Self {
            fetch,
            settings,
            progress,
            identity,
            place: Place::of(&settings.cache, &identity),
        }
    }

    /// From the cache, made there first if need be. Whoever makes it has the lock alone, and whoever uses it shares it, for
    /// as long as the image is in use. So one who waits to make it tries both, again and again: it may have been made
    /// meanwhile. flock can wait by itself, but neither for one of two things nor until it is told to stop.
    async fn cached(&self, source: &Source<'_>) -> Result<Fetched, FetchError> {
        let mut check = self.settings.check;
        let mut from_cache = true;
        let mut pause = FIRST_TRY;
        loop {
            if let Some(lease) = self.try_lock(Use::Shared)?
                && let Some(entry) = self.usable(check, &lease).await?
            {
                return self.fetched(entry, from_cache, lease);
            }
            if let Some(lease) = self.try_lock(Use::Alone)? {
                if self.usable(check, &lease).await?.is_none() {
                    let made = self.make(source, &lease).await;
                    if made.is_err() {
                        self.place.leave();
                    }
                    made?;
                    from_cache = false;
                }
                // What was computed just now need not be read again.
                check = Check::Quick;
                continue;
            }
            if pause == FIRST_TRY {
                self.progress.note(&format!(
                    "{}: the same content is being fetched or used otherwise; waiting for it",
                    self.fetch.name
                ));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LAST_TRY);
        }
    }

    fn try_lock(&self, how: Use) -> Result<Option<Lease>, FetchError> {
        self.place
            .try_lock(how)
            .map_err(|error| self.failed("use the cache folder of", error))
    }

    async fn usable(&self, check: Check, lease: &Lease) -> Result<Option<Entry>, FetchError> {
        let (place, progress, lease) = (self.place.clone(), self.progress.clone(), lease.clone());
        let entry = blocking::run(move |stop| {
            let _lease = lease;
            place.usable(check, &progress, stop)
        });
        entry
            .await
            .map_err(|error| self.failed("check the cache folder of", error))
    }

    fn fetched(&self, entry: Entry, from_cache: bool, lease: Lease) -> Result<Fetched, FetchError> {
        let digest = entry
            .published()
            .map_err(|error| self.failed("read the cache entry of", error))?;
        Ok(Fetched {
            path: self.place.image(),
            size: entry.image_size,
            identity: self.identity,
            digest,
            published_size: entry.published_size,
            unpacked: entry.compression,
            from_cache,
            lease: Some(lease),
        })
    }

    async fn make(&self, source: &Source<'_>, lease: &Lease) -> Result<(), FetchError> {
        self.place
            .prepare()
            .map_err(|error| self.failed("make the cache folder", error))?;
        match source {
            Source::Web(address) => {
                let transfer = Transfer {
                    what: &self.fetch.name,
                    address,
                    expected: self.identity,
                    settings: self.settings,
                    progress: self.progress,
                    lease,
                };
                let part = self.place.part();
                let (hashed, size) = transfer.run(&part).await?;
                let head = head(&part).map_err(|error| self.failed("read", error))?;
                let published = (hashed.sha256, size);
                match content::of(&head) {
                    Content::Packed(compression) => {
                        self.unpack(&part, compression, published, lease).await?;
                        crate::part::remove(&part);
                        Ok(())
                    }
                    _ => {
                        let sha256 = hashed.sha256;
                        let written = Written { size, sha256 };
                        self.complete(&part, published, None, written)?;
                        crate::part::remove(&part);
                        Ok(())
                    }
                }
            }
            Source::Local(path, local, compression) => {
                let published = (local.hashed.sha256, local.size);
                self.unpack(path, *compression, published, lease).await?;
                let unchanged = local.unchanged(&self.fetch.name, path);
                if unchanged.is_err() {
                    // What was unpacked may be of another file than that of which the digest was taken.
                    let _ = self.place.prepare();
                }
                unchanged
            }
        }
    }

    async fn unpack(
        &self,
        packed: &Path,
        compression: Compression,
        published: (Digest, u64),
        lease: &Lease,
    ) -> Result<(), FetchError> {
        let (what, from) = (self.fetch.name.clone(), self.fetch.from.to_string());
        let (packed, to) = (packed.to_owned(), self.place.unpacking());
        let (settings, progress) = (self.settings.clone(), self.progress.clone());
        let mut room = Room::new(&what, "unpack", self.place.folder(), &settings);
        if packed == self.place.part() {
            room = room.with_note("; the download itself is kept for the next attempt");
        }
        let lease = lease.clone();
        let source = packed.clone();
        let written = blocking::run(move |stop| {
            let _lease = lease;
            let unpacking = Unpacking::within(
                &settings,
                &progress,
                (&what, &from),
                (&source, compression),
                &to,
                room,
            );
            unpack(&unpacking, stop)
        })
        .await;
        if let (Err(FetchError::Packed { .. }), true) = (&written, packed == self.place.part()) {
            // It is as its publisher made it, and of no use: another attempt would give the same.
            crate::part::remove(&packed);
        }
        self.complete(
            &self.place.unpacking(),
            published,
            Some(compression),
            written?,
        )
    }

    fn complete(
        &self,
        image: &Path,
        published: (Digest, u64),
        compression: Option<Compression>,
        written: Written,
    ) -> Result<(), FetchError> {
        let from = self.fetch.from.to_string();
        Entry::new(from, published, compression, written, image)
            .and_then(|entry| self.place.complete(image, entry))
            .map_err(|error| self.failed("complete the cache entry", error))
    }

    fn failed(&self, doing: &'static str, error: io::Error) -> FetchError {
        FetchError::File {
            what: self.fetch.name.clone(),
            doing,
            path: self.place.folder().to_owned(),
            error,
        }
    }
}

fn head(path: &Path) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    std::fs::File::open(path)?
        .take(content::HEAD as u64)
        .read_to_end(&mut head)?;
    Ok(head)
}
