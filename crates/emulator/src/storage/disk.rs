//! Where buckets lie: a folder for each, below `s3` in the local EC2's own.
//!
//! ```text
//!  s3/incoming/<random>                         content that is being received
//!  s3/buckets/<bucket>/bucket.json
//!                      objects/<hash of the key>.json
//!                      uploads/<upload>/upload.json
//!                      uploads/<upload>/<part>.json
//!                      data/<random>            content of objects and parts
//! ```
//!
//! Content is moved into `data` before a record names it, and a record is replaced whole. So a record's content is always
//! there; content that no record names is what a killed process left, and removed at the next start.

use super::records::{Bucket, Object, Part, Upload};
use crate::files;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The folder.
#[derive(Debug)]
pub(super) struct Disk {
    root: PathBuf,
    /// Whether records are written too, and not content alone.
    remembers: bool,
}

/// What is in a bucket.
#[derive(Debug)]
pub(super) struct Shelf {
    pub(super) bucket: Bucket,
    pub(super) objects: BTreeMap<String, Object>,
    pub(super) uploads: BTreeMap<String, Upload>,
}

impl Shelf {
    pub(super) fn empty(bucket: Bucket) -> Self {
        Self {
            bucket,
            objects: BTreeMap::new(),
            uploads: BTreeMap::new(),
        }
    }

    fn files(&self) -> BTreeSet<&str> {
        let objects = self.objects.values().flat_map(|o| &o.segments);
        let parts = self.uploads.values().flat_map(|u| u.parts.values());
        objects
            .chain(parts.map(|p| &p.segment))
            .map(|s| s.file.as_str())
            .collect()
    }
}

impl Disk {
    pub(super) fn new(dir: &Path, remembers: bool) -> Self {
        Self {
            root: dir.join("s3"),
            remembers,
        }
    }

    /// All buckets, and the end of what a killed process left.
    pub(super) fn load(&self) -> io::Result<BTreeMap<String, Shelf>> {
        let mut shelves = BTreeMap::new();
        if !self.remembers {
            return Ok(shelves);
        }
        match fs::remove_dir_all(self.root.join("incoming")) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        for folder in entries(&self.root.join("buckets"))? {
            // A bucket is made by its record, so a folder without one is of none.
            let Some(bucket) = read::<Bucket>(&folder.join("bucket.json"))? else {
                fs::remove_dir_all(&folder)?;
                continue;
            };
            let shelf = load_shelf(bucket, &folder)?;
            let named = shelf.files();
            for file in entries(&folder.join("data"))? {
                if !named.contains(name_of(&file)) {
                    fs::remove_file(&file)?;
                }
            }
            shelves.insert(shelf.bucket.name.clone(), shelf);
        }
        Ok(shelves)
    }

    /// A file for content that is about to be received.
    pub(super) fn incoming(&self, name: &str) -> io::Result<PathBuf> {
        let dir = self.root.join("incoming");
        files::make_dir(&dir, 0o700)?;
        Ok(dir.join(name))
    }

    /// Where some content of a bucket is.
    pub(super) fn data(&self, bucket: &str, file: &str) -> PathBuf {
        self.folder(bucket).join("data").join(file)
    }

    /// Moves received content to a bucket.
    pub(super) fn keep(&self, bucket: &str, incoming: &Path, file: &str) -> io::Result<()> {
        let to = self.data(bucket, file);
        if let Some(dir) = to.parent() {
            files::make_dir(dir, 0o700)?;
        }
        fs::rename(incoming, to)
    }

    pub(super) fn save_bucket(&self, bucket: &Bucket) -> io::Result<()> {
        self.write(&self.folder(&bucket.name).join("bucket.json"), bucket)
    }

    pub(super) fn remove_bucket(&self, bucket: &str) -> io::Result<()> {
        // Its record goes first: without it the folder is of no bucket.
        forgotten(fs::remove_file(self.folder(bucket).join("bucket.json")))?;
        forgotten(fs::remove_dir_all(self.folder(bucket)))
    }

    pub(super) fn save_object(&self, bucket: &str, object: &Object) -> io::Result<()> {
        self.write(&self.object(bucket, &object.key), object)
    }

    pub(super) fn remove_object(&self, bucket: &str, key: &str) -> io::Result<()> {
        forgotten(fs::remove_file(self.object(bucket, key)))
    }

