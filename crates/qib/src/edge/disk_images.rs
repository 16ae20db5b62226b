//! Disk images: from the web or from a file, into the cache of this machine.

use async_trait::async_trait;
use build::event::Transfer;
use build::failure::with_causes;
use build::host::{DiskImageError, DiskImages, FetchWatch, FetchedDisk};
use disk::blocks::Reading;
use disk::probe::NotADisk;
use disk::{Disk, OpenError};
use download::{Address, Check, Digest, Fetch, Fetched, Origin, Phase, Progress, Settings};
use pipeline::model::{self, Checksum, Import, ImportChecksum, ImportOrigin};
use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Fetches disk images into a cache.
pub struct CachedImages {
    settings: Settings,
    /// What was found out in this process already: a plan asks for each cell, and a large file takes its time.
    known: Mutex<HashMap<String, Checksum>>,
    /// What is in use: the cache is not cleared of it.
    in_use: Mutex<Vec<Fetched>>,
}

impl CachedImages {
    /// Those of the cache in `folder`.
    pub fn new(folder: PathBuf) -> Self {
        Self {
            settings: Settings {
                check: Check::Quick,
                ..Settings::in_cache(folder)
            },
            known: Mutex::default(),
            in_use: Mutex::default(),
        }
    }

    fn remember(&self, key: String, digest: Checksum) {
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key, digest);
    }
}

/// The disk of an image that is used where it lies: on this machine, not packed, and with no checksum to be compared with.
/// It is known by what a machine would read of it, which takes one look at its data, and covers what stands below it as well.
async fn in_place(import: &Import) -> Result<Option<Arc<dyn Disk>>, DiskImageError> {
    let (Some(file), None) = (import.origin.file(), &import.checksum) else {
        return Ok(None);
    };
    let path = file.path().to_owned();
    let options = build::disk_options(import);
    let opened = tokio::task::spawn_blocking(move || disk::open(&path, &options));
    match opened.await.map_err(|error| failed(&error))? {
        Ok(opened) => Ok(Some(opened.disk)),
        Err(OpenError::NotADisk {
            found: NotADisk::Gzip | NotADisk::Xz | NotADisk::Zstd,
            ..
        }) => Ok(None),
        Err(error) => Err(failed(&error)),
    }
}

async fn content_digest(disk: Arc<dyn Disk>) -> Result<Checksum, DiskImageError> {
    const SOME: NonZeroUsize = NonZeroUsize::new(8).expect("eight is not zero");
    let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let reading = Reading {
        threads: threads.min(SOME),
        queue: SOME,
    };
    let digest = tokio::task::spawn_blocking(move || disk::blocks::content_digest(&disk, reading));
    let digest = digest.await.map_err(|error| failed(&error))?;
    digest
        .map(|digest| Checksum::Sha256(*digest.as_bytes()))
        .map_err(|error| failed(&error))
}

fn failed(error: &dyn std::error::Error) -> DiskImageError {
    DiskImageError {
        message: with_causes(error),
        hint: None,
    }
}

fn origin(origin: &ImportOrigin) -> Result<Origin, DiskImageError> {
    match origin {
        ImportOrigin::Url(url) => {
            let address: Result<Address, _> = url.value.as_str().parse();
            address.map(Origin::Url).map_err(|error| DiskImageError {
                message: with_causes(&error),
                hint: None,
            })
        }
        ImportOrigin::File(file) => Ok(Origin::File(file.path().to_owned())),
    }
}

fn wanted(import: &Import) -> Result<Fetch, DiskImageError> {
    let checksum = import
        .checksum
        .as_ref()
        .map(|checksum| {
            Ok(match checksum {
                ImportChecksum::Digest(digest) => download::Checksum::Digest(match digest {
                    Checksum::Sha256(bytes) => Digest::Sha256(*bytes),
                    Checksum::Sha512(bytes) => Digest::Sha512(*bytes),
                }),
                ImportChecksum::Listed(list) => download::Checksum::Listed {
                    from: origin(&list.origin)?,
                    name: list.name.clone(),
                    signed_by: list.signed_by.as_ref().map(|key| key.path().to_owned()),
                },
            })
        })
        .transpose()?;
    Ok(Fetch {
        from: origin(&import.origin)?,
        checksum,
        name: import.origin.file_name().to_owned(),
    })
}

fn checksum(digest: &Digest) -> Checksum {
    match digest {
        Digest::Sha256(bytes) => model::Checksum::Sha256(*bytes),
        Digest::Sha512(bytes) => model::Checksum::Sha512(*bytes),
    }
}

#[async_trait]
impl DiskImages for CachedImages {
    async fn identify(&self, import: &Import) -> Result<Checksum, DiskImageError> {
        let wanted = wanted(import)?;
        let key = format!("{wanted:?}");
        let known = self
            .known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&key)
            .copied();
        if let Some(known) = known {
            return Ok(known);
        }
        if let Some(disk) = in_place(import).await? {
            let digest = content_digest(disk).await?;
            self.remember(key, digest);
            return Ok(digest);
        }
        let silent: Arc<dyn Progress> = Arc::new(download::Silent);
        let digest = download::identify(&wanted, &self.settings, &silent)
            .await
            .map_err(|error| failed(&error))?;
        let digest = checksum(&digest);
        self.remember(key, digest);
        Ok(digest)
    }

    async fn fetch(
        &self,
        import: &Import,
        watch: &dyn FetchWatch,
    ) -> Result<FetchedDisk, DiskImageError> {
        if let (Some(file), Some(_)) = (import.origin.file(), in_place(import).await?) {
            return Ok(FetchedDisk {
                path: file.path().to_owned(),
                from_cache: false,
            });
        }
        let wanted = wanted(import)?;
        let (sender, mut told) = unbounded_channel();
        let fetched = {
            let progress: Arc<dyn Progress> = Arc::new(Teller(sender));
            let fetch = download::fetch(&wanted, &self.settings, &progress);
            tokio::pin!(fetch);
            loop {
                tokio::select! {
                    biased;
                    fetched = &mut fetch => break fetched,
                    Some(word) = told.recv() => word.pass(watch),
                }
            }
        };
        drain(&mut told, watch);
        let fetched = fetched.map_err(|error| failed(&error))?;
        let disk = FetchedDisk {
            path: fetched.path.clone(),
            from_cache: fetched.from_cache,
        };
        self.in_use
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(fetched);
        Ok(disk)
    }
}

/// What a fetch tells from its threads, for whoever watches it from here.
enum Word {
    Advance(Phase, u64, Option<u64>),
    Note(String),
}

impl Word {
    fn pass(self, watch: &dyn FetchWatch) {
        match self {
            Self::Note(text) => watch.note(text),
            Self::Advance(phase, done, total) => match phase {
                Phase::Checksum => {}
                Phase::Download => watch.moved(Transfer::Download, done, total),
                Phase::Verify => watch.moved(Transfer::Verify, done, total),
                Phase::Unpack => watch.moved(Transfer::Unpack, done, total),
            },
        }
    }
}

fn drain(told: &mut UnboundedReceiver<Word>, watch: &dyn FetchWatch) {
    while let Ok(word) = told.try_recv() {
        word.pass(watch);
    }
}

struct Teller(UnboundedSender<Word>);

impl Progress for Teller {
    fn advance(&self, phase: Phase, done: u64, total: Option<u64>) {
        // Nobody listens any more: the fetch was given up.
        let _ = self.0.send(Word::Advance(phase, done, total));
    }

    fn note(&self, text: &str) {
        let _ = self.0.send(Word::Note(text.to_owned()));
    }
}
