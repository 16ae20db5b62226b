//! Buckets and what is in them, on the disk.
//!
//! Content is never held whole in memory. What is received goes to a file, and an object is a list of such files: completing
//! a multipart upload moves nothing.
//!
//! | module | subject |
//! |---|---|
//! | [`records`] | what is remembered |
//! | [`checksum`] | the checksums of S3 |
//! | [`content`] | reading an object |
//! | `disk` | the files |

pub mod checksum;
pub mod content;
mod disk;
pub mod records;

use content::Content;
use disk::{Disk, Shelf};
use records::{Bucket, Object, Part, Segment, Upload};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// All buckets of a local EC2.
#[derive(Debug)]
pub struct Storage {
    disk: Disk,
    shelves: Mutex<BTreeMap<String, Shelf>>,
    pins: Arc<Mutex<Pins>>,
}

/// Content that is being read, and is removed only afterwards.
#[derive(Debug, Default)]
struct Pins {
    held: BTreeMap<PathBuf, usize>,
    doomed: BTreeSet<PathBuf>,
}

/// Content that is being received. Dropped, it is gone.
#[derive(Debug)]
pub struct Incoming {
    path: PathBuf,
    name: String,
    /// Where it is written to.
    pub file: File,
}

impl Incoming {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        // It is not there any more if it was kept.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The buckets, while nobody else changes them.
pub struct Shelves<'a> {
    storage: &'a Storage,
    shelves: MutexGuard<'a, BTreeMap<String, Shelf>>,
}

impl Storage {
    /// The buckets of a local EC2's folder.
    ///
    /// # Errors
    /// If its files cannot be read.
    pub fn open(dir: &Path) -> io::Result<Self> {
        Self::over(Disk::new(dir, true))
    }

    /// Buckets that are remembered by this process alone; their content is in the folder.
    ///
    /// # Errors
    /// None that is known.
    pub fn forgetful(dir: &Path) -> io::Result<Self> {
        Self::over(Disk::new(dir, false))
    }

    fn over(disk: Disk) -> io::Result<Self> {
        let shelves = Mutex::new(disk.load()?);
        Ok(Self {
            disk,
            shelves,
            pins: Arc::default(),
        })
    }

    /// A file for content that is about to be received.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn receive(&self) -> io::Result<Incoming> {
        let name = hex::encode(rand::random::<[u8; 16]>());
        let path = self.disk.incoming(&name)?;
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        Ok(Incoming { path, name, file })
    }

    /// The buckets.
    pub fn lock(&self) -> Shelves<'_> {
        Shelves {
            storage: self,
            shelves: self.shelves.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// An object as it is now, for reading, however it is replaced or deleted meanwhile.
    pub fn object(&self, bucket: &str, key: &str) -> Option<(Object, Content)> {
        let shelves = self.lock();
        let object = shelves.objects(bucket)?.get(key)?.clone();
        let parts = object.segments.iter();
        let parts = parts.map(|s| (self.disk.data(bucket, &s.file), s.size));
        let content = Content::new(parts.collect(), Holder::new(&self.pins));
        Some((object, content))
    }
}

/// Holds on to content.
#[derive(Debug)]
struct Holder(Arc<Mutex<Pins>>);

impl Holder {
    fn new(pins: &Arc<Mutex<Pins>>) -> Self {
        Self(pins.clone())
    }

    fn hold(&self, path: &Path) {
        let mut pins = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *pins.held.entry(path.to_owned()).or_default() += 1;
    }

    fn release(&self, path: &Path) {
        let mut pins = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(count) = pins.held.get_mut(path) else {
            return;
        };
        *count -= 1;
        if *count == 0 {
            pins.held.remove(path);
            if pins.doomed.remove(path) {
                remove(path);
            }
        }
    }
}

fn remove(path: &Path) {
    if let Err(e) = std::fs::remove_file(path) {
        tracing::warn!("cannot remove {}: {e}", path.display());
    }
}