    pub(super) fn save_upload(&self, bucket: &str, upload: &Upload) -> io::Result<()> {
        self.write(&self.upload(bucket, &upload.id).join("upload.json"), upload)
    }

    pub(super) fn save_part(&self, bucket: &str, upload: &str, part: &Part) -> io::Result<()> {
        let file = self
            .upload(bucket, upload)
            .join(format!("{}.json", part.number));
        self.write(&file, part)
    }

    pub(super) fn remove_upload(&self, bucket: &str, upload: &str) -> io::Result<()> {
        let dir = self.upload(bucket, upload);
        forgotten(fs::remove_file(dir.join("upload.json")))?;
        forgotten(fs::remove_dir_all(dir))
    }

    fn folder(&self, bucket: &str) -> PathBuf {
        self.root.join("buckets").join(bucket)
    }

    fn object(&self, bucket: &str, key: &str) -> PathBuf {
        // A key may hold slashes and dots, and be longer than a file's name.
        let name = hex::encode(Sha256::digest(key));
        self.folder(bucket)
            .join("objects")
            .join(format!("{name}.json"))
    }

    fn upload(&self, bucket: &str, upload: &str) -> PathBuf {
        self.folder(bucket).join("uploads").join(upload)
    }

    fn write(&self, path: &Path, record: &impl Serialize) -> io::Result<()> {
        if !self.remembers {
            return Ok(());
        }
        if let Some(dir) = path.parent() {
            files::make_dir(dir, 0o700)?;
        }
        files::replace(path, &serde_json::to_vec(record)?)
    }
}

fn load_shelf(bucket: Bucket, folder: &Path) -> io::Result<Shelf> {
    let mut shelf = Shelf::empty(bucket);
    for file in entries(&folder.join("objects"))? {
        if let Some(object) = record::<Object>(&file)? {
            shelf.objects.insert(object.key.clone(), object);
        }
    }
    for dir in entries(&folder.join("uploads"))? {
        let Some(mut upload) = read::<Upload>(&dir.join("upload.json"))? else {
            fs::remove_dir_all(&dir)?;
            continue;
        };
        for file in entries(&dir)? {
            if name_of(&file) == "upload.json" {
                continue;
            }
            if let Some(part) = record::<Part>(&file)? {
                upload.parts.insert(part.number, part);
            }
        }
        shelf.uploads.insert(upload.id.clone(), upload);
    }
    drop_completed(&mut shelf, folder)?;
    Ok(shelf)
}

/// An upload whose parts an object has is completed; the process was killed before it could say so.
fn drop_completed(shelf: &mut Shelf, folder: &Path) -> io::Result<()> {
    let objects = shelf.objects.values().flat_map(|o| &o.segments);
    let used: BTreeSet<&str> = objects.map(|s| s.file.as_str()).collect();
    let completed = |u: &Upload| {
        let mut parts = u.parts.values();
        parts.any(|p| used.contains(p.segment.file.as_str()))
    };
    let done: Vec<String> = shelf
        .uploads
        .values()
        .filter(|u| completed(u))
        .map(|u| u.id.clone())
        .collect();
    for id in done {
        fs::remove_dir_all(folder.join("uploads").join(&id))?;
        shelf.uploads.remove(&id);
    }
    Ok(())
}

/// Reads a record of a folder; what was being written when the process was killed is removed.
fn record<T: DeserializeOwned>(file: &Path) -> io::Result<Option<T>> {
    if file.extension().is_some_and(|e| e == "new") {
        fs::remove_file(file)?;
        return Ok(None);
    }
    read(file)
}

fn read<T: DeserializeOwned>(file: &Path) -> io::Result<Option<T>> {
    match fs::read(file) {
        Ok(text) => serde_json::from_slice(&text)
            .map(Some)
            .map_err(|e| io::Error::other(format!("{}: {e}", file.display()))),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

fn entries(dir: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(dir) {
        Ok(entries) => entries.map(|e| e.map(|e| e.path())).collect(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(e),
    }
}

fn name_of(path: &Path) -> &str {
    path.file_name()
        .and_then(|n| n.to_str())
        .unwrap_or_default()
}

/// What is not there need not be removed.
fn forgotten(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
