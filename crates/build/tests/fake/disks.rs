//! Disk images of this machine, handed out as they are, and how often.

use async_trait::async_trait;
use build::event::Transfer;
use build::host::{DiskImageError, DiskImages, FetchWatch, FetchedDisk};
use pipeline::model::{Checksum, Import};
use sha2::{Digest, Sha256};
use std::path::PathBuf;
use std::sync::Mutex;

/// One disk image, whatever is asked for.
#[derive(Default)]
pub struct FakeDisks {
    pub file: Mutex<Option<PathBuf>>,
    pub identified: Mutex<u32>,
    pub fetched: Mutex<u32>,
}

#[async_trait]
impl DiskImages for FakeDisks {
    /// As the binary does it: a file that nothing else identifies by what a machine would read of it.
    async fn identify(&self, import: &Import) -> Result<Checksum, DiskImageError> {
        *self.identified.lock().unwrap() += 1;
        if import.checksum.is_none() && import.origin.file().is_some() {
            let options = build::disk_options(import);
            if let Ok(opened) = disk::open(&self.path()?, &options) {
                let asked = opened.disk.clone();
                // It blocks, which a task must not.
                let digest = std::thread::spawn(move || {
                    let reading = disk::blocks::Reading {
                        threads: std::num::NonZeroUsize::MIN,
                        queue: std::num::NonZeroUsize::MIN,
                    };
                    disk::blocks::content_digest(&asked, reading).unwrap()
                });
                let digest = digest.join().unwrap();
                return Ok(Checksum::Sha256(*digest.as_bytes()));
            }
        }
        let digest = Sha256::digest(std::fs::read(self.path()?).unwrap());
        Ok(Checksum::Sha256(digest.into()))
    }

    async fn fetch(
        &self,
        _: &Import,
        watch: &dyn FetchWatch,
    ) -> Result<FetchedDisk, DiskImageError> {
        *self.fetched.lock().unwrap() += 1;
        watch.moved(Transfer::Download, 1, Some(1));
        Ok(FetchedDisk {
            path: self.path()?,
            from_cache: false,
        })
    }
}

impl FakeDisks {
    fn path(&self) -> Result<PathBuf, DiskImageError> {
        self.file.lock().unwrap().clone().ok_or(DiskImageError {
            message: "the test has put none here".to_owned(),
            hint: None,
        })
    }
}
