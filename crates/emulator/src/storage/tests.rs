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
