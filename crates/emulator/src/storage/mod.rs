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
mod tests {
    use super::checksum::{Algorithm, Checksum, ChecksumType};
    use super::records::Described;
    use super::*;
    use jiff::Timestamp;
    use std::io::{Read, Write};

    fn bucket(name: &str) -> Bucket {
        Bucket {
            name: name.into(),
            owner: "1".into(),
            region: "us-east-2".into(),
            created: Timestamp::UNIX_EPOCH,
        }
    }

    fn segment(storage: &Storage, data: &[u8]) -> Segment {
        let mut incoming = storage.receive().unwrap();
        incoming.file.write_all(data).unwrap();
        let size = data.len() as u64;
        storage.lock().keep("b", &incoming, size).unwrap()
    }

    fn object(key: &str, segments: Vec<Segment>) -> Object {
        Object {
            key: key.into(),
            size: segments.iter().map(|s| s.size).sum(),
            etag: String::new(),
            modified: Timestamp::UNIX_EPOCH,
            checksum: Checksum {
                algorithm: Algorithm::Crc32,
                of: ChecksumType::FullObject,
                value: String::new(),
            },
            described: Described::default(),
            segments,
        }
    }

    fn upload(id: &str) -> Upload {
        Upload {
            id: id.into(),
            key: "k".into(),
            initiated: Timestamp::UNIX_EPOCH,
            initiator: String::new(),
            algorithm: None,
            checksum_type: ChecksumType::FullObject,
            described: Described::default(),
            parts: BTreeMap::new(),
        }
    }

    fn part(number: u16, segment: Segment) -> Part {
        Part {
            number,
            etag: String::new(),
            modified: Timestamp::UNIX_EPOCH,
            checksum: String::new(),
            declared: None,
            segment,
        }
    }

    fn files(dir: &Path) -> usize {
        let data = dir.join("s3/buckets/b/data");
        std::fs::read_dir(data).map_or(0, Iterator::count)
    }

    fn content(storage: &Storage, key: &str) -> Option<Vec<u8>> {
        let (object, content) = storage.object("b", key)?;
        let mut all = Vec::new();
        let range = content.range(0, object.size);
        range.reader().read_to_end(&mut all).unwrap();
        Some(all)
    }

    #[test]
    fn everything_is_there_again_after_a_start_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let storage = Storage::open(dir.path()).unwrap();
        storage.lock().add_bucket(bucket("b")).unwrap();
        let (a, b, c) = (
            segment(&storage, b"one"),
            segment(&storage, b"two"),
            segment(&storage, b"three"),
        );
        let mut shelves = storage.lock();
        shelves
            .put_object("b", object("a/../k", vec![a, b]))
            .unwrap();
        shelves.add_upload("b", upload("u")).unwrap();
        shelves.put_part("b", "u", part(7, c)).unwrap();
        drop(shelves);
        // What a killed process leaves.
        let orphan = segment(&storage, b"nobody's");
        std::mem::forget(storage.receive().unwrap());
        drop(storage);
        assert_eq!(files(dir.path()), 4);
        let again = Storage::open(dir.path()).unwrap();
        assert_eq!(content(&again, "a/../k").unwrap(), b"onetwo");
        let shelves = again.lock();
        assert_eq!(shelves.uploads("b").unwrap()["u"].parts[&7].segment.size, 5);
        drop(shelves);
        assert_eq!(files(dir.path()), 3, "{orphan:?}");
        assert!(!dir.path().join("s3/incoming").exists());
    }

    #[test]
    fn what_is_being_read_is_removed_afterwards() {
        let dir = tempfile::tempdir().unwrap();
        let storage = Storage::open(dir.path()).unwrap();
        storage.lock().add_bucket(bucket("b")).unwrap();
        let first = segment(&storage, b"first");
        storage
            .lock()
            .put_object("b", object("k", vec![first]))
            .unwrap();
        let (_, reading) = storage.object("b", "k").unwrap();
        let second = segment(&storage, b"second");
        storage
            .lock()
            .put_object("b", object("k", vec![second]))
            .unwrap();
        let mut all = Vec::new();
        let range = reading.range(1, 3);
        range.reader().read_to_end(&mut all).unwrap();
        assert_eq!(all, b"irs");
        assert_eq!(files(dir.path()), 2);
        drop((reading, range));
        assert_eq!(files(dir.path()), 1);
        storage.lock().remove_object("b", "k").unwrap();
        assert_eq!(files(dir.path()), 0);
    }

    #[test]
    fn an_upload_that_was_completed_as_the_process_was_killed_is_no_upload() {
        let dir = tempfile::tempdir().unwrap();
        let storage = Storage::open(dir.path()).unwrap();
        storage.lock().add_bucket(bucket("b")).unwrap();
        let data = segment(&storage, b"data");
        let mut shelves = storage.lock();
        shelves.add_upload("b", upload("u")).unwrap();
        shelves.put_part("b", "u", part(1, data.clone())).unwrap();
        shelves.put_object("b", object("k", vec![data])).unwrap();
        drop(shelves);
        drop(storage);
        let again = Storage::open(dir.path()).unwrap();
        assert!(again.lock().uploads("b").unwrap().is_empty());
        assert_eq!(content(&again, "k").unwrap(), b"data");
    }

    #[test]
    fn completing_keeps_what_the_object_names_and_aborting_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let storage = Storage::open(dir.path()).unwrap();
        storage.lock().add_bucket(bucket("b")).unwrap();
        let (a, b, c) = (
            segment(&storage, b"a"),
            segment(&storage, b"b"),
            segment(&storage, b"c"),
        );
        let mut shelves = storage.lock();
        for id in ["u", "v"] {
            shelves.add_upload("b", upload(id)).unwrap();
        }
        shelves.put_part("b", "u", part(1, a.clone())).unwrap();
        shelves.put_part("b", "u", part(2, b)).unwrap();
        shelves.put_part("b", "v", part(1, c)).unwrap();
        shelves.complete("b", "u", object("k", vec![a])).unwrap();
        assert_eq!(files(dir.path()), 2);
        shelves.abort("b", "v").unwrap();
        assert!(shelves.uploads("b").unwrap().is_empty());
        drop(shelves);
        assert_eq!(files(dir.path()), 1);
        assert_eq!(content(&storage, "k").unwrap(), b"a");
    }
}