impl Shelves<'_> {
    /// A bucket.
    pub fn bucket(&self, name: &str) -> Option<&Bucket> {
        self.shelves.get(name).map(|s| &s.bucket)
    }

    /// All buckets, by name.
    pub fn buckets(&self) -> impl Iterator<Item = &Bucket> {
        self.shelves.values().map(|s| &s.bucket)
    }

    /// A bucket's objects, by key.
    pub fn objects(&self, bucket: &str) -> Option<&BTreeMap<String, Object>> {
        self.shelves.get(bucket).map(|s| &s.objects)
    }

    /// A bucket's uploads that are under way, by id.
    pub fn uploads(&self, bucket: &str) -> Option<&BTreeMap<String, Upload>> {
        self.shelves.get(bucket).map(|s| &s.uploads)
    }

    /// Makes a bucket.
    ///
    /// # Errors
    /// If it cannot be written down.
    pub fn add_bucket(&mut self, bucket: Bucket) -> io::Result<()> {
        self.storage.disk.save_bucket(&bucket)?;
        self.shelves
            .insert(bucket.name.clone(), Shelf::empty(bucket));
        Ok(())
    }

    /// Removes a bucket with all that is in it.
    ///
    /// # Errors
    /// If its files cannot be removed.
    pub fn remove_bucket(&mut self, name: &str) -> io::Result<()> {
        self.shelves.remove(name);
        self.storage.disk.remove_bucket(name)
    }

    /// Moves received content to a bucket.
    ///
    /// # Errors
    /// If it cannot be moved.
    pub fn keep(&self, bucket: &str, incoming: &Incoming, size: u64) -> io::Result<Segment> {
        self.storage
            .disk
            .keep(bucket, &incoming.path, &incoming.name)?;
        Ok(Segment {
            file: incoming.name.clone(),
            size,
        })
    }

    /// Puts an object in the place of what had its key.
    ///
    /// # Errors
    /// If it cannot be written down.
    pub fn put_object(&mut self, bucket: &str, object: Object) -> io::Result<()> {
        self.storage.disk.save_object(bucket, &object)?;
        let Some(shelf) = self.shelves.get_mut(bucket) else {
            return Ok(());
        };
        let before = shelf.objects.insert(object.key.clone(), object);
        self.discard(bucket, before.iter().flat_map(|o| &o.segments));
        Ok(())
    }

    /// Changes what is said of an object.
    ///
    /// # Errors
    /// If it cannot be written down.
    pub fn change_object(
        &mut self,
        bucket: &str,
        key: &str,
        change: impl FnOnce(&mut Object),
    ) -> io::Result<()> {
        let found = self
            .shelves
            .get_mut(bucket)
            .and_then(|s| s.objects.get_mut(key));
        let Some(object) = found else { return Ok(()) };
        let mut changed = object.clone();
        change(&mut changed);
        self.storage.disk.save_object(bucket, &changed)?;
        *object = changed;
        Ok(())
    }

    /// Removes an object, if there is one.
    ///
    /// # Errors
    /// If that cannot be written down.
    pub fn remove_object(&mut self, bucket: &str, key: &str) -> io::Result<()> {
        self.storage.disk.remove_object(bucket, key)?;
        let shelf = self.shelves.get_mut(bucket);
        let removed = shelf.and_then(|s| s.objects.remove(key));
        self.discard(bucket, removed.iter().flat_map(|o| &o.segments));
        Ok(())
    }

    /// Begins an upload.
    ///
    /// # Errors
    /// If it cannot be written down.
    pub fn add_upload(&mut self, bucket: &str, upload: Upload) -> io::Result<()> {
        self.storage.disk.save_upload(bucket, &upload)?;
        if let Some(shelf) = self.shelves.get_mut(bucket) {
            shelf.uploads.insert(upload.id.clone(), upload);
        }
        Ok(())
    }

    /// Puts a part in the place of what had its number.
    ///
    /// # Errors
    /// If it cannot be written down.
    pub fn put_part(&mut self, bucket: &str, upload: &str, part: Part) -> io::Result<()> {
        self.storage.disk.save_part(bucket, upload, &part)?;
        let shelf = self.shelves.get_mut(bucket);
        let Some(upload) = shelf.and_then(|s| s.uploads.get_mut(upload)) else {
            return Ok(());
        };
        let before = upload.parts.insert(part.number, part);
        self.discard(bucket, before.iter().map(|p| &p.segment));
        Ok(())
    }

    /// Makes an object of an upload's parts. Those that it does not name are gone.
    ///
    /// # Errors
    /// If it cannot be written down.
    pub fn complete(&mut self, bucket: &str, upload: &str, object: Object) -> io::Result<()> {
        let used: BTreeSet<String> = object.segments.iter().map(|s| s.file.clone()).collect();
        self.put_object(bucket, object)?;
        let shelf = self.shelves.get_mut(bucket);
        let removed = shelf.and_then(|s| s.uploads.remove(upload));
        let parts = removed.iter().flat_map(|u| u.parts.values());
        let unused = parts
            .map(|p| &p.segment)
            .filter(|s| !used.contains(&s.file));
        self.discard(bucket, unused);
        self.storage.disk.remove_upload(bucket, upload)
    }

    /// Gives an upload up, with all its parts.
    ///
    /// # Errors
    /// If that cannot be written down.
    pub fn abort(&mut self, bucket: &str, upload: &str) -> io::Result<()> {
        self.storage.disk.remove_upload(bucket, upload)?;
        let shelf = self.shelves.get_mut(bucket);
        let removed = shelf.and_then(|s| s.uploads.remove(upload));
        let parts = removed.iter().flat_map(|u| u.parts.values());
        self.discard(bucket, parts.map(|p| &p.segment));
        Ok(())
    }

    /// Removes content, or has it removed once nobody reads it any more.
    fn discard<'s>(&self, bucket: &str, segments: impl IntoIterator<Item = &'s Segment>) {
        let pins = &self.storage.pins;
        let mut pins = pins.lock().unwrap_or_else(PoisonError::into_inner);
        for segment in segments {
            let path = self.storage.disk.data(bucket, &segment.file);
            match pins.held.contains_key(&path) {
                true => {
                    pins.doomed.insert(path);
                }
                false => remove(&path),
            }
        }
    }
}

#[cfg(test)]
mod tests;
