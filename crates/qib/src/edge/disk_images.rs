//! Disk images: from the web or from a file, into the cache of this machine.

use async_trait::async_trait;
use build::event::Transfer;
use build::host::{DiskImageError, DiskImages, FetchWatch, FetchedDisk};
use download::{
    Address, Check, Digest, Fetch, FetchError, Fetched, Origin, Phase, Progress, Settings,
};
use pipeline::model::{self, Checksum, Import, ImportChecksum, ImportOrigin};
use std::collections::HashMap;
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
}

fn failed(error: &FetchError) -> DiskImageError {
    DiskImageError {
        message: with_causes(error),
        hint: None,
    }
}

/// An error and what caused it, in one line.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let reason = error.to_string();
        if !text.contains(&reason) {
            text.push_str(": ");
            text.push_str(&reason);
        }
        cause = error.source();
    }
    text
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
        let silent: Arc<dyn Progress> = Arc::new(download::Silent);
        let digest = download::identify(&wanted, &self.settings, &silent)
            .await
            .map_err(|error| failed(&error))?;
        let digest = checksum(&digest);
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key, digest);
        Ok(digest)
    }

    async fn fetch(
        &self,
        import: &Import,
        watch: &dyn FetchWatch,
    ) -> Result<FetchedDisk, DiskImageError> {
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
